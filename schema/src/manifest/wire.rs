//! The binary form of a [`ChunkManifest`]: what stands, compressed, in a chunk's footer.
//! Owns: the byte layout of every format version that was ever written, and the checks that make decoding arbitrary bytes safe.
//! Must not know: Parquet, compression, object stores. The layout is described in RFC 0001.

use std::collections::{HashMap, HashSet};

use super::{ChunkManifest, ManifestError, MinuteCount, StreamManifest};
use crate::key::ChunkHash;
use crate::labels::LabelSet;
use crate::time::Timestamp;

/// The version that [`ChunkManifest::encode`] writes.
const VERSION: u8 = 1;

/// Most label bytes, all streams together, that a manifest may spell: the string table is shared, so a few bytes of input could otherwise
/// ask for any amount of memory.
pub(super) const MAX_LABEL_BYTES: usize = 256 << 20;

pub(super) fn encode(manifest: &ChunkManifest) -> Vec<u8> {
    let mut strings = StringTable::default();
    let label_ids: Vec<Vec<(u64, u64)>> =
        manifest.streams.iter().map(|s| s.labels.iter().map(|(name, value)| (strings.id(name), strings.id(value))).collect()).collect();
    let mut out = vec![VERSION];
    put_varint(&mut out, len64(strings.texts.len()));
    strings.texts.iter().for_each(|text| put_varint(&mut out, len64(text.len())));
    strings.texts.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
    put_varint(&mut out, len64(manifest.pushes.len()));
    manifest.pushes.iter().for_each(|push| out.extend_from_slice(&push.0));
    // One column after the other: equal fields of neighbouring streams look alike, and the compressor sees it.
    put_varint(&mut out, len64(manifest.streams.len()));
    label_ids.iter().for_each(|ids| put_varint(&mut out, len64(ids.len())));
    label_ids.iter().flatten().for_each(|(name, _)| put_varint(&mut out, *name));
    label_ids.iter().flatten().for_each(|(_, value)| put_varint(&mut out, *value));
    let base = manifest.streams.iter().map(|s| s.min.0).min().unwrap_or(0);
    put_varint(&mut out, zigzag(base));
    for s in &manifest.streams {
        put_varint(&mut out, s.rows);
    }
    for s in &manifest.streams {
        put_varint(&mut out, s.bytes);
    }
    for s in &manifest.streams {
        put_varint(&mut out, s.min.0.wrapping_sub(base).cast_unsigned());
    }
    for s in &manifest.streams {
        put_varint(&mut out, s.max.0.wrapping_sub(s.min.0).cast_unsigned());
    }
    for s in &manifest.streams {
        put_varint(&mut out, len64(s.minutes.len()));
    }
    put_minutes(&mut out, manifest);
    out
}

/// The first minute is that of the stream's `min`; the counts of the last are what is left of the stream's totals. So a stream within
/// one minute costs nothing here, and decoded counts add up by construction.
fn put_minutes(out: &mut Vec<u8>, manifest: &ChunkManifest) {
    for s in &manifest.streams {
        for (previous, next) in s.minutes.iter().zip(s.minutes.iter().skip(1)) {
            put_varint(out, next.minute.wrapping_sub(previous.minute).wrapping_sub(1).cast_unsigned());
        }
    }
    for s in &manifest.streams {
        all_but_last(&s.minutes).iter().for_each(|m| put_varint(out, m.rows));
    }
    for s in &manifest.streams {
        all_but_last(&s.minutes).iter().for_each(|m| put_varint(out, m.bytes));
    }
}

fn all_but_last<T>(items: &[T]) -> &[T] {
    items.split_last().map_or(&[], |(_, rest)| rest)
}

#[derive(Default)]
struct StringTable<'a> {
    ids: HashMap<&'a str, u64>,
    texts: Vec<&'a str>,
}

