//! What a scan will read at most, known before it reads a row. Pure.

use std::collections::HashSet;
use std::fmt;
use std::ops::AddAssign;

use schema::StreamManifest;
use schema::price::{DOLLARS_PER_GB_READ, DOLLARS_PER_READ_REQUEST};
use store::StoreError;
use store::chunk::ChunkReader;
use store::snapshot::Snapshot;

use super::chunk_source::ChunkSource;
use super::rows::columns_for;
use super::scan::ChunkScanExec;
use super::units::Unit;

/// At most what is planned: a log query that finds its lines early reads less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes of lines, as `index/stats` counts them, of the rows whose lines are read.
    pub line_bytes: u64,
    /// Bytes of objects.
    pub stored_bytes: u64,
    /// GETs.
    pub requests: u64,
}

impl Estimate {
    /// US dollars at list price.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn dollars(&self) -> f64 {
        self.requests as f64 * DOLLARS_PER_READ_REQUEST + self.line_bytes as f64 / 1e9 * DOLLARS_PER_GB_READ
    }
}

impl AddAssign for Estimate {
    fn add_assign(&mut self, other: Self) {
        self.line_bytes = self.line_bytes.saturating_add(other.line_bytes);
        self.stored_bytes = self.stored_bytes.saturating_add(other.stored_bytes);
        self.requests = self.requests.saturating_add(other.requests);
    }
}

impl fmt::Display for Estimate {
    /// One line for `explain`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line_bytes, stored_bytes, requests } = self;
        write!(f, "at most {line_bytes} bytes of lines, {stored_bytes} bytes of objects in {requests} GETs, ${:.9}", self.dollars())
    }
}

impl ChunkScanExec {
    /// What the scan will read of `snapshot`, out of which its units were made. Errors: a unit whose rows are not in order.
    pub(crate) fn estimate(&self, snapshot: &Snapshot) -> Result<Estimate, StoreError> {
        let mut sum = Estimate::default();
        let mut opened = HashSet::new();
        for unit in self.partitions().iter().flat_map(|units| units.iter()) {
            let columns = columns_for(unit, self.filters(), &self.spec().labels, self.spec().line);
            let (stored_bytes, requests) = match &unit.chunk {
                ChunkSource::Open(reader) => reader.planned_read(&unit.selection(), columns)?,
                ChunkSource::Named { chunk, .. } => {
                    let (bytes, requests) = ChunkReader::planned_open(chunk, unit.rows());
                    // The first unit of a chunk opens it, and a small one is then there.
                    match (opened.insert(unit.ordinal), requests) {
                        (true, _) => (bytes, requests),
                        (false, 1) => (0, 0),
                        (false, _) => (bytes, requests - 1),
                    }
                }
            };
            let streams = usize::try_from(unit.ordinal).ok().and_then(|ordinal| snapshot.chunks.get(ordinal)).map(|chunk| chunk.manifest().streams.as_slice());
            let line_bytes = if columns.lines { line_bytes(unit, streams.unwrap_or_default()) } else { 0 };
            sum += Estimate { line_bytes, stored_bytes, requests };
        }
        Ok(sum)
    }
}

/// Bytes of the lines of a unit's rows: of each stream its part of the rows has that part of the bytes.
fn line_bytes(unit: &Unit, streams: &[StreamManifest]) -> u64 {
    let bytes_of = |first: u64, rows: u64| {
        let after = streams.partition_point(|stream| stream.first_row <= first);
        let stream = after.checked_sub(1).and_then(|at| streams.get(at))?;
        u64::try_from((u128::from(stream.bytes) * u128::from(rows)).div_ceil(u128::from(stream.rows.max(1)))).ok()
    };
    unit.pieces.iter().filter_map(|piece| bytes_of(piece.rows.start, piece.rows.end.saturating_sub(piece.rows.start))).fold(0, u64::saturating_add)
}
