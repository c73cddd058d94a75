//! gRPC's unary methods that take pushes, over HTTP/2 as everything else: the same guards, limits and counts.
//! Owns: frames of messages, which encodings they may have, a status of gRPC for each of HTTP. Must not know: what is in a message.
//!
//! A handler answers in HTTP's terms: 200 with the response message, or another status with a text. [`translate`] makes the frame and the trailers of that, outside of
//! what counts and guards the route, so that metrics have the statuses of the same push over HTTP. It is written by hand: a frame is five bytes, and so the bound on
//! bodies in memory and the bounded decompression of the other routes hold for messages too.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Full, Limited};
use ingest_fn::GrpcMethod;

use crate::serve::router::{respond, text, unavailable};
use crate::serve::state::App;
use crate::serve::tenant;

/// The methods by their paths.
pub(crate) const ROUTES: [(&str, GrpcMethod); 2] =
    [("/opentelemetry.proto.collector.logs.v1.LogsService/Export", GrpcMethod::OtlpExport), ("/logproto.Pusher/Push", GrpcMethod::LokiPush)];

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// What a message may be compressed with.
const ENCODINGS: [&str; 5] = ["identity", "gzip", "deflate", "zstd", "snappy"];
const ENCODINGS_TEXT: &str = "identity,gzip,deflate,zstd,snappy";
/// The flag and the length before a message.
const FRAME_BYTES: usize = 5;
/// Longest message of a status: a header has to hold it, percent-encoded.
const MAX_STATUS_BYTES: usize = 1024;
/// Longest text of an answer that is read.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// Takes the message of a call and answers in HTTP's terms.
pub(crate) async fn call(method: GrpcMethod, State(app): State<Arc<App>>, request: Request) -> Response {
    let (head, incoming) = request.into_parts();
    if let Some(reason) = app.phase().refusal() {
        return unavailable(reason);
    }
    let tenant = match tenant::of_request(&head.headers, app.config.auth_enabled) {
        Ok(tenant) => tenant,
        Err(refusal) => return text(refusal.status, refusal.message),
    };
    let encoding = match head.headers.get(ENCODING).map(|value| value.to_str().unwrap_or("?")) {
        None => "identity",
        Some(named) => match ENCODINGS.into_iter().find(|known| *known == named) {
            Some(known) => known,
            None => return text(StatusCode::NOT_IMPLEMENTED, format!("grpc-encoding {named} is not supported: only {ENCODINGS_TEXT} are")),
        },
    };
    let body = match app.push_body_within(&head.headers, incoming, app.config.ingest_limits.max_body_bytes.saturating_add(FRAME_BYTES)).await {
        Ok(body) => body,
        Err(refusal) => return text(refusal.status, refusal.message),
    };
    match message_of(&body.bytes, encoding) {
        Ok((message, encoding)) => respond(app.roles.message(method, encoding, message, tenant).await),
        Err(problem) => text(StatusCode::BAD_REQUEST, problem),
    }
}

