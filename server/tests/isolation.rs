//! No request without a tenant's credentials gets a byte of that tenant's: every read route, every form of a path, every way to name a tenant.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::support::{Server, THEN, client, json_push, raw};

/// In B's line, label name, label value, metadata and nowhere else; no request says it.
const MARKER: &str = "bravo7f3e";

const TOKENS: &str = r#"
[auth]
enabled = true

[[auth.tokens]]
name = "a"
secret = "env:TOKEN_A"
tenants = ["a"]
access = ["read", "write"]

[[auth.tokens]]
name = "b"
secret = "env:TOKEN_B"
tenants = ["b"]
access = ["read", "write"]

[[auth.tokens]]
name = "writer"
secret = "env:TOKEN_WRITER"
tenants = ["a", "b"]
access = ["write"]

[[auth.tokens]]
name = "ops"
secret = "env:TOKEN_OPS"
access = ["admin"]
"#;
const SECRETS: [(&str, &str); 4] = [("TOKEN_A", "alpha-secret"), ("TOKEN_B", "beta-secret"), ("TOKEN_WRITER", "writer-secret"), ("TOKEN_OPS", "ops-secret")];

const WINDOW: &str = "start=1699999999&end=1700000001";

/// Routes that read, with parameters that find something, and whether B itself then finds its marker there.
fn reads() -> Vec<(&'static str, String, bool)> {
    let selector = "query=%7Bjob%3D~%22.%2B%22%7D";
    let count = "query=sum%20by%20(job)%20(count_over_time(%7Bjob%3D~%22.%2B%22%7D%5B1h%5D))";
    vec![
        ("/loki/api/v1/query_range", format!("{selector}&{WINDOW}"), true),
        ("/loki/api/v1/query", format!("{count}&time=1700000001"), true),
        ("/loki/api/v1/labels", WINDOW.to_owned(), true),
        ("/loki/api/v1/label", WINDOW.to_owned(), true),
        ("/loki/api/v1/label/job/values", WINDOW.to_owned(), true),
        ("/loki/api/v1/series", WINDOW.to_owned(), true),
        ("/loki/api/v1/index/stats", format!("{selector}&{WINDOW}"), false),
        ("/loki/api/v1/index/volume", format!("{selector}&{WINDOW}"), true),
        ("/loki/api/v1/index/volume_range", format!("{selector}&{WINDOW}&step=1"), true),
        ("/loki/api/v1/index/shards", format!("{selector}&{WINDOW}&targetBytesPerShard=1MB"), false),
        ("/loki/api/v1/detected_labels", WINDOW.to_owned(), true),
        ("/loki/api/v1/detected_fields", format!("{selector}&{WINDOW}"), true),
        ("/loki/api/v1/detected_field/key/values", format!("{selector}&{WINDOW}"), true),
        ("/loki/api/v1/patterns", format!("{selector}&{WINDOW}"), true),
        ("/loki/api/v1/tail", format!("{selector}&start=1699999999"), false),
        ("/loki/api/v1/delete", String::new(), false),
        ("/loki/api/v1/drilldown-limits", String::new(), false),
        ("/api/prom/query", format!("{selector}&{WINDOW}"), true),
        ("/api/prom/label", WINDOW.to_owned(), true),
        ("/api/prom/label/job/values", WINDOW.to_owned(), true),
        ("/api/prom/series", WINDOW.to_owned(), true),
        ("/tarn/api/v1/explain", format!("{selector}&{WINDOW}"), false),
        ("/config", String::new(), false),
        ("/config/tenant/v1/limits", String::new(), false),
        ("/metrics", String::new(), false),
        ("/ready", String::new(), false),
    ]
}

/// A push in each protocol that is right in itself, and says B wherever it can say anything. What else it says is told apart by `n`.
struct Write {
    path: &'static str,
    content_type: &'static str,
    headers: &'static str,
    body: fn(usize) -> String,
}

const TWO_LINES: &str = "application/x-ndjson";
const JSON: &str = "application/json";

