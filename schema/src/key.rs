//! Every object name that Tarn writes (DESIGN 4). A key begins with its tenant, and only this module builds keys, so no
//! code path can name another tenant's object.

use std::collections::HashSet;
use std::fmt;

use crate::day::Day;
use crate::labels::LabelSet;
use crate::tenant::TenantId;
use crate::time::{TimeRange, Timestamp};

/// Name of the object that states the format version of a store.
pub const FORMAT_KEY: &str = "tarn.json";
/// Prefix of the objects that the start-up probe writes and removes.
pub const PROBE_PREFIX: &str = "probe/";

/// What the name of every tenant's folder begins with; the tenant's id follows.
pub const TENANT_FOLDER: &str = "t=";

/// First bytes of BLAKE3 over the canonical rows of a push or chunk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkHash(pub [u8; 16]);

impl ChunkHash {
    /// Reads 32 lower-case hex digits.
    pub fn parse_hex(text: &str) -> Option<Self> {
        if text.len() != 32 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|value| Self(value.to_be_bytes()))
    }
}

impl fmt::Display for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The prefix under which a tenant's level-0 chunks lie; one LIST of it is the log of the tenant.
pub fn level0_prefix(tenant: &TenantId) -> String {
    format!("t={tenant}/l0/")
}

/// The prefix of a tenant's day manifests and of its delete requests: one LIST of it says which of them are new.
pub fn manifest_prefix(tenant: &TenantId) -> String {
    format!("t={tenant}/m/")
}

/// The manifest of one day.
pub fn day_manifest_key(tenant: &TenantId, day: Day) -> String {
    format!("t={tenant}/m/{day}")
}

/// The delete requests of a tenant. Lies among the day manifests, so that one LIST shows whether it changed.
pub fn deletes_key(tenant: &TenantId) -> String {
    format!("t={tenant}/m/deletes")
}

/// The prefix of everything a tenant owns.
pub fn tenant_prefix(tenant: &TenantId) -> String {
    format!("t={tenant}/")
}

/// The name of a level-0 chunk: `t=<tenant>/l0/<shard>/<tmin>-<tmax>-<rows>-<bloom>-<hash>.parquet`.
/// Times are 16 hex digits with the sign bit flipped, so that names sort by time; the shard is the first digit of the hash,
/// so that a busy tenant spreads over 16 prefixes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChunkKey {
    /// Whose chunk it is.
    pub tenant: TenantId,
    /// Earliest timestamp inside.
    pub min: Timestamp,
    /// Latest timestamp inside.
    pub max: Timestamp,
    /// Number of rows.
    pub rows: u64,
    /// Which label pairs may be inside.
    pub bloom: LabelBloom,
    /// Content hash of the rows.
    pub hash: ChunkHash,
}

/// A level-0 object whose name this version cannot read. Never skipped: it may hold acknowledged rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("object '{key}' is not a level-0 chunk name of this format version")]
pub struct ChunkKeyError {
    /// The object's name.
    pub key: String,
}

impl ChunkKey {
    /// Reads an object name that a LIST of [`level0_prefix`] returned.
    pub fn parse(tenant: &TenantId, key: &str) -> Result<Self, ChunkKeyError> {
        Self::parse_name(tenant, key).ok_or_else(|| ChunkKeyError { key: key.to_owned() })
    }

    fn parse_name(tenant: &TenantId, key: &str) -> Option<Self> {
        let rest = key.strip_prefix(&level0_prefix(tenant))?;
        let (shard, name) = rest.split_once('/')?;
        let mut parts = name.strip_suffix(".parquet")?.split('-');
        let (min, max, rows, bloom, hash) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let parsed = Self {
            tenant: tenant.clone(),
            min: parse_time(min)?,
            max: parse_time(max)?,
            rows: rows.parse().ok()?,
            bloom: LabelBloom::parse(bloom)?,
            hash: ChunkHash::parse_hex(hash)?,
        };
        (parsed.shard() == shard && parsed.min <= parsed.max).then_some(parsed)
    }

    fn shard(&self) -> String {
        format!("{:x}", self.hash.0.first().copied().unwrap_or(0) >> 4)
    }

    /// Whether a row with a timestamp in `range` may be inside.
    pub fn overlaps(&self, range: &TimeRange) -> bool {
        range.overlaps_closed(self.min, self.max)
    }
}

impl fmt::Display for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}/{}-{}-{}-{}-{}.parquet",
            level0_prefix(&self.tenant),
            self.shard(),
            TimeText(self.min),
            TimeText(self.max),
            self.rows,
            self.bloom,
            self.hash
        )
    }
}

