//! Section 6: Logs Drilldown, D1 to D14. Its own requests have ISO times and a tag.

use super::*;

const DURING: [(&str, &str); 2] = [("start", "2023-11-14T22:13:20.000Z"), ("end", "2023-11-14T22:14:20.000Z")];

async fn asked(server: &Server, path: &str, more: &[(&str, &str)]) -> Answer {
    get_with(server, path, &[&DURING[..], more].concat(), &[DRILLDOWN]).await
}

/// A panel: a range query with the tag.
async fn panel(server: &Server, query: &str) -> Answer {
    range_with(server, query, &[], &[FLAG, DRILLDOWN]).await
}

fn lines_of(answer: &Answer) -> usize {
    answer.json()["data"]["result"].as_array().unwrap().iter().map(|stream| stream["values"].as_array().unwrap().len()).sum()
}

/// D1: what the app adapts itself to.
#[tokio::test]
async fn d01_drilldown_limits() {
    let server = Server::start(&[("TARN_COMPACTOR_RETENTION_PERIOD", "30d")]).await;
    let limits = send(&server, "GET", "/loki/api/v1/drilldown-limits", &[DRILLDOWN], b"").await;
    let shape = limits.shape();
    assert!(shape.starts_with("{limits:{") && shape.ends_with("},pattern_ingester_enabled:b,version:s}"), "{shape}");
    let limits = limits.json();
    assert_eq!(limits["pattern_ingester_enabled"], true);
    let limits = &limits["limits"];
    assert_eq!((limits["max_entries_limit_per_query"].clone(), limits["retention_period"].clone()), (json!(5000), json!("720h")));
    let unlimited = Server::start(&[]).await;
    assert_eq!(get(&unlimited, "drilldown-limits", &[]).await.json()["limits"]["retention_period"], "0s");
}

