//! Lines in, rows out; times are worked out by hand (1700000000 is 2023-11-14T22:13:20Z).

use schema::IngestLimits;

use super::*;
use crate::rows::RowWriter;
use crate::testkit::show;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn push(query: &str, body: &str) -> Result<String, (u16, String)> {
    let told = |error: PushError| (error.status().as_u16(), error.to_string());
    let options = LineOptions::parse(query).map_err(told)?;
    let limits = IngestLimits::default();
    let mut rows = RowWriter::new(&limits, NOW, None, body.len()).map_err(told)?;
    decode(body.as_bytes(), &options, NOW, &mut rows).map_err(told)?;
    Ok(show(&rows.finish().map_err(told)?.batch))
}

#[test]
fn text_and_json_with_and_without_times() {
    let body = "one\r\n\n  \ntwo\ntwo\n2023-11-14T22:13:20.5Z error: three\n{\"time\":\"2023-11-14T22:13:21Z\",\"level\":\"warn\"}\n{\"ts\":1700000002,\"msg\":\"x\"}\n{not json";
    let expected = r#"{app="x", service_name="x"} 1700000000000000000 "one" {detected_level="unknown"}
{app="x", service_name="x"} 1700000000000000001 "two" {detected_level="unknown"}
{app="x", service_name="x"} 1700000000000000002 "two" {detected_level="unknown"}
{app="x", service_name="x"} 1700000000500000000 "2023-11-14T22:13:20.5Z error: three" {detected_level="error"}
{app="x", service_name="x"} 1700000001000000000 "{\"time\":\"2023-11-14T22:13:21Z\",\"level\":\"warn\"}" {detected_level="warn"}
{app="x", service_name="x"} 1700000002000000000 "{\"ts\":1700000002,\"msg\":\"x\"}" {detected_level="unknown"}
{app="x", service_name="x"} 1700000000000000003 "{not json" {detected_level="unknown"}
"#;
    for query in ["labels=%7Bapp%3D%22x%22%7D", "labels={app=\"x\"}", "stream=app=\"x\"", "stream=%7Bapp=%22x%22+%7D"] {
        assert_eq!(push(query, body).unwrap(), expected, "{query}");
    }
    assert_eq!(push("", "l").unwrap(), "{service_name=\"unknown_service\"} 1700000000000000000 \"l\" {detected_level=\"unknown\"}\n");
}

#[test]
fn members_that_hold_the_time_and_the_line() {
    let body = concat!(
        r#"{"at":"1700000003000","time":"2020-01-01T00:00:00Z","msg":"hello","level":"error","user":{"id":7,"tags":["a"]},"gone":null}"#,
        "\n",
        r#"{"msg":{"a":1}}"#,
        "\n",
        r#"{"other":1}"#,
        "\n",
        "text"
    );
    let expected = r#"{app="x", service_name="x"} 1700000003000000000 "hello" {level="error", time="2020-01-01T00:00:00Z", user_id="7", user_tags="[\"a\"]", detected_level="error"}
{app="x", service_name="x"} 1700000000000000000 "{\"a\":1}" {detected_level="unknown"}
{app="x", service_name="x"} 1700000000000000001 "{\"other\":1}" {detected_level="unknown"}
{app="x", service_name="x"} 1700000000000000002 "text" {detected_level="unknown"}
"#;
    assert_eq!(push("labels={app=\"x\"}&time_field=at&line_field=msg", body).unwrap(), expected);
}

/// A long name over many members must cost what they do, not the product.
#[test]
fn members_without_end_are_counted_and_not_kept() {
    let many: Vec<String> = (0..100_000).map(|n| format!("\"{n}\":1")).collect();
    let body =
        format!("{{\"msg\":\"wide\",\"{}\":{{{}}}}}\n{{\"msg\":\"kept\"}}\n{{\"msg\":\"{}\"}}", "x".repeat(100_000), many.join(","), "y".repeat(3_000_000));
    let limits = IngestLimits::default();
    let mut rows = RowWriter::new(&limits, NOW, None, body.len()).unwrap();
    decode(body.as_bytes(), &LineOptions::parse("line_field=msg").unwrap(), NOW, &mut rows).unwrap();
    let decoded = rows.finish().unwrap();
    assert_eq!((decoded.lines, decoded.rejected.lines()), (1, 2));
    // 100,000 times: a name of 100,000 bytes, an underscore, up to 5 digits (488,890 in all), and a value of one byte.
    let told = decoded.rejected.text();
    assert!(told.contains("has structured metadata too large: '10000688890' bytes") && told.contains("with length '3000010' bytes"), "{told}");
}

#[test]
fn what_cannot_be_used_is_named() {
    for (query, body, status, error) in [
        ("label={a=\"b\"}", "l", 400, "parameter \"label\" is not known; there are labels (or stream), time_field and line_field"),
        ("labels={a=\"b\"}&stream={}", "l", 400, "parameter \"stream\" is given twice"),
        ("labels=%7", "l", 400, "parameter \"%7\" has a percent sign that is not followed by two hexadecimal digits of UTF-8"),
        ("labels=%ff", "l", 400, "parameter \"%ff\" has a percent sign that is not followed by two hexadecimal digits of UTF-8"),
        ("", "\n \r\n", 422, "the body has no line to store"),
        (
            "time_field=at",
            "text\n{\"at\":\"soon\"}",
            400,
            "line 2: member \"at\" is \"soon\", which is no time: RFC 3339, or a number of seconds, milliseconds, microseconds or nanoseconds since 1970; nothing of this push was stored",
        ),
    ] {
        assert_eq!(push(query, body), Err((status, error.to_owned())), "{query}");
    }
    assert!(push("labels={a=b}", "l").unwrap_err().1.starts_with("couldn't parse labels: "));
}
