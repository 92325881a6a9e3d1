//! Service accounts as callers: a producer's pods by the names of their accounts, parts of the control plane by the
//! operator's list. The API server says whose token it is.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use lb_cluster::{Cluster, Retry, ServiceAccount};
use lb_desired::build::names::component_of;
use lb_desired::settings::{Namespace, NamespaceTemplate, ObjectName};
use lb_http::auth::{Authenticator, Identity, NoVerdict, Reviews, TokenReviewer};
use lb_vocab::settings::{Reader, Variable};
use lb_vocab::{Clock, Secret};

use crate::settings::count;

const AUTH_TOKEN_REVIEW: Variable = Variable {
    name: "AUTH_TOKEN_REVIEW",
    default: None,
    meaning: "`on`: tokens of service accounts are accepted, which the cluster's API server reviews; `off`: they are not; default: `on` inside a cluster and with --kubeconfig, otherwise `off`",
};
const AUTH_TOKEN_REVIEW_RATE: Variable = Variable {
    name: "AUTH_TOKEN_REVIEW_RATE",
    default: Some("50"),
    meaning: "reviews a second of tokens that are new, and as many of tokens that were good before; beyond it callers are answered 503",
};
const AUTH_SYSTEM_ACCOUNTS: Variable = Variable {
    name: "AUTH_SYSTEM_ACCOUNTS",
    default: None,
    meaning: "service accounts of the control plane's own parts, comma-separated: `namespace/account=component`",
};

/// Variables of [`ReviewSettings`].
pub(crate) const VARIABLES: &[Variable] = &[AUTH_TOKEN_REVIEW, AUTH_TOKEN_REVIEW_RATE, AUTH_SYSTEM_ACCOUNTS];

/// Whether and how tokens of service accounts are accepted.
#[derive(Clone, Debug)]
pub struct ReviewSettings {
    /// Whether they are; `None`: where there is a cluster.
    pub enabled: Option<bool>,
    rate: usize,
    accounts: Accounts,
}

impl ReviewSettings {
    /// Reads the settings; `target` is where producers' accounts are.
    pub(crate) fn read(reader: &mut Reader<'_>, target: NamespaceTemplate) -> Self {
        let enabled = reader.text(&AUTH_TOKEN_REVIEW);
        let enabled = match enabled.as_deref() {
            None => None,
            Some("on") => Some(true),
            Some("off") => Some(false),
            Some(other) => {
                reader.fail(&AUTH_TOKEN_REVIEW, format!("`{other}` does not do: `on` and `off` exist"));
                None
            }
        };
        Self {
            enabled,
            rate: count(reader, &AUTH_TOKEN_REVIEW_RATE),
            accounts: Accounts::read(reader, target),
        }
    }

    /// The authenticator; with a cluster it accepts the tokens that service accounts there have for this audience.
    pub(crate) fn extend(
        &self,
        authenticator: Authenticator,
        cluster: Option<Cluster>,
        audience: &'static str,
        clock: &Clock,
    ) -> Authenticator {
        let Some(cluster) = cluster else { return authenticator };
        let reviewer = ClusterReviewer { cluster, audience, accounts: self.accounts.clone() };
        authenticator.reviews(Reviews::new(Arc::new(reviewer), audience, self.rate, clock.clone()))
    }
}

/// Who a service account is.
#[derive(Clone, Debug)]
struct Accounts {
    target: NamespaceTemplate,
    /// Components by namespace and name.
    system: BTreeMap<(String, String), String>,
}

impl Accounts {
    fn read(reader: &mut Reader<'_>, target: NamespaceTemplate) -> Self {
        let mut accounts = Self { target, system: BTreeMap::new() };
        for text in reader.list(&AUTH_SYSTEM_ACCOUNTS) {
            let Ok(SystemAccount { namespace, name, component }) = text.parse() else {
                let meaning = AUTH_SYSTEM_ACCOUNTS.meaning;
                reader.fail(&AUTH_SYSTEM_ACCOUNTS, format!("`{text}` does not do; it is {meaning}"));
                continue;
            };
            if accounts.pod(&namespace, &name).is_some() {
                reader.fail(&AUTH_SYSTEM_ACCOUNTS, format!("`{namespace}/{name}` is a producer's own"));
            }
            accounts.system.insert((namespace, name), component);
        }
        accounts
    }

    /// A pod's account counts only by a token that ends with the pod.
    fn identity(&self, account: ServiceAccount) -> Option<Identity> {
        let ServiceAccount { namespace, name, pod } = account;
        let own = if pod.is_some() { self.pod(&namespace, &name) } else { None };
        let system = || self.system.get(&(namespace, name)).cloned();
        own.or_else(|| Some(Identity::System { component: system()? }))
    }

    /// The producer's pod whose account this is: only in the namespace where that producer's objects are.
    fn pod(&self, namespace: &str, name: &str) -> Option<Identity> {
        let (component, producer) = component_of(name)?;
        let own = self.target.namespace(producer.name()) == namespace;
        own.then(|| Identity::Pod { producer, component: component.to_owned() })
    }
}

