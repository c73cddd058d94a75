use super::*;
use crate::result::Entry;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn stream(metadata: &[(&str, &str)], parsed: &[(&str, &str)], lines: &[&str]) -> StreamResult {
    StreamResult {
        labels: CategorizedLabels { stream: pairs(&[("app", "x")]), metadata: pairs(metadata), parsed: pairs(parsed) },
        entries: lines.iter().map(|line| Entry { timestamp: 1, line: line.as_bytes().to_vec() }).collect(),
    }
}

/// `name type cardinality parsers path`, one a line.
fn fields(streams: &[StreamResult], query_parsers: &[&'static str]) -> Vec<String> {
    detect(streams, query_parsers)
        .unwrap()
        .iter()
        .map(|(name, field)| {
            let parsers: Vec<&str> = field.parsers.iter().copied().collect();
            format!("{name} {} {} [{}] {}", type_of(&field.values), field.values.len(), parsers.join(","), field.json_path.join("."))
        })
        .collect()
}

#[test]
fn json_lines_have_members_with_their_paths() {
    let lines = [r#"{"status": 200, "user": {"name": "ann"}, "trace-id": "a1", "app": "inner"}"#, r#"{"status": 404, "user": {"name": "bo"}, "took": "1.5s"}"#];
    assert_eq!(
        fields(&[stream(&[("detected_level", "info")], &[], &lines)], &[]),
        [
            "app_extracted string 1 [json] app",
            "detected_level string 1 [] ",
            "status int 2 [json] status",
            "took duration 1 [json] took",
            "trace_id string 1 [json] trace-id",
            "user_name string 2 [json] user.name",
        ]
    );
}

#[test]
fn logfmt_is_tried_where_json_fails_and_only_to_the_end_of_the_line() {
    let lines = ["level=info took=5ms size=5KB ok=true ratio=0.5", r#"1.2.3.4 - - "GET /login HTTP/1.1" 200"#];
    assert_eq!(
        fields(&[stream(&[], &[], &lines)], &[]),
        ["level string 1 [logfmt] ", "ok boolean 1 [logfmt] ", "ratio float 1 [logfmt] ", "size bytes 1 [logfmt] ", "took duration 1 [logfmt] "]
    );
}

#[test]
fn labels_that_the_query_parsed_are_the_fields() {
    let parsed = [("status", "200"), ("__error__", "JSONParserErr")];
    assert_eq!(fields(&[stream(&[], &parsed, &[r#"{"status": 200, "dropped": 1}"#])], &["json"]), ["status int 1 [json] status"]);
}

#[test]
fn a_type_is_what_all_values_have_in_common() {
    for (values, kind) in [
        (&["1", "20"][..], "int"),
        (&["1", "2.5"], "float"),
        (&["true", "f"], "boolean"),
        (&["0", "1", "t"], "boolean"),
        (&["5ms", "1h2m"], "duration"),
        (&["1.5KB", "10KiB", "123"], "bytes"),
        (&["5ms", "5KB"], "string"),
        (&["1", "x"], "string"),
        (&[""], "string"),
    ] {
        assert_eq!(type_of(&values.iter().map(|value| (*value).to_owned()).collect()), kind, "{values:?}");
    }
}
