use std::io::Write as _;

use base64::Engine as _;
use schema::{IngestLimits, TenantId};
use serde_json::{Value, json};

use super::*;
use crate::aws::Rules;
use crate::testkit::show;

const NOW: Timestamp = Timestamp(1_735_689_600_000_000_000);

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn record(sequence: u64, data: &[u8]) -> Value {
    let data = base64::engine::general_purpose::STANDARD.encode(data);
    let kinesis = json!({ "sequenceNumber": sequence.to_string(), "data": data, "approximateArrivalTimestamp": 1_735_689_600.5 });
    json!({ "eventSource": "aws:kinesis", "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/s", "kinesis": kinesis })
}

fn kinesis(records: Vec<Value>) -> Event {
    Event::from_json(json!({ "Records": records })).unwrap()
}

fn message(text: &str) -> String {
    let event = |id: &str| json!({ "id": id, "timestamp": 1_440_442_987_000_i64, "message": text });
    json!({ "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "s", "logEvents": [event("1"), event("2")] }).to_string()
}

fn settings(limits: IngestLimits) -> Settings {
    Settings::new(TenantId::default_tenant(), IngestLimits { discover: false, ..limits })
}

fn rows(inline: &Inline) -> Vec<String> {
    let mut rows: Vec<String> = inline.batches.iter().flat_map(|batch| show(&batch.rows).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    rows.sort();
    rows
}

#[test]
fn a_record_is_the_same_rows_in_any_company() {
    let records = [record(1, b"a\na"), record(2, b"a"), record(3, &gzip(&message("m"))), record(4, &gzip(&message("m")))];
    let settings = settings(IngestLimits::default());
    let all = rows(&kinesis(records.to_vec()).decode(&settings, NOW));
    let later = Timestamp(NOW.as_nanos() + 1_000_000_000);
    let mut apart: Vec<String> = records.into_iter().flat_map(|record| rows(&kinesis(vec![record]).decode(&settings, later))).collect();
    apart.sort();
    assert_eq!(all, apart);
    assert_eq!(all.len(), 7);
    // CloudWatch's message is told by its own entries, so that its copy is the same rows.
    let mut distinct = all;
    distinct.dedup();
    assert_eq!(distinct.len(), 5, "{distinct:#?}");
}

#[test]
fn many_bombs_are_no_more_than_one() {
    let bomb = gzip(&" ".repeat(600_000));
    let limits = IngestLimits { max_decompressed_bytes: 1_000_000, ..IngestLimits::default() };
    let inline = kinesis(vec![record(1, &bomb), record(2, &bomb), record(3, &bomb)]).decode(&settings(limits), NOW);
    let message = "the records so far and this one come to more than 1000000 bytes (max_decompressed_bytes); let the source send smaller batches";
    assert_eq!(inline.failures.iter().map(|(index, error)| (*index, error.to_string())).collect::<Vec<_>>(), [(1, message.to_owned())]);
    assert_eq!(inline.report.decoded_bytes, 600_000);
}

#[test]
fn tenants_get_batches_of_their_own_and_rules_leave_out() {
    let mut settings = settings(IngestLimits::default());
    settings.rules = Rules::parse(
        r#"
        [[rule]]
        match = { log_type = "cloudwatch" }
        tenant = "ops"
        [[rule]]
        match = { log_group_glob = "debug/*" }
        skip = true
        "#,
    )
    .unwrap();
    let skipped = message("m").replace("\"g\"", "\"debug/x\"");
    let event = kinesis(vec![record(1, b"a"), record(2, message("m").as_bytes()), record(3, skipped.as_bytes()), record(4, b"b")]);
    let inline = event.decode(&settings, NOW);
    let batches: Vec<_> = inline.batches.iter().map(|batch| (batch.tenant.as_str(), batch.lines, batch.items.as_slice())).collect();
    assert_eq!(batches, [("fake", 2, &[0, 3][..]), ("ops", 2, &[1])]);
    assert_eq!(inline.report.ignored, 1);
}

#[test]
fn the_functions_own_log_is_left_out() {
    let mut settings = settings(IngestLimits::default());
    let event = kinesis(vec![record(1, message("m").as_bytes())]);
    settings.own_log_group = Some("other".to_owned());
    assert_eq!(rows(&event.decode(&settings, NOW)).len(), 2);
    settings.own_log_group = Some("g".to_owned());
    let inline = event.decode(&settings, NOW);
    assert_eq!((inline.batches.len(), inline.failures.len(), inline.report.ignored), (0, 0, 1));
}

#[test]
fn large_events_are_cut() {
    let mut settings = settings(IngestLimits::default());
    settings.piece_bytes = 1000;
    let records: Vec<Value> = (0..100).map(|sequence| record(sequence, format!("line {sequence} {}", "x".repeat(100)).as_bytes())).collect();
    let inline = kinesis(records).decode(&settings, NOW);
    assert!(inline.batches.len() > 10, "{}", inline.batches.len());
    let items: Vec<usize> = inline.batches.iter().flat_map(|batch| batch.items.clone()).collect();
    assert_eq!(items, (0..100).collect::<Vec<_>>());
}