impl<'a> StringTable<'a> {
    fn id(&mut self, text: &'a str) -> u64 {
        *self.ids.entry(text).or_insert_with(|| {
            self.texts.push(text);
            len64(self.texts.len() - 1)
        })
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<ChunkManifest, ManifestError> {
    let mut input = Input::new(bytes);
    match input.byte()? {
        VERSION => decode_v1(&mut input),
        version => Err(ManifestError::Version { version }),
    }
}

fn decode_v1(input: &mut Input<'_>) -> Result<ChunkManifest, ManifestError> {
    let strings = read_strings(input)?;
    let push_count = input.count()?;
    let mut pushes = Vec::with_capacity(push_count.min(input.left() / 16));
    for _ in 0..push_count {
        pushes.push(ChunkHash(input.array()?));
    }
    let stream_count = input.count()?;
    let labels = read_labels(input, &strings, stream_count)?;
    let base = unzigzag(input.varint()?);
    let rows = input.varints(stream_count)?;
    let bytes = input.varints(stream_count)?;
    let mins = input.varints(stream_count)?;
    let spans = input.varints(stream_count)?;
    let minute_counts = input.counts(stream_count)?;
    let mut streams = Vec::with_capacity(stream_count);
    let mut first_row = 0u64;
    let columns = labels.into_iter().zip(rows).zip(bytes).zip(mins).zip(spans);
    for ((((labels, rows), bytes), min), span) in columns {
        let min = base.checked_add_unsigned(min).ok_or_else(|| input.invalid("a stream begins after the end of time"))?;
        let max = min.checked_add_unsigned(span).ok_or_else(|| input.invalid("a stream ends after the end of time"))?;
        if rows == 0 {
            return Err(input.invalid("a stream without rows"));
        }
        streams.push(StreamManifest { labels, first_row, rows, min: Timestamp(min), max: Timestamp(max), bytes, minutes: Vec::new() });
        first_row = first_row.checked_add(rows).ok_or_else(|| input.invalid("more rows than can be counted"))?;
    }
    read_minutes(input, &mut streams, &minute_counts)?;
    if input.left() > 0 {
        return Err(input.invalid("bytes after the end"));
    }
    let manifest = ChunkManifest { streams, pushes };
    manifest.check_totals()?;
    Ok(manifest)
}

fn read_strings<'a>(input: &mut Input<'a>) -> Result<Vec<&'a str>, ManifestError> {
    let count = input.count()?;
    let lengths = input.counts(count)?;
    let mut strings = Vec::with_capacity(count);
    let mut seen = HashSet::with_capacity(count);
    for length in lengths {
        let text = std::str::from_utf8(input.take(length)?).map_err(|_| input.invalid("a label that is not UTF-8"))?;
        if text.is_empty() || !seen.insert(text) {
            return Err(input.invalid("an empty or repeated entry in the string table"));
        }
        strings.push(text);
    }
    Ok(strings)
}

fn read_labels(input: &mut Input<'_>, strings: &[&str], stream_count: usize) -> Result<Vec<LabelSet>, ManifestError> {
    let label_counts = input.counts(stream_count)?;
    let total = label_counts.iter().try_fold(0usize, |sum, count| sum.checked_add(*count)).ok_or(ManifestError::Truncated)?;
    let names = input.varints(total)?;
    let values = input.varints(total)?;
    let mut pairs = names.iter().zip(&values);
    let mut sets = Vec::with_capacity(stream_count);
    let mut seen = HashSet::with_capacity(stream_count);
    let mut label_bytes = 0usize;
    for count in label_counts {
        let ids: Vec<(u64, u64)> = pairs.by_ref().take(count).map(|(name, value)| (*name, *value)).collect();
        let texts = ids
            .iter()
            .map(|(name, value)| Some((*strings.get(usize::try_from(*name).ok()?)?, *strings.get(usize::try_from(*value).ok()?)?)))
            .collect::<Option<Vec<(&str, &str)>>>()
            .ok_or_else(|| input.invalid("a label beyond the string table"))?;
        if !texts.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(input.invalid("labels of a stream that are not sorted or repeat a name"));
        }
        label_bytes += texts.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if label_bytes > MAX_LABEL_BYTES {
            return Err(ManifestError::LabelBytes { limit: MAX_LABEL_BYTES });
        }
        if !seen.insert(ids) {
            return Err(input.invalid("a stream that is listed twice"));
        }
        sets.push(LabelSet::from_pairs(texts).map_err(|_| input.invalid("a label name that occurs twice"))?);
    }
    Ok(sets)
}

