//! One flush: the pushes of a tenant become one object, and each client gets the outcome.
//! Must not know: when a flush is due.

use std::collections::HashMap;
use std::sync::Arc;

use schema::{ChunkHash, RowBatch, TenantId};
use store::StoreError;
use store::chunk::{BuiltChunk, CommitOutcome};
use tokio::sync::oneshot;

use super::{Room, Shared, Waiting};
use crate::error::CommitError;
use crate::metrics::FlushResult;

/// Writes `waiting` as one object and answers each push with the same outcome. One PUT, no other request unless the store is in doubt.
pub(super) async fn run(shared: Arc<Shared>, tenant: TenantId, waiting: Vec<Waiting>) {
    let pushes = waiting.len();
    shared.metrics.flush_began();
    let mut batches = Vec::with_capacity(pushes);
    let mut clients: Vec<(oneshot::Sender<Result<(), CommitError>>, Room)> = Vec::with_capacity(pushes);
    for Waiting { batch, reply, room } in waiting {
        batches.push(batch);
        clients.push((reply, room));
    }
    let outcome = write(&shared, &tenant, batches).await;
    match &outcome {
        Ok(written) => shared.metrics.flushed(written.result, pushes - written.repeated, written.repeated, written.bytes),
        Err(error) => {
            shared.metrics.flushed(FlushResult::Failed, pushes, 0, 0);
            tracing::warn!(%tenant, pushes, %error, "flush failed");
        }
    }
    shared.metrics.flush_ended(pushes);
    for (reply, room) in clients {
        drop(room);
        // The client may have gone; its rows are stored all the same.
        let _ = reply.send(outcome.as_ref().map(|_| ()).map_err(Clone::clone));
    }
    shared.metrics.waiting(shared.waiting_bytes());
}

struct Written {
    result: FlushResult,
    repeated: usize,
    bytes: usize,
}

async fn write(shared: &Shared, tenant: &TenantId, batches: Vec<RowBatch>) -> Result<Written, CommitError> {
    let owner = tenant.clone();
    let build = move || {
        let (distinct, repeated) = without_repeats(batches);
        store::chunk::build(&owner, &distinct).map(|chunk| (chunk, repeated))
    };
    let built: Result<(BuiltChunk, usize), StoreError> = tokio::task::spawn_blocking(build).await.map_err(|_| CommitError::Aborted)?;
    let (chunk, repeated) = built.map_err(failed)?;
    let bytes = chunk.bytes.len();
    let result = match store::chunk::commit(&shared.client, &chunk).await.map_err(failed)? {
        CommitOutcome::Created => FlushResult::Stored,
        CommitOutcome::AlreadyStored => FlushResult::AlreadyStored,
    };
    Ok(Written { result, repeated, bytes })
}

#[expect(clippy::needless_pass_by_value, reason = "a map_err adapter")]
fn failed(error: StoreError) -> CommitError {
    CommitError::Store { detail: error.chain() }
}

/// Drops every batch that says the same as an earlier one: a client retried while its first attempt still waited. Only batches of
/// equal size and times are compared by content hash, which hardly ever happens otherwise.
fn without_repeats(batches: Vec<RowBatch>) -> (Vec<RowBatch>, usize) {
    if batches.len() < 2 {
        return (batches, 0);
    }
    let mut shapes: HashMap<(usize, usize, i64), Vec<usize>> = HashMap::new();
    for (index, batch) in batches.iter().enumerate() {
        let times = batch.timestamps.iter().fold(0_i64, |sum, timestamp| sum.wrapping_add(*timestamp));
        shapes.entry((batch.len(), batch.raw_bytes(), times)).or_default().push(index);
    }
    let mut repeats = vec![false; batches.len()];
    for indices in shapes.into_values().filter(|indices| indices.len() > 1) {
        let mut seen: Vec<ChunkHash> = Vec::with_capacity(indices.len());
        for index in indices {
            let Some((batch, repeat)) = batches.get(index).zip(repeats.get_mut(index)) else { continue };
            let hash = store::chunk::push_hash(batch);
            *repeat = seen.contains(&hash);
            if !*repeat {
                seen.push(hash);
            }
        }
    }
    let repeated = repeats.iter().filter(|repeat| **repeat).count();
    let distinct = batches.into_iter().zip(repeats).filter_map(|(batch, repeat)| (!repeat).then_some(batch)).collect();
    (distinct, repeated)
}
