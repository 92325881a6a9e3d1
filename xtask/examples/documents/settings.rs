//! `docs/settings.md`: every environment variable, from the tables that the roles read them by.

use lb_desired::settings::RETIRED;
use lb_vocab::settings::Variable;

use crate::cell;

const HEAD: &str = "\
# Settings

<!-- Generated from the code by `cargo xtask generate`. -->

Every role reads its environment once, at its start. A wrong value stops the start, with its name and what would be right; a
variable that is set and empty counts as not set. Secrets (tokens, passwords) are never printed.
";

/// The page.
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    let parts: [(&str, &str, &[Variable]); 9] = [
        ("Actualizer", "How it works.", lb_actualizer::settings::VARIABLES),
        (
            "Actualizer and `lunchbadger plan`, `diff`: what objects are like",
            "They shape every producer's objects.",
            lb_desired::settings::VARIABLES,
        ),
        ("configstore", "The facade over all producers.", lb_services::configstore::VARIABLES),
        ("git-api", "The facade over the git host.", lb_services::git_api::VARIABLES),
        ("watcher", "How producers' pods fare, as event streams.", lb_services::watcher::VARIABLES),
        (
            "`lunchbadger-pod workspace`: the workspace's API container",
            "In a producer's pod; the Actualizer sets what it needs.",
            lb_pod::workspace::VARIABLES,
        ),
        (
            "`lunchbadger-pod app`: the supervisor in the app's container",
            "Beside the producer's own code, which sees of them what is said.",
            lb_pod::app::VARIABLES,
        ),
        (
            "`lunchbadger-pod sls-api`: the sls-api's container",
            "In a producer's pod, likewise.",
            lb_pod::sls_api::VARIABLES,
        ),
        (
            "`lunchbadger-pod init`: the init container",
            "Of workspace and sls-api, likewise.",
            lb_pod::init::VARIABLES,
        ),
    ];
    for (role, what, variables) in parts {
        page.push_str(&format!("\n## {role}\n\n{what}\n\n| variable | default | meaning |\n|---|---|---|\n"));
        for variable in variables {
            let default = variable.default.map(|text| format!("`{}`", cell(text))).unwrap_or_default();
            page.push_str(&format!("| `{}` | {default} | {} |\n", variable.name, cell(variable.meaning)));
        }
    }
    page.push_str(
        "\n## Accepted without effect\n\nVariables of the old design: set, they are warned about.\n\n",
    );
    page.push_str("| variable | why |\n|---|---|\n");
    for old in RETIRED {
        page.push_str(&format!("| `{}` | {} |\n", old.name, cell(old.why)));
    }
    page
}
