//! Group commit: pushes of one tenant that arrive together share one object, and each is acknowledged after its PUT (DESIGN 3).
//! Owns: when a tenant's rows are flushed, the bound on rows that wait, who is told what.
//! Must not know: wire formats, how a chunk is encoded.
//!
//! A tenant's first push after a quiet spell is written at once, after a moment in which concurrent ones may join; later ones wait until
//! `flush_interval` has passed since the tenant's previous flush began, or until `flush_bytes` of rows are there. Each flush is a task
//! of its own, so that a client that hangs up takes nothing with it, and a slow PUT does not hold up the next one.

mod flush;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schema::{IngestLimits, LimitsOf, RowBatch, SameForAll, TenantId};
use store::{Env, ObjectClient};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::CommitError;
use crate::metrics::IngestMetrics;
use crate::rate::RateLimiter;
use crate::reject::DiscardReason;

/// How long the first push after a quiet spell waits for company.
const GATHER: Duration = Duration::from_millis(1);
/// Bytes that a row costs in memory beside its line and metadata.
const ROW_OVERHEAD_BYTES: usize = 48;
/// Tenants that are remembered although nothing of theirs waits, before the quiet ones are forgotten.
const REMEMBERED_TENANTS: usize = 256;

/// When rows are written, and how many may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCommitSettings {
    /// Shortest time between two flushes of a tenant that are not due to `flush_bytes`.
    pub flush_interval: Duration,
    /// Rows of this many bytes (lines and metadata values) are written without waiting.
    pub flush_bytes: usize,
    /// Write each push as its own object at once: for functions, which handle one request at a time.
    pub direct: bool,
    /// Most bytes of pushes that are decoded but not yet stored, over all tenants.
    pub max_waiting_bytes: usize,
    /// How long a push waits for room among the waiting bytes before it is refused.
    pub admission_timeout: Duration,
    /// How long a push waits for its object before the client is told to retry. Agents give up after 5 to 10 seconds.
    pub ack_timeout: Duration,
}

impl Default for GroupCommitSettings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_millis(500),
            flush_bytes: 8 << 20,
            direct: false,
            max_waiting_bytes: 128 << 20,
            admission_timeout: Duration::from_secs(2),
            ack_timeout: Duration::from_secs(8),
        }
    }
}

/// Stores pushes. Clones share everything.
#[derive(Clone, Debug)]
pub struct Ingester {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: ObjectClient,
    env: Env,
    limits: Arc<dyn LimitsOf<IngestLimits>>,
    rates: RateLimiter,
    settings: GroupCommitSettings,
    metrics: IngestMetrics,
    /// One permit per byte that may wait.
    room: Arc<Semaphore>,
    queues: Mutex<Queues>,
}

#[derive(Debug, Default)]
struct Queues {
    closed: bool,
    tenants: HashMap<TenantId, TenantQueue>,
}

/// Pushes of one tenant that no flush has taken yet.
#[derive(Debug, Default)]
struct TenantQueue {
    waiting: Vec<Waiting>,
    bytes: usize,
    /// When the latest flush began.
    flushed: Option<Instant>,
    /// A task will flush this queue.
    scheduled: bool,
}

/// One push on its way to the store.
#[derive(Debug)]
struct Waiting {
    batch: RowBatch,
    reply: oneshot::Sender<Result<(), CommitError>>,
    /// Given back when the push is stored or has failed.
    room: Room,
}

/// A share of the memory for waiting rows; freed on drop.
#[derive(Debug)]
pub(crate) struct Room {
    permit: OwnedSemaphorePermit,
}

impl Room {
    /// Gives back what is not needed for `bytes`, or takes what is missing if it is free; rows that are decoded already are never refused.
    fn fit(&mut self, bytes: usize, all: &Arc<Semaphore>) {
        let held = self.permit.num_permits();
        if bytes <= held {
            drop(self.permit.split(held - bytes));
        } else if let Ok(more) = Arc::clone(all).try_acquire_many_owned(permits(bytes - held)) {
            self.permit.merge(more);
        }
    }
}

enum Next {
    Nothing,
    FlushNow(Vec<Waiting>),
    FlushAt(Instant),
}

