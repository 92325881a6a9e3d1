//! Cases of build: `fixtures/build/*.json`, each with the settings' variables, what is built, and the sentence of the
//! contract that it shows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lb_desired::build::{self, Credentials, Function, Gateway, Leaf, Workspace};
use lb_desired::crd::{LBFunctionSpec, LBGatewaySpec, LBWorkspaceSpec};
use lb_desired::settings::Settings;
use lb_vocab::settings::Reader;
use lb_vocab::{Producer, Secret};
use serde::Deserialize;
use serde_json::Value;

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// The sentence of the contract that the case shows.
    pub(crate) shows: String,
    /// Variables of the environment.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// What is built.
    pub(crate) build: Input,
}

/// What a case builds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Input {
    /// Workspace and sls-api.
    Workspace(LBWorkspaceSpec),
    /// A gateway.
    Gateway(LBGatewaySpec),
    /// A gateway's configuration.
    GatewayConfig { gateway: LBGatewaySpec, files: BTreeMap<String, String> },
    /// A function.
    Function(LBFunctionSpec),
    /// Credentials.
    Credentials { producer: String, cipher_key: String, session_secret: String, redis_password: String },
    /// A namespace.
    Namespace { producer: String },
}

/// The directory of cases and their snapshots.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/build")
}

/// Every case by name.
pub(crate) fn cases() -> BTreeMap<String, Case> {
    let files = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let cases = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    cases
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let case =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), case)
        })
        .collect()
}

impl Case {
    /// The settings that the case's variables give, with some of them replaced.
    pub(crate) fn settings(&self, replaced: &[(&str, &str)]) -> Settings {
        let mut variables = self.variables.clone();
        variables.extend(replaced.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut reader = Reader::new(&variables);
        let settings = Settings::read(&mut reader);
        reader.finish(settings).unwrap().0
    }

    /// The leaves of the case; functions and namespaces have none.
    pub(crate) fn leaves(&self, settings: &Settings) -> Vec<Leaf> {
        let producer = |text: &str| text.parse::<Producer>().unwrap();
        let secret = |text: &str| Secret::new(text.to_owned());
        match &self.build {
            Input::Workspace(spec) => build::workspace(&Workspace::try_from(spec).unwrap(), settings),
            Input::Gateway(spec) => build::gateway(&Gateway::try_from(spec).unwrap(), settings),
            Input::GatewayConfig { gateway, files } => {
                let files = files.iter().map(|(name, content)| (name.clone(), secret(content))).collect();
                vec![build::gateway_config(&Gateway::try_from(gateway).unwrap(), &files, settings)]
            }
            Input::Credentials { producer: whose, cipher_key, session_secret, redis_password } => {
                let credentials = Credentials {
                    cipher_key: secret(cipher_key),
                    session_secret: secret(session_secret),
                    redis_password: secret(redis_password),
                };
                vec![build::credentials(&producer(whose), &credentials, settings)]
            }
            Input::Function(_) | Input::Namespace { .. } => Vec::new(),
        }
    }

    /// Every manifest of the case.
    pub(crate) fn manifests(&self, settings: &Settings) -> Vec<Value> {
        match &self.build {
            Input::Function(spec) => build::function(&Function::try_from(spec).unwrap(), settings),
            Input::Namespace { producer } => {
                vec![build::namespace(producer.parse::<Producer>().unwrap().name(), settings)]
            }
            Input::Workspace(_)
            | Input::Gateway(_)
            | Input::GatewayConfig { .. }
            | Input::Credentials { .. } => {
                self.leaves(settings).into_iter().map(|leaf| leaf.manifest.value()).collect()
            }
        }
    }
}
