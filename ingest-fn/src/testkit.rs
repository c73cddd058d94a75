//! What the tests of this crate share: protobuf bodies made by prost, an independent encoder, requests, and the runner of golden files.

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use prost::Message as _;
use schema::{IngestLimits, RowBatch, TenantId, Timestamp};

use crate::{Decoded, PushError, PushFormat, PushRequest, decode_push};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Push {
    #[prost(message, repeated, tag = "1")]
    pub(crate) streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Stream {
    #[prost(string, tag = "1")]
    pub(crate) labels: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) entries: Vec<Entry>,
    #[prost(uint64, tag = "3")]
    pub(crate) hash: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Entry {
    #[prost(message, optional, tag = "1")]
    pub(crate) timestamp: Option<Time>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) line: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) metadata: Vec<Pair>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Time {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Pair {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

pub(crate) fn entry(nanos: i64, line: &str, metadata: &[(&str, &str)]) -> Entry {
    let metadata = metadata.iter().map(|(name, value)| Pair { name: name.as_bytes().to_vec(), value: value.as_bytes().to_vec() }).collect();
    let time = Time { seconds: nanos.div_euclid(1_000_000_000), nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap() };
    Entry { timestamp: Some(time), line: line.as_bytes().to_vec(), metadata }
}

pub(crate) fn stream(labels: &str, entries: Vec<Entry>) -> Stream {
    Stream { labels: labels.to_owned(), entries, hash: 7 }
}

/// The body of a protobuf push.
pub(crate) fn snappy_body(streams: Vec<Stream>) -> Bytes {
    snappy(&Push { streams }.encode_to_vec())
}

pub(crate) fn snappy(bytes: &[u8]) -> Bytes {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap().into()
}

pub(crate) fn request(content_type: &'static str, body: impl Into<Bytes>) -> PushRequest<'static> {
    PushRequest {
        content_type: Some(content_type),
        content_encoding: None,
        backfill_shard: None,
        format: PushFormat::V1,
        body: body.into(),
        tenant: TenantId::parse("t1").unwrap(),
    }
}

pub(crate) fn decode_with(limits: &IngestLimits, request: &PushRequest<'_>) -> Result<Decoded, PushError> {
    decode_push(request, limits, Timestamp(1_700_000_000_000_000_000))
}

pub(crate) fn decode_proto(streams: Vec<Stream>) -> Result<Decoded, PushError> {
    decode_with(&IngestLimits::default(), &request("application/x-protobuf", snappy_body(streams)))
}

pub(crate) fn decode_json(body: &str) -> Result<Decoded, PushError> {
    decode_with(&IngestLimits::default(), &request("application/json", body.to_owned()))
}

pub(crate) fn decode_legacy(body: &str) -> Result<Decoded, PushError> {
    decode_with(&IngestLimits::default(), &PushRequest { format: PushFormat::Legacy, ..request("application/json", body.to_owned()) })
}

/// Rows as text, one a line: `{labels} timestamp "line" {metadata}`.
pub(crate) fn show(batch: &RowBatch) -> String {
    let mut out = String::new();
    for run in &batch.runs {
        for row in run.rows.clone() {
            let line = String::from_utf8_lossy(batch.lines.get(row).unwrap());
            let pairs: Vec<String> = batch.metadata.row(row).map(|(n, v)| format!("{n}={:?}", String::from_utf8_lossy(v))).collect();
            out.push_str(&format!("{} {} {line:?} {{{}}}\n", run.labels, batch.timestamps[row], pairs.join(", ")));
        }
    }
    out
}

/// Runs the cases of every file in `golden/<folder>`: a case is comments (`#`), a line that is the command, the body, a line `----`, and what `answer(command, body)`
/// must be; an empty line ends it. With `BLESS` set the answers are rewritten; the difference is then read like code.
pub(crate) fn golden(folder: &str, answer: impl Fn(&str, &str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(folder);
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
