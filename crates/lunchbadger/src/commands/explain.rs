//! What the cluster's errors mean, and what to do.

/// An error of the cluster with what was attempted and what to do next.
pub(crate) fn explain(attempt: &str, error: kube::Error) -> anyhow::Error {
    let advice = if let kube::Error::Api(status) = &error {
        match status.code {
            404 => {
                "the cluster does not know our kinds: `lunchbadger crds apply` with the same --kubeconfig first"
            }
            401 | 403 => "the cluster refuses: the account that is used lacks the right",
            _ => "the cluster refuses",
        }
    } else {
        "the cluster does not answer: check that it runs, and that --kubeconfig names the right one"
    };
    anyhow::Error::new(error).context(format!("{attempt}: {advice}"))
}