impl Ingester {
    /// Stores into `client`. Must be used inside a tokio runtime.
    pub fn new(client: ObjectClient, env: Env, limits: IngestLimits, settings: GroupCommitSettings) -> Self {
        Self::with_limits(client, env, Arc::new(SameForAll(Arc::new(limits))), settings)
    }

    /// As [`Self::new`], with limits that tenants can have of their own.
    pub fn with_limits(client: ObjectClient, env: Env, limits: Arc<dyn LimitsOf<IngestLimits>>, settings: GroupCommitSettings) -> Self {
        let room = Arc::new(Semaphore::new(total_room(&settings)));
        let (metrics, rates, queues) = (IngestMetrics::default(), RateLimiter::default(), Mutex::default());
        Self { shared: Arc::new(Shared { client, env, limits, rates, settings, metrics, room, queues }) }
    }

    /// The limits that pushes of `tenant` are held to.
    pub fn limits_of(&self, tenant: &TenantId) -> Arc<IngestLimits> {
        self.shared.limits.limits_of(tenant)
    }

    /// The clock.
    pub fn env(&self) -> &Env {
        &self.shared.env
    }

    /// What was counted so far.
    pub fn metrics(&self) -> &IngestMetrics {
        &self.shared.metrics
    }

    /// Stores `batch`; `Ok` means that the object that holds its rows is written. A batch without rows needs no object.
    /// On an error nothing was acknowledged and the push should be retried; whether its rows are stored is then not known, and the copy
    /// that a retry makes is not seen twice. Cancel-safe: a push that was queued is stored even if nobody waits for it any more.
    pub async fn push(&self, tenant: &TenantId, batch: RowBatch) -> Result<(), CommitError> {
        let room = self.admit(weight(&batch)).await?;
        self.push_admitted(tenant, batch, room).await
    }

    /// Stops taking pushes, writes all that wait and returns once each of them was stored or failed: as long as the store lets it wait, so
    /// a caller with a deadline puts a timeout around it. Dropping the call keeps the door closed and the flushes running.
    pub async fn shutdown(&self) {
        let due: Vec<(TenantId, Vec<Waiting>)> = {
            let mut queues = self.shared.queues.lock();
            queues.closed = true;
            let queues = queues.tenants.iter_mut().filter(|(_, queue)| !queue.waiting.is_empty());
            queues.map(|(tenant, queue)| (tenant.clone(), queue.take(Instant::now()))).collect()
        };
        for (tenant, waiting) in due {
            tokio::spawn(flush::run(Arc::clone(&self.shared), tenant, waiting));
        }
        // All room is free again exactly when no push is on its way.
        let _all = self.shared.room.acquire_many(permits(total_room(&self.shared.settings))).await;
    }

    /// Waits for room for about `bytes` of decoded rows.
    pub(crate) async fn admit(&self, bytes: usize) -> Result<Room, CommitError> {
        let shared = &self.shared;
        let limit = total_room(&shared.settings);
        if shared.queues.lock().closed {
            return Err(CommitError::ShuttingDown);
        }
        let wanted = permits(bytes.clamp(1, limit));
        match timeout(shared.settings.admission_timeout, Arc::clone(&shared.room).acquire_many_owned(wanted)).await {
            Ok(Ok(permit)) => Ok(Room { permit }),
            Ok(Err(_)) => Err(CommitError::ShuttingDown),
            Err(_) => Err(CommitError::Overloaded { limit }),
        }
    }

    /// As [`Self::push`], with room that was taken before the push was decoded; what it does not need is given back.
    pub(crate) async fn push_admitted(&self, tenant: &TenantId, batch: RowBatch, mut room: Room) -> Result<(), CommitError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.check_rate(tenant, &batch)?;
        room.fit(weight(&batch), &self.shared.room);
        let started = self.shared.env.monotonic();
        let (reply, answer) = oneshot::channel();
        self.shared.enqueue(tenant, Waiting { batch, reply, room })?;
        let waited = self.shared.settings.ack_timeout;
        match timeout(waited, answer).await {
            Ok(Ok(Ok(()))) => {
                self.shared.metrics.acknowledged(self.shared.env.monotonic().saturating_sub(started));
                Ok(())
            }
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(CommitError::Aborted),
            Err(_) => Err(CommitError::Timeout { waited }),
        }
    }

    /// Takes the rows out of what the tenant may push now.
    fn check_rate(&self, tenant: &TenantId, batch: &RowBatch) -> Result<(), CommitError> {
        let shared = &self.shared;
        let limits = shared.limits.limits_of(tenant);
        let Some(rate) = limits.ingestion_rate else { return Ok(()) };
        let (lines, bytes) = (batch.len(), u64::try_from(batch.raw_bytes()).unwrap_or(u64::MAX));
        shared.rates.take(tenant, bytes, &limits, shared.env.monotonic()).map_err(|until| {
            shared.metrics.discard(DiscardReason::RateLimited, u64::try_from(lines).unwrap_or(u64::MAX), bytes);
            CommitError::RateLimited { tenant: tenant.clone(), limit: rate.get(), lines, bytes, retry_after: until.unwrap_or_default() }
        })
    }
}