fn read_minutes(input: &mut Input<'_>, streams: &mut [StreamManifest], counts: &[usize]) -> Result<(), ManifestError> {
    // Three varints stand for every minute but a stream's first, so the counts cannot ask for more than the input is long.
    let stored = counts.iter().try_fold(0usize, |sum, count| sum.checked_add(count.saturating_sub(1))).ok_or(ManifestError::Truncated)?;
    let gaps = input.varints(stored)?;
    let rows = input.varints(stored)?;
    let bytes = input.varints(stored)?;
    let mut stored = gaps.into_iter().zip(rows).zip(bytes);
    for (stream, count) in streams.iter_mut().zip(counts) {
        if *count == 0 {
            return Err(input.invalid("a stream without minutes"));
        }
        let (mut minute, mut rows_left, mut bytes_left) = (stream.min.minute_bucket(), stream.rows, stream.bytes);
        let mut minutes = Vec::with_capacity(*count);
        for ((gap, rows), bytes) in stored.by_ref().take(count - 1) {
            minutes.push(MinuteCount { minute, rows, bytes });
            rows_left = rows_left.checked_sub(rows).filter(|_| rows > 0).ok_or_else(|| input.invalid("minute counts that do not add up"))?;
            bytes_left = bytes_left.checked_sub(bytes).ok_or_else(|| input.invalid("minute bytes that do not add up"))?;
            let step = gap.checked_add(1);
            minute = step.and_then(|step| minute.checked_add_unsigned(step)).ok_or_else(|| input.invalid("a minute after the end of time"))?;
        }
        minutes.push(MinuteCount { minute, rows: rows_left, bytes: bytes_left });
        stream.minutes = minutes;
    }
    Ok(())
}

pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn invalid(&self, what: &'static str) -> ManifestError {
        ManifestError::Invalid { what, offset: self.at }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], ManifestError> {
        let end = self.at.checked_add(length).ok_or(ManifestError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(ManifestError::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ManifestError> {
        self.take(N)?.try_into().map_err(|_| ManifestError::Truncated)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, ManifestError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, ManifestError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.invalid("a number of more than 64 bits"))
    }

    /// A number of items that follow, each at least one byte long, or the length of what follows.
    pub(crate) fn count(&mut self) -> Result<usize, ManifestError> {
        let count = usize::try_from(self.varint()?).map_err(|_| ManifestError::Truncated)?;
        if count > self.left() { Err(ManifestError::Truncated) } else { Ok(count) }
    }

    /// As [`Self::count`], written one higher, so that 0 can say that there is nothing.
    pub(crate) fn count_or_none(&mut self) -> Result<Option<usize>, ManifestError> {
        let Some(count) = self.varint()?.checked_sub(1) else { return Ok(None) };
        let count = usize::try_from(count).map_err(|_| ManifestError::Truncated)?;
        if count > self.left() { Err(ManifestError::Truncated) } else { Ok(Some(count)) }
    }

    fn varints(&mut self, count: usize) -> Result<Vec<u64>, ManifestError> {
        if count > self.left() {
            return Err(ManifestError::Truncated);
        }
        (0..count).map(|_| self.varint()).collect()
    }

    fn counts(&mut self, count: usize) -> Result<Vec<usize>, ManifestError> {
        self.varints(count)?.into_iter().map(|value| usize::try_from(value).map_err(|_| ManifestError::Truncated)).collect()
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes().first().copied().unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes().first().copied().unwrap_or(0));
}

/// Lengths of things in memory fit 64 bits.
pub(crate) fn len64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}
