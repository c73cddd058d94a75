//! Section 0: what a UI cannot do without.

use super::*;

/// The request of "Save & test", byte for byte.
pub(super) const HEALTH: &str = "/loki/api/v1/query?direction=backward&query=vector%281%29%2Bvector%281%29&time=4000000000";
pub(super) const HEALTHY: &str =
    r#"{"status":"success","data":{"resultType":"vector","encodingFlags":["categorize-labels"],"result":[{"metric":{},"value":[4000000000,"2"]}]}}"#;

/// Row 1: one sample, two. The time is seconds in the year 2096.
#[tokio::test]
async fn s00_01_save_and_test_is_green() {
    let server = shop().await;
    assert_eq!(send(&server, "GET", HEALTH, &[FLAG], b"").await.bare(), HEALTHY);
    let unflagged = send(&server, "GET", HEALTH, &[], b"").await;
    assert_eq!(unflagged.bare(), r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[4000000000,"2"]}]}}"#);
}

/// Rows 2 and 3: the flag is echoed before the result; stream objects have two members, third elements no others than two.
#[tokio::test]
async fn s00_02_03_the_flag_is_honoured_and_echoed_first() {
    let server = shop().await;
    let stream = r#"{"app":"shop","env":"prod","service_name":"shop"}"#;
    let entries = [
        r#"["1700000003000000000","plain words",{"structuredMetadata":{"detected_level":"unknown"}}]"#,
        r#"["1700000002000000000","level=error msg=\"\u003cdown\u003e \u0026 out\" took=250ms size=2KB",{"structuredMetadata":{"detected_level":"error","trace_id":"t2"}}]"#,
        r#"["1700000001000000000","level=info msg=\"start\" took=12ms size=1KB",{"structuredMetadata":{"detected_level":"info","trace_id":"t1"}}]"#,
    ]
    .join(",");
    let head = r#"{"status":"success","data":{"resultType":"streams","encodingFlags":["categorize-labels"],"result":"#;
    let answer = range(&server, r#"{app="shop"}"#).await;
    assert_eq!(answer.bare(), format!(r#"{head}[{{"stream":{stream},"values":[{entries}]}}]}}}}"#));
    let parsed = range(&server, r#"{app="shop"} | logfmt | level="info""#).await;
    let other = r#"{"structuredMetadata":{"detected_level":"info","trace_id":"t1"},"parsed":{"level":"info","msg":"start","size":"1KB","took":"12ms"}}"#;
    let entry = format!(r#"["1700000001000000000","level=info msg=\"start\" took=12ms size=1KB",{other}]"#);
    assert_eq!(parsed.result(), format!(r#"[{{"stream":{stream},"values":[{entry}]}}]"#));
    let with_more = range_with(&server, r#"{app="shop"} |= "plain""#, &[], &[("x-loki-response-encoding-flags", "future-flag, categorize-labels")]).await;
    assert!(with_more.result().ends_with(r#""plain words",{"structuredMetadata":{"detected_level":"unknown"}}]]}]"#), "{}", with_more.text());
    // Without the header there is never a third element.
    for query in [r#"{app="shop"}"#, r#"{app="shop"} | logfmt"#, r#"{app="shop"} | drop detected_level"#] {
        let plain = range_with(&server, query, &[], &[]).await;
        assert!(plain.shape().starts_with("{status:s,data:{resultType:s,result:[{stream:{"), "{}", plain.shape());
        assert!(plain.shape().contains("values:[[s,s]]}"), "{}", plain.shape());
        assert!(!plain.text().contains("encodingFlags") && !plain.text().contains("structuredMetadata"), "{}", plain.text());
    }
}

/// Row 4: log context asks what there is at one instant.
#[tokio::test]
async fn s00_04_a_range_without_length_has_labels() {
    let server = shop().await;
    let at = (THEN + 2 * SECOND + 7).to_string();
    let instant = [("start", at.as_str()), ("end", at.as_str())];
    assert_eq!(get(&server, "labels", &instant).await.ok(), "{\"status\":\"success\",\"data\":[\"app\",\"env\",\"service_name\"]}\n");
    assert_eq!(get(&server, "label/app/values", &instant).await.ok(), "{\"status\":\"success\",\"data\":[\"api\",\"shop\"]}\n");
    let selected = [&instant[..], &[("query", r#"{app="shop"}"#)]].concat();
    assert_eq!(get(&server, "label/env/values", &selected).await.ok(), "{\"status\":\"success\",\"data\":[\"prod\"]}\n");
    let series = get(&server, "series", &[&instant[..], &[("match[]", r#"{app="shop"}"#)]].concat()).await;
    assert_eq!(series.ok(), "{\"status\":\"success\",\"data\":[{\"app\":\"shop\",\"env\":\"prod\",\"service_name\":\"shop\"}]}\n");
    assert_eq!(get(&server, "detected_labels", &instant).await.json()["detectedLabels"].as_array().unwrap().len(), 3);
}

/// Row 5: log ranges without their end; points at multiples of the step, with both ends.
#[tokio::test]
async fn s00_05_ranges_end_as_splitting_needs_it() {
    let server = shop().await;
    let at = |seconds: i64| (THEN + seconds * SECOND).to_string();
    let logs = range_with(&server, r#"{app="shop"}"#, &[("start", &at(1)), ("end", &at(3))], &[]).await;
    assert!(logs.text().contains(r#"["1700000001000000000","#) && !logs.text().contains(r#"["1700000003000000000","#), "{}", logs.text());
    // 1700000003 and 1700000009 lie between multiples of 4: 1700000000, 1700000004, 1700000008, 1700000012.
    let query = "sum(count_over_time({app=~\"shop|api\"}[4s]))";
    let points = range_with(&server, query, &[("start", &at(3)), ("end", &at(9)), ("step", "4000ms")], &[]).await;
    assert_eq!(points.result(), r#"[{"metric":{},"values":[[1700000004,"4"],[1700000008,"1"]]}]"#);
    let whole = range_with(&server, query, &[("start", &at(4)), ("end", &at(8)), ("step", "4000ms")], &[]).await;
    assert_eq!(whole.result(), points.result());
}

/// Row 6: a refusal is text that can be shown as it is.
#[tokio::test]
async fn s00_06_refusals_are_text() {
    let server = Server::start(&[QUICK]).await;
    let refused = range(&server, r#"{app="shop""#).await;
    let (status, text) = refused.refusal();
    assert!(status == 400 && text.starts_with("parse error at line 1, col 12: ") && !text.ends_with('\n'), "{status} {text}");
}

/// Row 7: what Logs Drilldown asks is answered on an empty store too.
#[tokio::test]
async fn s00_07_drilldowns_routes_answer_without_data() {
    let server = Server::start(&[QUICK]).await;
    let during = [("start", "2026-08-01T00:00:00.000Z"), ("end", "2026-08-01T01:00:00.000Z")];
    let selected = [&during[..], &[("query", "{service_name=~`.+`}")]].concat();
    let volume = get(&server, "index/volume", &selected).await;
    assert_eq!(volume.ok(), "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}\n");
    assert_eq!(get(&server, "detected_labels", &during).await.ok(), "{\"detectedLabels\":[]}\n");
    assert_eq!(get(&server, "detected_fields", &selected).await.ok(), "{}\n");
    assert_eq!(get(&server, "detected_field/level/values", &selected).await.ok(), "{}\n");
    assert_eq!(get(&server, "patterns", &selected).await.ok(), "{\"status\":\"success\",\"data\":[]}\n");
    assert_eq!(get(&server, "drilldown-limits", &[]).await.status, 200);
}

/// Row 8: every entry has `detected_level`, every stream `service_name`.
#[tokio::test]
async fn s00_08_every_entry_has_a_level_and_every_stream_a_service() {
    let server = shop().await;
    push(&server, &[("nothing", "known")], &[(THEN + SECOND, "", &[])]).await;
    let streams = range(&server, r#"{service_name=~".+"}"#).await.json();
    let streams = streams["data"]["result"].as_array().unwrap();
    assert_eq!(streams.iter().map(|stream| stream["stream"]["service_name"].as_str().unwrap()).collect::<Vec<_>>(), ["api", "shop", "unknown_service"]);
    for entry in streams.iter().flat_map(|stream| stream["values"].as_array().unwrap()) {
        assert!(entry[2]["structuredMetadata"]["detected_level"].is_string(), "{entry}");
    }
}

// Row 9 is `tail::s07_*`.

/// Row 10: too many series are an error, and for Logs Drilldown as many as allowed, with a warning. Section 11, idea 9.
#[tokio::test]
async fn s00_10_s11_09_too_many_series_are_an_error_or_a_warning() {
    let server = Server::start(&[QUICK, ("TARN_LIMITS_MAX_QUERY_SERIES", "2")]).await;
    for pod in ["a", "b", "c"] {
        push(&server, &[("app", "x"), ("pod", pod)], &[(THEN + SECOND, "one", &[]), (THEN + 2 * SECOND, "two", &[])]).await;
    }
    let query = r#"sum by (pod) (count_over_time({app="x"}[1m]))"#;
    let refusal = "maximum number of series (2) reached for a single query; consider reducing query cardinality by adding more specific stream selectors, reducing the time range, or aggregating results with functions like sum(), count() or topk()";
    for headers in [&[][..], &[FLAG], &[("X-Query-Tags", "Source=logvolhist")], &[("X-Query-Tags", "grafana-lokiexplore-app")]] {
        assert_eq!(range_with(&server, query, &[], headers).await.refusal(), (400, refusal), "{headers:?}");
    }
    let minute = 1_700_000_040;
    let two = format!(r#"[{{"metric":{{"pod":"a"}},"values":[[{minute},"2"]]}},{{"metric":{{"pod":"b"}},"values":[[{minute},"2"]]}}]"#);
    let warning = r#""warnings":["maximum number of series (2) reached for a single query; returning partial results"]"#;
    for tag in ["Source=grafana-lokiexplore-app", "source=Grafana-LokiExplore-App", "Feature=x, Source=grafana-lokiexplore-app"] {
        let cut = range_with(&server, query, &[("end", &(THEN + 20 * SECOND).to_string())], &[FLAG, ("X-Query-Tags", tag)]).await;
        let data = format!(r#"{{"resultType":"matrix","encodingFlags":["categorize-labels"],"result":{two}}}"#);
        assert_eq!(cut.bare(), format!(r#"{{"status":"success",{warning},"data":{data}}}"#));
    }
    let time = (THEN + MINUTE).to_string();
    let vector = get_with(&server, "query", &[("query", query), ("time", &time)], &[DRILLDOWN]).await;
    assert_eq!(shape(vector.ok()).split(",stats").next(), Some("{status:s,warnings:[s],data:{resultType:s,result:[{metric:{pod:s},value:[n,s]}]"));
    let enough = range_with(&server, r#"sum by (pod) (count_over_time({app="x", pod=~"a|b"}[1m]))"#, &[], &[DRILLDOWN]).await;
    assert!(!enough.text().contains("warnings"), "{}", enough.text());
}
