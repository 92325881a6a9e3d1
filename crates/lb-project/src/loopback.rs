//! Models and data sources of the LoopBack project.
//!
//! `server/model-config.json` says what is served, and whether publicly; a definition is a file with a `name` in one
//! of the directories of `_meta.sources`. Of two definitions of one name the later counts, as LoopBack's boot has it.

use std::collections::{BTreeSet, HashMap};

use lb_vocab::{EntityKind, Limits, Source, Tree};

use crate::cursor::{Cursor, Document, Findings, Held, Read};
use crate::entities::{DataSource, Entity, Model};
use crate::node::Node;
use crate::project::first;
use crate::source::{document, read_source};

/// The largest file of a LoopBack project that is read, bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Where definitions are, if `_meta.sources` does not say.
const SOURCES: [&str; 2] = ["../common/models", "./models"];
/// LoopBack's own models need no definition.
const BUILT_IN: [&str; 15] = [
    "ACL",
    "AccessToken",
    "Application",
    "Change",
    "Checkpoint",
    "Email",
    "KeyValueModel",
    "Member",
    "Model",
    "PersistedModel",
    "Role",
    "RoleMapping",
    "Scope",
    "Team",
    "User",
];

/// Models, and the names of those that are left out.
#[derive(Default)]
pub(crate) struct Models {
    pub(crate) list: Vec<Entity<Model>>,
    pub(crate) left_out: BTreeSet<String>,
}

/// Models of the LoopBack project, in the order of `model-config.json`.
pub(crate) fn models(dev: &Source<Tree>, limits: &Limits, findings: &Findings) -> Source<Models> {
    read_source(dev, findings, |tree| {
        let mut models = Models::default();
        let Some((file, node)) = open(tree, "server/model-config.json", findings)? else {
            return Ok(Some(models));
        };
        let root = Cursor::root(&file, &node, EntityKind::File, &file.file);
        root.warn_of_repeated_keys();
        let definitions = Definitions::read(tree, &root, findings)?;
        let entries = root.fields()?.into_iter().filter(|(name, _)| !name.starts_with('_'));
        let configs: Vec<_> = entries.map(|(name, config)| config.named(EntityKind::Model, name)).collect();
        models.left_out = configs.iter().map(|config| config.entity_name().to_owned()).collect();
        for config in first(configs, limits.models) {
            if let Some(model) = definitions.model(&config) {
                models.left_out.remove(config.entity_name());
                models.list.push(model);
            }
        }
        Ok(Some(models))
    })
}

/// Definitions by the name of their model.
struct Definitions<'a> {
    by_name: HashMap<String, (Document<'a>, Node)>,
    /// A definition cannot be read: it may be that of any model that has none.
    unreadable: bool,
    /// Models may come from a directory that we do not read.
    foreign: bool,
}

impl<'a> Definitions<'a> {
    fn read(tree: &'a Tree, config: &Cursor<'_>, findings: &'a Findings) -> Read<Self> {
        let meta = config.get("_meta");
        let sources =
            meta.as_ref().map(|meta| meta.optional("sources", Cursor::texts)).transpose()?.flatten();
        let sources = sources.unwrap_or_else(|| SOURCES.map(str::to_owned).to_vec());
        let directories: Vec<_> = sources.iter().filter_map(|source| directory(source)).collect();
        let foreign =
            sources.iter().any(|source| directory(source).is_none() && !source.starts_with("loopback/"));
        let mut definitions = Self { by_name: HashMap::new(), unreadable: false, foreign };
        for directory in directories {
            let files = tree.files.keys().filter(|path| {
                path.parent() == Some(directory)
                    && path.file_name().ends_with(".json")
                    && !path.file_name().starts_with('_')
            });
            for path in files {
                match open(tree, path.as_str(), findings) {
                    Ok(Some((file, node))) => {
                        if let Some(name) = node.get("name").and_then(Node::as_text) {
                            definitions.by_name.insert(name, (file, node));
                        }
                    }
                    Ok(None) => {}
                    Err(Held) => definitions.unreadable = true,
                }
            }
        }
        Ok(definitions)
    }

