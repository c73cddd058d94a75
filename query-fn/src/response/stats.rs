//! The `stats` object of a query's answer: Loki's whole tree, since clients add its members up without looking whether they are
//! there, and a `tarn` object with what the query asked of the object store.
//! Loki's figures for what Tarn does not have (ingesters, result caches, bloom gateways, queues) are 0.

use schema::price::{DOLLARS_PER_READ_REQUEST, DOLLARS_PER_WRITE_REQUEST};
use serde_json::{Value, json};

use crate::result::QueryStatistics;

const NANOS_PER_SECOND: f64 = 1e9;
/// Members of Loki's `cache` object.
const CACHES: [&str; 10] =
    ["chunk", "index", "result", "statsResult", "volumeResult", "seriesResult", "labelResult", "instantMetricResult", "logResult", "taskResult"];

/// Appends the object.
pub(crate) fn write_stats(out: &mut Vec<u8>, statistics: &QueryStatistics) {
    out.extend_from_slice(stats(statistics).to_string().as_bytes());
}

fn stats(statistics: &QueryStatistics) -> Value {
    json!({
        "summary": summary(statistics),
        "querier": { "store": store(statistics), "querierExecTime": nanos(statistics.exec_seconds) },
        "ingester": ingester(),
        "cache": CACHES.iter().map(|name| ((*name).to_owned(), cache())).collect::<serde_json::Map<_, _>>(),
        "index": {
            "totalChunks": statistics.chunks_listed,
            "postFilterChunks": statistics.chunks_read,
            "shardsDuration": 0,
            "usedBloomFilters": false,
            "totalStreams": statistics.streams_matched,
            "chunkRefsLookupTime": 0,
            "bloomFilterTime": 0,
        },
        "tarn": tarn(statistics),
    })
}

fn summary(statistics: &QueryStatistics) -> Value {
    let bytes = total_bytes(statistics);
    json!({
        "bytesProcessedPerSecond": per_second(bytes, statistics.exec_seconds),
        "linesProcessedPerSecond": per_second(statistics.lines_processed, statistics.exec_seconds),
        "totalBytesProcessed": bytes,
        "totalLinesProcessed": statistics.lines_processed,
        "execTime": statistics.exec_seconds,
        "queueTime": 0,
        "subqueries": 0,
        "totalEntriesReturned": statistics.entries_returned,
        "splits": 0,
        "shards": 0,
        "totalPostFilterLines": statistics.post_filter_lines,
        "totalStructuredMetadataBytesProcessed": statistics.metadata_bytes_processed,
    })
}

fn store(statistics: &QueryStatistics) -> Value {
    json!({
        "totalChunksRef": statistics.chunks_read,
        "totalChunksDownloaded": statistics.chunks_read,
        "chunksDownloadTime": 0,
        "queryReferencedStructuredMetadata": statistics.metadata_bytes_processed > 0,
        "queryUsedV2Engine": false,
        "chunk": {
            "headChunkBytes": 0,
            "headChunkLines": 0,
            "decompressedBytes": total_bytes(statistics),
            "decompressedLines": statistics.lines_processed,
            "compressedBytes": statistics.store_bytes,
            "totalDuplicates": statistics.duplicates,
            "postFilterLines": statistics.post_filter_lines,
            "headChunkStructuredMetadataBytes": 0,
            "decompressedStructuredMetadataBytes": statistics.metadata_bytes_processed,
        },
        "chunkRefsFetchTime": 0,
        "congestionControlLatency": 0,
        "pipelineWrapperFilteredLines": 0,
        "dataobj": dataobj(),
    })
}

/// Loki's reader of data objects; Tarn has none.
fn dataobj() -> Value {
    json!({
        "prePredicateDecompressedRows": 0,
        "prePredicateDecompressedBytes": 0,
        "prePredicateDecompressedStructuredMetadataBytes": 0,
        "postPredicateRows": 0,
        "postPredicateDecompressedBytes": 0,
        "postPredicateStructuredMetadataBytes": 0,
        "postFilterRows": 0,
        "pagesScanned": 0,
        "pagesDownloaded": 0,
        "pagesDownloadedBytes": 0,
        "pageBatches": 0,
        "totalRowsAvailable": 0,
        "totalPageDownloadTime": 0,
    })
}

/// Loki's write path; a query of Tarn reads the object store alone.
fn ingester() -> Value {
    json!({ "totalReached": 0, "totalChunksMatched": 0, "totalBatches": 0, "totalLinesSent": 0, "store": store(&QueryStatistics::default()) })
}

fn cache() -> Value {
    json!({
        "entriesFound": 0,
        "entriesRequested": 0,
        "entriesStored": 0,
        "bytesReceived": 0,
        "bytesSent": 0,
        "requests": 0,
        "downloadTime": 0,
        "queryLengthServed": 0,
    })
}

fn tarn(statistics: &QueryStatistics) -> Value {
    let requests: serde_json::Map<String, Value> = statistics.store_requests.iter().map(|(operation, count)| (operation.clone(), json!(count))).collect();
    json!({
        "storeRequests": requests,
        "storeBytes": statistics.store_bytes,
        "estimatedDollars": estimated_dollars(&statistics.store_requests),
        "chunksListed": statistics.chunks_listed,
        "chunksRead": statistics.chunks_read,
        "streamsMatched": statistics.streams_matched,
        "linesCounted": statistics.lines_counted,
        "duplicatesDropped": statistics.duplicates,
    })
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
    use super::*;

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
