//! A request and its answer, as the connection they came on sees them: when the answer is taken, whether the body was read.
//! Must not know: routes, time limits.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::progress::{Answering, Progress, Request as InFlight};

/// Bytes of an answer that are handed to the connection at a time: a client that has not taken so much in time is not reading.
const PIECE: usize = 64 << 10;

/// The router, on one connection.
#[derive(Clone, Debug)]
pub(super) struct Exchanges {
    router: TowerToHyperService<Router>,
    progress: Arc<Progress>,
}

impl Exchanges {
    pub(super) fn new(router: Router, progress: Arc<Progress>) -> Self {
        Self { router: TowerToHyperService::new(router), progress }
    }
}

impl Service<Request<Incoming>> for Exchanges {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Answer>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = self.progress.request();
        let body = |body| Body::new(Tracked { body, progress: Arc::clone(&self.progress), has_ended: false });
        let answered = self.router.call(request.map(body));
        let progress = Arc::clone(&self.progress);
        async move { Ok(answered.await?.map(|body| Answer::new(body, &progress, in_flight))) }.boxed()
    }
}

/// The body of a request.
#[derive(Debug)]
struct Tracked {
    body: Incoming,
    progress: Arc<Progress>,
    has_ended: bool,
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.has_ended = frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if !self.has_ended && !self.body.is_end_stream() {
            self.progress.left_body_unread();
        }
    }
}

/// The body of an answer, in pieces. It counts as held until the last of them is written.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    /// What of the last frame is not handed over yet.
    rest: Bytes,
    /// `None`: there is nothing to take.
    answering: Option<Arc<Answering>>,
    _in_flight: InFlight,
}

impl Answer {
    fn new(body: Body, progress: &Arc<Progress>, in_flight: InFlight) -> Self {
        let bytes = usize::try_from(HttpBody::size_hint(&body).lower()).unwrap_or(usize::MAX);
        let answering = (!body.is_end_stream()).then(|| Arc::new(progress.answer(bytes)));
        Self { body, rest: Bytes::new(), answering, _in_flight: in_flight }
    }

    fn piece(&mut self) -> Bytes {
        let bytes = self.rest.split_to(self.rest.len().min(PIECE));
        match &self.answering {
            Some(answering) => {
                answering.moved();
                Bytes::from_owner(Piece { bytes, answering: Arc::clone(answering) })
            }
            None => bytes,
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                self.answering.iter().for_each(|answering| answering.waits());
                return Poll::Pending;
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(self.piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let body = HttpBody::size_hint(&self.body);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

/// A piece that is not written yet.
struct Piece {
    bytes: Bytes,
    answering: Arc<Answering>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.answering.moved();
    }
}