/// The one message of a body, and how it is compressed, if it is.
fn message_of<'e>(body: &Bytes, encoding: &'e str) -> Result<(Bytes, Option<&'e str>), String> {
    let Some(([flag, length @ ..], message)) = body.split_first_chunk::<FRAME_BYTES>() else {
        return Err(format!("the call has no message: {} bytes are no frame", body.len()));
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if message.len() != length {
        return Err(format!("the call must have one whole message: its frame says {length} bytes, {} follow", message.len()));
    }
    let message = body.slice(FRAME_BYTES..);
    match (flag, encoding) {
        (0, _) => Ok((message, None)),
        (1, "identity") => Err("the message is marked as compressed, and grpc-encoding does not say how".to_owned()),
        (1, encoding) => Ok((message, Some(encoding))),
        _ => Err(format!("the message's frame begins with {flag}, where 0 or 1 is expected")),
    }
}

/// Middleware of the methods, outside of all others: what they answer becomes an answer of gRPC. What is no call of gRPC is told so in plain HTTP.
pub(crate) async fn translate(request: Request, next: Next) -> Response {
    let is_grpc = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|content_type| {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("application/grpc") || media_type.eq_ignore_ascii_case("application/grpc+proto")
    });
    if !is_grpc {
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "this is a method of gRPC: content type application/grpc over HTTP/2 is expected\n");
    }
    if request.version() != Version::HTTP_2 {
        return text(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "gRPC needs HTTP/2\n");
    }
    let (head, body) = next.run(request).await.into_parts();
    let read = Limited::new(body, MAX_TEXT_BYTES).collect().await.map(http_body_util::Collected::to_bytes);
    match read {
        Ok(message) if head.status == StatusCode::OK => answered(&message),
        Ok(said) => refused(head.status, &head.headers, &String::from_utf8_lossy(&said)),
        Err(_) => refused(head.status, &head.headers, "no reason that can be told"),
    }
}

/// The message in its frame, then the status in the trailers.
fn answered(message: &[u8]) -> Response {
    let mut frame = BytesMut::with_capacity(FRAME_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    let trailers = async { Some(Ok(HeaderMap::from_iter([(STATUS, HeaderValue::from(Code::Ok.number()))]))) };
    let mut response = Response::new(Body::new(Full::new(frame.freeze()).with_trailers(trailers)));
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS_TEXT));
    response
}

/// A status alone, in the head, which ends the answer.
fn refused(status: StatusCode, headers: &HeaderMap, said: &str) -> Response {
    let code = Code::of(status);
    let said = said.trim_end();
    let said = said.get(..said.floor_char_boundary(MAX_STATUS_BYTES)).unwrap_or(said);
    let mut response = Response::new(Body::empty());
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    out.insert(ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS_TEXT));
    out.insert(STATUS, HeaderValue::from(code.number()));
    if let Ok(value) = HeaderValue::from_str(&percent_encoded(said)) {
        out.insert(MESSAGE, value);
    }
    if matches!(code, Code::ResourceExhausted | Code::Unavailable) {
        let after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok()).unwrap_or(1);
        if let Ok(value) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(retry_status(code, said, after))) {
            out.insert(DETAILS, value);
        }
    }
    response
}

/// The statuses that a push can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Ok,
    InvalidArgument,
    PermissionDenied,
    /// Retried by exporters of OpenTelemetry only because it comes with the time after which to try again.
    ResourceExhausted,
    Unimplemented,
    Internal,
    /// Retried by everybody.
    Unavailable,
    Unauthenticated,
}

impl Code {
    /// What a status of the push routes means in gRPC. What a retry can cure is one that clients retry; a body that is too large never fits, so it is not.
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::FORBIDDEN => Self::PermissionDenied,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Self::Unimplemented,
            StatusCode::TOO_MANY_REQUESTS => Self::ResourceExhausted,
            StatusCode::INTERNAL_SERVER_ERROR => Self::Internal,
            StatusCode::REQUEST_TIMEOUT => Self::Unavailable,
            other if other.is_server_error() => Self::Unavailable,
            _ => Self::InvalidArgument,
        }
    }

    fn number(self) -> u16 {
        match self {
            Self::Ok => 0,
            Self::InvalidArgument => 3,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }
}

/// As `grpc-message` wants it: printable ASCII but the percent sign stays, every other byte is escaped.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

/// `google.rpc.Status { 1: code, 2: message, 3: Any { 1: type, 2: google.rpc.RetryInfo { 1: Duration { 1: seconds } } } }`
fn retry_status(code: Code, message: &str, seconds: u64) -> Vec<u8> {
    const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
    let duration = number_field(1, seconds);
    let any = [bytes_field(1, RETRY_INFO.as_bytes()), bytes_field(2, &bytes_field(1, &duration))].concat();
    [number_field(1, u64::from(code.number())), bytes_field(2, message.as_bytes()), bytes_field(3, &any)].concat()
}

