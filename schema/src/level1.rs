//! Names of compacted chunks: `t=<tenant>/l1/date=YYYY-MM-DD/hour=HH/p=<partition>/<ulid>.parquet`, without `hour=` once merged to a day.
//! Owns: how they are built and read. Directories are named as Hive, Spark, Athena and DuckDB expect of partitions.
//! Must not know: what is in a chunk.

use std::fmt;

use ulid::Ulid;

use crate::day::Day;
use crate::tenant::TenantId;
use crate::time::Timestamp;

/// Longest partition text in a key; beyond it the rest is replaced by a hash.
const MAX_PARTITION_BYTES: usize = 120;
/// The partition of files in which small partitions lie together. Values never spell it: their `_` alone is escaped.
const SHARED: &str = "_";

/// The partition of a file as its key says it: the value of the partition labels, escaped to `[A-Za-z0-9._-]` and `%XX`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(Box<str>);

impl Partition {
    /// Files that hold several partitions.
    pub fn shared() -> Self {
        Self(SHARED.into())
    }

    /// The partition of rows whose partition labels have this value. Different values have different texts.
    pub fn of_value(value: &str) -> Self {
        let mut text = String::with_capacity(value.len());
        for byte in value.bytes() {
            // A file name must not be `.` or `..`, and `_` alone is taken.
            let plain = byte.is_ascii_alphanumeric() || byte == b'-' || (matches!(byte, b'.' | b'_') && value.len() > 2);
            if plain {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        if text.is_empty() {
            text.push_str("%00");
        }
        if text.len() > MAX_PARTITION_BYTES {
            let hash = blake3::hash(value.as_bytes()).to_hex();
            text.truncate(MAX_PARTITION_BYTES - 34);
            text.push_str("%%");
            text.push_str(hash.get(..32).unwrap_or_default());
        }
        Self(text.into())
    }

    /// Whether files of this partition hold several values.
    pub fn is_shared(&self) -> bool {
        &*self.0 == SHARED
    }

    /// Its text in keys.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads what a key or a manifest says.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let valid = !text.is_empty()
            && text.len() <= MAX_PARTITION_BYTES
            && !matches!(text, "." | "..")
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'%'));
        valid.then(|| Self(text.into()))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a compacted chunk. Ordered by tenant, day, hour (whole days first), partition, age.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Level1Key {
    /// Whose chunk it is.
    pub tenant: TenantId,
    /// The day that all its rows lie in.
    pub day: Day,
    /// The hour that all its rows lie in; `None` once hours were merged.
    pub hour: Option<u8>,
    /// Which partition it holds.
    pub partition: Partition,
    /// When it was begun, in milliseconds, and 80 random bits: never used twice.
    pub id: Ulid,
}

/// An object below [`level1_prefix`] whose name this version cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("object '{key}' is not a level-1 chunk name of this format version")]
pub struct Level1KeyError {
    /// The object's name.
    pub key: String,
}

/// The prefix of all compacted chunks of a tenant.
pub fn level1_prefix(tenant: &TenantId) -> String {
    format!("t={tenant}/l1/")
}

/// The prefix of the compacted chunks of one day.
pub fn level1_day_prefix(tenant: &TenantId, day: Day) -> String {
    format!("t={tenant}/l1/date={day}/")
}

impl Level1Key {
    /// Reads an object name that a LIST of [`level1_prefix`] returned, or that a day manifest holds.
    pub fn parse(tenant: &TenantId, key: &str) -> Result<Self, Level1KeyError> {
        Self::parse_name(tenant, key).ok_or_else(|| Level1KeyError { key: key.to_owned() })
    }

