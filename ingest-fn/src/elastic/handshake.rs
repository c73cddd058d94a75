//! Answers to what clients ask before, and besides, sending: who are you, does this template exist, please create that policy.
//! Whatever a client would install is said to be there, so that it goes on to send; nothing is installed. What would need an answer with data in it (a
//! search, a count, a mapping) is refused: an error, never an empty result.
//! Must not know: documents.

use http::{Method, StatusCode};
use schema::Timestamp;
use serde_json::{Value, json};

use super::answer::{Fault, json_answer, refusal, text_answer};
use super::route::is_index;
use crate::handler::PushResponse;

/// The version that clients see: the last 8.x, which every client of 7.x and 8.x takes, 9.x if allowed to take an older one.
const VERSION: &str = "8.19.0";
const CLUSTER: &str = "tarn";
const CLUSTER_UUID: &str = "dGFybi1sb2ctbGFrZS0wMA";

/// The answer to `method` on the path of `segments`.
pub(super) fn answer(method: &Method, segments: &[&str], now: Timestamp) -> PushResponse {
    let reads = *method == Method::GET || *method == Method::HEAD;
    let changes = [Method::PUT, Method::POST, Method::DELETE].contains(method);
    match segments {
        [] if reads => ok(banner()),
        ["_license"] | ["_xpack", "license"] if reads => ok(json!({"license": license()})),
        ["_xpack"] if reads => ok(xpack()),
        ["_cluster", "health", ..] if reads => ok(health()),
        ["_cluster", "settings"] if reads => ok(json!({"persistent": {}, "transient": {}})),
        ["_nodes", ..] if reads => ok(json!({"_nodes": {"total": 0, "successful": 0, "failed": 0}, "cluster_name": CLUSTER, "nodes": {}})),
        ["_cat", "health"] if reads => text_answer(cat_health(now)),
        ["_index_template", name] if reads => ok(json!({"index_templates": [{"name": name, "index_template": {"index_patterns": [name], "composed_of": []}}]})),
        ["_component_template", name] if reads => ok(json!({"component_templates": [{"name": name, "component_template": {"template": {}}}]})),
        ["_template", name] if reads => ok(named(name, json!({"order": 0, "index_patterns": [name], "settings": {}, "mappings": {}, "aliases": {}}))),
        ["_ilm", "policy", name] if reads => ok(named(name, json!({"version": 1, "policy": {"phases": {}}}))),
        ["_ilm", "status"] if reads => ok(json!({"operation_mode": "RUNNING"})),
        ["_alias", name] | [_, "_alias", name] if reads => ok(named(name, json!({"aliases": named(name, json!({}))}))),
        ["_data_stream", name] if reads => ok(
            json!({"data_streams": [{"name": name, "timestamp_field": {"name": "@timestamp"}, "indices": [], "generation": 1, "status": "GREEN", "template": name}]}),
        ),
        ["_data_stream", name, "_lifecycle"] if reads => ok(json!({"data_streams": [{"name": name, "lifecycle": {"enabled": true}}]})),
        ["_ingest", "pipeline", name] if reads => ok(named(name, json!({"description": "not run: documents are stored as they are sent", "processors": []}))),
        // Lists of what there is: nothing.
        ["_index_template"] if reads => ok(json!({"index_templates": []})),
        ["_component_template"] if reads => ok(json!({"component_templates": []})),
        ["_data_stream"] if reads => ok(json!({"data_streams": []})),
        ["_template"] | ["_alias"] | ["_ilm", "policy"] | ["_ingest", "pipeline"] if reads => ok(json!({})),
        ["_index_template" | "_component_template" | "_template" | "_data_stream" | "_alias" | "_ilm" | "_ingest", _, ..] if changes => ok(acknowledged()),
        [_, "_alias" | "_mapping" | "_settings" | "_lifecycle", ..] if *method == Method::PUT => ok(acknowledged()),
        [index] if is_index(index) && reads => ok(named(index, json!({"aliases": {}, "mappings": {}, "settings": {}}))),
        [index] if is_index(index) && *method == Method::PUT => ok(json!({"acknowledged": true, "shards_acknowledged": true, "index": index})),
        ["_refresh"] | [_, "_refresh"] if reads || *method == Method::POST => ok(json!({"_shards": {"total": 1, "successful": 1, "failed": 0}})),
        _ => refusal(&Fault::bad("illegal_argument_exception", unknown(method, segments))),
    }
}

/// The answer to what clients report on themselves.
pub(super) fn monitoring() -> PushResponse {
    ok(json!({"took": 0, "ignored": true, "errors": false}))
}

fn unknown(method: &Method, segments: &[&str]) -> String {
    let path: String = segments.join("/").chars().take(200).collect();
    format!("no handler found for uri [/{path}] and method [{method}]: this is a log lake that takes documents; ask it in LogQL at /loki/api/v1/query_range")
}

