//! Level-1 chunks: written row by row, read by Tarn and by the general Arrow reader.

use std::sync::Arc;

use arrow::array::{Array as _, MapArray, StringArray};
use bytes::Bytes;
use futures::TryStreamExt as _;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use schema::{ChunkKey, ChunkManifest, ChunkName, ChunkRef, Day, LabelBloom, LabelSet, Level1Key, Partition, Timestamp};

use super::model::{Entry, Pairs, all_rows, arbitrary_pushes, batch, entry, expected, read_entries, read_with_arrow};
use super::{memory, tenant};
use crate::chunk::footer::{FooterError, parse_tail};
use crate::chunk::order::{compare_streams, stream_sort_key};
use crate::chunk::{BuiltChunk, ChunkCache, ChunkColumns, ChunkReader, ChunkWriter, MergeOptions, ReadAhead, WrittenChunk, build};
use crate::error::{ErrorKind, StoreError};
use crate::object::ObjectClient;

/// Sizes at which every border falls inside a small test.
fn tiny() -> impl Strategy<Value = MergeOptions> {
    (1usize..80, 1usize..300).prop_map(|(page_bytes, row_group_bytes)| MergeOptions { zstd_level: 1, page_bytes, row_group_bytes })
}

fn boxed(pairs: &Pairs) -> Vec<(Box<str>, Box<str>)> {
    pairs.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect()
}

fn push(writer: &mut ChunkWriter, entry: &Entry) -> Result<(), StoreError> {
    writer.push(&entry.labels, entry.timestamp, entry.line.as_bytes(), &boxed(&entry.metadata))
}

fn write(entries: &[Entry], options: &MergeOptions) -> WrittenChunk {
    let mut writer = ChunkWriter::new(options).unwrap();
    for entry in entries {
        push(&mut writer, entry).unwrap();
    }
    assert_eq!(writer.rows(), u64::try_from(entries.len()).unwrap());
    let values = |e: &Entry| e.metadata.iter().map(|(_, value)| value.len()).sum::<usize>();
    assert_eq!(writer.raw_bytes(), entries.iter().map(|e| u64::try_from(e.line.len() + values(e)).unwrap()).sum::<u64>());
    writer.finish().unwrap().unwrap()
}

fn reference(chunk: &WrittenChunk) -> ChunkRef {
    let key = Level1Key { tenant: tenant(), day: Day::of(chunk.min), hour: None, partition: Partition::shared(), id: ulid::Ulid(7) };
    ChunkRef {
        name: ChunkName::Level1(key),
        size: u64::try_from(chunk.bytes.len()).unwrap(),
        footer: Some(chunk.footer_bytes),
        rows: chunk.manifest.rows(),
        min: chunk.min,
        max: chunk.max,
    }
}

async fn open(client: &ObjectClient, chunk: &WrittenChunk, bytes: Bytes) -> Result<ChunkReader, StoreError> {
    let reference = reference(chunk);
    client.create(&reference.name.to_string(), bytes).await?;
    ChunkReader::open(client, &reference, &ChunkCache::new(0)).await
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The file as if it were a chunk of level 0, for what the tests share.
fn as_built(chunk: &WrittenChunk) -> BuiltChunk {
    let (rows, hash) = (chunk.manifest.rows(), schema::ChunkHash([0; 16]));
    let key = ChunkKey { tenant: tenant(), min: chunk.min, max: chunk.max, rows, bloom: LabelBloom::default(), hash };
    BuiltChunk { key, bytes: chunk.bytes.clone(), manifest: chunk.manifest.clone() }
}

/// The labels of every row as any other Parquet reader sees them.
fn labels_with_arrow(bytes: &Bytes) -> Vec<LabelSet> {
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let maps = Arc::clone(batch.column_by_name("labels").unwrap());
        let maps = maps.as_any().downcast_ref::<MapArray>().unwrap();
        for i in 0..batch.num_rows() {
            let pairs = maps.value(i);
            let text = |column: usize| pairs.column(column).as_any().downcast_ref::<StringArray>().unwrap().clone();
            let (names, values) = (text(0), text(1));
            rows.push(LabelSet::from_pairs((0..pairs.len()).map(|p| (names.value(p), values.value(p)))).unwrap());
        }
    }
    rows
}

