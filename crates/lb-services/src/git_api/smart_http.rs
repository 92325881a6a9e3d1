//! Smart HTTP: what the ordinary `git` client speaks. Requests and answers are streamed both ways.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures::{Stream, StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use lb_git::{Advertisement, ByteStream, Login, Rpc, Service};
use lb_http::auth::Identity;
use lb_http::error::ApiError;
use lb_vocab::{GitUser, Prefix};
use tokio_util::io::{ReaderStream, StreamReader};

use super::limits::Place;
use super::target::AtRepo;
use super::{Shared, errors, guard};

/// `GET /{login}/{repository}/info/refs?service=`.
pub(super) async fn advertise(
    State(app): State<Shared>,
    at: AtRepo,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let service = guard::service(&parts)?;
    let wanted = Advertisement { service, protocol: protocol(&parts.headers) };
    let stream = app.host.advertise(&at.user, &at.repo, wanted).await.map_err(errors::api)?;
    answer(&format!("application/x-{}-advertisement", service.as_str()), stream, at.place)
}

/// `POST /{login}/{repository}/git-upload-pack` and `/git-receive-pack`.
pub(super) async fn rpc(
    State(app): State<Shared>,
    at: AtRepo,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let service = guard::service(&parts)?;
    let wanted = format!("application/x-{}-request", service.as_str());
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind != Some(&wanted) {
        let message = format!("the body must be of type {wanted}");
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
    }
    let rpc = Rpc {
        service,
        actor: actor(&at.who, &app.prefix),
        protocol: protocol(&parts.headers),
        body: decoded(&parts.headers, body)?,
        on_received: match service {
            Service::ReceivePack => app.previews.hook(&at.user, &at.repo),
            Service::UploadPack => None,
        },
    };
    let stream = app.host.rpc(&at.user, &at.repo, rpc).await.map_err(errors::api)?;
    answer(&format!("application/x-{}-result", service.as_str()), stream, at.place)
}

fn protocol(headers: &HeaderMap) -> Option<String> {
    headers.get("git-protocol").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Who is noted as the pusher: a pod pushes as its producer's user.
fn actor(who: &Identity, prefix: &Prefix) -> Option<Login> {
    match who {
        Identity::User { login } => login.parse().ok(),
        Identity::Pod { producer, component: _ } => {
            Login::try_from(&GitUser::of(prefix.clone(), producer.name())).ok()
        }
        Identity::Anonymous | Identity::System { .. } | Identity::Operator => None,
    }
}

/// The body without its content coding: git compresses what it sends to negotiate. The host bounds what comes out.
fn decoded(headers: &HeaderMap, body: Body) -> Result<ByteStream, ApiError> {
    let bytes = body.into_data_stream().map_err(io::Error::other);
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity" | b"") => Ok(bytes.boxed()),
        Some(b"gzip" | b"x-gzip") => {
            let decoder = async_compression::tokio::bufread::GzipDecoder::new(StreamReader::new(bytes));
            Ok(ReaderStream::new(decoder).boxed())
        }
        Some(_) => {
            let message = "the body may be compressed with gzip alone";
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_ENCODING", message))
        }
    }
}

fn answer(kind: &str, stream: ByteStream, place: Place) -> Result<Response, ApiError> {
    Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, "no-cache, max-age=0, must-revalidate")
        .body(Body::from_stream(holding(stream, place)))
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", error.to_string()))
}

/// The stream, which keeps its request's place until it ends or is dropped.
fn holding(stream: ByteStream, place: Place) -> impl Stream<Item = Result<Bytes, io::Error>> + Send {
    stream.map(move |bytes| {
        let _place = &place;
        bytes
    })
}
