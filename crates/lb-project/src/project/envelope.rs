//! The outer file: finds the string that holds the project, and says how to mend a broken one.

use lb_vocab::EntityKind;

use crate::cursor::{Cursor, Document, Held, Read};
use crate::json::{self, SyntaxError};
use crate::node::{Data, Node};

/// How places call the file.
pub(crate) const PROJECT_FILE: &str = "dev/lunchbadger.json";

/// The project's JSON, with places in the outer file.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    pub(crate) document: Document<'a>,
    pub(crate) node: Node,
}

/// Opens the project under `key`. `None`: the file is fine, and there is no project in it.
pub(crate) fn open<'a>(file: &Document<'a>, key: &str) -> Read<Option<Inside<'a>>> {
    let outer = json::parse(file.text.as_str()).map_err(|error| refuse_outer(file, key, &error))?;
    let root = Cursor::root(file, &outer, EntityKind::File, PROJECT_FILE);
    root.warn_of_repeated_keys();
    root.object()?;
    warn_of_misplaced_switch(&root);
    let Some(models) = root.get("models") else { return Ok(None) };
    models.object()?;
    warn_of_misplaced_switch(&models);
    let Some(projects) = models.get("Project") else { return Ok(None) };
    projects.object()?;
    warn_of_misplaced_switch(&projects);
    let Some(project) = projects.get(key) else { return no_such_key(&projects, key) };
    let project = project.named(EntityKind::Project, key);
    if !matches!(project.node.data, Data::Text(_)) {
        let what = project.node.data.words();
        return Err(project.refuse(
            "NotAText",
            format!("it is {what}, it must be a text that holds the JSON of the project, each `\"` in it written `\\\"`"),
        ));
    }
    let text = file.text.unescaped(project.node.span.clone());
    let document = Document { file: file.file.clone(), text, findings: file.findings };
    let node = json::parse(document.text.as_str()).map_err(|error| {
        let message = format!("the text that holds the project is not JSON: {}", error.problem);
        document.refuse(error.offset, EntityKind::Project, key, "NotJson", &message)
    })?;
    Ok(Some(Inside { document, node }))
}

/// `disabled` beside the text that holds the project, where LoopBack does not look for it.
fn warn_of_misplaced_switch(cursor: &Cursor<'_>) {
    if let Some(switch) = cursor.get("disabled") {
        switch.warn(
            "DisabledMisplaced",
            "`disabled` has no effect here: write `\\\"disabled\\\": true` into the text that holds the project",
        );
    }
}

fn no_such_key<'a>(projects: &Cursor<'_>, key: &str) -> Read<Option<Inside<'a>>> {
    let fields = projects.node.fields();
    let Some(other) = fields.first().map(|entry| entry.key.chars().take(80).collect::<String>()) else {
        return Ok(None);
    };
    let message = format!(
        "there is no project `{key}` in `models.Project`, but `{other}`: rename its key, or remove it"
    );
    Err(projects.clone().named(EntityKind::Project, key).refuse("ForeignProject", message))
}

/// A syntax error of the outer file. The usual one is a key that was written by hand into the string that holds the
/// project, with quotes that end that string.
fn refuse_outer(file: &Document<'_>, key: &str, error: &SyntaxError) -> Held {
    let text = file.text.as_str();
    let ended = json::string_before(text, error.offset).filter(|_| !error.is_conflict(text));
    match ended.filter(|literal| text[literal.start + 1..].trim_start().starts_with('{')) {
        Some(literal) => {
            let mut message =
                "this quote ends the text that holds the project; inside it every `\"` is written `\\\"`"
                    .to_owned();
            if let Some(mended) = mended(&text[literal.end..]) {
                message.push_str(&format!(": write `{mended}`"));
            }
            file.refuse(literal.end - 1, EntityKind::Project, key, "UnescapedQuote", &message)
        }
        None => {
            let message = format!("it is not JSON: {}", error.problem);
            file.refuse(error.offset, EntityKind::File, PROJECT_FILE, "NotJson", &message)
        }
    }
}

/// What follows a quote that should have been escaped, as it should be: `disabled": true` becomes
/// `\"disabled\": true`.
fn mended(rest: &str) -> Option<String> {
    let word = |text: &str| {
        text.len() <= 40 && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-. ".contains(c))
    };
    let (key, rest) = rest.split_once('"').filter(|(key, _)| word(key))?;
    let value = rest.trim_start().strip_prefix(':')?.trim_start();
    let value = if let Some(text) = value.strip_prefix('"') {
        text.split_once('"').filter(|(text, _)| word(text)).map(|(text, _)| format!("\\\"{text}\\\""))
    } else {
        let end =
            value.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.').unwrap_or(value.len());
        Some(value[..end].to_owned()).filter(|value| !value.is_empty() && value.len() <= 20)
    };
    Some(format!("\\\"{key}\\\": {}", value.unwrap_or_else(|| "...".to_owned())))
}
