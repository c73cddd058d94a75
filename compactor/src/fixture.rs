//! Chunks of both levels for tests, made without the code under test. Owns: nothing that runs outside of tests.

use bytes::Bytes;
use schema::{ChunkEntry, ChunkHash, Consumed, Day, DayManifest, LabelSet, Level1Key, Partition, RowBatch, StreamRun, TenantId, Timestamp};
use store::chunk::{BuiltChunk, build};
use store::day::{self, CommitOutcome};
use store::{Env, ObjectClient};

/// 2026-11-01T00:00:00Z
pub(crate) const DAY: i64 = 1_793_491_200 * 1_000_000_000;
pub(crate) const MINUTE: i64 = 60 * 1_000_000_000;

/// A store in memory, and its clock.
pub(crate) fn store() -> (ObjectClient, Env) {
    let env = Env::seeded(Timestamp(DAY + 3 * 3600 * 1_000_000_000), 7);
    (ObjectClient::open("memory:", &env).unwrap(), env)
}

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("team-a").unwrap()
}

/// Rows of one stream.
pub(crate) fn rows(labels: &str, rows: &[(i64, &str)]) -> RowBatch {
    let mut batch = RowBatch { runs: vec![StreamRun { labels: LabelSet::parse(labels).unwrap(), rows: 0..rows.len() }], ..RowBatch::default() };
    for (at, line) in rows {
        batch.timestamps.push(*at);
        batch.lines.push(line.as_bytes());
        let id = batch.metadata.intern("trace");
        batch.metadata.push_pair(id, b"t1");
        batch.metadata.finish_row();
    }
    batch
}

/// Stores a chunk as ingestion does.
pub(crate) async fn push(client: &ObjectClient, tenant: &TenantId, batches: &[RowBatch]) -> BuiltChunk {
    let chunk = build(tenant, batches).unwrap();
    store::chunk::commit(client, &chunk).await.unwrap();
    chunk
}

/// Stores the file of `chunk` under the name of a compacted chunk, and what its day manifest has to say of it.
pub(crate) async fn compacted(client: &ObjectClient, chunk: &BuiltChunk, hour: Option<u8>, id: u128, inline: bool) -> ChunkEntry {
    let key = Level1Key { tenant: chunk.key.tenant.clone(), day: Day::of(chunk.key.min), hour, partition: Partition::of_value("a"), id: ulid::Ulid(id) };
    client.create(&key.to_string(), chunk.bytes.clone()).await.unwrap();
    entry(chunk, key, inline)
}

pub(crate) fn entry(chunk: &BuiltChunk, key: Level1Key, inline: bool) -> ChunkEntry {
    let mut checksum = [0; 16];
    checksum.copy_from_slice(&blake3::hash(&chunk.bytes).as_bytes()[..16]);
    let size = u64::try_from(chunk.bytes.len()).unwrap();
    ChunkEntry {
        key,
        size,
        checksum,
        rows: chunk.manifest.rows(),
        bytes: chunk.manifest.bytes(),
        min: chunk.key.min,
        max: chunk.key.max,
        streams: u64::try_from(chunk.manifest.streams.len()).unwrap(),
        footer: size,
        bloom: chunk.key.bloom.clone(),
        labels: inline.then(|| zstd::bulk::compress(&chunk.manifest.encode(), 3).unwrap().into()),
    }
}

/// Commits an edit of a day.
pub(crate) async fn commit(client: &ObjectClient, env: &Env, tenant: &TenantId, day: Day, edit: impl FnOnce(&mut DayManifest)) {
    let base = day::load(client, tenant, day).await.unwrap();
    let mut edited = base.manifest.clone();
    edit(&mut edited);
    assert!(matches!(day::commit(client, env, tenant, &base, edited).await.unwrap(), CommitOutcome::Committed(_)));
}

pub(crate) fn consumed(hash: ChunkHash, env: &Env) -> Consumed {
    Consumed { hash, at: env.now() }
}

/// Puts other bytes in the place of an object.
pub(crate) async fn overwrite(client: &ObjectClient, key: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let (body, version) = client.get_versioned(key).await.unwrap().unwrap();
    let changed = Bytes::from(change(body.to_vec()));
    client.swap(key, changed, Some(&version)).await.unwrap();
}