/// D2: labels and how many values each has. Their order is open.
#[tokio::test]
async fn d02_detected_labels() {
    let server = shop().await;
    push(&server, &[("app", "shop"), ("request", "17")], &[(THEN + SECOND, "x", &[])]).await;
    for (query, expected) in [("", vec![("app", 2), ("env", 2), ("service_name", 2)]), (r#"{app="shop"}"#, vec![("app", 1), ("env", 1), ("service_name", 1)])] {
        let answer = asked(&server, "detected_labels", &[("query", query)]).await;
        assert_eq!(answer.shape(), "{detectedLabels:[{label:s,cardinality:n}]}");
        let labels = answer.json();
        let mut labels: Vec<_> =
            labels["detectedLabels"].as_array().unwrap().iter().map(|l| (l["label"].as_str().unwrap(), l["cardinality"].as_u64().unwrap())).collect();
        labels.sort_unstable();
        assert_eq!(labels, expected, "{query}");
    }
}

/// D3: the landing page's list, largest first, by the labels of the matchers.
#[tokio::test]
async fn d03_volume_of_services() {
    let server = shop().await;
    let series = |metric: &str, bytes: usize| format!(r#"{{"metric":{{{metric}}},"value":[1700000060,"{bytes}"]}}"#);
    let (shop, api) = (series(r#""service_name":"shop""#, bytes(SHOP_LINES)), series(r#""service_name":"api""#, bytes(API_LINES)));
    for (query, expected) in [
        ("{service_name=~`.+`}", format!("{shop},{api}")),
        ("{service_name=~`(?i).*SHO.*`}", shop.clone()),
        (r#"{service_name=~`.+`, env="dev"}"#, series(r#""env":"dev","service_name":"api""#, bytes(API_LINES))),
        (r#"{service_name=~`.+`, app=~"shop|x"}"#, series(r#""app":"shop","service_name":"shop""#, bytes(SHOP_LINES))),
        ("{env=~`.+`}", format!("{},{}", series(r#""env":"prod""#, bytes(SHOP_LINES)), series(r#""env":"dev""#, bytes(API_LINES)))),
        ("{service_name=~`nothing`}", String::new()),
    ] {
        let answer = asked(&server, "index/volume", &[("limit", "5000"), ("query", query)]).await;
        assert_eq!(answer.ok(), format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"vector\",\"result\":[{expected}]}}}}\n"), "{query}");
    }
}

/// D4: a histogram per service, with the spaces that the app writes.
#[tokio::test]
async fn d04_histogram_of_a_service() {
    let server = shop().await;
    let answer = panel(&server, r#"sum by (detected_level) (count_over_time({ service_name="shop" , env="prod" } [1m]))"#).await;
    let series = |level: &str| format!(r#"{{"metric":{{"detected_level":"{level}"}},"values":[[1700000040,"1"]]}}"#);
    assert_eq!(answer.result(), format!("[{},{},{}]", series("error"), series("info"), series("unknown")));
}

/// D4a: the same from aggregated metrics, of which there are none, and which are streams like others once somebody pushes them.
#[tokio::test]
async fn d04a_histogram_from_aggregated_metrics() {
    let server = shop().await;
    let by_service = "sum by (detected_level) (sum_over_time({__aggregated_metric__=`shop` } | logfmt | unwrap count [10s]))";
    let by_label = "sum by (detected_level) (sum_over_time({__aggregated_metric__=~`.+` } | logfmt | env=`prod` | unwrap count [10s]))";
    for query in [by_service, by_label] {
        assert_eq!(range_with(&server, query, &[("step", "10000ms")], &[FLAG, DRILLDOWN]).await.result(), "[]", "{query}");
    }
    push(&server, &[("__aggregated_metric__", "shop")], &[(THEN + 5 * SECOND, "count=7 bytes=1KB env=prod", &[("detected_level", "warn")])]).await;
    for query in [by_service, by_label] {
        let answer = range_with(&server, query, &[("step", "10000ms")], &[FLAG, DRILLDOWN]).await;
        assert_eq!(answer.result(), r#"[{"metric":{"detected_level":"warn"},"values":[[1700000010,"7"]]}]"#, "{query}");
    }
}

/// D5: lines of a service, by level or not.
#[tokio::test]
async fn d05_sample_of_a_service() {
    let server = shop().await;
    let parsers = "| json | logfmt | drop __error__, __error_details__";
    for (level, lines) in [
        ("", 3),
        ("| detected_level=`error` or detected_level=`warn` ", 1),
        ("| detected_level=`error` or detected_level=`info` or detected_level=`` ", 2),
        ("| detected_level=`` ", 0),
    ] {
        let answer = range_with(&server, &format!("{{service_name=`shop`}} {level} {parsers}"), &[("limit", "100")], &[FLAG, DRILLDOWN]).await;
        assert_eq!(lines_of(&answer), lines, "{level}");
    }
    let mixed = panel(&server, &format!("{{service_name=~`shop|api`}} {parsers}")).await;
    assert!(!mixed.text().contains("__error") && mixed.text().contains(r#""user_id":"7""#) && mixed.text().contains(r#""took":"250ms""#), "{}", mixed.text());
}

/// D6, D6a, D6b: the logs of a service, how many, and their histogram. Empty parts of the expression leave runs of spaces.
#[tokio::test]
async fn d06_logs_of_a_service() {
    let server = shop().await;
    let logs = |filters: &str, fields: &str| format!(r#"{{service_name="shop"}}  {filters} | json  | logfmt | drop __error__, __error_details__  {fields}   "#);
    for (filters, fields, lines) in [
        ("", "", 3),
        ("|= \"took\"", "", 2),
        ("|~ \"(?i)PLAIN\"", "", 1),
        ("!~ \"(?i)PLAIN\"", "| took=\"12ms\" or took=\"250ms\"", 2),
        ("| trace_id=\"t1\" or trace_id=\"t2\" ", "| took!=\"12ms\" | took!=\"13ms\"", 1),
        ("", "| took>100ms", 1),
        ("", "| size<=1KB", 1),
        ("", "| msg=\"\"", 1),
    ] {
        let query = logs(filters, fields);
        let answer = panel(&server, &query).await;
        assert_eq!(lines_of(&answer), lines, "{query}");
        let time = (THEN + MINUTE).to_string();
        let count = get_with(&server, "query", &[("query", &format!("sum(count_over_time({query}[60s]))")), ("time", &time)], &[FLAG, DRILLDOWN]).await;
        assert_eq!(count.result(), format!(r#"[{{"metric":{{}},"value":[1700000060,"{lines}"]}}]"#), "{query}");
    }
    let typed = panel(&server, &logs("|= \"start\"", "")).await;
    let third = r#"{"structuredMetadata":{"detected_level":"info","trace_id":"t1"},"parsed":{"level":"info","msg":"start","size":"1KB","took":"12ms"}}"#;
    assert!(typed.result().ends_with(&format!("{third}]]}}]")), "{}", typed.result());
    let volume = panel(&server, r#"sum(count_over_time({service_name="shop"}   | logfmt | took!="" [1m])) by (detected_level)"#).await;
    let series = |level: &str| format!(r#"{{"metric":{{"detected_level":"{level}"}},"values":[[1700000040,"1"]]}}"#);
    assert_eq!(volume.result(), format!("[{},{}]", series("error"), series("info")));
}

/// D7: the patterns of a service: times as whole seconds, counts as numbers.
#[tokio::test]
async fn d07_patterns() {
    let server = Server::start(&[QUICK]).await;
    let lines: Vec<(i64, String)> = (0..40).map(|n| (THEN + n * SECOND, format!("level=info msg=\"order {n} placed\" took={n}ms"))).collect();
    let entries: Vec<Entry<'_>> = lines.iter().map(|(at, line)| (*at, line.as_str(), &[][..])).collect();
    push(&server, SHOP, &entries).await;
    for step in ["10s", "1m"] {
        let answer = asked(&server, "patterns", &[("query", r#"{service_name="shop"}"#), ("step", step)]).await;
        assert_eq!(answer.shape(), "{status:s,data:[{pattern:s,level:s,samples:[[n,n]]}]}");
        let answer = answer.json();
        let samples: Vec<&Value> = answer["data"].as_array().unwrap().iter().flat_map(|pattern| pattern["samples"].as_array().unwrap()).collect();
        assert!(samples.iter().all(|sample| sample[0].is_i64() && sample[1].is_u64()), "{samples:?}");
        assert_eq!(samples.iter().map(|sample| sample[1].as_u64().unwrap()).sum::<u64>(), 40);
    }
    let none = asked(&server, "patterns", &[("query", r#"{service_name="nothing"}"#), ("step", "10s")]).await;
    assert_eq!(none.ok(), "{\"status\":\"success\",\"data\":[]}\n");
}

/// D7a: lines of a pattern, and those of no pattern.
#[tokio::test]
async fn d07a_lines_of_patterns() {
    let server = shop().await;
    for (filter, lines) in [
        (r#"|> "level=<_> msg=<_> took=<_> size=<_>""#, 2),
        (r#"!> "level=<_> msg=<_> took=<_> size=<_>""#, 1),
        (r#"|> "plain <_>" or "level=info <_>""#, 2),
        (r#"!> "plain <_>" or "level=info <_>""#, 1),
        (r#"|> "nothing <_>""#, 0),
    ] {
        let answer = panel(&server, &format!(r#"{{service_name="shop"}} {filter}  | json  | logfmt | drop __error__, __error_details__"#)).await;
        assert_eq!(lines_of(&answer), lines, "{filter}");
    }
}

/// D8: the fields tab.
#[tokio::test]
async fn d08_detected_fields() {
    let server = shop().await;
    let query = r#"{service_name="api"}   | json  | logfmt | drop __error__, __error_details__  "#;
    let answer = asked(&server, "detected_fields", &[("query", query)]).await;
    assert_eq!(shape(answer.ok()).split(',').next(), Some("{fields:[{label:s"));
    let fields = answer.json();
    for field in fields["fields"].as_array().unwrap() {
        let own = if field["label"] == "detected_level" { r#""parsers":null"# } else { r#""parsers":["# };
        let text = format!(r#"{{"label":{},"type":{},"cardinality":{},{own}"#, field["label"], field["type"], field["cardinality"]);
        assert!(answer.text().contains(&text), "{text} is not in {}", answer.text());
    }
    let typed: Vec<_> = fields["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| (field["label"].as_str().unwrap(), field["type"].as_str().unwrap(), field["jsonPath"].clone()))
        .collect();
    assert_eq!(
        typed,
        [
            ("detected_level", "string", Value::Null),
            ("level", "string", json!(["level"])),
            ("status", "int", json!(["status"])),
            ("user_id", "int", json!(["user", "id"]))
        ]
    );
    assert_eq!(fields["limit"], 1000);
}

/// D9: one panel per field, by its type.
#[tokio::test]
async fn d09_panel_of_a_field() {
    let server = shop().await;
    let path = r#"sum by (user_id) (count_over_time({service_name="api"}   | json user_id="[\"user\"][\"id\"]" | drop __error__, __error_details__ | user_id!="" [1m]))"#;
    let series = |id: &str| format!(r#"{{"metric":{{"user_id":"{id}"}},"values":[[1700000040,"1"]]}}"#);
    assert_eq!(panel(&server, path).await.result(), format!("[{},{}]", series("7"), series("8")));
    for (unwrap, value) in [("duration(took)", "0.131"), ("bytes(size)", "1500")] {
        let query =
            format!(r#"avg_over_time({{service_name="shop"}}  | logfmt | drop __error__, __error_details__ | unwrap {unwrap} | __error__="" [1m]) by ()"#);
        assert_eq!(panel(&server, &query).await.result(), format!(r#"[{{"metric":{{}},"values":[[1700000040,"{value}"]]}}]"#), "{query}");
    }
    let average =
        panel(&server, r#"avg_over_time({service_name="api"} | json | drop __error__, __error_details__ | unwrap status | __error__="" [1m]) by ()"#).await;
    assert_eq!(average.result(), r#"[{"metric":{},"values":[[1700000040,"350"]]}]"#);
    let drilled = panel(&server, r#"{service_name="api"} | json a_b="[\"user\"][\"id\"]"| json  | line_format "{{.a_b}}""#).await;
    assert!(drilled.text().contains(r#""7","#) && drilled.text().contains(r#""8","#), "{}", drilled.text());
}

/// D10: one panel per label.
#[tokio::test]
async fn d10_panel_of_a_label() {
    let server = shop().await;
    let by_env = panel(&server, r#"sum(count_over_time({service_name=~"shop|api" ,env != ""} [1m])) by (env)"#).await;
    let series = |name: &str, value: &str, count: u32| format!(r#"{{"metric":{{"{name}":"{value}"}},"values":[[1700000040,"{count}"]]}}"#);
    assert_eq!(by_env.result(), format!("[{},{}]", series("env", "dev", 2), series("env", "prod", 3)));
    let by_level = panel(&server, r#"sum(count_over_time({service_name="api"} | detected_level != "" [1m])) by (detected_level)"#).await;
    assert_eq!(by_level.result(), format!("[{},{}]", series("detected_level", "info", 1), series("detected_level", "warn", 1)));
}

/// D11: the choices of filters, asked for as the data source does: nanoseconds, no tag.
#[tokio::test]
async fn d11_filter_choices() {
    let server = shop().await;
    let during = [("start", "1700000000000000000"), ("end", "1700000060000000000")];
    let with = |query: &'static str| [&during[..], &[("query", query)]].concat();
    assert_eq!(get(&server, "labels", &during).await.ok(), "{\"status\":\"success\",\"data\":[\"app\",\"env\",\"service_name\"]}\n");
    let joined = get(&server, "label/env/values", &with(r#"{service_name="shop",app="shop"}"#)).await;
    assert_eq!(joined.ok(), "{\"status\":\"success\",\"data\":[\"prod\"]}\n");
    let fields = get(&server, "detected_fields", &with(r#"{service_name="api"}"#)).await.json();
    assert!(fields["fields"].as_array().unwrap().iter().all(|field| field["label"].is_string() && field["type"].is_string()));
    let values = get(&server, "detected_field/level/values", &with(r#"{service_name="api"}"#)).await;
    assert_eq!(values.ok(), "{\"limit\":1000,\"values\":[\"info\",\"warn\"]}\n");
}

/// D12: error analysis.
#[tokio::test]
async fn d12_error_analysis() {
    let server = shop().await;
    let answer = instant(&server, r#"sum by (level) (count_over_time({service_name="api"} | json | keep level [60s]))"#).await;
    let series = |level: &str| format!(r#"{{"metric":{{"level":"{level}"}},"value":[1700000060,"1"]}}"#);
    assert_eq!(answer.result(), format!("[{},{}]", series("info"), series("warn")));
}

/// D13: shards, of which there are none.
#[tokio::test]
async fn d13_shards() {
    let server = shop().await;
    let shards = asked(&server, "label/__stream_shard__/values", &[("query", r#"{service_name="shop"}"#)]).await;
    assert_eq!(shards.ok(), "{\"status\":\"success\"}\n");
    let of = async |shard: &str| {
        let query = format!(r#"sum by (detected_level) (count_over_time({{service_name="shop", __stream_shard__{shard}}} | detected_level != "" [1m]))"#);
        panel(&server, &query).await.json()["data"]["result"].as_array().unwrap().len()
    };
    assert_eq!((of(r#"=~"2|1""#).await, of(r#"="""#).await), (0, 3));
}

/// D14: the list of labels.
#[tokio::test]
async fn d14_labels() {
    let server = shop().await;
    assert_eq!(asked(&server, "labels", &[]).await.ok(), "{\"status\":\"success\",\"data\":[\"app\",\"env\",\"service_name\"]}\n");
}
