//! Tokens that another issuer made for us, and that only a reviewer can check: service-account tokens, which the API
//! server reviews.
//!
//! Guarantees: a verdict holds for 20 s, and no longer than its token; no answer is never a verdict; the reviewer is
//! asked once for one token at a time, and not more often than its rate, whatever callers send.
//! Caveats: who floods us with forged tokens takes the rate away from tokens that are new to us, not from those that
//! were good before.

mod claims;
mod verdicts;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use http::StatusCode;
use lb_vocab::{Clock, Digest, Secret, Timestamp};

use super::Identity;
use crate::error::ApiError;
use claims::Claims;
use verdicts::{Found, Verdicts};

/// Checks tokens that we cannot check ourselves.
pub trait TokenReviewer: Send + Sync {
    /// Whose token this is; `None`: nobody's whom we know.
    fn review<'a>(&'a self, token: &'a Secret) -> BoxFuture<'a, Result<Option<Identity>, NoVerdict>>;
}

/// The reviewer did not answer: whose token it is is not known. It has said why where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoVerdict {
    /// When to ask again.
    pub retry_after: Duration,
}

impl From<NoVerdict> for ApiError {
    fn from(NoVerdict { retry_after }: NoVerdict) -> Self {
        let message = "whose token this is cannot be checked now";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "NO_VERDICT", message)
            .retry_after(retry_after.as_secs().max(1))
    }
}

type Answer = Result<Option<Identity>, NoVerdict>;
type Flight = Shared<BoxFuture<'static, Answer>>;

/// A reviewer behind a cache and a limit. Clones share them.
#[derive(Clone)]
pub struct Reviews(Arc<Inner>);

struct Inner {
    reviewer: Arc<dyn TokenReviewer>,
    audience: String,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    verdicts: Verdicts,
    /// Reviews under way, by their token's digest.
    flights: HashMap<Digest, Flight>,
}

/// A token that says of itself that it is one for the reviewer.
pub(super) struct Concerned {
    expires: Timestamp,
}

impl Reviews {
    /// Asks this reviewer about tokens for `audience`: at most `rate` times a second about tokens that are new to us,
    /// and as often about those that were good before.
    pub fn new(reviewer: Arc<dyn TokenReviewer>, audience: &str, rate: usize, clock: Clock) -> Self {
        let state = State { verdicts: Verdicts::new(rate), flights: HashMap::new() };
        Self(Arc::new(Inner { reviewer, audience: audience.to_owned(), clock, state: Mutex::new(state) }))
    }

    /// Whether the token says that another issuer than `ours` made it for our audience.
    pub(super) fn concerns(&self, token: &Secret, ours: Option<&str>) -> Option<Concerned> {
        let claims = Claims::read(token.reveal())?;
        let foreign = claims.issuer.is_some() && claims.issuer.as_deref() != ours;
        let expires = claims.expires?;
        (foreign && claims.audiences.contains(&self.0.audience)).then_some(Concerned { expires })
    }