impl Shared {
    fn enqueue(self: &Arc<Self>, tenant: &TenantId, push: Waiting) -> Result<(), CommitError> {
        let next = {
            let mut queues = self.queues.lock();
            if queues.closed {
                return Err(CommitError::ShuttingDown);
            }
            // Before anybody can flush it.
            self.metrics.queued();
            queues.of(tenant, self.settings.flush_interval).add(push, &self.settings)
        };
        self.metrics.waiting(self.waiting_bytes());
        match next {
            Next::Nothing => {}
            Next::FlushNow(waiting) => {
                tokio::spawn(flush::run(Arc::clone(self), tenant.clone(), waiting));
            }
            Next::FlushAt(deadline) => {
                tokio::spawn(Arc::clone(self).flush_at(tenant.clone(), deadline));
            }
        }
        Ok(())
    }

    async fn flush_at(self: Arc<Self>, tenant: TenantId, deadline: Instant) {
        sleep_until(deadline).await;
        let waiting = match self.queues.lock().tenants.get_mut(&tenant) {
            Some(queue) => {
                queue.scheduled = false;
                queue.take(Instant::now())
            }
            None => Vec::new(),
        };
        // A flush for `flush_bytes` may have taken everything meanwhile.
        if !waiting.is_empty() {
            flush::run(self, tenant, waiting).await;
        }
    }

    fn waiting_bytes(&self) -> u64 {
        u64::try_from(total_room(&self.settings).saturating_sub(self.room.available_permits())).unwrap_or(u64::MAX)
    }
}

impl Queues {
    fn of(&mut self, tenant: &TenantId, flush_interval: Duration) -> &mut TenantQueue {
        if self.tenants.len() >= REMEMBERED_TENANTS && !self.tenants.contains_key(tenant) {
            let now = Instant::now();
            let is_quiet = |queue: &TenantQueue| queue.waiting.is_empty() && !queue.scheduled && queue.flushed.is_none_or(|at| at + flush_interval <= now);
            self.tenants.retain(|_, queue| !is_quiet(queue));
        }
        match self.tenants.entry(tenant.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(TenantQueue::default()),
        }
    }
}

impl TenantQueue {
    fn add(&mut self, push: Waiting, settings: &GroupCommitSettings) -> Next {
        let now = Instant::now();
        self.bytes = self.bytes.saturating_add(push.batch.raw_bytes());
        self.waiting.push(push);
        if settings.direct || self.bytes >= settings.flush_bytes {
            return Next::FlushNow(self.take(now));
        }
        if std::mem::replace(&mut self.scheduled, true) {
            return Next::Nothing;
        }
        let earliest = now + GATHER;
        Next::FlushAt(self.flushed.map_or(earliest, |flushed| earliest.max(flushed + settings.flush_interval)))
    }

    /// All waiting pushes, for a flush that begins now.
    fn take(&mut self, now: Instant) -> Vec<Waiting> {
        self.bytes = 0;
        if !self.waiting.is_empty() {
            self.flushed = Some(now);
        }
        std::mem::take(&mut self.waiting)
    }
}

/// Bytes of memory that `batch` takes, about.
fn weight(batch: &RowBatch) -> usize {
    batch.raw_bytes().saturating_add(batch.len().saturating_mul(ROW_OVERHEAD_BYTES))
}

fn total_room(settings: &GroupCommitSettings) -> usize {
    settings.max_waiting_bytes.clamp(1, usize::try_from(u32::MAX).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS))
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
