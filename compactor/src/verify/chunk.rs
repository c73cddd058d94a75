//! One chunk: its bytes against its entry, its entry against its footer, its footer against its rows.
//! Owns: the order of these checks. Must not know: which chunks there are.

use futures::StreamExt as _;
use schema::{ChunkEntry, ChunkKey, ChunkManifest, ChunkRef, Day, LabelBloom};
use store::chunk::{ChunkCache, ChunkColumns, ChunkReader};
use store::{ErrorKind, ObjectClient, StoreError};

use super::problem;
use super::rows::RowChecker;

/// Bytes that are fetched at a time for the checksum.
const RANGE_BYTES: u64 = 8 << 20;

/// What a chunk turned out to hold.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// What is wrong with it.
    pub(super) problems: Vec<String>,
}

/// Checks a chunk as it was pushed.
/// Errors: those of the store; [`ErrorKind::NotFound`] when it is not there.
pub(super) async fn check_level0(client: &ObjectClient, chunk: &ChunkRef, key: &ChunkKey) -> Result<Checked, StoreError> {
    let mut checked = Checked { bytes: chunk.size, ..Checked::default() };
    let Some(reader) = open(client, chunk, &mut checked).await? else { return Ok(checked) };
    check_bloom(&key.bloom, reader.manifest(), &mut checked);
    let hash = match reader.manifest().pushes.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    let checker = RowChecker::new(reader.manifest(), hash);
    read_rows(client, &reader, checker, &mut checked).await?;
    Ok(checked)
}

/// Checks a compacted chunk.
/// Errors: as [`check_level0`].
pub(super) async fn check_level1(client: &ObjectClient, entry: &ChunkEntry) -> Result<Checked, StoreError> {
    let mut checked = Checked { bytes: entry.size, ..Checked::default() };
    let name = entry.key.to_string();
    let Some(info) = client.head(&name).await? else { return Err(StoreError::NotFound { key: name }) };
    if info.size != entry.size {
        checked.problems.push(format!("it has {} bytes, and its manifest says {}", info.size, entry.size));
        return Ok(checked);
    }
    if checksum(client, &name, info.size).await? != entry.checksum {
        checked.problems.push("its checksum is not the one that its manifest says: its bytes were changed".to_owned());
    }
    let Some(reader) = open(client, &ChunkRef::level1(entry), &mut checked).await? else { return Ok(checked) };
    check_entry(entry, reader.manifest(), &mut checked);
    check_bloom(&entry.bloom, reader.manifest(), &mut checked);
    read_rows(client, &reader, RowChecker::new(reader.manifest(), None), &mut checked).await?;
    Ok(checked)
}

/// First bytes of BLAKE3 over the object.
async fn checksum(client: &ObjectClient, name: &str, size: u64) -> Result<[u8; 16], StoreError> {
    let mut hasher = blake3::Hasher::new();
    let mut start = 0;
    while start < size {
        let end = size.min(start + RANGE_BYTES);
        for part in client.get_ranges(name, std::slice::from_ref(&(start..end))).await? {
            hasher.update(&part);
        }
        start = end;
    }
    let mut checksum = [0; 16];
    hasher.finalize_xof().fill(&mut checksum);
    Ok(checksum)
}

async fn open(client: &ObjectClient, chunk: &ChunkRef, checked: &mut Checked) -> Result<Option<ChunkReader>, StoreError> {
    match ChunkReader::open(client, chunk, &ChunkCache::new(0)).await {
        Ok(reader) => Ok(Some(reader)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(error),
        Err(error) => {
            checked.problems.push(problem(error)?);
            Ok(None)
        }
    }
}

fn check_entry(entry: &ChunkEntry, manifest: &ChunkManifest, checked: &mut Checked) {
    let mut differs = |what: &str, entry: u64, footer: u64| {
        if entry != footer {
            checked.problems.push(format!("its manifest says {entry} {what}, and its footer {footer}"));
        }
    };
    differs("line bytes", entry.bytes, manifest.bytes());
    differs("streams", entry.streams, u64::try_from(manifest.streams.len()).unwrap_or(u64::MAX));
    // Rows and times were compared when it was opened.
    if let Some(frame) = &entry.labels {
        match ChunkCache::new(0).labels(&entry.key.to_string(), frame) {
            Ok(labels) if labels.streams == manifest.streams => {}
            Ok(_) => checked.problems.push("the labels in its manifest are not those in its footer".to_owned()),
            Err(error) => checked.problems.push(error.chain()),
        }
    }
    let inside = |at| Day::of(at) == entry.key.day && entry.key.hour.is_none_or(|hour| Day::hour_of(at) == hour);
    if !manifest.streams.iter().all(|stream| inside(stream.min) && inside(stream.max)) {
        checked.problems.push("it has rows outside of the day or hour that its name says".to_owned());
    }
}

/// A filter without a pair that is inside would hide rows from queries.
fn check_bloom(bloom: &LabelBloom, manifest: &ChunkManifest, checked: &mut Checked) {
    let pairs = manifest.streams.iter().flat_map(|stream| stream.labels.iter());
    let mut hidden = pairs.filter(|(name, value)| !bloom.may_contain(name, value));
    if let Some((name, value)) = hidden.next() {
        checked.problems.push(format!("its label filter hides {name}={}", schema::quote::quote(value)));
    }
}

/// Decodes every row; the first thing that is wrong ends it.
async fn read_rows(client: &ObjectClient, reader: &ChunkReader, mut checker: RowChecker<'_>, checked: &mut Checked) -> Result<(), StoreError> {
    let all = std::iter::once(0..reader.manifest().rows()).collect();
    let mut batches = reader.read(client, all, ChunkColumns::ALL);
    while let Some(batch) = batches.next().await {
        match batch {
            Ok(batch) => checker.add(&batch),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
            Err(error) => {
                checked.problems.push(problem(error)?);
                return Ok(());
            }
        }
        if checker.has_problem() {
            break;
        }
    }
    checked.rows = checker.rows();
    checked.problems.extend(checker.finish());
    Ok(())
}
