//! Log lines: JSON on standard error, filtered by `RUST_LOG`.

use lb_process::environment::Variables;
use tracing_subscriber::EnvFilter;

/// Logs from here on.
pub(crate) fn start(variables: &Variables) {
    let wanted = variables.get("RUST_LOG").map(|text| text.trim()).filter(|text| !text.is_empty());
    let filter = wanted.and_then(|text| EnvFilter::try_new(text).ok());
    let wrong = wanted.is_some() && filter.is_none();
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .json()
        .flatten_event(true)
        .init();
    if wrong {
        tracing::warn!("RUST_LOG is no log filter; using `info`");
    }
}