/// A number in a field below 16.
fn number_field(number: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::uint64::encode(number, &value, &mut out);
    out
}

/// Bytes in a field below 16.
fn bytes_field(number: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::bytes::encode(number, &value.to_vec(), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_one_whole_message() {
        let read = |bytes: &'static [u8], encoding| message_of(&Bytes::from_static(bytes), encoding);
        assert_eq!(read(b"\0\0\0\0\x02ab", "gzip").unwrap(), (Bytes::from_static(b"ab"), None), "each message says whether it is compressed");
        assert_eq!(read(b"\x01\0\0\0\x02ab", "gzip").unwrap(), (Bytes::from_static(b"ab"), Some("gzip")));
        assert_eq!(read(b"\0\0\0\0\0", "identity").unwrap(), (Bytes::new(), None));
        for (bytes, told) in [
            (&b""[..], "the call has no message: 0 bytes are no frame"),
            (b"\0\0\0\0", "the call has no message: 4 bytes are no frame"),
            (b"\0\0\0\0\x03ab", "the call must have one whole message: its frame says 3 bytes, 2 follow"),
            (b"\0\0\0\0\x01a\0\0\0\0\x01b", "the call must have one whole message: its frame says 1 bytes, 7 follow"),
            (b"\0\xff\xff\xff\xff", "the call must have one whole message: its frame says 4294967295 bytes, 0 follow"),
            (b"\x01\0\0\0\0", "the message is marked as compressed, and grpc-encoding does not say how"),
            (b"\x02\0\0\0\0", "the message's frame begins with 2, where 0 or 1 is expected"),
        ] {
            assert_eq!(read(bytes, "identity").unwrap_err(), told);
        }
    }

    /// The codes that OTLP's specification calls retryable are 1, 4, 8 (with RetryInfo), 10, 11, 14 and 15.
    #[test]
    fn what_a_retry_can_cure_is_retried_and_nothing_else() {
        let retried = |status: u16| [1, 4, 8, 10, 11, 14, 15].contains(&Code::of(StatusCode::from_u16(status).unwrap()).number());
        assert!([408, 429, 502, 503, 504].into_iter().all(retried));
        assert!(![400, 401, 403, 404, 405, 413, 415, 422, 500, 501].into_iter().any(retried));
        for (status, code) in [(400, 3), (401, 16), (403, 7), (413, 3), (422, 3), (429, 8), (501, 12), (503, 14)] {
            assert_eq!(Code::of(StatusCode::from_u16(status).unwrap()).number(), code, "{status}");
        }
    }

    #[test]
    fn a_status_is_text_that_a_header_can_hold() {
        let response = refused(StatusCode::BAD_REQUEST, &HeaderMap::new(), "100 % größe\n");
        assert_eq!((&response.headers()[STATUS], &response.headers()[MESSAGE]), (&HeaderValue::from(3), &HeaderValue::from_static("100 %25 gr%C3%B6%C3%9Fe")));
        assert!(!response.headers().contains_key(DETAILS));
        let long = refused(StatusCode::BAD_REQUEST, &HeaderMap::new(), &"ü".repeat(5000));
        assert_eq!(long.headers()[MESSAGE].len(), 512 * 6);
    }

    /// `Status { code: 8, message: "later", details: [RetryInfo { retry_delay: { seconds: 7 } }] }`, spelled by hand.
    #[test]
    fn the_time_after_which_to_try_again_is_told() {
        let after = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static("7"))]);
        let response = refused(StatusCode::TOO_MANY_REQUESTS, &after, "later\n");
        let details = STANDARD_NO_PAD.decode(response.headers()[DETAILS].as_bytes()).unwrap();
        assert_eq!(details, b"\x08\x08\x12\x05later\x1a\x30\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x07");
    }
}
