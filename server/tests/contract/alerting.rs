//! Section 8: alert rules, and the store of alert states.

use crate::support::protobuf_push;

use super::*;

/// Rules that Grafana evaluates: instant queries without a limit; nothing is no data.
#[tokio::test]
async fn s08_grafanas_rules_are_evaluated() {
    let server = shop().await;
    let rule = [("X-Rule-Name", "r"), ("X-Rule-Uid", "u"), ("X-Rule-Folder", "f"), ("X-Rule-Type", "alerting"), FLAG];
    let time = (THEN + MINUTE).to_string();
    let at = async |query: &str| get_with(&server, "query", &[("direction", "backward"), ("query", query), ("time", &time)], &rule).await;
    assert_eq!(at(r#"sum(count_over_time({app="shop"}[1m])) > 2"#).await.result(), r#"[{"metric":{},"value":[1700000060,"3"]}]"#);
    assert_eq!(at(r#"sum(count_over_time({app="shop"}[1m])) > 3"#).await.result(), "[]");
    assert_eq!(at(r#"sum(count_over_time({app="nothing"}[1m]))"#).await.result(), "[]");
    assert_eq!(at(r#"{app="shop"}"#).await.refusal().0, 400);
}

/// The alert list's questions to a data source that might have rules. Section 11, idea 10.
#[tokio::test]
async fn s08_s11_10_there_is_a_ruler_without_rules() {
    let server = Server::start(&[]).await;
    let rules = send(&server, "GET", "/prometheus/api/v1/rules", &[], b"").await;
    assert_eq!(rules.ok(), "{\"status\":\"success\",\"data\":{\"groups\":[]},\"errorType\":\"\",\"error\":\"\"}\n");
    let alerts = send(&server, "GET", "/prometheus/api/v1/alerts", &[], b"").await;
    assert_eq!(alerts.ok(), "{\"status\":\"success\",\"data\":{\"alerts\":[]},\"errorType\":\"\",\"error\":\"\"}\n");
    for path in ["/api/prom/rules/test/test", "/loki/api/v1/rules/test/test"] {
        assert_eq!(send(&server, "GET", path, &[], b"").await.refusal(), (404, "group does not exist\n"), "{path}");
    }
    for path in ["/api/prom/rules", "/api/prom/rules/test", "/loki/api/v1/rules", "/loki/api/v1/rules/test"] {
        assert_eq!(send(&server, "GET", path, &[], b"").await.refusal(), (404, "no rule groups found\n"), "{path}");
    }
    for (method, path) in [("POST", "/api/prom/rules/test"), ("DELETE", "/api/prom/rules/test"), ("DELETE", "/loki/api/v1/rules/test/test")] {
        let refused = send(&server, method, path, &[], b"name: test\n").await;
        let (status, text) = refused.refusal();
        assert!(status == 405 && text.contains("no ruler") && refused.header("allow") == Some("GET"), "{method} {path}: {refused:?}");
    }
    let strict = Server::start(&[("TARN_AUTH_ENABLED", "true")]).await;
    for path in ["/prometheus/api/v1/rules", "/api/prom/rules/test/test"] {
        assert_eq!(send(&strict, "GET", path, &[], b"").await.refusal(), (401, "no org id\n"), "{path}");
    }
}

/// Grafana's own history of alert states: pushed as protobuf, read without direction or step, elements of exactly two.
#[tokio::test]
async fn s08_alert_states_are_stored_and_found() {
    let server = Server::start(&[QUICK]).await;
    assert!(send(&server, "GET", "/loki/api/v1/labels", &[], b"").await.status / 100 == 2);
    let line = |current: &str, panel: u32, team: &str| {
        format!(
            r#"{{"schemaVersion":1,"previous":"Normal","current":"{current}","values":{{"A":1.5}},"condition":"A","dashboardUID":"d","panelID":{panel},"fingerprint":"f0","ruleTitle":"t","ruleID":1,"ruleUID":"x","labels":{{"team":"{team}"}}}}"#
        )
    };
    let lines = [line("Alerting", 12, "a"), line("Alerting", 13, "a"), line("Pending", 12, "a"), line("Alerting", 12, "b")];
    let entries: Vec<(i64, &str)> = (1..).zip(&lines).map(|(n, line)| (THEN + n * SECOND, line.as_str())).collect();
    let body = protobuf_push(r#"{folderUID="a", from="state-history", group="g", orgID="1"}"#, &entries);
    let body = snap::raw::Encoder::new().compress_vec(&body).unwrap();
    let headers = [("Content-Type", "application/x-protobuf"), ("X-Scope-OrgID", "history"), ("Authorization", "Basic dXNlcjpwYXNz")];
    assert_eq!(send(&server, "POST", "/loki/api/v1/push", &headers, &body).await.status, 204);
    let (start, end) = (THEN.to_string(), (THEN + MINUTE).to_string());
    let read = async |query: &str| {
        let parameters = [("query", query), ("start", &*start), ("end", &*end), ("limit", "5000")];
        get_with(&server, "query_range", &parameters, &headers[1..]).await
    };
    let selector = "{orgID=\"1\",from=\"state-history\",folderUID=~`a|b`}";
    let all = read(selector).await;
    assert_eq!(
        all.shape().split(",stats").next(),
        Some("{status:s,data:{resultType:s,result:[{stream:{detected_level:s,folderUID:s,from:s,group:s,orgID:s,service_name:s},values:[[s,s]]}]")
    );
    assert_eq!(all.json()["data"]["result"][0]["values"][0], json!([(THEN + 4 * SECOND).to_string(), lines[3]]));
    let one = format!(r#"{selector} | json | ruleUID="x" | dashboardUID="d" | panelID=12 | previous=~"^Normal.*" | current=~"^Alerting.*" | labels_team="a""#);
    let found = read(&one).await.json();
    assert_eq!(found["data"]["result"].as_array().unwrap().len(), 1);
    assert_eq!(found["data"]["result"][0]["values"], json!([[(THEN + SECOND).to_string(), lines[0]]]));
}
