//! Where the rows of a job go: into files by hour and partition, each written when it is full.
//! Owns: which file a row belongs to, names, the bound on memory of unfinished files.
//! Must not know: where rows come from, manifests of days.

use std::collections::{BTreeMap, HashMap};

use schema::{ChunkEntry, Day, LabelBloom, LabelSet, Level1Key, Partition, StreamManifest, TenantId, Timestamp};
use store::ObjectClient;
use store::chunk::{ChunkWriter, MergeOptions, MetadataSet, WrittenChunk};
use ulid::Ulid;

use crate::error::CompactError;
use crate::filter::RowFilter;
use crate::merge::RowSink;
use crate::plan::{RUN_BITS, Target};
use crate::settings::{PlanSettings, TenantSettings};

/// zstd level of files that will be merged again: a third of the CPU, a tenth larger.
const ZSTD_SMALL: i32 = 1;
/// zstd level of files that stay.
const ZSTD_FINAL: i32 = 9;
/// Largest label manifest, compressed, that an entry carries; that of a larger one is read from the chunk's footer.
const MAX_INLINE_LABELS: usize = 64 << 10;

/// A file under construction: its hour, and its partition if it has one of its own.
type Place = (Option<u8>, Option<Partition>);

/// How many raw bytes will go to each place: estimated from label manifests before the first row is read.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    bytes: HashMap<(Option<u8>, Partition), u64>,
}

impl Shares {
    /// Adds the rows of `stream` that lie in `day`.
    pub(crate) fn add(&mut self, stream: &StreamManifest, day: Day, target: Target, settings: &TenantSettings) {
        let partition = Partition::of_value(&settings.partition_value(&stream.labels));
        let mut last: Option<(Option<u8>, u64)> = None;
        for minute in &stream.minutes {
            let (_, end) = schema::time::bucket_bounds(minute.minute);
            if Day::of(end) != day {
                continue;
            }
            let hour = hour_for(end, target);
            match &mut last {
                Some((known, bytes)) if *known == hour => *bytes += minute.bytes,
                _ => {
                    if let Some((hour, bytes)) = last.replace((hour, minute.bytes)) {
                        *self.bytes.entry((hour, partition.clone())).or_default() += bytes;
                    }
                }
            }
        }
        if let Some((hour, bytes)) = last {
            *self.bytes.entry((hour, partition)).or_default() += bytes;
        }
    }

    /// Raw bytes of each file of each place: equal parts, so that no small rest is left.
    fn files(&self, settings: &PlanSettings) -> HashMap<Place, FilePlan> {
        let mut places: HashMap<Place, u64> = HashMap::new();
        for ((hour, partition), bytes) in &self.bytes {
            let own = (*bytes >= settings.partition_bytes).then(|| partition.clone());
            *places.entry((*hour, own)).or_default() += bytes;
        }
        let plan =
            |bytes: u64| FilePlan { bytes: bytes.div_ceil(bytes.div_ceil(settings.file_bytes.max(1)).max(1)).max(1), last: bytes >= settings.small_bytes };
        places.into_iter().map(|(place, bytes)| (place, plan(bytes))).collect()
    }
}

/// A file that rows are still added to.
#[derive(Debug)]
struct OpenFile {
    writer: ChunkWriter,
    line_bytes: u64,
}

/// What is known of the files of a place.
#[derive(Clone, Copy, Debug)]
struct FilePlan {
    /// Line bytes after which a file ends.
    bytes: u64,
    /// Whether the files are large enough to stay as they are.
    last: bool,
}

fn hour_for(at: Timestamp, target: Target) -> Option<u8> {
    match target {
        Target::Hours => Some(Day::hour_of(at)),
        Target::Day => None,
    }
}

/// What a job writes, and in which day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) client: &'a ObjectClient,
    pub(crate) tenant: &'a TenantId,
    pub(crate) settings: &'a TenantSettings,
    pub(crate) plan: &'a PlanSettings,
    pub(crate) day: Day,
    pub(crate) target: Target,
}

/// Takes rows in canonical order and uploads the files that they fill. Dropping it leaves the uploaded ones as orphans.
#[derive(Debug)]
pub(crate) struct Outputs<'a> {
    to: Destination<'a>,
    /// Id of the job's first file.
    run: Ulid,
    files_begun: u16,
    plans: HashMap<Place, FilePlan>,
    open: BTreeMap<Place, OpenFile>,
    filter: RowFilter<'a>,
    stream: Option<LabelSet>,
    partition: Partition,
    /// Where the rows of the stream go that lie in the hour of the last one.
    current: Option<(Place, FilePlan)>,
    /// Rows of level-0 chunks that lie in another day than the job's.
    pub(crate) outside: u64,
    written: Vec<ChunkEntry>,
    rows_until_check: u32,
}

/// The memory of unfinished files is looked at once in so many rows.
const ROWS_PER_CHECK: u32 = 512;

impl<'a> Outputs<'a> {
    /// `random` is what sets this job apart from others of the same millisecond.
    pub(crate) fn new(to: Destination<'a>, shares: &Shares, filter: RowFilter<'a>, now: Timestamp, random: u128) -> Self {
        let milliseconds = u64::try_from(now.as_nanos() / 1_000_000).unwrap_or(0);
        let run = Ulid::from_parts(milliseconds, random >> RUN_BITS << RUN_BITS);
        Self {
            plans: shares.files(to.plan),
            to,
            run,
            files_begun: 0,
            open: BTreeMap::new(),
            filter,
            stream: None,
            partition: Partition::shared(),
            current: None,
            outside: 0,
            written: Vec::new(),
            rows_until_check: ROWS_PER_CHECK,
        }
    }

