//! Pushes as text in, rows and refusals as text out: `golden/decode/*.txt`. `BLESS=1 cargo test -p ingest-fn` rewrites the answers;
//! the difference is then read like code.
//!
//! A file holds cases. A case is a line `push v1`, `push legacy`, `push otlp` or `push lines PARAMETERS`, the body, a line `----`, the rows and texts, an empty line.

use std::fmt::Write as _;

use schema::IngestLimits;

use crate::testkit::{decode_with, request, show};
use crate::{LineOptions, PushFormat};

fn answer(command: &str, body: &str) -> String {
    let format = match command {
        "push v1" => PushFormat::V1,
        "push legacy" => PushFormat::Legacy,
        "push otlp" => PushFormat::Otlp,
        lines if lines.starts_with("push lines") => PushFormat::Lines(LineOptions::parse(lines["push lines".len()..].trim()).unwrap()),
        other => panic!("unknown command {other:?}"),
    };
    let limits = IngestLimits { max_line_size: 60, max_structured_metadata_entries_count: 3, max_label_names_per_series: 4, ..IngestLimits::default() };
    let request = crate::PushRequest { format, ..request("application/json", body.to_owned()) };
    match decode_with(&limits, &request) {
        Ok(decoded) => {
            let mut out = show(&decoded.batch);
            if !decoded.rejected.is_empty() {
                let _ = writeln!(out, "refused: {}", decoded.rejected.text());
            }
            if out.is_empty() { "(no rows)\n".to_owned() } else { out }
        }
        Err(error) => format!("{} {error}\n", error.status().as_u16()),
    }
}

#[test]
fn answers_are_those_in_the_files() {
    crate::testkit::golden("decode", answer);
}
