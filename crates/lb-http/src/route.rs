//! Routes with their rules: one table per role, made by [`routes!`](crate::routes). A route without a rule does not
//! compile, and its table is what the documentation and the matrix of roles are checked against.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter};
use http::StatusCode;

use crate::auth::{Authenticator, Guard, Identity, Rule};
use crate::error::ApiError;
use crate::extract::Parameters;

/// How long an answer may take to begin; git's own transfers are not concerned.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(60);

/// A route of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// `GET`, `PUT`, ..., or `ANY`.
    pub method: &'static str,
    /// The path with its parameters: `/users/{prefix}/{name}`.
    pub path: &'static str,
    /// Who may use it.
    pub rule: Rule,
    /// What it answers, for the documentation.
    pub answer: &'static str,
}

/// What stands before every route of a service.
#[derive(Clone)]
pub struct Seam {
    authenticator: Arc<Authenticator>,
    guard: Arc<dyn Guard>,
}

impl Seam {
    /// A seam of what knows the callers and what decides about them.
    pub fn new(authenticator: Authenticator, guard: Arc<dyn Guard>) -> Self {
        Self { authenticator: Arc::new(authenticator), guard }
    }

    /// The route behind its rule. Handlers find the [`Identity`] among the request's extensions.
    pub fn guarded<S: Clone + Send + Sync + 'static>(
        &self,
        rule: Rule,
        route: MethodRouter<S>,
    ) -> MethodRouter<S> {
        route.route_layer(from_fn_with_state((self.clone(), rule), check))
    }
}

/// The filter of a table's method.
#[must_use]
pub fn filter(method: &str) -> MethodFilter {
    match method {
        "GET" => MethodFilter::GET,
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        _ => MethodFilter::GET
            .or(MethodFilter::POST)
            .or(MethodFilter::PUT)
            .or(MethodFilter::PATCH)
            .or(MethodFilter::DELETE),
    }
}

async fn check(
    State((seam, rule)): State<(Seam, Rule)>,
    parameters: Result<Parameters, ApiError>,
    request: Request,
    next: Next,
) -> Response {
    // A path that is not UTF-8 names nothing: only the platform itself gets on to be told so.
    let Parameters(parameters) = parameters.unwrap_or_default();
    let request = match admit(&seam, rule, &parameters, request).await {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    if rule == Rule::Git {
        return next.run(request).await;
    }
    match tokio::time::timeout(HANDLER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "TIMEOUT", "the answer took too long").into_response()
        }
    }
}

async fn admit(
    seam: &Seam,
    rule: Rule,
    parameters: &[(String, String)],
    request: Request,
) -> Result<Request, ApiError> {
    if rule == Rule::Public {
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    let who = seam.authenticator.identify(&parts.headers).await?;
    if who == Identity::Anonymous {
        return Err(ApiError::unauthenticated());
    }
    let allowed = who.is_system()
        || (rule != Rule::System && seam.guard.allows(rule, &who, &parts, parameters).await?);
    if !allowed {
        return Err(ApiError::forbidden());
    }
    parts.extensions.insert(who);
    Ok(Request::from_parts(parts, body))
}

/// Declares the routes of a service: the table `ROUTES` and `fn router(&Seam) -> Router<State>`.
///
/// ```text
/// lb_http::routes! { App;
///     GET "/users/{prefix}/{name}" Owner user, "`{user}`";
/// }
/// ```
#[macro_export]
macro_rules! routes {
    ($state:ty; $($method:ident $path:literal $rule:ident $handler:expr, $answer:literal;)+) => {
        /// Every route of this service with its rule.
        pub const ROUTES: &[$crate::route::RouteInfo] = &[$(
            $crate::route::RouteInfo {
                method: stringify!($method),
                path: $path,
                rule: $crate::auth::Rule::$rule,
                answer: $answer,
            },
        )+];

        fn router(seam: &$crate::route::Seam) -> axum::Router<$state> {
            axum::Router::new()$(.route(
                $path,
                seam.guarded(
                    $crate::auth::Rule::$rule,
                    axum::routing::on($crate::route::filter(stringify!($method)), $handler),
                ),
            ))+
        }
    };
}