    /// Uploads what is left. The entries of all files, and what was left out.
    pub(crate) async fn finish(mut self) -> Result<(Vec<ChunkEntry>, RowFilter<'a>, u64), CompactError> {
        while let Some((place, file)) = self.open.pop_first() {
            self.upload(place, file.writer).await?;
        }
        self.written.sort_by(|a, b| a.key.cmp(&b.key));
        Ok((self.written, self.filter, self.outside))
    }

    /// Ends files, the largest first, until those that are left fit.
    async fn bound_memory(&mut self) -> Result<(), CompactError> {
        loop {
            let sizes: Vec<(usize, Place)> = self.open.iter_mut().map(|(place, file)| (file.writer.memory_bytes(), place.clone())).collect();
            let sum: usize = sizes.iter().map(|(bytes, _)| bytes).sum();
            let Some((_, largest)) = sizes.into_iter().max().filter(|_| sum > self.to.plan.output_memory) else { return Ok(()) };
            let Some(file) = self.open.remove(&largest) else { return Ok(()) };
            self.upload(largest, file.writer).await?;
        }
    }

    /// The place of rows of the current stream in this hour.
    fn place(&self, hour: Option<u8>) -> Place {
        let own = (hour, Some(self.partition.clone()));
        if self.plans.contains_key(&own) { own } else { (hour, None) }
    }

    fn plan_of(&self, place: &Place) -> FilePlan {
        self.plans.get(place).copied().unwrap_or(FilePlan { bytes: self.to.plan.file_bytes, last: false })
    }

    async fn upload(&mut self, (hour, partition): Place, writer: ChunkWriter) -> Result<(), CompactError> {
        let Some(file) = compress(writer)? else { return Ok(()) };
        let sequence = self.files_begun;
        self.files_begun = sequence.checked_add(1).ok_or_else(|| CompactError::internal("a job writes at most 65,536 files"))?;
        let id = Ulid(self.run.0 | u128::from(sequence));
        let key = Level1Key { tenant: self.to.tenant.clone(), day: self.to.day, hour, partition: partition.unwrap_or_else(Partition::shared), id };
        let entry = entry_of(key, &file);
        match self.to.client.create_or_head(&entry.key.to_string(), file.bytes).await? {
            // Only an earlier attempt of this very call can have written a name with 64 random bits.
            store::CreateOutcome::Existing(found) if found.size != entry.size => {
                return Err(CompactError::internal(format!("object {} exists already with another size", entry.key)));
            }
            store::CreateOutcome::Created | store::CreateOutcome::Existing(_) => {}
        }
        self.written.push(entry);
        Ok(())
    }
}

/// Compresses what a file still holds, which takes up to a second: other tasks of this worker move to another one where there is another.
fn compress(writer: ChunkWriter) -> Result<Option<WrittenChunk>, CompactError> {
    let threads = tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor());
    let written = match threads {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| writer.finish()),
        _ => writer.finish(),
    };
    Ok(written?)
}

fn entry_of(key: Level1Key, file: &WrittenChunk) -> ChunkEntry {
    let size = u64::try_from(file.bytes.len()).unwrap_or(u64::MAX);
    ChunkEntry {
        key,
        size,
        checksum: file.checksum,
        rows: file.manifest.rows(),
        bytes: file.manifest.bytes(),
        min: file.min,
        max: file.max,
        streams: u64::try_from(file.manifest.streams.len()).unwrap_or(u64::MAX),
        footer: file.footer_bytes,
        bloom: LabelBloom::large_of_streams(file.manifest.streams.iter().map(|stream| &stream.labels)),
        labels: (file.labels_frame.len() <= MAX_INLINE_LABELS).then(|| file.labels_frame.clone().into()),
    }
}

impl RowSink for Outputs<'_> {
    async fn row(&mut self, labels: &LabelSet, at: Timestamp, line: &[u8], metadata: &MetadataSet) -> Result<(), CompactError> {
        if self.stream.as_ref() != Some(labels) {
            self.stream = Some(labels.clone());
            self.partition = Partition::of_value(&self.to.settings.partition_value(labels));
            self.filter.begin_stream(labels);
            self.current = None;
        }
        if Day::of(at) != self.to.day {
            self.outside += 1;
            return Ok(());
        }
        if !self.filter.keeps(labels, at, line, metadata) {
            return Ok(());
        }
        let hour = hour_for(at, self.to.target);
        let (place, plan) = match self.current.take().filter(|((known, _), _)| *known == hour) {
            Some(current) => current,
            None => {
                let place = self.place(hour);
                let plan = self.plan_of(&place);
                (place, plan)
            }
        };
        let file = match self.open.get_mut(&place) {
            Some(open) => open,
            None => {
                let zstd_level = if plan.last { ZSTD_FINAL } else { ZSTD_SMALL };
                let writer = ChunkWriter::new(&MergeOptions { zstd_level, ..MergeOptions::default() })?;
                self.open.entry(place.clone()).or_insert(OpenFile { writer, line_bytes: 0 })
            }
        };
        file.writer.push(labels, at.as_nanos(), line, metadata)?;
        file.line_bytes += u64::try_from(line.len()).unwrap_or(u64::MAX);
        // Metadata that outweighs the lines by far must not make a file without end.
        if file.line_bytes >= plan.bytes || file.writer.raw_bytes() >= 2 * self.to.plan.file_bytes.max(plan.bytes) {
            if let Some(file) = self.open.remove(&place) {
                self.upload(place, file.writer).await?;
            }
            return Ok(());
        }
        self.current = Some((place, plan));
        self.rows_until_check = self.rows_until_check.saturating_sub(1);
        if self.rows_until_check == 0 {
            self.rows_until_check = ROWS_PER_CHECK;
            self.bound_memory().await?;
        }
        Ok(())
    }
}