    /// The model of an entry of `model-config.json`; `None` where it is proven to have no definition.
    fn model(&self, config: &Cursor<'_>) -> Option<Entity<Model>> {
        let name = config.entity_name();
        let Some((file, node)) = self.by_name.get(name) else {
            if self.foreign || BUILT_IN.contains(&name) {
                return Some(config.read(|config| plain(config, name)));
            }
            let message = "there is no definition of this name in `common/models` or `server/models`: LoopBack does not \
                           start, add one or remove the entry";
            config.refuse("ModelUndefined", message);
            return self.unreadable.then(|| config.broken(None));
        };
        let definition = Cursor::root(file, node, EntityKind::Model, name);
        let model = plain(config, name).and_then(|model| defined(&definition, model));
        Some(model.map_or_else(|Held| definition.broken(definition.label("lunchbadgerId")), Entity::Read))
    }
}

/// The directory that an entry of `_meta.sources` means, among those that we read.
fn directory(source: &str) -> Option<&'static str> {
    match source.trim_start_matches("./").trim_end_matches('/') {
        "../common/models" => Some("common/models"),
        "models" | "../server/models" => Some("server/models"),
        _ => None,
    }
}

fn plain(config: &Cursor<'_>, name: &str) -> Read<Model> {
    config.object()?;
    check_path(config, name)?;
    Ok(Model {
        name: name.to_owned(),
        plural: None,
        http_path: None,
        lunchbadger_id: None,
        public: config.optional("public", Cursor::flag)?.unwrap_or(true),
        place: config.place(),
    })
}

fn defined(definition: &Cursor<'_>, plain: Model) -> Read<Model> {
    let http = definition.get("http");
    let model = Model {
        plural: definition.optional("plural", segment)?,
        http_path: http
            .map(|http| http.object().and_then(|()| http.optional("path", segment)))
            .transpose()?
            .flatten(),
        lunchbadger_id: definition.optional("lunchbadgerId", Cursor::id)?,
        place: definition.place(),
        ..plain
    };
    Ok(model)
}

fn segment(cursor: &Cursor<'_>) -> Read<String> {
    let text = cursor.text()?;
    check_path(cursor, &text)?;
    Ok(text)
}

/// Names and paths become part of an address in gateways: what would end it or leave it is refused.
fn check_path(cursor: &Cursor<'_>, text: &str) -> Read<()> {
    let leaves = text.split('/').any(|part| part == "." || part == "..");
    if leaves || text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '\\'))
    {
        return Err(cursor.refuse(
            "PathMalformed",
            "its name or path has a blank, `?`, `#`, `\\` or `..`: leave these out",
        ));
    }
    Ok(())
}

/// Data sources, and every id by which connections may name one.
pub(crate) struct DataSources {
    pub(crate) list: Vec<Entity<DataSource>>,
    pub(crate) ids: Vec<String>,
}

/// Data sources of the LoopBack project, in file order.
pub(crate) fn data_sources(dev: &Source<Tree>, findings: &Findings) -> Source<DataSources> {
    read_source(dev, findings, |tree| {
        let mut sources = DataSources { list: Vec::new(), ids: Vec::new() };
        let Some((file, node)) = open(tree, "server/datasources.json", findings)? else {
            return Ok(Some(sources));
        };
        let root = Cursor::root(&file, &node, EntityKind::File, &file.file);
        root.warn_of_repeated_keys();
        for (name, cursor) in root.fields()? {
            let cursor = cursor.named(EntityKind::DataSource, name);
            sources.ids.extend(["lunchbadgerId", "id"].into_iter().filter_map(|key| cursor.label(key)));
            sources.list.push(cursor.read(|cursor| data_source(cursor, name)));
        }
        Ok(Some(sources))
    })
}

fn data_source(cursor: &Cursor<'_>, name: &str) -> Read<DataSource> {
    cursor.object()?;
    let connector = cursor.optional("connector", Cursor::text)?;
    let connector =
        connector.ok_or_else(|| cursor.refuse("ConnectorMissing", "it has no `connector`: give it one"))?;
    Ok(DataSource { name: name.to_owned(), connector, place: cursor.place() })
}

/// Opens a JSON file of the `dev` repository.
fn open<'a>(tree: &'a Tree, path: &str, findings: &'a Findings) -> Read<Option<(Document<'a>, Node)>> {
    let name = format!("dev/{path}");
    let Some(file) = document(tree.get(path), &name, MAX_BYTES, findings)? else { return Ok(None) };
    let node = file.json(EntityKind::File, &name)?;
    Ok(Some((file, node)))
}
