//! One file of a project: its bytes, what is wrong with it, and the entities in it.

use std::sync::Arc;

use lb_vocab::{Blob, EntityKind, Finding, Place, SafePath};
use serde_json::{Value, json};

use super::edit::JsonText;
use super::entity::{FacetFile, Home, Kind};
use super::failure::Failure;
use super::layout::Role;
use super::record::{Data, Record, Spot, Step, from_config};
use crate::cursor::{Document, Findings, Held, Read};
use crate::node::{Data as NodeData, Entry, Node};
use crate::source::document;

/// The largest file that is read, bytes.
const MAX_BYTES: u64 = 4 << 20;
/// How findings call the repository.
const REPOSITORY: &str = "dev";

/// A file that has a role.
#[derive(Debug)]
pub(crate) struct File {
    blob: Blob,
    pub(crate) findings: Vec<Finding>,
    /// Why it cannot be understood as a whole; it is never written then.
    broken: Option<String>,
    /// The model that a model's file defines.
    pub(crate) model: Option<Arc<str>>,
    /// `_meta` of a `model-config.json`.
    pub(crate) meta: Option<Value>,
}

impl File {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.blob {
            Blob::File(bytes) => bytes,
            Blob::Symlink | Blob::Submodule | Blob::TooLarge { .. } => &[],
        }
    }

    /// Its text for editing, and whether a byte order mark stands before it.
    pub(crate) fn edit(&self, path: &SafePath) -> Result<(JsonText, bool), Failure> {
        let unreadable = |why: String| Failure::Unreadable { path: path.to_string(), why };
        if let Some(why) = &self.broken {
            return Err(unreadable(format!("{why}. Mend it first")));
        }
        let text = std::str::from_utf8(self.bytes()).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
        let body = text.strip_prefix('\u{feff}');
        let json = JsonText::new(body.unwrap_or(text)).map_err(|error| unreadable(error.problem))?;
        Ok((json, body.is_some()))
    }

    /// Reads a file.
    pub(crate) fn read(path: &SafePath, role: &Role<'_>, bytes: Vec<u8>) -> (Self, Vec<Record>) {
        let mut file =
            Self { blob: Blob::File(bytes), findings: Vec::new(), broken: None, model: None, meta: None };
        if matches!(role, Role::Script | Role::Marker(_)) {
            return (file, Vec::new());
        }
        let findings = Findings::default();
        let (mut meta, mut broken) = (None, None);
        let read = Reader::open(path, &file.blob, &findings).and_then(|reader| {
            meta = reader.root.get("_meta").map(Node::to_value);
            reader.records(role)
        });
        let records = read.unwrap_or_else(|Held| {
            broken = findings.last_error().map(|finding| finding.to_string());
            Vec::new()
        });
        if let (Role::Model(_), Some(model)) = (role, records.first()) {
            file.model = model.text_of("name").map(Arc::from);
        }
        (file.meta, file.broken) = (meta, broken);
        file.findings = findings.sorted();
        (file, records)
    }
}

/// A file that is being read.
struct Reader<'a> {
    path: &'a SafePath,
    document: Document<'a>,
    root: Node,
}

impl<'a> Reader<'a> {
    fn open(path: &'a SafePath, blob: &'a Blob, findings: &'a Findings) -> Read<Self> {
        let name = format!("{REPOSITORY}/{path}");
        let document = document(Some(blob), &name, MAX_BYTES, findings)?.ok_or(Held)?;
        let root = document.json(EntityKind::File, &name)?;
        let NodeData::Map(_) = root.data else {
            let message = format!("it is {}, an object is wanted", root.data.words());
            return Err(document.refuse(root.span.start, EntityKind::File, &name, "NotAnObject", &message));
        };
        Ok(Self { path, document, root })
    }

    fn records(&self, role: &Role<'_>) -> Read<Vec<Record>> {
        match role {
            Role::Package => Ok(self.package().into_iter().collect()),
            Role::Facet(facet, file) => Ok(self.members(facet, *file)),
            Role::Model(facet) => self.model(facet),
            Role::Marker(_) | Role::Script => Ok(Vec::new()),
        }
    }

    fn spot(&self, steps: Vec<Step>) -> Option<Spot> {
        Some(Spot { path: self.path.clone(), steps })
    }

    fn package(&self) -> Option<Record> {
        let data = from_config(Kind::PackageDefinition, "", &self.root.to_value())?;
        let id = Kind::PackageDefinition.schema().id(&data).unwrap_or_else(|| "package".to_owned());
        Some(Record::new(Kind::PackageDefinition, id, data, self.spot(Vec::new())))
    }

    fn members(&self, facet: &str, file: FacetFile) -> Vec<Record> {
        let (kind, named) = match file {
            FacetFile::Config => (Kind::FacetSetting, true),
            FacetFile::Components => (Kind::ComponentConfig, true),
            FacetFile::DataSources => (Kind::DataSourceDefinition, true),
            FacetFile::ModelConfig => (Kind::ModelConfig, false),
        };
        let entries = self.root.fields().into_iter();
        let entries = entries.filter(|entry| kind != Kind::ModelConfig || !entry.key.starts_with('_'));
        entries
            .filter_map(|entry| {
                let mut data = self.data(kind, entry)?;
                data.insert("facetName".to_owned(), json!(facet));
                if named {
                    data.insert("configFile".to_owned(), json!(self.path.as_str()));
                }
                let id = kind.schema().id(&data)?;
                Some(Record::new(kind, id, data, self.spot(vec![Step::Key(entry.key.clone())])))
            })
            .collect()
    }

