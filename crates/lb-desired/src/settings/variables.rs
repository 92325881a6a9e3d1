//! The table of variables of plan and build: `environment.md`, and what the new design adds with the same care.

use lb_vocab::settings::{Retired, Variable};

const fn variable(name: &'static str, default: Option<&'static str>, meaning: &'static str) -> Variable {
    Variable { name, default, meaning }
}

macro_rules! table {
    ($($constant:ident = $name:literal, $default:expr, $meaning:literal;)*) => {
        $(pub(super) const $constant: Variable = variable($name, $default, $meaning);)*

        /// Every variable of plan and build, in the order of `docs/settings.md`.
        pub const VARIABLES: &[Variable] = &[$($constant),*];
    };
}

/// This build's version: the default tag of our own images.
pub(super) const BUILD: &str = env!("CARGO_PKG_VERSION");

table! {
    DOMAIN = "CUSTOMER_DOMAIN", Some("lunchbadger.io"), "the DNS domain under which every producer's hosts are published";
    PREFIX = "CUSTOMER_NAMESPACE", Some("customer"), "the prefix of producers' git users";
    TARGET = "ACTUALIZER_TARGET_NAMESPACE", Some("customer"), "the Kubernetes namespace of producers' objects; may hold `$PRODUCER` for a namespace each, as `customer-$PRODUCER`; one that is there already must carry the label `producer`";
    CONTROL_PLANE_NAMESPACE = "CONTROL_PLANE_NAMESPACE", Some("default"), "the Kubernetes namespace in which git-api, configstore and the actualizer run";
    CONTROL_PLANE_CIDRS = "CONTROL_PLANE_CIDRS", None, "address blocks, comma-separated, of git-api, configstore, Redis, DNS and the ingress controller where they run outside of the cluster: let through the NetworkPolicies on their ports";
    GIT_API = "GIT_API_HOST", Some("git-api.default"), "git-api as pods reach it, `host` or `host:port`";
    GIT_REPO = "GIT_REPO_HOST", Some("git.gitea"), "the git server's SSH host, for tools that read it from init containers";
    CONFIGSTORE = "CONFIGSTORE_HOST", Some("configstore.default"), "the configstore as pods reach it, `host` or `host:port`";
    GATEWAY_IMAGE = "GATEWAY_IMAGE", Some("expressgateway/express-gateway"), "the image of gateways, without its version";
    GATEWAY_VERSION = "GATEWAY_VERSION", Some("latest"), "the version of the gateway image, a tag or digest";
    GATEWAY_DEBUG = "DEBUG_GATEWAY_VERSION", None, "the version of the gateway image for LB_DEBUG_USERS; default: GATEWAY_VERSION";
    LBWS_IMAGE = "LBWS_IMAGE", Some("lunchbadger/workspace"), "the image of workspaces, without its version";
    LBWS_VERSION = "LBWS_VERSION", Some(BUILD), "the version of the workspace image, a tag or digest; default: this build's";
    LBWS_DEBUG = "LBWS_DEBUG_VERSION", None, "the version of the workspace image for LB_DEBUG_USERS; default: LBWS_VERSION";
    LBSLS_IMAGE = "LBSLS_IMAGE", Some("lunchbadger/sls-api"), "the image of sls-apis, without its version";
    LBSLS_VERSION = "LBSLS_VERSION", Some(BUILD), "the version of the sls-api image, a tag or digest; default: this build's";
    LBSLS_DEBUG = "LBSLS_DEBUG_VERSION", None, "the version of the sls-api image for LB_DEBUG_USERS; default: LBSLS_VERSION";
    INIT_IMAGE = "GIT_INIT_IMAGE", Some("lunchbadger/init"), "the image of the init containers that clone, without its version";
    INIT_VERSION = "GIT_INIT_VERSION", Some(BUILD), "the version of the init image, a tag or digest; default: this build's";
    DEBUG_USERS = "LB_DEBUG_USERS", None, "producers, comma-separated, that get the debug versions, and platform changes first";
    PULL_SECRET = "LB_PULL_SECRET", None, "the image pull secret of every pod, a Secret in the target namespace";
    SLS_ACCOUNT = "SLS_SERVICE_ACCOUNT_NAME", None, "one ServiceAccount for the sls-api pods of all producers; where it is not set each producer has its own";
    AUTOGATEWAY = "AUTOGATEWAY_ENABLE", None, "on: a gateway is made from each workspace's OpenAPI document";
    ADMIN_ORIGIN = "ADMIN_CROSS_ORIGIN", Some("*"), "the CORS origin of the gateways' admin pipeline";
    GATEWAY_LOG_LEVEL = "GATEWAY_LOG_LEVEL", Some("info"), "LOG_LEVEL of gateways: debug, verbose, info, warn or error";
    REDIS_HOST = "REDIS_HOST", Some("eg-identity-redis.default"), "the Redis that all gateways share, as pods reach it";
    REDIS_PORT = "REDIS_PORT", Some("6379"), "the port of Redis, 1 to 65535";
    REDIS_PASSWORD = "REDIS_PASSWORD", None, "Redis' password, a secret: the actualizer's own where REDIS_ACL is on, in a Secret of each gateway where it is off; a new one rolls out";
    REDIS_ACL = "REDIS_ACL", Some("on"), "`on`: a Redis user per producer and environment; `off`: all gateways share REDIS_PASSWORD";
    AUTH_MODE = "AUTH_MODE", Some("tokens"), "`tokens`: every request needs one; `none`: closed development set-ups, no `internal-` host is published";
    AUTH_ISSUER = "AUTH_ISSUER", None, "handed to workspaces where it is set: the issuer that users' tokens name; default: the workspace's own (`lunchbadger`)";
    CORS_ORIGINS = "CORS_ORIGINS", None, "handed to workspaces where it is set: comma-separated origins (https://ui.example.com) from which browsers may call with credentials; `*` is any";
    ROLLING = "ENABLE_ROLLING_UPDATE", None, "on: workspace and sls-api pods restart on a new revision";
    TRITON = "TRITON_OBJECT_STORE_ENABLED", None, "on: Secret `triton-keypair` is mounted at /root/.triton_ssh in workspaces";
    PUSH_INTERVAL = "LB_PUSH_INTERVAL", None, "milliseconds between a workspace's pushes, handed to workspaces; default: the workspace's own (1000)";
    URL_PREFIX = "WORKSPACE_URL_PREFIX", None, "handed to workspaces where it is set";
    WORKSPACE_STORAGE = "LBWS_STORAGE", Some("2Gi"), "the size of each of a workspace's volumes, a quantity";
    SLS_STORAGE = "LBSLS_STORAGE", Some("1Gi"), "the size of an sls-api's volume, a quantity";
    GATEWAY_RESOURCES = "GATEWAY_RESOURCES", Some("cpu=50m/1,memory=96Mi/384Mi"), "requests/limits of a gateway, cores and bytes as quantities";
    APP_RESOURCES = "LBWS_RESOURCES", Some("cpu=50m/1,memory=160Mi/1Gi"), "requests/limits of a workspace's app container, cores and bytes as quantities";
    API_RESOURCES = "LBWS_API_RESOURCES", Some("cpu=10m/500m,memory=32Mi/256Mi"), "requests/limits of a workspace's API container, cores and bytes as quantities";
    SLS_RESOURCES = "LBSLS_RESOURCES", Some("cpu=10m/500m,memory=32Mi/256Mi"), "requests/limits of an sls-api, cores and bytes as quantities";
    INIT_RESOURCES = "GIT_INIT_RESOURCES", Some("cpu=10m/500m,memory=32Mi/256Mi"), "requests/limits of an init container, cores and bytes as quantities";
    INGRESS_CLASS = "INGRESS_CLASS", None, "the class of every Ingress; default: the cluster's default class";
    INGRESS_TLS = "INGRESS_TLS_SECRET", None, "the Secret in the target namespace with a certificate for every host below CUSTOMER_DOMAIN; where it is not set Ingresses say nothing of TLS";
    INGRESS_NAMESPACES = "INGRESS_NAMESPACES", Some("ingress-nginx,projectcontour,traefik"), "namespaces, comma-separated, whose pods are let through to published ports";
    MONITORING_NAMESPACES = "MONITORING_NAMESPACES", None, "namespaces, comma-separated, whose pods may scrape gateways at 9876, which is Express Gateway's admin port";
    EGRESS = "EGRESS_CIDRS", Some("0.0.0.0/0,::/0"), "address blocks, comma-separated, that producers' pods may call";
    EGRESS_EXCEPT = "EGRESS_EXCEPT_CIDRS", Some("0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,172.16.0.0/12,192.168.0.0/16,224.0.0.0/4,240.0.0.0/4,::/8,64:ff9b::/96,fc00::/7,fe80::/10,ff00::/8"), "address blocks, comma-separated, that are taken out of larger ones of EGRESS_CIDRS: private networks, metadata servers; add the API server's where it is a public one";
}

/// Variables of the old design that are accepted and no longer have an effect.
pub const RETIRED: &[Retired] = &[
    Retired {
        name: "WORKSPACE_API_URL_TEMPLATE",
        why: "models are read from git, no workspace is asked for them",
    },
    Retired {
        name: "OPEN_API_URL_TEMPLATE",
        why: "the OpenAPI document is read from git (refs/lunchbadger/openapi/<env>)",
    },
    Retired {
        name: "SLS_API_URL_TEMPLATE",
        why: "functions are read from git, no sls-api is asked for them",
    },
];
