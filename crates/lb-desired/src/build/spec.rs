//! A child's spec with its names checked: what build takes.

use lb_vocab::{CommitId, InstanceName, Producer, TextError};

use super::names::gateway_name;
use super::{Function, Host, LabelValue, ServiceName};
use crate::crd::{ConfigReference, LBFunctionSpec, LBGatewaySpec, LBWorkspaceSpec};

/// A workspace and an sls-api with checked names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Whose it is.
    pub producer: Producer,
    /// The commit that the workspace was last started for, under `ENABLE_ROLLING_UPDATE`.
    pub revision: Option<CommitId>,
    /// The commit that the sls-api was last started for, likewise.
    pub functions_revision: Option<CommitId>,
}

/// A gateway with checked names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Whose it is.
    pub producer: Producer,
    /// Its instance.
    pub instance: InstanceName,
    /// Its id, as a label.
    pub id: LabelValue,
    /// Its public hosts, at least one.
    pub hosts: Vec<Host>,
    /// Number of pods.
    pub replicas: i32,
    /// Its rendered configuration.
    pub config: ConfigReference,
}

/// A child's spec that nothing can be built from. Our plan never writes one: somebody edited the child.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// A name, id, host or revision outside its grammar.
    #[error("the spec holds a text outside of its grammar; delete the child, and the plan makes it anew")]
    Text(#[from] TextError),
    /// A gateway without a host.
    #[error("`hosts` of gateway `{0}` is empty; delete the child, and the plan makes it anew")]
    NoHost(String),
    /// Replicas below zero.
    #[error("gateway `{0}` asks for {1} pods; it can have 0 or more")]
    Replicas(String, i32),
    /// A configuration that is not the gateway's own.
    #[error(
        "gateway `{0}` names configuration `{1}`, which is not its own; delete the child, and the plan makes it anew"
    )]
    ForeignConfig(String, String),
    /// A runtime without a version.
    #[error("function `{0}` has runtime `{1}`; it is written `<language>:<version>`")]
    Runtime(String, String),
}

fn producer(name: &str, environment: &str) -> Result<Producer, TextError> {
    Producer::new(name.parse()?, environment.parse()?)
}

impl TryFrom<&LBWorkspaceSpec> for Workspace {
    type Error = SpecError;

    fn try_from(spec: &LBWorkspaceSpec) -> Result<Self, SpecError> {
        let LBWorkspaceSpec { producer: name, environment, revision, functions_revision } = spec;
        let commit = |text: &Option<String>| text.as_deref().map(str::parse).transpose();
        Ok(Self {
            producer: producer(name, environment)?,
            revision: commit(revision)?,
            functions_revision: commit(functions_revision)?,
        })
    }
}

impl TryFrom<&LBGatewaySpec> for Gateway {
    type Error = SpecError;

    fn try_from(spec: &LBGatewaySpec) -> Result<Self, SpecError> {
        let LBGatewaySpec { producer: name, environment, instance, id, hosts, replicas, config } = spec;
        let producer = producer(name, environment)?;
        let instance: InstanceName = instance.parse()?;
        let own = gateway_name(&producer, &instance);
        if hosts.is_empty() {
            return Err(SpecError::NoHost(own));
        }
        if *replicas < 0 {
            return Err(SpecError::Replicas(own, *replicas));
        }
        let digits = config.digest.get(..10).unwrap_or_default();
        if config.name.strip_prefix(&own).and_then(|rest| rest.strip_prefix('-')) != Some(digits)
            || digits.is_empty()
        {
            return Err(SpecError::ForeignConfig(own, config.name.clone()));
        }
        let hosts = hosts.iter().map(|host| host.parse()).collect::<Result<_, _>>()?;
        Ok(Self { producer, instance, id: id.parse()?, hosts, replicas: *replicas, config: config.clone() })
    }
}

impl TryFrom<&LBFunctionSpec> for Function {
    type Error = SpecError;

