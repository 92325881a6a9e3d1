//! Functions: every directory of the `functions` repository with its `serverless.yml`.
//!
//! Of what the file says only `service`, names, handlers, runtimes, events and our own id count. Labels, images and
//! the provider's namespace choose nothing; the namespace is kept, because plan knows the right one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lb_vocab::{Blob, Digest, EntityKind, Finding, Limits, Producer, SafePath, Source, Tree};

use crate::cursor::{Cursor, Document, Findings, Held, Read};
use crate::entities::{Broken, Entity, Function, Trigger};
use crate::node::{Data, Node};
use crate::source::{document, read_source};
use crate::yaml;

/// The largest `serverless.yml` that is read, bytes.
pub(crate) const MAX_BYTES: u64 = 256 << 10;

/// Extension of a template's handler, its language and its newest version (`functions.md`).
const TEMPLATES: [(&str, &str, &str); 7] = [
    ("js", "nodejs", "8"),
    ("py", "python", "3.6"),
    ("go", "go", "1.10"),
    ("java", "java", "1.8"),
    ("php", "php", "7.2"),
    ("rb", "ruby", "2.4"),
    ("cs", "dotnetcore", "2.0"),
];

/// Reads the functions of a producer.
pub(crate) fn read(
    functions: &Source<Tree>,
    producer: &Producer,
    limits: &Limits,
    findings: &Findings,
) -> Source<Vec<Entity<Function>>> {
    read_source(functions, findings, |tree| Ok(Some(of_tree(tree, producer, limits, findings))))
}

/// What would be found of these services where they are deployed, for whoever writes one.
#[must_use]
pub fn check_functions(services: &Tree, producer: &Producer) -> Vec<Finding> {
    let findings = Findings::default();
    of_tree(services, producer, &Limits::default(), &findings);
    findings.sorted()
}

fn of_tree(tree: &Tree, producer: &Producer, limits: &Limits, findings: &Findings) -> Vec<Entity<Function>> {
    let mut list = Vec::new();
    for (name, files) in directories(tree) {
        let directory = Directory { name, files, producer };
        if let Some(blob) = directory.get("serverless.yml").filter(|_| list.len() <= limits.functions) {
            list.extend(directory.read(blob, findings));
        }
    }
    cut(&mut list, limits.functions, findings);
    list
}

/// Files by their directory; hidden directories are tools' own.
fn directories(tree: &Tree) -> BTreeMap<&str, Vec<(&SafePath, &Blob)>> {
    let mut directories: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (path, blob) in &tree.files {
        if let Some((directory, _)) = path.as_str().split_once('/').filter(|(name, _)| !name.starts_with('.'))
        {
            directories.entry(directory).or_default().push((path, blob));
        }
    }
    directories
}

fn cut(list: &mut Vec<Entity<Function>>, limit: usize, findings: &Findings) {
    if let Some(beyond) = list.get(limit) {
        let place = match beyond {
            Entity::Read(function) => &function.place,
            Entity::Broken(broken) => &broken.place,
        };
        let message = format!("at most {limit} are deployed: this one and those behind it are not");
        findings.add(Finding::error("OverLimit", place.clone(), message));
        list.truncate(limit);
    }
}

struct Directory<'a> {
    name: &'a str,
    files: Vec<(&'a SafePath, &'a Blob)>,
    producer: &'a Producer,
}

