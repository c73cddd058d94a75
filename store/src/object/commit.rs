//! The two writes of the commit protocol: create-if-absent and compare-and-swap.
//! Owns: finding out how a write ended when the store does not say.
//! Must not know: what is written, and what a caller does after a conflict.
//!
//! The transport below never repeats a conditional put by itself, so an answer always belongs to the one request that was sent: a repetition inside the transport
//! reports its own success as "already exists" or "wrong version".

use bytes::Bytes;

use super::backend::{Condition, Failure, Part};
use super::client::{ObjectClient, len_u64};
use super::stats::Op;
use super::{CreateOutcome, PutOutcome, SwapOutcome, Version};
use crate::error::StoreError;

impl ObjectClient {
    /// Writes the object unless one with this key is there. Exactly one request when it is created at once.
    ///
    /// When the store answers that the object exists, or does not say what happened (time-out, broken connection, 5xx, S3's 409), one HEAD finds out: present is
    /// [`PutOutcome::AlreadyExists`], absent is tried again a bounded number of times. So a caller needs no HEAD of its own before it acknowledges.
    /// Errors: `Unavailable`: whether the object was written is not known; the same create may be tried again at any time.
    pub async fn create(&self, key: &str, body: Bytes) -> Result<PutOutcome, StoreError> {
        Ok(match self.create_or_head(key, body).await? {
            CreateOutcome::Created => PutOutcome::Created,
            CreateOutcome::Existing(_) => PutOutcome::AlreadyExists,
        })
    }

    /// As [`ObjectClient::create`]; says size and version of the object that is already there, at no further request.
    pub async fn create_or_head(&self, key: &str, body: Bytes) -> Result<CreateOutcome, StoreError> {
        let full = self.shared.root.full_key(key)?;
        let mut attempts = self.attempts(Op::Put, key);
        loop {
            match self.put_once(&full, body.clone(), &Condition::Absent).await {
                Ok(_) => return Ok(CreateOutcome::Created),
                Err(failure @ (Failure::Exists | Failure::Busy(_) | Failure::Transient(_))) => match self.head(key).await? {
                    Some(found) => {
                        if found.size != len_u64(&body) {
                            tracing::debug!(key, found = found.size, ours = len_u64(&body), "an object of another size has this key already");
                        }
                        return Ok(CreateOutcome::Existing(found));
                    }
                    None => attempts.after(failure).await?,
                },
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    /// Replaces the object if it has the version `expected`; with `None`, writes it if there is none. One request when it commits at once.
    ///
    /// `body` must hold something that no other write of this key ever holds (a write id): when the store reports a conflict or does not say what happened, the
    /// object is read back, and the swap is committed if it has exactly this body. See [`SwapOutcome`] for what is left to the caller.
    /// Errors: `Denied`, `Invalid`; never `Unavailable`, which is [`SwapOutcome::Unknown`].
    pub async fn swap(&self, key: &str, body: Bytes, expected: Option<&Version>) -> Result<SwapOutcome, StoreError> {
        let full = self.shared.root.full_key(key)?;
        let condition = expected.map_or(Condition::Absent, |version| Condition::Is(version.clone()));
        let mut attempts = self.attempts(Op::Put, key);
        // Whether an earlier attempt of this call may have been carried out, now or later.
        let mut in_doubt = false;
        loop {
            let failure = match self.put_once(&full, body.clone(), &condition).await {
                Ok(version) => return Ok(SwapOutcome::Committed(version)),
                Err(failure) => failure,
            };
            let refused = match &failure {
                Failure::Exists | Failure::Mismatch | Failure::NotFound => true,
                Failure::Transient(_) => {
                    in_doubt = true;
                    false
                }
                Failure::Busy(_) => false,
                Failure::Denied(_) | Failure::Key(_) | Failure::Range(_) => {
                    attempts.after(failure).await?;
                    continue;
                }
            };
            let seen = self.look(key, &body, expected).await?;
            match seen {
                Seen::Ours(version) => return Ok(SwapOutcome::Committed(version)),
                Seen::Unreadable if refused && !in_doubt => return Ok(SwapOutcome::Conflict),
                Seen::Unreadable => return Ok(SwapOutcome::Unknown),
                Seen::Other if in_doubt => return Ok(SwapOutcome::Unknown),
                Seen::Other => return Ok(SwapOutcome::Conflict),
                // The condition still holds, so trying again cannot do harm: whichever attempt the store carries out, only one can be.
                Seen::Expected => match attempts.after(retryable(failure)).await {
                    Ok(()) => {}
                    Err(StoreError::Unavailable { .. }) if in_doubt => return Ok(SwapOutcome::Unknown),
                    Err(StoreError::Unavailable { .. }) => return Ok(SwapOutcome::Conflict),
                    Err(error) => return Err(error),
                },
            }
        }
    }

    async fn look(&self, key: &str, body: &Bytes, expected: Option<&Version>) -> Result<Seen, StoreError> {
        match self.read(key, Part::All).await {
            Ok(read) if read.bytes == body => Ok(Seen::Ours(read.version)),
            Ok(read) if expected == Some(&read.version) => Ok(Seen::Expected),
            Ok(_) => Ok(Seen::Other),
            Err(StoreError::NotFound { .. }) if expected.is_none() => Ok(Seen::Expected),
            Err(StoreError::NotFound { .. }) => Ok(Seen::Other),
            Err(error) if error.is_retryable() => {
                tracing::warn!(key, error = %error.chain(), "cannot read back an object whose swap has an unclear outcome");
                Ok(Seen::Unreadable)
            }
            Err(error) => Err(error),
        }
    }
}

/// What is under the key of a swap that the store did not confirm.
enum Seen {
    /// The new body.
    Ours(Version),
    /// What the swap expected.
    Expected,
    /// Something else, or nothing.
    Other,
    /// The store does not answer.
    Unreadable,
}

/// A refusal while the condition holds is a store that refuses too much; worth another attempt.
fn retryable(failure: Failure) -> Failure {
    match failure {
        Failure::Exists | Failure::Mismatch | Failure::NotFound => Failure::Busy("the store refused the swap although its condition holds".into()),
        other => other,
    }
}
