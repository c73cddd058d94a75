//! Section 5: what Explore and dashboards ask, R1 to R16.

use super::*;

const DURING: [(&str, &str); 2] = [("start", "1700000000000000000"), ("end", "1700000060000000000")];

fn during<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&DURING[..], more].concat()
}

// R1, panels, Explore and the Logs panel: `answers` and `parameters`.

/// R2: the histogram over each logs query. Section 11, idea 5.
#[tokio::test]
async fn r02_log_volume_histogram() {
    let server = shop().await;
    let tag = ("X-Query-Tags", "Source=logvolhist");
    for inner in [r#"{app="shop"} | drop __error__[1m]"#, r#"{app="shop"} |= `` | drop __error__[1m]"#, r#"{app="shop"} [1m]"#] {
        let query = format!("sum by (level, detected_level) (count_over_time({inner}))");
        let answer = range_with(&server, &query, &[("step", "60000ms")], &[FLAG, tag]).await;
        let series = |level: &str| format!(r#"{{"metric":{{"detected_level":"{level}"}},"values":[[1700000040,"1"]]}}"#);
        assert_eq!(answer.result(), format!("[{},{},{}]", series("error"), series("info"), series("unknown")), "{query}");
    }
    let parsed = range_with(&server, r#"sum by (level, detected_level) (count_over_time({app="api"} | json | drop __error__[1m]))"#, &[], &[FLAG, tag]).await;
    let series = |level: &str| format!(r#"{{"metric":{{"detected_level":"{level}","level":"{level}"}},"values":[[1700000040,"1"]]}}"#);
    assert_eq!(parsed.result(), format!("[{},{}]", series("info"), series("warn")));
    for step in ["1ms", "1s", "1m", "1h", "1d"] {
        let query = format!(r#"sum by (level, detected_level) (count_over_time({{app="shop"}} | drop __error__[{step}]))"#);
        assert_eq!(range_with(&server, &query, &[("step", "86400000ms")], &[FLAG, tag]).await.status, 200, "{step}");
    }
}

/// R3: lines under a metric query.
#[tokio::test]
async fn r03_logs_sample() {
    let server = shop().await;
    let sample = range_with(&server, r#"{app="shop"} | logfmt | took != """#, &[("limit", "100")], &[FLAG, ("X-Query-Tags", "Source=logsample")]).await;
    assert_eq!(sample.json()["data"]["result"][0]["values"].as_array().unwrap().len(), 2);
}

/// R4: lines for completion and hints.
#[tokio::test]
async fn r04_data_sample() {
    let server = shop().await;
    let sample = range_with(&server, r#"{app="api"}"#, &[("limit", "10")], &[FLAG, ("X-Query-Tags", "Source=datasample")]).await.json();
    let entry = &sample["data"]["result"][0]["values"][0];
    assert_eq!(entry[1], r#"{"level":"info","status":200,"user":{"id":8}}"#);
    assert_eq!(entry[2], json!({"structuredMetadata": {"detected_level": "info"}}));
}

/// R5: infinite scroll asks on from the last row.
#[tokio::test]
async fn r05_infinite_scroll() {
    let server = shop().await;
    let tag = ("X-Query-Tags", "Source=infinitescroll");
    let older = range_with(&server, r#"{app="shop"}"#, &[("end", "1700000002000000000")], &[FLAG, tag]).await;
    assert!(older.result().contains(r#""1700000001000000000""#) && !older.result().contains(r#""1700000002000000000""#), "{}", older.text());
    let newer = range_with(&server, r#"{app="shop"}"#, &[("start", "1700000002000000000"), ("direction", "forward")], &[FLAG, tag]).await;
    let times: Vec<Value> = newer.json()["data"]["result"][0]["values"].as_array().unwrap().iter().map(|entry| entry[0].clone()).collect();
    assert_eq!(times, ["1700000002000000000", "1700000003000000000"]);
}

/// R6 and R16: names of labels, which an import from Prometheus asks for too.
#[tokio::test]
async fn r06_r16_label_names() {
    let server = shop().await;
    push(&server, &[("only", "here")], &[(THEN + SECOND, "x", &[("not_a_label", "1")])]).await;
    assert_eq!(get(&server, "labels", &DURING).await.ok(), "{\"status\":\"success\",\"data\":[\"app\",\"env\",\"only\",\"service_name\"]}\n");
    let selected = get(&server, "labels", &during(&[("query", r#"{only="here"}"#)])).await;
    assert_eq!(selected.ok(), "{\"status\":\"success\",\"data\":[\"only\",\"service_name\"]}\n");
    assert_eq!(get(&server, "labels", &during(&[("query", r#"{app="nothing"}"#)])).await.ok(), "{\"status\":\"success\"}\n");
    let piped = get(&server, "labels", &during(&[("query", r#"{app="shop"} | json"#)])).await;
    assert_eq!(piped.refusal(), (400, "only label matchers are supported"));
    assert_eq!(get(&server, "labels", &[("start", "1600000000000000000"), ("end", "1600000060000000000")]).await.ok(), "{\"status\":\"success\"}\n");
}

/// R7: values of a label.
#[tokio::test]
async fn r07_label_values() {
    let server = shop().await;
    assert_eq!(get(&server, "label/app/values", &DURING).await.ok(), "{\"status\":\"success\",\"data\":[\"api\",\"shop\"]}\n");
    let selected = get(&server, "label/service_name/values", &during(&[("query", r#"{env=~"dev|test"}"#)])).await;
    assert_eq!(selected.ok(), "{\"status\":\"success\",\"data\":[\"api\"]}\n");
    assert_eq!(get(&server, "label/nothing/values", &DURING).await.ok(), "{\"status\":\"success\"}\n");
    assert_eq!(get(&server, "label/trace_id/values", &DURING).await.ok(), "{\"status\":\"success\"}\n");
}

/// R8: the label browser.
#[tokio::test]
async fn r08_series() {
    let server = shop().await;
    let api = r#"{"app":"api","env":"dev","service_name":"api"}"#;
    let shop = r#"{"app":"shop","env":"prod","service_name":"shop"}"#;
    for (selector, expected) in
        [(r#"{app="shop"}"#, shop.to_owned()), ("{}", format!("{api},{shop}")), (r#"{env!="prod"}"#, api.to_owned()), (r#"{app="x"}"#, String::new())]
    {
        let answer = get(&server, "series", &during(&[("match[]", selector)])).await;
        assert_eq!(answer.ok(), format!("{{\"status\":\"success\",\"data\":[{expected}]}}\n"), "{selector}");
    }
    assert_eq!(get(&server, "series", &DURING).await.ok(), format!("{{\"status\":\"success\",\"data\":[{api},{shop}]}}\n"));
    let two = get(&server, "series", &during(&[("match[]", r#"{app="shop"}"#), ("match[]", r#"{env="dev"}"#)])).await;
    assert_eq!(two.ok(), format!("{{\"status\":\"success\",\"data\":[{api},{shop}]}}\n"));
    let mixed = get(&server, "series", &during(&[("match[]", "{}"), ("match[]", r#"{app="shop"}"#)])).await;
    assert_eq!(mixed.refusal(), (400, "0 matchers in group: {}"));
}

/// R9: the hint how much a query reads.
#[tokio::test]
async fn r09_index_stats() {
    let server = shop().await;
    let stats = get(&server, "index/stats", &during(&[("query", r#"{app="shop"}"#)])).await;
    assert_eq!(stats.ok(), format!("{{\"streams\":1,\"chunks\":1,\"bytes\":{},\"entries\":3}}\n", bytes(SHOP_LINES)));
    let all = get(&server, "index/stats", &during(&[("query", r#"{app=~".+"}"#)])).await;
    assert_eq!(all.ok(), format!("{{\"streams\":2,\"chunks\":2,\"bytes\":{},\"entries\":5}}\n", bytes(SHOP_LINES) + bytes(API_LINES)));
    let none = get(&server, "index/stats", &during(&[("query", r#"{app="x"}"#)])).await;
    assert_eq!(none.ok(), "{\"streams\":0,\"chunks\":0,\"bytes\":0,\"entries\":0}\n");
    let piped = get(&server, "index/stats", &during(&[("query", r#"{app="shop"} | json"#)])).await;
    assert_eq!(piped.refusal(), (400, "only label matchers are supported"));
}

/// R10 and R11: fields of lines, for other plugins and ad-hoc filters.
#[tokio::test]
async fn r10_r11_detected_fields_and_their_values() {
    let server = shop().await;
    let limit = ("limit", "1000");
    let fields = get(&server, "detected_fields", &during(&[("query", r#"{app="api"}"#), limit])).await;
    let expected = [
        r#"{"label":"detected_level","type":"string","cardinality":2,"parsers":null}"#,
        r#"{"label":"level","type":"string","cardinality":2,"parsers":["json"],"jsonPath":["level"]}"#,
        r#"{"label":"status","type":"int","cardinality":2,"parsers":["json"],"jsonPath":["status"]}"#,
        r#"{"label":"user_id","type":"int","cardinality":2,"parsers":["json"],"jsonPath":["user","id"]}"#,
    ];
    assert_eq!(fields.ok(), format!("{{\"fields\":[{}],\"limit\":1000}}\n", expected.join(",")));
    let logfmt = get(&server, "detected_fields", &during(&[("query", r#"{app="shop"} |= "took""#), limit])).await.json();
    let kinds: Vec<_> = logfmt["fields"].as_array().unwrap().iter().map(|field| (field["label"].as_str().unwrap(), field["type"].as_str().unwrap())).collect();
    let strings = |name| (name, "string");
    assert_eq!(kinds, [strings("detected_level"), strings("level"), strings("msg"), ("size", "bytes"), ("took", "duration"), strings("trace_id")]);
    let values = get(&server, "detected_field/status/values", &during(&[("query", r#"{app="api"}"#), limit])).await;
    assert_eq!(values.ok(), "{\"limit\":1000,\"values\":[\"200\",\"500\"]}\n");
    assert_eq!(get(&server, "detected_field/nothing/values", &during(&[("query", r#"{app="api"}"#), limit])).await.ok(), "{}\n");
    let metric = get(&server, "detected_fields", &during(&[("query", r#"rate({app="api"}[1m])"#), limit])).await;
    assert_eq!(metric.refusal().0, 400);
}

/// R12: what is before and behind a row.
#[tokio::test]
async fn r12_log_context() {
    let server = shop().await;
    let row = THEN + 2 * SECOND;
    let (at, before, after) = (row.to_string(), (row - 2 * HOUR).to_string(), (row + 2 * HOUR).to_string());
    let labels = get(&server, "labels", &[("start", &*at), ("end", &*at), ("query", r#"{app="shop"}"#)]).await;
    assert_eq!(labels.ok(), "{\"status\":\"success\",\"data\":[\"app\",\"env\",\"service_name\"]}\n");
    let selector = r#"{app="shop",env="prod",service_name="shop"}"#;
    for query in [selector.to_owned(), format!("{selector} | logfmt"), format!(r#"{selector} | logfmt | msg=~".+" or msg="""#)] {
        let older = range_with(&server, &query, &[("start", &before), ("end", &at), ("limit", "100")], &[FLAG]).await;
        assert!(older.text().contains(r#""1700000001000000000""#) && !older.text().contains(&at), "{}", older.text());
        let newer = range_with(&server, &query, &[("start", &at), ("end", &after), ("direction", "forward"), ("limit", "100")], &[FLAG]).await;
        let times: Vec<Value> = newer.json()["data"]["result"][0]["values"].as_array().unwrap().iter().map(|entry| entry[0].clone()).collect();
        assert_eq!(times, ["1700000002000000000", "1700000003000000000"]);
    }
}

/// R13: every label of an annotation is a text.
#[tokio::test]
async fn r13_annotations() {
    let server = shop().await;
    let answer = range_with(&server, r#"{app="api"} | json"#, &[("limit", "10")], &[FLAG]).await.json();
    for stream in answer["data"]["result"].as_array().unwrap() {
        assert!(stream["stream"].as_object().unwrap().values().all(Value::is_string), "{stream}");
        for kind in ["structuredMetadata", "parsed"] {
            let labels = stream["values"].as_array().unwrap().iter().filter_map(|entry| entry[2][kind].as_object());
            assert!(labels.flat_map(|labels| labels.values()).all(Value::is_string), "{stream}");
        }
    }
    assert_eq!(instant(&server, r#"count_over_time({app="api"}[1m])"#).await.json()["data"]["result"].as_array().unwrap().len(), 2);
}

// R14, the button for live tailing: `tail`.

/// R15: scopes ask for names and values with times in RFC 3339 or seconds.
#[tokio::test]
async fn r15_scopes() {
    let server = shop().await;
    for (start, end) in [("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z"), ("1700000000", "1700000060")] {
        let asked = [("start", start), ("end", end), ("query", r#"{env="dev"}"#)];
        assert_eq!(get(&server, "label/app/values", &asked).await.ok(), "{\"status\":\"success\",\"data\":[\"api\"]}\n");
        assert_eq!(get(&server, "labels", &asked).await.ok(), "{\"status\":\"success\",\"data\":[\"app\",\"env\",\"service_name\"]}\n");
    }
}

/// The queries that filters and hints of the data source write.
#[tokio::test]
async fn r_shapes_of_generated_logql() {
    let server = shop().await;
    for (query, lines) in [
        (r#"{app="shop", env="prod"}"#, 3),
        (r#"{app="shop"} | logfmt | took=`12ms`"#, 1),
        (r#"{app="shop"} | trace_id=`t2`"#, 1),
        (r#"{app="shop"} |= `plain`"#, 1),
        (r#"{app="shop"} != `plain`"#, 2),
        (r#"{app="shop"} | json | __error__=``"#, 0),
        (r#"{app="shop"} | logfmt | __error__=``"#, 3),
        (r#"{app="shop"} | unpack"#, 3),
        (r#"{app="shop"} | logfmt | label_format level=lvl"#, 3),
        (r#"{app="api"} | json | status > 300"#, 1),
        (r#"{app="api"} | json | status < 300"#, 1),
        (r#"{app="api"} |= `"id":7` | json | user_id=`7`"#, 1),
        ("{app=\"shop\"} |= \"<down>\" != \"a \\\" quote\" |= \"back\\\\slash\"", 0),
        ("{app=\"shop\"} |= `` # a comment\n| logfmt", 3),
    ] {
        let answer = range(&server, query).await.json();
        let found: usize = answer["data"]["result"].as_array().unwrap().iter().map(|stream| stream["values"].as_array().unwrap().len()).sum();
        assert_eq!(found, lines, "{query}");
    }
    let refused = range(&server, r#"{k!="v"}"#).await;
    let text = "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will";
    assert_eq!(refused.refusal(), (400, text));
}