fn ok(value: Value) -> PushResponse {
    json_answer(StatusCode::OK, value.to_string())
}

fn acknowledged() -> Value {
    json!({"acknowledged": true})
}

fn named(name: &str, value: Value) -> Value {
    Value::Object([(name.to_owned(), value)].into_iter().collect())
}

fn banner() -> Value {
    json!({
        "name": CLUSTER,
        "cluster_name": CLUSTER,
        "cluster_uuid": CLUSTER_UUID,
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "tar",
            "build_hash": "unknown",
            "build_date": "2025-01-01T00:00:00.000Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0"
        },
        "tagline": "You Know, for Search"
    })
}

fn license() -> Value {
    json!({
        "status": "active",
        "uid": "00000000-0000-0000-0000-000000000000",
        "type": "basic",
        "issue_date_in_millis": 0,
        "expiry_date_in_millis": 4_000_000_000_000_i64,
        "max_nodes": 1000,
        "issued_to": CLUSTER,
        "issuer": CLUSTER,
        "start_date_in_millis": -1
    })
}

fn xpack() -> Value {
    let on = json!({"available": true, "enabled": true});
    json!({
        "build": {"hash": "unknown", "date": "2025-01-01T00:00:00.000Z"},
        "license": license(),
        "features": {"ilm": on, "data_streams": on, "monitoring": on, "security": {"available": true, "enabled": false}},
        "tagline": "You know, for X"
    })
}

fn health() -> Value {
    json!({
        "cluster_name": CLUSTER,
        "status": "green",
        "timed_out": false,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": 1,
        "active_shards": 1,
        "relocating_shards": 0,
        "initializing_shards": 0,
        "unassigned_shards": 0,
        "active_shards_percent_as_number": 100.0
    })
}

/// `epoch timestamp cluster status nodes data shards primary relocating initializing unassigned pending wait percent`.
fn cat_health(now: Timestamp) -> String {
    let seconds = now.as_nanos().div_euclid(1_000_000_000);
    let of_day = seconds.rem_euclid(86_400);
    format!("{seconds} {:02}:{:02}:{:02} {CLUSTER} green 1 1 1 1 0 0 0 0 - 100.0%\n", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, segments: &[&str]) -> (u16, Value) {
        let response = answer(&method, segments, Timestamp(1_700_000_000_000_000_000));
        assert!(response.headers.iter().any(|(name, value)| name == "x-elastic-product" && value == "Elasticsearch"), "{segments:?}");
        (response.status.as_u16(), serde_json::from_str(&response.body).unwrap_or(Value::String(response.body)))
    }

    /// What each client looks at is listed where its handshake is documented (Beats `eslegclient`, Logstash `elasticsearch` output).
    #[test]
    fn what_clients_look_at() {
        let (status, banner) = ask(Method::GET, &[]);
        assert_eq!((status, &banner["version"]["number"], &banner["tagline"]), (200, &json!("8.19.0"), &json!("You Know, for Search")));
        assert_eq!(banner["cluster_uuid"].as_str().map(str::len), Some(22));
        assert_eq!(ask(Method::GET, &["_license"]).1["license"]["status"], "active");
        assert_eq!(ask(Method::GET, &["_xpack"]).1["features"]["ilm"]["enabled"], true);
        assert_eq!(ask(Method::GET, &["_cluster", "health"]).1["status"], "green");
        assert_eq!(ask(Method::GET, &["_nodes", "http"]).1["nodes"], json!({}));
        assert_eq!(ask(Method::GET, &["_cat", "health"]).1, json!("1700000000 22:13:20 tarn green 1 1 1 1 0 0 0 0 - 100.0%\n"));
        for path in [
            &["_ilm", "policy", "x"][..],
            &["_index_template", "x"],
            &["_template", "x"],
            &["_component_template", "x"],
            &["_data_stream", "x"],
            &["_ingest", "pipeline", "x"],
        ] {
            assert_eq!((ask(Method::HEAD, path).0, ask(Method::GET, path).0), (200, 200), "{path:?}");
            assert_eq!(ask(Method::PUT, path), (200, json!({"acknowledged": true})), "{path:?}");
        }
        assert_eq!((ask(Method::HEAD, &["app"]).0, ask(Method::PUT, &["app"]).1["index"].clone()), (200, json!("app")));
    }

    #[test]
    fn a_search_is_an_error_not_an_empty_answer() {
        for path in [&["app", "_search"][..], &["_search"], &["app", "_count"], &["_sql"], &["_msearch"]] {
            let (status, body) = ask(Method::POST, path);
            assert_eq!(status, 400, "{path:?}");
            assert!(body["error"]["reason"].as_str().unwrap().starts_with("no handler found for uri [/"), "{body}");
        }
        assert_eq!(ask(Method::DELETE, &["app"]).0, 400);
    }
}
