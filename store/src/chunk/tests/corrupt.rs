//! Damaged files are errors that name the object; never a panic, never other rows.

use bytes::Bytes;
use futures::TryStreamExt as _;
use proptest::prelude::*;

use super::model::{Entry, all_rows, arbitrary_pushes, batch, entry, expected, read_entries};
use super::{memory, tenant};
use crate::chunk::{BuiltChunk, ChunkCache, ChunkColumns, ChunkReader, build, parse_footer};
use crate::error::{ErrorKind, StoreError};

fn small() -> (Vec<Entry>, BuiltChunk) {
    let rows: Vec<Entry> = (0..50).map(|i| entry(r#"{service_name="a"}"#, i, &format!("line {i}"), &[("level", "info")])).collect();
    let chunk = build(&tenant(), &[batch(&rows)]).unwrap();
    (rows, chunk)
}

/// Opens and reads a chunk whose object has other bytes than it should.
fn read_all(chunk: &BuiltChunk, bytes: Vec<u8>) -> Result<Vec<(u64, Entry)>, StoreError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let client = memory();
        let size = u64::try_from(bytes.len()).unwrap();
        client.create(&chunk.key.to_string(), Bytes::from(bytes)).await?;
        let reader = ChunkReader::open(&client, &schema::ChunkRef::level0(chunk.key.clone(), size), &ChunkCache::new(0)).await?;
        let _: Vec<_> = reader.read(&client, all_rows(&reader), ChunkColumns::ALL).try_collect().await?;
        Ok(read_entries(&client, &reader, all_rows(&reader)).await)
    })
}

#[test]
fn a_truncated_file_is_corrupt() {
    let (_, chunk) = small();
    for end in 0..chunk.bytes.len() {
        let error = parse_footer(&chunk.bytes.slice(..end)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {end}: {error}");
    }
    let error = read_all(&chunk, chunk.bytes[..chunk.bytes.len() / 2].to_vec()).unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some(chunk.key.to_string().as_str())));
}

#[test]
fn a_file_under_another_name_is_corrupt() {
    let (_, chunk) = small();
    let mut others = vec![chunk.clone(), chunk.clone(), chunk.clone()];
    others[0].key.rows += 1;
    others[1].key.max.0 += 1;
    others[2].key.hash.0[0] ^= 1;
    for other in others {
        let error = read_all(&other, chunk.bytes.to_vec()).unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some(other.key.to_string().as_str())), "{error}");
    }
}

#[test]
fn another_parquet_file_is_corrupt() {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    let array: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![1, 2]));
    let batch = RecordBatch::try_from_iter([("x", array)]).unwrap();
    let mut file = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let error = parse_footer(&Bytes::from(file)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.chain().contains("offset index") || error.chain().contains("tarn.version"), "{}", error.chain());
}

/// Thousands of footers, damaged in several places: what the parquet crate is given must neither panic nor ask for all memory.
#[test]
fn damaged_footers_are_errors() {
    let (_, chunk) = small();
    let footer = usize::try_from(u32::from_le_bytes(chunk.bytes[chunk.bytes.len() - 8..chunk.bytes.len() - 4].try_into().unwrap())).unwrap();
    let indexes = footer + 8 + 5 * 12;
    let mut random = 7u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap()
    };
    for _ in 0..5000 {
        let mut bytes = chunk.bytes.to_vec();
        let from = bytes.len() - indexes;
        for _ in 0..1 + next() % 6 {
            let at = from + next() % indexes;
            bytes[at] = [0xff, 0x0f, 0x00, 0x7f, 0xfc, u8::try_from(next() % 256).unwrap()][next() % 6];
        }
        let _ = parse_footer(&Bytes::from(bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Page headers carry no checksum, page bodies and the manifest do: a flipped byte is an error or changes nothing that is read.
    #[test]
    fn a_flipped_byte_never_changes_an_answer(pushes in arbitrary_pushes(), at: proptest::sample::Index, mask in 1u8..) {
        let batches: Vec<_> = pushes.iter().map(|push| batch(push)).collect();
        let chunk = build(&tenant(), &batches).unwrap();
        let mut bytes = chunk.bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        match read_all(&chunk, bytes) {
            Ok(rows) => prop_assert!(rows.into_iter().map(|(_, e)| e).eq(expected(&pushes)), "byte {} of {} changed the rows", at, chunk.bytes.len()),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error),
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_chunk(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse_footer(&Bytes::from(bytes)).is_err());
    }
}
