//! Deletes what nothing refers to any more.
//! Owns: which objects are garbage, and that no commit can refer to one afterwards.
//! Must not know: how chunks are merged.
//!
//! - A level-0 chunk goes once every day that it has rows in has consumed it, and the grace period is over for the last of them.
//! - A replaced level-1 chunk goes after the grace period; then it is taken off its day's list.
//! - An orphan, a level-1 object that no manifest speaks of, is first put on its day's list of replaced chunks, by a commit. A compactor that wrote it and has slept
//!   since then holds an older version of the manifest, so its own commit fails from then on (RFC 0002, "Orphans").

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use schema::level1::level1_prefix;
use schema::{ChunkHash, ChunkKey, Consumed, Day, DayManifest, Level1Key, Timestamp};
use store::ErrorKind;
use store::chunk::ChunkCache;
use store::day::{self, CommitOutcome};
use store::snapshot::DEDUPE_WINDOW;
use store::testing::rules::{Rule, broken};

use crate::error::CompactError;
use crate::job::{Edit, TenantContext};

/// A level-0 chunk of a LIST.
#[derive(Clone, Debug)]
pub(crate) struct Level0 {
    pub(crate) key: ChunkKey,
    pub(crate) size: u64,
    /// The days that it has rows in.
    pub(crate) days: Vec<Day>,
}

pub(crate) fn is_over(at: Timestamp, grace: Duration, now: Timestamp) -> bool {
    at.as_nanos().saturating_add(i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX)) < now.as_nanos()
}

/// Whether the chunk counts nowhere any more. `days` holds the manifests of all its days.
pub(crate) fn is_spent(chunk: &Level0, days: &BTreeMap<Day, std::sync::Arc<DayManifest>>, grace: Duration, now: Timestamp) -> bool {
    let is_consumed = |day: &Day| {
        let consumed = days.get(day).and_then(|manifest| {
            let at = manifest.consumed.binary_search_by(|consumed| consumed.hash.cmp(&chunk.key.hash)).ok()?;
            manifest.consumed.get(at)
        });
        consumed.is_some_and(|consumed| broken(Rule::CollectWithoutGrace) || is_over(consumed.at, grace, now))
    };
    if broken(Rule::CollectAfterOneDay) { chunk.days.iter().any(is_consumed) } else { chunk.days.iter().all(is_consumed) }
}

/// Deletes spent level-0 chunks.
pub(crate) async fn collect_level0(
    context: &TenantContext<'_>,
    chunks: &[Level0],
    days: &BTreeMap<Day, std::sync::Arc<DayManifest>>,
    grace: Duration,
) -> Result<u64, CompactError> {
    let now = context.env.now();
    let mut spent: Vec<&Level0> = chunks.iter().filter(|chunk| is_spent(chunk, days, grace, now)).collect();
    let hashes: HashSet<ChunkHash> = spent.iter().map(|chunk| chunk.key.hash).collect();
    for manifest in days.values() {
        if !remember(context, manifest, &hashes, grace).await? {
            spent.retain(|chunk| !chunk.days.contains(&manifest.day));
        }
    }
    for chunk in &spent {
        context.client.delete(&chunk.key.to_string()).await?;
    }
    Ok(u64::try_from(spent.len()).unwrap_or(u64::MAX))
}

/// Sees to it that the day remembers those of `hashes` that it has consumed for at least `grace` from now on. A reader may have listed them before they are deleted
/// and read the manifest afterwards: forgotten by then, they would count beside their copies. A commit only where a compactor was away for hours: usually a chunk is
/// deleted long before its hash may be forgotten. `false` if somebody else committed first.
async fn remember(context: &TenantContext<'_>, known: &DayManifest, hashes: &HashSet<ChunkHash>, grace: Duration) -> Result<bool, CompactError> {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    let now = context.env.now();
    let least = Timestamp(now.as_nanos().saturating_sub(nanos(DEDUPE_WINDOW.saturating_sub(2 * grace))));
    let fades = |consumed: &Consumed| consumed.at < least && hashes.contains(&consumed.hash);
    if !known.consumed.iter().any(fades) || broken(Rule::ForgottenWithTheObject) {
        return Ok(true);
    }
    let base = day::load(context.client, context.tenant, known.day).await?;
    let mut edit = Edit::of(&base.manifest, now);
    edit.manifest.consumed.iter_mut().filter(|consumed| fades(consumed)).for_each(|consumed| consumed.at = least);
    let still = known.consumed.iter().filter(|consumed| hashes.contains(&consumed.hash)).all(|consumed| edit.manifest.has_consumed(&consumed.hash));
    let outcome = day::commit(context.client, context.env, context.tenant, &base, edit.manifest).await?;
    Ok(still && matches!(outcome, CommitOutcome::Committed(_)))
}

