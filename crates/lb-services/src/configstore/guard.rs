//! Who may do what with which producer.

use axum::http::request::Parts;
use futures::future::BoxFuture;
use lb_http::auth::{Guard, Identity, Rule};
use lb_http::error::ApiError;
use lb_vocab::{GitUser, Prefix, ProducerName};

use crate::owner::owns;

/// Decides by name: a producer is its git user's and its pods'.
pub(super) struct ProducerGuard {
    pub(super) prefix: Prefix,
}

impl Guard for ProducerGuard {
    fn allows<'a>(
        &'a self,
        rule: Rule,
        who: &'a Identity,
        _: &'a Parts,
        parameters: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<bool, ApiError>> {
        let name =
            parameters.iter().find(|(key, _)| key == "name").map(|(_, name)| name.parse::<ProducerName>());
        let owner = name.and_then(Result::ok).map(|name| GitUser::of(self.prefix.clone(), &name));
        let allowed = match (rule, owner) {
            (Rule::Public, _) => true,
            (Rule::Owner, Some(owner)) => owns(who, &owner, &self.prefix),
            (Rule::User, Some(owner)) => *who == Identity::User { login: owner.to_string() },
            // Whose repositories are read is git-api's question.
            (Rule::System | Rule::Owner | Rule::User | Rule::Read | Rule::Admin | Rule::Git, _) => false,
        };
        Box::pin(std::future::ready(Ok(allowed)))
    }
}
