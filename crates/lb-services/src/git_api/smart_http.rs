//! Smart HTTP: what the ordinary `git` client speaks. Requests and answers are streamed both ways.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures::{Stream, StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use lb_git::{Advertisement, ByteStream, Login, Rpc, Service};
use lb_http::auth::Identity;
use lb_http::error::ApiError;
use lb_vocab::{GitUser, Prefix};
use tokio::sync::mpsc;
use tokio_util::io::{ReaderStream, StreamReader};

use super::limits::Place;
use super::target::AtRepo;
use super::{Shared, errors, guard};

/// How long a client may take nothing of an answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pieces of an answer that wait for the client.
const PIECES: usize = 4;

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
        Identity::User { login, reach: _ } => login.parse().ok(),
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
        .body(Body::from_stream(patient(stream, place)))
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", error.to_string()))
}

/// The stream, at the pace of its reader. A reader that takes nothing for [`PATIENCE`] loses it: the process behind
/// it and its place among the requests are given back then, and at its end.
fn patient(mut stream: ByteStream, place: Place) -> impl Stream<Item = Result<Bytes, io::Error>> + Send {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let _place = place;
        while let Some(piece) = stream.next().await {
            let last = piece.is_err();
            match sender.send_timeout(Some(piece), PATIENCE).await {
                Ok(()) if !last => {}
                Ok(()) | Err(_) => return,
            }
        }
        // Without this mark the end of the channel is a stream that was cut off.
        let _ = sender.send(None).await;
    });
    futures::stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver: mpsc::Receiver<Option<Result<Bytes, io::Error>>> = receiver?;
        match receiver.recv().await {
            Some(Some(Ok(piece))) => Some((Ok(piece), Some(receiver))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => None,
            None => Some((Err(io::Error::from(io::ErrorKind::TimedOut)), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(count: usize) -> ByteStream {
        futures::stream::iter((0..count).map(|n| Ok(Bytes::from(vec![0; n])))).boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_gets_everything_and_the_end() {
        let all: Vec<_> = patient(pieces(100), Place::default()).collect().await;
        assert!(
            all.iter().enumerate().all(|(n, piece)| piece.as_ref().unwrap().len() == n) && all.len() == 100
        );
        let broken = futures::stream::iter([Ok(Bytes::new()), Err(io::Error::other("broken"))]).boxed();
        let all: Vec<_> = patient(broken, Place::default()).collect().await;
        assert!(all.len() == 2 && all[1].is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_loses_the_stream_and_does_not_see_a_clean_end() {
        let (alive, gone) = tokio::sync::oneshot::channel::<()>();
        let source = pieces(100).map(move |piece| {
            let _alive = &alive;
            piece
        });
        let stream = patient(source.boxed(), Place::default());
        gone.await.expect_err("the source is dropped although its reader still stands");
        let read: Vec<_> = stream.collect().await;
        assert_eq!(read.len(), PIECES + 1);
        assert!(read.last().unwrap().is_err());
    }
}
