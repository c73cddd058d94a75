//! A client whose requests fail, or whose store breaks its word, as a test says.
//! Owns: the script of faults, the log of requests.
//! Must not know: which outcome is right.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::object::{Backend, Condition, Failure, FolderPage, ObjectClient, ObjectInfo, Op, Page, Part, Read, RetryPolicy, Version};

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No answer, and the store did nothing: a connection that could not be made.
    FailBefore,
    /// No answer, although the store did it: a lost acknowledgement.
    FailAfter,
    /// The store did it, and the answer is that the condition does not hold: something on the way repeated the request. On requests without a condition: as
    /// [`Fault::FailAfter`].
    RefusedAfter,
    /// The answer is that the condition does not hold, although it may; the store did nothing. On requests without a condition: as [`Fault::FailBefore`].
    Refused,
    /// S3's 409 ConditionalRequestConflict: the store did nothing.
    Conflict409,
    /// S3's 503 SlowDown: the store did nothing.
    SlowDown503,
    /// S3's 403.
    Denied403,
    /// The right answer, later.
    Delay(Duration),
}

/// A guarantee that the store no longer gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Creates overwrite.
    CreateOverwrites,
    /// Creates see an object only some milliseconds after another writer was told that it is written, as stores that check and then write.
    CreateRaces,
    /// Swaps do not look at the version, but at whether there is an object.
    SwapIgnoresVersion,
    /// Swaps of a missing object create it.
    SwapCreates,
    /// LIST does not show what was written since the weakness began.
    StaleList,
    /// LIST shows objects that were deleted.
    DeletedInList,
    /// A read of a key that was missing before says that it is missing still, once.
    StaleRead,
    /// Keys that differ only in upper and lower case are one.
    FoldsCase,
}

/// The handle with which a test steers a client that was wrapped by [`FaultyStore::wrap`]. A cheap clone.
#[derive(Clone)]
pub struct FaultyStore {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    script: VecDeque<(Op, Fault)>,
    seeded: Option<Seeded>,
    weakness: Option<Weakness>,
    halt_after: Option<u64>,
    requests: Vec<(Op, String)>,
    unlisted: Vec<String>,
    deleted: Vec<ObjectInfo>,
    stale_once: Vec<String>,
}

struct Seeded {
    rng: StdRng,
    one_in: u32,
}

impl FaultyStore {
    /// A client of the same store whose requests pass through the returned handle. It retries as often as the original, with hardly a wait in between, and counts
    /// its requests on its own. The original client stays without faults.
    pub fn wrap(client: &ObjectClient) -> (ObjectClient, Self) {
        let handle = Self { state: Arc::default() };
        let state = Arc::clone(&handle.state);
        (client.wrapped(|inner| Arc::new(FaultyBackend { inner, state }), RetryPolicy::IMPATIENT), handle)
    }

    /// Adds faults: each befalls the next request of its kind that no earlier fault of the script has befallen.
    pub fn script(&self, faults: impl IntoIterator<Item = (Op, Fault)>) {
        self.state.lock().script.extend(faults);
    }

    /// From now on one request in `one_in` suffers a fault, chosen by a random sequence that `seed` repeats: any of those that a store without weaknesses can have
    /// (not `Denied403`, no delays over a millisecond). 0 ends it.
    pub fn seeded(&self, seed: u64, one_in: u32) {
        self.state.lock().seeded = (one_in > 0).then(|| Seeded { rng: StdRng::seed_from_u64(seed), one_in });
    }

    /// From now on the store breaks this guarantee. `None`: it keeps its word again.
    pub fn weaken(&self, weakness: Option<Weakness>) {
        self.state.lock().weakness = weakness;
    }

    /// After `requests` further requests nothing reaches the store any more, as if the process had died there. `None` ends it.
    pub fn halt_after(&self, requests: Option<u64>) {
        self.state.lock().halt_after = requests;
    }

    /// Whether every fault of the script has befallen a request.
    pub fn script_is_done(&self) -> bool {
        self.state.lock().script.is_empty()
    }

