//! Whether the store answers: seen in what is asked of it anyway. Only while everything fails is it asked for the sake of knowing, so that a healthy server and an idle one
//! make no request for this.
//! Must not know: HTTP, what requests are about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use store::object::{Op, OpResult, RequestCounts};

use crate::serve::state::App;

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// What one question may take, with the attempts that the client makes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions in a row that have to fail before the store is said to be broken.
const MOST_FAILURES: u32 = 3;

/// What was seen last.
#[derive(Debug, Default)]
pub(crate) struct StoreHealth {
    /// Questions that failed, since the last request of any kind that did not.
    failures: AtomicU32,
}

impl StoreHealth {
    /// Whether the store has not answered for some time, though it was asked.
    pub(crate) fn is_broken(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= MOST_FAILURES
    }

    fn succeeded(&self) {
        if self.failures.swap(0, Ordering::Relaxed) >= MOST_FAILURES {
            tracing::info!("the store answers again");
        }
    }

    fn failed(&self, reason: &str) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 == MOST_FAILURES {
            tracing::error!(reason, "the store does not answer: not ready until it does");
        }
    }
}

/// What a look at the counters says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Something went well.
    Success,
    /// Nothing was asked.
    Nothing,
    /// All that was asked failed.
    Failures,
}

impl Seen {
    fn of(counts: &RequestCounts) -> Self {
        let errors: u64 = Op::ALL.into_iter().map(|op| counts.requests(op, OpResult::Error)).sum();
        match (counts.total(), errors) {
            (0, _) => Self::Nothing,
            (total, errors) if total > errors => Self::Success,
            _ => Self::Failures,
        }
    }
}

/// Looks every few seconds, until it is dropped.
pub(crate) async fn run(app: Arc<App>) {
    let client = app.roles.client();
    let mut before = client.stats().snapshot();
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = client.stats().snapshot();
        match Seen::of(&now.since(&before)) {
            Seen::Success => app.store_health.succeeded(),
            Seen::Nothing if app.store_health.failures.load(Ordering::Relaxed) == 0 => {}
            Seen::Nothing | Seen::Failures => match tokio::time::timeout(PATIENCE, client.check_existing_format()).await {
                Ok(Ok(())) => app.store_health.succeeded(),
                Ok(Err(error)) => app.store_health.failed(&error.chain()),
                Err(_) => app.store_health.failed("no answer in time"),
            },
        }
        // What the question itself counted says nothing new.
        before = client.stats().snapshot();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_break_it_and_one_success_mends_it() {
        let health = StoreHealth::default();
        health.failed("x");
        health.failed("x");
        assert!(!health.is_broken());
        health.succeeded();
        for _ in 0..3 {
            assert!(!health.is_broken());
            health.failed("x");
        }
        health.failed("x");
        assert!(health.is_broken());
        health.succeeded();
        assert!(!health.is_broken());
    }

    #[test]
    fn no_request_is_neither_success_nor_failure() {
        assert_eq!(Seen::of(&RequestCounts::default()), Seen::Nothing);
    }
}
