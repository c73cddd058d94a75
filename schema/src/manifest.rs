//! The label manifest of one chunk: which streams it holds, in which rows, and how much of each per minute.
//! Source: DESIGN 3 and 4; the encoding is RFC 0001.

pub(crate) mod wire;

use std::collections::HashSet;

use crate::key::ChunkHash;
use crate::labels::LabelSet;
use crate::time::Timestamp;

/// Why bytes are no manifest, or why a manifest contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Written by a later version of Tarn, or no manifest at all.
    #[error("manifest version {version} is not known to this version of tarn; the newest known is 1")]
    Version {
        /// What the first byte says.
        version: u8,
    },
    /// The bytes end before the manifest does.
    #[error("manifest is cut short")]
    Truncated,
    /// More label text than any chunk may have.
    #[error("manifest spells more than {limit} bytes of labels")]
    LabelBytes {
        /// The most that is accepted.
        limit: usize,
    },
    /// A rule of the format is broken.
    #[error("manifest is not valid: {what} (byte {offset})")]
    Invalid {
        /// The broken rule.
        what: &'static str,
        /// How far decoding had come; 0 for a manifest in memory.
        offset: usize,
    },
}

/// Rows and line bytes of one stream in one minute. A row on a whole minute counts to the minute that it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinuteCount {
    /// Which minute ([`Timestamp::minute_bucket`]).
    pub minute: i64,
    /// Rows in that minute.
    pub rows: u64,
    /// Line bytes in that minute.
    pub bytes: u64,
}

/// One stream inside a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamManifest {
    /// The stream's labels.
    pub labels: LabelSet,
    /// Its first row in the chunk; its rows are consecutive and sorted by timestamp.
    pub first_row: u64,
    /// Number of rows, at least 1.
    pub rows: u64,
    /// Earliest timestamp.
    pub min: Timestamp,
    /// Latest timestamp.
    pub max: Timestamp,
    /// Line bytes, structured metadata not counted.
    pub bytes: u64,
    /// Rows and bytes per minute, ascending, minutes without rows left out.
    pub minutes: Vec<MinuteCount>,
}

/// Everything a planner may know of a chunk without reading a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkManifest {
    /// Streams in row order: `first_row` starts at 0 and leaves no gap. Labels are unique.
    pub streams: Vec<StreamManifest>,
    /// Content hash of every push whose rows are here, in commit order; a hash that is also in another chunk marks a retried push.
    pub pushes: Vec<ChunkHash>,
}

impl ChunkManifest {
    /// The manifest in the binary form of RFC 0001, not compressed. Only a manifest that passes [`Self::validate`] survives the way back.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads what [`Self::encode`] of this or any earlier version wrote. Safe on arbitrary bytes: memory stays within a small multiple of the
    /// input plus a fixed bound on label text, and what comes back passes [`Self::validate`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        wire::decode(bytes)
    }

    /// Checks every rule of the format: rows without gaps, times in order, minutes ascending and adding up, labels unique.
    pub fn validate(&self) -> Result<(), ManifestError> {
        self.check_totals()?;
        let mut label_sets = HashSet::with_capacity(self.streams.len());
        let mut label_bytes = 0usize;
        for stream in &self.streams {
            if !label_sets.insert(&stream.labels) {
                return Err(invalid("a stream that is listed twice"));
            }
            label_bytes += stream.labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        }
        if label_bytes > wire::MAX_LABEL_BYTES {
            return Err(ManifestError::LabelBytes { limit: wire::MAX_LABEL_BYTES });
        }
        Ok(())
    }

    fn check_totals(&self) -> Result<(), ManifestError> {
        let (mut next_row, mut total_bytes) = (0u64, 0u64);
        for stream in &self.streams {
            if stream.first_row != next_row || stream.rows == 0 {
                return Err(invalid("rows of streams that leave a gap, overlap or are none"));
            }
            next_row = next_row.checked_add(stream.rows).ok_or_else(|| invalid("more rows than can be counted"))?;
            total_bytes = total_bytes.checked_add(stream.bytes).ok_or_else(|| invalid("more bytes than can be counted"))?;
            stream.check_minutes()?;
        }
        Ok(())
    }

    /// Rows in the chunk.
    pub fn rows(&self) -> u64 {
        self.streams.iter().map(|s| s.rows).sum()
    }

    /// Line bytes in the chunk.
    pub fn bytes(&self) -> u64 {
        self.streams.iter().map(|s| s.bytes).sum()
    }

    /// Earliest and latest timestamp; `None` for a chunk without rows.
    pub fn time_bounds(&self) -> Option<(Timestamp, Timestamp)> {
        let min = self.streams.iter().map(|s| s.min).min()?;
        let max = self.streams.iter().map(|s| s.max).max()?;
        Some((min, max))
    }
}

impl StreamManifest {
    fn check_minutes(&self) -> Result<(), ManifestError> {
        let (Some(first), Some(last)) = (self.minutes.first(), self.minutes.last()) else {
            return Err(invalid("a stream without minutes"));
        };
        if self.min > self.max || first.minute != self.min.minute_bucket() || last.minute != self.max.minute_bucket() {
            return Err(invalid("minutes that do not span the stream's time range"));
        }
        if !self.minutes.is_sorted_by(|a, b| a.minute < b.minute) {
            return Err(invalid("minutes that do not ascend"));
        }
        let rows = self.minutes.iter().try_fold(0u64, |sum, m| sum.checked_add(m.rows).filter(|_| m.rows > 0));
        let bytes = self.minutes.iter().try_fold(0u64, |sum, m| sum.checked_add(m.bytes));
        if rows != Some(self.rows) || bytes != Some(self.bytes) {
            return Err(invalid("minute counts that do not add up"));
        }
        Ok(())
    }
}

fn invalid(what: &'static str) -> ManifestError {
    ManifestError::Invalid { what, offset: 0 }
}

#[cfg(test)]
mod tests;
