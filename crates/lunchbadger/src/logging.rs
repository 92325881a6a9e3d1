//! Log lines: what is logged, and how it is written.

use lb_process::environment::Variables;
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// Logs to standard error. The filter is `RUST_LOG`, else `DEBUG` (the old system's), else `default`.
pub(crate) fn start(format: LogFormat, variables: &Variables, default: &str) {
    let (filter, complaint) = filter(variables, default);
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    if let Some(complaint) = complaint {
        tracing::warn!("{complaint}");
    }
}

fn filter(variables: &Variables, default: &str) -> (EnvFilter, Option<String>) {
    let set = |name: &str| variables.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    if let Some(text) = set("RUST_LOG") {
        return match EnvFilter::try_new(text) {
            Ok(filter) => (filter, None),
            Err(error) => (
                EnvFilter::new(default),
                Some(format!("RUST_LOG is no log filter ({error}); using `{default}`")),
            ),
        };
    }
    match set("DEBUG") {
        Some(text) => (EnvFilter::new(from_debug(text, default)), None),
        None => (EnvFilter::new(default), None),
    }
}

/// The old system's filter as ours: `actualizer:*,-configstore` becomes levels of our crates. Words that name no
/// part of ours concern other programs and are passed over.
fn from_debug(text: &str, default: &str) -> String {
    let mut directives = vec![default.to_owned()];
    for word in text.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty()) {
        let (name, level) = match word.strip_prefix('-') {
            Some(name) => (name, "off"),
            None => (word, "trace"),
        };
        let targets: &[&str] = match name.split(':').next().unwrap_or_default() {
            "*" => &["lb_actualizer", "lb_cluster", "lb_services", "lb_git", "lb_http", "lunchbadger"],
            "actualizer" => &["lb_actualizer", "lb_cluster"],
            "configstore" => &["lb_services::configstore"],
            "git-api" => &["lb_services::git_api", "lb_git"],
            _ => &[],
        };
        directives.extend(targets.iter().map(|target| format!("{target}={level}")));
    }
    directives.join(",")
}

#[cfg(test)]
mod tests {
    use super::{Variables, filter, from_debug};

    #[test]
    fn the_old_filter_names_our_parts() {
        assert_eq!(from_debug("actualizer:*", "info"), "info,lb_actualizer=trace,lb_cluster=trace");
        assert_eq!(from_debug("express:*, loopback", "info"), "info");
        assert_eq!(
            from_debug("configstore,-git-api:http", "warn"),
            "warn,lb_services::configstore=trace,lb_services::git_api=off,lb_git=off"
        );
    }

    #[test]
    fn rust_log_wins_and_a_wrong_one_is_told() {
        let variables = |pairs: &[(&str, &str)]| -> Variables {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let shown = |pairs| filter(&variables(pairs), "info").0.to_string();
        assert_eq!(shown(&[("RUST_LOG", "debug"), ("DEBUG", "actualizer:*")]), "debug");
        assert!(shown(&[("RUST_LOG", " "), ("DEBUG", "actualizer:*")]).contains("lb_actualizer=trace"));
        let (fallback, complaint) = filter(&variables(&[("RUST_LOG", "lb_http=loudly")]), "info");
        assert_eq!(fallback.to_string(), "info");
        assert!(complaint.unwrap().contains("RUST_LOG"));
    }
}
