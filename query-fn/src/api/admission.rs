//! How many queries run at the same time: of the process, and of each tenant. Others wait for their turn, and when too many wait they are refused.
//! Owns: who runs, who waits. Must not know: what a query is.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;
use schema::{Concurrency, TenantId};
use tokio::sync::oneshot;

use crate::QueryError;

/// A tenant of a query, and how many queries it may run at the same time; 0 allows any.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) tenant: TenantId,
    pub(super) most: usize,
}

/// Hands out places. A query of several tenants takes one of each.
#[derive(Debug)]
pub(super) struct Admission {
    concurrency: Concurrency,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    tenants: HashMap<TenantId, Counts>,
    /// In order of arrival. A later one goes first where the tenants of the earlier ones run as many as they may.
    waiting: VecDeque<Waiter>,
    next: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    running: usize,
    waiting: usize,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    shares: Vec<Share>,
    admit: oneshot::Sender<Place>,
}

/// The place of a query that runs; given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    tenants: Vec<TenantId>,
}

impl Admission {
    pub(super) fn new(concurrency: Concurrency) -> Arc<Self> {
        Arc::new(Self { concurrency, state: Mutex::default() })
    }

    /// Waits for a place. Errors: [`QueryError::TooMany`] when as many queries of one of the tenants wait as may. Dropping the future gives the turn up.
    pub(super) async fn enter(self: &Arc<Self>, shares: Vec<Share>) -> Result<Place, QueryError> {
        let (admit, admitted) = oneshot::channel();
        let number = {
            let mut state = self.state.lock();
            if state.has_room(&shares, self.concurrency.max_concurrent) {
                return Ok(self.place(&mut state, &shares));
            }
            let outstanding = |share: &Share| state.tenants.get(&share.tenant).map_or(0, |counts| counts.waiting);
            if shares.iter().any(|share| outstanding(share) >= self.concurrency.max_outstanding_per_tenant) {
                return Err(QueryError::TooMany);
            }
            for share in &shares {
                state.tenants.entry(share.tenant.clone()).or_default().waiting += 1;
            }
            let number = state.next;
            state.next += 1;
            state.waiting.push_back(Waiter { number, shares, admit });
            number
        };
        let _turn = Turn { admission: self, number };
        admitted.await.map_err(|_| QueryError::Internal { invariant: "who waits is admitted or gives up".to_owned() })
    }

    fn place(self: &Arc<Self>, state: &mut State, shares: &[Share]) -> Place {
        state.running += 1;
        for share in shares {
            state.tenants.entry(share.tenant.clone()).or_default().running += 1;
        }
        Place { admission: Arc::clone(self), tenants: shares.iter().map(|share| share.tenant.clone()).collect() }
    }

    /// Takes out of the queue who can run now. Who has left meanwhile gives its place back when it is handed out, outside of the lock.
    fn admit_waiting(self: &Arc<Self>) {
        let mut admitted = Vec::new();
        let mut state = self.state.lock();
        let mut at = 0;
        while let Some(waiter) = state.waiting.get(at) {
            if !state.has_room(&waiter.shares, self.concurrency.max_concurrent) {
                at += 1;
                continue;
            }
            let Some(waiter) = state.waiting.remove(at) else { break };
            state.stop_waiting(&waiter.shares);
            let place = self.place(&mut state, &waiter.shares);
            admitted.push((waiter.admit, place));
        }
        drop(state);
        for (admit, place) in admitted {
            drop(admit.send(place));
        }
    }

    /// Prometheus' text form.
    pub(super) fn render_prometheus(&self, out: &mut String) {
        let (running, waiting) = {
            let state = self.state.lock();
            (state.running, state.waiting.len())
        };
        let _ = writeln!(out, "# HELP tarn_queries_in_flight Queries that run.\n# TYPE tarn_queries_in_flight gauge\ntarn_queries_in_flight {running}");
        let _ = writeln!(out, "# HELP tarn_queries_waiting Queries that wait for a place.\n# TYPE tarn_queries_waiting gauge\ntarn_queries_waiting {waiting}");
    }
}

impl State {
    fn has_room(&self, shares: &[Share], max_concurrent: usize) -> bool {
        let fits = |running: usize, most: usize| most == 0 || running < most;
        fits(self.running, max_concurrent) && shares.iter().all(|share| fits(self.tenants.get(&share.tenant).map_or(0, |counts| counts.running), share.most))
    }

    fn stop_waiting(&mut self, shares: &[Share]) {
        for share in shares {
            self.change(&share.tenant, |counts| counts.waiting = counts.waiting.saturating_sub(1));
        }
    }

