//! Section 2: "Save & test", and the checks of older and other clients.

use store::env::Env;

use super::must::{HEALTH, HEALTHY};
use super::*;

/// On an empty store, with a tenant or without. Section 11, idea 1.
#[tokio::test]
async fn s02_health_s11_01_is_green_on_an_empty_store_for_every_tenant() {
    let server = Server::start(&[]).await;
    let basic = ("Authorization", "Basic dXNlcjpwYXNz");
    for headers in [&[FLAG][..], &[FLAG, ("X-Scope-OrgID", "team-a")], &[FLAG, basic]] {
        let answer = send(&server, "GET", HEALTH, headers, b"").await;
        assert_eq!(answer.bare(), HEALTHY, "{headers:?}");
    }
    let strict = Server::start(&[("TARN_AUTH_ENABLED", "true")]).await;
    assert_eq!(send(&strict, "GET", HEALTH, &[FLAG], b"").await.refusal(), (401, "no org id"));
    assert_eq!(send(&strict, "GET", HEALTH, &[FLAG, ("X-Scope-OrgID", "team-a")], b"").await.bare(), HEALTHY);
}

/// Grafana up to 9 wants a label of the last ten minutes.
#[tokio::test]
async fn s02_older_grafana_finds_labels_of_the_last_ten_minutes() {
    let server = Server::start(&[QUICK]).await;
    let now = Env::system().now().as_nanos();
    push(&server, &[("app", "x")], &[(now, "line", &[])]).await;
    let start = (now - 600 * SECOND).to_string();
    assert_eq!(get(&server, "labels", &[("start", &start)]).await.ok(), "{\"status\":\"success\",\"data\":[\"app\",\"service_name\"]}\n");
    let older = send(&server, "GET", &format!("/api/prom/label?start={start}"), &[], b"").await;
    assert_eq!(older.ok(), "{\"values\":[\"app\",\"service_name\"]}\n");
}

/// The store of alert states asks whether there is a Loki at all.
#[tokio::test]
async fn s02_labels_without_parameters_is_a_success() {
    let server = Server::start(&[]).await;
    assert_eq!(send(&server, "GET", "/loki/api/v1/labels", &[], b"").await.ok(), "{\"status\":\"success\"}\n");
}

#[tokio::test]
async fn s02_buildinfo_has_lokis_members() {
    let server = Server::start(&[]).await;
    let build = get(&server, "status/buildinfo", &[]).await;
    assert_eq!(build.shape(), "{version:s,revision:s,branch:s,buildUser:s,buildDate:s,goVersion:s}");
    assert!(build.json()["version"].as_str().unwrap().starts_with(|c: char| c.is_ascii_digit()));
}
