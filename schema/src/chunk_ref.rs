//! A chunk of either level as others refer to it: its name, and what must be known of it before it is opened.

use std::fmt;

use crate::day::ChunkEntry;
use crate::key::{ChunkHash, ChunkKey};
use crate::level1::Level1Key;
use crate::tenant::TenantId;
use crate::time::Timestamp;

/// The name of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChunkName {
    /// As it was pushed.
    Level0(ChunkKey),
    /// Compacted.
    Level1(Level1Key),
}

/// An object that bears the name of no chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("object '{key}' is not a chunk name of this format version")]
pub struct ChunkNameError {
    /// The object's name.
    pub key: String,
}

impl ChunkName {
    /// Reads a name of either level below the tenant's prefix.
    pub fn parse(tenant: &TenantId, key: &str) -> Result<Self, ChunkNameError> {
        let level0 = || ChunkKey::parse(tenant, key).map(Self::Level0).ok();
        let level1 = || Level1Key::parse(tenant, key).map(Self::Level1).ok();
        level0().or_else(level1).ok_or_else(|| ChunkNameError { key: key.to_owned() })
    }

    /// Whose chunk it is.
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Level0(key) => &key.tenant,
            Self::Level1(key) => &key.tenant,
        }
    }
}

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level0(key) => key.fmt(f),
            Self::Level1(key) => key.fmt(f),
        }
    }
}

/// A chunk that can be opened: where it is, and what it must turn out to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// Its name.
    pub name: ChunkName,
    /// Bytes of the object.
    pub size: u64,
    /// Bytes at its end that hold the footer, where that is known.
    pub footer: Option<u64>,
    /// Rows inside.
    pub rows: u64,
    /// Earliest timestamp inside.
    pub min: Timestamp,
    /// Latest timestamp inside.
    pub max: Timestamp,
}

impl ChunkRef {
    /// A level-0 chunk whose object has `size` bytes.
    pub fn level0(key: ChunkKey, size: u64) -> Self {
        Self { size, footer: None, rows: key.rows, min: key.min, max: key.max, name: ChunkName::Level0(key) }
    }

    /// A compacted chunk.
    pub fn level1(entry: &ChunkEntry) -> Self {
        let ChunkEntry { key, size, footer, rows, min, max, .. } = entry;
        Self { name: ChunkName::Level1(key.clone()), size: *size, footer: Some(*footer), rows: *rows, min: *min, max: *max }
    }

    /// What orders chunks of a query: by earliest timestamp, then by name. Copies of rows are answered from the first.
    pub fn order(&self) -> (Timestamp, Timestamp, Option<ChunkHash>, Option<&Level1Key>) {
        match &self.name {
            ChunkName::Level0(key) => (self.min, self.max, Some(key.hash), None),
            ChunkName::Level1(key) => (self.min, self.max, None, Some(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::day::Day;
    use crate::key::LabelBloom;
    use crate::level1::Partition;

    #[test]
    fn names_of_both_levels_are_told_apart() {
        let tenant = TenantId::parse("a").unwrap();
        let level0 = ChunkKey { tenant: tenant.clone(), min: Timestamp(1), max: Timestamp(2), rows: 3, bloom: LabelBloom::default(), hash: ChunkHash([0; 16]) };
        let level1 = Level1Key { tenant: tenant.clone(), day: Day::of(Timestamp(1)), hour: Some(0), partition: Partition::of_value("x"), id: ulid::Ulid(5) };
        for name in [ChunkName::Level0(level0), ChunkName::Level1(level1)] {
            assert_eq!(ChunkName::parse(&tenant, &name.to_string()), Ok(name.clone()));
            assert!(ChunkName::parse(&TenantId::parse("b").unwrap(), &name.to_string()).is_err());
        }
        assert!(ChunkName::parse(&tenant, "t=a/m/2026-11-01").is_err());
    }
}
