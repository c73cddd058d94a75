//! Following a log query: the lines that were there, then those that come, as soon as they are in the bucket.
//! Owns: what a tail is asked for, how many one tenant may have, how long one may last, and the frames that it sends.
//! Must not know: sockets, how a tail's request arrived.
//!
//! In reading order: [`Tails::open`] takes a seat at the tenant's `feed`, which lists level 0 once a poll for all tails of the tenant and reads each new chunk once; `rows`
//! says which rows a tail is shown; `queue` holds them until [`Tail::next`] sends them.

mod feed;
mod queue;
mod rows;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use logql::Expr;
use logql::ast::LogExpr;
use parking_lot::Mutex;
use schema::{TenantId, Timestamp};
use store::chunk::ChunkCache;
use store::{Env, ObjectClient};
use tokio::task::JoinHandle;

use crate::engine::{Direction, Engine, Evaluation, QuerySpec};
use crate::response::query::LabelEncoding;
use crate::response::tail::{write_frame, write_legacy_frame};
use crate::result::{Entry, StreamResult};
use crate::{QueryError, QueryResult};
use feed::{Feed, Source, Subscriber};
use queue::{Batch, Queue, TailLine};
use rows::TailQuery;

pub use feed::POLL_INTERVAL;

/// How long a tail may last (Loki's `tail_max_duration`).
pub const MAX_DURATION: Duration = Duration::from_secs(3600);
/// History reaches so far beyond now, for agents whose clock is ahead of ours.
const HISTORY_AHEAD: i64 = 600 * schema::time::NANOS_PER_SECOND;

/// What a tail is asked for.
#[derive(Clone, Debug)]
pub struct TailRequest {
    pub(crate) tenant: TenantId,
    pub(crate) expr: Expr,
    /// Older lines are not shown, whenever they come.
    pub(crate) start: Timestamp,
    /// Most lines from before the tail.
    pub(crate) limit: usize,
    /// How long lines are held back, so that they can be put in order.
    pub(crate) delay: Duration,
    pub(crate) encoding: LabelEncoding,
    /// Whether frames have the form of the older route.
    pub(crate) legacy: bool,
    /// How many tails the tenant may have in one process, this one among them.
    pub(crate) most: usize,
}

/// Why a tail sends nothing more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TailEnded {
    /// It lasted as long as one may.
    #[error("reached tail max duration limit")]
    Expired,
    /// Its history or the search for new lines failed.
    #[error("{message}")]
    Failed {
        /// Why.
        message: String,
    },
}

/// The tails of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tails {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    engine: Engine,
    /// The tenants that somebody tails, and by how many tails.
    feeds: Mutex<HashMap<TenantId, (Arc<Feed>, usize)>>,
}

impl Tails {
    /// Tails over `client`, whose history `engine` reads.
    pub fn new(client: ObjectClient, env: Env, cache: ChunkCache, engine: Engine) -> Self {
        Self { shared: Arc::new(Shared { source: Source { client, cache, env }, engine, feeds: Mutex::default() }) }
    }

    /// Begins a tail: every line that is acknowledged after this has returned will be sent. Must run inside the runtime.
    /// Errors: a metric query, a stage that is wrong in itself, too many tails, the store.
    pub async fn open(&self, request: TailRequest) -> Result<Tail, QueryError> {
        let Expr::Log(log) = request.expr else {
            return Err(QueryError::Invalid { message: "only log selector is supported".to_owned() });
        };
        let env = self.shared.source.env.clone();
        let query = TailQuery::compile(log.clone(), request.start, env.now().as_nanos())?;
        let mut seat = Seat::take(&self.shared, &request.tenant, request.most)?;
        seat.feed.start().await?;
        let queue = Arc::new(Queue::new(request.delay));
        let (subscriber, known) = seat.feed.subscribe(query, Arc::clone(&queue));
        seat.subscriber = Some(subscriber);
        let (engine, to) = (self.shared.engine.clone(), Arc::clone(&queue));
        let spec = history(request.tenant, log, request.start, env.now(), request.limit);
        let history = tokio::spawn(async move {
            match engine.run_on(&spec, Some(&known)).await {
                Ok((QueryResult::Streams(streams), _, _)) => to.add_history(lines_in_order(streams)),
                Ok(_) => to.end(TailEnded::Failed { message: "internal error: a log query answers with streams".to_owned() }),
                Err(error) => to.end(TailEnded::Failed { message: error.to_string() }),
            }
        });
        let deadline = env.monotonic().saturating_add(MAX_DURATION);
        Ok(Tail { queue, env, deadline, encoding: request.encoding, legacy: request.legacy, _history: OwnedTask(history), _seat: seat })
    }
}

