//! The copy of the environment, and how roles read their settings from it.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use lb_vocab::settings::Reader;

/// The environment as it was at the start.
pub type Variables = BTreeMap<String, String>;

/// Copies the environment: the one place where it is read. A value that is not UTF-8 belongs to none of our settings and is left out.
#[must_use]
pub fn copy() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads a role's settings: every error is told at once, warnings are logged.
///
/// # Errors
/// Where a variable's value does not do.
pub fn read<T>(variables: &Variables, settings: impl FnOnce(&mut Reader<'_>) -> T) -> Result<T> {
    let mut reader = Reader::new(variables);
    let value = settings(&mut reader);
    match reader.finish(value) {
        Ok((value, warnings)) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            Ok(value)
        }
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
            bail!("settings of the environment do not do:\n{}", lines.join("\n"));
        }
    }
}
