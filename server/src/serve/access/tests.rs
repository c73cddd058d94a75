use super::*;
use crate::config::tests::resolve;

const FILE: &str = r#"
[[auth.tokens]]
name = "reader"
secret = "env:READER"
tenants = ["a"]
access = ["read"]
[[auth.tokens]]
name = "agent"
secret = "env:AGENT"
tenants = ["a", "b"]
access = ["write"]
[[auth.tokens]]
name = "ops"
secret = "env:OPS"
access = ["admin"]
[[auth.tokens]]
name = "root"
secret = "env:ROOT"
tenants = ["*"]
access = ["read", "write", "admin"]
"#;
const SECRETS: [(&str, &str); 4] = [("READER", "r-secret"), ("AGENT", "a-secret"), ("OPS", "o-secret"), ("ROOT", "x-secret")];

fn access() -> Access {
    Access::open(&resolve(&[], FILE, &SECRETS).unwrap().access, false).unwrap()
}

/// The tenant that a handler would see, or the status.
fn admit(route: &str, method: Method, headers: &[(&'static str, &str)]) -> Result<Option<String>, u16> {
    let mut map: HeaderMap = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    access().admit(route, &method, &mut map).map_err(|refusal| refusal.status.as_u16())?;
    assert!(!map.contains_key("authorization"), "a handler sees no secret");
    Ok(map.get(TENANT_HEADER).map(|value| value.to_str().unwrap().to_owned()))
}

#[test]
fn a_token_fixes_the_tenant_and_the_access() {
    let reader = ("authorization", "Bearer r-secret");
    let agent = ("authorization", "Bearer a-secret");
    let root = ("authorization", "bearer  x-secret");
    let (query, push, delete) = ("/loki/api/v1/query", "/loki/api/v1/push", "/loki/api/v1/delete");
    for (route, method, headers, expected) in [
        (query, Method::GET, vec![reader], Ok(Some("a"))),
        (query, Method::GET, vec![reader, (TENANT_HEADER, "a")], Ok(Some("a"))),
        (query, Method::GET, vec![reader, (TENANT_HEADER, "b")], Err(403)),
        (query, Method::GET, vec![reader, (TENANT_HEADER, "a|b")], Err(403)),
        (query, Method::GET, vec![reader, (TENANT_HEADER, "a"), (TENANT_HEADER, "b")], Err(400)),
        (query, Method::GET, vec![reader, (TENANT_HEADER, "../a")], Err(400)),
        (query, Method::GET, vec![agent, (TENANT_HEADER, "a")], Err(403)),
        (query, Method::GET, vec![], Err(401)),
        (query, Method::GET, vec![("authorization", "Bearer r-secre")], Err(401)),
        (query, Method::GET, vec![("authorization", "Bearer ")], Err(401)),
        (query, Method::GET, vec![("authorization", "r-secret")], Err(401)),
        (query, Method::GET, vec![reader, root], Err(401)),
        (push, Method::POST, vec![reader], Err(403)),
        ("/tarn/api/v1/push", Method::POST, vec![reader], Err(403)),
        ("/tarn/api/v1/push", Method::POST, vec![agent, (TENANT_HEADER, "b")], Ok(Some("b"))),
        ("/otlp/v1/logs", Method::POST, vec![reader], Err(403)),
        ("/otlp/v1/logs", Method::POST, vec![agent, (TENANT_HEADER, "b")], Ok(Some("b"))),
        (push, Method::POST, vec![agent, (TENANT_HEADER, "b")], Ok(Some("b"))),
        (push, Method::POST, vec![agent], Err(400)),
        (push, Method::POST, vec![root, (TENANT_HEADER, "c")], Ok(Some("c"))),
        (push, Method::POST, vec![root], Ok(None)),
        (delete, Method::GET, vec![reader], Ok(Some("a"))),
        (delete, Method::DELETE, vec![reader], Err(403)),
        (delete, Method::POST, vec![agent, (TENANT_HEADER, "a")], Err(403)),
        (delete, Method::POST, vec![root, (TENANT_HEADER, "a")], Ok(Some("a"))),
        // /loki/api/v1/%64elete
        ("/loki/api/v1/{*path}", Method::POST, vec![reader], Err(403)),
        ("/loki/api/v1/{*path}", Method::GET, vec![reader], Ok(Some("a"))),
        ("/metrics", Method::GET, vec![reader], Err(403)),
        ("/metrics", Method::GET, vec![("authorization", "Bearer o-secret")], Ok(None)),
        ("/config", Method::GET, vec![], Err(401)),
        ("/log_level", Method::POST, vec![agent], Err(403)),
        ("/ready", Method::GET, vec![], Ok(None)),
        ("/ready", Method::GET, vec![("authorization", "Bearer nonsense"), (TENANT_HEADER, "b")], Ok(None)),
        ("/aws/firehose", Method::POST, vec![("x-amz-firehose-access-key", "a-secret"), (TENANT_HEADER, "b")], Ok(Some("b"))),
        ("/aws/firehose", Method::POST, vec![("x-amz-firehose-access-key", "r-secret")], Err(403)),
        ("/aws/firehose", Method::POST, vec![], Err(401)),
        (push, Method::POST, vec![("x-amz-firehose-access-key", "a-secret")], Err(401)),
        // A route that another file adds.
        ("/otlp/v1/logs", Method::POST, vec![reader], Err(403)),
        ("/{index}/_bulk", Method::POST, vec![agent, (TENANT_HEADER, "a")], Ok(Some("a"))),
        ("/elasticsearch/{*path}", Method::POST, vec![agent, (TENANT_HEADER, "a")], Ok(Some("a"))),
        ("/elasticsearch/{*path}", Method::POST, vec![reader], Err(403)),
    ] {
        assert_eq!(admit(route, method.clone(), &headers), expected.map(|tenant| tenant.map(str::to_owned)), "{method} {route} {headers:?}");
    }
}

#[test]
fn every_push_route_needs_write_access() {
    for route in crate::serve::router::PUSH_ROUTES {
        assert_eq!(need(route, &Method::POST), Need::Write, "{route}");
    }
    for (route, _) in crate::serve::elastic::routes() {
        assert_eq!(need(route, &Method::PUT), Need::Write, "{route}");
    }
}

#[test]
fn basic_authentication_names_the_token() {
    let basic = |scheme: &str, text: &str| format!("{scheme} {}", STANDARD.encode(text));
    for (value, expected) in [
        (basic("Basic", "reader:r-secret"), Ok(Some("a".to_owned()))),
        (basic("ApiKey", "reader:r-secret"), Ok(Some("a".to_owned()))),
        (basic("Basic", "agent:r-secret"), Err(401)),
        (basic("Basic", ":r-secret"), Err(401)),
        (basic("Basic", "reader"), Err(401)),
        (basic("Basic", "reader:"), Err(401)),
        ("Basic reader:r-secret".to_owned(), Err(401)),
        (basic("Digest", "reader:r-secret"), Err(401)),
    ] {
        assert_eq!(admit("/loki/api/v1/labels", Method::GET, &[("authorization", &value)]), expected, "{value}");
    }
}

#[test]
fn firehose_with_a_key_of_its_own_brings_no_tenant() {
    let access = Access::open(&resolve(&[], FILE, &SECRETS).unwrap().access, true).unwrap();
    let mut headers: HeaderMap = [(http::HeaderName::from_static(TENANT_HEADER), HeaderValue::from_static("b"))].into_iter().collect();
    assert!(access.admit(FIREHOSE, &Method::POST, &mut headers).is_ok() && !headers.contains_key(TENANT_HEADER));
}

#[test]
fn without_tokens_everybody_comes_in() {
    let open = Access::open(&resolve(&[], "", &[]).unwrap().access, false).unwrap();
    let mut headers: HeaderMap = [(header::AUTHORIZATION, HeaderValue::from_static("Basic eDp5"))].into_iter().collect();
    assert!(open.admit("/metrics", &Method::GET, &mut headers).is_ok());
}

#[tokio::test]
async fn a_tokens_file_is_read_anew_and_a_wrong_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let token =
        |secret: &str| format!("[[tokens]]\nname = \"f\"\nsecret = \"blake3:{}\"\ntenants = [\"a\"]\naccess = [\"read\"]\n", blake3::hash(secret.as_bytes()));
    std::fs::write(&path, token("one")).unwrap();
    let config = resolve(&[], FILE, &[SECRETS.as_slice(), &[("TARN_AUTH_TOKENS_FILE", path.to_str().unwrap())]].concat()).unwrap().access;
    let access = Access::open(&config, false).unwrap();
    let comes_in = |secret: &str| {
        let mut headers: HeaderMap = [(header::AUTHORIZATION, format!("Bearer {secret}").parse().unwrap())].into_iter().collect();
        access.admit("/loki/api/v1/query", &Method::GET, &mut headers).is_ok()
    };
    assert!(comes_in("one") && !comes_in("two") && comes_in("r-secret"));
    for wrong in ["[[tokens]]\nname = 3", "", "[[tokens]]\nname = \"reader\"\nsecret = \"env:HOME\"\ntenants = [\"a\"]\naccess = [\"read\"]\n"] {
        std::fs::write(&path, wrong).unwrap();
        access.reload().await;
        assert_eq!(comes_in("one"), !wrong.is_empty(), "an empty file takes all its tokens back: {wrong}");
        std::fs::write(&path, token("one")).unwrap();
        access.reload().await;
    }
    std::fs::write(&path, token("two")).unwrap();
    access.reload().await;
    assert!(!comes_in("one") && comes_in("two") && comes_in("r-secret"));
    std::fs::remove_file(&path).unwrap();
    access.reload().await;
    assert!(comes_in("two"));
}
