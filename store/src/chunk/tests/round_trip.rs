//! Write, read, compare.

use std::ops::Range;

use proptest::prelude::*;
use proptest::sample::Index;

use super::model::{Entry, all_rows, arbitrary_pushes, batch, entry, expected, read_batches, read_entries, read_with_arrow, store};
use super::{memory, tenant};
use crate::chunk::build::build_with;
use crate::chunk::write::WriteOptions;
use crate::chunk::{BuiltChunk, ChunkCache, ChunkColumns, build, push_hash};

/// Sizes at which every border falls inside a small test.
fn tiny() -> impl Strategy<Value = WriteOptions> {
    (1usize..40, 1usize..9, 1usize..200).prop_map(|(page_line_bytes, page_rows, row_group_line_bytes)| WriteOptions {
        zstd_level: 1,
        page_line_bytes,
        page_rows,
        row_group_line_bytes,
    })
}

fn build_model(pushes: &[Vec<Entry>], options: &WriteOptions) -> BuiltChunk {
    let batches: Vec<_> = pushes.iter().map(|push| batch(push)).collect();
    build_with(&tenant(), &batches, options).unwrap()
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn reads_back_what_was_written(pushes in arbitrary_pushes(), options in tiny(), cuts in proptest::collection::vec(any::<(Index, Index)>(), 0..5), cached: bool) {
        let want = expected(&pushes);
        let chunk = build_model(&pushes, &options);
        prop_assert_eq!(chunk.manifest.validate(), Ok(()));
        prop_assert_eq!(chunk.manifest.rows(), u64::try_from(want.len()).unwrap());
        let arrow: Vec<_> = want.iter().map(|e| (e.labels.stream_id().0, e.timestamp, e.line.clone(), e.metadata.clone())).collect();
        prop_assert_eq!(read_with_arrow(&chunk), arrow);

        let mut marks: Vec<u64> = cuts.iter().flat_map(|(a, b)| [a.index(want.len() + 1), b.index(want.len() + 1)]).map(|i| u64::try_from(i).unwrap()).collect();
        marks.sort_unstable();
        let selection: Vec<Range<u64>> = marks.chunks(2).map(|pair| pair[0]..pair[1]).collect();
        let (all, some) = run(async {
            let client = memory();
            let reader = store(&client, &chunk, &ChunkCache::new(if cached { 1 << 20 } else { 0 })).await;
            let all = read_entries(&client, &reader, all_rows(&reader)).await;
            (all, read_entries(&client, &reader, selection.clone()).await)
        });
        prop_assert_eq!(all.iter().map(|(_, e)| e).collect::<Vec<_>>(), want.iter().collect::<Vec<_>>());
        prop_assert!(all.iter().zip(0u64..).all(|((row, _), i)| *row == i));
        let filtered: Vec<_> = all.into_iter().filter(|(row, _)| selection.iter().any(|range| range.contains(row))).collect();
        prop_assert_eq!(some, filtered);
    }

    #[test]
    fn a_push_has_one_hash_however_it_is_arranged(pushes in arbitrary_pushes(), seed: u64) {
        let push = &pushes[0];
        // Streams in another order, pairs in another order, one more copy of a row right behind it.
        let mut other = push.clone();
        other.sort_by_key(|e| e.labels.stream_id().0 ^ seed);
        for e in &mut other {
            e.metadata.reverse();
        }
        other.insert(1, other[0].clone());
        prop_assert_eq!(push_hash(&batch(push)), push_hash(&batch(&other)));
        let mut changed = push.clone();
        changed[0].line.push('!');
        prop_assert_ne!(push_hash(&batch(push)), push_hash(&batch(&changed)));
    }

    #[test]
    fn a_group_is_named_by_its_pushes(pushes in arbitrary_pushes()) {
        let batches: Vec<_> = pushes.iter().map(|push| batch(push)).collect();
        let group = build(&tenant(), &batches).unwrap();
        let reversed: Vec<_> = batches.iter().rev().cloned().collect();
        prop_assert_eq!(&build(&tenant(), &reversed).unwrap().key, &group.key);
        let alone = build(&tenant(), &batches[..1]).unwrap();
        prop_assert_eq!(alone.key.hash, push_hash(&batches[0]));
        // The same push twice in a group is the push.
        let twice = build(&tenant(), &[batches[0].clone(), batches[0].clone()]).unwrap();
        prop_assert_eq!((twice.key, twice.bytes), (alone.key, alone.bytes));
    }
}

