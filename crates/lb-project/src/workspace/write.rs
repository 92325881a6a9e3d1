//! Answers that change something.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Workspace;
use super::check;
use super::draft::Draft;
use super::entity::{FacetFile, Home, Kind, Link};
use super::failure::{Failure, Problem};
use super::filter::{Filter, object};
use super::layout::{self, PACKAGE};
use super::record::{Data, Record, Spot, Step, coerce, key, shown, to_config};
use super::request::{Answer, Request, arguments, body, object_body};
use super::route::{Parent, Write};

/// Entities that one request stores.
const MAX_AT_ONCE: usize = 500;

/// Answers a write.
pub(crate) fn answer(workspace: &Workspace, write: Write, request: &Request<'_>) -> Result<Answer, Failure> {
    let mut draft = Draft::of(workspace);
    let object = || object_body(request.body);
    let body = match write {
        Write::Create(kind) => create_all(&mut draft, kind, body(request.body)?, None)?,
        Write::CreateIn(parent) => {
            let (kind, key) = target(&parent);
            let id = parent.record(&workspace.records)?.id.to_string();
            create_all(&mut draft, kind, body(request.body)?, Some((key, &id)))?
        }
        Write::MergeOrCreate(kind) => merge_or_create(&mut draft, kind, object()?)?,
        Write::ReplaceOrCreate(kind) => match named(workspace, kind, &object()?) {
            Some(record) => replace(&mut draft, &record, object()?)?,
            None => create(&mut draft, kind, object()?)?,
        },
        Write::MergeWhereOrCreate(kind) => {
            let found = meant(workspace, kind, request)?;
            match &found[..] {
                [] => create(&mut draft, kind, object()?)?,
                [record] => merge(&mut draft, record, object()?)?,
                [_, _, ..] => return Err(Failure::Several),
            }
        }
        Write::MergeWhere(kind) => {
            let found = meant(workspace, kind, request)?;
            within_limit(found.len())?;
            for record in &found {
                merge(&mut draft, record, object()?)?;
            }
            json!({ "count": found.len() })
        }
        Write::Merge(kind, id) => {
            let record = workspace.records.get(kind, &id).ok_or(Failure::NoParent { id })?;
            merge(&mut draft, record, object()?)?
        }
        Write::Replace(kind, id) => {
            let record = workspace.records.get(kind, &id).ok_or(Failure::NothingToReplace { id })?;
            replace(&mut draft, record, object()?)?
        }
        Write::Remove(kind, id) => {
            let record = workspace.records.get(kind, &id);
            record.map(|record| remove(&mut draft, &[&**record])).transpose()?;
            json!({ "count": u8::from(record.is_some()) })
        }
        Write::RemoveAllOf(parent) => {
            let related = workspace.records.related(parent.record(&workspace.records)?, parent.relation);
            remove(&mut draft, &related)?;
            return Ok(draft.answer(204, Vec::new()));
        }
        Write::MergeMember(parent, id) => {
            let member = parent.member(&workspace.records, &id)?;
            merge(&mut draft, member, object()?)?
        }
        Write::RemoveMember(parent, id) => {
            remove(&mut draft, &[parent.member(&workspace.records, &id)?])?;
            return Ok(draft.answer(204, Vec::new()));
        }
    };
    Ok(draft.answer(200, body.to_string().into_bytes()))
}

/// What a relation leads to, and the property that says so.
fn target(parent: &Parent) -> (Kind, &'static str) {
    let (Link::Many(key) | Link::One(key)) = parent.relation.link;
    (parent.relation.target, key)
}

/// The entity that data names by its id.
fn named(workspace: &Workspace, kind: Kind, data: &Data) -> Option<Arc<Record>> {
    let id = data.get("id").or_else(|| data.get("name").filter(|_| kind == Kind::Facet))?;
    workspace.records.get(kind, id.as_str()?).map(Arc::clone)
}

