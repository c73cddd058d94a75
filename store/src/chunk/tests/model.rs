//! Rows as plain values.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array as _, MapArray, StringArray, TimestampNanosecondArray, UInt64Array};
use futures::TryStreamExt as _;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use schema::{LabelSet, RowBatch, StreamRun};

use crate::chunk::{BuiltChunk, ChunkCache, ChunkColumns, ChunkReader, ChunkRows};
use crate::object::ObjectClient;

pub(super) type Pairs = Vec<(String, String)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) labels: LabelSet,
    pub(super) timestamp: i64,
    pub(super) line: String,
    pub(super) metadata: Pairs,
}

pub(super) fn entry(labels: &str, timestamp: i64, line: &str, metadata: &[(&str, &str)]) -> Entry {
    let metadata = metadata.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Entry { labels: LabelSet::parse(labels).unwrap(), timestamp, line: line.to_owned(), metadata }
}

pub(super) fn batch(entries: &[Entry]) -> RowBatch {
    let mut batch = RowBatch::default();
    for e in entries {
        let row = batch.timestamps.len();
        match batch.runs.last_mut().filter(|run| run.labels == e.labels) {
            Some(run) => run.rows.end = row + 1,
            None => batch.runs.push(StreamRun { labels: e.labels.clone(), rows: row..row + 1 }),
        }
        batch.timestamps.push(e.timestamp);
        batch.lines.push(e.line.as_bytes());
        for (name, value) in &e.metadata {
            let id = batch.metadata.intern(name);
            batch.metadata.push_pair(id, value.as_bytes());
        }
        batch.metadata.finish_row();
    }
    batch
}

/// What a chunk of these pushes must hold, in order.
pub(super) fn expected(pushes: &[Vec<Entry>]) -> Vec<Entry> {
    let mut all: Vec<Entry> = pushes.iter().flatten().cloned().collect();
    for e in &mut all {
        e.metadata.sort();
    }
    all.sort_by_key(|e| (e.labels.get("service_name").unwrap_or("").to_owned(), e.labels.to_string(), e.timestamp));
    let mut kept: Vec<Entry> = Vec::new();
    for e in all {
        if !kept.iter().rev().take_while(|k| k.labels == e.labels && k.timestamp == e.timestamp).any(|k| *k == e) {
            kept.push(e);
        }
    }
    kept
}

pub(super) async fn store(client: &ObjectClient, chunk: &BuiltChunk, cache: &ChunkCache) -> ChunkReader {
    crate::chunk::commit(client, chunk).await.unwrap();
    ChunkReader::open(client, &chunk.reference(), cache).await.unwrap()
}

pub(super) async fn read_batches(client: &ObjectClient, reader: &ChunkReader, selection: Vec<Range<u64>>, columns: ChunkColumns) -> Vec<ChunkRows> {
    reader.read(client, selection, columns).try_collect().await.unwrap()
}

/// Rows as the reader gives them, with labels out of the manifest.
pub(super) async fn read_entries(client: &ObjectClient, reader: &ChunkReader, selection: Vec<Range<u64>>) -> Vec<(u64, Entry)> {
    let mut entries = Vec::new();
    for rows in read_batches(client, reader, selection, ChunkColumns::ALL).await {
        let (timestamps, lines, metadata) = (rows.timestamps.unwrap(), rows.lines.unwrap(), rows.metadata.unwrap());
        assert_eq!((timestamps.len(), lines.len(), metadata.ids.len()), (rows.rows, rows.rows, rows.rows));
        assert!(rows.rows > 0 && rows.rows <= crate::chunk::MAX_BATCH_ROWS);
        for i in 0..rows.rows {
            let row = rows.first_row + u64::try_from(i).unwrap();
            let stream = reader.manifest().streams.iter().find(|s| s.first_row <= row && row < s.first_row + s.rows).unwrap();
            let metadata = metadata.get(i).unwrap().iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            let line = String::from_utf8(lines.value(i).to_vec()).unwrap();
            entries.push((row, Entry { labels: stream.labels.clone(), timestamp: timestamps.value(i), line, metadata }));
        }
    }
    entries
}

/// The selection of every row.
pub(super) fn all_rows(reader: &ChunkReader) -> Vec<Range<u64>> {
    std::iter::once(0..reader.manifest().rows()).collect()
}

/// Rows as any other Parquet reader sees them: stream fingerprint, timestamp, line, metadata.
pub(super) fn read_with_arrow(chunk: &BuiltChunk) -> Vec<(u64, i64, String, Pairs)> {
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(chunk.bytes.clone()).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| Arc::clone(batch.column_by_name(name).unwrap());
        let (timestamps, ids, lines, maps) = (column("timestamp"), column("stream_id"), column("line"), column("structured_metadata"));
        let timestamps = timestamps.as_any().downcast_ref::<TimestampNanosecondArray>().unwrap();
        assert_eq!(timestamps.timezone(), Some("UTC"));
        let ids = ids.as_any().downcast_ref::<UInt64Array>().unwrap();
        let lines = lines.as_any().downcast_ref::<StringArray>().unwrap();
        let maps = maps.as_any().downcast_ref::<MapArray>().unwrap();
        for i in 0..batch.num_rows() {
            let pairs = maps.value(i);
            let text = |column: usize| pairs.column(column).as_any().downcast_ref::<StringArray>().unwrap().clone();
            let (names, values) = (text(0), text(1));
            let pairs = (0..pairs.len()).map(|p| (names.value(p).to_owned(), values.value(p).to_owned())).collect();
            rows.push((ids.value(i), timestamps.value(i), lines.value(i).to_owned(), pairs));
        }
    }
    rows
}

fn arbitrary_entry() -> impl Strategy<Value = Entry> {
    let labels = prop_oneof![
        Just(r#"{service_name="b"}"#),
        Just(r#"{pod="1", service_name="a"}"#),
        Just(r#"{pod="2", service_name="a"}"#),
        Just(r#"{app="z", service_name="a\"ü"}"#),
        Just("{}"),
    ];
    let timestamp = prop_oneof![4 => 0i64..6, 2 => -2_000_000_000_000i64..2_000_000_000_000, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let line = prop_oneof![3 => "[ab]{0,1}", 3 => "\\PC{0,40}", 1 => Just("x".repeat(3000))];
    let pairs = prop_oneof![
        3 => Just(Pairs::new()),
        3 => "[a-b]".prop_map(|level| vec![("detected_level".to_owned(), level)]),
        2 => proptest::collection::hash_map("[a-e]{1,2}", "\\PC{0,6}", 0..12).prop_map(|map| map.into_iter().collect()),
    ];
    (labels, timestamp, line, pairs).prop_map(|(labels, timestamp, line, metadata)| Entry {
        labels: LabelSet::parse(labels).unwrap(),
        timestamp,
        line,
        metadata,
    })
}

pub(super) fn arbitrary_pushes() -> impl Strategy<Value = Vec<Vec<Entry>>> {
    proptest::collection::vec(proptest::collection::vec(arbitrary_entry(), 1..60), 1..4)
}