fn writes() -> Vec<Write> {
    fn loki(n: usize) -> String {
        let labels = [("job", "intruder"), ("__tenant_id__", "b"), ("tenant", "b"), ("X_Scope_OrgID", "b")];
        json_push(&labels, &[(THEN + n as i64, "intruder")])
    }
    fn legacy(n: usize) -> String {
        let at = format!("2023-11-14T22:13:20.{n:09}Z");
        format!(r#"{{"streams":[{{"labels":"{{job=\"intruder\",__tenant_id__=\"b\"}}","entries":[{{"ts":"{at}","line":"intruder"}}]}}]}}"#)
    }
    fn otlp(n: usize) -> String {
        let attribute = |key: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"b"}}}}"#);
        let attributes = ["tenant", "tenant.id", "__tenant_id__", "X-Scope-OrgID", "service.namespace"].map(attribute).join(",");
        let at = THEN + n as i64;
        format!(
            r#"{{"resourceLogs":[{{"resource":{{"attributes":[{attributes}]}},"scopeLogs":[{{"scope":{{"attributes":[{attributes}]}},"logRecords":[{{"timeUnixNano":"{at}","attributes":[{attributes}],"body":{{"stringValue":"intruder"}}}}]}}]}}]}}"#
        )
    }
    fn bulk(n: usize) -> String {
        let document = document(n);
        ["b", "../b", "t=b/l0", "../../t=b/l0"]
            .map(|index| format!("{{\"create\":{{\"_index\":\"{index}\",\"_id\":\"{n}\",\"routing\":\"b\",\"tenant\":\"b\"}}}}\n{document}\n"))
            .concat()
    }
    fn document(n: usize) -> String {
        format!(r#"{{"@timestamp":{},"message":"intruder {n}","tenant":"b","_tenant":"b","X-Scope-OrgID":"b","__tenant_id__":"b"}}"#, THEN / 1_000_000)
    }
    fn lines(n: usize) -> String {
        format!("{{\"time\":{},\"message\":\"intruder\",\"tenant\":\"b\",\"__tenant_id__\":\"b\"}}\n", THEN + n as i64)
    }
    fn firehose(n: usize) -> String {
        // "intruder\n"
        format!(r#"{{"requestId":"r{n}","timestamp":{},"records":[{{"data":"aW50cnVkZXIK"}}]}}"#, THEN / 1_000_000)
    }
    fn event(n: usize) -> String {
        format!(r#"{{"event":"intruder {n}","time":1700000000.5,"host":"b","index":"b","fields":{{"tenant":"b","__tenant_id__":"b"}}}}"#)
    }
    fn raw_line(n: usize) -> String {
        format!("intruder {n}\n")
    }
    let at = |path, content_type, body| Write { path, content_type, headers: "", body };
    vec![
        at("/loki/api/v1/push", JSON, loki),
        at("/loki/api/v1/push?X-Scope-OrgID=b&tenant=b", JSON, loki),
        at("/api/prom/push", JSON, legacy),
        at("/otlp/v1/logs", JSON, otlp),
        at("/otlp/v1/logs?tenant=b", JSON, otlp),
        at("/tarn/api/v1/push?labels=__tenant_id__%3D%22b%22%2Ctenant%3D%22b%22&line_field=message", TWO_LINES, lines),
        at("/_bulk", TWO_LINES, bulk),
        at("/_bulk?tenant=b&routing=b", TWO_LINES, bulk),
        at("/_bulk/", TWO_LINES, bulk),
        at("/b/_bulk", TWO_LINES, bulk),
        at("/..%2ft=b%2fl0/_bulk", TWO_LINES, bulk),
        at("/elasticsearch/_bulk", TWO_LINES, bulk),
        at("/elasticsearch/..%2fb/_bulk", TWO_LINES, bulk),
        at("/b/_doc", JSON, document),
        at("/t=b/_doc/..%2f..%2ft=b", JSON, document),
        at("/b/_create/b", JSON, document),
        at("/services/collector/event?index=b", JSON, event),
        at("/services/collector/raw?host=b&index=b&source=b", "text/plain", raw_line),
        Write {
            path: "/aws/firehose",
            content_type: JSON,
            headers: "x-amz-firehose-common-attributes: {\"commonAttributes\":{\"lbl_tenant\":\"b\",\"lbl___tenant_id__\":\"b\",\"X-Scope-OrgID\":\"b\"}}\r\n",
            body: firehose,
        },
    ]
}

/// Routes that neither read nor write anything of a tenant, or are asked for in other tests of this file.
const OTHERS: [&str; 18] = [
    "/log_level",
    "/services",
    "/loki/api/v1/status/buildinfo",
    "/loki/api/v1/format_query",
    "/prometheus/api/v1/rules",
    "/prometheus/api/v1/alerts",
    "/_license",
    "/_xpack",
    "/_nodes",
    "/_monitoring/bulk",
    "/elasticsearch",
    "/elasticsearch/",
    "/",
    "/{index}",
    "/{index}/_refresh",
    "/loki/api/v1/{*path}",
    "/api/prom/{*path}",
    "/tarn/api/v1/{*path}",
];
/// Below these everything is an answer to a question about the server (`ingest-fn/src/elastic/handshake.rs`).
const QUESTIONS: [&str; 11] = [
    "/_xpack/",
    "/_cluster/",
    "/_nodes/",
    "/_cat/",
    "/_index_template/",
    "/_component_template/",
    "/_template/",
    "/_ilm/",
    "/_alias/",
    "/_data_stream/",
    "/_ingest/",
];

/// Ways to ask for tenant B that are not its id itself.
fn odd_tenants() -> Vec<String> {
    let odd = [
        "../b",
        "b/",
        "b%2f",
        "%62",
        ".",
        "..",
        "./b",
        "a/../b",
        "B",
        "b,a",
        "a,b",
        "a|b",
        "b|a",
        "|b",
        "b|",
        "b;a",
        "*",
        "b*",
        "\"b\"",
        "b\\",
        "t=b",
        "b/l0",
        "bb",
        "a b",
        "b\u{200b}",
        "\u{ff42}",
        "b\u{301}",
        "\u{e9}",
        "a\tb",
        "b\u{a0}",
    ];
    odd.into_iter().map(str::to_owned).chain(["b".repeat(151), "b|".repeat(80) + "a", format!("{}|b", "a".repeat(150))]).collect()
}

/// What a client may try that has no credentials of B: none at all, wrong ones, those of others with every way to name B.
fn attempts() -> Vec<String> {
    let a = "authorization: Bearer alpha-secret\r\n";
    let mut attempts: Vec<String> = [
        "",
        "authorization: Bearer \r\n",
        "authorization: Bearer beta-secre\r\n",
        "authorization: Bearer beta-secret0\r\n",
        "authorization: beta-secret\r\n",
        // b:alpha-secret and a:beta-secret
        "authorization: Basic YjphbHBoYS1zZWNyZXQ=\r\n",
        "authorization: Basic YTpiZXRhLXNlY3JldA==\r\n",
        "authorization: Bearer writer-secret\r\n",
        "authorization: Bearer ops-secret\r\n",
        "authorization: Bearer env:TOKEN_B\r\n",
        "cookie: token=beta-secret\r\n",
    ]
    .into_iter()
    .flat_map(|credential| [credential.to_owned(), format!("{credential}x-scope-orgid: b\r\n")])
    .collect();
    attempts.push(format!("{a}x-scope-orgid: b\r\n"));
    attempts.push(format!("{a}x-scope-orgid:  b \r\n"));
    for (first, second) in [("a", "b"), ("b", "a"), ("b", "b"), ("", "b"), ("a|b", "a")] {
        attempts.push(format!("{a}x-scope-orgid: {first}\r\nx-scope-orgid: {second}\r\n"));
    }
    // Two credentials are none: a proxy may have checked the other one.
    attempts.push(format!("{a}authorization: Bearer writer-secret\r\nx-scope-orgid: b\r\n"));
    attempts.push(format!("{a}X-Scope-OrgID: a\r\nx-tenant: b\r\nx-org-id: b\r\nx-forwarded-user: b\r\n"));
    attempts.extend(odd_tenants().into_iter().map(|tenant| format!("{a}x-scope-orgid: {tenant}\r\n")));
    attempts
}

/// Other ways to write a path, which may be redirected, refused or answered.
fn forms_of(path: &str) -> Vec<String> {
    let last = path.rsplit('/').next().unwrap();
    let parent = path.strip_suffix(last).unwrap();
    vec![
        path.to_owned(),
        format!("{path}/"),
        format!("/{path}"),
        format!("/.{path}"),
        format!("/ready/..{path}"),
        format!("/ready/%2e%2e{path}"),
        format!("{parent}/{last}"),
        format!("{parent}%2f{last}"),
        format!("{parent}x/../{last}"),
        format!("/t=b/..{path}"),
        format!("{path}/../../../../../t=b/l0"),
        path.replacen("/l", "/%6c", 1),
        path.to_uppercase(),
        format!("http://b{path}"),
    ]
}

fn plain_and_other_forms(path: &str) -> Vec<String> {
    let others = forms_of(path);
    let plain = vec![path.to_owned(); others.len()];
    [plain, others].concat()
}

async fn get(server: &Server, target: &str, headers: &str) -> String {
    raw(server, format!("GET {target} HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n").as_bytes()).await
}

async fn post(server: &Server, path: &str, form: &str, headers: &str) -> String {
    let length = form.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{form}"
    );
    raw(server, request.as_bytes()).await
}

/// A server with one line of each tenant. `headers` says how a tenant is named.
async fn with_two_tenants(env: &[(&str, &str)], headers: fn(&str) -> (&'static str, String)) -> Server {
    let server = Server::start(env).await;
    for (tenant, word) in [("a", "alpha"), ("b", MARKER)] {
        let job = format!("{word}_job");
        let name = format!("{word}_name");
        let body = json_push(&[("job", &job), (&name, "x")], &[(THEN, &format!("key={word}_line {word}_field=1"))]);
        let (header, value) = headers(tenant);
        let response = client().post(server.at("/loki/api/v1/push")).header(header, value).header("content-type", "application/json").body(body).send().await;
        assert_eq!(response.unwrap().status(), 204);
    }
    server
}

/// Tenants that have a folder in the store.
fn stored_tenants(store: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(store).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut tenants: Vec<String> = folders.filter_map(|name| name.strip_prefix("t=").map(str::to_owned)).collect();
    tenants.sort();
    tenants
}

async fn with_tokens() -> (Server, tempfile::TempDir) {
    with_tokens_and(&[]).await
}

async fn with_tokens_and(settings: &[(&str, &str)]) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tarn.toml");
    std::fs::write(&config, TOKENS).unwrap();
    let env = [SECRETS.as_slice(), &[("TARN_CONFIG", config.to_str().unwrap())], settings].concat();
    let bearer = |tenant: &str| ("authorization", format!("Bearer {}", if tenant == "a" { "alpha-secret" } else { "beta-secret" }));
    (with_two_tenants(&env, bearer).await, folder)
}

/// The test would see a leak: with its own token B finds its marker, and A its own word, on the same routes.
#[tokio::test]
async fn each_tenant_finds_its_own() {
    let (server, _config) = with_tokens().await;
    for (path, query, shows) in reads().into_iter().filter(|(_, _, shows)| *shows) {
        let b = get(&server, &format!("{path}?{query}"), "authorization: Bearer beta-secret\r\n").await;
        assert!(b.starts_with("HTTP/1.1 200 ") && b.contains(MARKER) == shows, "{path}: {b}");
        // b:beta-secret
        let basic = get(&server, &format!("{path}?{query}"), "authorization: Basic YjpiZXRhLXNlY3JldA==\r\nx-scope-orgid: b\r\n").await;
        assert!(basic.starts_with("HTTP/1.1 200 ") && basic.contains(MARKER), "{path}: {basic}");
        let a = get(&server, &format!("{path}?{query}"), "authorization: Bearer alpha-secret\r\n").await;
        assert!(a.starts_with("HTTP/1.1 200 ") && a.contains("alpha") && !a.contains(MARKER), "{path}: {a}");
    }
}

#[tokio::test]
async fn no_request_without_its_token_gets_a_byte_of_a_tenants() {
    let (server, _config) = with_tokens().await;
    nothing_of_b(&server).await;
}

/// The same where a request may name several tenants: a token must be for each of them.
#[tokio::test]
async fn no_request_for_several_tenants_gets_a_byte_without_the_tokens_of_all() {
    let (server, _config) = with_tokens_and(&[("TARN_QUERY_MULTI_TENANT_QUERIES_ENABLED", "true")]).await;
    nothing_of_b(&server).await;
    let a = "authorization: Bearer alpha-secret\r\n";
    // The label names tenants too, and chooses only among those of the header.
    let selectors = ["%7B__tenant_id__%3D%22b%22%7D", "%7B__tenant_id__%3D~%22.%2B%22%7D", "%7Bjob%3D~%22.%2B%22%2C__tenant_id__!%3D%22a%22%7D"];
    for (path, _, _) in reads() {
        for selector in selectors {
            for tenants in
                ["", "x-scope-orgid: a\r\n", "x-scope-orgid: a|a\r\n", "x-scope-orgid: a|b\r\n", "x-scope-orgid: b|a\r\n", "x-scope-orgid: a|c|b\r\n"]
            {
                for query in [
                    format!("query={selector}&{WINDOW}"),
                    format!("query=count_over_time({selector}%5B1h%5D)&time=1700000001"),
                    format!("match%5B%5D={selector}"),
                ] {
                    let answer = get(&server, &format!("{path}?{query}"), &format!("{a}{tenants}")).await;
                    assert!(!answer.contains(MARKER), "{path}?{query} with {tenants:?}: {answer}");
                    assert!(!tenants.contains("b") || !answer.starts_with("HTTP/1.1 200 ") || is_open(path), "{path}?{query} with {tenants:?}: {answer}");
                }
            }
        }
    }
    for (path, query, _) in reads().into_iter().filter(|(path, _, _)| !is_open(path)) {
        for secret in ["alpha", "beta"] {
            for tenants in ["a|b", "b|a", "a|b|c", "a|c", "c|b"] {
                let answer = get(&server, &format!("{path}?{query}"), &format!("authorization: Bearer {secret}-secret\r\nx-scope-orgid: {tenants}\r\n")).await;
                assert!(answer.starts_with("HTTP/1.1 403 "), "{path} for {tenants} with {secret}: {answer}");
            }
        }
    }
}

/// Routes that have nothing of a tenant's.
fn is_open(path: &str) -> bool {
    matches!(path, "/ready" | "/metrics" | "/config")
}

async fn nothing_of_b(server: &Server) {
    let a = "authorization: Bearer alpha-secret\r\n";
    let mut asked = 0;
    for (path, query, _) in reads() {
        for headers in attempts() {
            let answer = get(server, &format!("{path}?{query}"), &headers).await;
            assert!(!answer.contains(MARKER), "GET {path} with {headers:?}: {answer}");
            let form = post(server, path, &query, &headers).await;
            assert!(!form.contains(MARKER), "POST {path} with {headers:?}: {form}");
            asked += 2;
        }
        for target in forms_of(path) {
            for headers in ["", a, "x-scope-orgid: b\r\n", &format!("{a}x-scope-orgid: b\r\n"), &format!("{a}x-scope-orgid: a|b\r\n")] {
                let answer = get(server, &format!("{target}?{query}"), headers).await;
                assert!(!answer.contains(MARKER), "GET {target} with {headers:?}: {answer}");
                asked += 1;
            }
        }
        for name in ["X-Scope-OrgID", "x-scope-orgid", "tenant", "tenant_id", "__tenant_id__", "orgid", "org_id", "authorization", "token"] {
            for value in ["b", "a%7Cb"] {
                let named = format!("{query}&{name}={value}");
                for answer in [
                    get(server, &format!("{path}?{named}"), a).await,
                    post(server, path, &named, a).await,
                    post(server, &format!("{path}?{named}"), &query, a).await,
                ] {
                    assert!(!answer.contains(MARKER), "{path} with {named}: {answer}");
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 2_000, "{asked}");
    assert_eq!(stored_tenants(&server.store), ["a", "b"]);
}

#[tokio::test]
async fn nobody_writes_or_deletes_for_a_tenant_without_its_token() {
    let (server, _config) = with_tokens().await;
    let attempts = attempts().into_iter().filter(|headers| !(headers.contains("writer-secret") && headers.contains("x-scope-orgid: b")));
    for headers in attempts {
        for write in writes() {
            let answer = written(&server, &write, 0, &headers).await;
            // A's own id, given with others that are not looked at, is A's to write to.
            let is_refused = ["HTTP/1.1 400 ", "HTTP/1.1 401 ", "HTTP/1.1 403 "].iter().any(|start| answer.starts_with(start));
            assert!(is_refused || headers.contains("X-Scope-OrgID: a\r\n"), "{} {headers:?}: {answer}", write.path);
        }
        // gRPC has tests of its own (grpc.rs).
        for path in ["/logproto.Pusher/Push", "/opentelemetry.proto.collector.logs.v1.LogsService/Export", "/services/collector/ack"] {
            let answer = raw(&server, format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 4"), "{path} {headers:?}: {answer}");
        }
        for method in ["POST", "PUT", "DELETE"] {
            let target = "/loki/api/v1/delete?query=%7Bjob%3D~%22.%2B%22%7D&start=0000000000";
            let answer =
                raw(&server, format!("{method} {target} HTTP/1.1\r\nhost: x\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 4") || headers.contains("X-Scope-OrgID: a\r\n"), "{method} {headers:?}: {answer}");
        }
    }
    // A token that may only write cannot delete, nor can a path that is written another way.
    for path in ["/loki/api/v1/delete", "/loki/api/v1/%64elete", "/loki/api/v1//delete", "/loki/api/v1/./delete"] {
        for tenant in ["a", "b"] {
            let request = format!(
                "POST {path}?query=%7Bjob%3D~%22.%2B%22%7D&start=0000000000 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer writer-secret\r\nx-scope-orgid: {tenant}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let answer = raw(&server, request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 403 ") || answer.starts_with("HTTP/1.1 301 "), "{path}: {answer}");
        }
    }
    assert_eq!(server.stored_rows("b"), 1);
    assert_eq!(stored_tenants(&server.store), ["a", "b"]);
    let lines = get(&server, &format!("/loki/api/v1/query_range?query=%7Bjob%3D~%22.%2B%22%7D&{WINDOW}"), "authorization: Bearer beta-secret\r\n").await;
    assert!(lines.contains(MARKER) && !lines.contains("intruder"), "{lines}");
}

async fn written(server: &Server, write: &Write, n: usize, headers: &str) -> String {
    let body = (write.body)(n);
    let (path, content_type, own, length) = (write.path, write.content_type, write.headers, body.len());
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}{own}content-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    raw(server, (head + &body).as_bytes()).await
}

/// A push is stored for the tenant of its token, or of its header where there are no tokens, and nothing in it names another.
#[tokio::test]
async fn a_push_is_its_tenants_whatever_it_says() {
    let (tokens, _config) = with_tokens().await;
    let header = with_two_tenants(&[("TARN_AUTH_ENABLED", "true")], |tenant| ("x-scope-orgid", tenant.to_owned())).await;
    for (server, of_a) in [(&tokens, "authorization: Bearer alpha-secret\r\n"), (&header, "x-scope-orgid: a\r\n")] {
        let mut before = server.stored_rows("a");
        for (n, write) in writes().iter().enumerate() {
            let answer = written(server, write, n, of_a).await;
            assert!(answer.starts_with("HTTP/1.1 20"), "{}: {answer}", write.path);
            assert!(!answer.contains("\"errors\":true"), "{}: {answer}", write.path);
            let after = server.stored_rows("a");
            assert!(after > before, "{}: the push is not A's", write.path);
            before = after;
        }
        assert_eq!((server.stored_rows("b"), server.stored_rows("fake")), (1, 0));
        assert_eq!(stored_tenants(&server.store), ["a", "b"]);
    }
}

/// What these tests ask for is every route that there is: one that is new has to be added.
#[test]
fn every_route_is_asked_for() {
    let sources = [include_str!("../src/serve/router.rs"), include_str!("../src/serve/elastic.rs")].map(|text| text.split("#[cfg(test)]").next().unwrap());
    let literals = regex::Regex::new(r#""(/[^"\s]*)""#).unwrap();
    let mut routes: BTreeSet<String> = sources.iter().flat_map(|text| literals.captures_iter(text).map(|found| found[1].to_owned())).collect();
    routes.extend(["/otlp/v1/logs".to_owned(), "/tarn/api/v1/push".to_owned()]);
    assert!(routes.len() > 60, "{routes:?}");
    let asked: Vec<String> = reads().iter().map(|(path, _, _)| (*path).to_owned()).chain(writes().iter().map(|write| write.path.to_owned())).collect();
    let is_asked = |route: &str| {
        // A parameter of a route is anything without a slash.
        let pattern = regex::escape(route).replace(r"\{", "{").replace(r"\}", "}");
        let pattern = regex::Regex::new(r"\{[^}]*\}").unwrap().replace_all(&pattern, "[^/?]+").into_owned();
        let pattern = regex::Regex::new(&format!(r"^{pattern}(\?|$)")).unwrap();
        asked.iter().any(|path| pattern.is_match(path))
    };
    let missing: Vec<&String> = routes
        .iter()
        .filter(|route| !is_asked(route) && !OTHERS.contains(&route.as_str()) && !QUESTIONS.iter().any(|prefix| route.starts_with(prefix)))
        .filter(|route| *route != "/elasticsearch/{*path}" && *route != "/api/prom/tail")
        .collect();
    assert!(missing.is_empty(), "no test of tenants asks for {missing:?}");
}

/// Requests put together at random: any route, any form of its path, any method, any credentials but B's, any way to name B.
#[tokio::test]
async fn no_request_that_is_put_together_at_random_reaches_another_tenant() {
    const REQUESTS: usize = 1500;
    let (server, _config) = with_tokens().await;
    let mut targets: Vec<(String, String)> = Vec::new();
    for (path, query, _) in reads() {
        targets.extend(plain_and_other_forms(path).into_iter().map(|form| (form, query.clone())));
    }
    for write in writes() {
        let (path, query) = write.path.split_once('?').unwrap_or((write.path, ""));
        targets.extend(plain_and_other_forms(path).into_iter().map(|form| (form, query.to_owned())));
    }
    let credentials = [
        "",
        // More often than the others, which are refused whatever else there is.
        "authorization: Bearer alpha-secret\r\n",
        "authorization: Bearer alpha-secret\r\n",
        "authorization: Bearer alpha-secret\r\n",
        "authorization: Bearer alpha-secret\r\n",
        "AUTHORIZATION: bearer alpha-secret\r\n",
        "authorization: Basic YTphbHBoYS1zZWNyZXQ=\r\n",
        "authorization: ApiKey YTphbHBoYS1zZWNyZXQ=\r\n",
        "authorization: Bearer ops-secret\r\n",
        "authorization: Bearer beta-secre\r\n",
        "authorization:\tBearer\talpha-secret\r\n",
        "x-amz-firehose-access-key: alpha-secret\r\n",
    ];
    let mut names: Vec<String> = odd_tenants();
    names.extend(["b", "a", " b", "b ", "\tb\t", "b\t|\ta", "a | b"].map(str::to_owned));
    let headers = ["x-scope-orgid", "X-Scope-OrgID", "X-SCOPE-ORGID", "x-scope-org-id", "x_scope_orgid", "x-tenant", "forwarded", "x-forwarded-user"];
    type Body = (&'static str, fn(usize) -> String);
    let bodies: Vec<Body> = writes().into_iter().map(|write| (write.content_type, write.body)).collect();
    let (targets_len, bodies_len, names_len) = (targets.len(), bodies.len(), names.len());
    let strategy = (
        0..targets_len,
        0..credentials.len(),
        proptest::collection::vec((0..headers.len(), 0..names_len), 0..2),
        proptest::option::of((0..headers.len(), 0..names_len)),
        0..5_usize,
        0..=bodies_len,
    );
    let mut runner = TestRunner::deterministic();
    let (mut answered, mut refused) = (0, 0);
    for n in 0..REQUESTS {
        let (target, credential, named, parameter, method, body) = strategy.new_tree(&mut runner).unwrap().current();
        let (path, query) = &targets[target];
        let parameter = parameter
            .map_or_else(String::new, |(header, name)| format!("&{}={}", headers[header], names[name].replace(|c: char| !c.is_ascii_alphanumeric(), "%62")));
        let method = ["GET", "POST", "PUT", "DELETE", "HEAD"][method];
        let (content_type, body) = bodies.get(body).map_or(("application/x-www-form-urlencoded", query.clone()), |(kind, make)| (*kind, make(n)));
        let named: String = named.iter().map(|(header, name)| format!("{}: {}\r\n", headers[*header], names[*name])).collect();
        let head = format!(
            "{method} {path}?{query}{parameter} HTTP/1.1\r\nhost: x\r\n{}{named}content-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            credentials[credential],
            body.len()
        );
        let answer = raw(&server, (head.clone() + &body).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{head}{body}: {answer}");
        assert!(!answer.contains(MARKER), "{head}{body}: {answer}");
        *(if answer.starts_with("HTTP/1.1 2") { &mut answered } else { &mut refused }) += 1;
    }
    // Neither kind is rare, or the test tries nothing.
    assert!(answered > REQUESTS / 20 && refused > REQUESTS / 4, "{answered} answered, {refused} refused");
    assert_eq!(server.stored_rows("b"), 1);
    assert_eq!(stored_tenants(&server.store), ["a", "b"]);
    let lines = get(&server, &format!("/loki/api/v1/query_range?query=%7Bjob%3D~%22.%2B%22%7D&{WINDOW}"), "authorization: Bearer beta-secret\r\n").await;
    assert!(lines.contains(MARKER) && !lines.contains("intruder"), "{lines}");
}

/// Without tokens the header is trusted, but only B's id is B.
#[tokio::test]
async fn no_other_id_means_the_same_tenant() {
    let server = with_two_tenants(&[("TARN_AUTH_ENABLED", "true")], |tenant| ("x-scope-orgid", tenant.to_owned())).await;
    for (path, query, shows) in reads() {
        let b = get(&server, &format!("{path}?{query}"), "x-scope-orgid: b\r\n").await;
        assert!(!shows || b.contains(MARKER), "{path}: {b}");
        for headers in ["", "x-scope-orgid: \r\n", "x-scope-orgid: a\r\nx-scope-orgid: b\r\n", "x-scope-orgid: b\r\nx-scope-orgid: a\r\n"] {
            let answer = get(&server, &format!("{path}?{query}&X-Scope-OrgID=b"), headers).await;
            assert!(!answer.contains(MARKER), "{path} with {headers:?}: {answer}");
        }
        for tenant in odd_tenants() {
            let answer = get(&server, &format!("{path}?{query}"), &format!("x-scope-orgid: {tenant}\r\n")).await;
            assert!(!answer.contains(MARKER), "{path} with {tenant}: {answer}");
        }
        for target in forms_of(path) {
            let answer = get(&server, &format!("{target}?{query}"), "x-scope-orgid: a\r\n").await;
            assert!(!answer.contains(MARKER), "{target}: {answer}");
        }
    }
    assert_eq!(stored_tenants(&server.store), ["a", "b"]);
}

/// What each answer says to those that may not.
#[tokio::test]
async fn refusals() {
    let (server, _config) = with_tokens().await;
    for (target, headers, status, text) in [
        ("/loki/api/v1/labels", "", 401, "this server asks for a token"),
        ("/loki/api/v1/labels", "authorization: Bearer nonsense\r\n", 401, "wrong token"),
        ("/loki/api/v1/labels", "authorization: Bearer alpha-secret\r\nx-scope-orgid: b\r\n", 403, "the token \"a\" is not for tenant \"b\""),
        ("/loki/api/v1/labels", "authorization: Bearer writer-secret\r\nx-scope-orgid: b\r\n", 403, "it has no read access"),
        ("/metrics", "authorization: Bearer alpha-secret\r\n", 403, "it has no admin access"),
        ("/metrics", "", 401, "this server asks for a token"),
        ("/config", "", 401, "this server asks for a token"),
        ("/log_level", "", 401, "this server asks for a token"),
        ("/metrics", "authorization: Bearer ops-secret\r\n", 200, "tarn_http_requests_total"),
        ("/ready", "", 200, "ready"),
    ] {
        let answer = get(&server, target, headers).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(text), "{target} {headers:?}: {answer}");
        assert_eq!(answer.contains("www-authenticate: Basic realm="), status == 401, "{answer}");
    }
    let config = get(&server, "/config", "authorization: Bearer ops-secret\r\n").await;
    assert!(config.contains("tokens: [\"a\", \"b\", \"writer\", \"ops\"]") && SECRETS.iter().all(|(_, secret)| !config.contains(secret)), "{config}");
}
