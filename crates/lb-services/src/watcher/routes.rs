//! Every route of the watcher with its rule.

use axum::Router;
use lb_http::route::Seam;

use super::{Shared, stream};

lb_http::routes! { Shared;
    GET "/v2/channels/{channel}" Read stream::stream, "event stream of `<producer>-<env>`: each message is the whole state, the first at once";
    GET "/channels/{channel}" Read stream::stream, "the same, for older clients";
}

pub(super) fn all(seam: &Seam) -> Router<Shared> {
    router(seam)
}
