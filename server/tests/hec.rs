//! Splunk's event collector: what its clients send is found again, and what they are told.

use std::io::Write as _;

use crate::support::{Server, THEN, client};

const SECOND: i64 = 1_000_000_000;

async fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> (u16, String) {
    let request = headers.iter().fold(client().post(server.at(path)).body(body), |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn found(server: &Server, selector: &str, token: &str) -> serde_json::Value {
    let window = [("query", selector.to_owned()), ("start", (THEN - SECOND).to_string()), ("end", (THEN + 60 * SECOND).to_string())];
    let request = client().get(server.at("/loki/api/v1/query_range")).query(&window).bearer_auth(token);
    let json: serde_json::Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    json["data"]["result"].clone()
}

#[tokio::test]
async fn events_and_raw_lines_with_splunks_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tarn.toml");
    let token = |name: &str, access: &str| {
        format!("[[auth.tokens]]\nname = \"{name}\"\nsecret = \"env:{}\"\ntenants = [\"t\"]\naccess = [\"{access}\"]\n", name.to_uppercase())
    };
    std::fs::write(&config, token("reader", "read") + &token("agent", "write")).unwrap();
    let server = Server::start(&[("TARN_CONFIG", config.to_str().unwrap()), ("READER", "r-secret"), ("AGENT", "a-secret")]).await;
    let agent = ("authorization", "Splunk a-secret");
    let success = (200, r#"{"text":"Success","code":0}"#.to_owned());
    let events = r#"{"time":1700000001.25,"host":"web-1","sourcetype":"nginx","index":"main","event":{"status":500},"fields":{"region":"eu"}}{"time":1700000002,"host":"web-1","event":"two"}"#;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(br#"{"time":1700000003,"host":"web-1","event":"three"}"#).unwrap();
    assert_eq!(post(&server, "/services/collector", &[agent], events).await, success);
    assert_eq!(post(&server, "/services/collector/event/1.0?host=web-1", &[agent, ("content-encoding", "gzip")], encoder.finish().unwrap()).await, success);
    assert_eq!(post(&server, "/services/collector/raw?host=web-1&time=1700000004", &[agent], "four\nfive\n").await, success);
    let streams = found(&server, "{host=\"web-1\"}", "r-secret").await;
    let mut lines: Vec<(String, String)> = Vec::new();
    for stream in streams.as_array().unwrap() {
        for value in stream["values"].as_array().unwrap() {
            lines.push((value[0].as_str().unwrap().to_owned(), value[1].as_str().unwrap().to_owned()));
        }
    }
    lines.sort();
    let expected = [
        ("1700000001250000000", "{\"status\":500}"),
        ("1700000002000000000", "two"),
        ("1700000003000000000", "three"),
        ("1700000004000000000", "four"),
        ("1700000004000000001", "five"),
    ];
    assert_eq!(lines, expected.map(|(at, line)| (at.to_owned(), line.to_owned())));
    let nginx = found(&server, "{sourcetype=\"nginx\", index=\"main\"} | region=\"eu\"", "r-secret").await;
    assert_eq!(nginx.as_array().unwrap().len(), 1, "{nginx}");

    for (headers, status, code, part) in [
        (vec![], 401, 2, "this server asks for a token"),
        (vec![("authorization", "Splunk nonsense")], 401, 4, "wrong token"),
        (vec![("authorization", "Splunk r-secret")], 403, 4, "it has no write access"),
        (vec![agent, ("x-scope-orgid", "other")], 403, 4, "is not for tenant"),
    ] {
        let (answered, text) = post(&server, "/services/collector/event", &headers, events).await;
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(answered == status && json["code"] == code && json["text"].as_str().unwrap().contains(part), "{headers:?}: {answered} {text}");
    }
    let health = server.get("/services/collector/health").await;
    assert_eq!((health.status().as_u16(), health.text().await.unwrap().as_str()), (200, r#"{"text":"HEC is healthy","code":17}"#), "without a token");
    assert_eq!(post(&server, "/services/collector/ack", &[agent], "{\"acks\":[0]}").await, (400, r#"{"text":"ACK is disabled","code":14}"#.to_owned()));
}
