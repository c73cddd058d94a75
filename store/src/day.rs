//! Day manifests in the store: which compacted chunks a day has, swapped as a whole (RFC 0002).
//! Owns: their compressed form, the commit with its unclear outcomes resolved, keeping what was read by its version.
//! Must not know: why a manifest is edited, which rows a query wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use schema::key::{day_manifest_key, deletes_key, manifest_prefix};
use schema::{CommitId, Day, DayManifest, TenantId};

use crate::chunk::ChunkCache;
use crate::env::Env;
use crate::error::StoreError;
use crate::object::{ObjectClient, ObjectInfo, SwapOutcome, Version};
use crate::testing::rules::{Rule, broken};

/// zstd level of a day manifest: the label manifests inside are compressed already.
const ZSTD_LEVEL: i32 = 3;
/// Most bytes that a day manifest may have before compression.
const MAX_BYTES: usize = 512 << 20;
/// Manifests that are read at the same time.
const READS_IN_FLIGHT: usize = 16;

/// A day manifest as it was read, and its version for the commit that replaces it.
#[derive(Clone, Debug)]
pub struct DayState {
    /// What was read; an empty one where the day has none.
    pub manifest: DayManifest,
    /// `None` where the day has no manifest yet.
    pub version: Option<Version>,
}

/// How [`commit`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The manifest is the new one.
    Committed(Version),
    /// Somebody else committed first. Nothing was changed; what was built for the commit is garbage.
    Conflict,
}

/// Reads the manifest of `day`. One GET.
pub async fn load(client: &ObjectClient, tenant: &TenantId, day: Day) -> Result<DayState, StoreError> {
    let key = day_manifest_key(tenant, day);
    match client.get_versioned(&key).await? {
        Some((bytes, version)) => Ok(DayState { manifest: decode(tenant, day, &key, &bytes)?, version: Some(version) }),
        None => Ok(DayState { manifest: DayManifest::empty(day), version: None }),
    }
}

/// Replaces the manifest that `base` was read from by `edited`, if it is still the same. Counts the generation, and adds a random commit id by which the commit is
/// found again when its acknowledgement is lost. One PUT when it commits at once.
///
/// What `edited` adds must have been written after `base` was read: garbage collection relies on it (RFC 0002, "Orphans").
/// Errors: those of the store. After [`crate::ErrorKind::Unavailable`] it is not known whether the commit happened; objects of the commit must be left alone.
pub async fn commit(client: &ObjectClient, env: &Env, tenant: &TenantId, base: &DayState, mut edited: DayManifest) -> Result<CommitOutcome, StoreError> {
    let id = new_commit_id(env);
    edited.generation = base.manifest.generation.saturating_add(1);
    edited.commits.clone_from(&base.manifest.commits);
    edited.commits.push(id);
    let surplus = edited.commits.len().saturating_sub(schema::day::MAX_COMMITS);
    edited.commits.drain(..surplus);
    let day = edited.day;
    let key = day_manifest_key(tenant, day);
    edited.validate().map_err(|error| StoreError::internal(format!("the manifest of {day} was edited to one whose {error}")))?;
    let body = encode(&edited)?;
    let current = if broken(Rule::CommitWithoutCondition) { load(client, tenant, day).await?.version } else { base.version.clone() };
    match client.swap(&key, body, current.as_ref()).await? {
        SwapOutcome::Committed(version) => Ok(CommitOutcome::Committed(version)),
        SwapOutcome::Conflict => Ok(CommitOutcome::Conflict),
        SwapOutcome::Unknown => {
            let current = load(client, tenant, day).await?;
            match current.version {
                Some(version) if current.manifest.has_commit(&id) => Ok(CommitOutcome::Committed(version)),
                // The swap may still be carried out.
                version if version == base.version => Err(StoreError::unclear(&key, 1)),
                // A version never comes back, so the swap can no longer be carried out.
                _ => Ok(CommitOutcome::Conflict),
            }
        }
    }
}

fn new_commit_id(env: &Env) -> CommitId {
    let bits = (u128::from(env.random_u64()) << 64) | u128::from(env.random_u64());
    CommitId(bits.to_be_bytes())
}

fn encode(manifest: &DayManifest) -> Result<Bytes, StoreError> {
    let failed = |error: std::io::Error| StoreError::internal(format!("zstd refused a day manifest: {error}"));
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(failed)?;
    compressor.include_checksum(true).map_err(failed)?;
    Ok(Bytes::from(compressor.compress(&manifest.encode()).map_err(failed)?))
}

/// Reads the object `key`. Safe on arbitrary bytes.
pub fn decode(tenant: &TenantId, day: Day, key: &str, bytes: &[u8]) -> Result<DayManifest, StoreError> {
    let size = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten().and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= MAX_BYTES);
    let Some(size) = size else { return Err(StoreError::corrupt(key, "it is no zstd frame of at most 512 MiB")) };
    let encoded = zstd::bulk::decompress(bytes, size).map_err(|error| StoreError::corrupt_by(key, "it cannot be decompressed", error))?;
    DayManifest::decode(tenant, day, &encoded).map_err(|error| StoreError::corrupt_by(key, "it is no day manifest", error))
}

/// What one LIST of a tenant's manifests shows.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The days that have a manifest.
    pub days: BTreeMap<Day, ObjectInfo>,
    /// The delete requests, if there ever was one.
    pub deletes: Option<ObjectInfo>,
}

/// Lists the manifests of `tenant`. One LIST per 1,000 days.
/// Errors: [`StoreError::Corrupt`] for an object that is none of ours: it may be what a later version keeps rows by.
pub async fn list(client: &ObjectClient, tenant: &TenantId) -> Result<Listed, StoreError> {
    let prefix = manifest_prefix(tenant);
    let mut listed = Listed::default();
    for object in client.list(&prefix).await? {
        if object.key == deletes_key(tenant) {
            listed.deletes = Some(object);
            continue;
        }
        match object.key.strip_prefix(&prefix).and_then(Day::parse) {
            Some(day) => {
                listed.days.insert(day, object);
            }
            None => return Err(StoreError::corrupt(object.key, "it lies among the day manifests but is none")),
        }
    }
    Ok(listed)
}

/// Reads the listed manifests of `days`, those in `cache` without a request. A manifest may be newer than the LIST, never older.
pub async fn read(
    client: &ObjectClient,
    tenant: &TenantId,
    listed: &Listed,
    days: Vec<Day>,
    cache: &ChunkCache,
) -> Result<BTreeMap<Day, Arc<DayManifest>>, StoreError> {
    let wanted: Vec<(Day, ObjectInfo)> = days.into_iter().filter_map(|day| Some((day, listed.days.get(&day)?.clone()))).collect();
    let reads = wanted.into_iter().map(|(day, info)| async move {
        if let Some(known) = cache.day(&info.key, &info.version) {
            return Ok::<_, StoreError>((day, known));
        }
        let Some((bytes, version)) = client.get_versioned(&info.key).await? else {
            return Err(StoreError::corrupt(&*info.key, "a day manifest was deleted, which Tarn never does"));
        };
        let manifest = Arc::new(decode(tenant, day, &info.key, &bytes)?);
        cache.keep_day(&info.key, version, Arc::clone(&manifest));
        Ok((day, manifest))
    });
    stream::iter(reads).buffered(READS_IN_FLIGHT).try_collect().await
}
