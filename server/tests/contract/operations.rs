//! Routes that people and monitoring look at.

use super::*;

/// Settings in force, those that were changed, those of nobody; never a secret.
#[tokio::test]
async fn operations_config_shows_no_secret() {
    let server =
        Server::start(&[("TARN_FIREHOSE_ACCESS_KEY", "hunter2hunter2"), ("TARN_FIREHOSE_TENANT", "aws"), ("TARN_LIMITS_MAX_QUERY_SERIES", "77")]).await;
    let shown = async |mode: &str| {
        let answer = send(&server, "GET", &format!("/config{mode}"), &[], b"").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(TEXT)), "{mode}");
        assert!(!answer.text().contains("hunter2"), "{}", answer.text());
        answer.text().to_owned()
    };
    let (all, diff, defaults) = (shown("").await, shown("?mode=diff").await, shown("?mode=defaults").await);
    assert!(all.contains("firehose:\n  access_key: \"***\"\n  tenant: \"aws\"\n") && all.contains("\n  max_query_series: 77\n"), "{all}");
    assert!(all.contains("\n  max_entries_limit_per_query: 5000\n"), "{all}");
    assert!(diff.contains("\n  max_query_series: 77\n") && !diff.contains("max_entries_limit_per_query"), "{diff}");
    assert!(defaults.contains("\n  max_query_series: 500\n") && !defaults.contains("***"), "{defaults}");
    assert_eq!(send(&server, "GET", "/config?mode=all", &[], b"").await.refusal().0, 400);
    let limits = send(&server, "GET", "/config/tenant/v1/limits", &[], b"").await;
    assert!(limits.status == 200 && limits.text().contains("max_query_series: 77\n"), "{}", limits.text());
}

#[tokio::test]
async fn operations_log_level_is_shown_and_set() {
    let server = Server::start(&[]).await;
    let shown = async || send(&server, "GET", "/log_level", &[], b"").await.json();
    assert_eq!(shown().await, json!({"message": "Current log level is info"}));
    let set = send(&server, "POST", "/log_level", &[FORM], b"log_level=debug").await;
    assert_eq!(set.json(), json!({"status": "success", "message": "Log level set to debug"}));
    assert_eq!(shown().await, json!({"message": "Current log level is debug"}));
    let in_url = send(&server, "POST", "/log_level?log_level=warn", &[], b"").await;
    assert_eq!(in_url.json(), json!({"status": "success", "message": "Log level set to warn"}));
    let wrong = send(&server, "POST", "/log_level?log_level=%3D%3D", &[], b"").await;
    assert_eq!((wrong.status, wrong.header("content-type"), shape(wrong.text()).contains("status:s")), (400, Some(JSON), true));
}

#[tokio::test]
async fn operations_services_and_readiness_are_text() {
    let server = Server::start(&[]).await;
    let services = send(&server, "GET", "/services", &[], b"").await;
    assert_eq!((services.status, services.header("content-type")), (200, Some(TEXT)));
    assert_eq!(services.text(), "server => Running\ningest => Running\nquery => Running\ncompactor => Running\n");
    let ready = send(&server, "GET", "/ready", &[], b"").await;
    assert_eq!((ready.status, ready.header("content-type"), ready.text()), (200, Some(TEXT), "ready\n"));
}