/// The entities that `where` means.
fn meant(workspace: &Workspace, kind: Kind, request: &Request<'_>) -> Result<Vec<Arc<Record>>, Failure> {
    let arguments = arguments(request.query)?;
    let filter = object(arguments.get("where"))?.map(|condition| json!({ "where": condition }));
    let filter = Filter::of_query(filter.as_ref(), kind)?;
    let found = filter.select(workspace.records.of(kind)).into_iter();
    Ok(found.filter_map(|record| workspace.records.get(kind, &record.id)).map(Arc::clone).collect())
}

/// Refuses to store more at once than can be stored in a moment: each entity is checked against those before it.
fn within_limit(count: usize) -> Result<(), Failure> {
    let many = || Failure::bad(format!("At most {MAX_AT_ONCE} entities are stored at once, not {count}"));
    (count <= MAX_AT_ONCE).then_some(()).ok_or_else(many)
}

/// Creates one entity, or each of a list: all of them, or none.
fn create_all(
    draft: &mut Draft<'_>,
    kind: Kind,
    body: Value,
    under: Option<(&'static str, &str)>,
) -> Result<Value, Failure> {
    let mut create_one = |item: Value| {
        let Value::Object(mut data) = item else { return Err(Failure::bad("Value is not an object.")) };
        if let Some((key, id)) = under {
            data.insert(key.to_owned(), json!(id));
        }
        create(draft, kind, data)
    };
    let Value::Array(items) = body else { return create_one(body) };
    within_limit(items.len())?;
    let mut created = Vec::with_capacity(items.len());
    let mut failures = Vec::with_capacity(items.len());
    for item in items {
        match create_one(item) {
            Ok(value) => {
                created.push(value);
                failures.push(None);
            }
            Err(failure) => failures.push(Some(failure)),
        }
    }
    if created.len() < failures.len() {
        Err(Failure::Together { failures })
    } else {
        Ok(Value::Array(created))
    }
}

/// Data as a request has it made into what can be stored: without what is kept elsewhere, and in the declared types.
fn clean(draft: &Draft<'_>, kind: Kind, mut data: Data) -> Data {
    let schema = kind.schema();
    data.retain(|key, _| !schema.leaves_out(key) && !matches!(key.as_str(), "readonly" | "configFile"));
    coerce(schema, &mut data);
    if kind == Kind::ModelMethod
        && let Some(name) =
            data.get("name").and_then(Value::as_str).and_then(|name| name.strip_prefix("prototype."))
    {
        let name = json!(name);
        data.insert("name".to_owned(), name);
        data.insert("isStatic".to_owned(), json!(false));
    }
    if kind.is_part() {
        let model = data.get("modelId").and_then(Value::as_str);
        let model = model.and_then(|id| draft.workspace.records.get(Kind::ModelDefinition, id));
        if let Some(facet) = model.and_then(|model| model.data.get("facetName")).cloned() {
            data.insert("facetName".to_owned(), facet);
        }
    }
    data
}

fn merge_or_create(draft: &mut Draft<'_>, kind: Kind, data: Data) -> Result<Value, Failure> {
    match named(&draft.workspace, kind, &data) {
        Some(record) => merge(draft, &record, data),
        None => create(draft, kind, data),
    }
}

fn create(draft: &mut Draft<'_>, kind: Kind, body: Data) -> Result<Value, Failure> {
    let schema = kind.schema();
    let given = body.get("id").and_then(Value::as_str).map(str::to_owned);
    let echoed = echoed(&body);
    let mut data = clean(draft, kind, body);
    for (key, value) in schema.defaults() {
        data.entry(key).or_insert(value);
    }
    let replaced = existing(draft, kind, &mut data, given.as_deref());
    let problems = check::problems(&draft.workspace, kind, &data, given.as_deref());
    if !problems.is_empty() {
        return Err(Failure::Invalid { kind, problems });
    }
    let spot = match replaced {
        Some(record) => overwrite(draft, &record, &data)?,
        None => store(draft, kind, &data)?,
    };
    answered(draft, kind, &spot, &echoed)
}

/// The entity whose place data takes. An access control without one gets the next index.
fn existing(draft: &Draft<'_>, kind: Kind, data: &mut Data, given: Option<&str>) -> Option<Arc<Record>> {
    let records = &draft.workspace.records;
    let model = data.get("modelId").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind == Kind::ModelAccessControl {
        let found = given
            .and_then(|id| records.get(kind, id))
            .filter(|found| found.text_of("modelId") == Some(&model));
        let index = found.and_then(|found| found.data.get("index").cloned());
        let next = || json!(records.below(kind, "modelId", &model).count());
        data.insert("index".to_owned(), index.unwrap_or_else(next));
        return found.map(Arc::clone);
    }
    if kind == Kind::ModelMethod {
        let wanted = key(kind, data);
        let found =
            records.below(kind, "modelId", &model).find(|record| key(kind, &record.data) == wanted)?;
        return records.get(kind, &found.id).map(Arc::clone);
    }
    records.get(kind, &kind.schema().id(data)?).map(Arc::clone)
}

/// Which of the properties that only we say a request says: they are answered to who sends them.
fn echoed(body: &Data) -> Vec<&'static str> {
    ["readonly", "configFile"].into_iter().filter(|key| body.contains_key(*key)).collect()
}

