//! The `stats` object of a query's answer: Loki's whole tree, since clients add its members up without looking whether they are
//! there, and a `tarn` object with what the query asked of the object store.
//! Loki's figures for what Tarn does not have (ingesters, result caches, bloom gateways, queues) are 0.

use std::collections::BTreeMap;

use schema::price::{DOLLARS_PER_READ_REQUEST, DOLLARS_PER_WRITE_REQUEST};
use serde::Serialize;

use crate::result::QueryStatistics;

const NANOS_PER_SECOND: f64 = 1e9;

/// Appends the object.
pub(crate) fn write_stats(out: &mut Vec<u8>, statistics: &QueryStatistics) {
    // Writing numbers under fixed names into memory cannot fail; a client without `stats` shows none.
    let text = serde_json::to_vec(&Stats::of(statistics)).unwrap_or_else(|_| b"{}".to_vec());
    out.extend_from_slice(&text);
}

/// Loki's order of members, at every level.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats<'a> {
    summary: Summary,
    querier: Querier,
    ingester: Ingester,
    cache: Caches,
    index: Index,
    tarn: Tarn<'a>,
}

impl<'a> Stats<'a> {
    fn of(statistics: &'a QueryStatistics) -> Self {
        Self {
            summary: Summary::of(statistics),
            querier: Querier { store: Store::of(statistics), querier_exec_time: nanos(statistics.exec_seconds) },
            ingester: Ingester::default(),
            cache: Caches::default(),
            index: Index {
                total_chunks: statistics.chunks_listed,
                post_filter_chunks: statistics.chunks_matched,
                total_streams: statistics.streams_matched,
                chunk_refs_lookup_time: nanos(statistics.plan_seconds),
                ..Index::default()
            },
            tarn: Tarn::of(statistics),
        }
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    bytes_processed_per_second: u64,
    lines_processed_per_second: u64,
    total_bytes_processed: u64,
    total_lines_processed: u64,
    /// Seconds.
    exec_time: f64,
    /// Seconds.
    queue_time: f64,
    subqueries: u64,
    total_entries_returned: u64,
    /// Time ranges that were asked one by one: here a query runs in one piece.
    splits: u64,
    shards: u64,
    total_post_filter_lines: u64,
    total_structured_metadata_bytes_processed: u64,
}

impl Summary {
    fn of(statistics: &QueryStatistics) -> Self {
        let bytes = total_bytes(statistics);
        Self {
            bytes_processed_per_second: per_second(bytes, statistics.exec_seconds),
            lines_processed_per_second: per_second(statistics.lines_processed, statistics.exec_seconds),
            total_bytes_processed: bytes,
            total_lines_processed: statistics.lines_processed,
            exec_time: statistics.exec_seconds,
            total_entries_returned: statistics.entries_returned,
            splits: 1,
            total_post_filter_lines: statistics.post_filter_lines,
            total_structured_metadata_bytes_processed: statistics.metadata_bytes_processed,
            ..Self::default()
        }
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Querier {
    store: Store,
    /// Nanoseconds.
    querier_exec_time: u64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Store {
    total_chunks_ref: u64,
    total_chunks_downloaded: u64,
    /// Chunks are read while rows of others are worked on, so there is no such time: 0.
    chunks_download_time: u64,
    query_referenced_structured_metadata: bool,
    query_used_v2_engine: bool,
    chunk: Chunk,
    /// Nanoseconds.
    chunk_refs_fetch_time: u64,
    congestion_control_latency: u64,
    pipeline_wrapper_filtered_lines: u64,
    dataobj: DataObjects,
}

impl Store {
    fn of(statistics: &QueryStatistics) -> Self {
        Self {
            total_chunks_ref: statistics.chunks_matched,
            total_chunks_downloaded: statistics.chunks_read,
            query_referenced_structured_metadata: statistics.metadata_bytes_processed > 0,
            chunk: Chunk {
                decompressed_bytes: total_bytes(statistics),
                decompressed_lines: statistics.lines_processed,
                compressed_bytes: statistics.store_bytes,
                total_duplicates: statistics.duplicates,
                post_filter_lines: statistics.post_filter_lines,
                decompressed_structured_metadata_bytes: statistics.metadata_bytes_processed,
                ..Chunk::default()
            },
            chunk_refs_fetch_time: nanos(statistics.plan_seconds),
            ..Self::default()
        }
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    head_chunk_bytes: u64,
    head_chunk_lines: u64,
    decompressed_bytes: u64,
    decompressed_lines: u64,
    /// What came from the object store, footers and manifests included; what was in the cache is not counted.
    compressed_bytes: u64,
    total_duplicates: u64,
    post_filter_lines: u64,
    head_chunk_structured_metadata_bytes: u64,
    decompressed_structured_metadata_bytes: u64,
}

/// Loki's reader of data objects; Tarn has none.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct DataObjects {
    pre_predicate_decompressed_rows: u64,
    pre_predicate_decompressed_bytes: u64,
    pre_predicate_decompressed_structured_metadata_bytes: u64,
    post_predicate_rows: u64,
    post_predicate_decompressed_bytes: u64,
    post_predicate_structured_metadata_bytes: u64,
    post_filter_rows: u64,
    pages_scanned: u64,
    pages_downloaded: u64,
    pages_downloaded_bytes: u64,
    page_batches: u64,
    total_rows_available: u64,
    total_page_download_time: u64,
}

/// Loki's write path; a query of Tarn reads the object store alone.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ingester {
    total_reached: u64,
    total_chunks_matched: u64,
    total_batches: u64,
    total_lines_sent: u64,
    store: Store,
}

/// Loki's caches; Tarn's cache of chunks shows in what the object store was not asked for.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Caches {
    chunk: Cache,
    index: Cache,
    result: Cache,
    stats_result: Cache,
    volume_result: Cache,
    series_result: Cache,
    label_result: Cache,
    instant_metric_result: Cache,
    log_result: Cache,
    task_result: Cache,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cache {
    entries_found: u64,
    entries_requested: u64,
    entries_stored: u64,
    bytes_received: u64,
    bytes_sent: u64,
    requests: u64,
    download_time: u64,
    query_length_served: u64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    total_chunks: u64,
    post_filter_chunks: u64,
    shards_duration: u64,
    used_bloom_filters: bool,
    total_streams: u64,
    /// Nanoseconds.
    chunk_refs_lookup_time: u64,
    bloom_filter_time: u64,
}

/// What Loki has no word for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tarn<'a> {
    /// By operation.
    store_requests: BTreeMap<&'a str, u64>,
    store_bytes: u64,
    estimated_dollars: f64,
    chunks_listed: u64,
    chunks_matched: u64,
    chunks_read: u64,
    streams_matched: u64,
    /// Lines that were counted without being read; `totalLinesProcessed` leaves them out.
    lines_counted: u64,
    duplicates_dropped: u64,
}

impl<'a> Tarn<'a> {
    fn of(statistics: &'a QueryStatistics) -> Self {
        Self {
            store_requests: statistics.store_requests.iter().map(|(operation, count)| (operation.as_str(), *count)).collect(),
            store_bytes: statistics.store_bytes,
            estimated_dollars: estimated_dollars(&statistics.store_requests),
            chunks_listed: statistics.chunks_listed,
            chunks_matched: statistics.chunks_matched,
            chunks_read: statistics.chunks_read,
            streams_matched: statistics.streams_matched,
            lines_counted: statistics.lines_counted,
            duplicates_dropped: statistics.duplicates,
        }
    }
}

/// What the requests cost at S3's list prices; transfer inside a region is free.
#[expect(clippy::cast_precision_loss, reason = "an estimate; counts of requests are far below 2^53")]
fn estimated_dollars(requests: &[(String, u64)]) -> f64 {
    requests
        .iter()
        .map(|(operation, count)| {
            let price = match operation.as_str() {
                "put" | "list" => DOLLARS_PER_WRITE_REQUEST,
                "delete" => 0.0,
                _ => DOLLARS_PER_READ_REQUEST,
            };
            price * *count as f64
        })
        // Not `sum`: of nothing that is minus zero.
        .fold(0.0, |sum, price| sum + price)
}

fn total_bytes(statistics: &QueryStatistics) -> u64 {
    statistics.bytes_processed.saturating_add(statistics.metadata_bytes_processed)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rate for display; float to integer conversion saturates"
)]
fn per_second(count: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (count as f64 / seconds) as u64 } else { 0 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration for display; float to integer conversion saturates")]
fn nanos(seconds: f64) -> u64 {
    (seconds * NANOS_PER_SECOND) as u64
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn stats(statistics: &QueryStatistics) -> Value {
        let mut out = Vec::new();
        write_stats(&mut out, statistics);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn every_member_that_clients_read_is_a_number() {
        let statistics = QueryStatistics {
            bytes_processed: 900,
            metadata_bytes_processed: 100,
            lines_processed: 10,
            exec_seconds: 0.5,
            store_requests: vec![("get".to_owned(), 5), ("list".to_owned(), 2), ("delete".to_owned(), 9)],
            ..QueryStatistics::default()
        };
        let tree = stats(&statistics);
        assert_eq!(tree["summary"]["bytesProcessedPerSecond"], 2000);
        assert_eq!(tree["summary"]["linesProcessedPerSecond"], 20);
        assert_eq!(tree["summary"]["totalBytesProcessed"], 1000);
        assert_eq!(tree["querier"]["querierExecTime"], 500_000_000u64);
        assert_eq!(tree["tarn"]["storeRequests"]["get"], 5);
        assert!((tree["tarn"]["estimatedDollars"].as_f64().unwrap() - 1.2e-5).abs() < 1e-12);
        for pointer in [
            "/summary/execTime",
            "/summary/totalLinesProcessed",
            "/querier/store/totalChunksRef",
            "/querier/store/chunk/decompressedBytes",
            "/ingester/totalReached",
            "/ingester/store/chunk/compressedBytes",
            "/cache/taskResult/queryLengthServed",
            "/index/totalStreams",
        ] {
            assert!(tree.pointer(pointer).is_some_and(Value::is_number), "{pointer}");
        }
    }

    #[test]
    fn an_answer_in_no_time_has_no_rate() {
        assert_eq!(stats(&QueryStatistics { lines_processed: 1, ..QueryStatistics::default() })["summary"]["linesProcessedPerSecond"], 0);
    }
}
