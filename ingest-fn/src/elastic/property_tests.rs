//! Nothing of a document is lost, and a request in pieces stores what the whole one does.

use proptest::prelude::*;
use schema::{IngestLimits, RowBatch, Timestamp};
use serde_json::{Map, Value};

use super::{ElasticSettings, decode_bulk};
use crate::testkit::show;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1000..1000_i64).prop_map(Value::from),
        "[a-z\"\\\\äü\n ]{0,6}".prop_map(Value::from),
        prop::collection::vec((0..9_i64).prop_map(Value::from), 0..3).prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("message"),
        Just("log"),
        Just("event.original"),
        Just("service"),
        Just("name"),
        Just("app"),
        Just("level"),
        Just("a"),
        Just("b-c"),
        Just("b_c"),
        Just("")
    ];
    let tree = leaf.prop_recursive(3, 24, 5, move |inner| {
        prop::collection::vec((name.clone(), inner), 0..5)
            .prop_map(|members| Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
    });
    (tree, 0..3_i64).prop_map(|(tree, time)| {
        let mut members = match tree {
            Value::Object(members) => members,
            other => Map::from_iter([("message".to_owned(), other)]),
        };
        if time > 0 {
            members.insert("@timestamp".to_owned(), Value::from(1_600_000_000_000 + time));
        }
        Value::Object(members)
    })
}

/// Leaves with their paths, read by another reader.
fn leaves(value: &Value, path: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (name, member) in members {
                leaves(member, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, out);
            }
        }
        Value::String(text) => out.push((path.to_owned(), text.clone())),
        other => out.push((path.to_owned(), other.to_string())),
    }
}

fn bulk(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("{{\"create\":{{\"_index\":\"i\",\"_id\":\"x\"}}}}\n{document}\n")).collect()
}

fn rows(body: &str, limits: &IngestLimits) -> RowBatch {
    rows_at(body, limits, NOW)
}

fn rows_at(body: &str, limits: &IngestLimits, now: Timestamp) -> RowBatch {
    let decoded = decode_bulk(body.as_bytes(), None, &ElasticSettings::default(), limits, now).unwrap();
    assert!(decoded.decoded.rejected.is_empty(), "{}", decoded.decoded.rejected.text());
    assert!(!decoded.clone().answer(0).contains("\"errors\":true"), "{}", decoded.answer(0));
    decoded.decoded.batch
}

/// Where a leaf must be, as text: the line, a label's value, a pair's value, or the time.
fn holds(batch: &RowBatch, path: &str, value: &str) -> bool {
    let label = batch.runs[0].labels.iter().any(|(_, label)| label == value);
    let pair = batch.metadata.row(0).any(|(name, pair)| pair == value.as_bytes() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let time = path == "@timestamp" && batch.timestamps[0] == value.parse::<i64>().unwrap() * 1_000_000;
    label || pair || time || batch.lines.get(0) == Some(value.as_bytes())
}

/// At one instant they would be copies, of which compaction keeps one.
#[test]
fn equal_documents_without_a_time_stay_apart() {
    let batch = rows(&bulk(&vec![serde_json::json!({"message": "same"}); 3]), &IngestLimits::default());
    assert_eq!(batch.timestamps, [NOW.0, NOW.0 + 1, NOW.0 + 2]);
}

proptest! {
    #[test]
    fn every_leaf_is_found_again(document in documents(), max_pairs in 0..12_usize) {
        let limits = IngestLimits { max_structured_metadata_entries_count: max_pairs, ..IngestLimits::default() };
        let batch = rows(&bulk(std::slice::from_ref(&document)), &limits);
        prop_assert_eq!(batch.len(), 1);
        let whole = batch.lines.get(0) == Some(document.to_string().as_bytes());
        let mut expected = Vec::new();
        leaves(&document, "", &mut expected);
        for (path, value) in expected {
            prop_assert!(whole || holds(&batch, &path, &value), "{}={:?} is not in\n{}", path, value, show(&batch));
        }
        // Only what cannot be beside its line is stored whole.
        let simple = document.as_object().unwrap().iter().all(|(name, value)| ["message", "@timestamp", "level"].contains(&name.as_str()) && value.is_string() && value != "");
        prop_assert!(!(whole && simple && max_pairs > 4 && document.get("message").is_some()), "{}", show(&batch));
    }

    #[test]
    fn a_request_in_pieces_stores_what_the_whole_one_does(documents in prop::collection::vec(documents(), 1..8), cut in 0..8_usize) {
        let limits = IngestLimits::default();
        let (first, second) = documents.split_at(cut.min(documents.len()));
        let mut pieces = String::new();
        // Each document without a time takes a nanosecond.
        let mut now = NOW;
        for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
            pieces += &show(&rows_at(&bulk(part), &limits, now));
            now = Timestamp(now.0 + part.iter().filter(|document| document.get("@timestamp").is_none()).count() as i64);
        }
        prop_assert_eq!(show(&rows(&bulk(&documents), &limits)), pieces);
    }

    #[test]
    fn damage_never_panics(at in 0..200_usize, byte in any::<u8>()) {
        let mut body = br#"{"create":{"_index":"i","_id":"1"}}
{"@timestamp":"2023-11-14T22:13:20Z","message":"m\u00fc","a":{"b":[1,{"c":null}],"d":1.5e3}}
{"delete":{"_index":"i"}}
{"index":{"_index":"i"}}
{"log":"x"}
"#.to_vec();
        let at = at % body.len();
        body[at] = byte;
        if let Ok(bulk) = decode_bulk(&body, None, &ElasticSettings::default(), &IngestLimits::default(), NOW) {
            let answer = bulk.answer(1);
            prop_assert!(serde_json::from_str::<Value>(&answer).is_ok(), "{answer}");
        }
    }
}