/// What is answered of an entity that was created or replaced.
fn answered(draft: &mut Draft<'_>, kind: Kind, spot: &Spot, echoed: &[&str]) -> Result<Value, Failure> {
    let lost = || Failure::Unreadable {
        path: spot.path.to_string(),
        why: "what was stored is not found again".to_owned(),
    };
    let record = draft.at(kind, spot).ok_or_else(lost)?;
    let mut data = shown(kind.schema(), &record.data);
    data.retain(|key, _| {
        !matches!(key.as_str(), "readonly" | "configFile") || echoed.contains(&key.as_str())
    });
    let id = record.id.to_string();
    draft.names(kind, &id);
    Ok(Value::Object(data))
}

/// The place of an entity that may be changed.
fn writable(record: &Record) -> Result<&Spot, Failure> {
    record.spot.as_ref().ok_or_else(|| Failure::ReadOnly { kind: record.kind, id: record.id.to_string() })
}

/// Refuses to change what an entity's id is made of.
fn keeps_identity(workspace: &Workspace, record: &Record, data: &Data) -> Result<(), Failure> {
    for property in ["id", "name", "facetName", "modelId"] {
        let Some(new) = data.get(property).filter(|new| !new.is_null()) else { continue };
        let same = match (property, new.as_str()) {
            ("id", Some(id)) => {
                workspace.records.get(record.kind, id).is_some_and(|other| other.id == record.id)
            }
            ("facetName", _) if record.kind.is_part() => true,
            (_, new) => new == record.text_of(property),
        };
        if !same && record.data.contains_key(property) {
            let from = record.text_of(property).unwrap_or_default().to_owned();
            let to = new.as_str().map_or_else(|| new.to_string(), str::to_owned);
            return Err(Failure::Fixed { property, from, to });
        }
    }
    Ok(())
}

/// An entity's data with what its id is made of.
fn with_identity(record: &Record, mut data: Data) -> Data {
    for property in ["id", "name", "facetName", "modelId", "index"] {
        match record.data.get(property) {
            Some(value) => drop(data.insert(property.to_owned(), value.clone())),
            None if property == "index" => {}
            None => drop(data.shift_remove(property)),
        }
    }
    data
}

fn check_changed(draft: &Draft<'_>, record: &Record, data: &Data) -> Result<(), Failure> {
    let problems = check::problems(&draft.workspace, record.kind, data, Some(&record.id));
    // What stands in the file already is not this request's fault.
    let before = check::problems(&draft.workspace, record.kind, &record.data, Some(&record.id));
    let new: Vec<Problem> = problems.into_iter().filter(|problem| !before.contains(problem)).collect();
    if new.is_empty() { Ok(()) } else { Err(Failure::Invalid { kind: record.kind, problems: new }) }
}

