//! Time that stands still while anybody works and jumps to the next sleeper when nobody does, so that hours of a test pass in milliseconds and in the same order every time.
//! Owns: who sleeps until when, in which order they wake.
//! Must not know: how idleness is found out; whoever drives the tasks calls [`VirtualTime::advance`] then.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use schema::Timestamp;

/// A clock that many environments share. A cheap clone.
#[derive(Clone)]
pub struct VirtualTime {
    start: Timestamp,
    sleepers: Arc<Mutex<Sleepers>>,
}

#[derive(Default)]
struct Sleepers {
    elapsed: Duration,
    begun: u64,
    waiting: BTreeMap<(Duration, u64), Waker>,
}

impl VirtualTime {
    /// A clock that stands at `start`.
    pub fn starting_at(start: Timestamp) -> Self {
        Self { start, sleepers: Arc::default() }
    }

    /// How much time has passed.
    pub fn elapsed(&self) -> Duration {
        self.sleepers.lock().elapsed
    }

    /// The wall clock of an environment without skew.
    pub fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.elapsed().as_nanos()).unwrap_or(i64::MAX);
        Timestamp(self.start.as_nanos().saturating_add(elapsed))
    }

    /// Jumps to the instant of the sleeper that is due first, and wakes it. `false` if nobody sleeps.
    /// Of sleepers that are due at the same instant the one that went to sleep first wakes first, each at a call of its own.
    pub fn advance(&self) -> bool {
        let waker = {
            let mut sleepers = self.sleepers.lock();
            let Some(((due, _), waker)) = sleepers.waiting.pop_first() else { return false };
            sleepers.elapsed = sleepers.elapsed.max(due);
            waker
        };
        waker.wake();
        true
    }

    /// Ends after `wait`.
    pub fn sleep(&self, wait: Duration) -> impl Future<Output = ()> + Send + use<> {
        let mut sleepers = self.sleepers.lock();
        sleepers.begun += 1;
        VirtualSleep { time: self.clone(), key: (sleepers.elapsed.saturating_add(wait), sleepers.begun) }
    }
}

impl fmt::Debug for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualTime").field("start", &self.start).field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

struct VirtualSleep {
    time: VirtualTime,
    key: (Duration, u64),
}

impl Future for VirtualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut sleepers = self.time.sleepers.lock();
        if sleepers.elapsed >= self.key.0 {
            sleepers.waiting.remove(&self.key);
            return Poll::Ready(());
        }
        sleepers.waiting.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        self.time.sleepers.lock().waiting.remove(&self.key);
    }
}
