//! What a proxy policy may name: service endpoints, models and functions of the producer, by id.

use indexmap::IndexMap;
use indexmap::map::Entry;
use lb_project::{Broken, Entity, Function, Model, Project, ServiceEndpoint};
use lb_vocab::{Finding, Place};

use super::file::{self, Urls};
use super::service_url;
use crate::build::names::workspace_name;
use crate::plan::Input;

/// The id of the gateway's own service endpoint, API endpoint and pipeline.
pub(super) const ADMIN: &str = "admin";

/// Everything that can be proxied to.
pub(super) struct Upstreams<'a> {
    known: IndexMap<&'a str, Upstream<'a>>,
    broken: Vec<&'a Broken>,
}

struct Upstream<'a> {
    place: &'a Place,
    /// What stands under `serviceEndpoints`.
    value: file::ServiceEndpoint<'a>,
    /// Listed in every gateway, named or not.
    always: bool,
}

/// What a proxy policy's name leads to.
pub(super) enum Found<'a> {
    /// This is written under `serviceEndpoints`, by this id.
    Known(&'a str, &'a file::ServiceEndpoint<'a>),
    /// It may be something that cannot be read.
    Unreadable(&'a Place),
    /// Nothing of this id is of use.
    Missing,
}

impl<'a> Upstreams<'a> {
    /// Collects them; of one id in several places the first of service endpoint, model and function wins.
    pub(super) fn new(
        input: &Input<'a>,
        project: &'a Project,
        functions: &[&'a Function],
        findings: &mut Vec<Finding>,
    ) -> Self {
        let mut all = Self { known: IndexMap::new(), broken: Vec::new() };
        for entity in &project.service_endpoints {
            if let Some(endpoint) = all.read(entity) {
                let value = service_endpoint(endpoint);
                all.add(&endpoint.id, Upstream { place: &endpoint.place, value, always: false }, findings);
            }
        }
        let workspace = service_url(input, &workspace_name(input.producer), 3000);
        let models = input.decoded.models.known().map(Vec::as_slice).unwrap_or_default();
        for entity in models {
            if let Some((model, id)) = all.read(entity).and_then(|m| Some((m, m.lunchbadger_id.as_deref()?)))
            {
                let value = model_endpoint(&workspace, model);
                all.add(id, Upstream { place: &model.place, value, always: true }, findings);
            }
        }
        for function in functions {
            if let Some(id) = function.lunchbadger_id.as_deref() {
                let url = service_url(input, &format!("fn-{}-{}", input.producer, function.service), 8080);
                let value = file::ServiceEndpoint::of_url(None, url);
                all.add(id, Upstream { place: &function.place, value, always: true }, findings);
            }
        }
        let functions = input.decoded.functions.known().map(Vec::as_slice).unwrap_or_default();
        all.broken.extend(functions.iter().filter_map(|entity| match entity {
            Entity::Broken(broken) => Some(broken),
            Entity::Read(_) => None,
        }));
        all
    }

    fn read<T>(&mut self, entity: &'a Entity<T>) -> Option<&'a T> {
        match entity {
            Entity::Read(entity) => Some(entity),
            Entity::Broken(broken) => {
                self.broken.push(broken);
                None
            }
        }
    }

    fn add(&mut self, id: &'a str, upstream: Upstream<'a>, findings: &mut Vec<Finding>) {
        if let Some(why) = refused_id(id) {
            findings.push(Finding::error(
                "IdRefused",
                upstream.place.clone(),
                format!("{why}: it is left out"),
            ));
            return;
        }
        match self.known.entry(id) {
            Entry::Vacant(free) => {
                free.insert(upstream);
            }
            Entry::Occupied(first) => {
                let text = format!(
                    "its id is also that of the {} \"{}\" ({}), which wins",
                    first.get().place.kind.words(),
                    first.get().place.name,
                    first.get().place
                );
                findings.push(Finding::warning("IdTwice", upstream.place.clone(), text));
            }
        }
    }

    /// What this id leads to. An unreadable entity counts where it has the id and would win (kinds are ordered as they
    /// win), or where nobody knows its id and nothing else has this one.
    pub(super) fn find(&self, id: &str) -> Found<'_> {
        let known = self.known.get_key_value(id);
        let unreadable = self.broken.iter().find(|broken| match (&broken.id, known) {
            (Some(own), known) => {
                own == id && known.is_none_or(|(_, known)| broken.place.kind < known.place.kind)
            }
            (None, known) => known.is_none(),
        });
        match (known, unreadable) {
            (_, Some(broken)) => Found::Unreadable(&broken.place),
            (Some((id, known)), None) => Found::Known(id, &known.value),
            (None, None) => Found::Missing,
        }
    }

    /// Models and functions: every gateway lists them.
    pub(super) fn always(&self) -> impl Iterator<Item = (&'a str, &file::ServiceEndpoint<'a>)> {
        self.known.iter().filter(|(_, up)| up.always).map(|(id, up)| (*id, &up.value))
    }
}

/// Why an id cannot be a key of the configuration, where it cannot.
pub(super) fn refused_id(id: &str) -> Option<&'static str> {
    match id {
        ADMIN => Some("the id `admin` is the gateway's own"),
        "__proto__" => Some("the id `__proto__` is no key in JavaScript"),
        _ => None,
    }
}

fn service_endpoint(endpoint: &ServiceEndpoint) -> file::ServiceEndpoint<'_> {
    let urls = match &endpoint.urls[..] {
        [url] => Urls::Url(url.into()),
        urls => Urls::Urls(urls),
    };
    file::ServiceEndpoint { friendly_name: Some(&endpoint.name), urls }
}

fn model_endpoint<'a>(workspace: &str, model: &'a Model) -> file::ServiceEndpoint<'a> {
    let url = format!("{workspace}/api/{}", path_escaped(model.api_path()));
    file::ServiceEndpoint::of_url(Some(&model.name), url)
}

/// Percent-encodes what cannot stand in a URL's path.
fn path_escaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(&hex::encode_upper([byte]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{ADMIN, refused_id};

    #[test]
    fn ids_that_cannot_be_keys_are_refused() {
        assert!([ADMIN, "__proto__"].iter().all(|id| refused_id(id).is_some()));
        assert!(["prototype", "s-cars", ""].iter().all(|id| refused_id(id).is_none()));
    }
}
