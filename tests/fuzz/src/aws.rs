//! What AWS hands to a function: events, and log files in S3.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use ingest_fn::aws::{Batch, Event, ObjectDecoder, ObjectPlan, ObjectRef, Passed, Report, Settings};
use schema::{ChunkHash, IngestLimits, TenantId, Timestamp};

const NOW: Timestamp = Timestamp(1_793_491_200_000_000_000);
/// Small, so that a few kilobytes are several batches and many lines are too long.
const PIECE_BYTES: usize = 4 << 10;
const LINE_BYTES: usize = 300;

fn settings() -> Settings {
    let limits = IngestLimits { max_line_size: LINE_BYTES, max_decompressed_bytes: 1 << 20, ..IngestLimits::default() };
    Settings { piece_bytes: PIECE_BYTES, ..Settings::new(TenantId::default_tenant(), limits) }
}

/// The bytes are an event, or after a `B` the body of an SQS message, so that the fuzzer does not have to learn its envelope.
/// Any event is decoded or refused, twice the same way, and can be answered whatever failed.
pub fn event(data: &[u8]) {
    let wrapped;
    let bytes = match data.split_first() {
        Some((b'B', body)) => {
            let record = serde_json::json!({ "eventSource": "aws:sqs", "messageId": "m", "body": String::from_utf8_lossy(body) });
            wrapped = serde_json::json!({ "Records": [record] }).to_string();
            wrapped.as_bytes()
        }
        _ => data,
    };
    let event = match Event::parse(bytes) {
        Ok(event) => event,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let settings = settings();
    let inline = event.decode(&settings, NOW);
    assert_eq!(event.decode(&settings, NOW), inline);
    let mut failed: BTreeSet<usize> = inline.failures.iter().map(|(index, _)| *index).collect();
    // What an event holds twice was delivered twice, and is stored once if it names itself.
    let mut payloads = Vec::new();
    if let Ok(value) = serde_json::from_slice(bytes) {
        payloads_of(&value, &mut payloads);
    }
    let all = payloads.len();
    payloads.sort_unstable();
    payloads.dedup();
    let repeated = payloads.len() < all;
    for batch in &inline.batches {
        check(batch, repeated);
        assert!(batch.items.iter().all(|index| *index < event.items.len()));
    }
    for (index, item) in event.items.iter().enumerate() {
        for object in item.objects() {
            if let ObjectPlan::Skip(why) = settings.plan(object) {
                assert!(!why.to_string().is_empty());
            }
        }
        event.answer(&failed, Passed::Dropped);
        failed.insert(index);
    }
    event.answer(&failed, Passed::On);
}

/// The payloads of records, wherever they stand.
fn payloads_of(value: &serde_json::Value, out: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(values) => values.iter().for_each(|value| payloads_of(value, out)),
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                match value {
                    serde_json::Value::String(text) if ["data", "body", "Message"].contains(&key.as_str()) => out.push(text.clone()),
                    _ => payloads_of(value, out),
                }
            }
        }
        _ => {}
    }
}

/// The first byte is the size of the pieces, the rest of the first line the key, what follows the object. However it comes,
/// it becomes the same batches.
pub fn object(data: &[u8]) {
    let Some((step, rest)) = data.split_first() else { return };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return };
    let (key, content) = rest.split_at(end);
    let content = content.get(1..).unwrap_or_default();
    let object = ObjectRef { bucket: "b".to_owned(), key: String::from_utf8_lossy(key).into_owned(), ..ObjectRef::default() };
    let settings = Arc::new(settings());
    let whole = read(&object, content, content.len(), &settings);
    let pieces = read(&object, content, usize::from(*step), &settings);
    let damaged = |read: &Option<(Vec<Batch>, Report)>| read.as_ref().is_some_and(|(_, report)| report.damage.is_some());
    // How much a decompressor gives away before it meets damage depends on what it is given at a time.
    if damaged(&whole) {
        assert!(damaged(&pieces));
    } else {
        assert_eq!(whole, pieces);
    }
    if let Some((batches, report)) = whole {
        for batch in &batches {
            check(batch, false);
        }
        let handed_on: u64 = batches.iter().map(|batch| batch.lines + batch.rejected.lines()).sum();
        assert_eq!(handed_on, report.lines, "every line is accepted or refused");
    }
}

/// The batches of the object, or `None` if it is no log.
fn read(object: &ObjectRef, content: &[u8], step: usize, settings: &Arc<Settings>) -> Option<(Vec<Batch>, Report)> {
    let ObjectPlan::Read(route) = settings.plan(object) else { return None };
    let mut decoder = ObjectDecoder::new(route, settings, NOW, NOW);
    let mut batches = Vec::new();
    for piece in content.chunks(step.max(1)) {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(batch) = decoder.next().ok()? {
            batches.push(batch);
        }
    }
    let (last, report) = decoder.finish().ok()?;
    batches.extend(last);
    Some((batches, report))
}

/// Rows that the chunk builder takes, and, unless records are repeated, no two entries that it would merge into one.
fn check(batch: &Batch, repeated: bool) {
    assert_eq!(batch.rows.len() as u64, batch.lines);
    let hash: ChunkHash = store::chunk::push_hash(&batch.rows);
    assert_eq!(store::chunk::push_hash(&batch.rows.clone()), hash);
    if batch.rows.is_empty() {
        return;
    }
    let chunk = store::chunk::build(&batch.tenant, std::slice::from_ref(&batch.rows)).expect("accepted rows can be stored");
    let rows: u64 = chunk.manifest.streams.iter().map(|stream| stream.rows).sum();
    assert!(rows == batch.lines || repeated && (1..batch.lines).contains(&rows), "no entry is lost as a copy of another: {rows} of {}", batch.lines);
}