    /// Kind and key (below the bucket or directory, with the client's root) of every request so far, in order.
    pub fn requests(&self) -> Vec<(Op, String)> {
        self.state.lock().requests.clone()
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("FaultyStore")
            .field("script", &state.script)
            .field("weakness", &state.weakness)
            .field("requests", &state.requests.len())
            .finish_non_exhaustive()
    }
}

impl State {
    fn next_fault(&mut self, op: Op, key: &str) -> Option<Fault> {
        self.requests.push((op, key.to_owned()));
        match &mut self.halt_after {
            Some(0) => return Some(Fault::FailBefore),
            Some(left) => *left -= 1,
            None => {}
        }
        if let Some(position) = self.script.iter().position(|(wanted, _)| *wanted == op) {
            return self.script.remove(position).map(|(_, fault)| fault);
        }
        let seeded = self.seeded.as_mut()?;
        if seeded.rng.random_range(0..seeded.one_in) != 0 {
            return None;
        }
        Some(match seeded.rng.random_range(0..6u32) {
            0 => Fault::FailBefore,
            1 => Fault::FailAfter,
            2 => Fault::RefusedAfter,
            3 => Fault::Conflict409,
            4 => Fault::SlowDown503,
            _ => Fault::Delay(Duration::from_micros(seeded.rng.random_range(0..1000))),
        })
    }
}

struct FaultyBackend {
    inner: Arc<dyn Backend>,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for FaultyBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyBackend").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// What a fault does around a request.
enum Course {
    /// The store does it; the answer is this failure or the store's own.
    Done(Option<Failure>),
    /// The store does nothing.
    Undone(Failure),
}

fn course(fault: Option<Fault>, refusal: Option<Failure>) -> Course {
    match fault {
        None | Some(Fault::Delay(_)) => Course::Done(None),
        Some(Fault::FailAfter) => Course::Done(Some(lost("the connection broke before the answer came"))),
        Some(Fault::RefusedAfter) => Course::Done(Some(refusal.unwrap_or_else(|| lost("the connection broke before the answer came")))),
        Some(Fault::FailBefore) => Course::Undone(lost("the connection could not be made")),
        Some(Fault::Refused) => Course::Undone(refusal.unwrap_or_else(|| lost("the connection could not be made"))),
        Some(Fault::Conflict409) if refusal.is_some() => Course::Undone(Failure::Busy("409 ConditionalRequestConflict".into())),
        Some(Fault::Conflict409 | Fault::SlowDown503) => Course::Undone(lost("503 SlowDown")),
        Some(Fault::Denied403) => Course::Undone(Failure::Denied("403 AccessDenied".into())),
    }
}

fn lost(text: &'static str) -> Failure {
    Failure::Transient(text.into())
}

impl FaultyBackend {
    async fn fault(&self, op: Op, key: &str) -> Option<Fault> {
        let fault = self.state.lock().next_fault(op, key);
        if let Some(Fault::Delay(wait)) = fault {
            tokio::time::sleep(wait).await;
        }
        fault
    }

    fn weakness(&self) -> Option<Weakness> {
        self.state.lock().weakness
    }

    fn stored_key(&self, key: &str) -> String {
        if self.weakness() == Some(Weakness::FoldsCase) { key.to_ascii_lowercase() } else { key.to_owned() }
    }

    async fn weak_put(&self, key: &str, body: Bytes, condition: &Condition) -> Result<Version, Failure> {
        match (self.weakness(), condition) {
            (Some(Weakness::CreateOverwrites), Condition::Absent) => self.overwrite(key, body).await,
            (Some(Weakness::CreateRaces), Condition::Absent) => {
                let seen = self.inner.head(key).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
                if seen.is_ok() { Err(Failure::Exists) } else { self.overwrite(key, body).await }
            }
            (Some(Weakness::SwapIgnoresVersion), Condition::Is(_)) => match self.inner.head(key).await {
                Ok(info) => self.inner.put(key, body, &Condition::Is(info.version)).await,
                Err(_) => Err(Failure::Mismatch),
            },
            (Some(Weakness::SwapCreates), Condition::Is(_)) if self.inner.head(key).await.is_err() => self.inner.put(key, body, &Condition::Absent).await,
            (Some(Weakness::StaleList), _) => {
                self.state.lock().unlisted.push(key.to_owned());
                self.inner.put(key, body, condition).await
            }
            (Some(Weakness::StaleRead), _) => {
                self.state.lock().stale_once.push(key.to_owned());
                self.inner.put(key, body, condition).await
            }
            _ => self.inner.put(key, body, condition).await,
        }
    }

