//! Bulk requests as text in, rows and the answer as text out: `golden/elastic/*.txt`. `BLESS=1 cargo test -p ingest-fn` rewrites the answers; the
//! difference is then read like code.
//!
//! A file holds cases. A case is a line `bulk` or `bulk INDEX`, the body, a line `----`, the rows and the answer, an empty line.

use std::fmt::Write as _;
use std::path::Path;

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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/elastic");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut rewritten = String::new();
        for case in text.split("\n\n").map(str::trim).filter(|case| !case.is_empty()) {
            let comments: String = case.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
            let (command, rest) = case[comments.len()..].split_once('\n').unwrap();
            let body = rest.split("\n----").next().unwrap();
            let _ = write!(rewritten, "{comments}{command}\n{body}\n----\n{}\n", answer(command, body));
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &rewritten).unwrap();
        }
        assert_eq!(text.trim_end(), rewritten.trim_end(), "{}", file.display());
    }
}
