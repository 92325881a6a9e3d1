//! Names, labels and hosts of objects: made of checked names alone.

use std::collections::BTreeMap;

use lb_vocab::{Digest, InstanceName, Producer, Secret, Slug, checked_text, label_id};

use crate::crd::ConfigReference;
use crate::settings::{Settings, is_label};

/// The component of a workspace: its `app` label, and how its objects' names begin.
pub const WORKSPACE: &str = "workspace";
/// The component of an sls-api, likewise.
pub const SLS_API: &str = "sls-api";
/// The component of a gateway, likewise.
pub const GATEWAY: &str = "gateway";

/// Name of workspace and sls-api children: `<producer>-<env>`.
#[must_use]
pub fn workspace_child(producer: &Producer) -> String {
    producer.to_string()
}

/// Name of a gateway child: `<producer>-<env>-<instance>`.
#[must_use]
pub fn gateway_child(producer: &Producer, instance: &InstanceName) -> String {
    format!("{producer}-{instance}")
}

/// Name of a function child: `<producer>-<env>-<service>`. It is that of the function's objects without `fn-`: where
/// two producers would share it, the API server lets one of them have the child, and thereby the objects.
#[must_use]
pub fn function_child(producer: &Producer, service: &ServiceName) -> String {
    format!("{producer}-{service}")
}

/// The labels that every child has.
#[must_use]
pub fn child_labels(producer: &Producer) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("environment".to_owned(), producer.environment().to_string()),
        ("producer".to_owned(), producer.name().to_string()),
    ])
}

/// Everybody whose function child may have this name: a service may have dashes, so that `al-dev-dev-x` is `dev-x` of
/// `al` and `x` of `al-dev`.
pub fn function_claimants(child: &str) -> impl Iterator<Item = Producer> {
    child.match_indices('-').filter_map(|(end, _)| child[..end].parse().ok())
}

/// Name of a workspace's objects: `workspace-<producer>-<env>`.
#[must_use]
pub fn workspace_name(producer: &Producer) -> String {
    format!("{WORKSPACE}-{producer}")
}

/// Name of an sls-api's objects: `sls-api-<producer>-<env>`.
#[must_use]
pub fn sls_api_name(producer: &Producer) -> String {
    format!("{SLS_API}-{producer}")
}

/// Name of a gateway's objects: `gateway-<producer>-<env>-<instance>`; at most 63 characters.
#[must_use]
pub fn gateway_name(producer: &Producer, instance: &InstanceName) -> String {
    format!("{GATEWAY}-{producer}-{instance}")
}

/// Whose objects have this name, and of which component: the way back from [`workspace_name`], [`sls_api_name`] and
/// [`gateway_name`]. It is read from the right, because neither an instance nor an environment has a dash.
#[must_use]
pub fn component_of(name: &str) -> Option<(&'static str, Producer)> {
    let of = |component: &str| name.strip_prefix(component)?.strip_prefix('-');
    if let Some(producer) = of(WORKSPACE) {
        return Some((WORKSPACE, producer.parse().ok()?));
    }
    if let Some(producer) = of(SLS_API) {
        return Some((SLS_API, producer.parse().ok()?));
    }
    let (producer, instance) = of(GATEWAY)?.rsplit_once('-')?;
    instance.parse::<InstanceName>().ok()?;
    Some((GATEWAY, producer.parse().ok()?))
}

/// Name of a function's objects: `fn-<producer>-<env>-<service>`.
#[must_use]
pub fn function_name(producer: &Producer, service: &ServiceName) -> String {
    format!("fn-{producer}-{service}")
}

/// Name of the credentials Secret: `credentials-<producer>-<env>`.
#[must_use]
pub fn credentials_name(producer: &Producer) -> String {
    format!("credentials-{producer}")
}

/// Name of a gateway's Secret with the shared Redis password, where `REDIS_ACL=off`: `redis-<producer>-<env>-<instance>`.
#[must_use]
pub fn shared_redis_name(producer: &Producer, instance: &InstanceName) -> String {
    format!("redis-{producer}-{instance}")
}

/// The Redis namespace of an environment's gateways, `EG-<producer>-<env>-`. Express Gateway adds a dash of its own:
/// the Redis user's keys are `EG-<producer>-<env>--*`.
#[must_use]
pub fn redis_namespace(producer: &Producer) -> String {
    format!("EG-{producer}-")
}

/// Public host of the user's app: `<producer>-<env>.D`.
#[must_use]
pub fn workspace_host(producer: &Producer, settings: &Settings) -> String {
    format!("{producer}.{}", settings.domain)
}

/// Host of the workspace's own APIs: `internal-<producer>-<env>.D`. Not published under `AUTH_MODE=none`.
#[must_use]
pub fn internal_host(producer: &Producer, settings: &Settings) -> String {
    format!("internal-{producer}.{}", settings.domain)
}

/// Host of the sls-api: `sls-<producer>-<env>.D`.
#[must_use]
pub fn sls_host(producer: &Producer, settings: &Settings) -> String {
    format!("sls-{producer}.{}", settings.domain)
}

/// A gateway's own host: `<slug>.D`.
#[must_use]
pub fn gateway_host(slug: &Slug, settings: &Settings) -> String {
    format!("{slug}.{}", settings.domain)
}

/// A gateway's admin host: `admin-<slug>.D`. It gets no Ingress rule until something guards it.
#[must_use]
pub fn admin_host(slug: &Slug, settings: &Settings) -> String {
    format!("admin-{slug}.{}", settings.domain)
}