    /// Whose token this is; `None`: nobody's.
    pub(super) async fn identify(&self, token: &Secret, concerned: &Concerned) -> Answer {
        let Concerned { expires } = *concerned;
        let flight = {
            let now = self.0.clock.now();
            if now >= expires {
                return Ok(None);
            }
            let digest = Digest::of(token.reveal().as_bytes());
            let mut state = self.0.state();
            let State { verdicts, flights } = &mut *state;
            let known = match verdicts.find(&digest, now) {
                Found::Verdict(who) => return Ok(who),
                Found::GoodBefore => true,
                Found::Nothing => false,
            };
            match flights.get(&digest) {
                Some(flight) => flight.clone(),
                None if !verdicts.may_ask(known, now) => {
                    return Err(NoVerdict { retry_after: Duration::from_secs(1) });
                }
                None => {
                    let flight = self.fly(token.clone(), digest.clone(), expires);
                    flights.insert(digest, flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    /// Starts a review, which goes on where its caller has gone away: others may wait for it.
    fn fly(&self, token: Secret, digest: Digest, expires: Timestamp) -> Flight {
        let inner = Arc::clone(&self.0);
        let flight = async move {
            let answer = inner.reviewer.review(&token).await;
            let now = inner.clock.now();
            let mut state = inner.state();
            state.flights.remove(&digest);
            if let Ok(who) = &answer {
                state.verdicts.note(digest, who.clone(), expires, now);
            }
            answer
        };
        let flight = flight.boxed().shared();
        tokio::spawn(flight.clone());
        flight
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use http::{HeaderMap, header};
    use lb_testkit::clock::ManualClock;
    use tokio::sync::Semaphore;

    use lb_vocab::settings::AuthMode;

    use super::super::{Authenticator, Passwords, StaticTokens};
    use super::*;
    use crate::contract::git_api::Permission;

    const RATE: usize = 10;

    /// Knows tokens whose signature is `good`, answers nothing for `silent`, and waits while its gate is shut.
    struct Fake {
        asked: AtomicUsize,
        gate: Semaphore,
    }

    impl TokenReviewer for Fake {
        fn review<'a>(&'a self, token: &'a Secret) -> BoxFuture<'a, Answer> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::SeqCst);
                let _open = self.gate.acquire().await.unwrap();
                match token.reveal().rsplit('.').next() {
                    Some("good") => Ok(Some(pod())),
                    Some("silent") => Err(NoVerdict { retry_after: Duration::from_secs(7) }),
                    _ => Ok(None),
                }
            })
        }
    }

    /// Holds every password for right: what gets here would be let in.
    struct Anything;

    impl Passwords for Anything {
        fn check<'a>(
            &'a self,
            _: &'a str,
            _: &'a Secret,
        ) -> BoxFuture<'a, Result<Option<Permission>, ApiError>> {
            Box::pin(async { Ok(Some(Permission::Admin)) })
        }
    }

    fn pod() -> Identity {
        Identity::Pod { producer: "al-dev".parse().unwrap(), component: "workspace".into() }
    }

    struct Case {
        clock: ManualClock,
        fake: Arc<Fake>,
        authenticator: Authenticator,
    }

    impl Case {
        fn new(open: usize) -> Self {
            let clock = ManualClock::default();
            let fake = Arc::new(Fake { asked: AtomicUsize::new(0), gate: Semaphore::new(open) });
            let reviews = Reviews::new(fake.clone(), "git-api", RATE, clock.clock());
            let authenticator = Authenticator::new(AuthMode::Tokens, StaticTokens::default())
                .verifier(super::super::Verifier::new("lunchbadger", "git-api", clock.clock()))
                .reviews(reviews)
                .passwords(Arc::new(Anything));
            Self { clock, fake, authenticator }
        }

        fn asked(&self) -> usize {
            self.fake.asked.load(Ordering::SeqCst)
        }

        /// A token of another issuer that expires in so many seconds; `id` tells it from others.
        fn token(&self, id: usize, seconds: u64, signature: &str) -> String {
            let exp = self.clock.clock().now().seconds() + seconds;
            jwt(
                &format!(r#"{{"iss":"https://kubernetes","aud":["git-api"],"exp":{exp},"jti":{id}}}"#),
                signature,
            )
        }

        async fn send(&self, authorization: &str) -> Result<Identity, ApiError> {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
            self.authenticator.identify(&headers).await
        }

        async fn bearer(&self, token: &str) -> Result<Identity, u16> {
            self.send(&format!("Bearer {token}")).await.map_err(|error| error.status().as_u16())
        }
    }

    fn jwt(claims: &str, signature: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{signature}", part(r#"{"alg":"RS256"}"#), part(claims))
    }

    #[tokio::test]
    async fn a_good_verdict_holds_for_twenty_seconds() {
        let case = Case::new(1);
        let token = case.token(0, 3600, "good");
        for (asked, wait) in [(1, 0), (1, 19_999), (2, 1), (2, 19_999), (3, 1)] {
            case.clock.advance(Duration::from_millis(wait));
            assert_eq!(case.bearer(&token).await, Ok(pod()));
            assert_eq!(case.asked(), asked);
        }
        case.clock.set(Timestamp(case.clock.clock().now().0 - 1));
        assert_eq!(case.bearer(&token).await, Ok(pod()));
        assert_eq!(case.asked(), 4, "a clock that is set back prolongs nothing");
    }

    #[tokio::test]
    async fn no_verdict_outlives_its_token() {
        let case = Case::new(1);
        let token = case.token(0, 7, "good");
        assert_eq!(case.bearer(&token).await, Ok(pod()));
        case.clock.advance(Duration::from_secs(7));
        assert_eq!(case.bearer(&token).await, Err(401));
        assert_eq!(case.asked(), 1, "what has expired is not asked about");
    }