    /// The data of a member, with a finding where it is nothing that an entity can be.
    fn data(&self, kind: Kind, entry: &Entry) -> Option<Data> {
        let data = from_config(kind, &entry.key, &entry.value.to_value());
        if data.is_none() {
            let what = match kind {
                Kind::DataSourceDefinition => EntityKind::DataSource,
                Kind::Facet
                | Kind::FacetSetting
                | Kind::ComponentConfig
                | Kind::PackageDefinition
                | Kind::ModelConfig
                | Kind::ModelDefinition
                | Kind::ModelProperty
                | Kind::ModelRelation
                | Kind::ModelMethod
                | Kind::ModelAccessControl
                | Kind::PropertyValidation
                | Kind::ViewDefinition => EntityKind::Model,
            };
            let place = self.document.place(entry.value.span.start, what, &entry.key);
            let message = format!(
                "{} \"{}\" is {}, an object is wanted: it is not shown",
                kind.schema().name,
                entry.key,
                entry.value.data.words()
            );
            self.document.findings.add(Finding::warning("NotAnObject", place, message));
        }
        data
    }

    fn model(&self, facet: &str) -> Read<Vec<Record>> {
        let file = &self.document.file;
        let name = self.root.get("name").and_then(Node::as_text).filter(|name| !name.is_empty());
        let Some(name) = name else {
            let message = "it has no `name`: give the model one";
            return Err(self.document.refuse(
                self.root.span.start,
                EntityKind::File,
                file,
                "NameMissing",
                message,
            ));
        };
        let records = of_model(facet, &name, &self.root.to_value(), &Origin::Project(self.path));
        for (key, kind) in part_kinds() {
            let Some(list) = self.root.get(key) else { continue };
            match (&list.data, kind.schema().home) {
                (NodeData::Map(_), Home::Part(_)) => {
                    let odd = |entry: &&Entry| !matches!(entry.value.data, NodeData::Map(_));
                    for entry in list.fields().into_iter().filter(odd) {
                        drop(self.data(kind, entry));
                    }
                }
                (NodeData::List(_), Home::Item(_)) | (NodeData::Null, _) => {}
                (data, _) => {
                    let place = self.document.place(list.span.start, EntityKind::Model, &name);
                    let message = format!("`{key}` is {}: what is in it is not shown", data.words());
                    self.document.findings.add(Finding::warning("NotAnObject", place, message));
                }
            }
        }
        Ok(records)
    }
}

/// The keys of a model's file whose values are entities, with their kinds.
pub(crate) fn part_kinds() -> impl Iterator<Item = (&'static str, Kind)> {
    Kind::all().filter_map(|kind| match kind.schema().home {
        Home::Part(key) | Home::Item(key) => Some((key, kind)),
        Home::Directory
        | Home::Package
        | Home::Member(_)
        | Home::Setting(_)
        | Home::Model
        | Home::Nowhere => None,
    })
}

/// Whose a model is.
pub(crate) enum Origin<'a> {
    /// The project's, in this file.
    Project(&'a SafePath),
    /// LoopBack's own, in a file of this name.
    LoopBack(&'a str),
}

/// A model and its parts.
pub(crate) fn of_model(facet: &str, name: &str, config: &Value, origin: &Origin<'_>) -> Vec<Record> {
    let (path, file) = match origin {
        Origin::Project(path) => (Some(*path), path.to_string()),
        Origin::LoopBack(file) => (None, format!("{facet}/models/{file}")),
    };
    let spot = |steps| path.map(|path| Spot { path: path.clone(), steps });
    let id = format!("{facet}.{name}");
    let mut data = from_config(Kind::ModelDefinition, name, config).unwrap_or_default();
    data.insert("name".to_owned(), json!(name));
    data.insert("facetName".to_owned(), json!(facet));
    data.insert("readonly".to_owned(), json!(path.is_none()));
    data.insert("configFile".to_owned(), json!(file));
    let mut records = vec![Record::new(Kind::ModelDefinition, id.clone(), data, spot(Vec::new()))];
    for (list, kind) in part_kinds() {
        let members: Vec<(Step, &str, &Value)> = match (config.get(list), kind.schema().home) {
            (Some(Value::Object(map)), Home::Part(_)) => {
                map.iter().map(|(key, value)| (Step::Key(key.clone()), key.as_str(), value)).collect()
            }
            (Some(Value::Array(items)), Home::Item(_)) => {
                items.iter().enumerate().map(|(at, item)| (Step::Index(at), "", item)).collect()
            }
            _ => Vec::new(),
        };
        for (step, key, value) in members {
            let Some(mut data) = from_config(kind, key, value) else { continue };
            data.insert("modelId".to_owned(), json!(id));
            data.insert("facetName".to_owned(), json!(facet));
            if let Step::Index(index) = step {
                data.insert("index".to_owned(), json!(index));
                data.shift_remove("name");
            }
            // Where a static and an instance method have one name, the latter's id says what it is.
            let twin = data.get("isStatic") == Some(&json!(false))
                && data
                    .get("name")
                    .and_then(Value::as_str)
                    .is_some_and(|name| config[list].get(name).is_some());
            let part = if twin { Some(format!("{id}.{key}")) } else { kind.schema().id(&data) };
            if let Some(part) = part {
                records.push(Record::new(kind, part, data, spot(vec![Step::Key(list.to_owned()), step])));
            }
        }
    }
    records
}

/// A finding that a model's file is not read because another file defines the model.
pub(crate) fn twice(path: &SafePath, name: &str, first: &SafePath) -> Finding {
    let place = Place {
        kind: EntityKind::Model,
        name: name.to_owned(),
        ..Place::file(format!("{REPOSITORY}/{path}"))
    };
    Finding::warning(
        "ModelTwice",
        place,
        format!("the model is defined in `{first}` too, which counts: remove one"),
    )
}
