//! Elasticsearch's clients: what they ask first, what they send, what they look at in the answer, and that the lines are there for queries.
//! The sessions are written after the requests of Beats and Logstash, as their sources make them.

use std::io::Write as _;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Server, THEN, client};

async fn ask(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let request = client().request(Method::from_bytes(method.as_bytes()).unwrap(), server.at(path));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.body(body).send().await.unwrap();
    assert_eq!(response.headers().get("x-elastic-product").and_then(|value| value.to_str().ok()), Some("Elasticsearch"), "{method} {path}");
    response
}

async fn json_of(server: &Server, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let response = ask(server, method, path, &[("content-type", "application/json")], body).await;
    (response.status().as_u16(), parsed(response).await)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

async fn parsed(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Lines of `query` with the labels of their streams, oldest first.
async fn lines(server: &Server, query: &str) -> Vec<(Value, String)> {
    let url = reqwest::Url::parse_with_params(
        &server.at("/loki/api/v1/query_range"),
        [("query", query), ("direction", "forward"), ("start", &(THEN - 1_000_000_000).to_string()), ("end", &(THEN + 10_000_000_000).to_string())],
    );
    let answer = parsed(client().get(url.unwrap()).send().await.unwrap()).await;
    let mut found: Vec<(String, Value, String)> = Vec::new();
    for stream in answer["data"]["result"].as_array().unwrap() {
        for value in stream["values"].as_array().unwrap() {
            found.push((value[0].as_str().unwrap().to_owned(), stream["stream"].clone(), value[1].as_str().unwrap().to_owned()));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, labels, line)| (labels, line)).collect()
}

#[tokio::test]
async fn a_session_of_filebeat() {
    let server = Server::start(&[]).await;
    let at = |path: &str| format!("/elasticsearch{path}");
    let (status, banner) = json_of(&server, "GET", &at("/"), Value::Null).await;
    assert_eq!((status, banner["version"]["number"].as_str()), (200, Some("8.19.0")));
    assert_eq!(json_of(&server, "GET", &at("/_license?human=false"), Value::Null).await.1["license"]["status"], "active");
    for path in ["/_ilm/policy/filebeat", "/_index_template/filebeat-8.19.0", "/_data_stream/filebeat-8.19.0"] {
        assert_eq!(ask(&server, "HEAD", &at(path), &[], Vec::new()).await.status(), 200, "{path}");
        assert_eq!(json_of(&server, "PUT", &at(path), json!({})).await, (200, json!({"acknowledged": true})), "{path}");
    }

    let document = |n: i64| {
        let log = json!({"level": "error", "offset": n * 100, "file": {"path": "/var/log/app.log"}});
        json!({"@timestamp": format!("2023-11-14T22:13:2{n}.000Z"), "message": format!("line {n}"), "log": log, "service": {"name": "api"}, "host": {"name": "web-1"}})
    };
    let body: String = (0..3).map(|n| format!("{{\"create\":{{\"_index\":\"filebeat-8.19.0\"}}}}\n{}\n", document(n))).collect();
    let headers = [("content-type", "application/json; charset=UTF-8"), ("content-encoding", "gzip")];
    let response = ask(&server, "POST", &at("/_bulk?filter_path=errors,items.*.error,items.*.status"), &headers, gzip(&body)).await;
    let created = json!({"create": {"status": 201}});
    assert_eq!(response.status(), 200);
    assert_eq!(parsed(response).await, json!({"errors": false, "items": [created, created, created]}));
    assert_eq!(server.stored_rows("fake"), 3);

    let found = lines(&server, r#"{service_name="api"}"#).await;
    assert_eq!(found.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>(), ["line 0", "line 1", "line 2"]);
    let labels = &found[1].0;
    for (name, value) in
        [("index", "filebeat-8.19.0"), ("detected_level", "error"), ("host_name", "web-1"), ("log_offset", "100"), ("log_file_path", "/var/log/app.log")]
    {
        assert_eq!(labels[name], value, "{labels}");
    }
}

#[tokio::test]
async fn a_session_of_logstash() {
    let server = Server::start(&[]).await;
    assert_eq!(ask(&server, "HEAD", "/", &[], Vec::new()).await.status(), 200);
    assert_eq!(json_of(&server, "GET", "/", Value::Null).await.1["tagline"], "You Know, for Search");
    assert_eq!(json_of(&server, "GET", "/_license", Value::Null).await.1["license"]["status"], "active");
    assert_eq!(json_of(&server, "GET", "/_nodes/http", Value::Null).await.1["nodes"], json!({}));
    assert_eq!(ask(&server, "HEAD", "/_index_template/ecs-logstash", &[], Vec::new()).await.status(), 200);
    assert_eq!(ask(&server, "HEAD", "/ecs-logstash", &[], Vec::new()).await.status(), 200);

    let body = concat!(
        "{\"index\":{\"_id\":null,\"_index\":\"app-2023.11.14\",\"routing\":null}}\n",
        "{\"@timestamp\":\"2023-11-14T22:13:20.000Z\",\"message\":\"first\",\"@version\":\"1\",\"app\":\"shop\"}\n",
        "{\"index\":{\"_id\":null,\"_index\":\"app-2023.11.14\"}}\n",
        "{\"@timestamp\":\"never\",\"message\":\"second\"}\n",
        "{\"update\":{\"_id\":\"7\",\"_index\":\"app-2023.11.14\"}}\n",
        "{\"doc\":{\"message\":\"third\"}}\n",
    );
    let response = ask(&server, "POST", "/_bulk", &[("content-type", "application/json")], body.as_bytes().to_vec()).await;
    let text = response.text().await.unwrap();
    assert!(text.starts_with("{\"took\":") && text.contains(",\"errors\":true,\"items\":[{\"index\":{"), "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    let statuses: Vec<(&str, u64)> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|item| item.as_object().unwrap())
        .map(|(op, item)| (op.as_str(), item["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(statuses, [("index", 201), ("index", 400), ("update", 400)]);
    assert_eq!(answer["items"][1]["index"]["error"]["type"], "document_parsing_exception");

    let found = lines(&server, r#"{index="app"}"#).await;
    assert_eq!((found.len(), found[0].1.as_str(), &found[0].0["service_name"]), (1, "first", &json!("shop")));
    assert_eq!(found[0].0["_version"], "1", "{}", found[0].0);
}

#[tokio::test]
async fn tenants_limits_and_what_is_not_there() {
    let server =
        Server::start(&[("TARN_AUTH_ENABLED", "true"), ("TARN_LIMITS_MAX_BODY_BYTES", "200"), ("TARN_ELASTICSEARCH_LABEL_FIELDS", "host.name=host")]).await;
    let body = "{\"create\":{\"_index\":\"i\"}}\n{\"message\":\"m\",\"host\":{\"name\":\"h\"}}\n";
    assert_eq!(ask(&server, "GET", "/", &[], Vec::new()).await.status(), 200);
    let (status, error) = json_of(&server, "POST", "/_bulk", Value::Null).await;
    assert_eq!((status, &error["error"]["type"], &error["error"]["reason"]), (401, &json!("security_exception"), &json!("no org id")));
    let response = ask(&server, "POST", "/_bulk", &[("x-scope-orgid", "team-a")], body.as_bytes().to_vec()).await;
    assert_eq!(response.status(), 200);
    assert_eq!([server.stored_rows("team-a"), server.stored_rows("fake")], [1, 0]);
    let labels = parsed(client().get(server.at("/loki/api/v1/label/host/values")).header("x-scope-orgid", "team-a").send().await.unwrap()).await;
    assert_eq!(labels["data"], json!(["h"]));
    let long = ask(&server, "POST", "/_bulk", &[("x-scope-orgid", "team-a")], body.repeat(10).into_bytes()).await;
    assert_eq!((long.status().as_u16(), &parsed(long).await["error"]["type"]), (413, &json!("content_too_long_exception")));
    // A base URL with a slash at its end.
    let joined = ask(&server, "POST", "/elasticsearch//_bulk", &[("x-scope-orgid", "team-b")], body.as_bytes().to_vec()).await;
    assert_eq!((joined.status().as_u16(), server.stored_rows("team-b")), (200, 1));
    let (status, error) = json_of(&server, "GET", "/elasticsearch/i/_search", Value::Null).await;
    assert_eq!((status, error["status"].as_u64()), (400, Some(400)));
    // What is not Elasticsearch's stays what it was.
    let unknown = server.get("/nowhere").await;
    assert_eq!((unknown.status().as_u16(), unknown.text().await.unwrap().as_str()), (404, "404 page not found\n"));
    assert_eq!(server.get("/ready").await.text().await.unwrap(), "ready\n");
}

#[tokio::test]
async fn a_process_that_takes_no_pushes_is_no_elasticsearch() {
    let server = Server::start(&[("TARN_ROLE", "query")]).await;
    for path in ["/", "/_license", "/_cluster/health"] {
        assert_eq!(server.get(path).await.status(), 404, "{path}");
    }
}
