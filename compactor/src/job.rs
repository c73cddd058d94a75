//! One job from its inputs to its commit.
//! Owns: reading the inputs, that every row read is accounted for, the edit of the day manifest.
//! Must not know: why this job.

use std::collections::HashSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use schema::{ChunkEntry, ChunkHash, ChunkRef, Consumed, Day, DayManifest, Level1Key, Replaced, StreamManifest, TenantId, Timestamp};
use store::chunk::{ChunkCache, ChunkReader};
use store::day::{self, CommitOutcome, DayState};
use store::snapshot::DEDUPE_WINDOW;
use store::testing::rules::{Rule, broken};
use store::{Env, ErrorKind, ObjectClient, deletes};

use crate::error::CompactError;
use crate::filter::{ActiveDelete, RowFilter};
use crate::merge::{MergeInput, MergeStats, StreamSelection, merge};
use crate::output::{Destination, Outputs, Shares};
use crate::plan::{CompactionJob, Target};
use crate::predicate::CompileDelete;
use crate::settings::{PlanSettings, TenantSettings};

/// Chunks that are opened at the same time.
const OPENS_IN_FLIGHT: usize = 16;
/// Bytes of small objects and footers that a job keeps: at most what its inputs may take.
const CACHE_BYTES: usize = 24 << 20;
/// Bytes of label manifests that a day manifest carries, at most; beyond it those of the last chunks are read from their footers.
const MAX_INLINE_BYTES: usize = 4 << 20;

/// What the jobs of one tenant share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TenantContext<'a> {
    pub(crate) client: &'a ObjectClient,
    pub(crate) env: &'a Env,
    pub(crate) tenant: &'a TenantId,
    pub(crate) settings: &'a TenantSettings,
    pub(crate) plan: &'a PlanSettings,
    /// Delete requests that are carried out: old enough that nobody may take them back.
    pub(crate) deletes: &'a [ActiveDelete],
    /// Reads the queries of delete requests.
    pub(crate) compiler: &'a dyn CompileDelete,
    /// Hashes of the level-0 chunks that a LIST showed: what is consumed and not among them need not be remembered.
    pub(crate) listed: &'a Listed,
}

/// What a LIST of level 0 showed.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// When it began. What was pushed later is not in it.
    pub(crate) at: Timestamp,
    /// The chunks.
    pub(crate) hashes: HashSet<ChunkHash>,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub(crate) enum JobOutcome {
    /// The day has the new chunks.
    Committed(JobReport),
    /// Somebody else committed first, or an input is gone: plan anew. What was written is garbage.
    Conflict,
}

/// What a job did.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobReport {
    pub(crate) merged: MergeStats,
    pub(crate) expired: u64,
    /// Rows removed for each delete of the context, in its order.
    pub(crate) deleted: Vec<u64>,
    pub(crate) added: Vec<ChunkEntry>,
    pub(crate) consumed: usize,
    pub(crate) bytes_read: u64,
}

/// Runs `job` on the day as `base` has it, and commits. `base` must be read before the call: nothing that the job writes is older.
pub(crate) async fn run(context: &TenantContext<'_>, base: &DayState, job: &CompactionJob) -> Result<JobOutcome, CompactError> {
    let known = |id: &str| context.deletes.iter().any(|delete| *delete.request.id == *id);
    let deletes = if base.manifest.deletes_done.iter().all(|id| known(id)) || broken(Rule::DoneDeletesForgotten) {
        context.deletes.to_vec()
    } else {
        // Somebody with a later list or clock has carried out a request that this run takes for none yet. The day is marked: readers hide its rows no more, so
        // none may come into it, from pushes that were late or repeated.
        let requests = deletes::load(context.client, context.tenant).await?.0;
        let more = requests.requests.iter().filter(|request| !known(&request.id) && base.manifest.deletes_done.binary_search(&request.id).is_ok());
        let more = ActiveDelete::compile(more, context.compiler);
        context.deletes.iter().cloned().chain(more).collect()
    };
    match merge_and_commit(&TenantContext { deletes: &deletes, ..*context }, base, job).await {
        // A level-0 chunk that another compactor consumed and collected, or a chunk that it replaced.
        Err(CompactError::Store(error)) if error.kind() == ErrorKind::NotFound => Ok(JobOutcome::Conflict),
        result => result,
    }
}

