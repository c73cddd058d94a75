//! Puts a built chunk into the store: one PUT, and it is committed.

use super::build::BuiltChunk;
use crate::error::StoreError;
use crate::object::{ObjectClient, PutOutcome};
use crate::testing::rules::{Rule, broken};

/// How a commit ended. Both mean that the rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// This call stored the chunk.
    Created,
    /// A chunk of this name, so with these rows, was there before: a retried push, or a retried PUT whose first answer was lost.
    AlreadyStored,
}

/// Stores `chunk` under its key with exactly one PUT, conditional on the key being free. The rows are acknowledged once this returns `Ok`.
/// Errors: those of [`ObjectClient::create`]; then it is not known whether the chunk is stored, and committing it again is safe.
pub async fn commit(client: &ObjectClient, chunk: &BuiltChunk) -> Result<CommitOutcome, StoreError> {
    match client.create(&chunk.key.to_string(), chunk.bytes.clone()).await {
        Ok(PutOutcome::Created) => Ok(CommitOutcome::Created),
        Ok(PutOutcome::AlreadyExists) => Ok(CommitOutcome::AlreadyStored),
        Err(error) if broken(Rule::AcknowledgedWhenUnknown) && error.is_retryable() => Ok(CommitOutcome::AlreadyStored),
        Err(error) => Err(error),
    }
}