struct TimeText(Timestamp);

impl fmt::Display for TimeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0.0.cast_unsigned() ^ (1 << 63))
    }
}

fn parse_time(text: &str) -> Option<Timestamp> {
    if text.len() != 16 {
        return None;
    }
    u64::from_str_radix(text, 16).ok().map(|bits| Timestamp((bits ^ (1 << 63)).cast_signed()))
}

/// A Bloom filter over the `name=value` pairs of a chunk's streams, three probes. In a file name 64 to 512 bits, in a day manifest up to 32,768.
/// A chunk with too many pairs has no filter, written `x`: then every pair may be inside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct LabelBloom {
    words: Vec<u64>,
}

const BLOOM_PROBES: u32 = 3;
const BLOOM_WORDS: [usize; 4] = [1, 2, 4, 8];
const BITS_PER_PAIR: usize = 8;
/// Beyond this many pairs 512 bits say next to nothing.
const BLOOM_MAX_PAIRS: usize = 200;

/// Beyond this many pairs a day manifest would grow too large.
const LARGE_BLOOM_MAX_PAIRS: usize = 4096;
/// Words of the largest filter.
const LARGE_BLOOM_WORDS: usize = 512;

impl LabelBloom {
    /// The filter of a chunk with these streams, for its name.
    pub fn of_streams<'a>(streams: impl IntoIterator<Item = &'a LabelSet>) -> Self {
        Self::sized(streams, BLOOM_MAX_PAIRS, 8)
    }

    /// The filter of a chunk with these streams, for its entry in a day manifest.
    pub fn large_of_streams<'a>(streams: impl IntoIterator<Item = &'a LabelSet>) -> Self {
        Self::sized(streams, LARGE_BLOOM_MAX_PAIRS, LARGE_BLOOM_WORDS)
    }

    fn sized<'a>(streams: impl IntoIterator<Item = &'a LabelSet>, max_pairs: usize, max_words: usize) -> Self {
        let mut hashes = HashSet::new();
        for labels in streams {
            for (name, value) in labels.iter() {
                hashes.insert(pair_hash(name, value));
                if hashes.len() > max_pairs {
                    return Self::default();
                }
            }
        }
        let words = (hashes.len() * BITS_PER_PAIR).div_ceil(64).next_power_of_two().clamp(1, max_words);
        let mut bloom = Self { words: vec![0; words] };
        for hash in hashes {
            for (word, mask) in probes(hash, words) {
                if let Some(bits) = bloom.words.get_mut(word) {
                    *bits |= mask;
                }
            }
        }
        bloom
    }

    /// Whether some stream of the chunk may have this label. `false` is certain.
    pub fn may_contain(&self, name: &str, value: &str) -> bool {
        self.words.is_empty() || probes(pair_hash(name, value), self.words.len()).all(|(word, mask)| self.words.get(word).is_some_and(|bits| bits & mask != 0))
    }

    /// Reads what [`fmt::Display`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "x" {
            return Some(Self::default());
        }
        if !text.is_ascii() || !BLOOM_WORDS.iter().any(|words| words * 16 == text.len()) {
            return None;
        }
        let words = (0..text.len()).step_by(16).map(|at| u64::from_str_radix(text.get(at..at + 16)?, 16).ok()).collect::<Option<Vec<u64>>>()?;
        Some(Self { words })
    }

    /// The filter as 64-bit words; none for a chunk without a filter.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// The filter of these words; `None` if no filter has so many.
    pub(crate) fn of_words(words: Vec<u64>) -> Option<Self> {
        (words.is_empty() || (words.len().is_power_of_two() && words.len() <= LARGE_BLOOM_WORDS)).then_some(Self { words })
    }
}

impl fmt::Display for LabelBloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.words.is_empty() {
            return f.write_str("x");
        }
        self.words.iter().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

