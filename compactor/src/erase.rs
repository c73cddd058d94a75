//! Delete requests: chunks that hold rows which a request means are written anew without them, day by day, and the request keeps a receipt.
//! Owns: which chunks, when a request is done. Queries hide the rows from the moment of the request on, so nothing here is urgent.
//! Must not know: what a request's query means (`predicate`).

use schema::{ChunkRef, Day, DayManifest, DeleteReceipt, DeleteRequest, Level1Key, Timestamp};
use store::chunk::{ChunkCache, ChunkReader};
use store::day::{self, CommitOutcome, DayState};
use store::deletes;
use store::testing::rules::{Rule, broken};

use crate::error::CompactError;
use crate::filter::ActiveDelete;
use crate::gc::Level0;
use crate::job::{Edit, JobOutcome, JobReport, TenantContext, run, target_like};
use crate::plan::CompactionJob;

/// How the deletes of one day stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DayOutcome {
    /// No live chunk of the day holds such rows.
    Done,
    /// Level-0 chunks that may hold such rows are not compacted yet, or somebody else committed first: another run goes on.
    Later,
}

/// The requests of the context that the day is not done with.
fn due<'a>(context: &'a TenantContext<'_>, manifest: &DayManifest) -> Vec<&'a ActiveDelete> {
    let open = |delete: &&ActiveDelete| {
        let request = &delete.request;
        request.processed.is_none() && request.overlaps(manifest.day.start(), manifest.day.last()) && manifest.deletes_done.binary_search(&request.id).is_err()
    };
    context.deletes.iter().filter(open).collect()
}

/// Whether a level-0 chunk that the day has not consumed may hold rows of one of `requests`.
fn waits_for_level0(manifest: &DayManifest, level0: &[Level0], requests: &[&ActiveDelete]) -> bool {
    level0.iter().any(|chunk| {
        chunk.days.contains(&manifest.day)
            && !manifest.has_consumed(&chunk.key.hash)
            && requests.iter().any(|delete| delete.request.overlaps(chunk.key.min, chunk.key.max))
    })
}

/// Carries out the deletes of `day`. `reports` gets what every committed rewrite did.
pub(crate) async fn erase_day(
    context: &TenantContext<'_>,
    day: Day,
    level0: &[Level0],
    cache: &ChunkCache,
    reports: &mut Vec<JobReport>,
) -> Result<DayOutcome, CompactError> {
    let mut base = day::load(context.client, context.tenant, day).await?;
    let requests = due(context, &base.manifest);
    if requests.is_empty() {
        return Ok(DayOutcome::Done);
    }
    if waits_for_level0(&base.manifest, level0, &requests) {
        return Ok(DayOutcome::Later);
    }
    // What this call wrote holds no such rows.
    let mut clean: Vec<Level1Key> = Vec::new();
    let mut receipt = DeleteReceipt { day: day.to_string(), at: 0, rows: 0, removed: Vec::new(), written: Vec::new() };
    while let Some(key) = next_chunk(context, &base.manifest, &requests, &clean, cache).await? {
        if broken(Rule::DeletesMarkedDoneWithoutRewrite) {
            break;
        }
        let job = CompactionJob { day, level0: Vec::new(), chunks: vec![key.clone()], target: target_like(&key) };
        match run(context, &base, &job).await? {
            JobOutcome::Conflict => return Ok(DayOutcome::Later),
            JobOutcome::Committed(report) => {
                clean.extend(report.added.iter().map(|entry| entry.key.clone()));
                receipt.rows += report.deleted.iter().sum::<u64>();
                receipt.removed.push(key.to_string());
                receipt.written.extend(report.added.iter().map(|entry| entry.key.to_string()));
                reports.push(report);
            }
        }
        base = day::load(context.client, context.tenant, day).await?;
    }
    receipt.at = context.env.now().as_nanos();
    // Before the day is marked: a receipt that is written twice says so, one that is not written is lost.
    if !receipt.removed.is_empty() {
        write_receipt(context, &requests, &receipt).await?;
    }
    finish_day(context, &base, &requests).await
}