    /// A tenant without queries is forgotten.
    fn change(&mut self, tenant: &TenantId, change: impl Fn(&mut Counts)) {
        if let Some(counts) = self.tenants.get_mut(tenant) {
            change(counts);
            if counts.running == 0 && counts.waiting == 0 {
                self.tenants.remove(tenant);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut state = self.admission.state.lock();
            state.running = state.running.saturating_sub(1);
            for tenant in &self.tenants {
                state.change(tenant, |counts| counts.running = counts.running.saturating_sub(1));
            }
        }
        self.admission.admit_waiting();
    }
}

/// A turn in the queue; given up on drop, if it did not come.
struct Turn<'a> {
    admission: &'a Admission,
    number: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        let Some(at) = state.waiting.iter().position(|waiter| waiter.number == self.number) else { return };
        if let Some(waiter) = state.waiting.remove(at) {
            state.stop_waiting(&waiter.shares);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::BoxFuture;

    use super::*;

    fn shares(tenants: &str, most: usize) -> Vec<Share> {
        tenants.split('|').map(|tenant| Share { tenant: TenantId::parse(tenant).unwrap(), most }).collect()
    }

    fn enter(admission: &Arc<Admission>, tenants: &str, most: usize) -> BoxFuture<'static, Result<Place, QueryError>> {
        let (admission, shares) = (Arc::clone(admission), shares(tenants, most));
        async move { admission.enter(shares).await }.boxed()
    }

    fn counts(admission: &Arc<Admission>) -> (usize, usize) {
        let state = admission.state.lock();
        (state.running, state.waiting.len())
    }

    fn of(max_concurrent: usize, max_outstanding_per_tenant: usize) -> Arc<Admission> {
        Admission::new(Concurrency { max_concurrent, max_outstanding_per_tenant })
    }

    #[tokio::test]
    async fn a_query_beyond_the_most_waits_for_its_turn() {
        let admission = of(1, 10);
        let first = enter(&admission, "a", 0).await.unwrap();
        let (mut second, mut third) = (enter(&admission, "b", 0), enter(&admission, "c", 0));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        assert_eq!(counts(&admission), (1, 2));
        drop(first);
        assert!((&mut third).now_or_never().is_none(), "the second came before it");
        let second = second.await.unwrap();
        assert_eq!(counts(&admission), (1, 1));
        drop(second);
        drop(third.await.unwrap());
        assert_eq!(counts(&admission), (0, 0));
        assert!(admission.state.lock().tenants.is_empty());
    }

    #[tokio::test]
    async fn a_tenant_at_its_most_does_not_hold_up_others() {
        let admission = of(3, 10);
        let first = enter(&admission, "a", 1).await.unwrap();
        let mut second = enter(&admission, "a", 1);
        assert!((&mut second).now_or_never().is_none());
        let other = enter(&admission, "b", 1).now_or_never().unwrap().unwrap();
        let mut both = enter(&admission, "a|b", 1);
        assert!((&mut both).now_or_never().is_none());
        drop(other);
        assert!((&mut both).now_or_never().is_none(), "it needs a place of each tenant");
        drop(first);
        drop(second.await.unwrap());
        drop(both.await.unwrap());
        assert_eq!(counts(&admission), (0, 0));
    }

    #[tokio::test]
    async fn too_many_that_wait_are_refused() {
        let admission = of(1, 1);
        let first = enter(&admission, "a", 0).await.unwrap();
        let mut second = enter(&admission, "a", 0);
        assert!((&mut second).now_or_never().is_none());
        assert!(matches!(enter(&admission, "a", 0).await, Err(QueryError::TooMany)));
        assert!(matches!(enter(&admission, "b|a", 0).await, Err(QueryError::TooMany)));
        let mut other = enter(&admission, "b", 0);
        assert!((&mut other).now_or_never().is_none(), "the queue is each tenant's own");
        // Who gives up makes room.
        drop(second);
        let mut third = enter(&admission, "a", 0);
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        drop(other.await.unwrap());
        drop(third.await.unwrap());
    }

    #[tokio::test]
    async fn a_place_for_somebody_who_left_goes_to_the_next() {
        let admission = of(1, 10);
        let first = enter(&admission, "a", 0).await.unwrap();
        let (mut second, mut third) = (enter(&admission, "a", 0), enter(&admission, "a", 0));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        drop(first);
        // It was admitted and leaves without having looked.
        drop(second);
        drop(third.now_or_never().unwrap().unwrap());
        assert_eq!(counts(&admission), (0, 0));
    }
}