    async fn overwrite(&self, key: &str, body: Bytes) -> Result<Version, Failure> {
        loop {
            let condition = self.inner.head(key).await.map_or(Condition::Absent, |info| Condition::Is(info.version));
            match self.inner.put(key, body.clone(), &condition).await {
                Err(Failure::Exists | Failure::Mismatch) => {}
                answer => return answer,
            }
        }
    }

    fn is_stale(&self, key: &str) -> bool {
        let mut state = self.state.lock();
        let Some(position) = state.stale_once.iter().position(|stale| stale == key) else { return false };
        state.stale_once.swap_remove(position);
        true
    }
}

#[async_trait]
impl Backend for FaultyBackend {
    async fn put(&self, key: &str, body: Bytes, condition: &Condition) -> Result<Version, Failure> {
        let refusal = match condition {
            Condition::Absent => Failure::Exists,
            Condition::Is(_) => Failure::Mismatch,
        };
        match course(self.fault(Op::Put, key).await, Some(refusal)) {
            Course::Undone(failure) => Err(failure),
            Course::Done(instead) => {
                let version = self.weak_put(&self.stored_key(key), body, condition).await?;
                instead.map_or(Ok(version), Err)
            }
        }
    }

    async fn get(&self, key: &str, part: &Part) -> Result<Read, Failure> {
        match course(self.fault(Op::Get, key).await, None) {
            Course::Undone(failure) | Course::Done(Some(failure)) => Err(failure),
            Course::Done(None) if self.is_stale(key) => Err(Failure::NotFound),
            Course::Done(None) => self.inner.get(&self.stored_key(key), part).await,
        }
    }

    async fn head(&self, key: &str) -> Result<ObjectInfo, Failure> {
        match course(self.fault(Op::Head, key).await, None) {
            Course::Undone(failure) | Course::Done(Some(failure)) => Err(failure),
            Course::Done(None) if self.is_stale(key) => Err(Failure::NotFound),
            Course::Done(None) => self.inner.head(&self.stored_key(key)).await,
        }
    }

    async fn list(&self, prefix: &str, page: Option<&str>) -> Result<Page, Failure> {
        match course(self.fault(Op::List, prefix).await, None) {
            Course::Undone(failure) | Course::Done(Some(failure)) => Err(failure),
            Course::Done(None) => {
                let mut answer = self.inner.list(prefix, page).await?;
                let state = self.state.lock();
                match state.weakness {
                    Some(Weakness::StaleList) => answer.objects.retain(|info| !state.unlisted.contains(&info.key)),
                    Some(Weakness::DeletedInList) => answer.objects.extend(state.deleted.iter().filter(|info| info.key.starts_with(prefix)).cloned()),
                    _ => {}
                }
                Ok(answer)
            }
        }
    }

    async fn folders(&self, prefix: &str, page: Option<&str>) -> Result<FolderPage, Failure> {
        match course(self.fault(Op::List, prefix).await, None) {
            Course::Undone(failure) | Course::Done(Some(failure)) => Err(failure),
            Course::Done(None) => self.inner.folders(prefix, page).await,
        }
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        match course(self.fault(Op::Delete, key).await, None) {
            Course::Undone(failure) => Err(failure),
            Course::Done(instead) => {
                let key = self.stored_key(key);
                if let Ok(info) = self.inner.head(&key).await {
                    self.state.lock().deleted.push(info);
                }
                self.inner.delete(&key).await?;
                instead.map_or(Ok(()), Err)
            }
        }
    }

    async fn foreign_entry(&self) -> Result<Option<String>, Failure> {
        self.inner.foreign_entry().await
    }
}
