//! What an operator decides about every object, read once.
//!
//! Decided where the contract leaves it open:
//! * The tag of our own images defaults to this build's version; the gateway image is Express Gateway's own, whose
//!   default stays the contract's `latest`: our version says nothing about it.
//! * `REDIS_PASSWORD` never stands in a pod's template. With `REDIS_ACL=on` it is the actualizer's alone, which
//!   makes a Redis user per producer with it, and pods read that user's password from the producer's credentials. With
//!   `off` it is in a Secret that each gateway owns: no credential, which is made once, but the platform's, which may
//!   be rotated. The key is [`REDIS_PASSWORD_KEY`](crate::build::REDIS_PASSWORD_KEY) in both cases.
//! * `EG_NAMESPACE` is no setting: it is `EG-<producer>-<env>-` on each gateway
//!   ([`redis_namespace`](crate::build::redis_namespace)), because the Redis users' rights are made of it.
//! * `SLS_SERVICE_ACCOUNT_NAME` has no default any more: one account for all producers is the contract's defect.

mod values;
mod variables;

use std::collections::{BTreeMap, BTreeSet};

use lb_vocab::settings::{AuthMode, Reader, Variable};
use lb_vocab::{Prefix, ProducerName, Secret};

pub(crate) use values::is_label;
pub use values::{
    Cidr, Domain, Endpoint, ImageVersion, Namespace, NamespaceTemplate, ObjectName, Quantity, RedisAcl,
    Repository, Resources, ValueError,
};
pub use variables::{RETIRED, VARIABLES};

use variables as v;

/// `ACTUALIZER_TARGET_NAMESPACE`, for roles that read it without the rest.
pub const TARGET_NAMESPACE: Variable = v::TARGET;

/// Settings of plan and build.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `CUSTOMER_DOMAIN`: published hosts are below it.
    pub domain: Domain,
    /// `CUSTOMER_NAMESPACE`: prefix of git users.
    pub prefix: Prefix,
    /// `ACTUALIZER_TARGET_NAMESPACE`.
    pub target_namespace: NamespaceTemplate,
    /// Where the control plane is.
    pub control_plane: ControlPlane,
    /// Images of every component.
    pub images: Images,
    /// `AUTH_MODE`.
    pub auth_mode: AuthMode,
    /// `AUTOGATEWAY_ENABLE`.
    pub auto_gateway: bool,
    /// `ADMIN_CROSS_ORIGIN`.
    pub admin_cross_origin: String,
    /// `GATEWAY_LOG_LEVEL`.
    pub gateway_log_level: String,
    /// The Redis that gateways share.
    pub redis: Redis,
    /// `ENABLE_ROLLING_UPDATE`: revisions go into the children's specs.
    pub rolling_update: bool,
    /// `SLS_SERVICE_ACCOUNT_NAME`, only where it is set.
    pub sls_service_account: Option<ObjectName>,
    /// What workspaces alone have.
    pub workspace: WorkspaceSettings,
    /// `LBSLS_STORAGE`.
    pub sls_storage: Quantity,
    /// Requests and limits of containers.
    pub resources: ResourceTable,
    /// How hosts are published.
    pub ingress: IngressSettings,
    /// What pods may reach.
    pub network: NetworkSettings,
}

/// Where the control plane is, as pods reach it.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// `CONTROL_PLANE_NAMESPACE`.
    pub namespace: Namespace,
    /// `CONTROL_PLANE_CIDRS`.
    pub cidrs: Vec<Cidr>,
    /// `GIT_API_HOST`.
    pub git_api: Endpoint,
    /// `GIT_REPO_HOST`.
    pub git_repo: Endpoint,
    /// `CONFIGSTORE_HOST`.
    pub configstore: Endpoint,
}

/// Images of every component, and who gets which version.
#[derive(Clone, Debug)]
pub struct Images {
    /// `GATEWAY_IMAGE` and its versions.
    pub gateway: Image,
    /// `LBWS_IMAGE` and its versions.
    pub workspace: Image,
    /// `LBSLS_IMAGE` and its versions.
    pub sls_api: Image,
    /// `GIT_INIT_IMAGE` and its version.
    pub init: Image,
    /// `LB_PULL_SECRET`.
    pub pull_secret: Option<ObjectName>,
    /// `LB_DEBUG_USERS`.
    pub debug_users: BTreeSet<ProducerName>,
}

