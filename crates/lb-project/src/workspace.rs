//! The workspace API's logic: the REST API of `loopback-workspace` over a LoopBack 3 project that is held as files.
//!
//! | module | says |
//! |---|---|
//! | `entity` | the table of entities: everything else works for all of them alike |
//! | `layout` | which file holds what, and what new files are called |
//! | `file`, `record`, `records` | files become entities, by kind and id |
//! | `request`, `route` | what is asked for |
//! | `filter`, `condition`, `read` | what is answered |
//! | `check`, `draft`, `write` | what is stored: a copy is changed, and what differs is the answer's `changes` |
//! | `edit` | how a file's text is changed without touching the rest |
//! | `connector` | which packages data sources need |
//! | `failure` | why not |

mod builtin;
mod check;
mod condition;
mod connector;
mod draft;
mod edit;
mod entity;
mod failure;
mod file;
mod filter;
mod layout;
mod read;
mod record;
mod records;
mod request;
mod route;
mod write;

pub use connector::{ConnectorPackage, PackageChange};
pub use request::{Answer, Method, Request, UnknownMethod};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_vocab::{Finding, SafePath};
use serde_json::{Value, json};

use entity::{FacetFile, Kind};
use file::File;
use layout::Role;
use record::{Data, Record, Spot, Step};
use records::Records;

/// A LoopBack project, parsed once.
///
/// Guarantees: it equals what [`Workspace::read`] makes of the same files, however it came to them; [`Workspace::answer`]
/// changes nothing; what it wants changed leaves every byte of a file that is not part of the changed entity, and never
/// touches a file that cannot be understood. A copy is cheap: it shares files and entities.
#[derive(Clone, Debug)]
pub struct Workspace {
    files: BTreeMap<SafePath, Arc<File>>,
    records: Records,
}

impl Workspace {
    /// Reads a project. Files that have no place in LoopBack's layout are passed over.
    pub fn read(files: impl IntoIterator<Item = (SafePath, Vec<u8>)>) -> (Self, Vec<Finding>) {
        let mut workspace = Self { files: BTreeMap::new(), records: Records::default() };
        for record in builtin::records() {
            workspace.records.insert(Arc::clone(record));
        }
        let mut facets = BTreeSet::from([builtin::FACET.to_owned()]);
        for (path, bytes) in files {
            facets.extend(workspace.put(&path, Some(bytes)));
        }
        for facet in facets {
            workspace.refresh_facet(&facet);
        }
        let findings = workspace.findings();
        (workspace, findings)
    }

    /// Notes that a file was written or removed (`None`): by a save of ours, or by somebody else's push.
    pub fn update(&mut self, path: &SafePath, bytes: Option<Vec<u8>>) {
        if let Some(facet) = self.put(path, bytes) {
            self.refresh_facet(&facet);
        }
    }

