//! The copy of the environment, and how containers read their settings from it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use lb_vocab::settings::Reader;

/// The environment as it was at the start.
pub(crate) type Variables = BTreeMap<String, String>;

/// Copies the environment: the one place where it is read. A value that is not UTF-8 belongs to none of our settings.
pub(crate) fn copy() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads a container's settings: every error is told at once, warnings are logged.
pub(crate) fn read<T>(
    variables: &Variables,
    settings: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Result<T> {
    let mut reader = Reader::new(variables);
    let value = settings(&mut reader);
    match reader.finish(value) {
        Ok((value, warnings)) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            value.context("a setting is missing")
        }
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
            bail!("settings of the environment do not do:\n{}", lines.join("\n"));
        }
    }
}