impl Images {
    /// The image of a component for one producer: `repository:tag`, the debug version for `LB_DEBUG_USERS`.
    #[must_use]
    pub fn of(&self, image: &Image, producer: &ProducerName) -> String {
        let version = if self.debug_users.contains(producer) { &image.debug_version } else { &image.version };
        let separator = if version.as_str().contains(':') { '@' } else { ':' };
        format!("{}{separator}{version}", image.repository)
    }
}

/// An image with the versions that producers get.
#[derive(Clone, Debug)]
pub struct Image {
    /// The image without its version.
    pub repository: Repository,
    /// What everybody gets.
    pub version: ImageVersion,
    /// What `LB_DEBUG_USERS` get.
    pub debug_version: ImageVersion,
}

/// The Redis that gateways share.
#[derive(Clone, Debug)]
pub struct Redis {
    /// `REDIS_HOST`.
    pub host: Endpoint,
    /// `REDIS_PORT`.
    pub port: u16,
    /// `REDIS_PASSWORD`.
    pub password: Option<Secret>,
    /// `REDIS_ACL`.
    pub acl: RedisAcl,
}

/// What workspaces alone have.
#[derive(Clone, Debug)]
pub struct WorkspaceSettings {
    /// `TRITON_OBJECT_STORE_ENABLED`.
    pub triton: bool,
    /// `LB_PUSH_INTERVAL`, milliseconds.
    pub push_interval: Option<u32>,
    /// `WORKSPACE_URL_PREFIX`.
    pub url_prefix: Option<String>,
    /// `AUTH_ISSUER`.
    pub issuer: Option<String>,
    /// `CORS_ORIGINS`.
    pub origins: Option<String>,
    /// `LBWS_STORAGE`.
    pub storage: Quantity,
}

/// Requests and limits of containers.
#[derive(Clone, Debug)]
pub struct ResourceTable {
    /// `GATEWAY_RESOURCES`.
    pub gateway: Resources,
    /// `LBWS_RESOURCES`.
    pub app: Resources,
    /// `LBWS_API_RESOURCES`.
    pub workspace_api: Resources,
    /// `LBSLS_RESOURCES`.
    pub sls_api: Resources,
    /// `GIT_INIT_RESOURCES`.
    pub init: Resources,
}

/// How hosts are published.
#[derive(Clone, Debug)]
pub struct IngressSettings {
    /// `INGRESS_CLASS`.
    pub class: Option<ObjectName>,
    /// `INGRESS_TLS_SECRET`.
    pub tls_secret: Option<ObjectName>,
    /// `INGRESS_NAMESPACES`.
    pub namespaces: Vec<Namespace>,
}

/// What pods may reach, and who may reach them.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// `EGRESS_CIDRS`.
    pub egress: Vec<Cidr>,
    /// `EGRESS_EXCEPT_CIDRS`.
    pub except: Vec<Cidr>,
    /// `MONITORING_NAMESPACES`.
    pub monitoring_namespaces: Vec<Namespace>,
}

impl Default for Settings {
    /// The defaults of the table: what an empty environment gives.
    fn default() -> Self {
        Self::read(&mut Reader::new(&BTreeMap::new()))
    }
}

impl Settings {
    /// Reads every variable of [`VARIABLES`]; what is wrong is noted in the reader.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        reader.retired(RETIRED);
        let gateway_log_level = reader.required(&v::GATEWAY_LOG_LEVEL);
        if !["debug", "verbose", "info", "warn", "error"].contains(&gateway_log_level.as_str()) {
            reader.fail(&v::GATEWAY_LOG_LEVEL, "it is one of debug, verbose, info, warn and error");
        }
        Self {
            domain: reader.parsed(&v::DOMAIN),
            prefix: reader.parsed(&v::PREFIX),
            target_namespace: reader.parsed(&v::TARGET),
            control_plane: ControlPlane::read(reader),
            images: Images::read(reader),
            auth_mode: reader.parsed(&v::AUTH_MODE),
            auto_gateway: reader.switch(&v::AUTOGATEWAY),
            admin_cross_origin: reader.required(&v::ADMIN_ORIGIN),
            gateway_log_level,
            redis: Redis::read(reader),
            rolling_update: reader.switch(&v::ROLLING),
            sls_service_account: reader.optional(&v::SLS_ACCOUNT),
            workspace: WorkspaceSettings::read(reader),
            sls_storage: reader.parsed(&v::SLS_STORAGE),
            resources: ResourceTable::read(reader),
            ingress: IngressSettings::read(reader),
            network: NetworkSettings::read(reader),
        }
    }

    /// The namespace of a producer's objects: the one place that `ACTUALIZER_TARGET_NAMESPACE` is filled in.
    #[must_use]
    pub fn namespace(&self, producer: &ProducerName) -> String {
        self.target_namespace.namespace(producer)
    }
}