/// Log lines of several kinds with numbers that vary, six labels per stream.
fn varied(streams: i64, rows_per_stream: i64) -> Vec<Entry> {
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    let mut entries = Vec::new();
    for stream in 0..streams {
        let labels = format!(
            r#"{{cluster="eu-1", container="c{}", namespace="shop", node="ip-10-0-{}-{}", pod="cart-{:08x}", service_name="cart"}}"#,
            stream % 3,
            next(9),
            next(250),
            next(1 << 32)
        );
        let labels = LabelSet::parse(&labels).unwrap();
        let mut timestamp = 1_763_784_000_000_000_000 + i64::try_from(next(1_000_000_000)).unwrap();
        for _ in 0..rows_per_stream {
            timestamp += i64::try_from(next(900_000_000)).unwrap();
            let line = match next(4) {
                0 => format!(
                    "INFO dfs.DataNode$PacketResponder: Received block blk_-{} of size {} from /10.251.{}.{}",
                    next(1 << 60),
                    next(1 << 26),
                    next(250),
                    next(250)
                ),
                1 => format!(
                    "INFO dfs.FSNamesystem: BLOCK* NameSystem.addStoredBlock: blockMap updated: 10.251.{}.{}:50010 is added to blk_{}",
                    next(250),
                    next(250),
                    next(1 << 60)
                ),
                2 => format!("[error] mod_jk child workerEnv in error state {} pid={}", next(9), next(32768)),
                _ => format!(
                    "GET /v2/{:016x}{:016x}/servers/detail HTTP/1.1 status: 200 len: {} time: 0.{}",
                    next(1 << 63),
                    next(1 << 63),
                    next(4000),
                    next(1 << 22)
                ),
            };
            entries.push(Entry { labels: labels.clone(), timestamp, line, metadata: vec![("detected_level".to_owned(), "info".to_owned())] });
        }
    }
    expected(&[entries])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn reads_back_what_was_written(pushes in arbitrary_pushes(), options in tiny()) {
        let want = expected(&pushes);
        let chunk = write(&want, &options);
        let batches: Vec<_> = pushes.iter().map(|push| batch(push)).collect();
        let level0 = build(&tenant(), &batches).unwrap();
        prop_assert_eq!(&chunk.manifest, &ChunkManifest { pushes: Vec::new(), ..level0.manifest });
        prop_assert_eq!((chunk.min, chunk.max), (level0.key.min, level0.key.max));
        let frame = zstd::stream::decode_all(chunk.labels_frame.as_slice()).unwrap();
        prop_assert_eq!(&ChunkManifest::decode(&frame).unwrap(), &chunk.manifest);
        let hash = blake3::hash(&chunk.bytes);
        prop_assert_eq!(Some(&chunk.checksum[..]), hash.as_bytes().get(..16));

        let arrow: Vec<_> = want.iter().map(|e| (e.labels.stream_id().0, e.timestamp, e.line.clone(), e.metadata.clone())).collect();
        prop_assert_eq!(read_with_arrow(&as_built(&chunk)), arrow);
        prop_assert_eq!(labels_with_arrow(&chunk.bytes), want.iter().map(|e| e.labels.clone()).collect::<Vec<_>>());
        let got = run(async {
            let client = memory();
            let reader = open(&client, &chunk, chunk.bytes.clone()).await.unwrap();
            read_entries(&client, &reader, all_rows(&reader)).await
        });
        prop_assert!(got.iter().zip(0u64..).all(|((row, _), i)| *row == i));
        prop_assert_eq!(got.into_iter().map(|(_, e)| e).collect::<Vec<_>>(), want);
    }

    #[test]
    fn one_suffix_opens_it(pushes in arbitrary_pushes(), options in tiny()) {
        let chunk = write(&expected(&pushes), &options);
        let size = u64::try_from(chunk.bytes.len()).unwrap();
        let suffix = |length: u64| chunk.bytes.slice(chunk.bytes.len() - usize::try_from(length).unwrap()..);
        prop_assert_eq!(&*parse_tail(&suffix(chunk.footer_bytes), size).unwrap().manifest, &chunk.manifest);
        let needs_more = matches!(parse_tail(&suffix(chunk.footer_bytes - 1), size), Err(FooterError::NeedMore { needed }) if needed == chunk.footer_bytes);
        prop_assert!(needs_more);
    }

    #[test]
    fn a_flipped_byte_never_changes_an_answer(pushes in arbitrary_pushes(), at: proptest::sample::Index, mask in 1u8..) {
        let want = expected(&pushes);
        let chunk = write(&want, &MergeOptions { zstd_level: 1, ..MergeOptions::default() });
        let mut bytes = chunk.bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        let got = run(async {
            let client = memory();
            let reader = open(&client, &chunk, Bytes::from(bytes)).await?;
            let _: Vec<_> = reader.read_with(&client, all_rows(&reader), ChunkColumns::ALL, ReadAhead::MERGE).try_collect().await?;
            Ok::<_, StoreError>(read_entries(&client, &reader, all_rows(&reader)).await)
        });
        match got {
            Ok(rows) => prop_assert!(rows.into_iter().map(|(_, e)| e).eq(want), "byte {} of {} changed the rows", at, chunk.bytes.len()),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error),
        }
    }

    #[test]
    fn rows_out_of_order_are_refused(pushes in arbitrary_pushes(), at: proptest::sample::Index) {
        let want = expected(&pushes);
        let at = at.index(want.len());
        let mut writer = ChunkWriter::new(&MergeOptions::default()).unwrap();
        want[..=at].iter().for_each(|e| push(&mut writer, e).unwrap());
        let before = want[..=at].iter().rev().find(|e| e.labels != want[at].labels || e.timestamp < want[at].timestamp);
        if let Some(before) = before {
            prop_assert_eq!(push(&mut writer, before).unwrap_err().kind(), ErrorKind::Internal);
        }
    }

    #[test]
    fn streams_compare_as_their_sort_keys(pairs in proptest::collection::vec(proptest::collection::vec(("[abs_]{1,2}|service_name|é|a=", "[ab!\"\\\\ }]{0,2}|\u{7f}|ü"), 0..4), 2)) {
        let sets: Vec<LabelSet> = pairs.into_iter().filter_map(|pairs| LabelSet::from_pairs(pairs).ok()).collect();
        if let [a, b] = sets.as_slice() {
            let want = stream_sort_key(a).cmp(&stream_sort_key(b)).then(a.cmp(b));
            prop_assert_eq!(compare_streams(a, b), want);
            prop_assert_eq!(compare_streams(b, a), want.reverse());
        }
    }
}

