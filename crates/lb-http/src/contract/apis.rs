//! The APIs in a producer's pods that users reach: where they are, and what each request needs.

use http::Method;
use lb_vocab::{Producer, RepoName};
use percent_encoding::percent_decode_str;

use super::git_api::Permission;

/// An API in a producer's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `internal-<producer>-<env>.<domain>/project-api`
    Project,
    /// `internal-<producer>-<env>.<domain>/workspace-api`
    Workspace,
    /// `internal-<producer>-<env>.<domain>/explorer`: the explorer of the user's app.
    Explorer,
    /// `sls-<producer>-<env>.<domain>`
    Sls,
}

/// Requests that disturb everybody who works on the project: they need admin.
const RESTARTS: [&str; 4] = ["restart", "hard-reset", "reinstall", "self-destruct"];

impl Api {
    /// The API that answers at a host and path, and whose it is.
    #[must_use]
    pub fn at(host: &str, path: &str, domain: &str) -> Option<(Self, Producer)> {
        let name = host.strip_suffix(domain)?.strip_suffix('.')?;
        if let Some(producer) = name.strip_prefix("internal-") {
            let api = match path.split('/').nth(1)? {
                "project-api" => Self::Project,
                "workspace-api" => Self::Workspace,
                "explorer" => Self::Explorer,
                _ => return None,
            };
            return Some((api, producer.parse().ok()?));
        }
        Some((Self::Sls, name.strip_prefix("sls-")?.parse().ok()?))
    }

    /// The repository whose permissions decide.
    #[must_use]
    pub fn repository(self) -> RepoName {
        match self {
            Self::Project | Self::Workspace | Self::Explorer => RepoName::dev(),
            Self::Sls => RepoName::functions(),
        }
    }
}

/// The path as whoever serves it reads it, with its escapes undone. `None` where servers and proxies differ in that: an empty
/// part, `.`, `..`, `\`, and escapes of those, of `/` or of escapes.
#[must_use]
pub fn plain(path: &str) -> Option<String> {
    let path = percent_decode_str(path).decode_utf8().ok().filter(|decoded| {
        // As many `/` as before: none was an escape.
        decoded.matches('/').count() == path.matches('/').count()
    })?;
    let inner = path.strip_prefix('/')?;
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let clear = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.contains(|c: char| c.is_control() || matches!(c, '\\' | '%'))
    };
    (inner.is_empty() || inner.split('/').all(clear)).then(|| path.into_owned())
}

/// What a request needs: read for reading, write for changing, admin for restarts. A project is disabled by a change of
/// its content, which only the API itself sees: it asks for admin there. The path is a [`plain`] one.
#[must_use]
pub fn needs(api: Api, method: &Method, path: &str) -> Permission {
    if *method == Method::GET || *method == Method::HEAD {
        return Permission::Read;
    }
    let mut end = path.trim_end_matches('/').rsplit('/').map(str::to_ascii_lowercase);
    let last = end.next().unwrap_or_default();
    let status = end.next().is_some_and(|part| part == "workspacestatus");
    if api == Api::Project && status && RESTARTS.contains(&&*last) {
        Permission::Admin
    } else {
        Permission::Write
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apis_are_found_by_host_and_path() {
        let at = |host: &str, path: &str| {
            Api::at(host, path, "x.io").map(|(api, producer)| (api, producer.to_string()))
        };
        assert_eq!(at("internal-al-dev.x.io", "/project-api/api/x"), Some((Api::Project, "al-dev".into())));
        assert_eq!(
            at("internal-big-corp-dev.x.io", "/workspace-api"),
            Some((Api::Workspace, "big-corp-dev".into()))
        );
        assert_eq!(at("internal-al-dev.x.io", "/explorer/"), Some((Api::Explorer, "al-dev".into())));
        assert_eq!(at("sls-al-dev.x.io", "/service"), Some((Api::Sls, "al-dev".into())));
        for (host, path) in [
            ("internal-al-dev.x.io", "/"),
            ("internal-al-dev.x.io", "//project-api"),
            ("internal-al-dev.x.io", "/project-apis"),
            ("internal-al-dev.x.io.evil.com", "/project-api"),
            ("internal-al-dev.evilx.io", "/project-api"),
            ("internal-al.x.io", "/project-api"),
            ("main-al-dev.x.io", "/project-api"),
            ("al-dev.x.io", "/api"),
            ("", ""),
        ] {
            assert_eq!(at(host, path), None, "{host}{path}");
        }
    }

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_none() {
        for (path, expected) in [
            ("/", "/"),
            ("/project-api/api/x/", "/project-api/api/x/"),
            ("/project-api/api/WorkspaceStatus/re%73tart", "/project-api/api/WorkspaceStatus/restart"),
            ("/workspace-api/api/Facets/server.Car%20x", "/workspace-api/api/Facets/server.Car x"),
        ] {
            assert_eq!(plain(path).as_deref(), Some(expected), "{path}");
        }
        for path in [
            "",
            "project-api",
            "//project-api",
            "/project-api/api/WorkspaceStatus//restart",
            "/project-api/api/WorkspaceStatus/restart//",
            "/explorer/../project-api/x",
            "/explorer/%2e%2E/project-api/x",
            "/explorer/..%2fproject-api/x",
            "/project-api/api/WorkspaceStatus%2Frestart",
            "/project-api/api/WorkspaceStatus%252Frestart",
            "/project-api/./x",
            "/explorer\\..\\project-api",
            "/explorer/..%5cproject-api",
            "/project-api/%00",
            "/project-api/%ff",
        ] {
            assert_eq!(plain(path), None, "{path}");
        }
    }

    #[test]
    fn requests_need_what_they_do() {
        use Permission::{Admin, Read, Write};
        for (api, method, path, expected) in [
            (Api::Project, Method::GET, "/project-api/api/Projects/al-dev", Read),
            (Api::Project, Method::HEAD, "/project-api/api/WorkspaceStatus/restart", Read),
            (Api::Project, Method::PATCH, "/project-api/api/Projects", Write),
            (Api::Project, Method::POST, "/project-api/api/Projects/al-dev/clear", Write),
            (Api::Project, Method::POST, "/project-api/api/WorkspaceStatus/restart", Admin),
            (Api::Project, Method::POST, "/project-api/api/workspacestatus/HARD-RESET/", Admin),
            (Api::Project, Method::POST, "/api/WorkspaceStatus/self-destruct", Admin),
            (Api::Workspace, Method::DELETE, "/workspace-api/api/ModelDefinitions/server.Car", Write),
            (Api::Sls, Method::POST, "/deploy", Write),
            (Api::Sls, Method::GET, "/service", Read),
        ] {
            assert_eq!(needs(api, &method, path), expected, "{method} {path}");
        }
    }
}