    fn try_from(spec: &LBFunctionSpec) -> Result<Self, SpecError> {
        let LBFunctionSpec {
            producer: name,
            environment,
            service,
            id,
            commit: _,
            path: _,
            digest,
            runtime,
            handler,
            triggers,
        } = spec;
        let service: ServiceName = service.parse()?;
        let (language, version) = runtime
            .split_once(':')
            .ok_or_else(|| SpecError::Runtime(service.to_string(), runtime.clone()))?;
        Ok(Self {
            producer: producer(name, environment)?,
            id: (!id.is_empty()).then(|| id.parse()).transpose()?,
            service,
            digest: digest.clone(),
            runtime: (language.to_owned(), version.to_owned()),
            handler: handler.clone(),
            triggers: triggers.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway() -> LBGatewaySpec {
        let digest = "ab".repeat(32);
        LBGatewaySpec {
            producer: "al".into(),
            environment: "dev".into(),
            instance: "main".into(),
            id: "g1".into(),
            hosts: vec!["main-al-dev.lunchbadger.io".into()],
            replicas: 0,
            config: ConfigReference { name: format!("gateway-al-dev-main-{}", &digest[..10]), digest },
        }
    }

    fn refused(change: impl FnOnce(&mut LBGatewaySpec)) -> SpecError {
        let mut spec = gateway();
        change(&mut spec);
        Gateway::try_from(&spec).unwrap_err()
    }

    #[test]
    fn a_spec_that_the_plan_would_not_write_is_refused() {
        assert!(Gateway::try_from(&gateway()).is_ok());
        assert!(matches!(refused(|spec| spec.producer = "Al".into()), SpecError::Text(_)));
        assert!(matches!(refused(|spec| spec.environment = "d-v".into()), SpecError::Text(_)));
        assert!(matches!(refused(|spec| spec.instance = "a-b".into()), SpecError::Text(_)));
        assert!(matches!(refused(|spec| spec.id = "-".into()), SpecError::Text(_)));
        assert!(matches!(refused(|spec| spec.hosts.push("a/b.c".into())), SpecError::Text(_)));
        assert!(matches!(refused(|spec| spec.hosts.clear()), SpecError::NoHost(_)));
        assert!(matches!(refused(|spec| spec.replicas = -1), SpecError::Replicas(_, -1)));
    }

    /// A gateway that names another's Secret would read it.
    #[test]
    fn a_configuration_is_the_gateways_own() {
        for name in [
            "credentials-bob-dev",
            "gateway-al-dev-main-",
            "gateway-al-dev-main-0123456789",
            "gateway-al-dev-mainabababababab",
            "gateway-al-dev-main2-ababababab",
            "gateway-al-dev-main-ababababab2",
        ] {
            let error = refused(|spec| spec.config.name = name.into());
            assert!(matches!(error, SpecError::ForeignConfig(..)), "{name}: {error}");
        }
        for digest in ["", "abababab"] {
            let error = refused(|spec| {
                spec.config.name = format!("gateway-al-dev-main-{digest}");
                spec.config.digest = digest.into();
            });
            assert!(matches!(error, SpecError::ForeignConfig(..)), "{digest}: {error}");
        }
    }

    #[test]
    fn revisions_are_commits_and_runtimes_have_versions() {
        let mut workspace = LBWorkspaceSpec {
            producer: "al".into(),
            environment: "dev".into(),
            revision: Some("1".repeat(40)),
            functions_revision: None,
        };
        let built = Workspace::try_from(&workspace).unwrap();
        assert_eq!(
            (built.revision.map(|id| id.to_string()), built.functions_revision),
            (Some("1".repeat(40)), None)
        );
        workspace.functions_revision = Some("master".into());
        assert!(matches!(Workspace::try_from(&workspace), Err(SpecError::Text(_))));

        let mut function = LBFunctionSpec {
            producer: "al".into(),
            environment: "dev".into(),
            service: "hello".into(),
            id: String::new(),
            commit: "1".repeat(40),
            path: "hello".into(),
            digest: "ab".repeat(32),
            runtime: "nodejs:8".into(),
            handler: "h.f".into(),
            triggers: Vec::new(),
        };
        let built = Function::try_from(&function).unwrap();
        assert_eq!((built.id, built.runtime), (None, ("nodejs".into(), "8".into())));
        function.runtime = "nodejs8".into();
        assert!(matches!(Function::try_from(&function), Err(SpecError::Runtime(..))));
        function.service = "Hello".into();
        assert!(matches!(Function::try_from(&function), Err(SpecError::Text(_))));
    }
}