#[test]
fn no_rows_are_no_file() {
    assert!(ChunkWriter::new(&MergeOptions::default()).unwrap().finish().unwrap().is_none());
}

#[test]
fn many_rows_of_many_streams_keep_their_labels() {
    let want = varied(40, 500);
    let chunk = write(&want, &MergeOptions { zstd_level: 1, page_bytes: 100_000, row_group_bytes: 700_000 });
    assert_eq!(labels_with_arrow(&chunk.bytes), want.iter().map(|e| e.labels.clone()).collect::<Vec<_>>());
    assert_eq!(
        chunk.bytes,
        write(&want, &MergeOptions { zstd_level: 1, page_bytes: 100_000, row_group_bytes: 700_000 }).bytes,
        "the same rows, the same bytes"
    );
}

#[test]
fn labels_for_other_engines_cost_less_than_three_percent() {
    for (streams, rows) in [(1, 40_000), (100, 400), (1000, 40)] {
        let chunk = write(&varied(streams, rows), &MergeOptions::default());
        let file = ParquetRecordBatchReaderBuilder::try_new(chunk.bytes.clone()).unwrap();
        let labels = file.metadata().row_groups().iter().flat_map(|group| group.columns().iter().skip(5)).map(|column| column.compressed_size()).sum::<i64>();
        let percent = 100.0 * labels as f64 / chunk.bytes.len() as f64;
        println!("{streams} streams of {rows} rows: labels are {percent:.2} % of {} bytes", chunk.bytes.len());
        assert!(percent < 3.0, "{percent} % at {streams} streams of {rows} rows");
    }
}

