//! Queries over several tenants, as clients ask them.

use serde_json::{Value, json};

use crate::support::{Server, THEN, client, json_push};

const ON: (&str, &str) = ("TARN_QUERY_MULTI_TENANT_QUERIES_ENABLED", "true");
const WINDOW: &str = "start=1699999999&end=1700000001";
const ALL: &str = "query=%7Bapp%3D~%22.%2B%22%7D";

async fn push(server: &Server, tenant: &str, credential: Option<&str>) -> (u16, String) {
    let body = json_push(&[("app", &format!("app-{tenant}"))], &[(THEN, &format!("line of {tenant}"))]);
    let mut request = client().post(server.at("/loki/api/v1/push")).header("x-scope-orgid", tenant).header("content-type", "application/json").body(body);
    if let Some(secret) = credential {
        request = request.bearer_auth(secret);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn get(server: &Server, target: &str, tenants: &str, credential: Option<&str>) -> (u16, String) {
    let mut request = client().get(server.at(target));
    if !tenants.is_empty() {
        request = request.header("x-scope-orgid", tenants);
    }
    if let Some(secret) = credential {
        request = request.bearer_auth(secret);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn data(body: &str) -> Value {
    let body: Value = serde_json::from_str(body).unwrap();
    body["data"].clone()
}

/// (tenant, line) of every stream of an answer.
fn lines(body: &str) -> Vec<(String, String)> {
    let data = data(body);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    data["result"].as_array().unwrap().iter().map(|stream| (text(&stream["stream"]["__tenant_id__"]), text(&stream["values"][0][1]))).collect()
}

#[tokio::test]
async fn a_query_over_several_tenants_is_refused_unless_it_is_allowed() {
    let server = Server::start(&[]).await;
    for target in [format!("/loki/api/v1/query_range?{ALL}&{WINDOW}"), format!("/loki/api/v1/labels?{WINDOW}"), "/loki/api/v1/drilldown-limits".to_owned()] {
        let (status, text) = get(&server, &target, "a|b", None).await;
        assert_eq!((status, text.trim_end()), (400, "multiple org IDs present"), "{target}");
    }
}

#[tokio::test]
async fn several_tenants_are_read_in_one_answer() {
    let server = Server::start(&[ON]).await;
    for tenant in ["a", "b", "c"] {
        assert_eq!(push(&server, tenant, None).await.0, 204);
    }
    let range = format!("/loki/api/v1/query_range?{ALL}&{WINDOW}");
    let pair = |tenant: &str| (tenant.to_owned(), format!("line of {tenant}"));
    assert_eq!(lines(&get(&server, &range, "b|a|b", None).await.1), [pair("a"), pair("b")]);
    assert_eq!(lines(&get(&server, &range, "a|b|c|none", None).await.1), [pair("a"), pair("b"), pair("c")]);
    assert_eq!(lines(&get(&server, &range, "a|a", None).await.1), [(String::new(), "line of a".to_owned())]);
    let chosen = format!("/loki/api/v1/query_range?query=%7B__tenant_id__%3D~%22b%7Cc%22%7D&{WINDOW}");
    assert_eq!(lines(&get(&server, &chosen, "a|b", None).await.1), [pair("b")]);

    let values = get(&server, &format!("/loki/api/v1/label/__tenant_id__/values?{WINDOW}"), "c|a", None).await.1;
    assert_eq!(data(&values), json!(["a", "c"]));
    let apps = get(&server, &format!("/loki/api/v1/label/app/values?{WINDOW}"), "c|a", None).await.1;
    assert_eq!(data(&apps), json!(["app-a", "app-c"]));
    let count = "/loki/api/v1/query?query=sum%20by%20(__tenant_id__)%20(count_over_time(%7Bapp%3D~%22.%2B%22%7D%5B1h%5D))&time=1700000001";
    let series = data(&get(&server, count, "a|b", None).await.1);
    let tenants: Vec<&Value> = series["result"].as_array().unwrap().iter().map(|series| &series["metric"]["__tenant_id__"]).collect();
    assert_eq!(tenants, ["a", "b"]);
    let plan = get(&server, &format!("/tarn/api/v1/explain?{ALL}&{WINDOW}"), "a|b", None).await.1;
    assert!(plan.contains("TenantUnion: tenants=[a, b]") && plan.contains("TenantLabelExec: b") && plan.contains("tenant=b, chunks: 1 listed"), "{plan}");
    let (status, limits) = get(&server, "/loki/api/v1/drilldown-limits", "a|b", None).await;
    assert!(status == 200 && limits.contains("max_query_series"), "{limits}");
}

#[tokio::test]
async fn what_is_for_one_tenant_is_refused_for_several() {
    let server = Server::start(&[ON]).await;
    assert_eq!(push(&server, "a|b", None).await, (400, "multiple org IDs present\n".to_owned()));
    let (status, text) = get(&server, &format!("/loki/api/v1/tail?{ALL}"), "a|b", None).await;
    assert!(status == 400 && text.starts_with("multiple org IDs present"), "{text}");
    let (status, text) = get(&server, "/loki/api/v1/delete", "a|b", None).await;
    assert!(status == 400 && text.starts_with("multiple org IDs present"), "{text}");
    for tenants in ["a|", "|b", "a||b"] {
        let (status, text) = get(&server, &format!("/loki/api/v1/labels?{WINDOW}"), tenants, None).await;
        assert_eq!((status, text.as_str()), (400, "no org id"), "{tenants}");
    }
    let many: Vec<String> = (0..101).map(|i| format!("t{i}")).collect();
    let (status, text) = get(&server, &format!("/loki/api/v1/labels?{WINDOW}"), &many.join("|"), None).await;
    assert_eq!((status, text.as_str()), (400, "too many tenant IDs: 101, at most 100 can be read at once"));
}

#[tokio::test]
async fn several_tenants_are_held_to_the_strictest_limits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overrides.toml");
    std::fs::write(&path, "[overrides.a]\nmax_entries_limit_per_query = 50\n[overrides.b]\nmax_query_length = \"1h\"\n").unwrap();
    let server = Server::start(&[ON, ("TARN_LIMITS_OVERRIDES_FILE", path.to_str().unwrap())]).await;
    for (target, refused) in [
        (format!("/loki/api/v1/query_range?{ALL}&{WINDOW}&limit=51"), "max entries limit per query exceeded, limit > max_entries_limit_per_query (51 > 50)"),
        (format!("/loki/api/v1/query_range?{ALL}&start=1699990000&end=1700000001&limit=1"), "the query time range exceeds the limit"),
    ] {
        let (status, text) = get(&server, &target, "a|b|c", None).await;
        assert!(status == 400 && text.starts_with(refused), "{target}: {text}");
        assert_eq!(get(&server, &target, "c", None).await.0, 200, "{target}");
    }
}

const TOKENS: &str = r#"
[[auth.tokens]]
name = "both"
secret = "env:TOKEN_BOTH"
tenants = ["a", "b"]
access = ["read", "write"]

[[auth.tokens]]
name = "writer"
secret = "env:TOKEN_WRITER"
tenants = ["*"]
access = ["write"]

[[auth.tokens]]
name = "all"
secret = "env:TOKEN_ALL"
tenants = ["*"]
access = ["read"]
"#;

#[tokio::test]
async fn a_token_must_be_for_every_tenant_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tarn.toml");
    std::fs::write(&config, TOKENS).unwrap();
    let secrets = [("TOKEN_BOTH", "both-secret"), ("TOKEN_WRITER", "writer-secret"), ("TOKEN_ALL", "all-secret")];
    let server = Server::start(&[&[ON, ("TARN_CONFIG", config.to_str().unwrap())], secrets.as_slice()].concat()).await;
    for tenant in ["a", "b", "c"] {
        assert_eq!(push(&server, tenant, Some("writer-secret")).await.0, 204);
    }
    let range = format!("/loki/api/v1/query_range?{ALL}&{WINDOW}");
    let (status, body) = get(&server, &range, "a|b", Some("both-secret")).await;
    assert!(status == 200 && lines(&body).len() == 2, "{body}");
    let refused = "the token \"both\" is not for tenant \"c\"\n".to_owned();
    assert_eq!(get(&server, &range, "a|b|c", Some("both-secret")).await, (403, refused.clone()));
    assert_eq!(get(&server, &range, "c|a", Some("both-secret")).await, (403, refused));
    let (status, text) = get(&server, &range, "", Some("both-secret")).await;
    assert!(status == 400 && text.contains("is for several tenants"), "{text}");
    assert_eq!(get(&server, &range, "a|b", Some("writer-secret")).await.0, 403);
    let (status, body) = get(&server, &range, "a|b|c", Some("all-secret")).await;
    assert!(status == 200 && lines(&body).len() == 3, "{body}");
    assert_eq!(push(&server, "a|b", Some("both-secret")).await, (400, "multiple org IDs present\n".to_owned()));
}
