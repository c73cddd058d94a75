//! The binary form of a [`DayManifest`], before compression.
//! Owns: the byte layout of every format version that was ever written. The layout is described in RFC 0002.

use ulid::Ulid;

use super::Day;
use super::manifest::{ChunkEntry, CommitId, Consumed, DayManifest, Replaced};
use crate::key::{ChunkHash, LabelBloom};
use crate::level1::{Level1Key, Partition};
use crate::manifest::ManifestError;
use crate::manifest::wire::{Input, len64, put_varint, unzigzag, zigzag};
use crate::tenant::TenantId;
use crate::time::Timestamp;

/// The version that [`DayManifest::encode`] writes.
const VERSION: u8 = 1;

pub(super) fn encode(manifest: &DayManifest) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_varint(&mut out, zigzag(i64::from(manifest.day.number())));
    put_varint(&mut out, manifest.generation);
    put_varint(&mut out, len64(manifest.commits.len()));
    manifest.commits.iter().for_each(|id| out.extend_from_slice(&id.0));
    put_varint(&mut out, len64(manifest.chunks.len()));
    for chunk in &manifest.chunks {
        put_key(&mut out, &chunk.key);
        put_varint(&mut out, chunk.size);
        out.extend_from_slice(&chunk.checksum);
        put_varint(&mut out, chunk.rows);
        put_varint(&mut out, chunk.bytes);
        put_varint(&mut out, zigzag(chunk.min.as_nanos()));
        put_varint(&mut out, zigzag(chunk.max.as_nanos()));
        put_varint(&mut out, chunk.streams);
        put_varint(&mut out, chunk.footer);
        put_varint(&mut out, len64(chunk.bloom.words().len()));
        chunk.bloom.words().iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        // 0: not here.
        put_varint(&mut out, chunk.labels.as_ref().map_or(0, |labels| len64(labels.len()) + 1));
        out.extend_from_slice(chunk.labels.as_deref().unwrap_or_default());
    }
    put_varint(&mut out, len64(manifest.consumed.len()));
    manifest.consumed.iter().for_each(|consumed| out.extend_from_slice(&consumed.hash.0));
    manifest.consumed.iter().for_each(|consumed| put_varint(&mut out, zigzag(consumed.at.as_nanos())));
    put_varint(&mut out, len64(manifest.replaced.len()));
    for replaced in &manifest.replaced {
        put_key(&mut out, &replaced.key);
        put_varint(&mut out, zigzag(replaced.at.as_nanos()));
    }
    put_varint(&mut out, len64(manifest.deletes_done.len()));
    manifest.deletes_done.iter().for_each(|id| put_text(&mut out, id));
    out
}

/// Hour (24: the whole day), partition, id. Tenant and day are those of the manifest.
fn put_key(out: &mut Vec<u8>, key: &Level1Key) {
    out.push(key.hour.unwrap_or(24));
    put_text(out, key.partition.as_str());
    out.extend_from_slice(&key.id.to_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, len64(text.len()));
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn decode(tenant: &TenantId, bytes: &[u8]) -> Result<DayManifest, ManifestError> {
    let mut input = Input::new(bytes);
    match input.byte()? {
        VERSION => decode_v1(tenant, &mut input),
        version => Err(ManifestError::Version { version }),
    }
}

fn decode_v1(tenant: &TenantId, input: &mut Input<'_>) -> Result<DayManifest, ManifestError> {
    let number = i32::try_from(unzigzag(input.varint()?)).ok();
    let day = number.and_then(Day::from_number).ok_or_else(|| input.invalid("a day outside of time"))?;
    let generation = input.varint()?;
    let commits = repeated(input, |input| Ok(CommitId(input.array()?)))?;
    let chunks = repeated(input, |input| read_chunk(tenant, day, input))?;
    let count = input.count()?;
    let mut hashes = Vec::with_capacity(count.min(input.left() / 16));
    for _ in 0..count {
        hashes.push(ChunkHash(input.array()?));
    }
    let mut consumed = Vec::with_capacity(hashes.len());
    for hash in hashes {
        consumed.push(Consumed { hash, at: read_time(input)? });
    }
    let replaced = repeated(input, |input| Ok(Replaced { key: read_key(tenant, day, input)?, at: read_time(input)? }))?;
    let deletes_done = repeated(input, |input| Ok(read_text(input)?.into()))?;
    if input.left() > 0 {
        return Err(input.invalid("bytes after the end"));
    }
    Ok(DayManifest { day, generation, commits, chunks, consumed, replaced, deletes_done })
}

/// A count and so many items. Grows with what is read, never with what is claimed.
fn repeated<T>(input: &mut Input<'_>, mut read: impl FnMut(&mut Input<'_>) -> Result<T, ManifestError>) -> Result<Vec<T>, ManifestError> {
    let count = input.count()?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(read(input)?);
    }
    Ok(items)
}

fn read_chunk(tenant: &TenantId, day: Day, input: &mut Input<'_>) -> Result<ChunkEntry, ManifestError> {
    let key = read_key(tenant, day, input)?;
    let size = input.varint()?;
    let checksum = input.array()?;
    let rows = input.varint()?;
    let bytes = input.varint()?;
    let (min, max) = (read_time(input)?, read_time(input)?);
    let streams = input.varint()?;
    let footer = input.varint()?;
    let words = repeated(input, |input| Ok(u64::from_le_bytes(input.array()?)))?;
    let bloom = LabelBloom::of_words(words).ok_or_else(|| input.invalid("a label filter that is none"))?;
    let labels = match input.count_or_none()? {
        None => None,
        Some(length) => Some(input.take(length)?.into()),
    };
    Ok(ChunkEntry { key, size, checksum, rows, bytes, min, max, streams, footer, bloom, labels })
}

fn read_key(tenant: &TenantId, day: Day, input: &mut Input<'_>) -> Result<Level1Key, ManifestError> {
    let hour = match input.byte()? {
        24 => None,
        hour @ 0..24 => Some(hour),
        _ => return Err(input.invalid("an hour that no day has")),
    };
    let partition = Partition::parse(read_text(input)?).ok_or_else(|| input.invalid("a partition that no key can have"))?;
    Ok(Level1Key { tenant: tenant.clone(), day, hour, partition, id: Ulid::from_bytes(input.array()?) })
}

fn read_time(input: &mut Input<'_>) -> Result<Timestamp, ManifestError> {
    Ok(Timestamp(unzigzag(input.varint()?)))
}

fn read_text<'a>(input: &mut Input<'a>) -> Result<&'a str, ManifestError> {
    let length = input.count()?;
    std::str::from_utf8(input.take(length)?).map_err(|_| input.invalid("a text that is not UTF-8"))
}
