//! Events and log files as text in, rows and answers as text out: `golden/aws/*.txt`. `BLESS=1 cargo test -p ingest-fn` rewrites the answers;
//! the difference is then read like code. Inputs are the examples of AWS's documentation.
//!
//! A case is a line `event` or `object s3://bucket/key`, the JSON or the content, a line `----`, the answer, an empty line.
//! In an event `@base64(x)@` and `@gzip(x)@` stand for the encoded (and compressed) text.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use schema::{IngestLimits, TenantId, Timestamp};

use super::{Answer, Batch, Event, ObjectDecoder, ObjectPlan, ObjectRef, Passed, Report, Settings};
use crate::testkit::show;

/// 2025-01-01T00:00:00Z.
const MODIFIED: Timestamp = Timestamp(1_735_689_600_000_000_000);

fn settings() -> Arc<Settings> {
    let limits = IngestLimits { max_line_size: 1000, ..IngestLimits::default() };
    Arc::new(Settings { region: Some("eu-west-1".to_owned()), ..Settings::new(TenantId::default_tenant(), limits) })
}

fn show_batches(batches: &[Batch], report: &Report) -> String {
    let mut out = String::new();
    for batch in batches {
        out.push_str(&show(&batch.rows));
        if !batch.rejected.is_empty() {
            let _ = writeln!(out, "refused: {}", batch.rejected.text());
        }
    }
    let counts = [("undated", report.undated), ("continued", report.continued), ("repaired", report.repaired), ("headers", report.headers)];
    let counts = counts.into_iter().chain([("empty", report.empty), ("ignored", report.ignored)]);
    for (name, count) in counts.filter(|(_, count)| *count > 0) {
        let _ = writeln!(out, "{name}: {count}");
    }
    if let Some(damage) = &report.damage {
        let _ = writeln!(out, "damage: {damage}");
    }
    out
}

fn object(place: &str, content: &str) -> String {
    let (bucket, key) = place.strip_prefix("s3://").unwrap().split_once('/').unwrap();
    let settings = settings();
    let object = ObjectRef { bucket: bucket.to_owned(), key: key.to_owned(), ..ObjectRef::default() };
    let route = match settings.plan(&object) {
        ObjectPlan::Skip(why) => return format!("skipped: {why}\n"),
        ObjectPlan::Read(route) => route,
    };
    let mut decoder = ObjectDecoder::new(route, &settings, MODIFIED, MODIFIED);
    decoder.push(content.as_bytes().to_vec().into());
    assert_eq!(decoder.next(), Ok(None), "far too little for a batch");
    match decoder.finish() {
        Ok((batches, report)) => show_batches(&batches, &report),
        Err(error) => format!("error: {error}\n"),
    }
}

fn event(text: &str) -> String {
    let event = match Event::parse(encoded(text).as_bytes()) {
        Ok(event) => event,
        Err(error) => return format!("error: {error}\n"),
    };
    let inline = event.decode(&settings(), MODIFIED);
    let mut out = format!("{:?}\n", event.kind);
    out.push_str(&show_batches(&inline.batches, &inline.report));
    let mut failed = BTreeSet::new();
    for (index, error) in &inline.failures {
        failed.insert(*index);
        let _ = writeln!(out, "item {index} failed: {error}");
    }
    for (index, item) in event.items.iter().enumerate() {
        for object in item.objects() {
            let ObjectRef { bucket, key, size, etag, version_id, region, event_time, .. } = object;
            let _ = writeln!(out, "item {index}: s3://{bucket}/{key} {size:?} {etag:?} {version_id:?} {region:?} {event_time:?}");
        }
    }
    match event.answer(&failed, Passed::On) {
        Answer::Json(json) => writeln!(out, "answer: {json}").unwrap(),
        Answer::Fail(text) => writeln!(out, "fails: {text}").unwrap(),
    }
    out
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        out.push_str(&rest[..at]);
        let (name, after) = rest[at + 1..].split_once('(').unwrap();
        let (inner, after) = after.split_once(")@").unwrap();
        let bytes = match name {
            "base64" => inner.as_bytes().to_vec(),
            "gzip" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(inner.as_bytes()).unwrap();
                encoder.finish().unwrap()
            }
            other => panic!("unknown encoding {other:?}"),
        };
        out.push_str(&base64::engine::general_purpose::STANDARD.encode(bytes));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[test]
fn answers_are_those_in_the_files() {
    crate::testkit::golden("aws", |command, body| match command.split_once(' ') {
        Some(("object", place)) => object(place, body),
        None if command == "event" => event(body),
        _ => panic!("unknown command {command:?}"),
    });
}