fn pair_hash(name: &str, value: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.as_bytes()).update(&[0xff]).update(value.as_bytes());
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// The (word, bit mask) of each probe: nine hash bits a probe, or 15 for a filter of more than 512 bits, cut to the filter's size.
fn probes(hash: u64, words: usize) -> impl Iterator<Item = (usize, u64)> {
    let width = if words > 8 { 15 } else { 9 };
    (0..BLOOM_PROBES).map(move |probe| {
        let bits = (hash >> (probe * width)) & ((1 << width) - 1);
        let word = usize::try_from(bits >> 6).unwrap_or(0) % words.max(1);
        (word, 1 << (bits & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(min: i64, max: i64, bloom: LabelBloom) -> ChunkKey {
        ChunkKey { tenant: TenantId::parse("a-b").unwrap(), min: Timestamp(min), max: Timestamp(max), rows: 7, bloom, hash: ChunkHash([0xab; 16]) }
    }

    #[test]
    fn names_fit_a_file_name_and_sort_by_time() {
        let streams: Vec<LabelSet> = (0..60).map(|i| LabelSet::from_pairs([("a", format!("{i}"))]).unwrap()).collect();
        let bloom = LabelBloom::of_streams(&streams);
        let names: Vec<String> = [i64::MIN, -1, 0, 1, i64::MAX].into_iter().map(|t| key(t, i64::MAX, bloom.clone()).to_string()).collect();
        assert!(names.is_sorted());
        assert!(names.iter().all(|n| n.rsplit('/').next().unwrap().len() <= 255), "{names:?}");
        assert!(names[0].starts_with("t=a-b/l0/a/0000000000000000-ffffffffffffffff-7-"));
    }

    #[test]
    fn a_name_of_another_shape_is_an_error_not_a_skip() {
        let tenant = TenantId::parse("a-b").unwrap();
        let good = key(1, 2, LabelBloom::default()).to_string();
        assert!(ChunkKey::parse(&tenant, &good).is_ok());
        for bad in [
            good.replace("t=a-b", "t=other"),
            good.replace("/a/", "/b/"),
            good.replace(".parquet", ".tmp"),
            good.replace("-x-", "-zz-"),
            good.replace("-7-", "-seven-"),
            good.replacen('8', "g", 1),
            key(3, 2, LabelBloom::default()).to_string(),
            "t=a-b/l0/a/x.parquet".to_owned(),
        ] {
            assert_eq!(ChunkKey::parse(&tenant, &bad), Err(ChunkKeyError { key: bad.clone() }));
        }
    }

    #[test]
    fn too_many_pairs_prune_nothing() {
        let streams: Vec<LabelSet> = (0..500).map(|i| LabelSet::from_pairs([("a", format!("{i}"))]).unwrap()).collect();
        let bloom = LabelBloom::of_streams(&streams);
        assert_eq!(bloom.to_string(), "x");
        assert!(bloom.may_contain("never", "seen"));
    }

    #[test]
    fn a_large_filter_rules_out_most_absent_pairs() {
        let sets = |count: usize| (0..count).map(|i| LabelSet::from_pairs([("pod", format!("{i}"))]).unwrap()).collect::<Vec<_>>();
        for (count, words) in [(10, 2), (200, 32), (1300, 256), (4096, 512)] {
            let streams = sets(count);
            let bloom = LabelBloom::large_of_streams(&streams);
            assert_eq!(bloom.words().len(), words, "{count} pairs");
            assert!((0..count).all(|i| bloom.may_contain("pod", &i.to_string())));
            let false_hits = (0..1000).filter(|i| bloom.may_contain("pod", &format!("absent-{i}"))).count();
            assert!(false_hits < 100, "{false_hits} of 1000 at {count} pairs");
            assert_eq!(LabelBloom::of_words(bloom.words().to_vec()), Some(bloom));
        }
        assert_eq!(LabelBloom::large_of_streams(&sets(4097)), LabelBloom::default());
        assert!(LabelBloom::of_words(vec![0; 3]).is_none() && LabelBloom::of_words(vec![0; 1024]).is_none());
    }

    #[test]
    fn a_small_filter_rules_out_most_absent_pairs() {
        let streams: Vec<LabelSet> = (0..10).map(|i| LabelSet::from_pairs([("app", "x".to_owned()), ("pod", format!("{i}"))]).unwrap()).collect();
        let bloom = LabelBloom::of_streams(&streams);
        let false_hits = (0..1000).filter(|i| bloom.may_contain("pod", &format!("absent-{i}"))).count();
        assert!(false_hits < 100, "{false_hits} of 1000");
    }

    proptest! {
        #[test]
        fn keys_round_trip(min: i64, len in 0i64..1 << 40, rows: u64, hash: [u8; 16], pods in proptest::collection::vec("[a-z]{1,8}", 0..40)) {
            let streams: Vec<LabelSet> = pods.iter().map(|p| LabelSet::from_pairs([("pod", p.as_str())]).unwrap()).collect();
            let bloom = LabelBloom::of_streams(&streams);
            for pod in &pods {
                prop_assert!(bloom.may_contain("pod", pod));
            }
            let key = ChunkKey { tenant: TenantId::default_tenant(), min: Timestamp(min), max: Timestamp(min.saturating_add(len)), rows, bloom, hash: ChunkHash(hash) };
            prop_assert_eq!(ChunkKey::parse(&key.tenant, &key.to_string()), Ok(key));
        }
    }
}
