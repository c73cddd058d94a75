//! No request without a tenant's credentials gets a byte of that tenant's: every read route, every form of a path, every way to name a tenant.

use std::path::Path;

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

/// Ways to ask for tenant B that are not its id itself.
fn odd_tenants() -> Vec<String> {
    let odd = [
        "../b", "b/", "b%2f", "%62", ".", "..", "./b", "a/../b", "B", "b,a", "a,b", "a|b", "b|a", "|b", "b|", "b;a", "*", "b*", "\"b\"", "b\\", "t=b", "b/l0",
        "bb", "a b",
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
    let push = json_push(&[("job", "intruder")], &[(THEN, "intruder")]);
    let attempts = attempts().into_iter().filter(|headers| !(headers.contains("writer-secret") && headers.contains("x-scope-orgid: b")));
    for headers in attempts {
        let length = push.len();
        for path in [
            "/loki/api/v1/push",
            "/api/prom/push",
            "/loki/api/v1/push?X-Scope-OrgID=b",
            "/tarn/api/v1/push?app=x",
            "/otlp/v1/logs",
            "/_bulk",
            "/x/_doc",
            "/logproto.Pusher/Push",
            "/services/collector",
            "/services/collector/raw",
            "/services/collector/ack",
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        ] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{push}"
            );
            let answer = raw(&server, request.as_bytes()).await;
            // A's own id, given with others that are not looked at, is A's to write to.
            assert!(answer.starts_with("HTTP/1.1 4") || headers.contains("X-Scope-OrgID: a\r\n"), "{headers:?}: {answer}");
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
