//! Answers before they are written as JSON.

use schema::LabelSet;

/// Labels of an entry, by where each came from; names are unique over all three.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CategorizedLabels {
    /// The stream's own labels.
    pub stream: Vec<(String, String)>,
    /// Structured metadata, `detected_level` included.
    pub metadata: Vec<(String, String)>,
    /// Labels that the pipeline made, `__error__` included. A value may be empty.
    pub parsed: Vec<(String, String)>,
}

impl CategorizedLabels {
    /// All labels in name order.
    pub fn merged(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(&str, &str)> = self.stream.iter().chain(&self.metadata).chain(&self.parsed).map(|(n, v)| (n.as_str(), v.as_str())).collect();
        all.sort_unstable();
        all
    }
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Nanoseconds since the epoch.
    pub timestamp: i64,
    /// The line after the pipeline.
    pub line: Vec<u8>,
}

/// Entries with the same labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamResult {
    /// What they share.
    pub labels: CategorizedLabels,
    /// In the query's direction.
    pub entries: Vec<Entry>,
}

/// Samples with the same labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What they share. Values may be empty only where LogQL makes them so; `LabelSet` drops them.
    pub labels: LabelSet,
    /// (milliseconds since the epoch, value), ascending. A vector has exactly one.
    pub samples: Vec<(i64, f64)>,
}

/// The answer of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryResult {
    /// Log query: streams in label order.
    Streams(Vec<StreamResult>),
    /// Range metric query: series in label order.
    Matrix(Vec<Series>),
    /// Instant metric query: in label order unless the query sorts.
    Vector(Vec<Series>),
    /// Instant query of a literal: (milliseconds, value).
    Scalar(i64, f64),
}

/// What a query cost, for the answer's `stats`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryStatistics {
    /// Line bytes that were decoded.
    pub bytes_processed: u64,
    /// Rows that were decoded.
    pub lines_processed: u64,
    /// Rows that passed the line filters.
    pub post_filter_lines: u64,
    /// Structured metadata bytes that were decoded.
    pub metadata_bytes_processed: u64,
    /// Rows that were counted without being decoded.
    pub lines_counted: u64,
    /// Exact duplicates that were dropped.
    pub duplicates: u64,
    /// Entries or samples in the answer.
    pub entries_returned: u64,
    /// Chunks listed.
    pub chunks_listed: u64,
    /// Of these, chunks with a stream that matches; a chunk counts once per scan.
    pub chunks_matched: u64,
    /// Chunks of which rows were read. Fewer, where a limit was reached or minutes were counted in the manifest.
    pub chunks_read: u64,
    /// Streams that matched.
    pub streams_matched: u64,
    /// Seconds from request to answer.
    pub exec_seconds: f64,
    /// Of these, seconds until it was known which chunks to read: listing, manifests, footers.
    pub plan_seconds: f64,
    /// Object store requests by operation: (operation, requests).
    pub store_requests: Vec<(String, u64)>,
    /// Bytes received from the object store.
    pub store_bytes: u64,
}
