//! Deletes as a client sees them: asked for, hidden, listed, taken back.

use std::time::Duration;

use schema::DeleteReceipt;
use store::deletes;

use super::tests::{api, request};
use super::*;

fn tenant() -> TenantId {
    TenantId::parse("golden").unwrap()
}

async fn ask(api: &Api, head: &str) -> ApiResponse {
    api.handle(request(head)).await.unwrap()
}

fn text(response: &ApiResponse) -> (u16, String) {
    (response.status.as_u16(), String::from_utf8(response.body.to_vec()).unwrap())
}

async fn ask_for(api: &Api, query: &str) -> String {
    let response = ask(api, &format!("POST /loki/api/v1/delete\nquery={query}\nstart=1793491200")).await;
    assert_eq!(text(&response), (204, String::new()));
    response.headers.get("x-delete-request-id").unwrap().to_str().unwrap().to_owned()
}

async fn cancel(api: &Api, id: &str, force: &str) -> (u16, String) {
    text(&ask(api, &format!("DELETE /loki/api/v1/delete\nrequest_id={id}\nforce={force}")).await)
}

async fn status_of(api: &Api, id: &str) -> String {
    let listed: serde_json::Value = serde_json::from_slice(&ask(api, "GET /loki/api/v1/delete").await.body).unwrap();
    let request = listed.as_array().unwrap().iter().find(|request| request["request_id"] == id).unwrap();
    request["status"].as_str().unwrap().to_owned()
}

/// How many lines, counted rows and detected fields the answers about a selector hold.
async fn visible(api: &Api, query: &str) -> (usize, String, usize) {
    let lines = ask(api, &format!("GET /loki/api/v1/query_range\nquery={query}\nstart=1793491200")).await;
    let lines: serde_json::Value = serde_json::from_slice(&lines.body).unwrap();
    let streams = lines["data"]["result"].as_array().unwrap();
    let lines = streams.iter().map(|stream| stream["values"].as_array().unwrap().len()).sum();
    let count = ask(api, &format!("GET /loki/api/v1/query\nquery=sum(count_over_time({query}[1h]))\ntime=1793494800")).await;
    let count: serde_json::Value = serde_json::from_slice(&count.body).unwrap();
    let count = count["data"]["result"][0]["value"][1].as_str().unwrap_or("none").to_owned();
    let fields = ask(api, &format!("GET /loki/api/v1/detected_fields\nquery={query}\nstart=1793491200")).await;
    let fields: serde_json::Value = serde_json::from_slice(&fields.body).unwrap();
    (lines, count, fields["fields"].as_array().map_or(0, Vec::len))
}

#[tokio::test]
async fn rows_are_gone_at_once_and_come_back_when_the_request_is_taken_back() {
    let api = api().await;
    let query = r#"{app="api", env="prod"}"#;
    let before = visible(&api, query).await;
    assert_eq!((before.0, before.1.as_str(), before.2 > 0), (3, "3", true));
    let partly = ask_for(&api, r#"{app="api"} | trace_id="t1""#).await;
    let after = visible(&api, query).await;
    assert_eq!((after.0, after.1.as_str()), (2, "2"));
    let whole = ask_for(&api, r#"{app="api"}"#).await;
    assert_ne!(partly, whole);
    assert_eq!(visible(&api, query).await, (0, "none".to_owned(), 0));
    assert_eq!(visible(&api, r#"{app="web"}"#).await.0, 2);
    // A stream is listed until its rows are rewritten, as in Loki.
    let labels = ask(&api, "GET /loki/api/v1/label/app/values").await;
    assert!(text(&labels).1.contains(r#""api""#));
    assert_eq!(cancel(&api, &whole, "").await, (204, String::new()));
    assert_eq!(visible(&api, query).await, after);
    assert_eq!(cancel(&api, &partly, "").await, (204, String::new()));
    assert_eq!(visible(&api, query).await, before);
}

#[tokio::test]
async fn requests_concern_their_own_tenant_alone() {
    let api = api().await;
    let id = ask_for(&api, r#"{app=~".+"}"#).await;
    let as_other = async |head: &str| {
        let mut other = request(head);
        other.tenants = TenantId::parse("other").unwrap().into();
        text(&api.handle(other).await.unwrap())
    };
    assert_eq!(as_other("GET /loki/api/v1/delete").await, (200, "[]\n".to_owned()));
    assert_eq!(as_other(&format!("DELETE /loki/api/v1/delete\nrequest_id={id}")).await.0, 404);
    assert_eq!(as_other("POST /loki/api/v1/delete\nquery={a=\"b\"}\nstart=1793491200").await.0, 204);
    assert_eq!(status_of(&api, &id).await, "received");
    let (requests, _) = deletes::load(&api.shared.client, &tenant()).await.unwrap();
    assert_eq!(requests.requests.len(), 1);
}

/// What the compactor writes down as it goes.
async fn note(api: &Api, days: usize, processed: Option<i64>) {
    let edit = |list: &mut schema::DeleteRequests| {
        let request = list.requests.first_mut()?;
        request.receipt = vec![DeleteReceipt { day: "2026-11-01".to_owned(), at: 5, rows: 2, removed: vec!["a".to_owned()], written: vec![] }; days];
        request.processed = processed;
        Some(())
    };
    deletes::update(&api.shared.client, &api.shared.env, &tenant(), edit).await.unwrap();
}

#[tokio::test]
async fn what_has_begun_or_is_old_is_not_taken_back_lightly() {
    let api = api().await;
    // 2026-10-31 to 2026-11-01: two days.
    let asked = ask(&api, "PUT /loki/api/v1/delete\nquery={app=\"api\"}\nstart=2026-10-31T12:00:00Z").await;
    let id = asked.headers.get("x-delete-request-id").unwrap().to_str().unwrap().to_owned();
    assert!(id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    api.shared.env.advance(Duration::from_secs(24 * 3600));
    assert_eq!(status_of(&api, &id).await, "received");
    api.shared.env.advance(Duration::from_nanos(1));
    let late = "deletion of request past the deadline of 24h0m0s since its creation is not allowed\n";
    assert_eq!(cancel(&api, &id, "false").await, (400, late.to_owned()));
    note(&api, 1, None).await;
    assert_eq!(status_of(&api, &id).await, "50% Complete");
    let partly = "Unable to cancel partially completed delete request. To force, use the ?force query parameter\n";
    assert_eq!(cancel(&api, &id, "").await, (400, partly.to_owned()));
    note(&api, 2, Some(7)).await;
    assert_eq!(status_of(&api, &id).await, "processed");
    let listed = text(&ask(&api, "GET /loki/api/v1/delete").await).1;
    assert!(listed.contains(r#""receipt":[{"day":"2026-11-01","at":5,"rows":2,"removed":["a"],"written":[]},"#), "{listed}");
    let processed = "deletion of request which is in process or already processed is not allowed\n";
    assert_eq!(cancel(&api, &id, "true").await, (400, processed.to_owned()));
    note(&api, 1, None).await;
    assert_eq!(cancel(&api, &id, "true").await.0, 204);
}
