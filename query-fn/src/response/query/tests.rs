use proptest::prelude::*;
use schema::LabelSet;
use serde_json::Value;

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn entry(timestamp: i64, line: &str) -> Entry {
    Entry { timestamp, line: line.as_bytes().to_vec() }
}

/// What stands between `"data":` and `,"stats"`.
fn data(result: &QueryResult, encoding: LabelEncoding) -> String {
    let body = body(result, encoding, &[]);
    let (_, rest) = body.split_once(r#""data":"#).unwrap();
    rest.split_once(r#","stats":"#).unwrap().0.to_owned()
}

fn body(result: &QueryResult, encoding: LabelEncoding, warnings: &[String]) -> String {
    let statistics = QueryStatistics::default();
    String::from_utf8(write_answer(&Answer { result, statistics: &statistics, warnings, encoding, direction: Direction::Backward })).unwrap()
}

fn sample_streams() -> QueryResult {
    let labels = |metadata: &[(&str, &str)], parsed: &[(&str, &str)]| CategorizedLabels {
        stream: pairs(&[("app", "x")]),
        metadata: pairs(metadata),
        parsed: pairs(parsed),
    };
    QueryResult::Streams(vec![
        StreamResult { labels: labels(&[("level", "warn")], &[]), entries: vec![entry(30, "c"), entry(10, "a")] },
        StreamResult { labels: labels(&[], &[("level", "warn")]), entries: vec![entry(20, "<b>")] },
        StreamResult { labels: labels(&[("level", "info")], &[("status", "")]), entries: vec![entry(15, "d")] },
    ])
}

#[test]
fn merged_labels_make_one_stream_of_equal_ones() {
    assert_eq!(
        data(&sample_streams(), LabelEncoding::Merged),
        concat!(
            r#"{"resultType":"streams","result":["#,
            r#"{"stream":{"app":"x","level":"info","status":""},"values":[["15","d"]]},"#,
            r#"{"stream":{"app":"x","level":"warn"},"values":[["30","c"],["20","\u003cb\u003e"],["10","a"]]}]"#
        )
    );
}

#[test]
fn categorized_labels_stand_beside_the_line() {
    assert_eq!(
        data(&sample_streams(), LabelEncoding::Categorized),
        concat!(
            r#"{"resultType":"streams","encodingFlags":["categorize-labels"],"result":["#,
            r#"{"stream":{"app":"x"},"values":["#,
            r#"["30","c",{"structuredMetadata":{"level":"warn"}}],"#,
            r#"["20","\u003cb\u003e",{"parsed":{"level":"warn"}}],"#,
            r#"["15","d",{"structuredMetadata":{"level":"info"},"parsed":{"status":""}}],"#,
            r#"["10","a",{"structuredMetadata":{"level":"warn"}}]]}]"#
        )
    );
    let bare = QueryResult::Streams(vec![StreamResult { labels: CategorizedLabels::default(), entries: vec![entry(1, "x")] }]);
    assert_eq!(
        data(&bare, LabelEncoding::Categorized),
        r#"{"resultType":"streams","encodingFlags":["categorize-labels"],"result":[{"stream":{},"values":[["1","x",{}]]}]"#
    );
}

#[test]
fn metric_answers_have_seconds_and_text_values() {
    let series = Series { labels: LabelSet::parse(r#"{app="<x>"}"#).unwrap(), samples: vec![(1_793_494_799_999, 0.5), (1_793_498_400_000, f64::INFINITY)] };
    assert_eq!(
        data(&QueryResult::Matrix(vec![series.clone()]), LabelEncoding::Merged),
        r#"{"resultType":"matrix","result":[{"metric":{"app":"<x>"},"values":[[1793494799.999,"0.5"],[1793498400,"+Inf"]]}]"#
    );
    assert_eq!(
        data(&QueryResult::Vector(vec![series]), LabelEncoding::Merged),
        r#"{"resultType":"vector","result":[{"metric":{"app":"<x>"},"value":[1793494799.999,"0.5"]}]"#
    );
    assert_eq!(data(&QueryResult::Scalar(1500, 2.0), LabelEncoding::Merged), r#"{"resultType":"scalar","result":[1500,"2"]"#);
}

#[test]
fn nothing_is_an_empty_array_and_the_body_ends_with_a_newline() {
    for empty in [QueryResult::Streams(Vec::new()), QueryResult::Matrix(Vec::new()), QueryResult::Vector(Vec::new())] {
        assert!(data(&empty, LabelEncoding::Merged).ends_with(r#""result":[]"#));
    }
    let body = body(&QueryResult::Vector(Vec::new()), LabelEncoding::Merged, &["partial \"answer\"".to_owned()]);
    assert!(body.starts_with(r#"{"status":"success","warnings":["partial \"answer\""],"data":{"#));
    assert!(body.ends_with("}}\n"));
}

fn any_labels() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::btree_map("[a-c]{1,2}", any::<String>(), 0..3).prop_map(|labels| labels.into_iter().collect())
}

proptest! {
    #[test]
    fn streams_read_back(labels in any_labels(), lines in proptest::collection::vec((any::<i64>(), any::<String>()), 0..8)) {
        let entries: Vec<Entry> = lines.iter().map(|(timestamp, line)| entry(*timestamp, line)).collect();
        let result = QueryResult::Streams(vec![StreamResult { labels: CategorizedLabels { stream: labels.clone(), ..CategorizedLabels::default() }, entries }]);
        let answer: Value = serde_json::from_str(&body(&result, LabelEncoding::Merged, &[])).unwrap();
        let stream = &answer["data"]["result"][0];
        prop_assert_eq!(stream["stream"].as_object().unwrap().len(), labels.len());
        for (name, value) in &labels {
            prop_assert_eq!(stream["stream"][name].as_str(), Some(value.as_str()));
        }
        let values = stream["values"].as_array().unwrap();
        prop_assert_eq!(values.len(), lines.len());
        for (value, (timestamp, line)) in values.iter().zip(&lines) {
            prop_assert_eq!(value[0].as_str().unwrap(), &timestamp.to_string());
            prop_assert_eq!(value[1].as_str().unwrap(), line);
        }
    }

    #[test]
    fn samples_read_back(samples in proptest::collection::vec((-1_000_000_000_000_000i64..1_000_000_000_000_000, any::<f64>()), 1..8)) {
        let result = QueryResult::Matrix(vec![Series { labels: LabelSet::default(), samples: samples.clone() }]);
        let answer: Value = serde_json::from_str(&body(&result, LabelEncoding::Merged, &[])).unwrap();
        for (written, (millis, value)) in answer["data"]["result"][0]["values"].as_array().unwrap().iter().zip(&samples) {
            let back: f64 = written[1].as_str().unwrap().trim_start_matches('+').parse().unwrap();
            prop_assert!(back == *value || (back.is_nan() && value.is_nan()));
            prop_assert!((written[0].as_f64().unwrap() * 1000.0 - *millis as f64).abs() < 0.5);
        }
    }
}
