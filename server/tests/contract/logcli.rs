//! Section 10: logcli.

use std::collections::HashSet;

use super::*;

const AGENT: (&str, &str) = ("User-Agent", "loki-logcli/3.5.0");

/// (time, line) of every entry, as logcli prints them: newest first, or oldest first.
fn entries(answer: &Answer, forward: bool) -> Vec<(i64, String)> {
    let json = answer.json();
    let values = json["data"]["result"].as_array().unwrap().iter().flat_map(|stream| stream["values"].as_array().unwrap());
    let mut entries: Vec<(i64, String)> = values.map(|value| (value[0].as_str().unwrap().parse().unwrap(), value[1].as_str().unwrap().to_owned())).collect();
    entries.sort_by_key(|(at, _)| if forward { *at } else { -*at });
    entries
}

/// `logcli query --limit 0 --batch 1000`, as it pages: the next batch begins with the last time of the one before, whose entries it sees twice.
async fn paged(server: &Server, forward: bool, mut start: i64, mut end: i64) -> Vec<(i64, String)> {
    const BATCH: usize = 1000;
    let mut all: Vec<(i64, String)> = Vec::new();
    let mut seen_at_edge: HashSet<String> = HashSet::new();
    loop {
        let (from, to) = (start.to_string(), end.to_string());
        let direction = if forward { "FORWARD" } else { "BACKWARD" };
        let parameters = [("query", r#"{app=~"a|b"}"#), ("limit", "1000"), ("start", &*from), ("end", &*to), ("direction", direction)];
        let batch = entries(&get_with(server, "query_range", &parameters, &[AGENT]).await, forward);
        let size = batch.len();
        assert!(size <= BATCH, "{size}");
        let Some((edge, _)) = batch.last().cloned() else { return all };
        let fresh: Vec<(i64, String)> = batch.into_iter().filter(|(_, line)| !seen_at_edge.contains(line)).collect();
        seen_at_edge = fresh.iter().chain(&all).filter(|(at, _)| *at == edge).map(|(_, line)| line.clone()).collect();
        all.extend(fresh);
        if size < BATCH {
            return all;
        }
        if forward { start = edge } else { end = edge + 1 }
    }
}

/// Section 11, idea 12: 2,500 lines, seven to a time, in two streams and two chunks.
#[tokio::test]
async fn s10_query_s11_12_pages_through_equal_times_in_both_directions() {
    let server = Server::start(&[QUICK]).await;
    let lines: Vec<(i64, String)> = (0..2500).map(|n| (THEN + n / 7 * 1_000_000, format!("line {n:04}"))).collect();
    for part in [&lines[..1300], &lines[1300..]] {
        for (app, odd) in [("a", 0), ("b", 1)] {
            let own: Vec<Entry<'_>> = part.iter().enumerate().filter(|(n, _)| n % 2 == odd).map(|(_, (at, line))| (*at, line.as_str(), &[][..])).collect();
            push(&server, &[("app", app)], &own).await;
        }
    }
    for forward in [true, false] {
        let all = paged(&server, forward, THEN, THEN + MINUTE).await;
        let times: Vec<i64> = all.iter().map(|(at, _)| if forward { *at } else { -*at }).collect();
        assert!(times.is_sorted(), "forward: {forward}");
        let mut sorted = all.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, lines, "forward: {forward}");
    }
}

/// What a limit cuts at a time that several entries share is the same, whoever asks.
#[tokio::test]
async fn s10_query_limits_are_exact() {
    let server = Server::start(&[QUICK]).await;
    let lines: Vec<String> = (0..10).map(|n| format!("line {n}")).collect();
    let same: Vec<Entry<'_>> = lines.iter().map(|line| (THEN + SECOND, line.as_str(), &[][..])).collect();
    push(&server, SHOP, &same).await;
    for limit in [1, 3, 9, 10, 11] {
        for direction in ["FORWARD", "BACKWARD"] {
            let limit_text = limit.to_string();
            let answer = range_with(&server, r#"{app="shop"}"#, &[("limit", &limit_text), ("direction", direction)], &[AGENT]).await;
            assert_eq!(entries(&answer, true).len(), limit.min(10), "{direction} {limit}");
        }
    }
}

/// `logcli query` with a step and an interval in seconds; `--stats` adds up numbers.
#[tokio::test]
async fn s10_query_steps_and_intervals_are_seconds() {
    let server = shop().await;
    let stepped = range_with(&server, r#"sum(count_over_time({app="shop"}[1m]))"#, &[("step", "60.000000")], &[AGENT]).await;
    assert_eq!(stepped.result(), r#"[{"metric":{},"values":[[1700000040,"3"]]}]"#);
    let thinned = range_with(&server, r#"{app="shop"}"#, &[("interval", "2.000000"), ("direction", "FORWARD")], &[AGENT]).await;
    assert_eq!(entries(&thinned, true).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [THEN + SECOND, THEN + 3 * SECOND]);
    assert!(!thinned.text().contains("encodingFlags"));
    let numbers = &stepped.json()["data"]["stats"]["summary"];
    assert!(numbers.as_object().unwrap().values().all(Value::is_number), "{numbers}");
}

#[tokio::test]
async fn s10_instant_query() {
    let server = shop().await;
    let time = (THEN + MINUTE).to_string();
    let parameters = [("query", r#"sum(count_over_time({app="shop"}[1m]))"#), ("limit", "30"), ("time", &*time), ("direction", "BACKWARD")];
    let answer = get_with(&server, "query", &parameters, &[AGENT]).await;
    assert_eq!(answer.bare(), r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000060,"3"]}]}}"#);
}

#[tokio::test]
async fn s10_labels_and_series() {
    let server = shop().await;
    let (start, end) = (THEN.to_string(), (THEN + MINUTE).to_string());
    let during = [("start", &*start), ("end", &*end)];
    let ask = async |path: &str, more: &[(&str, &str)]| get_with(&server, path, &[&during[..], more].concat(), &[AGENT]).await;
    assert_eq!(ask("labels", &[]).await.ok(), "{\"status\":\"success\",\"data\":[\"app\",\"env\",\"service_name\"]}\n");
    assert_eq!(ask("label/app/values", &[]).await.ok(), "{\"status\":\"success\",\"data\":[\"api\",\"shop\"]}\n");
    // `match`, not `match[]`.
    let series = ask("series", &[("match", r#"{app="shop"}"#)]).await;
    assert_eq!(series.ok(), "{\"status\":\"success\",\"data\":[{\"app\":\"shop\",\"env\":\"prod\",\"service_name\":\"shop\"}]}\n");
    assert_eq!(ask("series", &[("match", "{}")]).await.json()["data"].as_array().unwrap().len(), 2);
    let stats = ask("index/stats", &[("query", r#"{app="shop"}"#)]).await;
    assert_eq!(stats.shape(), "{streams:n,chunks:n,bytes:n,entries:n}");
}

#[tokio::test]
async fn s10_volume_and_volume_range() {
    let server = shop().await;
    let (start, end) = (THEN.to_string(), (THEN + MINUTE).to_string());
    let ask = async |path: &str, more: &[(&str, &str)]| {
        let parameters = [&[("query", r#"{app=~".+"}"#), ("start", &*start), ("end", &*end), ("limit", "30")][..], more].concat();
        get_with(&server, path, &parameters, &[AGENT]).await
    };
    let one = |metric: &str, at: &str, bytes: usize| format!(r#"{{"metric":{{{metric}}},"value":[{at},"{bytes}"]}}"#);
    let body = |kind: &str, result: String| format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"{kind}\",\"result\":[{result}]}}}}\n");
    let (shop, api) = (bytes(SHOP_LINES), bytes(API_LINES));
    let by_env = ask("index/volume", &[("targetLabels", "env")]).await;
    assert_eq!(by_env.ok(), body("vector", format!("{},{}", one(r#""env":"prod""#, "1700000060", shop), one(r#""env":"dev""#, "1700000060", api))));
    let by_label = ask("index/volume", &[("targetLabels", "app,env"), ("aggregateBy", "labels")]).await;
    let both = shop + api;
    assert_eq!(by_label.ok(), body("vector", format!("{},{}", one(r#""app":"""#, "1700000060", both), one(r#""env":"""#, "1700000060", both))));
    // One bucket: samples stay a vector, as in Loki.
    let hourly = ask("index/volume_range", &[("step", "3600")]).await;
    let hourly_body = body("vector", format!("{},{}", one(r#""app":"shop""#, "1700000060", shop), one(r#""app":"api""#, "1700000060", api)));
    assert_eq!(hourly.ok(), hourly_body);
    push(&server, SHOP, &[(THEN + 50 * SECOND, "0123456789", &[])]).await;
    let buckets = ask("index/volume_range", &[("step", "30"), ("targetLabels", "app")]).await;
    // Buckets end a millisecond before the next begins, the last one at the end.
    let matrix = format!(
        r#"{{"metric":{{"app":"shop"}},"values":[[1700000009.999,"{shop}"],[1700000060,"10"]]}},{{"metric":{{"app":"api"}},"values":[[1700000009.999,"{api}"]]}}"#
    );
    assert_eq!(buckets.ok(), body("matrix", matrix));
    assert_eq!(ask("index/volume", &[("aggregateBy", "pods")]).await.refusal(), (400, "invalid aggregation option"));
}

#[tokio::test]
async fn s10_detected_fields() {
    let server = shop().await;
    let (start, end) = (THEN.to_string(), (THEN + MINUTE).to_string());
    let parameters = [("query", r#"{app="api"}"#), ("limit", "100"), ("line_limit", "1000"), ("start", &*start), ("end", &*end), ("step", "10s")];
    let fields = get_with(&server, "detected_fields", &parameters, &[AGENT]).await;
    assert!(fields.ok().ends_with("],\"limit\":100}\n"), "{}", fields.text());
    assert!(fields.json()["fields"].as_array().unwrap().iter().all(|field| field["cardinality"].is_u64() && field["type"].is_string()));
    let values = get_with(&server, "detected_field/status/values", &parameters, &[AGENT]).await;
    assert_eq!(values.ok(), "{\"limit\":100,\"values\":[\"200\",\"500\"]}\n");
}

/// Times in the list are whole seconds, since logcli reads integers.
#[tokio::test]
async fn s10_delete_s11_12_is_asked_for_listed_and_taken_back() {
    let server = shop().await;
    assert_eq!(send(&server, "GET", "/loki/api/v1/delete", &[AGENT], b"").await.ok(), "[]\n");
    let asked = form(&[("query", r#"{app="shop"} |= "plain""#), ("start", "1700000000"), ("end", "1700000060"), ("max_interval", "1h")]);
    let refused = send(&server, "POST", &format!("/loki/api/v1/delete?{asked}"), &[AGENT], b"").await;
    assert_eq!((refused.status, refused.text()), (400, "max_interval can't be greater than the interval to be deleted (1m0s)\n"));
    let asked = form(&[("query", r#"{app="shop"} |= "plain""#), ("start", "1700000000"), ("end", "1700000060")]);
    let added = send(&server, "POST", &format!("/loki/api/v1/delete?{asked}"), &[AGENT], b"").await;
    assert_eq!((added.status, added.text()), (204, ""));
    // Without an end it is now, which is no whole second; and times may be given with a fraction.
    let open = form(&[("query", r#"{app="nothing"}"#), ("start", "2023-11-14T22:13:20.75Z")]);
    assert_eq!(send(&server, "POST", &format!("/loki/api/v1/delete?{open}"), &[AGENT], b"").await.status, 204);
    let list = send(&server, "GET", "/loki/api/v1/delete", &[AGENT], b"").await;
    assert_eq!(list.shape(), "[{request_id:s,start_time:n,end_time:n,query:s,status:s,created_at:n}]");
    let list = list.json();
    for request in list.as_array().unwrap() {
        assert!(["start_time", "end_time", "created_at"].iter().all(|name| request[name].is_i64()), "{request}");
    }
    let first = &list[0];
    assert_eq!(
        (first["start_time"].clone(), first["end_time"].clone(), first["status"].clone()),
        (json!(1_700_000_000), json!(1_700_000_060), json!("received"))
    );
    assert_eq!((first["query"].clone(), list[1]["start_time"].clone()), (json!(r#"{app="shop"} |= "plain""#), json!(1_700_000_000)));
    let id = first["request_id"].as_str().unwrap();
    for target in
        [format!("/loki/api/v1/delete?request_id={id}"), format!("/loki/api/v1/delete?request_id={}&force=true", list[1]["request_id"].as_str().unwrap())]
    {
        assert_eq!(send(&server, "DELETE", &target, &[AGENT], b"").await.status, 204, "{target}");
    }
    assert_eq!(send(&server, "GET", "/loki/api/v1/delete", &[AGENT], b"").await.ok(), "[]\n");
    let missing = send(&server, "DELETE", &format!("/loki/api/v1/delete?request_id={id}"), &[AGENT], b"").await;
    assert_eq!(missing.refusal(), (404, "could not find delete request with given id\n"));
}

/// Headers that options set: a tenant, no cache, tags, credentials, compression.
#[tokio::test]
async fn s10_headers_of_options() {
    let server = shop().await;
    let headers = [AGENT, ("X-Scope-OrgID", "fake"), ("Cache-Control", "no-cache"), ("X-Query-Tags", "source=logcli"), ("Authorization", "Bearer abc")];
    assert_eq!(entries(&range_with(&server, r#"{app="shop"}"#, &[], &headers).await, true).len(), 3);
    let compressed = range_with(&server, r#"{app="shop"}"#, &[], &[AGENT, ("Accept-Encoding", "gzip")]).await;
    assert!(json::bare(&compressed.gunzipped()).contains("plain words"));
    let other = range_with(&server, r#"{app="shop"}"#, &[], &[AGENT, ("X-Scope-OrgID", "other")]).await;
    assert!(entries(&other, true).is_empty());
}