async fn write_receipt(context: &TenantContext<'_>, requests: &[&ActiveDelete], receipt: &DeleteReceipt) -> Result<(), CompactError> {
    deletes::update(context.client, context.env, context.tenant, |list| {
        let mut changed = false;
        for request in list.requests.iter_mut().filter(|request| requests.iter().any(|delete| delete.request.id == request.id)) {
            request.receipt.push(receipt.clone());
            changed = true;
        }
        changed.then_some(())
    })
    .await?;
    Ok(())
}

async fn finish_day(context: &TenantContext<'_>, base: &DayState, requests: &[&ActiveDelete]) -> Result<DayOutcome, CompactError> {
    if base.version.is_none() {
        return Ok(DayOutcome::Done);
    }
    let mut edit = Edit::of(&base.manifest, context.env.now());
    edit.finish_deletes(requests.iter().map(|delete| &*delete.request.id));
    Ok(match day::commit(context.client, context.env, context.tenant, base, edit.manifest).await? {
        CommitOutcome::Committed(_) => DayOutcome::Done,
        CommitOutcome::Conflict => DayOutcome::Later,
    })
}

/// A live chunk that may hold rows of `requests` and is not among `clean`.
async fn next_chunk(
    context: &TenantContext<'_>,
    manifest: &DayManifest,
    requests: &[&ActiveDelete],
    clean: &[Level1Key],
    cache: &ChunkCache,
) -> Result<Option<Level1Key>, CompactError> {
    for entry in &manifest.chunks {
        let timely: Vec<&&ActiveDelete> = requests.iter().filter(|delete| delete.request.overlaps(entry.min, entry.max)).collect();
        if timely.is_empty() || clean.contains(&entry.key) {
            continue;
        }
        let labels = ChunkReader::labels(context.client, &ChunkRef::level1(entry), entry.labels.as_deref(), cache).await?;
        let meant = labels
            .streams
            .iter()
            .any(|stream| timely.iter().any(|delete| delete.request.overlaps(stream.min, stream.max) && delete.predicate.matches_stream(&stream.labels)));
        if meant {
            return Ok(Some(entry.key.clone()));
        }
    }
    Ok(None)
}

/// Marks the requests as processed that every day in `days` is done with and that no level-0 chunk may still hold rows of.
pub(crate) async fn finish_requests(context: &TenantContext<'_>, manifests: &[&DayManifest], level0: &[Level0]) -> Result<u64, CompactError> {
    let now = context.env.now();
    let is_done = |request: &DeleteRequest| {
        let days_done = manifests
            .iter()
            .filter(|manifest| request.overlaps(manifest.day.start(), manifest.day.last()))
            .all(|manifest| manifest.deletes_done.binary_search(&request.id).is_ok());
        let pending = level0.iter().any(|chunk| {
            request.overlaps(chunk.key.min, chunk.key.max)
                && !chunk.days.iter().all(|day| manifests.iter().any(|manifest| manifest.day == *day && manifest.has_consumed(&chunk.key.hash)))
        });
        days_done && !pending
    };
    let candidates: Vec<Box<str>> = context
        .deletes
        .iter()
        .filter(|delete| delete.request.processed.is_none() && is_done(&delete.request))
        .map(|delete| delete.request.id.clone())
        .collect();
    if candidates.is_empty() {
        return Ok(0);
    }
    let done = deletes::update(context.client, context.env, context.tenant, |list| {
        let mut done = 0u64;
        for request in list.requests.iter_mut().filter(|request| request.processed.is_none() && candidates.contains(&request.id)) {
            request.processed = Some(now.as_nanos());
            done += 1;
        }
        (done > 0).then_some(done)
    })
    .await?;
    Ok(done.unwrap_or(0))
}

/// The requests that may be carried out: those that can no longer be taken back.
pub(crate) fn is_due(request: &DeleteRequest, cancel_period: std::time::Duration, now: Timestamp) -> bool {
    crate::gc::is_over(Timestamp(request.created), cancel_period, now)
}