    /// What is wrong with the project, by place.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<_> =
            self.files.values().flat_map(|file| file.findings.iter().cloned()).collect();
        for (path, file) in &self.files {
            if let (Some(Role::Model(facet)), Some(name)) = (layout::role(path), &file.model)
                && let Some(first) = self.models_of(facet, name).next()
                && first != path
            {
                findings.push(file::twice(path, name, first));
            }
        }
        findings.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.cmp(b)));
        findings
    }

    /// The paths that the workspace has to do with: what to hand to [`Workspace::read`], and whose changes to report.
    #[must_use]
    pub fn wants(path: &SafePath) -> bool {
        layout::role(path).is_some()
    }

    /// Puts a file in place, and answers which facet it belongs to.
    fn put(&mut self, path: &SafePath, bytes: Option<Vec<u8>>) -> Option<String> {
        let role = layout::role(path)?;
        let before = self.files.remove(path);
        let read = bytes.map(|bytes| File::read(path, &role, bytes));
        if let Role::Model(facet) = role {
            let old = before.and_then(|file| file.model.clone());
            let (file, records) = read.unzip();
            let name = file.as_ref().and_then(|file| file.model.clone());
            if let Some(file) = file {
                self.files.insert(path.clone(), Arc::new(file));
            }
            if let Some(old) = old.filter(|old| Some(old) != name.as_ref()) {
                self.reclaim(facet, &old, None);
            }
            if let Some(name) = name {
                self.reclaim(facet, &name, records.map(|records| (path, records)));
            }
        } else {
            self.forget(path);
            for record in read.into_iter().flat_map(|(file, records)| {
                self.files.insert(path.clone(), Arc::new(file));
                records
            }) {
                self.records.insert(Arc::new(record));
            }
        }
        match role {
            Role::Facet(facet, _) | Role::Marker(facet) | Role::Model(facet) => Some(facet.to_owned()),
            Role::Package | Role::Script => None,
        }
    }

    /// Removes the entities that stand in a file which is no model's.
    fn forget(&mut self, path: &SafePath) {
        let kind = match layout::role(path) {
            Some(Role::Package) => Kind::PackageDefinition,
            Some(Role::Facet(_, FacetFile::Config)) => Kind::FacetSetting,
            Some(Role::Facet(_, FacetFile::Components)) => Kind::ComponentConfig,
            Some(Role::Facet(_, FacetFile::DataSources)) => Kind::DataSourceDefinition,
            Some(Role::Facet(_, FacetFile::ModelConfig)) => Kind::ModelConfig,
            Some(Role::Marker(_) | Role::Model(_) | Role::Script) | None => return,
        };
        let here = |record: &&Record| record.spot.as_ref().is_some_and(|spot| spot.path == *path);
        let ids: Vec<_> = self.records.of(kind).filter(here).map(|record| Arc::clone(&record.id)).collect();
        for id in ids {
            self.records.remove(kind, &id);
        }
    }

    /// Files that define a model, by path: the first one counts.
    fn models_of<'s>(&'s self, facet: &'s str, name: &'s str) -> impl Iterator<Item = &'s SafePath> {
        self.files.iter().filter_map(move |(path, file)| {
            let defines =
                file.model.as_deref() == Some(name) && layout::role(path) == Some(Role::Model(facet));
            defines.then_some(path)
        })
    }

    /// Puts the entities of a model in place: those of the first file that defines it, or LoopBack's own.
    fn reclaim(&mut self, facet: &str, name: &str, read: Option<(&SafePath, Vec<Record>)>) {
        let id = format!("{facet}.{name}");
        self.records.remove(Kind::ModelDefinition, &id);
        for (_, kind) in file::part_kinds() {
            let parts: Vec<_> =
                self.records.below(kind, "modelId", &id).map(|record| Arc::clone(&record.id)).collect();
            for part in parts {
                self.records.remove(kind, &part);
            }
        }
        let records: Vec<Arc<Record>> = match (self.models_of(facet, name).next(), read) {
            (Some(first), Some((path, records))) if first == path => {
                records.into_iter().map(Arc::new).collect()
            }
            (Some(first), _) => {
                let bytes = self.files.get(first).map(|file| file.bytes().to_vec()).unwrap_or_default();
                File::read(first, &Role::Model(facet), bytes).1.into_iter().map(Arc::new).collect()
            }
            (None, _) if facet == builtin::FACET => builtin::model(name),
            (None, _) => Vec::new(),
        };
        for record in records {
            self.records.insert(record);
        }
    }

    /// Makes the facet's own entity what the files say.
    fn refresh_facet(&mut self, facet: &str) {
        let has_files = self.files.keys().any(|path| match layout::role(path) {
            Some(Role::Facet(of, _) | Role::Marker(of) | Role::Model(of)) => of == facet,
            Some(Role::Package | Role::Script) | None => false,
        });
        if !has_files && facet != builtin::FACET {
            self.records.remove(Kind::Facet, facet);
            return;
        }
        let path = FacetFile::ModelConfig.path(facet);
        let meta = path.as_ref().and_then(|path| self.files.get(path)).and_then(|file| file.meta.clone());
        let mut data = Data::from_iter([("name".to_owned(), json!(facet))]);
        data.extend(meta.map(|meta| ("modelsMetadata".to_owned(), meta)));
        let spot = path.map(|path| Spot { path, steps: vec![Step::Key("_meta".to_owned())] });
        self.records.insert(Arc::new(Record::new(Kind::Facet, facet.to_owned(), data, spot)));
    }

    /// The packages that data sources need.
    fn packages(&self) -> BTreeSet<ConnectorPackage> {
        let connectors =
            self.records.of(Kind::DataSourceDefinition).filter_map(|record| record.text_of("connector"));
        connectors.filter_map(ConnectorPackage::of_connector).collect()
    }

    /// `package.json` as an entity.
    fn package(&self) -> Option<&Record> {
        self.records.of(Kind::PackageDefinition).next()
    }

    /// Answers one request; what is to be saved stands in the answer, and is told with [`Workspace::update`] once it is.
    #[must_use]
    pub fn answer(&self, request: &Request<'_>) -> Answer {
        let answer = route::of(request).and_then(|route| match route {
            route::Route::Read(read) => read::answer(self, &read, request),
            route::Route::Write(write) => write::answer(self, write, request),
            route::Route::Fixed(value) => Ok(Answer::read(200, value.to_string().into_bytes())),
            route::Route::Connectors => {
                let offered: Value = connector::offered(self.package().map(|package| &package.data));
                Ok(Answer::read(200, offered.to_string().into_bytes()))
            }
        });
        let mut answer = answer.unwrap_or_else(|failure| Answer::refusal(&failure));
        if request.method == Method::Head {
            answer.body.clear();
        }
        answer
    }
}