impl<'a> Directory<'a> {
    fn get(&self, file: &str) -> Option<&'a Blob> {
        let wanted = format!("{}/{file}", self.name);
        self.files.iter().find(|(path, _)| path.as_str() == wanted).map(|(_, blob)| *blob)
    }

    /// The functions of the directory: one for each key of `functions`, or one that is broken.
    fn read(&self, blob: &'a Blob, findings: &'a Findings) -> Vec<Entity<Function>> {
        let file = format!("functions/{}/serverless.yml", self.name);
        let mut place = lb_vocab::Place::file(&file);
        (place.kind, place.name) = (EntityKind::Function, self.name.to_owned());
        let broken = |id| vec![Entity::Broken(Broken { id, name: None, place: place.clone() })];
        let Ok(Some(document)) = document(Some(blob), &file, MAX_BYTES, findings) else {
            return broken(None);
        };
        let Ok(node) = parse(&document, self.name) else { return broken(None) };
        let root = Cursor::root(&document, &node, EntityKind::Function, self.name);
        self.functions(&root).unwrap_or_else(|Held| broken(lunchbadger_id(&node)))
    }

    fn functions(&self, root: &Cursor<'_>) -> Read<Vec<Entity<Function>>> {
        root.object()?;
        let functions = root.get("functions").map(|map| map.fields()).transpose()?.unwrap_or_default();
        if functions.is_empty() {
            return Err(root.refuse("FunctionMissing", "it has no `functions`: name one with its `handler`"));
        }
        let service = self.service(root)?;
        let provider = root.get("provider");
        let namespace = provider.as_ref().and_then(|provider| provider.get("namespace"));
        let namespace = namespace.map(|value| (value.node.as_text().unwrap_or_default(), value.place()));
        let digest = self.digest();
        let prefix = format!("fn-{}-", self.producer);
        let own = |(key, _): &(&str, Cursor<'_>)| key.strip_prefix(&prefix) == Some(&service);
        let main = functions.iter().position(own).unwrap_or(0);
        let read = |(index, (key, cursor)): (usize, (&str, Cursor<'_>))| {
            let cursor = cursor.named(EntityKind::Function, key);
            // The service and its id are those of one function; others of the same file go by their own names.
            let own_name = key.strip_prefix(&prefix).unwrap_or(key);
            let service = if index == main { &service } else { own_name };
            if key.strip_prefix(&prefix) != Some(service) {
                cursor.warn("FunctionName", format!("it is deployed as `{prefix}{service}`: name it so"));
            }
            let id = lunchbadger_id(root.node).filter(|_| index == main);
            match self.function(&cursor, provider.as_ref()) {
                Ok(function) => Entity::Read(Function {
                    service: service.to_owned(),
                    name: key.to_owned(),
                    lunchbadger_id: id,
                    namespace: namespace.clone(),
                    digest: digest.clone(),
                    ..function
                }),
                Err(Held) => {
                    Entity::Broken(Broken { id, name: Some(service.to_owned()), place: cursor.place() })
                }
            }
        };
        Ok(functions.into_iter().enumerate().map(read).collect())
    }

    /// `service`, or its `name` where it is an object.
    fn service(&self, root: &Cursor<'_>) -> Read<String> {
        let service = root.optional("service", |service| match service.node.data {
            Data::Map(_) => service.or_default("name", Cursor::text),
            Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) | Data::List(_) => service.text(),
        })?;
        Ok(service.filter(|service| !service.is_empty()).unwrap_or_else(|| {
            root.warn("ServiceMissing", "it has no `service`, the directory's name is taken: give it one");
            self.name.to_owned()
        }))
    }

    /// One function, but for what it has from its file.
    fn function(&self, cursor: &Cursor<'_>, provider: Option<&Cursor<'_>>) -> Read<Function> {
        cursor.object()?;
        let handler = cursor.optional("handler", Cursor::text)?.filter(|handler| !handler.is_empty());
        let handler = handler
            .ok_or_else(|| cursor.refuse("HandlerMissing", "it has no `handler`: write `file.function`"))?;
        Ok(Function {
            directory: self.name.to_owned(),
            service: String::new(),
            name: String::new(),
            lunchbadger_id: None,
            namespace: None,
            runtime: match [Some(cursor), provider]
                .into_iter()
                .flatten()
                .find_map(|cursor| cursor.get("runtime"))
            {
                Some(runtime) => written_runtime(&runtime)?,
                None => self.guessed_runtime(cursor, &handler)?,
            },
            handler,
            triggers: triggers(cursor)?,
            digest: Digest::of(b""),
            place: cursor.place(),
        })
    }

    /// The runtime of the template whose handler the directory has.
    fn guessed_runtime(&self, cursor: &Cursor<'_>, handler: &str) -> Read<(String, String)> {
        let stem = handler.rsplit_once('.').map_or(handler, |(stem, _)| stem);
        let template =
            TEMPLATES.iter().find(|(extension, _, _)| self.get(&format!("{stem}.{extension}")).is_some());
        let Some((_, environment, version)) = template else {
            return Err(cursor
                .refuse("RuntimeMissing", "it has no runtime: write `provider: {runtime: \"nodejs:8\"}`"));
        };
        let message = format!(
            "it has no runtime, `{environment}:{version}` is taken after its handler: write `provider: {{runtime: ...}}`"
        );
        cursor.warn("RuntimeMissing", message);
        Ok(((*environment).to_owned(), (*version).to_owned()))
    }

    /// Every file with its path, and what it is.
    fn digest(&self) -> Digest {
        let mut parts: Vec<Cow<'_, [u8]>> = Vec::with_capacity(2 * self.files.len());
        for (path, blob) in &self.files {
            let (kind, content) = match blob {
                Blob::File(content) => ("file", Cow::Borrowed(content.as_slice())),
                Blob::Symlink => ("symlink", Cow::Borrowed(&[][..])),
                Blob::Submodule => ("submodule", Cow::Borrowed(&[][..])),
                Blob::TooLarge { size } => ("large", Cow::Owned(size.to_be_bytes().to_vec())),
            };
            parts.push(Cow::Owned(format!("{kind} {path}").into_bytes()));
            parts.push(content);
        }
        Digest::of_parts(parts.iter().map(AsRef::as_ref))
    }
}