/// `namespace/account=component`.
struct SystemAccount {
    namespace: String,
    name: String,
    component: String,
}

impl FromStr for SystemAccount {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (account, component) = text.split_once('=').ok_or(())?;
        let (namespace, name) = account.split_once('/').ok_or(())?;
        let namespace: Namespace = namespace.parse().map_err(drop)?;
        let name: ObjectName = name.parse().map_err(drop)?;
        let component: ObjectName = component.parse().map_err(drop)?;
        let [namespace, component] = [namespace.as_str(), component.as_str()].map(str::to_owned);
        Ok(Self { namespace, name: name.as_str().to_owned(), component })
    }
}

/// Has a cluster's API server review tokens.
struct ClusterReviewer {
    cluster: Cluster,
    audience: &'static str,
    accounts: Accounts,
}

impl TokenReviewer for ClusterReviewer {
    fn review<'a>(&'a self, token: &'a Secret) -> BoxFuture<'a, Result<Option<Identity>, NoVerdict>> {
        Box::pin(async move {
            let account = self.cluster.review_token(token, self.audience).await.map_err(|error| {
                tracing::warn!(%error, source = ?std::error::Error::source(&error), "a caller stays unknown");
                NoVerdict { retry_after: wait(error.retry()) }
            })?;
            Ok(account.and_then(|account| self.accounts.identity(account)))
        })
    }
}

/// How long a caller should wait who cannot be identified now.
fn wait(retry: Retry) -> Duration {
    match retry {
        Retry::After(after) => after,
        Retry::Soon | Retry::Backoff | Retry::Never => Duration::from_secs(5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(
        system: &str,
        target: &str,
        review: &str,
    ) -> Result<ReviewSettings, Vec<lb_vocab::settings::SettingError>> {
        let variables = [("AUTH_SYSTEM_ACCOUNTS", system), ("AUTH_TOKEN_REVIEW", review)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut reader = Reader::new(&variables);
        let settings = ReviewSettings::read(&mut reader, target.parse().unwrap());
        reader.finish(settings).map(|(settings, _)| settings)
    }

    fn who(settings: &ReviewSettings, namespace: &str, name: &str, pod: Option<&str>) -> Option<String> {
        let pod = pod.map(str::to_owned);
        let account = ServiceAccount { namespace: namespace.into(), name: name.into(), pod };
        settings.accounts.identity(account).map(|who| who.to_string())
    }

    #[test]
    fn accounts_are_pods_in_their_producers_namespace_and_listed_parts() {
        let system = "lb/lunchbadger-configstore=configstore, default/x.y=x";
        let one = settings(system, "customer", "").unwrap();
        let pod = Some("p");
        for (name, known) in [
            ("workspace-al-dev", Some("pod workspace of al-dev")),
            ("sls-api-big-corp-dev", Some("pod sls-api of big-corp-dev")),
            ("gateway-al-dev-main", Some("pod gateway of al-dev")),
            ("gateway-al-dev", None),
            ("default", None),
            ("sls-api", None),
            ("fn-al-dev-hello", None),
        ] {
            assert_eq!(who(&one, "customer", name, pod).as_deref(), known, "{name}");
            assert_eq!(who(&one, "customer", name, None), None, "{name} without a pod");
            assert_eq!(who(&one, "lb", name, pod), None, "{name} elsewhere");
        }
        let configstore = Some("system configstore".to_owned());
        assert_eq!(who(&one, "lb", "lunchbadger-configstore", None), configstore);
        assert_eq!(who(&one, "lb", "lunchbadger-configstore", pod), configstore);
        assert_eq!(who(&one, "customer", "lunchbadger-configstore", pod), None);
        let each = settings("", "customer-$PRODUCER", "").unwrap();
        assert!(who(&each, "customer-al", "workspace-al-dev", pod).is_some());
        assert_eq!(who(&each, "customer-bob", "workspace-al-dev", pod), None, "another producer's namespace");
        assert_eq!(who(&each, "customer-$PRODUCER", "workspace-al-dev", pod), None);
    }

    #[test]
    fn settings_that_do_not_do_are_named() {
        for wrong in
            ["x", "x=y", "a/b", "a/b/c=d", "a/b=", "/b=c", "A/b=c", "a/b=c=d", "customer/workspace-al-dev=x"]
        {
            let errors = settings(wrong, "customer", "").unwrap_err();
            assert!(errors.len() == 1 && errors[0].name == "AUTH_SYSTEM_ACCOUNTS", "{wrong}: {errors:?}");
        }
        assert!(settings("other/workspace-al-dev=x", "customer", "").is_ok());
        assert_eq!(settings("", "customer", "maybe").unwrap_err()[0].name, "AUTH_TOKEN_REVIEW");
        for (text, enabled) in [("", None), ("on", Some(true)), ("off", Some(false))] {
            assert_eq!(settings("", "customer", text).unwrap().enabled, enabled);
        }
    }
}
