//! Whose token it is: the API server reviews tokens of service accounts.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use kube::api::PostParams;
use lb_vocab::Secret;

use crate::collection::{Collection, Scope};
use crate::connect::Cluster;
use crate::error::ApiError;

const ATTEMPT: &str = "review a token";
/// Names the pod that a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";

/// A service account, as the API server knows it by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The pod that the token is bound to: it ends with it.
    pub pod: Option<String>,
}

impl Cluster {
    /// The service account whose token for this audience it is; `None`: nobody's, or of no service account.
    ///
    /// Caveat: the API server repeats a good answer for 10 s.
    ///
    /// # Errors
    /// Where the API server does not answer, or not with a review.
    pub async fn review_token(
        &self,
        token: &Secret,
        audience: &str,
    ) -> Result<Option<ServiceAccount>, ApiError> {
        let malformed = |what: String| ApiError::Malformed { attempt: ATTEMPT.to_owned(), what };
        let spec =
            TokenReviewSpec { audiences: Some(vec![audience.to_owned()]), token: token.reveal().clone() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let body = serde_json::to_vec(&review).map_err(|error| malformed(error.to_string()))?;
        let all =
            Collection::new("authentication.k8s.io/v1", "tokenreviews", "TokenReview", &Scope::Everywhere);
        let answer = self.send(ATTEMPT, all.request().create(&PostParams::default(), body)).await?;
        let review: TokenReview =
            serde_json::from_value(answer).map_err(|_| malformed("it is no TokenReview".to_owned()))?;
        let status = review.status.ok_or_else(|| malformed("it has no status".to_owned()))?;
        Ok(authenticated(status, audience).and_then(service_account))
    }
}

/// Who it is, where the API server says so for our audience: an authenticator that knows no audiences says nothing of
/// ours.
fn authenticated(status: TokenReviewStatus, audience: &str) -> Option<UserInfo> {
    let TokenReviewStatus { authenticated, audiences, user, error: _ } = status;
    let ours = audiences.is_some_and(|audiences| audiences.iter().any(|ours| ours == audience));
    if authenticated == Some(true) && ours { user } else { None }
}

fn service_account(user: UserInfo) -> Option<ServiceAccount> {
    let UserInfo { username, extra, groups: _, uid: _ } = user;
    let username = username?;
    let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let pod = extra.and_then(|mut extra| extra.remove(POD_NAME)).and_then(|mut names| names.pop());
    Some(ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned(), pod })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn account(status: Value) -> Option<ServiceAccount> {
        authenticated(serde_json::from_value(status).unwrap(), "git-api").and_then(service_account)
    }

    #[test]
    fn only_a_service_account_with_our_audience_is_somebody() {
        let user = json!({
            "username": "system:serviceaccount:customer:workspace-al-dev",
            "extra": {POD_NAME: ["workspace-al-dev-1"]},
        });
        let known = ServiceAccount {
            namespace: "customer".into(),
            name: "workspace-al-dev".into(),
            pod: Some("workspace-al-dev-1".into()),
        };
        let good = json!({"authenticated": true, "audiences": ["x", "git-api"], "user": user});
        assert_eq!(account(good.clone()), Some(known.clone()));
        let with = |key: &str, value: Value| {
            let mut status = good.clone();
            status[key] = value;
            account(status)
        };
        assert_eq!(with("authenticated", json!(false)), None);
        assert_eq!(with("authenticated", json!(null)), None);
        assert_eq!(with("audiences", json!(null)), None);
        assert_eq!(with("audiences", json!(["configstore"])), None);
        assert_eq!(with("user", json!(null)), None);
        for name in ["admin", "system:serviceaccount:customer", "system:node:customer:x", ""] {
            assert_eq!(with("user", json!({"username": name})), None, "{name}");
        }
        let unbound = with("user", json!({"username": user["username"]}));
        assert_eq!(unbound, Some(ServiceAccount { pod: None, ..known }));
    }
}