#[test]
fn hashed_bytes_have_not_changed() {
    // Computed by an independent script out of RFC 0001; a push retried after an upgrade must meet its first copy.
    let push = [
        entry(r#"{service_name="b"}"#, 2, "second", &[("z", "1"), ("a", "")]),
        entry(r#"{service_name="b"}"#, 1, "first", &[]),
        entry(r#"{pod="p", service_name="a"}"#, -5, "", &[("detected_level", "info")]),
        entry(r#"{service_name="b"}"#, 2, "second", &[("a", ""), ("z", "1")]),
    ];
    assert_eq!(push_hash(&batch(&push)).to_string(), include_str!("push_hash_v1.txt").trim());
}

#[test]
fn rows_of_one_timestamp_that_are_many_collapse_too() {
    let rows: Vec<Entry> =
        (0..3000).map(|i| entry(r#"{service_name="a"}"#, 7, &format!("line {}", i % 1000), &[("k", if i % 2 == 0 { "x" } else { "y" })])).collect();
    let chunk = build_model(std::slice::from_ref(&rows), &WriteOptions::default());
    assert_eq!(chunk.key.rows, 1000);
    assert_eq!(read_with_arrow(&chunk).len(), expected(&[rows]).len());
}

#[test]
fn lines_of_a_megabyte_and_large_pages_round_trip() {
    let rows: Vec<Entry> = (0..20).map(|i| entry(r#"{service_name="a"}"#, i, &format!("{i}{}", "ab".repeat(1 << 19)), &[("k", &"v".repeat(60_000))])).collect();
    let many: Vec<Entry> = (0..40_000).map(|i| entry(r#"{service_name="b"}"#, i % 977, &format!("{i}"), &[("n", &format!("{}", i % 3))])).collect();
    let pushes = [rows, many];
    let chunk = build_model(&pushes, &WriteOptions { row_group_line_bytes: 5 << 20, ..WriteOptions::default() });
    let want = expected(&pushes);
    run(async {
        let client = memory();
        let reader = store(&client, &chunk, &ChunkCache::new(0)).await;
        let got = read_entries(&client, &reader, all_rows(&reader)).await;
        assert!(got.into_iter().map(|(_, e)| e).eq(want));
    });
}

#[test]
fn columns_that_are_not_asked_for_are_not_there() {
    let chunk = build_model(&[vec![entry(r#"{service_name="a"}"#, 1, "x", &[])]], &WriteOptions::default());
    run(async {
        let client = memory();
        let reader = store(&client, &chunk, &ChunkCache::new(0)).await;
        let only = |timestamps, lines, metadata| ChunkColumns { timestamps, lines, metadata };
        for columns in [only(true, false, false), only(false, true, false), only(false, false, true), only(false, false, false)] {
            let batches = read_batches(&client, &reader, all_rows(&reader), columns).await;
            let found: Vec<_> = batches.iter().map(|b| (b.first_row, b.rows, only(b.timestamps.is_some(), b.lines.is_some(), b.metadata.is_some()))).collect();
            assert_eq!(found, [(0, 1, columns)]);
        }
        assert!(read_batches(&client, &reader, vec![], ChunkColumns::ALL).await.is_empty());
    });
}

#[test]
fn nothing_to_store_and_broken_batches_are_errors() {
    use crate::error::ErrorKind;
    let kind = |batches: &[schema::RowBatch]| build(&tenant(), batches).unwrap_err().kind();
    assert_eq!(kind(&[]), ErrorKind::Invalid);
    assert_eq!(kind(&[schema::RowBatch::default()]), ErrorKind::Invalid);
    let good = batch(&[entry(r#"{service_name="a"}"#, 1, "x", &[])]);
    let mut no_metadata = good.clone();
    no_metadata.metadata = Default::default();
    let mut no_run = good.clone();
    no_run.runs.clear();
    let mut not_utf8 = good.clone();
    not_utf8.metadata = Default::default();
    let id = not_utf8.metadata.intern("k");
    not_utf8.metadata.push_pair(id, &[0xff]);
    not_utf8.metadata.finish_row();
    assert_eq!(kind(&[no_metadata]), ErrorKind::Internal);
    assert_eq!(kind(&[no_run]), ErrorKind::Internal);
    assert_eq!(kind(&[not_utf8]), ErrorKind::Invalid);
}
