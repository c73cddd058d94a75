//! Pushes by gRPC, frame by frame: OpenTelemetry's and Loki's method, their statuses, whose lines they become.

use std::io::Write as _;

use http_body_util::BodyExt as _;
use reqwest::{Client, StatusCode};

use crate::support::{Server, THEN, client, protobuf_push};

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const PUSH: &str = "/logproto.Pusher/Push";
/// `ExportLogsServiceRequest` with one record at 2023-11-14T22:13:20Z, "hello world".
const OTLP: &[u8] = b"\x0a\x1c\x12\x1a\x12\x18\x09\x00\x00\x2a\x36\xfe\x9c\x97\x17\x2a\x0d\x0a\x0bhello world";

fn h2() -> Client {
    Client::builder().no_proxy().http2_prior_knowledge().build().unwrap()
}

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    [vec![flag], u32::try_from(message.len()).unwrap().to_be_bytes().to_vec(), message.to_vec()].concat()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// What a call came to.
#[derive(Debug)]
struct Answer {
    status: u16,
    message: String,
    has_details: bool,
    body: Vec<u8>,
}

async fn call(server: &Server, method: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut request = h2().post(server.at(method)).header("content-type", "application/grpc").header("te", "trailers").body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response: http::Response<reqwest::Body> = request.send().await.unwrap().into();
    assert_eq!((response.status(), &response.headers()["content-type"]), (StatusCode::OK, &"application/grpc".parse().unwrap()));
    let head = response.headers().clone();
    let collected = response.into_body().collect().await.unwrap();
    // An error ends with its head, a success with trailers.
    let end = if head.contains_key("grpc-status") { head } else { collected.trailers().unwrap().clone() };
    let text = |name: &str| end.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned());
    Answer {
        status: text("grpc-status").parse().unwrap(),
        message: text("grpc-message"),
        has_details: end.contains_key("grpc-status-details-bin"),
        body: collected.to_bytes().to_vec(),
    }
}

async fn lines(server: &Server, tenant: &str) -> String {
    let path = format!("/loki/api/v1/query_range?query=%7Bservice_name%3D~%22.%2B%22%7D&start={}&end={}", THEN - 1, THEN + 1_000_000_000);
    client().get(server.at(&path)).header("x-scope-orgid", tenant).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn both_methods_store_what_they_acknowledge() {
    let server = Server::start(&[]).await;
    let loki = |line: &str| protobuf_push("{app=\"syslog-ng\"}", &[(THEN, line)]);
    for (method, headers, body) in [
        (EXPORT, vec![("x-scope-orgid", "a")], frame(0, OTLP)),
        (EXPORT, vec![("x-scope-orgid", "b"), ("grpc-encoding", "gzip")], frame(1, &gzip(OTLP))),
        (EXPORT, vec![("x-scope-orgid", "c"), ("grpc-encoding", "gzip")], frame(0, OTLP)),
        (PUSH, vec![("x-scope-orgid", "a")], frame(0, &loki("from a"))),
        (PUSH, vec![("x-scope-orgid", "b"), ("grpc-encoding", "gzip")], frame(1, &gzip(&loki("from b")))),
    ] {
        let answer = call(&server, method, &headers, body).await;
        assert_eq!((answer.status, answer.message.as_str(), answer.body.as_slice()), (0, "", &[0, 0, 0, 0, 0][..]), "{method} {headers:?}");
    }
    for (tenant, rows, line) in [("a", 2, "from a"), ("b", 2, "from b"), ("c", 1, "hello world")] {
        assert_eq!(server.stored_rows(tenant), rows);
        let found = lines(&server, tenant).await;
        assert!(found.contains(line) && found.contains("hello world"), "{found}");
    }
    let metrics = server.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains(&format!("tarn_http_requests_total{{route=\"{EXPORT}\",method=\"POST\",status=\"200\"}} 3")), "{metrics}");
}

