//! Service endpoints and API endpoints, those of apis and portals among them.

use lb_vocab::{EntityKind, Limits};
use url::Url;

use super::{id_or_name, keep_first};
use crate::cursor::{Cursor, Read};
use crate::entities::{ApiEndpoint, Entity, ServiceEndpoint};

/// The endpoints of a project.
pub(crate) struct Endpoints {
    pub(crate) service: Vec<Entity<ServiceEndpoint>>,
    pub(crate) api: Vec<Entity<ApiEndpoint>>,
}

/// Reads the endpoints of a project; of too many the first in file order stay.
pub(crate) fn read(root: &Cursor<'_>, limits: &Limits) -> Read<Endpoints> {
    let service = root.or_default("serviceEndpoints", Cursor::items)?;
    let mut api = root.or_default("apiEndpoints", Cursor::items)?;
    // An api that cannot be read may hide any endpoint, so it counts as one that is broken.
    let mut unreadable = Vec::new();
    for list in ["apis", "portals"] {
        for api_or_portal in root.or_default(list, Cursor::items)? {
            let cursor = api_or_portal.entity(EntityKind::Api);
            if nested(&cursor, &mut api).is_err() {
                unreadable.push(cursor.broken(None));
            }
        }
    }
    let end = end_of_limit(&service, &api, limits.endpoints);
    let within = |cursor: &&Cursor<'_>| cursor.node.span.start < end;
    let mut endpoints = Endpoints {
        service: service
            .iter()
            .filter(within)
            .map(|c| c.clone().entity(EntityKind::ServiceEndpoint).read(service_endpoint))
            .collect(),
        api: api
            .iter()
            .filter(within)
            .map(|c| c.clone().entity(EntityKind::ApiEndpoint).read(api_endpoint))
            .collect(),
    };
    endpoints.api.extend(unreadable);
    keep_first(&mut endpoints.service, root.findings(), |e| e.read().map(|e| (e.id.clone(), &e.place)));
    keep_first(&mut endpoints.api, root.findings(), |e| e.read().map(|e| (e.id.clone(), &e.place)));
    Ok(endpoints)
}

/// API endpoints of an api or a portal, and of the apis in it.
fn nested<'a>(cursor: &Cursor<'a>, endpoints: &mut Vec<Cursor<'a>>) -> Read<()> {
    cursor.object()?;
    endpoints.extend(cursor.or_default("apiEndpoints", Cursor::items)?);
    for api in cursor.or_default("apis", Cursor::items)? {
        nested(&api.entity(EntityKind::Api), endpoints)?;
    }
    Ok(())
}

/// Where in the file the limit is reached; a finding on the first endpoint behind it.
fn end_of_limit(service: &[Cursor<'_>], api: &[Cursor<'_>], limit: usize) -> usize {
    let kinds = [(service, EntityKind::ServiceEndpoint), (api, EntityKind::ApiEndpoint)];
    let mut all: Vec<_> =
        kinds.into_iter().flat_map(|(list, kind)| list.iter().map(move |c| (c, kind))).collect();
    all.sort_by_key(|(cursor, _)| cursor.node.span.start);
    let Some((beyond, kind)) = all.get(limit) else { return usize::MAX };
    let message = format!(
        "there are {} endpoints, at most {limit} are deployed: this one and those behind it are not",
        all.len()
    );
    (*beyond).clone().entity(*kind).refuse("OverLimit", message);
    beyond.node.span.start
}

fn id(cursor: &Cursor<'_>) -> Read<String> {
    id_or_name(cursor)?
        .ok_or_else(|| cursor.refuse("IdMissing", "it has neither `id` nor `name`: give it both"))
}

fn service_endpoint(cursor: &Cursor<'_>) -> Read<ServiceEndpoint> {
    cursor.object()?;
    let id = id(cursor)?;
    let urls = cursor.or_default("urls", Cursor::texts)?;
    if urls.is_empty() {
        return Err(cursor.refuse("UrlMissing", "it has no `urls`: give it one"));
    }
    // Express Gateway does not start on an address that is none.
    // It is not quoted: it may hold a password.
    if !urls.iter().all(|url| is_address(url)) {
        return Err(cursor
            .refuse("UrlRefused", "one of its `urls` is no address: write it as `http://host:port/path`"));
    }
    Ok(ServiceEndpoint { name: name_or_id(cursor, &id)?, id, urls, place: cursor.place() })
}

fn is_address(text: &str) -> bool {
    !text.contains(char::is_whitespace)
        && Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "ws" | "wss") && url.has_host())
}

fn api_endpoint(cursor: &Cursor<'_>) -> Read<ApiEndpoint> {
    cursor.object()?;
    let id = id(cursor)?;
    Ok(ApiEndpoint {
        name: name_or_id(cursor, &id)?,
        host: cursor
            .optional("host", Cursor::text)?
            .filter(|host| !host.is_empty())
            .unwrap_or_else(|| "*".to_owned()),
        paths: cursor.optional("paths", Cursor::texts)?,
        methods: cursor.optional("methods", Cursor::texts)?,
        scopes: cursor.optional("scopes", Cursor::texts)?,
        id,
        place: cursor.place(),
    })
}

fn name_or_id(cursor: &Cursor<'_>, id: &str) -> Read<String> {
    Ok(cursor
        .optional("name", Cursor::text)?
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| id.to_owned()))
}
