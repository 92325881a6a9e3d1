//! What the cluster's errors mean, and what to do.

use lb_cluster::ApiError;

/// An error of the cluster with what was attempted and what to do next.
pub(crate) fn explain(attempt: &str, error: kube::Error) -> anyhow::Error {
    let error = ApiError::new(attempt, error);
    let advice = match error.code() {
        Some(404) => {
            "the cluster does not know LunchBadger's kinds: `lunchbadger crds apply` with the same --kubeconfig first"
        }
        Some(401) => "the cluster does not accept who we are: renew the credentials in the kubeconfig",
        Some(403) => {
            "the account that is used lacks the right: have it granted, or use another one (--context)"
        }
        Some(429) => "the cluster has no time: try again in a moment",
        Some(_) => "the cluster refuses",
        None => "the cluster does not answer: check that it runs, and that --kubeconfig names the right one",
    };
    anyhow::Error::new(error).context(advice)
}