impl ControlPlane {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            namespace: reader.parsed(&v::CONTROL_PLANE_NAMESPACE),
            cidrs: reader.many(&v::CONTROL_PLANE_CIDRS),
            git_api: reader.parsed(&v::GIT_API),
            git_repo: reader.parsed(&v::GIT_REPO),
            configstore: reader.parsed(&v::CONFIGSTORE),
        }
    }
}

impl Images {
    fn read(reader: &mut Reader<'_>) -> Self {
        let mut image = |repository, version, debug: Option<&Variable>| {
            let (repository, version) = (reader.parsed(repository), reader.parsed::<ImageVersion>(version));
            let debug_version =
                debug.and_then(|debug| reader.optional(debug)).unwrap_or_else(|| version.clone());
            Image { repository, version, debug_version }
        };
        Self {
            gateway: image(&v::GATEWAY_IMAGE, &v::GATEWAY_VERSION, Some(&v::GATEWAY_DEBUG)),
            workspace: image(&v::LBWS_IMAGE, &v::LBWS_VERSION, Some(&v::LBWS_DEBUG)),
            sls_api: image(&v::LBSLS_IMAGE, &v::LBSLS_VERSION, Some(&v::LBSLS_DEBUG)),
            init: image(&v::INIT_IMAGE, &v::INIT_VERSION, None),
            pull_secret: reader.optional(&v::PULL_SECRET),
            debug_users: reader.many(&v::DEBUG_USERS).into_iter().collect(),
        }
    }
}

impl Redis {
    /// The password that all gateways share, with `REDIS_ACL=off`; an empty one is none.
    #[must_use]
    pub fn shared_password(&self) -> Option<Secret> {
        match self.acl {
            RedisAcl::On => None,
            RedisAcl::Off => Some(self.password.clone().unwrap_or_else(|| Secret::new(String::new()))),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let host: Endpoint = reader.parsed(&v::REDIS_HOST);
        if host.port.is_some() {
            reader.fail(&v::REDIS_HOST, "its port has its own variable, REDIS_PORT");
        }
        let port = reader.parsed(&v::REDIS_PORT);
        if port == 0 {
            reader.fail(&v::REDIS_PORT, "it is 1 to 65535");
        }
        let password = reader.secret(&v::REDIS_PASSWORD);
        let breaks = |text: &String| text.contains(|c: char| c.is_control() || matches!(c, '"' | '\\'));
        if password.as_ref().is_some_and(|password| breaks(password.reveal())) {
            let why = "Express Gateway puts it into its files as it is: no `\"`, `\\` or control character can be in it";
            reader.fail(&v::REDIS_PASSWORD, why);
        }
        Self { host, port, password, acl: reader.parsed(&v::REDIS_ACL) }
    }
}

impl WorkspaceSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            triton: reader.switch(&v::TRITON),
            push_interval: reader.optional(&v::PUSH_INTERVAL),
            url_prefix: reader.text(&v::URL_PREFIX),
            issuer: reader.text(&v::AUTH_ISSUER),
            origins: reader.text(&v::CORS_ORIGINS),
            storage: reader.parsed(&v::WORKSPACE_STORAGE),
        }
    }
}

impl ResourceTable {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            gateway: reader.parsed(&v::GATEWAY_RESOURCES),
            app: reader.parsed(&v::APP_RESOURCES),
            workspace_api: reader.parsed(&v::API_RESOURCES),
            sls_api: reader.parsed(&v::SLS_RESOURCES),
            init: reader.parsed(&v::INIT_RESOURCES),
        }
    }
}

impl IngressSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            class: reader.optional(&v::INGRESS_CLASS),
            tls_secret: reader.optional(&v::INGRESS_TLS),
            namespaces: reader.many(&v::INGRESS_NAMESPACES),
        }
    }
}

