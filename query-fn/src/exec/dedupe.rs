//! Exact copies of a row in several chunks count once: a push that was retried lies in two.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use schema::LabelSet;
use store::chunk::MetadataSet;

use super::units::Unit;
use crate::QueryError;

/// Least width of a time slice, in nanoseconds.
const MIN_SLICE: i64 = schema::time::NANOS_PER_MINUTE;
/// Most slices that the time covered twice is cut into.
const MAX_SLICES: i64 = 4096;
/// What one remembered row takes in a hash set, about.
const ROW_BYTES: usize = 24;

/// The rows seen in the time intervals that several chunks cover, as 128-bit hashes. Kept per slice of time and dropped
/// when the last unit that touches the slice is done, so that memory follows the overlap, not the scan.
#[derive(Debug)]
pub(super) struct Dedupe {
    width: i64,
    keys: (RandomState, RandomState),
    slices: Mutex<Slices>,
}

#[derive(Debug)]
struct Slices {
    seen: HashMap<i64, HashSet<u128>>,
    /// Units that still have rows in a slice.
    pending: HashMap<i64, usize>,
    memory: MemoryReservation,
}

/// A row as far as it matters to which rows are copies of each other.
pub(super) struct RowIdentity<'a> {
    pub(super) stream: u128,
    pub(super) timestamp: i64,
    pub(super) line: &'a [u8],
    pub(super) metadata: Option<&'a MetadataSet>,
}

impl RowIdentity<'_> {
    fn write(&self, hasher: &mut DefaultHasher) {
        hasher.write_u128(self.stream);
        hasher.write_i64(self.timestamp);
        self.line.hash(hasher);
        self.metadata.map_or(&[][..], |set| set).hash(hasher);
    }
}

impl Dedupe {
    /// `None` when no two units share time.
    pub(super) fn of<'a>(units: impl Iterator<Item = &'a Unit> + Clone, pool: &Arc<dyn MemoryPool>) -> Option<Self> {
        let intervals = || units.clone().flat_map(|unit| &unit.pieces).flat_map(|piece| &piece.overlaps);
        let (from, to) = (intervals().map(|i| i.0).min()?, intervals().map(|i| i.1).max()?);
        let width = (to.saturating_sub(from) / MAX_SLICES).max(MIN_SLICE);
        let mut pending: HashMap<i64, usize> = HashMap::new();
        for unit in units.clone() {
            for slice in slices_of(unit, width) {
                *pending.entry(slice).or_default() += 1;
            }
        }
        let memory = MemoryConsumer::new("duplicate rows").register(pool);
        let slices = Slices { seen: HashMap::new(), pending, memory };
        Some(Self { width, keys: (RandomState::new(), RandomState::new()), slices: Mutex::new(slices) })
    }

    /// A stream's share of [`RowIdentity`].
    pub(super) fn stream(&self, labels: &LabelSet) -> u128 {
        self.hash(|hasher| labels.hash(hasher))
    }

    /// The same number for copies of a row, never 0.
    pub(super) fn identity(&self, row: &RowIdentity<'_>) -> u64 {
        let mut hasher = self.keys.0.build_hasher();
        row.write(&mut hasher);
        hasher.finish().max(1)
    }

    /// Drops from `rows` those whose identity was seen before, and remembers the others.
    /// Errors: the query's memory is used up.
    pub(super) fn retain<'a>(
        &self,
        rows: &mut Vec<usize>,
        identity: impl Fn(usize) -> Option<RowIdentity<'a>>,
    ) -> Result<(), datafusion::error::DataFusionError> {
        let mut slices = self.slices.lock();
        let mut added = 0;
        rows.retain(|&row| {
            let Some(row) = identity(row) else { return true };
            let hash = self.hash(|hasher| row.write(hasher));
            let new = slices.seen.entry(row.timestamp.div_euclid(self.width)).or_default().insert(hash);
            added += usize::from(new);
            new
        });
        slices.memory.try_grow(added * ROW_BYTES)
    }

    /// A unit is read to its end, or skipped: slices that no other unit touches are forgotten.
    pub(super) fn finish(&self, unit: &Unit) {
        let mut slices = self.slices.lock();
        for slice in slices_of(unit, self.width) {
            if let Some(pending) = slices.pending.get_mut(&slice) {
                *pending = pending.saturating_sub(1);
                if *pending == 0
                    && let Some(seen) = slices.seen.remove(&slice)
                {
                    slices.memory.shrink((seen.len() * ROW_BYTES).min(slices.memory.size()));
                }
            }
        }
    }

    fn hash(&self, write: impl Fn(&mut DefaultHasher)) -> u128 {
        let half = |keys: &RandomState| {
            let mut hasher = keys.build_hasher();
            write(&mut hasher);
            u128::from(hasher.finish())
        };
        half(&self.keys.0) << 64 | half(&self.keys.1)
    }
}

fn slices_of(unit: &Unit, width: i64) -> HashSet<i64> {
    let intervals = unit.pieces.iter().flat_map(|piece| piece.overlaps.iter().map(|(from, to)| (from.max(&piece.min), to.min(&piece.max))));
    intervals.flat_map(|(from, to)| from.div_euclid(width)..=to.div_euclid(width)).collect()
}

/// Why a unit that needs lines for this, or to know which rows are hidden, has none.
pub(super) fn no_lines() -> QueryError {
    QueryError::Internal { invariant: "units that share time with others, or have hidden rows, are read with lines and metadata".to_owned() }
}
