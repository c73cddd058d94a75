//! The routes of before version 1, below `/api/prom`.

use super::*;

/// What is pushed there is asked for there.
#[tokio::test]
async fn legacy_push_query_labels_and_series() {
    let server = Server::start(&[QUICK]).await;
    let body = r#"{"streams":[{"labels":"{app=\"shop\", env=\"prod\"}","entries":[{"ts":"2023-11-14T22:13:21Z","line":"first <b>"},{"ts":"2023-11-14T22:13:22.5Z","line":"second"}]}]}"#;
    let pushed = send(&server, "POST", "/api/prom/push", &[("content-type", "application/json")], body.as_bytes()).await;
    assert_eq!((pushed.status, pushed.text()), (204, ""));
    let during = [("start", "1700000000000000000"), ("end", "1700000060000000000")];
    let ask =
        async |path: &str, more: &[(&str, &str)]| send(&server, "GET", &format!("/api/prom/{path}?{}", form(&[&during[..], more].concat())), &[], b"").await;

    let labels = r#"{app=\"shop\", detected_level=\"unknown\", env=\"prod\", service_name=\"shop\"}"#;
    let first = r#"{"ts":"2023-11-14T22:13:21Z","line":"first \u003cb\u003e"}"#;
    let second = r#"{"ts":"2023-11-14T22:13:22.5Z","line":"second"}"#;
    let of = |entries: &str| format!(r#"{{"streams":[{{"labels":"{labels}","entries":[{entries}]}}],"stats":{{"summary":"#);
    let newest = ask("query", &[("query", r#"{app="shop"}"#)]).await;
    assert!(newest.ok().starts_with(&of(&format!("{second},{first}"))), "{}", newest.text());
    let oldest = ask("query", &[("query", r#"{app="shop"}"#), ("direction", "forward"), ("limit", "1")]).await;
    assert!(oldest.ok().starts_with(&of(first)), "{}", oldest.text());
    let filtered = ask("query", &[("query", r#"{app="shop"}"#), ("regexp", "^sec")]).await;
    assert!(filtered.ok().starts_with(&of(second)), "{}", filtered.text());
    assert_eq!(ask("query", &[("query", r#"rate({app="shop"}[1m])"#)]).await.refusal(), (400, "legacy endpoints only support streams result type"));
    assert_eq!(ask("label", &[]).await.ok(), "{\"values\":[\"app\",\"env\",\"service_name\"]}\n");
    assert_eq!(ask("label/app/values", &[]).await.ok(), "{\"values\":[\"shop\"]}\n");
    assert_eq!(ask("label/nothing/values", &[]).await.ok(), "{}\n");
    let series = ask("series", &[("match[]", r#"{app="shop"}"#)]).await;
    assert_eq!(series.ok(), "{\"status\":\"success\",\"data\":[{\"app\":\"shop\",\"env\":\"prod\",\"service_name\":\"shop\"}]}\n");
}
