//! Pushes that come as the message of a gRPC method: what was pushed, without frames, and the answer, before it gets its frame and status.
//! A success is 200 with the method's response message. Anything else has the status that the same push would have over HTTP, and plain text: whoever
//! speaks gRPC makes its status of that. Must not know: frames, trailers, any HTTP server.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use schema::TenantId;

use crate::commit::Ingester;
use crate::error::PushError;
use crate::handler::{PushResponse, handle_push};
use crate::otlp_answer::{Outcome, partial_message, store_otlp};
use crate::request::{PushFormat, PushRequest};

/// A method that takes pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcMethod {
    /// `opentelemetry.proto.collector.logs.v1.LogsService/Export`
    OtlpExport,
    /// `logproto.Pusher/Push`
    LokiPush,
}

/// Decodes, validates and stores the message of a call, and counts it. Returns once its rows are stored or refused.
/// `encoding` is how it is compressed, by the names of `Content-Encoding`.
pub async fn handle_message(ingester: &Ingester, method: GrpcMethod, encoding: Option<&str>, message: Bytes, tenant: TenantId) -> Response<Bytes> {
    let body_bytes = message.len();
    let format = match method {
        GrpcMethod::OtlpExport => PushFormat::Otlp,
        GrpcMethod::LokiPush => PushFormat::Message,
    };
    let request = PushRequest { content_type: Some("application/x-protobuf"), content_encoding: encoding, backfill_shard: None, format, body: message, tenant };
    if method == GrpcMethod::LokiPush {
        // `PushResponse {}`
        return plain(handle_push(ingester, request).await);
    }
    let response = match store_otlp(ingester, &request).await {
        // An empty request is well: so OTLP's specification wants it.
        Outcome::Stored | Outcome::Failed(PushError::NoStreams) => Response::new(Bytes::new()),
        Outcome::Partly { rejected, message } => Response::new(partial_message(rejected, &message)),
        Outcome::AllRefused { message } => text(StatusCode::BAD_REQUEST, message),
        Outcome::Failed(error) => plain(PushResponse::from(&error)),
    };
    ingester.metrics().answered(response.status(), body_bytes);
    response
}

/// 204 becomes 200, since there is a message, an empty one.
fn plain(response: PushResponse) -> Response<Bytes> {
    let mut out = text(response.status, response.body);
    if response.status.is_success() {
        *out.status_mut() = StatusCode::OK;
    }
    out.headers_mut().extend(response.headers.into_iter().filter(|(name, _)| *name == RETRY_AFTER));
    out
}

fn text(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use schema::IngestLimits;
    use store::testing::FaultyStore;
    use store::{Env, ObjectClient};

    use super::*;
    use crate::commit::GroupCommitSettings;
    use crate::testkit::{self, entry, stream};
    use prost::Message as _;

    /// `ExportLogsServiceRequest` with one record, "hello world".
    const OTLP: &[u8] = b"\x0a\x13\x12\x11\x12\x0f\x2a\x0d\x0a\x0bhello world";

    fn loki(line: &str) -> Vec<u8> {
        testkit::Push { streams: vec![stream("{app=\"x\"}", vec![entry(1_700_000_000_000_000_000, line, &[])])] }.encode_to_vec()
    }

    async fn call(limits: IngestLimits, method: GrpcMethod, encoding: Option<&str>, message: Vec<u8>) -> (u16, Vec<u8>, Option<String>, usize) {
        let env = Env::fixed(schema::Timestamp(1_700_000_000_000_000_000));
        let (client, faults) = FaultyStore::wrap(&ObjectClient::open("memory:", &env).unwrap());
        let ingester = Ingester::new(client, env, limits, GroupCommitSettings { direct: true, ..GroupCommitSettings::default() });
        let (head, body) = handle_message(&ingester, method, encoding, message.into(), TenantId::default_tenant()).await.into_parts();
        let retry = head.headers.get(RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        (head.status.as_u16(), body.to_vec(), retry, faults.requests().len())
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn what_is_stored_is_answered_with_an_empty_message() {
        let limits = IngestLimits::default;
        for (method, message) in [(GrpcMethod::OtlpExport, OTLP.to_vec()), (GrpcMethod::LokiPush, loki("hello"))] {
            assert_eq!(call(limits(), method, None, message.clone()).await, (200, vec![], None, 1));
            assert_eq!(call(limits(), method, Some("gzip"), gzip(&message)).await, (200, vec![], None, 1));
        }
        assert_eq!(call(limits(), GrpcMethod::OtlpExport, None, vec![]).await, (200, vec![], None, 0), "nothing to store is well");
        let (status, text, _, _) = call(limits(), GrpcMethod::LokiPush, None, vec![]).await;
        assert_eq!((status, text.as_slice()), (422, &b"error at least one valid stream is required for ingestion\n"[..]));
    }

    #[tokio::test]
    async fn what_is_not_stored_has_the_status_of_http() {
        let short = || IngestLimits { max_line_size: 4, ..IngestLimits::default() };
        let slow = || IngestLimits { ingestion_rate: NonZeroU64::new(1), ingestion_burst: 2, ..IngestLimits::default() };
        for (limits, method, message, status, part, retry) in [
            (short(), GrpcMethod::OtlpExport, OTLP.to_vec(), 400, "max entry size '4' bytes exceeded", None),
            (short(), GrpcMethod::LokiPush, loki("hello"), 400, "max entry size '4' bytes exceeded", None),
            (slow(), GrpcMethod::OtlpExport, OTLP.to_vec(), 429, "ingestion rate limit exceeded", Some("1")),
            (slow(), GrpcMethod::LokiPush, loki("hello"), 429, "ingestion rate limit exceeded", Some("1")),
            (IngestLimits::default(), GrpcMethod::OtlpExport, b"\xff".to_vec(), 400, "malformed protobuf", None),
            (IngestLimits::default(), GrpcMethod::LokiPush, b"\xff".to_vec(), 400, "malformed protobuf", None),
        ] {
            let (answered, text, after, requests) = call(limits, method, None, message).await;
            let text = String::from_utf8(text).unwrap();
            assert!(answered == status && text.contains(part) && after.as_deref() == retry && requests == 0, "{method:?}: {answered} {text} {after:?}");
        }
    }

    /// `ExportLogsServiceResponse { partial_success { rejected_log_records: 1, error_message } }`, spelled byte by byte.
    #[tokio::test]
    async fn records_that_are_refused_are_told_while_others_are_stored() {
        let field = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
        let record = |line: &str| field(0x12, &field(0x2a, &field(0x0a, line.as_bytes())));
        let message = field(0x0a, &field(0x12, &[record("hello world"), record("hi")].concat()));
        let limits = IngestLimits { max_line_size: 4, ..IngestLimits::default() };
        let (status, body, _, requests) = call(limits, GrpcMethod::OtlpExport, None, message).await;
        assert_eq!((status, requests), (200, 1));
        assert!(body.starts_with(b"\x0a") && body.windows(3).any(|bytes| bytes == b"\x08\x01\x12"), "{body:?}");
        assert!(String::from_utf8_lossy(&body).contains("max entry size '4' bytes exceeded"), "{body:?}");
    }
}
