//! What a compactor does when it is called: for each tenant merge, carry out deletes, drop what is too old, collect garbage.
//! Owns: the order of these, the time budget, going on after a lost race.
//! Must not know: when it is called.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use schema::key::level0_prefix;
use schema::{ChunkKey, ChunkRef, Day, DayManifest, Level1Key, TenantId};
use serde::Serialize;
use store::chunk::{ChunkCache, ChunkReader};
use store::day::{self, CommitOutcome};
use store::{Env, ErrorKind, ObjectClient, StoreError, deletes, tenants};

use crate::erase;
use crate::error::CompactError;
use crate::expire::{self, Fate};
use crate::filter::ActiveDelete;
use crate::gc::{self, Level0};
use crate::job::{self, Edit, JobOutcome, JobReport, Listed, TenantContext};
use crate::plan::{CompactionJob, DaySnapshot, drain_level0, next_job};
use crate::predicate::CompileDelete;
use crate::settings::Settings;

/// Days that a level-0 chunk may span before its label manifest is asked which of them it has rows in.
const DAYS_TAKEN_FOR_GRANTED: i32 = 3;
/// Lost races on one day before the others get their turn.
const MAX_CONFLICTS: u32 = 4;
/// Bytes of manifests and footers kept from run to run.
const CACHE_BYTES: usize = 32 << 20;

/// Compacts the tenants of one store. Any number may run at the same time: they lose races, never rows.
#[derive(Clone, Debug)]
pub struct Compactor {
    client: ObjectClient,
    env: Env,
    settings: Settings,
    deletes: Arc<dyn CompileDelete>,
    cache: ChunkCache,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// Tenants that were visited.
    pub tenants: u64,
    /// Merges that were committed.
    pub jobs: u64,
    /// Level-0 chunks that were consumed, once for each of their days.
    pub level0_consumed: u64,
    /// Rows that merges read.
    pub rows_read: u64,
    /// Rows that merges wrote.
    pub rows_written: u64,
    /// Exact copies that merges left out.
    pub duplicates: u64,
    /// Rows left out because of their age, not counting those of chunks that went whole.
    pub rows_expired: u64,
    /// Rows left out because of a delete request.
    pub rows_deleted: u64,
    /// Stored bytes of the inputs.
    pub bytes_read: u64,
    /// Stored bytes of the outputs.
    pub bytes_written: u64,
    /// Compacted chunks written.
    pub objects_written: u64,
    /// Compacted chunks that went whole because of their age.
    pub objects_expired: u64,
    /// Objects deleted after their grace.
    pub objects_deleted: u64,
    /// Level-1 objects of abandoned jobs that were found, to be deleted after the grace period.
    pub orphans: u64,
    /// Delete requests that are done.
    pub deletes_processed: u64,
    /// Delete requests that are not.
    pub deletes_pending: u64,
    /// Commits that somebody else was ahead of.
    pub conflicts: u64,
    /// Level-0 chunks that still count for some day.
    pub level0_backlog: u64,
    /// Whether there was no time left for all of it.
    pub out_of_time: bool,
}

impl RunReport {
    fn add(&mut self, report: &JobReport) {
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        self.jobs += 1;
        self.level0_consumed += count(report.consumed);
        self.rows_read += report.merged.rows_in;
        self.rows_written += report.added.iter().map(|entry| entry.rows).sum::<u64>();
        self.duplicates += report.merged.duplicates;
        self.rows_expired += report.expired;
        self.rows_deleted += report.deleted.iter().sum::<u64>();
        self.bytes_read += report.bytes_read;
        self.bytes_written += report.added.iter().map(|entry| entry.size).sum::<u64>();
        self.objects_written += count(report.added.len());
    }
}

/// Until when a run may begin something new.
#[derive(Clone, Copy, Debug)]
struct Deadline<'a> {
    env: &'a Env,
    at: Option<Duration>,
}

impl Deadline<'_> {
    fn is_over(&self) -> bool {
        self.at.is_some_and(|at| self.env.monotonic() >= at)
    }
}

impl Compactor {
    /// A compactor of `client`.
    pub fn new(client: ObjectClient, env: Env, settings: Settings, deletes: Arc<dyn CompileDelete>) -> Self {
        Self { client, env, settings, deletes, cache: ChunkCache::new(CACHE_BYTES) }
    }

    /// Does what is to be done for `tenant`, or for all. Begins nothing new after `budget`; what it has begun, it ends. Dropping the future loses the job under way and no more.
    /// One tenant's failure does not keep the others waiting; the first is returned in the end.
    pub async fn run(&self, tenant: Option<&TenantId>, budget: Option<Duration>) -> Result<RunReport, CompactError> {
        let deadline = Deadline { env: &self.env, at: budget.map(|budget| self.env.monotonic().saturating_add(budget)) };
        let tenants = match tenant {
            Some(tenant) => vec![tenant.clone()],
            None => tenants::list(&self.client).await?,
        };
        let mut report = RunReport::default();
        let mut failure = None;
        for tenant in &tenants {
            if deadline.is_over() {
                report.out_of_time = true;
                break;
            }
            report.tenants += 1;
            if let Err(error) = self.run_tenant(tenant, deadline, &mut report).await {
                tracing::error!(%tenant, error = %error, "compaction of a tenant failed");
                failure = failure.or(Some(error));
            }
        }
        failure.map_or(Ok(report), Err)
    }