impl NetworkSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            egress: reader.many(&v::EGRESS),
            except: reader.many(&v::EGRESS_EXCEPT),
            monitoring_namespaces: reader.many(&v::MONITORING_NAMESPACES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<(Settings, Vec<String>), Vec<String>> {
        let variables = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut reader = Reader::new(&variables);
        let settings = Settings::read(&mut reader);
        reader.finish(settings).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_empty_environment_gives_the_contracts_defaults() {
        let (settings, warnings) = read(&[]).unwrap();
        assert!(warnings.is_empty());
        assert_eq!(settings.domain.as_str(), "lunchbadger.io");
        assert_eq!(settings.namespace(&"al".parse().unwrap()), "customer");
        assert_eq!(
            (settings.redis.host.host.as_str(), settings.redis.port),
            ("eg-identity-redis.default", 6379)
        );
        assert_eq!((settings.auth_mode, settings.redis.acl), (AuthMode::Tokens, RedisAcl::On));
        assert!(!settings.auto_gateway && !settings.rolling_update && !settings.workspace.triton);
        assert_eq!(settings.sls_service_account, None);
        let al = "al".parse().unwrap();
        assert_eq!(
            settings.images.of(&settings.images.gateway, &al),
            "expressgateway/express-gateway:latest"
        );
        assert_eq!(
            settings.images.of(&settings.images.workspace, &al),
            format!("lunchbadger/workspace:{}", env!("CARGO_PKG_VERSION"))
        );
    }

    #[test]
    fn every_default_of_the_table_is_read_without_an_error() {
        for variable in VARIABLES {
            if let Some(default) = variable.default {
                assert!(read(&[(variable.name, default)]).is_ok(), "{}", variable.name);
            }
        }
    }

    #[test]
    fn every_wrong_value_is_named() {
        let wrong = [
            ("CUSTOMER_DOMAIN", "http://x"),
            ("CUSTOMER_NAMESPACE", "-x"),
            ("ACTUALIZER_TARGET_NAMESPACE", "$ENV"),
            ("CONTROL_PLANE_NAMESPACE", "a.b"),
            ("CONTROL_PLANE_CIDRS", "10.0.0.1/8"),
            ("GIT_API_HOST", "http://git-api"),
            ("LB_DEBUG_USERS", "al,Bob"),
            ("GATEWAY_IMAGE", "a:1"),
            ("REDIS_HOST", "redis:6379"),
            ("REDIS_PORT", "0"),
            ("REDIS_ACL", "yes"),
            ("AUTH_MODE", "off"),
            ("GATEWAY_LOG_LEVEL", "loud"),
            ("LB_PUSH_INTERVAL", "1s"),
            ("LBWS_STORAGE", "much"),
            ("GATEWAY_RESOURCES", "1"),
            ("LB_PULL_SECRET", "A_b"),
        ];
        for pair in wrong {
            let errors = read(&[pair]).unwrap_err();
            assert!(errors.len() == 1 && errors[0].starts_with(&format!("{}: ", pair.0)), "{errors:?}");
        }
        assert_eq!(read(&wrong).unwrap_err().len(), wrong.len());
    }

    #[test]
    fn debug_users_get_the_debug_version_and_retired_variables_a_warning() {
        let (settings, warnings) = read(&[
            ("LB_DEBUG_USERS", "al, cy"),
            ("DEBUG_GATEWAY_VERSION", "1.16.11-debug"),
            ("GATEWAY_VERSION", "1.16.11"),
            ("OPEN_API_URL_TEMPLATE", "http://x"),
        ])
        .unwrap();
        let image = |name: &str| settings.images.of(&settings.images.gateway, &name.parse().unwrap());
        assert!(image("al").ends_with(":1.16.11-debug") && image("bob").ends_with(":1.16.11"));
        assert!(warnings.len() == 1 && warnings[0].starts_with("OPEN_API_URL_TEMPLATE "));
    }

    #[test]
    fn a_password_that_would_break_a_file_stops_the_start_and_is_not_shown() {
        for bad in ["hun\"ter2", "hun\\ter2", "hun\u{7f}ter2"] {
            let errors = read(&[("REDIS_PASSWORD", bad)]).unwrap_err();
            assert!(errors.len() == 1 && errors[0].starts_with("REDIS_PASSWORD"), "{errors:?}");
            assert!(!errors[0].contains("hun"));
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let (settings, _) = read(&[("REDIS_PASSWORD", "hunter2")]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
