//! HTTP front ends: the four forms in which a request reaches a function, and what each wants as an answer.
//! Owns: which form an event has. Must not know: routes.

mod answer;
mod event;
mod request;

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) use event::FrontEnd;
use event::HttpEvent;

use crate::deadline::working_time;
use crate::runtime::Reply;
use crate::settings::Settings;

/// An answer whose body is complete.
pub(crate) type FullResponse = Response<Bytes>;

/// Has the request in `event` answered by `respond` and answers in the event's form. `expired` is what to answer when `time_left` is about to be over; `respond` is then
/// cancelled.
pub(crate) async fn serve<R: Future<Output = FullResponse>>(
    front: FrontEnd,
    event: Value,
    settings: &Settings,
    time_left: Option<Duration>,
    respond: impl FnOnce(Request) -> R,
    expired: fn(Duration) -> FullResponse,
) -> Reply {
    let built = match serde_json::from_value::<HttpEvent>(event) {
        Ok(http_event) => request::build(&front, http_event, &settings.path_prefix),
        Err(error) => Err(format!("the {} event cannot be read: {error}\n", front.name())),
    };
    let (response, takes_gzip) = match built {
        Ok(mut request) => {
            let takes_gzip = server::takes_gzip(request.headers());
            // Not every front end passes on bytes as they are: what fits as text is answered as text.
            request.headers_mut().remove(header::ACCEPT_ENCODING);
            let response = match time_left {
                None => respond(request).await,
                Some(left) => tokio::time::timeout(working_time(left), respond(request)).await.unwrap_or_else(|_| expired(left)),
            };
            (response, takes_gzip)
        }
        Err(refusal) => (text(StatusCode::BAD_REQUEST, refusal), false),
    };
    answer::reply(&front, response, takes_gzip, settings.response)
}

/// The router's answer, read to its end.
pub(crate) async fn ask(router: Router, request: Request) -> FullResponse {
    let Ok(response) = router.oneshot(request).await;
    let (head, body) = response.into_parts();
    match axum::body::to_bytes(body, usize::MAX).await {
        Ok(body) => Response::from_parts(head, body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer cannot be read: {error}\n")),
    }
}

/// A plain text answer, as Go's `http.Error` sends it.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> FullResponse {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