#[test]
fn memory_is_the_file_and_a_page() {
    let mut writer = ChunkWriter::new(&MergeOptions { zstd_level: 1, ..MergeOptions::default() }).unwrap();
    let idle = 16 << 20;
    let (rows, mut peak) = (varied(4, 20_000), 0);
    for stream in 0..10 {
        let labels = LabelSet::from_pairs([("service_name", format!("s{stream}"))]).unwrap();
        for (e, i) in rows.iter().zip(0i64..) {
            writer.push(&labels, 1_763_784_000_000_000_000 + i, e.line.as_bytes(), &boxed(&e.metadata)).unwrap();
            if i % 1000 == 0 {
                peak = peak.max(writer.memory_bytes());
            }
        }
    }
    assert!(writer.raw_bytes() > 60 << 20, "{}", writer.raw_bytes());
    let chunk = writer.finish().unwrap().unwrap();
    // The file's buffer doubles when it is full; the row group that is under construction is in memory besides.
    assert!(peak < 2 * chunk.bytes.len() + idle, "{peak} bytes for a file of {}", chunk.bytes.len());
    println!("peak {peak} for {}", chunk.bytes.len());
}

#[test]
fn a_large_chunk_is_opened_by_one_request_and_read_in_small_windows() {
    use crate::object::{Op, RequestStats};
    let lines = |i: i64| (0..60).map(|j| format!("{:016x}", (i * 61 + j).wrapping_mul(0x5851_F42D_4C95_7F2D))).collect::<String>();
    let want: Vec<Entry> = (0..6000).map(|i| entry(r#"{service_name="a"}"#, i, &lines(i), &[])).collect();
    let chunk = write(&want, &MergeOptions { zstd_level: 1, ..MergeOptions::default() });
    assert!(chunk.bytes.len() > 2 << 20, "{}", chunk.bytes.len());
    run(async {
        let client = memory();
        let stats = Arc::new(RequestStats::new());
        client.create(&reference(&chunk).name.to_string(), chunk.bytes.clone()).await.unwrap();
        let counted = client.with_stats(Arc::clone(&stats));
        let reader = ChunkReader::open(&counted, &reference(&chunk), &ChunkCache::new(0)).await.unwrap();
        assert_eq!((stats.snapshot().of(Op::Get), stats.snapshot().total()), (1, 1));
        let ahead = ReadAhead { first_window_bytes: 256 << 10, window_bytes: 256 << 10, windows: 2 };
        let mut rows = reader.read_with(&counted, all_rows(&reader), ChunkColumns::ALL, ahead);
        let first = rows.try_next().await.unwrap().unwrap();
        assert!(first.first_row == 0 && first.timestamps.unwrap().value(0) == 0);
        tokio::task::yield_now().await;
        assert!(stats.snapshot().total() <= 1 + 2 * 5, "{}", stats.snapshot().total());
        assert!(ahead.memory_bytes(u64::MAX) < 2 << 20 && ReadAhead::MERGE.memory_bytes(1000) == 1000);
        let read = read_entries(&client, &reader, all_rows(&reader)).await;
        assert!(read.into_iter().map(|(_, e)| e).eq(want));
    });
    assert_eq!(chunk.min, Timestamp(0));
}