#[tokio::test]
async fn faults_have_the_codes_that_clients_go_by() {
    let server = Server::start(&[("TARN_AUTH_ENABLED", "true"), ("TARN_LIMITS_MAX_BODY_BYTES", "1KB"), ("TARN_LIMITS_MAX_LINE_SIZE", "4")]).await;
    let tenant = ("x-scope-orgid", "a");
    let long = protobuf_push("{app=\"x\"}", &[(THEN, "hello")]);
    for (method, headers, body, status, told) in [
        (EXPORT, vec![tenant], frame(0, b"\xff"), 3, "malformed protobuf"),
        (PUSH, vec![tenant], frame(0, b"\xff"), 3, "malformed protobuf"),
        (PUSH, vec![tenant], frame(0, b""), 3, "at least one valid stream"),
        (EXPORT, vec![tenant], frame(0, OTLP), 3, "max entry size '4' bytes exceeded"),
        (PUSH, vec![tenant], frame(0, &long), 3, "max entry size '4' bytes exceeded"),
        (EXPORT, vec![], frame(0, OTLP), 16, "no org id"),
        (PUSH, vec![("x-scope-orgid", "a|b")], frame(0, &long), 3, "multiple org IDs present"),
        (EXPORT, vec![tenant], vec![], 3, "the call has no message"),
        (EXPORT, vec![tenant], b"\0\0\0\0\x09x".to_vec(), 3, "its frame says 9 bytes, 1 follow"),
        (EXPORT, vec![tenant, ("grpc-encoding", "br")], frame(1, b"x"), 12, "grpc-encoding br is not supported: only identity,gzip,deflate,zstd,snappy are"),
        (EXPORT, vec![tenant, ("grpc-encoding", "gzip")], frame(1, b"x"), 3, "malformed gzip"),
        (EXPORT, vec![tenant], frame(1, b"x"), 3, "grpc-encoding does not say how"),
        (EXPORT, vec![tenant], frame(0, &[0; 2000]), 3, "request body too large"),
    ] {
        let answer = call(&server, method, &headers, body).await;
        assert!(answer.status == status && answer.message.contains(told) && !answer.has_details, "{method} {headers:?}: {answer:?}");
    }
    let empty = call(&server, EXPORT, &[tenant], frame(0, b"")).await;
    assert_eq!((empty.status, empty.message.as_str()), (0, ""), "an empty request is well");
    assert_eq!(server.stored_rows("a"), 0);
}

#[tokio::test]
async fn overload_is_told_with_the_time_to_try_again() {
    let server = Server::start(&[("TARN_LIMITS_INGESTION_RATE_MB", "0.000001"), ("TARN_LIMITS_INGESTION_BURST_SIZE_MB", "0.0001")]).await;
    // A hundred bytes are the burst.
    let mut stored = 0;
    while call(&server, EXPORT, &[], frame(0, OTLP)).await.status == 0 {
        stored += 1;
        assert!(stored < 20);
    }
    assert!(stored > 0);
    for method in [EXPORT, PUSH] {
        let body = if method == EXPORT { OTLP.to_vec() } else { protobuf_push("{app=\"x\"}", &[(THEN, "hello world, and more")]) };
        let answer = call(&server, method, &[], frame(0, &body)).await;
        assert!(answer.status == 8 && answer.has_details && answer.message.contains("ingestion rate limit exceeded"), "{answer:?}");
    }
}

#[tokio::test]
async fn tokens_hold_for_methods_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tarn.toml");
    let tokens = [("reader", "read"), ("writer", "write")].map(|(name, access)| {
        format!("[[auth.tokens]]\nname = \"{name}\"\nsecret = \"env:{}\"\ntenants = [\"a\"]\naccess = [\"{access}\"]\n", name.to_uppercase())
    });
    std::fs::write(&config, tokens.concat()).unwrap();
    let server = Server::start(&[("TARN_CONFIG", config.to_str().unwrap()), ("READER", "r-secret"), ("WRITER", "w-secret")]).await;
    for method in [EXPORT, PUSH] {
        let body = if method == EXPORT { OTLP.to_vec() } else { protobuf_push("{app=\"x\"}", &[(THEN, "x")]) };
        for (headers, status) in [
            (vec![], 16),
            (vec![("authorization", "Bearer nonsense")], 16),
            (vec![("authorization", "Bearer r-secret")], 7),
            (vec![("authorization", "Bearer w-secret"), ("x-scope-orgid", "b")], 7),
            (vec![("authorization", "Bearer w-secret")], 0),
        ] {
            let answer = call(&server, method, &headers, frame(0, &body)).await;
            assert_eq!(answer.status, status, "{method} {headers:?}: {answer:?}");
        }
    }
    assert_eq!((server.stored_rows("a"), server.stored_rows("b")), (2, 0));
}

/// Over HTTP/1.1, and for what is no gRPC at all, the answer is one that people can read.
#[tokio::test]
async fn what_is_no_call_is_told_so_in_http() {
    let server = Server::start(&[]).await;
    let plain = client().post(server.at(PUSH)).body("x").send().await.unwrap();
    assert_eq!(plain.status(), 415);
    let old = client().post(server.at(EXPORT)).header("content-type", "application/grpc+proto").body(frame(0, OTLP)).send().await.unwrap();
    assert_eq!((old.status().as_u16(), old.text().await.unwrap().as_str()), (505, "gRPC needs HTTP/2\n"));
    assert_eq!(h2().get(server.at(EXPORT)).header("content-type", "application/grpc").send().await.unwrap().headers()["grpc-status"], "12");
    let other = h2().post(server.at("/opentelemetry.proto.collector.trace.v1.TraceService/Export")).header("content-type", "application/grpc").send();
    assert_eq!(other.await.unwrap().status(), 404, "which gRPC's clients take for UNIMPLEMENTED");
    assert_eq!(server.stored_rows("fake"), 0);
}