    async fn run_tenant(&self, tenant: &TenantId, deadline: Deadline<'_>, report: &mut RunReport) -> Result<(), CompactError> {
        // In this order: a request that is due by this clock can no longer be taken back when its list is read, and every row that was acknowledged before a request
        // was is among the chunks that are listed then.
        let now = self.env.now();
        let requests = deletes::load(&self.client, tenant).await?.0;
        let level0 = self.level0(tenant).await?;
        let listed = Listed { at: now, hashes: level0.iter().map(|chunk| chunk.key.hash).collect() };
        let due = requests.active(now, i64::MAX).filter(|request| erase::is_due(request, self.settings.delete_cancel_period, now));
        let active = ActiveDelete::compile(due, self.deletes.as_ref());
        let context = TenantContext {
            client: &self.client,
            env: &self.env,
            tenant,
            settings: self.settings.of(tenant),
            plan: &self.settings.plan,
            deletes: &active,
            compiler: self.deletes.as_ref(),
            listed: &listed,
        };
        let manifests = self.manifests(tenant).await?;
        let mut days: BTreeSet<Day> = manifests.keys().copied().collect();
        days.extend(level0.iter().flat_map(|chunk| &chunk.days));
        // The newest day first: it is the one that is asked for.
        for day in days.iter().rev() {
            let empty = DayManifest::empty(*day);
            let known = manifests.get(day).map_or(&empty, AsRef::as_ref);
            self.merge_day(&context, known, &level0, deadline, report).await?;
        }
        self.carry_out_deletes(&context, &days, &level0, deadline, report).await?;
        self.drop_expired(&context, deadline, report).await?;
        self.collect(&context, &level0, deadline, report).await?;
        report.deletes_pending +=
            u64::try_from(deletes::load(&self.client, tenant).await?.0.requests.iter().filter(|r| r.processed.is_none()).count()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// The level-0 chunks of a tenant, and the days that each has rows in.
    async fn level0(&self, tenant: &TenantId) -> Result<Vec<Level0>, CompactError> {
        let mut chunks = Vec::new();
        for object in self.client.list(&level0_prefix(tenant)).await? {
            let key =
                ChunkKey::parse(tenant, &object.key).map_err(|error| StoreError::corrupt_by(&object.key, "it lies among the chunks but is none", error))?;
            let (first, last) = (Day::of(key.min), Day::of(key.max));
            let days = if last.number() - first.number() < DAYS_TAKEN_FOR_GRANTED {
                Day::spanned(key.min, key.max).collect()
            } else {
                match self.days_of(&key, object.size).await {
                    Ok(days) => days,
                    Err(CompactError::Store(error)) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            };
            chunks.push(Level0 { key, size: object.size, days });
        }
        Ok(chunks)
    }

    async fn days_of(&self, key: &ChunkKey, size: u64) -> Result<Vec<Day>, CompactError> {
        let reader = ChunkReader::open(&self.client, &ChunkRef::level0(key.clone(), size), &self.cache).await?;
        let mut days = BTreeSet::new();
        for minute in reader.manifest().streams.iter().flat_map(|stream| &stream.minutes) {
            let (first, last) = schema::time::bucket_bounds(minute.minute);
            days.extend([Day::of(first.max(key.min)), Day::of(last.min(key.max))]);
        }
        Ok(days.into_iter().collect())
    }

    async fn manifests(&self, tenant: &TenantId) -> Result<BTreeMap<Day, Arc<DayManifest>>, CompactError> {
        let listed = day::list(&self.client, tenant).await?;
        let all = listed.days.keys().copied().collect();
        Ok(day::read(&self.client, tenant, &listed, all, &self.cache).await?)
    }

    /// Merges what of a day is worth it. `known` is the day's manifest as it was a moment ago: it says whether to look at all.
    async fn merge_day(
        &self,
        context: &TenantContext<'_>,
        known: &DayManifest,
        level0: &[Level0],
        deadline: Deadline<'_>,
        report: &mut RunReport,
    ) -> Result<(), CompactError> {
        let day = known.day;
        let of_day: Vec<(ChunkKey, u64)> = level0.iter().filter(|chunk| chunk.days.contains(&day)).map(|chunk| (chunk.key.clone(), chunk.size)).collect();
        if self.wanted(context, &DaySnapshot { manifest: known, level0: &of_day }).is_none() {
            return Ok(());
        }
        let mut conflicts = 0;
        while conflicts < MAX_CONFLICTS {
            if deadline.is_over() {
                report.out_of_time = true;
                return Ok(());
            }
            let base = day::load(context.client, context.tenant, day).await?;
            let snapshot = DaySnapshot { manifest: &base.manifest, level0: &of_day };
            let Some(job) = self.wanted(context, &snapshot) else { return Ok(()) };
            match job::run(context, &base, &job).await? {
                JobOutcome::Committed(done) => {
                    tracing::info!(tenant = %context.tenant, %day, inputs = job.level0.len() + job.chunks.len(), outputs = done.added.len(), rows = done.merged.rows_out, "merged");
                    report.add(&done);
                }
                JobOutcome::Conflict => {
                    conflicts += 1;
                    report.conflicts += 1;
                }
            }
        }
        Ok(())
    }

    /// The next job of a day. Level-0 chunks with rows that a delete request may mean do not wait for company.
    fn wanted(&self, context: &TenantContext<'_>, snapshot: &DaySnapshot<'_>) -> Option<CompactionJob> {
        let now = context.env.now();
        next_job(snapshot, now, context.plan).or_else(|| {
            let open = || context.deletes.iter().map(|delete| &delete.request).filter(|request| request.processed.is_none());
            let meant = snapshot.pending().iter().any(|(key, _)| open().any(|request| request.overlaps(key.min, key.max)));
            if meant { drain_level0(snapshot, now, context.plan) } else { None }
        })
    }

    async fn carry_out_deletes(
        &self,
        context: &TenantContext<'_>,
        days: &BTreeSet<Day>,
        level0: &[Level0],
        deadline: Deadline<'_>,
        report: &mut RunReport,
    ) -> Result<(), CompactError> {
        if context.deletes.iter().all(|delete| delete.request.processed.is_some()) {
            return Ok(());
        }
        let mut rewrites = Vec::new();
        for day in days.iter().filter(|day| context.deletes.iter().any(|delete| delete.request.overlaps(day.start(), day.last()))) {
            if deadline.is_over() {
                report.out_of_time = true;
                break;
            }
            erase::erase_day(context, *day, level0, &self.cache, &mut rewrites).await?;
        }
        rewrites.iter().for_each(|rewrite| report.add(rewrite));
        let manifests = self.manifests(context.tenant).await?;
        let manifests: Vec<&DayManifest> = manifests.values().map(AsRef::as_ref).collect();
        report.deletes_processed += erase::finish_requests(context, &manifests, level0).await?;
        Ok(())
    }

    async fn drop_expired(&self, context: &TenantContext<'_>, deadline: Deadline<'_>, report: &mut RunReport) -> Result<(), CompactError> {
        let now = context.env.now();
        if context.settings.retains_for_ever() {
            return Ok(());
        }
        for (day, known) in self.manifests(context.tenant).await?.iter().filter(|(day, _)| expire::may_expire(**day, context.settings, now)) {
            if expire::find(context, known, &self.cache).await?.is_empty() {
                continue;
            }
            if deadline.is_over() {
                report.out_of_time = true;
                return Ok(());
            }
            let base = day::load(context.client, context.tenant, *day).await?;
            let found = expire::find(context, &base.manifest, &self.cache).await?;
            let drop: Vec<Level1Key> = found.iter().filter(|(_, fate)| *fate == Fate::Drop).map(|(entry, _)| entry.key.clone()).collect();
            if !drop.is_empty() {
                let mut edit = Edit::of(&base.manifest, context.env.now());
                edit.remove(&drop);
                match day::commit(context.client, context.env, context.tenant, &base, edit.manifest).await? {
                    CommitOutcome::Committed(_) => report.objects_expired += u64::try_from(drop.len()).unwrap_or(u64::MAX),
                    CommitOutcome::Conflict => {
                        report.conflicts += 1;
                        continue;
                    }
                }
            }
            for (entry, _) in found.iter().filter(|(_, fate)| *fate == Fate::Rewrite) {
                let base = day::load(context.client, context.tenant, *day).await?;
                let job = CompactionJob { day: *day, level0: Vec::new(), chunks: vec![entry.key.clone()], target: job::target_like(&entry.key) };
                match job::run(context, &base, &job).await? {
                    JobOutcome::Committed(done) => report.add(&done),
                    JobOutcome::Conflict => report.conflicts += 1,
                }
            }
        }
        Ok(())
    }

    async fn collect(&self, context: &TenantContext<'_>, level0: &[Level0], deadline: Deadline<'_>, report: &mut RunReport) -> Result<(), CompactError> {
        let manifests = self.manifests(context.tenant).await?;
        let counts = |chunk: &&Level0| chunk.days.iter().any(|day| manifests.get(day).is_none_or(|manifest| !manifest.has_consumed(&chunk.key.hash)));
        report.level0_backlog += u64::try_from(level0.iter().filter(counts).count()).unwrap_or(u64::MAX);
        if deadline.is_over() {
            report.out_of_time = true;
            return Ok(());
        }
        report.objects_deleted += gc::collect_level0(context, level0, &manifests, self.settings.grace).await?;
        for manifest in manifests.values() {
            report.objects_deleted += gc::collect_replaced(context, manifest, self.settings.grace).await?;
        }
        report.orphans += gc::doom_orphans(context, &self.cache, self.settings.orphan_grace).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