fn parse(document: &Document<'_>, name: &str) -> Read<Node> {
    yaml::parse(document.text.as_str()).map_err(|error| {
        let message = format!("it is not YAML that can be read: {}", error.problem);
        document.refuse(error.offset, EntityKind::Function, name, "NotYaml", &message)
    })
}

fn lunchbadger_id(node: &Node) -> Option<String> {
    node.get("lunchbadger")?.get("id")?.as_text().filter(|id| !id.is_empty())
}

/// `nodejs:8`, or `nodejs8` as older projects have it.
fn written_runtime(cursor: &Cursor<'_>) -> Read<(String, String)> {
    let text = cursor.text()?;
    let split = text.find(|c: char| c == ':' || c.is_ascii_digit()).unwrap_or(text.len());
    let (environment, version) = (&text[..split], text[split..].trim_start_matches(':'));
    let good = !environment.is_empty()
        && environment.bytes().all(|byte| byte.is_ascii_lowercase())
        && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && version.bytes().any(|byte| byte.is_ascii_digit());
    if !good {
        return Err(
            cursor.refuse("RuntimeMalformed", "`runtime` must be a language and a version, as `nodejs:8`")
        );
    }
    Ok((environment.to_owned(), version.to_owned()))
}

fn triggers(function: &Cursor<'_>) -> Read<Vec<Trigger>> {
    let mut triggers = Vec::new();
    for event in function.or_default("events", Cursor::items)? {
        for (kind, value) in event.fields()? {
            triggers.extend(trigger(kind, &value)?);
        }
    }
    Ok(triggers)
}

fn trigger(kind: &str, value: &Cursor<'_>) -> Read<Option<Trigger>> {
    match kind {
        "http" => {
            // `http: GET hello` is the short form of `http: {method: GET, path: hello}`.
            let text = part(value, "path")?;
            let path = text.rsplit(' ').next().unwrap_or_default().trim_start_matches('/');
            Ok(Some(Trigger::Http { path: format!("/{path}") }))
        }
        "schedule" => {
            let cron = part(value, "rate")?;
            if cron.split_whitespace().count() != 5 || cron.contains(['(', ')']) {
                return Err(value.refuse(
                    "ScheduleMalformed",
                    "`schedule` must have the five fields of cron, as `0 * * * *`",
                ));
            }
            Ok(Some(Trigger::Schedule { cron }))
        }
        "trigger" | "kafka" | "topic" => Ok(Some(Trigger::Topic { name: part(value, "topic")? })),
        _ => {
            value.warn(
                "EventUnknown",
                format!("events of kind `{kind}` are not known here: it has no effect"),
            );
            Ok(None)
        }
    }
}

/// The value itself where it is a text, else the one under `key`.
fn part(value: &Cursor<'_>, key: &str) -> Read<String> {
    let text = match value.node.data {
        Data::Map(_) => value.or_default(key, Cursor::text)?,
        Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) | Data::List(_) => value.text()?,
    };
    if text.is_empty() {
        Err(value.refuse("EventIncomplete", format!("the event has no `{key}`")))
    } else {
        Ok(text)
    }
}
