//! Keeps the first rows in one direction of time.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewArray, BinaryViewBuilder, RecordBatch, TimestampNanosecondArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt as _;

use super::labels_column::{LabelsBuilder, LabelsColumn, column};
use super::plan::{one_input_plan, properties, stream_of};
use super::scan::ChunkScanExec;
use super::statistics::ScanStatistics;
use super::stop::StopState;
use crate::labels::{Category, LabelsView};
use crate::logical::Direction;
use crate::logical::columns::{IDENTITY, LINE, POSITION, TIMESTAMP};

/// One partition with at most `limit` rows, sorted: by time in the query's direction, then by the text of the stream's labels, then by
/// position in the query's direction: rows of one stream are cut off in the order in which they lie in a chunk, as a scan with a limit does. Of copies of a row, the one that sorts first is kept, whichever comes first: a row that the limit
/// has pushed out never has to come back.
/// With an interval, a row is kept only if it lies at least that far from the kept row before it.
/// Memory: the kept rows; with an interval, one row for each distinct timestamp.
#[derive(Debug)]
pub struct EntriesExec {
    input: Arc<dyn ExecutionPlan>,
    limit: usize,
    direction: Direction,
    interval: i64,
    properties: Arc<PlanProperties>,
}

impl EntriesExec {
    /// The first rows of `input`, which has one partition.
    pub fn new(input: Arc<dyn ExecutionPlan>, limit: usize, direction: Direction, interval: i64) -> Self {
        let properties = properties(input.schema(), 1, EmissionType::Final);
        Self { input, limit, direction, interval, properties }
    }

    /// Most rows.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// From which end.
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// Least nanoseconds between kept rows; 0 thins nothing.
    pub const fn interval(&self) -> i64 {
        self.interval
    }

    fn rebuilt(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.limit, self.direction, self.interval))
    }

    fn run(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut kept = Kept {
            limit: self.limit,
            direction: self.direction,
            interval: self.interval,
            scans: scans_below(&self.input),
            rows: BTreeMap::new(),
            copied: HashMap::new(),
            memory: MemoryConsumer::new("entries").register(context.memory_pool()),
        };
        let mut input = self.input.execute(partition, context)?;
        let schema = self.schema();
        let out = Arc::clone(&schema);
        let batch = async move {
            while let Some(batch) = input.next().await {
                kept.add(&batch?)?;
            }
            kept.finish(&out)
        };
        Ok(stream_of(schema, futures::stream::once(batch)))
    }
}

/// What is shared with a scan below.
#[derive(Debug)]
struct Scan {
    stop: Option<Arc<StopState>>,
    statistics: Arc<ScanStatistics>,
}

/// The scans below, one a tenant, through operators that pass rows on.
fn scans_below(plan: &Arc<dyn ExecutionPlan>) -> Vec<Scan> {
    match plan.downcast_ref::<ChunkScanExec>() {
        Some(scan) => vec![Scan { stop: scan.stop().cloned(), statistics: Arc::clone(scan.statistics()) }],
        None => plan.children().into_iter().flat_map(scans_below).collect(),
    }
}

impl DisplayAs for EntriesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntriesExec: limit={}, {}", self.limit, self.direction.as_str())?;
        if self.interval > 0 {
            write!(f, ", interval={}ns", self.interval)?;
        }
        Ok(())
    }
}

one_input_plan!(EntriesExec, "EntriesExec");

/// Order of the answer.
#[derive(Clone, Debug)]
struct Rank {
    /// The timestamp, negated for backward queries.
    time: i128,
    labels: Arc<Labels>,
    /// Counted from the far end for backward queries.
    place: u64,
}