    fn parse_name(tenant: &TenantId, key: &str) -> Option<Self> {
        let rest = key.strip_prefix(&level1_prefix(tenant))?.strip_prefix("date=")?;
        let (day, rest) = rest.split_once('/')?;
        let (hour, rest) = match rest.strip_prefix("hour=") {
            Some(rest) => {
                let (hour, rest) = rest.split_once('/')?;
                (Some(hour.parse::<u8>().ok().filter(|hour| *hour < 24)?), rest)
            }
            None => (None, rest),
        };
        let (partition, name) = rest.strip_prefix("p=")?.split_once('/')?;
        let id = Ulid::from_string(name.strip_suffix(".parquet")?).ok()?;
        let parsed = Self { tenant: tenant.clone(), day: Day::parse(day)?, hour, partition: Partition::parse(partition)?, id };
        (parsed.to_string() == key).then_some(parsed)
    }

    /// When the chunk was begun, as its id says: the clock of the process that wrote it.
    pub fn created(&self) -> Timestamp {
        Timestamp(i64::try_from(self.id.timestamp_ms()).unwrap_or(i64::MAX).saturating_mul(1_000_000))
    }
}

impl fmt::Display for Level1Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&level1_day_prefix(&self.tenant, self.day))?;
        if let Some(hour) = self.hour {
            write!(f, "hour={hour:02}/")?;
        }
        write!(f, "p={}/{}.parquet", self.partition, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(hour: Option<u8>, value: &str) -> Level1Key {
        let tenant = TenantId::parse("a-b").unwrap();
        Level1Key { tenant, day: Day::parse("2026-11-01").unwrap(), hour, partition: Partition::of_value(value), id: Ulid::from_parts(1_793_491_200_123, 7) }
    }

    #[test]
    fn names_are_hive_partitions() {
        assert_eq!(key(Some(7), "web").to_string(), "t=a-b/l1/date=2026-11-01/hour=07/p=web/01M6A6FT3V0000000000000007.parquet");
        assert_eq!(key(None, "we b/ü").to_string(), "t=a-b/l1/date=2026-11-01/p=we%20b%2F%C3%BC/01M6A6FT3V0000000000000007.parquet");
        assert_eq!(key(None, "").partition.as_str(), "%00");
        assert_eq!(key(None, "x").created(), Timestamp(1_793_491_200_123_000_000));
    }

    #[test]
    fn a_name_of_another_shape_is_an_error() {
        let tenant = TenantId::parse("a-b").unwrap();
        let good = key(Some(7), "web").to_string();
        assert_eq!(Level1Key::parse(&tenant, &good), Ok(key(Some(7), "web")));
        for bad in [
            good.replace("t=a-b", "t=other"),
            good.replace("hour=07", "hour=7"),
            good.replace("hour=07", "hour=24"),
            good.replace("2026-11-01", "2026-11-31"),
            good.replace("p=web", "p=.."),
            good.replace("p=web/", "p=web/x/"),
            good.replace(".parquet", ".tmp"),
            good.replace("01M6", "01m6"),
            "t=a-b/l1/x".to_owned(),
        ] {
            assert_eq!(Level1Key::parse(&tenant, &bad), Err(Level1KeyError { key: bad.clone() }));
        }
    }

    #[test]
    fn no_value_spells_the_shared_partition_or_a_folder() {
        for value in ["_", ".", "..", "__", ""] {
            let partition = Partition::of_value(value);
            assert!(!partition.is_shared() && !matches!(partition.as_str(), "." | ".." | ""), "{value:?}: {partition}");
        }
    }

    proptest! {
        #[test]
        fn values_keep_apart_and_names_round_trip(a in ".{0,60}", b in ".{0,60}", hour in proptest::option::of(0u8..24)) {
            let (left, right) = (key(hour, &a), key(hour, &b));
            prop_assert_eq!(a == b, left.partition == right.partition);
            prop_assert_eq!(Level1Key::parse(&left.tenant, &left.to_string()), Ok(left.clone()));
            let longest = left.to_string().rsplit('/').map(str::len).max().unwrap_or(0);
            prop_assert!(longest <= 255);
        }
    }
}