async fn merge_and_commit(context: &TenantContext<'_>, base: &DayState, job: &CompactionJob) -> Result<JobOutcome, CompactError> {
    let cache = ChunkCache::new(CACHE_BYTES);
    let mut chunks = job.level0.clone();
    for key in &job.chunks {
        let Some(entry) = base.manifest.chunks.iter().find(|entry| entry.key == *key) else { return Ok(JobOutcome::Conflict) };
        chunks.push(ChunkRef::level1(entry));
    }
    // Copies of rows are kept from the chunk that a reader would answer them from.
    chunks.sort_by(|a, b| a.order().cmp(&b.order()));
    let bytes_read = chunks.iter().map(|chunk| chunk.size).sum();
    let inputs = open(context.client, chunks, job.day, &cache).await?;
    let mut shares = Shares::default();
    for input in &inputs {
        let streams = &input.reader.manifest().streams;
        input.streams.iter().filter_map(|selection| streams.get(selection.index)).for_each(|stream| shares.add(stream, job.day, job.target, context.settings));
    }
    let now = context.env.now();
    let to = Destination { client: context.client, tenant: context.tenant, settings: context.settings, plan: context.plan, day: job.day, target: job.target };
    let random = u128::from(context.env.random_u64()) << 64 | u128::from(context.env.random_u64());
    let mut outputs = Outputs::new(to, &shares, RowFilter::new(context.settings, now, context.deletes), now, random);
    let merged = merge(context.client, inputs, &mut outputs).await?;
    let (added, filter, outside) = outputs.finish().await?;
    let written: u64 = added.iter().map(|entry| entry.rows).sum();
    let left_out = outside + filter.expired + filter.deleted.iter().sum::<u64>();
    if merged.rows_in != merged.duplicates + left_out + written {
        return Err(CompactError::internal(format!(
            "a merge read {} rows, of which {} were copies and {left_out} were left out, and wrote {written}",
            merged.rows_in, merged.duplicates
        )));
    }
    // The grace of what is replaced begins with the commit, however long the merge took.
    let mut edit = Edit::of(&base.manifest, if broken(Rule::GraceFromTheStart) { now } else { context.env.now() });
    edit.remove(&job.chunks);
    edit.add(&added);
    edit.consume(job.level0.iter().filter_map(level0_hash));
    edit.forget_consumed(context.listed);
    let report = JobReport { merged, expired: filter.expired, deleted: filter.deleted, added, consumed: job.level0.len(), bytes_read };
    if broken(Rule::DeleteInputsBeforeCommit) {
        for chunk in job.level0.iter().map(|chunk| chunk.name.to_string()).chain(job.chunks.iter().map(ToString::to_string)) {
            context.client.delete(&chunk).await?;
        }
    }
    match day::commit(context.client, context.env, context.tenant, base, edit.manifest).await? {
        CommitOutcome::Committed(_) => Ok(JobOutcome::Committed(report)),
        CommitOutcome::Conflict if broken(Rule::OutputsReusedAfterConflict) => reuse_outputs(context, job, report).await,
        CommitOutcome::Conflict => Ok(JobOutcome::Conflict),
    }
}

/// What must never be done ([`Rule::OutputsReusedAfterConflict`]).
async fn reuse_outputs(context: &TenantContext<'_>, job: &CompactionJob, report: JobReport) -> Result<JobOutcome, CompactError> {
    let base = day::load(context.client, context.tenant, job.day).await?;
    let mut edit = Edit::of(&base.manifest, context.env.now());
    edit.remove(&job.chunks);
    edit.add(&report.added);
    edit.consume(job.level0.iter().filter_map(level0_hash));
    match day::commit(context.client, context.env, context.tenant, &base, edit.manifest).await? {
        CommitOutcome::Committed(_) => Ok(JobOutcome::Committed(report)),
        CommitOutcome::Conflict => Ok(JobOutcome::Conflict),
    }
}

fn level0_hash(chunk: &ChunkRef) -> Option<ChunkHash> {
    match &chunk.name {
        schema::ChunkName::Level0(key) => Some(key.hash),
        schema::ChunkName::Level1(_) => None,
    }
}

/// Opens the inputs and selects what of them may lie in `day`. A minute that ends with the first instant of a day has rows of two days; they are told apart later.
async fn open(client: &ObjectClient, chunks: Vec<ChunkRef>, day: Day, cache: &ChunkCache) -> Result<Vec<MergeInput>, CompactError> {
    let opens = stream::iter(chunks).map(|chunk| async move {
        let reader = ChunkReader::open(client, &chunk, cache).await?;
        let streams = reader.manifest().streams.iter().enumerate();
        let streams = streams.filter_map(|(index, stream)| Some(StreamSelection { index, rows: rows_near(stream, day)? })).collect();
        Ok::<_, CompactError>(MergeInput { reader, streams })
    });
    opens.buffered(OPENS_IN_FLIGHT).try_collect().await
}