/// One tail. Dropping it ends it.
#[derive(Debug)]
pub struct Tail {
    queue: Arc<Queue>,
    env: Env,
    deadline: Duration,
    encoding: LabelEncoding,
    legacy: bool,
    _history: OwnedTask,
    _seat: Seat,
}

impl Tail {
    /// The next frame as JSON text; waits until there is one. Cancel-safe.
    pub async fn next(&mut self) -> Result<String, TailEnded> {
        let batch = self.queue.next(&self.env, self.deadline).await?;
        let streams = streams_of(&batch);
        let dropped: Vec<_> = batch.dropped.iter().map(|line| (line.timestamp, &*line.labels)).collect();
        let frame = if self.legacy { write_legacy_frame(&streams, &dropped) } else { write_frame(&streams, &dropped, self.encoding) };
        String::from_utf8(frame).map_err(|_| TailEnded::Failed { message: "internal error: a frame is text".to_owned() })
    }
}

/// A tail's place among those of its tenant; given back on drop.
#[derive(Debug)]
struct Seat {
    shared: Arc<Shared>,
    tenant: TenantId,
    feed: Arc<Feed>,
    subscriber: Option<Arc<Subscriber>>,
}

impl Seat {
    fn take(shared: &Arc<Shared>, tenant: &TenantId, most: usize) -> Result<Self, QueryError> {
        let mut feeds = shared.feeds.lock();
        let (feed, tails) = feeds.entry(tenant.clone()).or_insert_with(|| (Arc::new(Feed::new(tenant.clone(), shared.source.clone())), 0));
        if *tails >= most {
            let message = format!("max concurrent tail requests limit exceeded, count > limit ({} > {most})", *tails + 1);
            if *tails == 0 {
                feeds.remove(tenant);
            }
            return Err(QueryError::Limit { limit: "max_concurrent_tail_requests", message });
        }
        *tails += 1;
        Ok(Self { shared: Arc::clone(shared), tenant: tenant.clone(), feed: Arc::clone(feed), subscriber: None })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(subscriber) = &self.subscriber {
            self.feed.unsubscribe(subscriber);
        }
        let mut feeds = self.shared.feeds.lock();
        if let Some((_, tails)) = feeds.get_mut(&self.tenant) {
            *tails -= 1;
            if *tails == 0 {
                feeds.remove(&self.tenant);
            }
        }
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
struct OwnedTask(JoinHandle<()>);

impl Drop for OwnedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The newest lines since `start`.
fn history(tenant: TenantId, log: LogExpr, start: Timestamp, now: Timestamp, limit: usize) -> QuerySpec {
    let end = Timestamp(now.as_nanos().saturating_add(HISTORY_AHEAD));
    let evaluation = Evaluation::Range { start, end: end.max(start), step_ns: schema::time::NANOS_PER_SECOND };
    QuerySpec { tenants: tenant.into(), expr: Expr::Log(log), evaluation, limit, direction: Direction::Backward, interval_ns: 0 }
}

/// Lines of all streams by timestamp; those of one stream keep their order.
fn lines_in_order(streams: Vec<StreamResult>) -> Vec<TailLine> {
    let mut lines = Vec::new();
    for StreamResult { labels, entries } in streams {
        let labels = Arc::new(labels);
        // Newest first, as they were asked for.
        lines.extend(entries.into_iter().rev().map(|Entry { timestamp, line }| TailLine { timestamp, line, labels: Arc::clone(&labels) }));
    }
    lines.sort_by_key(|line| line.timestamp);
    lines
}

/// The lines of a frame under their labels.
fn streams_of(batch: &Batch) -> Vec<StreamResult> {
    let mut places = HashMap::new();
    let mut streams: Vec<StreamResult> = Vec::new();
    for TailLine { timestamp, line, labels } in &batch.lines {
        let place = *places.entry(Arc::clone(labels)).or_insert(streams.len());
        let entry = Entry { timestamp: *timestamp, line: line.clone() };
        match streams.get_mut(place) {
            Some(stream) => stream.entries.push(entry),
            None => streams.push(StreamResult { labels: (**labels).clone(), entries: vec![entry] }),
        }
    }
    streams
}

#[cfg(test)]
mod tests;
