//! JSON pushes against the same pushes as protobuf, and against what the formats say.

use proptest::prelude::*;

use crate::testkit::{decode_json, decode_legacy, decode_proto, entry, show, stream};

#[test]
fn says_the_same_as_protobuf() {
    let json = decode_json(
        r#"{"streams":[{"stream":{"env":"p","app":"x"},"values":[["5","level=warn \"a\"\n",{"trace_id":"t\u00fc"}],["-1500000000","b"]]},
                       {"stream":{"level":"ERR"},"values":[["1700000000000000001","😀",{}]]}]}"#,
    );
    let proto = decode_proto(vec![
        stream(r#"{app="x", env="p"}"#, vec![entry(5, "level=warn \"a\"\n", &[("trace_id", "tü")]), entry(-1_500_000_000, "b", &[])]),
        stream(r#"{level="ERR"}"#, vec![entry(1_700_000_000_000_000_001, "😀", &[])]),
    ]);
    let legacy = decode_legacy(
        r#"{"streams":[{"labels":"{level=\"ERR\"}","entries":[{"ts":"2023-11-14T23:13:20.000000001+01:00","line":"😀"},{"line":"x","ts":"1970-01-01T00:00:00Z","more":[1]}]}]}"#,
    );
    assert_eq!(json.unwrap(), proto.unwrap());
    let expected = "{level=\"ERR\", service_name=\"unknown_service\"} 1700000000000000001 \"😀\" {detected_level=\"error\"}
{level=\"ERR\", service_name=\"unknown_service\"} 0 \"x\" {detected_level=\"error\"}\n";
    assert_eq!(show(&legacy.unwrap().batch), expected);
}

#[test]
fn what_senders_get_away_with() {
    let row = "{app=\"x\", service_name=\"x\"} 1 \"l\" {detected_level=\"unknown\"}\n";
    for (body, rows) in [
        // Keys in any order, unknown keys, white space.
        (r#" { "v" : [ {"a":[]}, -1.5e3, null, true ] , "streams" : [ { "values" : [ [ "1" , "l" ] ] , "x" : {} , "stream" : { "app" : "x" } } ] } "#, row),
        // Nulls.
        (r#"{"streams":[null,{"stream":{"app":"x"},"values":null},{"stream":{"app":"x","n":null},"values":[null,["1","l",null]]}]}"#, row),
        (r#"{"streams":[{"stream":{"app":"x"},"values":[]}]}"#, ""),
        (r#"{"streams":[null]}"#, ""),
        (r#"{"streams":[{}]}"#, ""),
        // More than three elements in an entry.
        (r#"{"streams":[{"stream":{"app":"x"},"values":[["1","l",{},7,[]]]}]}"#, row),
        // Of a label that occurs twice the last one counts; an empty value means no label; escapes in names.
        (r#"{"streams":[{"stream":{"app":"y","app":"x","e":"","a\u0070p":"x"},"values":[["1","l"]]}]}"#, row),
        // `values` twice.
        (r#"{"streams":[{"values":[["1","l"]],"stream":{"app":"x"},"values":[]}]}"#, row),
        (
            r#"{"streams":[{"stream":{"n":1.50,"b":true,"app":"x"},"values":[["1","l"]]}]}"#,
            "{app=\"x\", b=\"true\", n=\"1.50\", service_name=\"x\"} 1 \"l\" {detected_level=\"unknown\"}\n",
        ),
        (r#"{"streams":[{"values":[["+1","l"]]}]}"#, "{service_name=\"unknown_service\"} 1 \"l\" {detected_level=\"unknown\"}\n"),
        (
            r#"{"streams":[{"stream":null,"values":[["1","\ud83d\ude00\ud83d\/\b\f\r\t\\"]]}]}"#,
            "{service_name=\"unknown_service\"} 1 \"😀\u{fffd}/\\u{8}\\u{c}\\r\\t\\\\\" {detected_level=\"unknown\"}\n",
        ),
        (
            "{\"streams\":[{\"stream\":{\"app\":\"x\"},\"values\":[[\"1\",\"a\tb\"]]}]}",
            "{app=\"x\", service_name=\"x\"} 1 \"a\\tb\" {detected_level=\"unknown\"}\n",
        ),
    ] {
        assert_eq!(show(&decode_json(body).unwrap_or_else(|error| panic!("{body}: {error}")).batch), rows, "{body}");
    }
}

#[test]
fn one_stream_object_per_line_makes_one_run() {
    let stream = r#"{"stream":{"app":"x"},"values":[["1","l"]]}"#;
    let body = format!("{{\"streams\":[{stream},{stream},{},{stream}]}}", stream.replace('x', "y"));
    let runs: Vec<_> = decode_json(&body).unwrap().batch.runs.into_iter().map(|run| run.rows).collect();
    assert_eq!(runs, [0..2, 2..3, 3..4]);
}

#[test]
fn faults_say_what_and_where() {
    let entry = |text: &str| format!(r#"{{"streams":[{{"stream":{{}},"values":[{text}]}}]}}"#);
    for (body, problem) in [
        (String::new(), "expected an object with `streams` at byte 0"),
        ("[]".to_owned(), "expected an object with `streams` at byte 0"),
        ("{".to_owned(), "expected a key at byte 1"),
        (r#"{"streams":{}}"#.to_owned(), "expected an array of streams at byte 11"),
        (r#"{"streams":[1]}"#.to_owned(), "expected a stream object at byte 12"),
        (r#"{"streams":[],}"#.to_owned(), "a comma before a closing bracket at byte 14"),
        (r#"{"streams":[]}}"#.to_owned(), "text after the end of the push at byte 14"),
        (r#"{"streams":[]"#.to_owned(), "expected `,` or a closing bracket at byte 13"),
        (r#"{"x":nul,"streams":[]}"#.to_owned(), "expected a value at byte 5"),
        (r#"{"x":@}"#.to_owned(), "expected a value at byte 5"),
        (r#"{"streams":[{"stream":{"a":[]}}]}"#.to_owned(), "expected a string as label value at byte 27"),
        (r#"{"streams":[{"stream":[]}]}"#.to_owned(), "expected a label object at byte 22"),
        (entry(r#"["1"]"#), "an entry needs a timestamp and a line at byte 39"),
        (entry("[]"), "an entry needs a timestamp and a line at byte 36"),
        (entry(r#"[1,"l"]"#), "expected a timestamp string at byte 36"),
        (entry(r#"["1.5","l"]"#), "timestamp is not an integer of nanoseconds at byte 36"),
        (entry(r#"["99999999999999999999","l"]"#), "timestamp is not an integer of nanoseconds at byte 36"),
        (entry(r#"["1",2]"#), "expected a line string at byte 40"),
        (entry(r#"["1","l",{"a":1}]"#), "expected a string as structured metadata value at byte 49"),
        (entry(r#"["1","l",[]]"#), "expected an object of structured metadata at byte 44"),
        (entry(r#"["1","\q"]"#), "invalid escape in a string at byte 41"),
        (entry(r#"["1","\u12"]"#), "invalid escape in a string at byte 41"),
        (entry(r#"["1","l]]}]}"#), "unterminated string at byte 41"),
        (format!("{{\"x\":{}", "[".repeat(1_000_000)), "nested too deep at byte 517"),
        (format!("{{\"x\":{}", "{\"a\":".repeat(1_000_000)), "nested too deep at byte 2565"),
    ] {
        let error = decode_json(&body).expect_err(&body);
        assert_eq!((error.status().as_u16(), error.to_string()), (400, format!("malformed JSON: {problem}")), "{}", body.get(..200).unwrap_or(&body));
    }
    for (body, text) in [
        (r#"{}"#, "error at least one valid stream is required for ingestion"),
        ("null", "error at least one valid stream is required for ingestion"),
        (r#"{"streams":null}"#, "error at least one valid stream is required for ingestion"),
        (r#"{"streams":[{"stream":{"a-b":"c"},"values":[]}]}"#, "couldn't parse labels: invalid label name \"a-b\""),
    ] {
        assert_eq!(decode_json(body).unwrap_err().to_string(), text, "{body}");
    }
    assert!(
        decode_legacy(r#"{"streams":[{"labels":"{a=b}","entries":[]}]}"#)
            .unwrap_err()
            .to_string()
            .starts_with("couldn't parse labels: parse error at line 1, col 4")
    );
    assert!(decode_legacy(r#"{"streams":[{"labels":"{}","entries":[{"ts":"1","line":""}]}]}"#).unwrap_err().to_string().contains("not RFC 3339"));
}

#[test]
fn ten_million_labels_are_refused_within_bounds() {
    let mut body = String::from(r#"{"streams":[{"stream":{"#);
    for i in 0..1_000_000 {
        body.push_str(&format!("\"a{i}\":\"\","));
    }
    body.push_str(r#""z":""},"values":[["1","l"]]}]}"#);
    let decoded = decode_json(&body).unwrap();
    assert!(decoded.batch.is_empty());
    assert!(decoded.rejected.text().ends_with("has 1000001 label names; limit 15"));
    let wide = format!(r#"{{"streams":[{{"stream":{{"a":"{}"}},"values":[]}}]}}"#, "x".repeat(17 << 20));
    assert_eq!(decode_json(&wide).unwrap_err().status(), 413);
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(body in "[\\[\\]{}:,\"\\\\nulstreamvi0-9 ]{0,60}") {
        let _ = decode_json(&body);
        let _ = decode_legacy(&body);
    }

    #[test]
    fn damage_never_panics(at in 0..100_usize, byte in any::<u8>()) {
        let mut body = br#"{"streams":[{"values":[["1","l\u00fc",{"a":"b"}],null],"stream":{"app":"x"}},{"stream":{"b":"\n"},"x":[1]}]}"#.to_vec();
        body[at] = byte;
        let text = String::from_utf8_lossy(&body);
        let _ = decode_json(&text);
        let _ = decode_json(text.get(..at).unwrap_or(""));
    }

    /// serde_json as the other encoder.
    #[test]
    fn strings_come_through(line in any::<String>(), value in any::<String>()) {
        let body = serde_json::json!({"streams": [{"stream": {"app": "x"}, "values": [["1", line, {"k": value}]]}]}).to_string();
        let batch = decode_json(&body).unwrap().batch;
        prop_assert_eq!(batch.lines.get(0), Some(line.as_bytes()));
        prop_assert_eq!(batch.metadata.row(0).next(), Some(("k", value.as_bytes())));
    }
}
