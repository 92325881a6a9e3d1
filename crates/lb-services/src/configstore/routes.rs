//! Every route of the configstore with its rule. All of them also answer under `/api`, for older clients.

use axum::Router;
use lb_http::route::Seam;

use super::{Shared, hook, openapi, producers, sign_up, stream};

lb_http::routes! { Shared;
    GET "/producers" System producers::list, "array of the prefix's git users with `name`, `namespace`, `repos`, and `finding` where it can be no producer; header `x-total-count`";
    POST "/producers" System producers::create, "`{id,user:{user},repos}` of `{id}`; makes user, repositories `dev` and `functions`, and their webhooks";
    GET "/producers/{name}" Read producers::get, "`{id,envs:{},user,repos}`; 404 where unknown";
    ANY "/producers/{name}/accesskey" Owner producers::access_key, "`{key:null,message}`";
    PUT "/producers/{name}/openapi/{environment}/{commit}" Owner openapi::put, "`{commit,kept}`; keeps the OpenAPI document of the producer's app in git; for the workspace's pod itself";
    POST "/sign-up" Known sign_up::sign_up, "as `POST /producers`, for a git user, who becomes its admin; 409 where the name is taken; only where SIGN_UP is `self`";
    POST "/hook" Public hook::hook, "`{ok:true}`: the git server's push webhook about `?repository=`, signed with that repository's secret";
    GET "/hooks" System hook::hooks, "`{accepted,lastAccepted,refused,lastRefused,repairs}`: webhooks since the start, the last ones with `repository` and `at`; `repairs` are webhooks that were registered anew";
    GET "/change-stream/{name}" Read stream::stream, "event stream of the producer's pushes: events `data`";
}

pub(super) fn all(seam: &Seam) -> Router<Shared> {
    Router::new().merge(router(seam)).nest("/api", router(seam))
}
