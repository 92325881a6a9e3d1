//! Every route of the sls-api with its rule.

use lb_http::route::Seam;

use super::{Shared, service};

lb_http::routes! { Shared;
    GET "/ping" Public service::ping, "`{uptime}` in seconds; `{unpushed}` saves that are not at the git host yet";
    GET "/service" Read service::list, "array of `{serverless,files}`, one for each directory; `problem` where its `serverless.yml` cannot be read";
    POST "/service" Write service::create, "`{serverless,files}` of the new service of `{name,env,version,lunchbadger?}`; 409 where there is one, 422 for a name or runtime that is none";
    DELETE "/service" Write service::remove_all, "`{msg}`: `REMOVED` or `ALREADY_REMOVED`, for all services";
    GET "/service/{name}" Read service::get, "`{serverless,files}`; 404 where there is none";
    PUT "/service/{name}" Write service::put, "`{serverless,files}` after both were written; in the tree null removes; 422 with what is wrong";
    DELETE "/service/{name}" Write service::remove, "`{msg}`: `REMOVED` or `ALREADY_REMOVED`";
    GET "/service/{name}/logs" Read service::unavailable, "501: nothing runs functions yet";
    POST "/deploy" Write service::unavailable, "501, likewise";
    DELETE "/deploy/{name}" Write service::unavailable, "501, likewise";
}

pub(super) fn all(seam: &Seam, api: &Shared) -> axum::Router {
    router(seam).with_state(api.clone())
}