/// Deletes the replaced chunks of a day whose grace is over, and takes them off its list.
pub(crate) async fn collect_replaced(context: &TenantContext<'_>, manifest: &DayManifest, grace: Duration) -> Result<u64, CompactError> {
    let now = context.env.now();
    let over = |at| broken(Rule::CollectWithoutGrace) || is_over(at, grace, now);
    let due = |manifest: &DayManifest| manifest.replaced.iter().filter(|replaced| over(replaced.at)).map(|r| r.key.clone()).collect::<Vec<_>>();
    if due(manifest).is_empty() {
        return Ok(0);
    }
    let base = day::load(context.client, context.tenant, manifest.day).await?;
    let keys = due(&base.manifest);
    for key in &keys {
        context.client.delete(&key.to_string()).await?;
    }
    let mut edit = Edit::of(&base.manifest, context.env.now());
    let gone: BTreeSet<&Level1Key> = keys.iter().collect();
    edit.manifest.replaced.retain(|replaced| !gone.contains(&replaced.key));
    edit.forget_consumed(context.listed);
    // If somebody else commits first, they stay on the list and are deleted again: that does no harm.
    match day::commit(context.client, context.env, context.tenant, &base, edit.manifest).await {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::Unavailable => tracing::warn!(error = %error.chain(), "a list of replaced chunks could not be shortened"),
        Err(error) => return Err(error.into()),
    }
    Ok(u64::try_from(keys.len()).unwrap_or(u64::MAX))
}

/// Level-1 objects of the tenant that no manifest speaks of and that are older than `grace`, put on their days' lists.
pub(crate) async fn doom_orphans(context: &TenantContext<'_>, cache: &ChunkCache, grace: Duration) -> Result<u64, CompactError> {
    let now = context.env.now();
    let mut by_day: BTreeMap<Day, Vec<Level1Key>> = BTreeMap::new();
    for object in context.client.list(&level1_prefix(context.tenant)).await? {
        match Level1Key::parse(context.tenant, &object.key) {
            Ok(key) => by_day.entry(key.day).or_default().push(key),
            // Not ours, or of a later version: nothing here may delete it.
            Err(error) => tracing::warn!(%error, "an object among the compacted chunks is left alone"),
        }
    }
    // Read after the LIST: what was committed in between is spoken of.
    let listed = day::list(context.client, context.tenant).await?;
    let manifests = day::read(context.client, context.tenant, &listed, by_day.keys().copied().collect(), cache).await?;
    let mut doomed = 0;
    for (day, mut keys) in by_day {
        let known = manifests.get(&day).map(|manifest| manifest.objects()).unwrap_or_default();
        keys.retain(|key| !known.contains(key) && is_over(key.created(), grace, now));
        if keys.is_empty() {
            continue;
        }
        let base = day::load(context.client, context.tenant, day).await?;
        if base.version.is_none() {
            // Left by a job that did not come to its first commit, or all that is left of a day whose manifest somebody lost: the next job of the day tells.
            tracing::warn!(tenant = %context.tenant, %day, objects = keys.len(), "compacted chunks of a day without a manifest are left alone");
            continue;
        }
        let known = base.manifest.objects();
        let orphans: Vec<Level1Key> = keys.into_iter().filter(|key| !known.contains(key)).collect();
        if orphans.is_empty() {
            continue;
        }
        if broken(Rule::OrphansDeletedWithoutCommit) {
            for key in &orphans {
                context.client.delete(&key.to_string()).await?;
            }
            continue;
        }
        let mut edit = Edit::of(&base.manifest, context.env.now());
        edit.doom(&orphans);
        if matches!(day::commit(context.client, context.env, context.tenant, &base, edit.manifest).await?, CommitOutcome::Committed(_)) {
            doomed += u64::try_from(orphans.len()).unwrap_or(u64::MAX);
        }
    }
    Ok(doomed)
}
