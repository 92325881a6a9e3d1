//! Answers that change nothing.

use super::Workspace;
use super::condition::Condition;
use super::entity::{Kind, Link};
use super::failure::Failure;
use super::filter::{Fields, Filter, Include, object};
use super::record::{Record, shown};
use super::records::Records;
use super::request::{Answer, Request, arguments};
use super::route::{Parent, Read, Source};

/// The largest answer, bytes: relations of relations multiply.
const MAX_ANSWER: usize = 64 << 20;

/// Answers a read.
pub(crate) fn answer(workspace: &Workspace, read: &Read, request: &Request<'_>) -> Result<Answer, Failure> {
    let arguments = arguments(request.query)?;
    let filter = |kind| Filter::of_query(arguments.get("filter"), kind);
    let records = &workspace.records;
    let mut body = Vec::new();
    match read {
        Read::List(source) => {
            let (candidates, kind, single) = source.records(records)?;
            let filter = filter(kind)?;
            let mut out = Renderer { records, out: &mut body };
            if single {
                match candidates.first() {
                    Some(record) => out.one(record, &filter)?,
                    None => body.extend_from_slice(b"null"),
                }
            } else {
                out.list(&filter.select(candidates.into_iter()), &filter)?;
            }
        }
        Read::Count(source) => {
            let (candidates, kind, _) = source.records(records)?;
            let condition = object(arguments.get("where"))?;
            let condition = condition.map(|value| Condition::read(&value, kind.schema())).transpose()?;
            let counts = |record: &&Record| condition.as_ref().is_none_or(|test| test.holds(&record.data));
            let count = candidates.into_iter().filter(counts).count();
            body.extend_from_slice(format!("{{\"count\":{count}}}").as_bytes());
        }
        Read::First(kind) => {
            let filter = filter(*kind)?;
            let unknown = || Failure::Unknown { kind: *kind, id: "undefined".to_owned() };
            let record = filter.first(records.of(*kind)).ok_or_else(unknown)?;
            Renderer { records, out: &mut body }.one(record, &filter)?;
        }
        Read::Get(kind, id) => {
            let filter = filter(*kind)?;
            let unknown = || Failure::Unknown { kind: *kind, id: id.clone() };
            let record = records.get(*kind, id).ok_or_else(unknown)?;
            Renderer { records, out: &mut body }.one(record, &filter)?;
        }
        Read::Exists(kind, id) => {
            let exists = records.get(*kind, id).is_some();
            body.extend_from_slice(format!("{{\"exists\":{exists}}}").as_bytes());
        }
        Read::Head(kind, id) => {
            let unknown = || Failure::Unknown { kind: *kind, id: id.clone() };
            records.get(*kind, id).map(drop).ok_or_else(unknown)?;
        }
        Read::Member(parent, id) => {
            let record = parent.member(records, id)?;
            Renderer { records, out: &mut body }.one(record, &Filter::default())?;
        }
    }
    Ok(Answer::read(200, body))
}

impl Source {
    /// The entities, their kind, and whether it is one at most.
    fn records<'r>(&self, records: &'r Records) -> Result<(Vec<&'r Record>, Kind, bool), Failure> {
        match self {
            Self::All(kind) => Ok((records.of(*kind).collect(), *kind, false)),
            Self::Related(parent) => {
                let related = records.related(parent.record(records)?, parent.relation);
                Ok((related, parent.relation.target, matches!(parent.relation.link, Link::One(_))))
            }
        }
    }
}

impl Parent {
    /// The entity whose relation it is.
    pub(crate) fn record<'r>(&self, records: &'r Records) -> Result<&'r Record, Failure> {
        let found = records.get(self.kind, &self.id);
        found.map(|record| &**record).ok_or_else(|| Failure::NoParent { id: self.id.clone() })
    }

    /// One of the related entities.
    pub(crate) fn member<'r>(&self, records: &'r Records, id: &str) -> Result<&'r Record, Failure> {
        let parent = self.record(records)?;
        let kind = self.relation.target;
        let of_parent = |record: &&Record| match self.relation.link {
            Link::Many(key) => record.text_of(key) == Some(&parent.id),
            Link::One(_) => false,
        };
        let found = records.get(kind, id).map(|record| &**record).filter(of_parent);
        found.ok_or_else(|| Failure::NoInstance { kind, id: id.to_owned() })
    }
}

/// Writes entities.
struct Renderer<'r, 'o> {
    records: &'r Records,
    out: &'o mut Vec<u8>,
}

impl Renderer<'_, '_> {
    fn list(&mut self, list: &[&Record], filter: &Filter) -> Result<(), Failure> {
        self.out.push(b'[');
        for (at, record) in list.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.one(record, filter)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn one(&mut self, record: &Record, filter: &Filter) -> Result<(), Failure> {
        let start = self.out.len();
        self.own(record, filter.fields.as_ref(), &filter.include);
        for include in &filter.include {
            let mut related = self.records.related(record, include.relation);
            if matches!(include.relation.link, Link::One(_)) && related.is_empty() {
                continue;
            }
            // The entity's closing brace comes after its relations.
            self.out.pop();
            let empty = self.out.len() == start + 1;
            self.out.extend_from_slice(if empty { b"\"" } else { b",\"" });
            self.out.extend_from_slice(include.relation.name.as_bytes());
            self.out.extend_from_slice(b"\":");
            match (include.relation.link, related.pop()) {
                (Link::One(_), Some(one)) => self.one(one, &include.filter)?,
                (_, last) => {
                    related.extend(last);
                    self.list(&include.filter.select(related.into_iter()), &include.filter)?;
                }
            }
            self.out.push(b'}');
        }
        if self.out.len() > MAX_ANSWER { Err(Failure::TooLarge(MAX_ANSWER)) } else { Ok(()) }
    }

    /// The entity without its relations.
    fn own(&mut self, record: &Record, fields: Option<&Fields>, includes: &[Include]) {
        let schema = record.kind.schema();
        // A property of a relation's name is not what is asked for.
        let hidden = |key: &str| includes.iter().any(|include| include.relation.name == key);
        if fields.is_none() && !includes.iter().any(|include| record.data.contains_key(include.relation.name))
        {
            self.out.extend_from_slice(record.text.as_bytes());
            return;
        }
        let mut data = shown(schema, &record.data);
        data.retain(|key, _| !hidden(key) && fields.is_none_or(|fields| fields.has(key, schema)));
        self.out.extend_from_slice(serde_json::Value::Object(data).to_string().as_bytes());
    }
}
