//! A child's spec with its names checked: what build takes.

use lb_vocab::{CommitId, CommitIdError, InstanceName, NameError, Producer};

use super::names::{TextError, gateway_name};
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
    /// A producer, environment or instance outside its grammar.
    #[error("the spec names something outside of its grammar; delete the child, and the plan makes it anew")]
    Name(#[from] NameError),
    /// An id, host or service that no object can have.
    #[error("the spec holds a text that no object can have; delete the child, and the plan makes it anew")]
    Text(#[from] TextError),
    /// A revision that is no commit.
    #[error("the spec's revision is no commit; delete the child, and the plan makes it anew")]
    Revision(#[from] CommitIdError),
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

fn producer(name: &str, environment: &str) -> Result<Producer, NameError> {
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
