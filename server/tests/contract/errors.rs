//! Section 9: texts that clients look for.

use super::*;

/// `parse error` makes Drilldown speak of invalid filters.
#[tokio::test]
async fn s09_parse_errors_begin_as_lokis_do() {
    let server = Server::start(&[]).await;
    for (query, start) in [
        (r#"{app="x"} | json | ="#, "parse error at line 1, col 20: "),
        (r#"{app="x""#, "parse error at line 1, col 9: "),
        ("{app=\"x\"}\n|= ", "parse error at line 2, col "),
        ("", "parse error : "),
        (r#"{app="x\d"}"#, "parse error at line 1, col "),
    ] {
        for refused in [range(&server, query).await, instant(&server, query).await] {
            let (status, text) = refused.refusal();
            assert!(status == 400 && text.starts_with(start), "{query}: {status} {text}");
        }
    }
}

/// A backslash in the query and this word in the text make the data source explain escaping.
#[tokio::test]
async fn s09_a_wrong_escape_is_told_as_one() {
    let server = Server::start(&[]).await;
    let refused = range(&server, r#"{app=~"a\.b"}"#).await;
    let (status, text) = refused.refusal();
    assert!(status == 400 && text.contains("escape"), "{status} {text}");
}

/// `max entries limit` makes Drilldown advise a lower line limit.
#[tokio::test]
async fn s09_more_lines_than_allowed() {
    let server = Server::start(&[]).await;
    let refused = range_with(&server, r#"{app="x"}"#, &[("limit", "6000")], &[DRILLDOWN]).await;
    assert_eq!(refused.refusal(), (400, "max entries limit per query exceeded, limit > max_entries_limit_per_query (6000 > 5000)"));
}

/// `timeout` and `timed out` make the data source try again with less.
#[tokio::test]
async fn s09_a_query_out_of_time() {
    let server = Server::start(&[QUICK, ("TARN_LIMITS_QUERY_TIMEOUT", "1ms")]).await;
    // Milliseconds a line, on any machine far more than a millisecond in all.
    let lines: Vec<Entry<'_>> = (0..300).map(|n| (THEN + n * 1000, "abcdefghij", &[][..])).collect();
    push(&server, SHOP, &lines).await;
    let slow = r#"{app="shop"} | line_format `{{ regexReplaceAll "[a-e]+[f-j]+" (repeat 10000 __line__) "${0}" }}`"#;
    let text = "request timed out, decrease the duration of the request or add more label matchers (prefer exact match over regex match) to reduce the amount of data processed";
    assert_eq!(range(&server, slow).await.refusal(), (504, text));
}

/// Too long a range, a series with an error, a number of matchers that does not pair up, a pattern that does not compile.
#[tokio::test]
async fn s09_other_refusals_are_lokis() {
    let server = shop().await;
    let months = (THEN + 60 * 24 * HOUR).to_string();
    let long = range_with(&server, r#"{app="shop"}"#, &[("end", &months), ("step", "3600000ms")], &[FLAG]).await;
    let (status, text) = long.refusal();
    assert!(status == 400 && text.starts_with("the query time range exceeds the limit (query length: "), "{status} {text}");
    let broken = instant(&server, r#"count_over_time({app="shop"} | json [1m])"#).await;
    let (status, text) = broken.refusal();
    assert!(status == 400 && text.starts_with("pipeline error: 'JSONParserErr' for series: '{"), "{status} {text}");
    let many = r#"count_over_time({app="shop"}[1m])"#;
    for (right, text) in [
        (many.to_owned(), "found duplicate series on the right hand-side;many-to-many matching not allowed: matching labels must be unique on one side"),
        (
            format!("sum without (detected_level, trace_id) ({many})"),
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        ),
    ] {
        let refused = instant(&server, &format!("{many} / ignoring (detected_level, trace_id) {right}")).await;
        assert_eq!(refused.refusal(), (500, text));
    }
    let regex = range(&server, r#"{app="shop"} |~ "(""#).await;
    assert!(regex.refusal().0 == 400 && regex.text().contains("error parsing regexp: missing closing )"), "{}", regex.text());
}

/// Features of Drilldown that a server lacks are 404, and nothing worse.
#[tokio::test]
async fn s09_what_is_not_there_is_404() {
    let server = Server::start(&[]).await;
    for path in ["/loki/api/v1/nothing", "/loki/api/v2alpha/tail", "/api/v1/status/buildinfo", "/loki/api/v1/labels/"] {
        let missing = send(&server, "GET", path, &[DRILLDOWN], b"").await;
        assert_eq!(missing.refusal(), (404, "404 page not found\n"), "{path}");
    }
}