/// The reference to a rendered configuration: the digest is over its keys and contents, and its first 10 digits are
/// part of the Secret's name, so that a changed configuration is another Secret and rolls out.
#[must_use]
pub fn config_reference(
    producer: &Producer,
    instance: &InstanceName,
    files: &BTreeMap<String, Secret>,
) -> ConfigReference {
    let parts = files.iter().flat_map(|(name, content)| [name.as_bytes(), content.reveal().as_bytes()]);
    let digest = Digest::of_parts(parts);
    let name = format!("{}-{}", gateway_name(producer, instance), digest.first(10));
    ConfigReference { name, digest: digest.as_str().to_owned() }
}

checked_text!(
    /// A non-empty label value that came from an entity's id.
    LabelValue,
    "a label value",
    |text| {
        let good = !label_id(text).1;
        good.then_some(()).ok_or("1 to 63 letters, digits, `-`, `_` and `.`, a letter or digit at both ends")
    }
);
checked_text!(
    /// A public host: a DNS name in lower case whose first label may be `*`.
    Host,
    "a host",
    |text| {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let good = text.len() <= 253 && name.contains('.') && name.split('.').all(is_label);
        good.then_some(()).ok_or("a DNS name in lower case, of which the first label may be `*`")
    }
);
checked_text!(
    /// A service of the `functions` repository, as part of object names.
    ServiceName,
    "a service name",
    |text| is_label(text).then_some(()).ok_or("1 to 63 characters of a-z, 0-9 and `-`")
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_names_fit() {
        let producer: Producer = format!("{}-dev", "a".repeat(35)).parse().unwrap();
        let instance: InstanceName = "b".repeat(15).parse().unwrap();
        assert_eq!(gateway_name(&producer, &instance).len(), 63);
        let label = format!("admin-{}", Slug::new(&instance, &producer));
        assert!(label.len() <= 63, "{label}");
    }

    #[test]
    fn a_function_s_name_may_be_that_of_several_producers() {
        let claimants = |child| function_claimants(child).map(|who| who.to_string()).collect::<Vec<_>>();
        assert_eq!(claimants("al-dev-x"), ["al-dev"]);
        assert_eq!(claimants("al-dev-dev-x"), ["al-dev", "al-dev-dev"]);
        assert_eq!(claimants("al-dev-1-x"), ["al-dev"], "an environment starts with a letter");
        assert!(claimants("al-dev").is_empty());
    }

    #[test]
    fn what_is_no_component_s_name_is_nobody_s() {
        for name in [
            "",
            "workspace",
            "workspace-",
            "workspace-al",
            "workspace-al-",
            "workspace-al-1dev",
            "workspace-al-Dev",
            "workspace-al--b-dev",
            "workspace-sls-x-dev",
            "workspace--al-dev",
            "workspaceal-dev",
            "Workspace-al-dev",
            "workspace-al-dev.x",
            "workspace-al-dev\n",
            "sls-al-dev",
            "sls-api-al",
            "gateway-al-dev",
            "gateway-al-dev-",
            "gateway-al-dev-abcdefghijklmnop",
            "fn-al-dev-hello",
            "default",
            "sls-api",
        ] {
            assert_eq!(component_of(name), None, "{name}");
        }
        let long = format!("workspace-{}-dev", "a".repeat(36));
        assert_eq!(component_of(&long), None, "{long}");
    }

    proptest! {
        #[test]
        fn every_name_leads_back(
            name in "[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}",
            environment in "[a-z][a-z0-9]{0,9}",
            instance in "[a-z0-9]{1,15}",
        ) {
            let producer: Result<Producer, _> = format!("{name}-{environment}").parse();
            prop_assume!(producer.is_ok());
            let producer = producer.unwrap();
            let instance: InstanceName = instance.parse().unwrap();
            let back = |name: String| component_of(&name);
            prop_assert_eq!(back(workspace_name(&producer)), Some((WORKSPACE, producer.clone())));
            prop_assert_eq!(back(sls_api_name(&producer)), Some((SLS_API, producer.clone())));
            prop_assert_eq!(back(gateway_name(&producer, &instance)), Some((GATEWAY, producer)));
        }

        #[test]
        fn a_name_that_leads_somewhere_is_made_there(
            name in "(workspace|sls-api|gateway|fn)(-[a-z0-9]{0,5}){0,5}",
        ) {
            if let Some((component, producer)) = component_of(&name) {
                let made = match component {
                    WORKSPACE => workspace_name(&producer),
                    SLS_API => sls_api_name(&producer),
                    _ => gateway_name(&producer, &name.rsplit('-').next().unwrap().parse().unwrap()),
                };
                prop_assert_eq!(made, name);
            }
        }
    }

    #[test]
    fn a_changed_file_changes_the_reference() {
        let producer: Producer = "al-dev".parse().unwrap();
        let instance: InstanceName = "main".parse().unwrap();
        let reference = |content: &str| {
            config_reference(
                &producer,
                &instance,
                &BTreeMap::from([("a".to_owned(), Secret::new(content.to_owned()))]),
            )
        };
        let one = reference("1");
        assert_eq!(one.name, format!("gateway-al-dev-main-{}", &one.digest[..10]));
        assert_ne!(one.name, reference("2").name);
    }

    #[test]
    fn hosts_labels_and_services() {
        for good in ["a.b", "*.example.com", "x-1.y.z"] {
            assert!(good.parse::<Host>().is_ok(), "{good}");
        }
        for bad in
            ["", "a", "*", "*.", "*a.b", "a.*.b", "A.b", "a..b", "a.b/c", "a.b:80", "-a.b", &"a.".repeat(127)]
        {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
        assert!("aB_9.".parse::<LabelValue>().is_err() && "aB_9".parse::<LabelValue>().is_ok());
        assert!("hello-1".parse::<ServiceName>().is_ok() && "he_llo".parse::<ServiceName>().is_err());
    }
}
