//! Section 4: parameters, steps, limits, and how the data source splits what it asks.

use super::*;

const REFUSED_INSTANT: &str = "log queries are not supported as an instant query type, please change your query to a range query type";

#[tokio::test]
async fn s04_range_reads_what_the_data_source_sends() {
    let server = shop().await;
    let (start, end) = (THEN.to_string(), (THEN + MINUTE).to_string());
    let parameters = [("direction", "backward"), ("end", &*end), ("query", r#"{app="shop"}"#), ("start", &*start)];
    // Steps are whole milliseconds, for log queries too; a limit only where there is one.
    for step in ["60000ms", "15000ms", "1000ms", "6ms"] {
        let answer = get(&server, "query_range", &[&parameters[..], &[("step", step)]].concat()).await;
        assert_eq!(answer.json()["data"]["stats"]["summary"]["totalEntriesReturned"], 3, "{step}");
    }
    let first = range_with(&server, r#"{app="shop"}"#, &[("limit", "1"), ("direction", "forward")], &[]).await;
    assert!(first.result().contains(r#""1700000001000000000""#) && first.json()["data"]["result"].as_array().unwrap().len() == 1, "{}", first.text());
    let last = range_with(&server, r#"{app="shop"}"#, &[("limit", "1")], &[]).await;
    assert!(last.result().contains(r#""1700000003000000000""#) && !last.result().contains(r#""1700000002000000000""#), "{}", last.text());
    // Also on metric queries, which it does not cut.
    let series = range_with(&server, r#"sum by (app) (count_over_time({app=~".+"}[1m]))"#, &[("limit", "1")], &[]).await;
    assert_eq!(series.json()["data"]["result"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn s04_instant_refuses_log_queries() {
    let server = shop().await;
    assert_eq!(instant(&server, r#"{app="shop"}"#).await.refusal(), (400, REFUSED_INSTANT));
    let time = (THEN + MINUTE).to_string();
    let parameters = [("direction", "backward"), ("limit", "1000"), ("query", r#"sum(count_over_time({app="shop"}[1m]))"#), ("time", &time)];
    let counted = get_with(&server, "query", &parameters, &[FLAG]).await;
    assert_eq!(counted.result(), r#"[{"metric":{},"value":[1700000060,"3"]}]"#);
}

#[tokio::test]
async fn s04_step_auto_steps_fit_and_too_many_points_are_refused() {
    let server = Server::start(&[]).await;
    let days = (THEN + 30 * 24 * HOUR).to_string();
    // range / 11000, rounded up to milliseconds.
    let auto = format!("{}ms", (30 * 24 * 3_600_000_u64).div_ceil(11_000));
    assert_eq!(range_with(&server, r#"rate({app="x"}[1m])"#, &[("end", &days), ("step", &auto)], &[]).await.status, 200);
    let text = "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter";
    for query in [r#"rate({app="x"}[1m])"#, r#"{app="x"}"#] {
        assert_eq!(range_with(&server, query, &[("end", &days), ("step", "1000ms")], &[]).await.refusal(), (400, text));
    }
}

/// What `$__interval` and its like have become.
#[tokio::test]
async fn s04_variables_durations_of_every_unit_are_read() {
    let server = shop().await;
    for duration in ["1m", "15s", "200ms", "1h", "1d", "3600s", "1m30s", "604800s"] {
        let answer = instant(&server, &format!(r#"sum(count_over_time({{app="shop"}}[{duration}]))"#)).await;
        assert_eq!(answer.status, 200, "{duration}: {}", answer.text());
    }
}

/// Several values of a variable are a regex, its dots escaped.
#[tokio::test]
async fn s04_multi_value_variables_are_regexes() {
    let server = Server::start(&[QUICK]).await;
    for app in ["a.b", "axb", "c"] {
        push(&server, &[("app", app)], &[(THEN + SECOND, "x", &[])]).await;
    }
    let counted = instant(&server, r#"sum by (app) (count_over_time({app=~"a\\.b|c"}[1m]))"#).await.json();
    let apps: Vec<&str> = counted["data"]["result"].as_array().unwrap().iter().map(|series| series["metric"]["app"].as_str().unwrap()).collect();
    assert_eq!(apps, ["a.b", "c"]);
}

/// Nothing is sharded, so the list is empty, which ends the client's attempt; the label can be asked for all the same. Section 11, idea 7.
#[tokio::test]
async fn s04_shard_s11_07_streams_have_no_shard_and_can_be_asked_for_it() {
    let server = shop().await;
    let during = [("start", "1700000000"), ("end", "1700000060"), ("query", r#"{app="shop"}"#)];
    assert_eq!(get(&server, "label/__stream_shard__/values", &during).await.ok(), "{\"status\":\"success\"}\n");
    let all = range(&server, r#"{service_name="shop"}"#).await;
    assert_eq!(range(&server, r#"{service_name="shop", __stream_shard__=""}"#).await.bare(), all.bare());
    assert_eq!(range(&server, r#"{service_name="shop", __stream_shard__=~"2|1"}"#).await.result(), "[]");
    assert_eq!(range(&server, r#"{service_name="shop", __stream_shard__="3"}"#).await.result(), "[]");
    let counted = range(&server, r#"sum(count_over_time({service_name="shop", __stream_shard__=""} | drop __stream_shard__ [1m]))"#).await;
    assert_eq!(counted.result(), r#"[{"metric":{},"values":[[1700000040,"3"]]}]"#);
    let series = get(&server, "series", &[("start", "1700000000"), ("end", "1700000060"), ("match[]", r#"{__stream_shard__=""}"#)]).await;
    assert_eq!(series.json()["data"].as_array().unwrap().len(), 2);
}
