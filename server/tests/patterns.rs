//! `/loki/api/v1/patterns`, and its patterns in `|>`, as Grafana's Logs Drilldown asks.

use serde_json::{Value, json};

use crate::support::{Server, THEN, client, json_push};

const SECOND: i64 = 1_000_000_000;
const SELECTOR: &str = r#"{app="shop"}"#;

fn lines() -> Vec<(i64, String)> {
    let line = |n: i64| match n % 4 {
        0 => format!("level=info msg=\"order {n} placed\" took={n}ms"),
        1 => format!("level=error msg=\"order {n} failed\" reason=<none> took={n}ms"),
        2 => format!("at com.example.Order.<init>(Order.java:{n})"),
        _ => format!(r#"{{"n":{n},"path":"C:\\shop\\{n}"}}"#),
    };
    (0..40).map(|n| (THEN + n * SECOND, line(n))).collect()
}

async fn get(server: &Server, parameters: &[(&str, &str)]) -> (u16, String) {
    let response = client().get(server.at("/loki/api/v1/patterns")).query(parameters).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The lines of the answer to a log query.
async fn found(server: &Server, query: &str) -> Vec<String> {
    let parameters = [("query", query), ("start", "1700000000"), ("end", "1700000100"), ("limit", "1000")];
    let response = client().get(server.at("/loki/api/v1/query_range")).query(&parameters).send().await.unwrap();
    assert_eq!(response.status(), 200, "{query}");
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let streams = body["data"]["result"].as_array().unwrap();
    streams.iter().flat_map(|stream| stream["values"].as_array().unwrap()).map(|value| value[1].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn patterns_are_mined_and_find_their_lines() {
    let server = Server::start(&[]).await;
    let lines = lines();
    let pushed: Vec<(i64, &str)> = lines.iter().map(|(at, line)| (*at, line.as_str())).collect();
    assert_eq!(server.push(json_push(&[("app", "shop")], &pushed)).await.status(), 204);
    assert_eq!(server.push(json_push(&[("app", "other")], &[(THEN, "of another stream")])).await.status(), 204);

    // The times as Drilldown writes them; 1700000000 is no multiple of 30.
    let (status, body) =
        get(&server, &[("query", SELECTOR), ("start", "2023-11-14T22:13:20.000Z"), ("end", "2023-11-14T22:15:00.000Z"), ("step", "30s")]).await;
    assert_eq!(status, 200, "{body}");
    let samples = json!([[1_699_999_980, 3], [1_700_000_010, 7]]);
    let of = |pattern: &str, level: &str, samples: &Value| json!({"pattern": pattern, "level": level, "samples": samples});
    let third = json!([[1_699_999_980, 2], [1_700_000_010, 8]]);
    let expected = json!({"status": "success", "data": [
        of("at com.example.Order.<<_>>(<_>)", "unknown", &third),
        of("level=error msg=\"order <_> failed\" reason=<<_>> took=<_>", "error", &samples),
        of("level=info msg=\"order <_> placed\" took=<_>", "info", &samples),
        of(r#"{"n":<_>,"path":"C:\\shop\\<_>"}"#, "unknown", &third),
    ]});
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);

    for pattern in expected["data"].as_array().unwrap() {
        let quoted = pattern["pattern"].to_string();
        assert_eq!(found(&server, &format!("{SELECTOR} |> {quoted}")).await.len(), 10, "{quoted}");
        assert_eq!(found(&server, &format!("{SELECTOR} !> {quoted}")).await.len(), 30, "{quoted}");
    }

    // In nanoseconds, as a form.
    let form = [("query", SELECTOR), ("start", "1700000000000000000"), ("end", "1700000100000000000"), ("step", "30")];
    let posted = client().post(server.at("/loki/api/v1/patterns")).form(&form).send().await.unwrap();
    assert_eq!(posted.headers()["content-type"], "application/json; charset=UTF-8");
    assert_eq!(posted.text().await.unwrap(), body);
    assert_eq!(get(&server, &[("query", r#"{app="none"}"#)]).await, (200, "{\"status\":\"success\",\"data\":[]}\n".to_owned()));
}
