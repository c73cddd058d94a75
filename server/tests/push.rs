//! Pushes in every encoding, by every tenant, up to the limits.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use reqwest::Response;

use crate::support::{Server, THEN, client, json_push, protobuf_push, raw};

type Headers = &'static [(&'static str, &'static str)];

async fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let request = headers.iter().fold(client().post(server.at(path)), |request, (name, value)| request.header(*name, *value));
    request.body(body).send().await.unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

#[tokio::test]
async fn every_encoding_is_stored() {
    let server = Server::start(&[("TARN_INGEST_FLUSH_INTERVAL", "0")]).await;
    let json = |line: &str| json_push(&[("app", "x")], &[(THEN, line)]).into_bytes();
    let proto = |line: &str| protobuf_push(r#"{app="x"}"#, &[(THEN, line)]);
    let legacy = br#"{"streams":[{"labels":"{app=\"x\"}","entries":[{"ts":"2023-11-14T22:13:20Z","line":"legacy"}]}]}"#.to_vec();
    const PUSH: &str = "/loki/api/v1/push";
    let requests: [(&str, Headers, Vec<u8>); 8] = [
        (PUSH, &[("content-type", "application/json")], json("json")),
        (PUSH, &[("content-type", "application/json; charset=utf-8"), ("content-encoding", "gzip")], gzip(&json("json gzip"))),
        (PUSH, &[("content-type", "application/json"), ("content-encoding", "deflate")], deflate(&json("json deflate"))),
        (PUSH, &[("content-type", "application/x-protobuf")], snappy(&proto("proto"))),
        (PUSH, &[("content-type", "application/x-protobuf"), ("content-encoding", "snappy")], snappy(&proto("proto snappy"))),
        (PUSH, &[("content-type", "application/x-protobuf"), ("content-encoding", "gzip")], gzip(&snappy(&proto("proto gzip")))),
        ("/api/prom/push", &[("content-type", "application/json")], legacy),
        ("/api/prom/push", &[("content-type", "application/x-protobuf")], snappy(&proto("proto legacy path"))),
    ];
    let sent = requests.len() as u64;
    for (path, headers, body) in requests {
        let response = post(&server, path, headers, body).await;
        assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (204, ""), "{path} {headers:?}");
    }
    assert_eq!(server.stored_rows("fake"), sent);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_lokis_text() {
    let server = Server::start(&[]).await;
    let body = json_push(&[("app", "x")], &[(THEN, "l")]).into_bytes();
    for (headers, body, status, text) in [
        (vec![("content-type", "")], body.clone(), 400, "mime: no media type\n"),
        (vec![("content-type", "application/json"), ("content-encoding", "br")], body.clone(), 400, "Content-Encoding \"br\" not supported\n"),
        (vec![("content-type", "application/json")], br#"{"streams":[]}"#.to_vec(), 422, "error at least one valid stream is required for ingestion\n"),
    ] {
        let response = post(&server, "/loki/api/v1/push", &headers, body).await;
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (status, text), "{headers:?}");
    }
    assert_eq!(server.stored_rows("fake"), 0);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_whether_its_length_is_told_or_not() {
    let server = Server::start(&[("TARN_LIMITS_MAX_BODY_BYTES", "1000")]).await;
    let long = json_push(&[("app", "x")], &[(THEN, &"x".repeat(2000))]);
    let told = server.push(long.clone()).await;
    assert_eq!(told.status(), 413);
    assert!(told.text().await.unwrap().starts_with("request body too large: "));
    let mut chunked =
        b"POST /loki/api/v1/push HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".to_vec();
    for piece in long.as_bytes().chunks(100) {
        chunked.extend([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    chunked.extend(b"0\r\n\r\n");
    let untold = raw(&server, &chunked).await;
    assert!(untold.starts_with("HTTP/1.1 413 "), "{untold}");
    assert_eq!(server.push(json_push(&[("app", "x")], &[(THEN, "short")])).await.status(), 204);
}

#[tokio::test]
async fn tenants_are_kept_apart() {
    let server = Server::start(&[]).await;
    let body = json_push(&[("app", "x")], &[(THEN, "l")]).into_bytes();
    let json = ("content-type", "application/json");
    for (tenant, status, text) in [
        ("team-a", 204, ""),
        ("team-b", 204, ""),
        ("a|b", 400, "multiple org IDs present\n"),
        ("..", 400, "tenant ID is '.' or '..'\n"),
        ("a/b", 400, "tenant ID 'a/b' contains unsupported character '/'\n"),
    ] {
        let response = post(&server, "/loki/api/v1/push", &[json, ("x-scope-orgid", tenant)], body.clone()).await;
        assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (status, text), "{tenant}");
    }
    assert_eq!([server.stored_rows("team-a"), server.stored_rows("team-b"), server.stored_rows("fake")], [1, 1, 0]);
}

#[tokio::test]
async fn with_authentication_a_request_needs_a_tenant() {
    let server = Server::start(&[("TARN_AUTH_ENABLED", "true")]).await;
    let body = json_push(&[("app", "x")], &[(THEN, "l")]);
    let refused = server.push(body.clone()).await;
    assert_eq!((refused.status().as_u16(), refused.text().await.unwrap().as_str()), (401, "no org id\n"));
    assert_eq!(server.get("/loki/api/v1/labels").await.status(), 401);
    assert_eq!(server.get("/ready").await.status(), 200);
    let taken = post(&server, "/loki/api/v1/push", &[("content-type", "application/json"), ("x-scope-orgid", "a")], body.into_bytes()).await;
    assert_eq!(taken.status(), 204);
}

#[tokio::test]
async fn good_lines_are_stored_beside_bad_ones() {
    let server = Server::start(&[("TARN_LIMITS_MAX_LINE_SIZE", "10")]).await;
    let response = server.push(json_push(&[("app", "x")], &[(THEN, "short"), (THEN + 1, "much too long a line")])).await;
    assert_eq!(response.status(), 400);
    let text = response.text().await.unwrap();
    assert!(text.contains("max entry size '10' bytes exceeded for stream"), "{text}");
    assert_eq!(server.stored_rows("fake"), 1);
}

#[tokio::test]
async fn an_acknowledged_push_survives_a_crash() {
    let mut server = Server::start(&[]).await;
    assert_eq!(server.push(json_push(&[("app", "x")], &[(THEN, "a"), (THEN + 1, "b")])).await.status(), 204);
    server.signal("KILL");
    server.ended(std::time::Duration::from_secs(5)).await;
    assert_eq!(server.stored_rows("fake"), 2);
    let again = Server::start_on(&server.store, &[]).await;
    assert_eq!(again.stored_rows("fake"), 2);
}

/// `ExportLogsServiceRequest` with one record, spelled from the `.proto` files: resource attribute `service.name`, time, severity 17, body.
fn otlp_request(service: &str, line: &str) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat();
    let attribute = [field(1, b"service.name"), field(2, &field(1, service.as_bytes()))].concat();
    let record = [&[1 << 3 | 1][..], &THEN.to_le_bytes(), &[2 << 3, 17], &field(5, &field(1, line.as_bytes()))].concat();
    field(1, &[field(1, &field(1, &attribute)), field(2, &field(2, &record))].concat())
}

#[tokio::test]
async fn opentelemetry_logs_and_lines_are_stored_and_read_back() {
    let server = Server::start(&[("TARN_INGEST_FLUSH_INTERVAL", "0")]).await;
    const OTLP: &str = "/otlp/v1/logs";
    const LINES: &str = "/tarn/api/v1/push?labels=%7Bapp%3D%22x%22%7D&line_field=msg";
    let json = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1700000000000000001","body":{"stringValue":"from json"}}]}]}]}"#;
    let lines = b"{\"time\":\"2023-11-14T22:13:20Z\",\"msg\":\"from a member\",\"user\":7}\n2023-11-14T22:13:20Z as it is\n".to_vec();
    let requests: [(&str, Headers, Vec<u8>); 4] = [
        (OTLP, &[("content-type", "application/x-protobuf")], otlp_request("shop", "from protobuf")),
        (OTLP, &[("content-type", "application/x-protobuf"), ("content-encoding", "gzip")], gzip(&otlp_request("shop", "from gzip"))),
        (OTLP, &[("content-type", "application/json")], json.as_bytes().to_vec()),
        (LINES, &[("content-type", "application/x-www-form-urlencoded")], lines),
    ];
    for (path, headers, body) in requests {
        let response = post(&server, path, headers, body).await;
        assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (204, ""), "{path} {headers:?}");
    }
    assert_eq!(server.stored_rows("fake"), 5);
    let read = |selector: &str| format!("/loki/api/v1/query_range?query={selector}&start={}&end={}", THEN, THEN + 1_000_000);
    let answer = server.get(&read("%7Bservice_name%3D%22shop%22%7D")).await.text().await.unwrap();
    for part in ["from protobuf", "from gzip", "from json", r#""severity_number":"17""#, r#""detected_level":"error""#] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    let answer = server.get(&read("%7Bapp%3D%22x%22%7D")).await.text().await.unwrap();
    for part in [r#""from a member""#, r#""user":"7""#, r#""2023-11-14T22:13:20Z as it is""#] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
}

#[tokio::test]
async fn opentelemetry_gets_answers_that_it_reads() {
    let server = Server::start(&[("TARN_AUTH_ENABLED", "true"), ("TARN_LIMITS_MAX_BODY_BYTES", "100")]).await;
    let tenant = ("x-scope-orgid", "a");
    let (proto, json) = (("content-type", "application/x-protobuf"), ("content-type", "application/json"));
    let status = |message: &str| [&[0x12, u8::try_from(message.len()).unwrap()], message.as_bytes()].concat();
    let no_type = "content type: text/plain is not supported: only application/x-protobuf and application/json are";
    for (headers, body, code, expected) in [
        (vec![proto], otlp_request("s", "l"), 401, status("no org id")),
        (vec![json], b"{}".to_vec(), 401, br#"{"message":"no org id"}"#.to_vec()),
        (vec![tenant, ("content-type", "text/plain")], otlp_request("s", "l"), 400, status(no_type)),
        (vec![tenant, proto], Vec::new(), 422, status("error at least one valid stream is required for ingestion")),
    ] {
        let response = post(&server, "/otlp/v1/logs", &headers, body).await;
        assert_eq!((response.status().as_u16(), response.bytes().await.unwrap().to_vec()), (code, expected), "{headers:?}");
    }
    let large = post(&server, "/otlp/v1/logs", &[tenant, proto], otlp_request("s", &"x".repeat(70))).await;
    assert_eq!((large.status().as_u16(), large.headers()["content-type"].to_str().unwrap()), (413, "application/x-protobuf"));
    let unknown = post(&server, "/tarn/api/v1/push?label=x", &[tenant], b"line".to_vec()).await;
    let text = "parameter \"label\" is not known; there are labels (or stream), time_field and line_field\n";
    assert_eq!((unknown.status().as_u16(), unknown.text().await.unwrap().as_str()), (400, text));
    assert_eq!(server.stored_rows("a"), 0);
    assert_eq!(post(&server, "/otlp/v1/logs", &[tenant, proto], otlp_request("s", "l")).await.status(), 204);
    assert_eq!(server.stored_rows("a"), 1);
}
