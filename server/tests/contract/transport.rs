//! Section 1: what all requests have in common.

use super::*;

/// Every query route: (path, parameters).
fn query_routes() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let during = [("start", "1700000000"), ("end", "1700000060")];
    let with = |more: &[(&'static str, &'static str)]| [&during[..], more].concat();
    vec![
        ("/loki/api/v1/query_range", with(&[("query", r#"{app="shop"}"#), ("limit", "2")])),
        ("/loki/api/v1/query", vec![("query", r#"sum by (app) (count_over_time({app=~".+"}[1m]))"#), ("time", "1700000060")]),
        ("/loki/api/v1/labels", with(&[("query", r#"{app="shop"}"#)])),
        ("/loki/api/v1/label", with(&[])),
        ("/loki/api/v1/label/app/values", with(&[])),
        ("/loki/api/v1/series", with(&[("match[]", r#"{app="shop"}"#)])),
        ("/loki/api/v1/index/stats", with(&[("query", r#"{app="shop"}"#)])),
        ("/loki/api/v1/index/volume", with(&[("query", r#"{app="shop"}"#)])),
        ("/loki/api/v1/index/volume_range", with(&[("query", r#"{app="shop"}"#), ("step", "30")])),
        ("/loki/api/v1/detected_labels", with(&[])),
        ("/loki/api/v1/detected_fields", with(&[("query", r#"{app="api"}"#)])),
        ("/loki/api/v1/detected_field/status/values", with(&[("query", r#"{app="api"}"#)])),
        ("/loki/api/v1/patterns", with(&[("query", r#"{app="shop"}"#), ("step", "10s")])),
        ("/loki/api/v1/format_query", vec![("query", r#"{app="a"}|="b""#)]),
        ("/api/prom/query", with(&[("query", r#"{app="shop"}"#)])),
        ("/api/prom/label", with(&[])),
        ("/api/prom/label/app/values", with(&[])),
        ("/api/prom/series", with(&[("match[]", r#"{app="shop"}"#)])),
        ("/tarn/api/v1/explain", with(&[("query", r#"{app="shop"}"#)])),
    ]
}

/// What an answer says apart from how long it took.
fn lasting(answer: &Answer) -> &str {
    let text = answer.ok();
    text.split_once(r#","stats":"#).map_or(text, |(before, _)| before)
}

#[tokio::test]
async fn t_method_every_query_route_takes_get_and_forms() {
    let server = shop().await;
    for (path, parameters) in query_routes() {
        let got = send(&server, "GET", &format!("{path}?{}", form(&parameters)), &[], b"").await;
        let posted = send(&server, "POST", path, &[FORM], form(&parameters).as_bytes()).await;
        assert_eq!(lasting(&posted), lasting(&got), "{path}");
        // The rest of a form may stand in the URL.
        let (first, rest) = parameters.split_first().unwrap();
        let mixed = send(&server, "POST", &format!("{path}?{}", form(&[*first])), &[FORM], form(rest).as_bytes()).await;
        assert_eq!(lasting(&mixed), lasting(&got), "{path}");
    }
}

/// Other methods are refused without a body, and no answer says that another site may read it.
#[tokio::test]
async fn t_method_others_are_refused_and_no_other_site_is_let_in() {
    let server = shop().await;
    for (path, _) in query_routes() {
        for method in ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"] {
            let origin = [("Origin", "https://elsewhere.example"), ("Access-Control-Request-Method", "GET")];
            let refused = send(&server, method, path, &origin, b"").await;
            assert_eq!((refused.status, refused.header("allow"), refused.text()), (405, Some("GET, POST"), ""), "{method} {path}");
            assert!(!refused.headers.iter().any(|(name, _)| name.starts_with("access-control")), "{refused:?}");
        }
    }
    let asked = send(&server, "GET", "/loki/api/v1/labels", &[("Origin", "https://elsewhere.example")], b"").await;
    assert!(asked.status == 200 && !asked.headers.iter().any(|(name, _)| name.starts_with("access-control")), "{asked:?}");
}

/// LogQL stands in the URL, however long it is. Request lines of 64 KiB must be read.
#[tokio::test]
async fn t_method_long_urls_are_read() {
    let server = shop().await;
    let before = format!("/loki/api/v1/query_range?{}&query=", form(&[("start", "1700000000"), ("end", "1700000060")]));
    let query = form(&[("", r#"{app="shop"} |= "plain" != "#)]).split_off(1);
    let filler = "x".repeat(65_530 - before.len() - query.len() - 6);
    let target = format!("{before}{query}%22{filler}%22");
    assert_eq!(target.len(), 65_530);
    let answer = send(&server, "GET", &target, &[], b"").await;
    assert!(answer.ok().contains("plain words"), "{}", answer.text());
}

/// The plugin decodes `%2F` in a name before it sends it.
#[tokio::test]
async fn t_url_names_may_hold_slashes_and_escapes() {
    let server = shop().await;
    let none = "{\"status\":\"success\"}\n";
    for path in ["label/a/b/values", "label/a%2Fb/values", "label/a%20b/values", "label/%C3%BC/values", "label/values/values"] {
        assert_eq!(send(&server, "GET", &format!("/loki/api/v1/{path}?start=1700000000&end=1700000060"), &[], b"").await.ok(), none, "{path}");
    }
    assert_eq!(
        send(&server, "GET", "/loki/api/v1/label/%61pp/values?start=1700000000&end=1700000060", &[], b"").await.ok(),
        "{\"status\":\"success\",\"data\":[\"api\",\"shop\"]}\n"
    );
    let during = form(&[("query", r#"{app="api"}"#), ("start", "1700000000"), ("end", "1700000060")]);
    for path in ["detected_field/a/b/values", "detected_field/a%2Fb/values"] {
        assert_eq!(send(&server, "GET", &format!("/loki/api/v1/{path}?{during}"), &[], b"").await.ok(), "{}\n", "{path}");
    }
    let values = send(&server, "GET", &format!("/loki/api/v1/detected_field/user%5Fid/values?{during}"), &[], b"").await;
    assert_eq!(values.ok(), "{\"limit\":1000,\"values\":[\"7\",\"8\"]}\n");
}

/// What Grafana forwards of the browser changes nothing.
#[tokio::test]
async fn t_headers_of_grafana_are_ignored() {
    let server = shop().await;
    let plain = range_with(&server, r#"{app="shop"}"#, &[], &[]).await;
    let forwarded = [
        ("Authorization", "Basic dXNlcjpwYXNz"),
        ("Cookie", "grafana_session=1"),
        ("X-Id-Token", "e30.e30.e30"),
        ("X-Query-Tags", "Source=logvolhist"),
        ("X-Loki-Query-Limits-Context", r#"{"Expr":"{app=\"x\"}","From":"2023-11-14T22:13:20Z","To":"2023-11-14T22:14:20Z"}"#),
        ("X-Grafana-Org-Id", "1"),
        ("X-Grafana-Cache", "1"),
        ("X-Grafana-From-Expr", "true"),
        ("X-Query-Group-Id", "f3a9"),
        ("X-Panel-Id", "7"),
        ("X-Panel-Plugin-Id", "logs"),
        ("X-Dashboard-Uid", "d"),
        ("X-Datasource-Uid", "s"),
        ("X-Rule-Name", "rule"),
        ("X-Rule-Type", "alerting"),
        ("Accept", "*/*"),
        ("If-None-Match", "\"x\""),
        ("Range", "bytes=0-1"),
        ("User-Agent", "Grafana/12.1.0"),
    ];
    let asked = range_with(&server, r#"{app="shop"}"#, &[], &forwarded).await;
    assert_eq!(asked.bare(), plain.bare());
}

/// Long answers are compressed for those that read gzip; errors never are, since their bodies are shown as they come. Section 11, idea 11.
#[tokio::test]
async fn t_headers_s11_11_gzip_for_answers_and_never_for_errors() {
    let server = Server::start(&[QUICK]).await;
    let long = "0123456789".repeat(30_000);
    push(&server, SHOP, SHOP_LINES).await;
    push(&server, &[("app", "long")], &[(THEN + SECOND, &long[..200_000], &[])]).await;
    let gzip = ("Accept-Encoding", "gzip, deflate, br");
    for query in [r#"{app="shop"}"#, r#"{app="long"}"#] {
        let plain = range_with(&server, query, &[], &[FLAG]).await;
        let compressed = range_with(&server, query, &[], &[FLAG, gzip]).await;
        assert_eq!((compressed.status, compressed.header("content-type"), compressed.header("vary")), (200, Some(JSON), Some("Accept-Encoding")));
        assert!(compressed.body.len() < plain.body.len(), "{query}");
        assert_eq!(json::bare(&compressed.gunzipped()), plain.bare(), "{query}");
        assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("Accept-Encoding")), "{query}");
        let refused = range_with(&server, query, &[], &[("Accept-Encoding", "gzip;q=0, identity")]).await;
        assert_eq!(refused.bare(), range_with(&server, query, &[], &[]).await.bare());
    }
    let query = format!(r#"{{app="{long}"#);
    for (path, parameters, status) in [
        ("query_range", vec![("query", query.as_str())], 400),
        ("query", vec![("query", query.as_str())], 400),
        ("nothing", vec![], 404),
        ("labels", vec![("start", "soon")], 400),
    ] {
        let body = form(&parameters);
        let refused = send(&server, "POST", &format!("/loki/api/v1/{path}"), &[FORM, gzip], body.as_bytes()).await;
        assert_eq!((refused.status, refused.header("content-encoding"), refused.header("content-type")), (status, None, Some(TEXT)), "{path}");
        assert!(!refused.text().is_empty());
    }
}

/// Integer nanoseconds whose last digits a browser has rounded, ISO times, seconds. Section 11, idea 6.
#[tokio::test]
async fn t_time_s11_06_every_form_of_a_time_is_read() {
    let server = shop().await;
    let forms = [
        ("1700000000000000000", "1700000060000000000"),
        // Doubles near 1.7e18 are 256 apart.
        ("1699999999999999744", "1700000060000000256"),
        ("1700000000", "1700000060"),
        ("1700000000.0", "1700000060.5"),
        ("2023-11-14T22:13:20.000Z", "2023-11-14T22:14:20.000Z"),
        ("2023-11-14T23:13:20.000000001+01:00", "2023-11-14T22:14:20Z"),
    ];
    for (start, end) in forms {
        let during = [("start", start), ("end", end)];
        let selected = [&during[..], &[("query", r#"{app="api"}"#)]].concat();
        assert_eq!(get(&server, "labels", &during).await.ok(), "{\"status\":\"success\",\"data\":[\"app\",\"env\",\"service_name\"]}\n", "{start}");
        assert_eq!(get(&server, "detected_labels", &during).await.json()["detectedLabels"].as_array().unwrap().len(), 3, "{start}");
        assert_eq!(get(&server, "detected_fields", &selected).await.json()["fields"].as_array().unwrap().len(), 4, "{start}");
        assert_eq!(get(&server, "detected_field/status/values", &selected).await.ok(), "{\"limit\":1000,\"values\":[\"200\",\"500\"]}\n", "{start}");
        assert_eq!(get(&server, "index/volume", &selected).await.json()["data"]["result"][0]["value"][1], bytes(API_LINES).to_string(), "{start}");
        assert_eq!(get(&server, "index/stats", &selected).await.json()["entries"], 2, "{start}");
        let patterns = get(&server, "patterns", &selected).await.json();
        assert!(patterns["data"].is_array(), "{start}");
        let lines = get(&server, "query_range", &selected).await.json();
        let entries: usize = lines["data"]["result"].as_array().unwrap().iter().map(|stream| stream["values"].as_array().unwrap().len()).sum();
        assert_eq!(entries, 2, "{start}");
    }
}

/// Answers are JSON or text as declared, and refusals are never sniffed.
#[tokio::test]
async fn t_answers_declare_what_they_are() {
    let server = shop().await;
    for (path, parameters) in query_routes() {
        let answer = send(&server, "GET", &format!("{path}?{}", form(&parameters)), &[], b"").await;
        serde_json::from_str::<Value>(answer.ok()).unwrap();
        if path.ends_with("format_query") {
            continue;
        }
        let bad = match path {
            "/loki/api/v1/query" => vec![("query", "vector(")],
            _ => vec![("start", "x"), ("query", "{")],
        };
        let refused = send(&server, "GET", &format!("{path}?{}", form(&bad)), &[], b"").await;
        assert_eq!(refused.refusal().0, 400, "{path}");
    }
    let refused = get(&server, "format_query", &[("query", "{")]).await;
    assert_eq!((refused.status, refused.header("content-type")), (400, Some(JSON)));
    assert_eq!(shape(refused.text()), "{status:s,error:s}");
    assert!(refused.text().starts_with(r#"{"status":"invalid-query","error":"parse error "#), "{}", refused.text());
}
