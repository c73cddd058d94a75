//! What a day manifest holds, and the rules that every one keeps.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use super::{Day, wire};
use crate::key::{ChunkHash, LabelBloom};
use crate::level1::Level1Key;
use crate::manifest::ManifestError;
use crate::tenant::TenantId;
use crate::time::Timestamp;

/// How many of its last commits a manifest remembers, so that a writer whose commit has an unclear outcome can find itself.
pub const MAX_COMMITS: usize = 64;

/// Names one commit of one manifest. Random, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommitId(pub [u8; 16]);

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A compacted chunk, as far as a planner needs it before it opens the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkEntry {
    /// Its name.
    pub key: Level1Key,
    /// Bytes of the object.
    pub size: u64,
    /// First bytes of BLAKE3 over the object.
    pub checksum: [u8; 16],
    /// Rows inside, at least 1.
    pub rows: u64,
    /// Line bytes inside.
    pub bytes: u64,
    /// Earliest timestamp inside.
    pub min: Timestamp,
    /// Latest timestamp inside.
    pub max: Timestamp,
    /// Streams inside, at least 1.
    pub streams: u64,
    /// Bytes at the object's end that hold its footer and page index: what one GET must fetch to open it.
    pub footer: u64,
    /// Which label pairs may be inside.
    pub bloom: LabelBloom,
    /// The chunk's label manifest ([`crate::ChunkManifest::encode`]) as one zstd frame, where it is small; otherwise it is read from the footer.
    pub labels: Option<Box<[u8]>>,
}

/// A level-0 chunk whose rows of this day lie in compacted chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Consumed {
    /// The chunk.
    pub hash: ChunkHash,
    /// When it was consumed, by the compactor's clock.
    pub at: Timestamp,
}

/// A compacted chunk that is no longer part of the day. Readers with an older manifest may still read it for a while.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replaced {
    /// The chunk.
    pub key: Level1Key,
    /// When it was taken out, by the compactor's clock.
    pub at: Timestamp,
}

/// The compacted chunks of one day of one tenant, and what they were made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayManifest {
    /// Which day.
    pub day: Day,
    /// How often it was committed.
    pub generation: u64,
    /// The last commits, oldest first, at most [`MAX_COMMITS`].
    pub commits: Vec<CommitId>,
    /// Live chunks, ascending by key. Together they hold each row of the consumed chunks once.
    pub chunks: Vec<ChunkEntry>,
    /// Level-0 chunks that count no more for this day, ascending by hash.
    pub consumed: Vec<Consumed>,
    /// Chunks that wait for their deletion, ascending by key.
    pub replaced: Vec<Replaced>,
    /// Delete requests that no live chunk holds rows of any more, ascending.
    pub deletes_done: Vec<Box<str>>,
}

impl DayManifest {
    /// A day without chunks.
    pub const fn empty(day: Day) -> Self {
        Self { day, generation: 0, commits: Vec::new(), chunks: Vec::new(), consumed: Vec::new(), replaced: Vec::new(), deletes_done: Vec::new() }
    }

    /// The manifest in the binary form of RFC 0002, not compressed.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads what [`Self::encode`] of this or any earlier version wrote for `tenant` and `day`. Safe on arbitrary bytes: memory stays within a small multiple of
    /// the input, and what comes back passes [`Self::validate`].
    pub fn decode(tenant: &TenantId, day: Day, bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest = wire::decode(tenant, bytes)?;
        if manifest.day != day {
            return Err(invalid("it is the manifest of another day"));
        }
        manifest.validate()?;
        Ok(manifest)
    }

    /// Checks every rule: order, no chunk twice or both live and replaced, rows inside the day.
    pub fn validate(&self) -> Result<(), ManifestError> {
        let ascending = self.chunks.is_sorted_by(|a, b| a.key < b.key)
            && self.consumed.is_sorted_by(|a, b| a.hash < b.hash)
            && self.replaced.is_sorted_by(|a, b| a.key < b.key)
            && self.deletes_done.is_sorted_by(|a, b| a < b);
        if !ascending {
            return Err(invalid("chunks, consumed chunks, replaced chunks or deletes that are not in order or occur twice"));
        }
        let replaced: HashSet<&Level1Key> = self.replaced.iter().map(|replaced| &replaced.key).collect();
        for chunk in &self.chunks {
            if replaced.contains(&chunk.key) {
                return Err(invalid("a chunk that is both live and replaced"));
            }
            if chunk.rows == 0 || chunk.streams == 0 || chunk.min > chunk.max || chunk.footer > chunk.size {
                return Err(invalid("a chunk without rows or streams, or with a footer larger than itself"));
            }
            let inside = |at: Timestamp| Day::of(at) == self.day && chunk.key.hour.is_none_or(|hour| Day::hour_of(at) == hour);
            if chunk.key.day != self.day || !inside(chunk.min) || !inside(chunk.max) {
                return Err(invalid("a chunk with rows outside of its day or hour"));
            }
        }
        if self.replaced.iter().any(|replaced| replaced.key.day != self.day) || self.commits.len() > MAX_COMMITS {
            return Err(invalid("a replaced chunk of another day, or too many commits"));
        }
        Ok(())
    }

    /// Whether the rows that the level-0 chunk with this hash has in this day lie in compacted chunks.
    pub fn has_consumed(&self, hash: &ChunkHash) -> bool {
        self.consumed.binary_search_by(|consumed| consumed.hash.cmp(hash)).is_ok()
    }

    /// Whether a commit is among the last ones.
    pub fn has_commit(&self, id: &CommitId) -> bool {
        self.commits.contains(id)
    }

    /// Every object that the manifest still speaks of: live and replaced.
    pub fn objects(&self) -> BTreeSet<&Level1Key> {
        self.chunks.iter().map(|chunk| &chunk.key).chain(self.replaced.iter().map(|replaced| &replaced.key)).collect()
    }
}

fn invalid(what: &'static str) -> ManifestError {
    ManifestError::Invalid { what, offset: 0 }
}
