//! Bulk requests as text in, rows and the answer as text out: `golden/elastic/*.txt`. `BLESS=1 cargo test -p ingest-fn` rewrites the answers; the
//! difference is then read like code.
//!
//! A file holds cases. A case is a line `bulk` or `bulk INDEX`, the body, a line `----`, the rows and the answer, an empty line.

use std::fmt::Write as _;

use schema::{IngestLimits, Timestamp};

use super::{ElasticSettings, bulk};
use crate::testkit::show;

fn answer(command: &str, body: &str) -> String {
    let index = command.strip_prefix("bulk").unwrap_or_else(|| panic!("unknown command {command:?}")).trim();
    let limits = IngestLimits {
        max_line_size: 80,
        max_label_value_length: 20,
        max_structured_metadata_entries_count: if body.contains("\"a\":1,\"b\":2") { 3 } else { 128 },
        ..IngestLimits::default()
    };
    // Lines of real documents are longer than those that show the limit.
    let limits = IngestLimits { max_line_size: if body.contains("0123456789") { 80 } else { 400 }, ..limits };
    let index = Some(index).filter(|index| !index.is_empty());
    match bulk::decode(body.as_bytes(), index, &ElasticSettings::default(), &limits, Timestamp(1_700_000_000_999_000_000)) {
        Ok(bulk) => {
            let mut out = show(&bulk.decoded.batch);
            let _ = writeln!(out, "{}", without_new_ids(&bulk.answer(0)));
            out
        }
        Err(fault) => format!("{} {}: {}\n", fault.status.as_u16(), fault.kind, fault.reason),
    }
}

/// Ids that were made up are of 20 characters.
fn without_new_ids(answer: &str) -> String {
    let mut out = String::new();
    for (number, part) in answer.split("\"_id\":\"").enumerate() {
        let (id, rest) = if number == 0 { ("", part) } else { part.split_once('"').unwrap() };
        let shown = if id.len() == 20 { "(new)" } else { id };
        let _ = if number == 0 { write!(out, "{rest}") } else { write!(out, "\"_id\":\"{shown}\"{rest}") };
    }
    out
}

#[test]
fn answers_are_those_in_the_files() {
    crate::testkit::golden("elastic", answer);
}