fn merge(draft: &mut Draft<'_>, record: &Record, body: Data) -> Result<Value, Failure> {
    let kind = record.kind;
    let spot = writable(record)?;
    let patch = clean(draft, kind, body);
    keeps_identity(&draft.workspace, record, &patch)?;
    let mut merged = record.data.clone();
    merged.extend(patch.iter().map(|(key, value)| (key.clone(), value.clone())));
    let merged = with_identity(record, merged);
    check_changed(draft, record, &merged)?;
    let spot = if key(kind, &merged) != key(kind, &record.data) {
        renamed(draft, record, spot, &merged)?
    } else {
        let sent: Vec<&str> = patch.keys().filter_map(|key| kind.schema().stored_as(key)).collect();
        if kind != Kind::Facet || patch.contains_key("modelsMetadata") {
            draft.change(kind.schema(), spot, &to_config(kind, &merged), Some(&sent))?;
        }
        spot.clone()
    };
    answered(draft, kind, &spot, &["readonly", "configFile"])
}

/// Moves a part whose key changes: a method that becomes static, or an instance's.
fn renamed(draft: &mut Draft<'_>, record: &Record, spot: &Spot, data: &Data) -> Result<Spot, Failure> {
    draft.remove([spot.clone()])?;
    store(draft, record.kind, data)
}

fn replace(draft: &mut Draft<'_>, record: &Record, body: Data) -> Result<Value, Failure> {
    let kind = record.kind;
    let echoed = echoed(&body);
    let data = clean(draft, kind, body);
    keeps_identity(&draft.workspace, record, &data)?;
    let mut data = with_identity(record, data);
    for (key, value) in kind.schema().defaults() {
        data.entry(key).or_insert(value);
    }
    check_changed(draft, record, &data)?;
    let spot = overwrite(draft, record, &data)?;
    answered(draft, kind, &spot, &echoed)
}

/// Puts data in the place of an entity.
fn overwrite(draft: &mut Draft<'_>, record: &Record, data: &Data) -> Result<Spot, Failure> {
    let spot = writable(record)?;
    if key(record.kind, data) != key(record.kind, &record.data) {
        return renamed(draft, record, spot, data);
    }
    if record.kind != Kind::Facet || data.contains_key("modelsMetadata") {
        draft.change(record.kind.schema(), spot, &to_config(record.kind, data), None)?;
    }
    Ok(spot.clone())
}

/// Stores an entity that is new, and answers where.
fn store(draft: &mut Draft<'_>, kind: Kind, data: &Data) -> Result<Spot, Failure> {
    let schema = kind.schema();
    let text = |key| data.get(key).and_then(Value::as_str).unwrap_or_default();
    let no_place =
        || Failure::Invalid { kind, problems: vec![Problem::new("name", "place", "makes no path", data)] };
    let (path, steps) = match schema.home {
        Home::Model => return store_model(draft, data),
        Home::Directory => return store_facet(draft, data),
        Home::Nowhere => return Err(Failure::bad(format!("{} is not stored", schema.name))),
        Home::Package => {
            let path = PACKAGE.parse().map_err(|_| no_place())?;
            if let Some(other) = draft.workspace.package() {
                return Err(Failure::Kept {
                    kind,
                    id: other.id.to_string(),
                    why: "a project has one package",
                });
            }
            (path, Vec::new())
        }
        Home::Member(file) | Home::Setting(file) => {
            (file.path(text("facetName")).ok_or_else(no_place)?, vec![Step::Key(key(kind, data))])
        }
        Home::Part(list) | Home::Item(list) => {
            let id = text("modelId").to_owned();
            let model =
                draft.workspace.records.get(Kind::ModelDefinition, &id).ok_or(Failure::NoParent { id })?;
            let last =
                match data.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok())
                {
                    Some(index) if matches!(schema.home, Home::Item(_)) => Step::Index(index),
                    Some(_) | None => Step::Key(key(kind, data)),
                };
            (writable(model)?.path.clone(), vec![Step::Key(list.to_owned()), last])
        }
    };
    let spot = Spot { path, steps };
    draft.set(schema, &spot, &to_config(kind, data))?;
    Ok(spot)
}

