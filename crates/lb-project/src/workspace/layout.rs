//! How LoopBack 3 lays a project out: which file holds what, and what new files are called and say.

use lb_vocab::SafePath;
use serde_json::{Map, Value, json};

use super::entity::{FacetFile, PARTS, PartShape};

/// Where a project's package is described.
pub(crate) const PACKAGE: &str = "package.json";
/// The longest name of an entity, bytes: it becomes a part of a file's name.
pub(crate) const MAX_NAME: usize = 128;
/// Facets that may be written to before they have files.
pub(crate) const FACETS: [&str; 2] = ["common", "server"];

/// What a file is to the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role<'a> {
    Package,
    /// A facet's file that holds entities by name.
    Facet(&'a str, FacetFile),
    /// A file that only shows that there is a facet.
    Marker(&'a str),
    /// A model's definition.
    Model(&'a str),
    /// A model's script, which is never read.
    Script,
}

impl FacetFile {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Config, Self::Components, Self::DataSources, Self::ModelConfig];

    /// Its name in the facet's directory.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Config => "config.json",
            Self::Components => "component-config.json",
            Self::DataSources => "datasources.json",
            Self::ModelConfig => "model-config.json",
        }
    }

    /// Its path.
    pub(crate) fn path(self, facet: &str) -> Option<SafePath> {
        format!("{facet}/{}", self.file_name()).parse().ok()
    }
}

/// What the file at a path is, `None` where the workspace has nothing to do with it.
pub(crate) fn role(path: &SafePath) -> Option<Role<'_>> {
    let mut segments = path.as_str().split('/');
    let role = match (segments.next()?, segments.next(), segments.next(), segments.next()) {
        (PACKAGE, None, ..) => Role::Package,
        (facet, Some(file), None, _) if is_word(facet) => {
            let known = FacetFile::ALL.into_iter().find(|known| known.file_name() == file);
            match known {
                Some(known) => Role::Facet(facet, known),
                None if file == "middleware.json" => Role::Marker(facet),
                None => return None,
            }
        }
        (facet, Some("models"), Some(file), None) if is_word(facet) => {
            if file.ends_with(".json") && !file.starts_with('_') {
                Role::Model(facet)
            } else if file.ends_with(".js") {
                Role::Script
            } else {
                return None;
            }
        }
        _ => return None,
    };
    Some(role)
}

/// Letters, digits, `_` and `-`: what LoopBack accepts as name of a model, a property or a package.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Where a new model is put, `None` where its name makes no path.
pub(crate) fn model_path(facet: &str, name: &str) -> Option<SafePath> {
    let slug = slug(name);
    (is_word(facet) && is_word(&slug)).then(|| format!("{facet}/models/{slug}.json").parse().ok())?
}

/// The script beside a model's definition.
pub(crate) fn script_path(definition: &SafePath) -> Option<SafePath> {
    format!("{}.js", definition.as_str().strip_suffix(".json")?).parse().ok()
}

/// What a new script says.
pub(crate) fn script(name: &str) -> String {
    format!("'use strict';\n\nmodule.exports = function({}) {{\n\n}};\n", class_name(name))
}

/// The text of a new file.
pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// What a new model's file has beside the model itself.
pub(crate) fn no_parts() -> Map<String, Value> {
    let empty = |shape| match shape {
        PartShape::Map => json!({}),
        PartShape::List => json!([]),
    };
    PARTS.iter().map(|(name, shape)| ((*name).to_owned(), empty(*shape))).collect()
}

/// A model's file name without its ending: words in small letters, with dashes between them.
pub(crate) fn slug(name: &str) -> String {
    if !name.bytes().any(|byte| byte.is_ascii_lowercase()) || name.contains('-') {
        return name.to_ascii_lowercase();
    }
    words(name).join("-").to_ascii_lowercase()
}

/// The name of a model's class: one word with a capital, as the package makes it.
fn class_name(name: &str) -> String {
    let joined = words(name).concat().to_ascii_lowercase();
    match joined.as_bytes().first() {
        Some(first) if first.is_ascii_alphabetic() => joined[..1].to_ascii_uppercase() + &joined[1..],
        _ => "Model".to_owned(),
    }
}

/// What a letter of a name is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Letter {
    Upper,
    Lower,
    Digit,
    Other,
}

fn letter(byte: u8) -> Letter {
    match byte {
        b'A'..=b'Z' => Letter::Upper,
        b'a'..=b'z' => Letter::Lower,
        b'0'..=b'9' => Letter::Digit,
        _ => Letter::Other,
    }
}

/// The words of a name: `XMLHttp2Go` has `XML`, `Http`, `2` and `Go`.
fn words(name: &str) -> Vec<&str> {
    let bytes = name.as_bytes();
    let at = |index: usize| bytes.get(index).map_or(Letter::Other, |byte| letter(*byte));
    let run = |from: usize, kind: Letter| (from..).take_while(|index| at(*index) == kind).count();
    let mut words = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let length = match at(start) {
            Letter::Other => {
                start += 1;
                continue;
            }
            Letter::Upper => match (run(start, Letter::Upper), at(start + run(start, Letter::Upper))) {
                (1, _) => 1 + run(start + 1, Letter::Lower),
                (capitals, Letter::Lower) => capitals - 1,
                (capitals, _) => capitals,
            },
            kind @ (Letter::Lower | Letter::Digit) => run(start, kind),
        };
        words.extend(name.get(start..start + length));
        start += length;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_as_the_package_calls_them() {
        for (name, expected) in [
            ("Car", "car"),
            ("FooBarBatBaz", "foo-bar-bat-baz"),
            ("fooBar", "foo-bar"),
            ("FOOBAR", "foobar"),
            ("foo-BAR", "foo-bar"),
            ("Model2Go3", "model-2-go-3"),
            ("XMLHttpRequest", "xml-http-request"),
            ("HTTPServer2x", "http-server-2-x"),
            ("my_model", "my-model"),
            ("A", "a"),
            ("A_B", "a_b"),
            ("__", "__"),
            ("a1b2C3", "a-1-b-2-c-3"),
            ("aBC", "a-bc"),
            ("7", "7"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
        for (name, class) in
            [("Car", "Car"), ("MyCar", "Mycar"), ("my_car", "Mycar"), ("3d", "Model"), ("__", "Model")]
        {
            assert!(script(name).contains(&format!("function({class})")), "{name}");
        }
    }

    #[test]
    fn only_files_of_the_layout_have_a_role() {
        let role_of = |path: &str| format!("{:?}", role(&path.parse().unwrap()));
        assert_eq!(role_of("package.json"), "Some(Package)");
        assert_eq!(role_of("server/model-config.json"), "Some(Facet(\"server\", ModelConfig))");
        assert_eq!(role_of("common/models/car.json"), "Some(Model(\"common\"))");
        for other in [
            "a/package.json",
            "models/car.json",
            "server/models/a/b.json",
            "server/models/_x.json",
            "x y/config.json",
        ] {
            assert_eq!(role_of(other), "None", "{other}");
        }
    }
}
