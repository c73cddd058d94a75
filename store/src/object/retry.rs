//! How often and how long a request is tried again.
//! Owns: the policy, the waiting, and which failures end the trying.
//! Must not know: which request it is.

use std::time::Duration;

use super::backend::Failure;
use super::stats::Op;
use crate::env::Env;
use crate::error::{Cause, StoreError};

/// Bounds on trying again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryPolicy {
    /// Requests of one kind in one call.
    pub(crate) attempts: u32,
    /// No further attempt starts once this much time has passed since the first.
    pub(crate) within: Duration,
    /// Wait before the second attempt; quadruples from then on, each time a random half to whole of it.
    pub(crate) first_wait: Duration,
}

impl RetryPolicy {
    /// Waits about 0.1, 0.4 and 1.6 s: long enough for a SlowDown to pass, short enough for a client that waits for its acknowledgement.
    pub(crate) const DEFAULT: Self = Self { attempts: 4, within: Duration::from_secs(15), first_wait: Duration::from_millis(100) };
    /// As many attempts with hardly a wait, for injected faults.
    pub(crate) const IMPATIENT: Self = Self { attempts: 4, within: Duration::from_secs(15), first_wait: Duration::from_micros(50) };

    /// The wait after attempt number `attempt` (from 1), of which `random` takes a half to the whole.
    fn wait(&self, attempt: u32, random: u64) -> Duration {
        let whole = self.first_wait.saturating_mul(4u32.saturating_pow(attempt.saturating_sub(1)));
        let half = whole / 2;
        let thousandths = u32::try_from(random % 1001).unwrap_or(1000);
        half.saturating_add(half.saturating_mul(thousandths) / 1000)
    }
}

/// The attempts of one call.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    policy: RetryPolicy,
    env: &'a Env,
    op: Op,
    key: &'a str,
    failed: u32,
    started: Duration,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(policy: RetryPolicy, env: &'a Env, op: Op, key: &'a str) -> Self {
        Self { policy, env, op, key, failed: 0, started: env.monotonic() }
    }

    /// What `failure` means for a caller that does not try again.
    pub(crate) fn give_up<T>(&mut self, failure: Failure) -> Result<T, StoreError> {
        self.failed = self.failed.saturating_add(1);
        let source = self.cause(failure)?;
        Err(StoreError::Unavailable { op: self.op.as_str(), key: self.key.to_owned(), attempts: self.failed, source })
    }

    /// Waits before the next attempt. The error, when there is to be none: what `failure` means for the caller.
    pub(crate) async fn after(&mut self, failure: Failure) -> Result<(), StoreError> {
        self.failed = self.failed.saturating_add(1);
        let cause = self.cause(failure)?;
        let elapsed = self.env.monotonic().saturating_sub(self.started);
        if self.failed >= self.policy.attempts || elapsed >= self.policy.within {
            return Err(StoreError::Unavailable { op: self.op.as_str(), key: self.key.to_owned(), attempts: self.failed, source: cause });
        }
        tracing::debug!(op = self.op.as_str(), key = self.key, attempt = self.failed, error = %cause, "object store request failed, trying again");
        self.env.sleep(self.policy.wait(self.failed, self.env.random_u64())).await;
        Ok(())
    }

    /// The cause of a failure that another attempt may not have; else the error that it is.
    fn cause(&self, failure: Failure) -> Result<Cause, StoreError> {
        let (op, key) = (self.op.as_str(), self.key.to_owned());
        match failure {
            Failure::Transient(cause) | Failure::Busy(cause) => Ok(cause),
            Failure::Exists => Ok("the store answered that the object exists, but it does not".into()),
            Failure::NotFound => Err(StoreError::NotFound { key }),
            Failure::Denied(source) => Err(StoreError::Denied { op, key, source }),
            Failure::Key(reason) => Err(StoreError::Key { key, reason }),
            Failure::Mismatch | Failure::Range(_) => Err(StoreError::internal(format!("{failure:?} as the answer to {op} of '{key}'"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_fourfold_and_stay_between_half_and_whole() {
        let policy = RetryPolicy::DEFAULT;
        assert_eq!((policy.wait(1, 0), policy.wait(1, 1000)), (Duration::from_millis(50), Duration::from_millis(100)));
        assert_eq!((policy.wait(3, 0), policy.wait(3, 1000)), (Duration::from_millis(800), Duration::from_millis(1600)));
        assert!(policy.wait(u32::MAX, u64::MAX) > Duration::from_secs(3600), "grows without overflow");
    }
}
