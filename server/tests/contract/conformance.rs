//! Section 11: the ideas that no other section holds. 1 is in `health`, 6 and 11 in `transport`, 7 in `parameters`, 8 in `tail`, 9 in `must`, 10 in `alerting`, 12 in
//! `logcli`, 2 and 3 in `answers` and `must`.

use super::*;

const DAY: i64 = 24 * HOUR;

/// Three days with a line an hour in one stream, and one every 90 minutes in another; some stand right on the edges of days and steps.
async fn three_days() -> Server {
    let server = Server::start(&[QUICK]).await;
    for day in 0..3 {
        for (app, pause) in [("a", HOUR), ("b", 90 * MINUTE)] {
            let start = midnight() + day * DAY;
            let lines: Vec<(i64, String)> = (0..DAY / pause).map(|n| (start + n * pause, format!("{app} {day} {n}"))).collect();
            let entries: Vec<Entry<'_>> = lines.iter().map(|(at, line)| (*at, line.as_str(), &[][..])).collect();
            push(&server, &[("app", app)], &entries).await;
        }
    }
    server
}

/// 2023-11-15T00:00:00Z
fn midnight() -> i64 {
    THEN - THEN % DAY + DAY
}

/// The parts that the data source cuts a log range into: adjacent, at most a day each.
fn log_parts(start: i64, end: i64) -> Vec<(i64, i64)> {
    (0..).map(|n| end - n * DAY).take_while(|to| *to > start).map(|to| ((to - DAY).max(start), to)).collect()
}

/// The same for metrics: starts at multiples of the step, ends a step before the next start.
fn metric_parts(start: i64, end: i64, step: i64) -> Vec<(i64, i64)> {
    let start = start - start % step;
    let width = DAY - DAY % step;
    (0..).map(|n| start + n * width).take_while(|from| *from <= end).map(|from| (from, (from + width - step).min(end))).collect()
}

/// Idea 4, logs: parts of a day hold together what the whole holds, each line once.
#[tokio::test]
async fn s11_04_chunks_of_logs_are_the_whole() {
    let server = three_days().await;
    let of = async |start: i64, end: i64, direction: &str| -> Vec<(String, String)> {
        let (from, to) = (start.to_string(), end.to_string());
        let more = [("start", &*from), ("end", &*to), ("direction", direction), ("step", "86400000ms")];
        let answer = range_with(&server, r#"{app=~"a|b"}"#, &more, &[FLAG]).await.json();
        let values = answer["data"]["result"].as_array().unwrap().iter().flat_map(|stream| stream["values"].as_array().unwrap().clone());
        let mut lines: Vec<_> = values.map(|value| (value[0].as_str().unwrap().to_owned(), value[1].as_str().unwrap().to_owned())).collect();
        lines.sort_unstable();
        lines
    };
    for (start, end) in [(midnight(), midnight() + 3 * DAY), (midnight() + 90 * MINUTE, midnight() + 3 * DAY - HOUR)] {
        for direction in ["backward", "forward"] {
            let whole = of(start, end, direction).await;
            let parts = log_parts(start, end);
            assert_eq!(parts.len(), 3);
            let mut joined = Vec::new();
            for (from, to) in parts {
                joined.extend(of(from, to, direction).await);
            }
            joined.sort_unstable();
            assert_eq!(joined, whole, "{direction}");
        }
    }
    assert_eq!(of(midnight(), midnight() + 3 * DAY, "forward").await.len(), 3 * (24 + 16));
}

/// Idea 4, metrics: the points of the parts are those of the whole.
#[tokio::test]
async fn s11_04_chunks_of_metrics_are_the_whole() {
    let server = three_days().await;
    let of = async |query: &str, start: i64, end: i64, step: i64| -> Vec<(String, Vec<Value>)> {
        let (from, to, step) = (start.to_string(), end.to_string(), format!("{}ms", step / 1_000_000));
        let answer = range_with(&server, query, &[("start", &from), ("end", &to), ("step", &step)], &[FLAG]).await.json();
        let series = answer["data"]["result"].as_array().unwrap().clone();
        series.into_iter().map(|series| (series["metric"].to_string(), series["values"].as_array().unwrap().clone())).collect()
    };
    for query in [
        r#"sum by (app) (count_over_time({app=~"a|b"}[3h]))"#,
        r#"sum(rate({app=~"a|b"} |= "1" [2h]))"#,
        r#"sum by (app) (bytes_over_time({app=~"a|b"}[1h]))"#,
        r#"sum(count_over_time({app=~"a|b"} | drop app [25h])) / sum(count_over_time({app="a"}[25h]))"#,
    ] {
        for step in [HOUR, 45 * MINUTE, 7 * MINUTE] {
            for (start, end) in [(midnight(), midnight() + 3 * DAY), (midnight() + 17 * SECOND, midnight() + 3 * DAY - 5 * HOUR - 23 * SECOND)] {
                let whole = of(query, start, end, step).await;
                let mut joined: std::collections::BTreeMap<String, Vec<Value>> = std::collections::BTreeMap::new();
                let parts = metric_parts(start, end, step);
                assert!(parts.len() >= 3, "{}", parts.len());
                for (from, to) in parts {
                    for (metric, values) in of(query, from, to, step).await {
                        joined.entry(metric).or_default().extend(values);
                    }
                }
                assert!(!whole.is_empty());
                assert_eq!(joined.into_iter().collect::<Vec<_>>(), whole, "{query} {step}");
            }
        }
    }
}

/// Idea 5: what clients write is understood.
#[tokio::test]
async fn s11_05_every_generated_query_parses() {
    let server = shop().await;
    for query in [
        r#"sum by (level, detected_level) (count_over_time({a="b"} | drop __error__[1m]))"#,
        r#"avg_over_time({a="b"} | logfmt | unwrap duration(f) | __error__="" [1m]) by ()"#,
        "sum by (detected_level) (sum_over_time({__aggregated_metric__=`x` } | logfmt | unwrap count [10s]))",
        "{service_name=`x` } | detected_level=`error` or detected_level=`warn`  | json | logfmt | drop __error__, __error_details__",
        "{service_name=`x` } | detected_level=``  | json | logfmt | drop __error__, __error_details__",
        r#"{service_name="x"} |> "<_> took <_>" or "b" "#,
        r#"{service_name="x"} !> "<_> took <_>" or "b" "#,
        r#"sum by (f) (count_over_time({service_name="x"} | json f="[\"a\"][\"b\"]" | f!="" [1m]))"#,
        r#"{service_name="x", k=~"a|b", l!~"c|d"} | f>10 | g<=5s | h="" | i!="1" | i!="2" |~ "(?i)x" !~ "(?i)y""#,
        r#"sum(count_over_time({service_name="x" ,l != ""} [1m])) by (l)"#,
    ] {
        let answer = range(&server, query).await;
        assert_eq!((answer.status, answer.result()), (200, "[]"), "{query}");
    }
}