/// The rows of the stream in minutes that reach into `day`; `None` where there are none.
pub(crate) fn rows_near(stream: &StreamManifest, day: Day) -> Option<std::ops::Range<u64>> {
    let mut row = stream.first_row;
    let mut rows: Option<std::ops::Range<u64>> = None;
    for minute in &stream.minutes {
        let (first, last) = schema::time::bucket_bounds(minute.minute);
        let end = row.saturating_add(minute.rows);
        if first <= day.last() && day.start() <= last {
            let start = rows.map_or(row, |rows| rows.start);
            rows = Some(start..end);
        }
        row = end;
    }
    rows
}

/// A day manifest on its way to the next.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) manifest: DayManifest,
    now: Timestamp,
}

impl Edit {
    pub(crate) fn of(base: &DayManifest, now: Timestamp) -> Self {
        Self { manifest: base.clone(), now }
    }

    /// Takes live chunks out; they wait for their deletion.
    pub(crate) fn remove(&mut self, keys: &[Level1Key]) {
        if broken(Rule::ReplacedStayLive) {
            return;
        }
        let gone: HashSet<&Level1Key> = keys.iter().collect();
        self.manifest.chunks.retain(|entry| !gone.contains(&entry.key));
        self.doom(keys);
    }

    /// Objects that no manifest speaks of wait for their deletion.
    pub(crate) fn doom(&mut self, keys: &[Level1Key]) {
        self.manifest.replaced.extend(keys.iter().map(|key| Replaced { key: key.clone(), at: self.now }));
        self.manifest.replaced.sort_by(|a, b| a.key.cmp(&b.key));
        self.manifest.replaced.dedup_by(|later, earlier| later.key == earlier.key);
    }

    /// Adds live chunks.
    pub(crate) fn add(&mut self, entries: &[ChunkEntry]) {
        self.manifest.chunks.extend(entries.iter().cloned());
        self.manifest.chunks.sort_by(|a, b| a.key.cmp(&b.key));
        let mut inline = 0usize;
        for entry in &mut self.manifest.chunks {
            inline += entry.labels.as_ref().map_or(0, |labels| labels.len());
            if inline > MAX_INLINE_BYTES {
                entry.labels = None;
            }
        }
    }

    /// Level-0 chunks count no more for this day.
    pub(crate) fn consume(&mut self, hashes: impl Iterator<Item = ChunkHash>) {
        if broken(Rule::ConsumedNotRecorded) {
            return;
        }
        let at = self.now;
        self.manifest.consumed.extend(hashes.map(|hash| Consumed { hash, at }));
        self.manifest.consumed.sort_unstable();
        self.manifest.consumed.dedup_by(|later, earlier| later.hash == earlier.hash);
    }

    /// Forgets consumed chunks whose object is gone and whose push is not retried any more. One that comes back later is stored anew, and its rows are found to be copies.
    /// A LIST says nothing of chunks that were pushed after it, however long its compactor slept since.
    pub(crate) fn forget_consumed(&mut self, listed: &Listed) {
        let window = i64::try_from(DEDUPE_WINDOW.as_nanos()).unwrap_or(i64::MAX);
        if broken(Rule::ConsumedForgottenAtOnce) {
            self.manifest.consumed.retain(|consumed| consumed.at == self.now);
        }
        self.manifest
            .consumed
            .retain(|consumed| listed.hashes.contains(&consumed.hash) || consumed.at.as_nanos().saturating_add(window) > listed.at.as_nanos());
    }

    /// Delete requests that no live chunk holds rows of.
    pub(crate) fn finish_deletes<'b>(&mut self, ids: impl Iterator<Item = &'b str>) {
        self.manifest.deletes_done.extend(ids.map(Into::into));
        self.manifest.deletes_done.sort_unstable();
        self.manifest.deletes_done.dedup();
    }
}

/// Into files like the one that is rewritten.
pub(crate) const fn target_like(key: &Level1Key) -> Target {
    if key.hour.is_some() { Target::Hours } else { Target::Day }
}

#[cfg(test)]
mod tests;