    #[tokio::test]
    async fn a_bad_verdict_holds_for_five_seconds() {
        let case = Case::new(1);
        let token = case.token(0, 3600, "forged");
        for (asked, wait) in [(1, 0), (1, 4_999), (2, 1)] {
            case.clock.advance(Duration::from_millis(wait));
            assert_eq!(case.bearer(&token).await, Err(401));
            assert_eq!(case.asked(), asked);
        }
    }

    #[tokio::test]
    async fn no_answer_is_a_503_that_is_not_kept() {
        use axum::response::IntoResponse;

        let case = Case::new(1);
        let token = case.token(0, 3600, "silent");
        let error = case.send(&format!("Bearer {token}")).await.unwrap_err();
        let response = error.into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"7".parse().unwrap())
        );
        assert_eq!(case.bearer(&token).await, Err(503));
        assert_eq!(case.asked(), 2);
    }

    #[tokio::test]
    async fn callers_with_one_token_share_one_review() {
        let case = Case::new(0);
        let token = case.token(0, 3600, "good");
        let gone = case.bearer(&token);
        assert!(futures::poll!(std::pin::pin!(gone)).is_pending(), "the first caller goes away");
        let callers = futures::future::join_all((0..50).map(|_| case.bearer(&token)));
        let (answers, ()) = tokio::join!(callers, async { case.fake.gate.add_permits(1) });
        assert!(answers.iter().all(|answer| *answer == Ok(pod())));
        assert_eq!(case.asked(), 1);
    }

    #[tokio::test]
    async fn a_flood_asks_no_more_than_the_rate_and_keeps_nobody_out_who_was_known() {
        let case = Case::new(1);
        let good = case.token(0, 3600, "good");
        assert_eq!(case.bearer(&good).await, Ok(pod()));
        case.clock.advance(Duration::from_secs(20));
        let before = case.asked();
        let mut answers = [0, 0];
        for id in 0..2_000 {
            match case.bearer(&case.token(id, 3600, "forged")).await {
                Err(401) => answers[0] += 1,
                Err(503) => answers[1] += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((case.asked() - before, answers), (RATE, [RATE, 2_000 - RATE]));
        assert_eq!(case.bearer(&good).await, Ok(pod()), "it was good before");
        case.clock.advance(Duration::from_secs(1));
        assert_eq!(case.bearer(&case.token(2_000, 3600, "good")).await, Ok(pod()), "the next second");
    }

    #[tokio::test]
    async fn only_tokens_for_us_of_another_issuer_are_reviewed() {
        let case = Case::new(1);
        let exp = case.clock.clock().now().seconds() + 60;
        for claims in [
            format!(r#"{{"iss":"lunchbadger","aud":"git-api","exp":{exp}}}"#),
            format!(r#"{{"aud":"git-api","exp":{exp}}}"#),
            format!(r#"{{"iss":"k","aud":["configstore"],"exp":{exp}}}"#),
            format!(r#"{{"iss":"k","exp":{exp}}}"#),
            r#"{"iss":"k","aud":"git-api"}"#.to_owned(),
        ] {
            assert_eq!(case.bearer(&jwt(&claims, "good")).await, Err(401), "{claims}");
        }
        for garbage in ["x", "a.b.c", &"x".repeat(1 << 20)] {
            assert_eq!(case.bearer(garbage).await, Err(401));
        }
        assert_eq!(case.asked(), 0);
    }

    #[tokio::test]
    async fn a_reviewed_token_may_be_the_password_of_any_name_and_is_tried_as_nothing_else() {
        let case = Case::new(1);
        let basic = |password: String| format!("Basic {}", STANDARD.encode(format!("git:{password}")));
        assert_eq!(case.send(&basic(case.token(0, 60, "good"))).await, Ok(pod()));
        let status = |answer: Result<Identity, ApiError>| answer.map_err(|error| error.status().as_u16());
        assert_eq!(status(case.send(&basic(case.token(1, 60, "forged"))).await), Err(401));
        assert_eq!(status(case.send(&basic(case.token(2, 60, "silent"))).await), Err(503));
        let user = Identity::user("git");
        assert_eq!(case.send(&basic("an ordinary password".into())).await, Ok(user));
    }
}