fn store_model(draft: &mut Draft<'_>, data: &Data) -> Result<Spot, Failure> {
    let kind = Kind::ModelDefinition;
    let text = |key| data.get(key).and_then(Value::as_str).unwrap_or_default();
    let invalid = |code, message: String| Failure::Invalid {
        kind,
        problems: vec![Problem::new("name", code, message, data)],
    };
    let path = layout::model_path(text("facetName"), text("name"))
        .ok_or_else(|| invalid("place", "makes no path".to_owned()))?;
    if let Some(file) = draft.workspace.files.get(&path) {
        file.edit(&path)?;
        return Err(invalid("place", format!("would be kept in `{path}`, where another model is")));
    }
    let mut config = to_config(kind, data);
    if let Value::Object(map) = &mut config {
        map.extend(layout::no_parts());
    }
    draft.put(&path, Some(layout::pretty(&config)));
    if let Some(script) = layout::script_path(&path)
        && !draft.workspace.files.contains_key(&script)
    {
        draft.put(&script, Some(layout::script(text("name"))));
    }
    Ok(Spot { path, steps: Vec::new() })
}

fn store_facet(draft: &mut Draft<'_>, data: &Data) -> Result<Spot, Failure> {
    let name = data.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut config = Map::new();
    config.extend(data.get("modelsMetadata").map(|meta| ("_meta".to_owned(), meta.clone())));
    let files = [
        (FacetFile::Config, json!({})),
        (FacetFile::DataSources, json!({})),
        (FacetFile::ModelConfig, Value::Object(config)),
    ];
    let no_place = || Failure::bad(format!("Facet \"{name}\" makes no path"));
    for (file, value) in files {
        let path = file.path(name).ok_or_else(no_place)?;
        draft.put(&path, Some(layout::pretty(&value)));
    }
    let path = FacetFile::ModelConfig.path(name).ok_or_else(no_place)?;
    Ok(Spot { path, steps: vec![Step::Key("_meta".to_owned())] })
}

fn remove(draft: &mut Draft<'_>, records: &[&Record]) -> Result<(), Failure> {
    let mut spots = Vec::new();
    for record in records {
        let kept = |why| Failure::Kept { kind: record.kind, id: record.id.to_string(), why };
        match record.kind.schema().home {
            Home::Directory => return Err(kept("its files would stay")),
            Home::Package => return Err(kept("the app would not start")),
            Home::Model => spots.extend(remove_model(draft, record)?),
            Home::Member(_) | Home::Setting(_) | Home::Part(_) | Home::Item(_) => {
                spots.push(writable(record)?.clone());
            }
            Home::Nowhere => {}
        }
        draft.names(record.kind, &record.id);
    }
    draft.remove(spots)
}

/// Removes a model's files, and answers where it is configured: LoopBack does not start with a configured model that has
/// no definition.
fn remove_model(draft: &mut Draft<'_>, record: &Record) -> Result<Vec<Spot>, Failure> {
    writable(record)?;
    let text = |key| record.text_of(key).unwrap_or_default();
    let files: Vec<_> = draft.workspace.models_of(text("facetName"), text("name")).cloned().collect();
    for path in files {
        if let Some(script) = layout::script_path(&path)
            && draft.workspace.files.contains_key(&script)
        {
            draft.put(&script, None);
        }
        draft.put(&path, None);
    }
    let name = record.data.get("name");
    let configs =
        draft.workspace.records.of(Kind::ModelConfig).filter(|config| config.data.get("name") == name);
    Ok(configs.filter_map(|config| config.spot.clone()).collect())
}