impl Rank {
    /// What is compared. Rows of two tenants can have the same place, so all labels are part of it, behind everything else.
    fn key(&self) -> (i128, &str, u64, &[u8]) {
        (self.time, &self.labels.text, self.place, &self.labels.encoded)
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// A kept row.
#[derive(Debug)]
struct Found {
    timestamp: i64,
    position: u64,
    identity: u64,
    line: Box<[u8]>,
}

/// An encoded set and the text that it sorts by, which is that of the stream's labels alone.
#[derive(Debug)]
struct Labels {
    text: String,
    encoded: Box<[u8]>,
}

#[derive(Debug)]
struct Kept {
    limit: usize,
    direction: Direction,
    interval: i64,
    scans: Vec<Scan>,
    rows: BTreeMap<Rank, Found>,
    /// The kept rows that have copies, by time and identity.
    copied: HashMap<(i128, u64), Rank>,
    memory: MemoryReservation,
}

impl Kept {
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let timestamps = column::<TimestampNanosecondArray>(batch, TIMESTAMP)?.values();
        let lines: &BinaryViewArray = column(batch, LINE)?;
        let positions = column::<UInt64Array>(batch, POSITION)?.values();
        let identities = column::<UInt64Array>(batch, IDENTITY)?.values();
        let labels = LabelsColumn::of(batch)?;
        let mut known: Vec<Option<Arc<Labels>>> = vec![None; labels.distinct()];
        for (row, ((&timestamp, &position), &identity)) in timestamps.iter().zip(positions).zip(identities).enumerate() {
            let time = self.time(timestamp);
            if self.is_full() && self.rows.last_key_value().is_some_and(|(last, _)| last.time < time) {
                continue;
            }
            let key = labels.key(row);
            let Some(slot) = known.get_mut(key) else { continue };
            let labels = match slot {
                Some(labels) => Arc::clone(labels),
                None => Arc::clone(slot.insert(Arc::new(Labels::decode(labels.encoded(key))?))),
            };
            let place = match self.direction {
                Direction::Forward => position,
                Direction::Backward => u64::MAX - position,
            };
            self.keep(Rank { time, labels, place }, Found { timestamp, position, identity, line: lines.value(row).into() })?;
        }
        if self.is_full()
            && let Some((_, worst)) = self.rows.last_key_value()
        {
            self.scans.iter().filter_map(|scan| scan.stop.as_ref()).for_each(|stop| stop.narrow(worst.timestamp));
        }
        Ok(())
    }

    fn time(&self, timestamp: i64) -> i128 {
        match self.direction {
            Direction::Forward => i128::from(timestamp),
            Direction::Backward => -i128::from(timestamp),
        }
    }

    /// Whether a row must be better than the last one to get in. With an interval every instant counts.
    fn is_full(&self) -> bool {
        self.interval == 0 && self.rows.len() >= self.limit
    }

    fn keep(&mut self, rank: Rank, found: Found) -> Result<()> {
        if self.limit == 0 || self.is_worse_copy(&rank, &found) || (self.interval > 0 && !self.is_first_of_instant(&rank)) {
            return Ok(());
        }
        self.memory.try_grow(found.weight())?;
        if found.identity != 0 {
            self.copied.insert((rank.time, found.identity), rank.clone());
        }
        self.rows.insert(rank, found);
        if self.interval == 0 && self.rows.len() > self.limit {
            let last = self.rows.last_key_value().map(|(rank, _)| rank.clone());
            last.into_iter().for_each(|rank| self.forget(&rank));
        }
        Ok(())
    }

    /// Whether a copy of the row that sorts first is kept already. A kept copy that sorts later is forgotten.
    fn is_worse_copy(&mut self, rank: &Rank, found: &Found) -> bool {
        if found.identity == 0 {
            return false;
        }
        let Some(kept) = self.copied.get(&(rank.time, found.identity)).cloned() else { return false };
        // All scans of a query count in one place.
        if let Some(scan) = self.scans.first() {
            ScanStatistics::add(&scan.statistics.duplicates, 1);
        }
        if kept <= *rank {
            return true;
        }
        self.forget(&kept);
        false
    }

    /// Of rows of one instant only the first can be in the answer of a query with an interval. A kept row that comes after
    /// `rank` is forgotten.
    fn is_first_of_instant(&mut self, rank: &Rank) -> bool {
        let lowest = Rank { time: rank.time, labels: Arc::new(Labels { text: String::new(), encoded: Box::default() }), place: 0 };
        let Some(kept) = self.rows.range(lowest..).next().map(|(kept, _)| kept.clone()).filter(|kept| kept.time == rank.time) else { return true };
        let first = kept > *rank;
        if first {
            self.forget(&kept);
        }
        first
    }

    fn forget(&mut self, rank: &Rank) {
        if let Some(found) = self.rows.remove(rank) {
            self.copied.remove(&(rank.time, found.identity));
            self.memory.shrink(found.weight().min(self.memory.size()));
        }
    }

    fn finish(self, schema: &SchemaRef) -> Result<RecordBatch> {
        let mut labels = LabelsBuilder::default();
        let (mut timestamps, mut positions, mut identities) = (Vec::new(), Vec::new(), Vec::new());
        let mut lines = BinaryViewBuilder::new();
        let mut next_time = i128::MIN;
        for (rank, found) in &self.rows {
            if timestamps.len() == self.limit {
                break;
            }
            if rank.time < next_time {
                continue;
            }
            if self.interval > 0 {
                next_time = rank.time + i128::from(self.interval);
            }
            timestamps.push(found.timestamp);
            positions.push(found.position);
            identities.push(found.identity);
            lines.append_value(&found.line);
            let key = labels.intern(&rank.labels.encoded);
            labels.push(key);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampNanosecondArray::from(timestamps)),
            labels.finish()?,
            Arc::new(lines.finish()),
            Arc::new(UInt64Array::from(positions)),
            Arc::new(UInt64Array::from(identities)),
        ];
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

impl Found {
    /// Bytes that the row takes, with its places in both maps and its share of label sets.
    fn weight(&self) -> usize {
        /// Text and encoding of a label set that no other row may share.
        const LABELS: usize = 256;
        self.line.len() + size_of::<Self>() + 2 * size_of::<Rank>() + LABELS
    }
}

impl Labels {
    fn decode(encoded: &[u8]) -> Result<Self> {
        let view = LabelsView::decode(encoded)?;
        let mut text = String::new();
        for label in view.iter().filter(|label| label.category == Category::Stream) {
            text.push_str(label.name);
            text.push('=');
            text.push_str(label.value);
            text.push(',');
        }
        Ok(Self { text, encoded: encoded.into() })
    }
}
