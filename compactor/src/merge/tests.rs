//! Merges against a model that sorts and collapses rows the obvious way.

use proptest::prelude::*;
use schema::{ChunkName, ChunkRef, Day, LabelSet, Level1Key, Partition, RowBatch, StreamRun, TenantId, Timestamp};
use store::chunk::{BuiltChunk, ChunkCache, MergeOptions, WrittenChunk, commit};
use store::testing::build_in_pages;
use store::{Env, ErrorKind};

use super::*;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    labels: LabelSet,
    timestamp: i64,
    line: String,
    metadata: Vec<(String, String)>,
}

fn entry(service: &str, timestamp: i64, line: &str) -> Entry {
    Entry { labels: LabelSet::from_pairs([("service_name", service)]).unwrap(), timestamp, line: line.to_owned(), metadata: Vec::new() }
}

fn batch(entries: &[Entry]) -> RowBatch {
    let mut batch = RowBatch::default();
    for (row, e) in entries.iter().enumerate() {
        batch.runs.push(StreamRun { labels: e.labels.clone(), rows: row..row + 1 });
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

/// Every row once: by stream, by time, then as it arrived, input by input.
fn expected(inputs: &[Vec<Entry>]) -> Vec<Entry> {
    let mut all: Vec<Entry> = inputs.iter().flatten().cloned().collect();
    all.iter_mut().for_each(|e| e.metadata.sort());
    all.sort_by_key(|e| (e.labels.get("service_name").unwrap_or("").to_owned(), e.labels.to_string(), e.timestamp));
    let mut kept: Vec<Entry> = Vec::new();
    for e in all {
        if !kept.iter().rev().take_while(|k| k.labels == e.labels && k.timestamp == e.timestamp).any(|k| *k == e) {
            kept.push(e);
        }
    }
    kept
}

#[derive(Default)]
struct Collected(Vec<Entry>);

impl RowSink for Collected {
    async fn row(&mut self, labels: &LabelSet, timestamp: Timestamp, line: &[u8], metadata: &MetadataSet) -> Result<(), CompactError> {
        let metadata = metadata.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        self.0.push(Entry { labels: labels.clone(), timestamp: timestamp.0, line: String::from_utf8(line.to_vec()).unwrap(), metadata });
        Ok(())
    }
}

fn memory() -> ObjectClient {
    ObjectClient::open("memory:", &Env::system()).unwrap()
}

fn tenant() -> TenantId {
    TenantId::parse("team-a").unwrap()
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap()
}

async fn open_level0(client: &ObjectClient, chunk: &BuiltChunk) -> ChunkReader {
    commit(client, chunk).await.unwrap();
    ChunkReader::open(client, &ChunkRef::level0(chunk.key.clone(), size(chunk.bytes.len())), &ChunkCache::new(0)).await.unwrap()
}

async fn open_level1(client: &ObjectClient, chunk: &WrittenChunk, id: u128) -> ChunkReader {
    let key = Level1Key { tenant: tenant(), day: Day::of(chunk.min), hour: None, partition: Partition::shared(), id: ulid::Ulid(id) };
    let (name, rows) = (ChunkName::Level1(key), chunk.manifest.rows());
    let reference = ChunkRef { name, size: size(chunk.bytes.len()), footer: Some(chunk.footer_bytes), rows, min: chunk.min, max: chunk.max };
    client.create(&reference.name.to_string(), chunk.bytes.clone()).await.unwrap();
    ChunkReader::open(client, &reference, &ChunkCache::new(0)).await.unwrap()
}

async fn open_all(client: &ObjectClient, inputs: &[Vec<Entry>], page_rows: usize) -> Vec<MergeInput> {
    let mut opened = Vec::new();
    for entries in inputs {
        let chunk = build_in_pages(&tenant(), &[batch(entries)], page_rows).unwrap();
        opened.push(MergeInput::whole(open_level0(client, &chunk).await));
    }
    opened
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn arbitrary_entry() -> impl Strategy<Value = Entry> {
    let labels = prop_oneof![
        Just(r#"{service_name="b"}"#),
        Just(r#"{pod="1", service_name="a"}"#),
        Just(r#"{pod="2", service_name="a"}"#),
        Just(r#"{app="z", service_name="a\"ü"}"#),
        Just("{}"),
    ];
    let timestamp = prop_oneof![5 => 0i64..6, 2 => -2_000_000_000_000i64..2_000_000_000_000, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let line = prop_oneof![4 => "[ab]{0,1}", 2 => "\\PC{0,40}", 1 => Just("x".repeat(3000))];
    let pairs = prop_oneof![
        3 => Just(Vec::new()),
        3 => "[a-b]".prop_map(|level| vec![("detected_level".to_owned(), level)]),
        2 => proptest::collection::hash_map("[a-e]{1,2}", "\\PC{0,6}", 0..6).prop_map(|map| map.into_iter().collect()),
    ];
    (labels, timestamp, line, pairs).prop_map(|(labels, timestamp, line, metadata)| Entry {
        labels: LabelSet::parse(labels).unwrap(),
        timestamp,
        line,
        metadata,
    })
}

/// Inputs of which some rows are copies of others', as retried pushes leave them.
fn arbitrary_inputs() -> impl Strategy<Value = Vec<Vec<Entry>>> {
    let pushes = proptest::collection::vec(proptest::collection::vec(arbitrary_entry(), 1..60), 1..5);
    (pushes, proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 0..20)).prop_map(|(mut inputs, copies)| {
        for (from, to) in copies {
            let source = from.get(&inputs).clone();
            let copied = to.get(&source).clone();
            let target = to.index(inputs.len());
            inputs[target].push(copied);
        }
        inputs
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_row_once_in_order(inputs in arbitrary_inputs(), page_rows in 1usize..9, page_bytes in 1usize..80, row_group_bytes in 1usize..300) {
        let want = expected(&inputs);
        run(async {
            let client = memory();
            let opened = open_all(&client, &inputs, page_rows).await;
            let rows_in: u64 = opened.iter().map(|input| input.reader.manifest().rows()).sum();
            let mut collected = Collected::default();
            let stats = merge(&client, opened.clone(), &mut collected).await.unwrap();
            assert_eq!(collected.0, want);
            let bytes = want.iter().map(|e| size(e.line.len() + e.metadata.iter().map(|(_, value)| value.len()).sum::<usize>())).sum();
            assert_eq!(stats, MergeStats { rows_in, rows_out: size(want.len()), duplicates: rows_in - size(want.len()), bytes });

            // The same into a file, and that file merged once more with the inputs: all of it is there already.
            let mut writer = ChunkWriter::new(&MergeOptions { zstd_level: 1, page_bytes, row_group_bytes }).unwrap();
            assert_eq!(merge(&client, opened.clone(), &mut writer).await.unwrap(), stats);
            let level1 = open_level1(&client, &writer.finish().unwrap().unwrap(), 1).await;
            let mut again = Collected::default();
            let inputs = std::iter::once(MergeInput::whole(level1)).chain(opened).collect();
            let stats = merge(&client, inputs, &mut again).await.unwrap();
            assert_eq!((stats.rows_out, stats.duplicates), (size(want.len()), rows_in));
            assert_eq!(again.0, want);
        });
    }

    #[test]
    fn takes_only_what_is_selected(inputs in arbitrary_inputs(), keep in proptest::collection::vec((any::<bool>(), any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 25)) {
        run(async {
            let client = memory();
            let mut opened = open_all(&client, &inputs, 3).await;
            let mut picks = keep.iter().cycle();
            let mut selected = Vec::new();
            for input in &mut opened {
                let manifest = input.reader.manifest().clone();
                let mut rows = Collected::default();
                merge(&client, vec![MergeInput::whole(input.reader.clone())], &mut rows).await.unwrap();
                input.streams.retain(|_| picks.next().unwrap().0);
                let mut kept = Vec::new();
                for selection in &mut input.streams {
                    let stream = &manifest.streams[selection.index];
                    let (_, a, b) = picks.next().unwrap();
                    let mut ends = [a, b].map(|index| stream.first_row + size(index.index(usize::try_from(stream.rows).unwrap() + 1)));
                    ends.sort_unstable();
                    selection.rows = ends[0]..ends[1];
                    kept.extend_from_slice(&rows.0[usize::try_from(ends[0]).unwrap()..usize::try_from(ends[1]).unwrap()]);
                }
                selected.push(kept);
            }
            let mut collected = Collected::default();
            merge(&client, opened, &mut collected).await.unwrap();
            assert_eq!(collected.0, expected(&selected));
        });
    }
}

#[test]
fn many_copies_of_one_timestamp_collapse() {
    let rows: Vec<Entry> = (0..3000).map(|i| entry("a", 7, &format!("line {i}"))).collect();
    let inputs = [rows[..2000].to_vec(), rows[1000..].to_vec(), vec![entry("a", 8, "line 1"), entry("a", 7, "line 1")], rows.clone()];
    run(async {
        let client = memory();
        let mut collected = Collected::default();
        let stats = merge(&client, open_all(&client, &inputs, 100).await, &mut collected).await.unwrap();
        assert_eq!((stats.rows_in, stats.rows_out, stats.duplicates), (7002, 3001, 4001));
        assert_eq!(collected.0, expected(&inputs));
    });
}

#[test]
fn nothing_is_merged_out_of_nothing() {
    run(async {
        let mut collected = Collected::default();
        assert_eq!(merge(&memory(), Vec::new(), &mut collected).await.unwrap(), MergeStats::default());
        let client = memory();
        let mut opened = open_all(&client, &[vec![entry("a", 1, "x")]], 10).await;
        opened[0].streams[0].rows = 1..1;
        assert_eq!(merge(&client, opened, &mut collected).await.unwrap(), MergeStats::default());
    });
}

#[test]
fn a_selection_beyond_the_chunk_is_a_bug() {
    run(async {
        let client = memory();
        let good = open_all(&client, &[vec![entry("a", 1, "x"), entry("b", 1, "x")]], 10).await.remove(0);
        for (index, rows) in [(2, 0..1), (0, 0..2), (1, 0..1)] {
            let input = MergeInput { streams: vec![StreamSelection { index, rows }], ..good.clone() };
            assert_eq!(merge(&client, vec![input], &mut Collected::default()).await.unwrap_err().kind(), ErrorKind::Internal);
        }
        let mut twice = good.clone();
        twice.streams.reverse();
        assert_eq!(merge(&client, vec![twice], &mut Collected::default()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    });
}

#[test]
fn a_chunk_that_vanishes_or_is_damaged_fails_the_merge() {
    run(async {
        let client = memory();
        let chunk = build_in_pages(&tenant(), &[batch(&[entry("a", 1, "x")])], 10).unwrap();
        let reader = open_level0(&client, &chunk).await;
        client.delete(&chunk.key.to_string()).await.unwrap();
        let error = merge(&client, vec![MergeInput::whole(reader.clone())], &mut Collected::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let damaged: Vec<u8> = chunk.bytes.iter().enumerate().map(|(at, byte)| if at < chunk.bytes.len() / 2 { byte ^ 0x55 } else { *byte }).collect();
        client.create(&chunk.key.to_string(), damaged.into()).await.unwrap();
        let error = merge(&client, vec![MergeInput::whole(reader)], &mut Collected::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    });
}

#[test]
fn a_sink_that_fails_ends_the_merge() {
    struct Full(usize);
    impl RowSink for Full {
        async fn row(&mut self, _: &LabelSet, _: Timestamp, _: &[u8], _: &MetadataSet) -> Result<(), CompactError> {
            self.0 += 1;
            if self.0 == 2 { Err(CompactError::internal("full")) } else { Ok(()) }
        }
    }
    run(async {
        let client = memory();
        let opened = open_all(&client, &[vec![entry("a", 1, "x"), entry("a", 2, "x"), entry("a", 3, "x")]], 10).await;
        let mut sink = Full(0);
        assert_eq!(merge(&client, opened, &mut sink).await.unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(sink.0, 2);
    });
}
