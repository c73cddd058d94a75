//! What one connection is doing, and whether its client takes too long for it.
//! Owns: the time limits of heads, pauses and answers; the bytes of heads and answers in memory. Must not know: sockets, HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use store::env::Env;
use tokio::sync::Notify;

use crate::config::HttpConfig;

/// Bytes of unfinished heads in memory, over all connections, beyond which large heads are not read on.
const MAX_HEAD_MEMORY: usize = 64 << 20;
/// A head of this size is read in any case: those of others must not be refused for the sake of a few that are huge.
const SMALL_HEAD_BYTES: usize = 16 << 10;
/// What a client may leave an answer unread for when answers take up half of the memory that they may.
const WRITE_TIMEOUT_IN_NEED: Duration = Duration::from_secs(2);

/// Bytes that are in memory for clients, over all connections.
#[derive(Debug, Default)]
pub(crate) struct ClientMemory {
    heads: AtomicUsize,
    answers: AtomicUsize,
}

impl ClientMemory {
    /// Bytes of answers that clients have not read.
    pub(crate) fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }
}

/// Why the server ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    HeadTimeout,
    IdleTimeout,
    WriteTimeout,
    /// Unfinished heads take up too much memory.
    HeadMemory,
    /// Idle for longest when another client came and there were too many.
    Evicted,
    /// There were too many, and none was idle.
    Refused,
}

impl Ended {
    pub(crate) const ALL: [Self; 6] = [Self::HeadTimeout, Self::IdleTimeout, Self::WriteTimeout, Self::HeadMemory, Self::Evicted, Self::Refused];

    /// The value of the metric's label `reason`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::HeadTimeout => "head_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::HeadMemory => "head_memory",
            Self::Evicted => "evicted",
            Self::Refused => "refused",
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Progress {
    env: Env,
    config: HttpConfig,
    memory: Arc<ClientMemory>,
    state: Mutex<State>,
    evicted: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a byte that is read outside of a request begins another one. In HTTP/2 it may be about the connection.
    is_http1: bool,
    /// From the end of a head to the end of its answer.
    requests: usize,
    /// Since when there is no request, or when the head began that is being read.
    since: Duration,
    /// Bytes of a head that is being read.
    head_bytes: usize,
    /// When something of an answer was last taken by its client; `None` while the answer itself is awaited.
    answers: BTreeMap<u64, Option<Duration>>,
    next_answer: u64,
    has_unread_body: bool,
    /// Its socket speaks another protocol now, which has limits of its own.
    is_upgraded: bool,
}

impl Progress {
    pub(crate) fn new(env: &Env, config: &HttpConfig, memory: &Arc<ClientMemory>) -> Self {
        let state = State { since: env.monotonic(), ..State::default() };
        Self { env: env.clone(), config: config.clone(), memory: Arc::clone(memory), state: Mutex::new(state), evicted: Notify::new() }
    }

    /// The connection speaks HTTP/1.
    pub(crate) fn speaks_http1(&self) {
        self.state.lock().is_http1 = true;
    }

    /// Nothing is read any more that is not thrown away: what was read since the last request is no head.
    pub(super) fn lingers(&self) {
        let mut state = self.state.lock();
        state.since = self.env.monotonic();
        self.memory.heads.fetch_sub(std::mem::take(&mut state.head_bytes), Ordering::Relaxed);
    }

    /// The connection is no longer one of HTTP.
    pub(crate) fn upgraded(&self) {
        let mut state = self.state.lock();
        state.is_upgraded = true;
        self.memory.heads.fetch_sub(std::mem::take(&mut state.head_bytes), Ordering::Relaxed);
    }

    /// Bytes were read. Errors: there is no room for them.
    pub(crate) fn read(&self, bytes: usize) -> Result<(), Ended> {
        let mut state = self.state.lock();
        if bytes == 0 || state.requests > 0 || !state.is_http1 || state.is_upgraded {
            return Ok(());
        }
        if state.head_bytes == 0 {
            state.since = self.env.monotonic();
        }
        state.head_bytes += bytes;
        let before = self.memory.heads.fetch_add(bytes, Ordering::Relaxed);
        let is_refused = state.head_bytes > SMALL_HEAD_BYTES && before.saturating_add(bytes) > MAX_HEAD_MEMORY;
        if is_refused { Err(Ended::HeadMemory) } else { Ok(()) }
    }

    /// A head is complete. The request lasts until what is returned is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Request {
        let mut state = self.state.lock();
        state.requests += 1;
        state.has_unread_body = false;
        self.memory.heads.fetch_sub(std::mem::take(&mut state.head_bytes), Ordering::Relaxed);
        drop(state);
        Request(Arc::clone(self))
    }

    /// There is an answer of `bytes`, which the client has to read until what is returned is dropped.
    pub(super) fn answer(self: &Arc<Self>, bytes: usize) -> Answering {
        self.memory.answers.fetch_add(bytes, Ordering::Relaxed);
        let mut state = self.state.lock();
        let id = state.next_answer;
        state.next_answer += 1;
        state.answers.insert(id, Some(self.env.monotonic()));
        drop(state);
        Answering { progress: Arc::clone(self), id, bytes }
    }

    /// The body of a request was dropped before its end.
    pub(super) fn left_body_unread(&self) {
        self.state.lock().has_unread_body = true;
    }

    /// Whether the client may still be sending what nobody will read.
    pub(super) fn has_unread_body(&self) -> bool {
        self.state.lock().has_unread_body
    }

    /// Since when the connection has nothing to do, or reads a head; `None` if it has to be kept.
    pub(super) fn idle_since(&self) -> Option<Duration> {
        let state = self.state.lock();
        (state.requests == 0 && state.answers.is_empty() && !state.is_upgraded).then_some(state.since)
    }

    /// Ends the connection for the sake of another.
    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Ends when the connection has to.
    pub(crate) async fn overdue(&self) -> Ended {
        let shortest = [self.config.head_timeout, self.config.idle_timeout, self.config.write_timeout].into_iter().min().unwrap_or_default();
        let pause = (shortest / 8).clamp(Duration::from_millis(10), Duration::from_secs(1));
        loop {
            tokio::select! {
                () = self.evicted.notified() => return Ended::Evicted,
                () = tokio::time::sleep(pause) => {}
            }
            if let Some(ended) = self.due(self.env.monotonic()) {
                return ended;
            }
        }
    }

    fn due(&self, now: Duration) -> Option<Ended> {
        let in_need = self.memory.answers() > self.config.max_answer_memory / 2;
        let write_timeout = if in_need { self.config.write_timeout.min(WRITE_TIMEOUT_IN_NEED) } else { self.config.write_timeout };
        let state = self.state.lock();
        if state.answers.values().flatten().any(|moved| now.saturating_sub(*moved) > write_timeout) {
            return Some(Ended::WriteTimeout);
        }
        if state.requests > 0 || !state.answers.is_empty() || state.is_upgraded {
            return None;
        }
        let (limit, ended) = match state.head_bytes {
            0 => (self.config.idle_timeout, Ended::IdleTimeout),
            _ => (self.config.head_timeout, Ended::HeadTimeout),
        };
        (now.saturating_sub(state.since) > limit).then_some(ended)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.memory.heads.fetch_sub(self.state.get_mut().head_bytes, Ordering::Relaxed);
    }
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct Request(Arc<Progress>);

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.requests = state.requests.saturating_sub(1);
        state.since = self.0.env.monotonic();
    }
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Answering {
    progress: Arc<Progress>,
    id: u64,
    bytes: usize,
}

impl Answering {
    /// The client has taken something of it, or there is something new to take.
    pub(super) fn moved(&self) {
        self.set(Some(self.progress.env.monotonic()));
    }

    /// It is the server that has nothing to send yet.
    pub(super) fn waits(&self) {
        self.set(None);
    }

    fn set(&self, moved: Option<Duration>) {
        if let Some(answer) = self.progress.state.lock().answers.get_mut(&self.id) {
            *answer = moved;
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.progress.memory.answers.fetch_sub(self.bytes, Ordering::Relaxed);
        let mut state = self.progress.state.lock();
        state.answers.remove(&self.id);
        state.since = self.progress.env.monotonic();
    }
}

#[cfg(test)]
mod tests {
    use schema::Timestamp;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn progress(memory: &Arc<ClientMemory>) -> (Env, Arc<Progress>) {
        let env = Env::fixed(Timestamp(0));
        let config =
            HttpConfig { head_timeout: 5 * SECOND, idle_timeout: 60 * SECOND, write_timeout: 10 * SECOND, max_answer_memory: 1000, ..HttpConfig::default() };
        let progress = Arc::new(Progress::new(&env, &config, memory));
        progress.speaks_http1();
        (env, progress)
    }

    fn after(env: &Env, progress: &Progress, wait: Duration) -> Option<Ended> {
        env.advance(wait);
        progress.due(env.monotonic())
    }

    #[test]
    fn a_head_has_to_end_however_it_dribbles() {
        let memory = Arc::default();
        let (env, progress) = progress(&memory);
        assert_eq!(after(&env, &progress, 60 * SECOND), None);
        for _ in 0..5 {
            progress.read(1).unwrap();
            assert_eq!(after(&env, &progress, SECOND), None);
        }
        progress.read(1).unwrap();
        assert_eq!(after(&env, &progress, SECOND), Some(Ended::HeadTimeout));
        assert_eq!(memory.heads.load(Ordering::Relaxed), 6);
        drop(progress.request());
        assert_eq!((memory.heads.load(Ordering::Relaxed), progress.due(env.monotonic())), (0, None));
    }

    #[test]
    fn a_connection_idles_between_requests_and_not_during_them() {
        let memory = Arc::default();
        let (env, progress) = progress(&memory);
        let request = progress.request();
        assert_eq!((after(&env, &progress, 600 * SECOND), progress.idle_since()), (None, None));
        // What comes during a request is its body.
        progress.read(100).unwrap();
        assert_eq!(after(&env, &progress, 600 * SECOND), None);
        drop(request);
        assert_eq!(progress.idle_since(), Some(1200 * SECOND));
        assert_eq!(after(&env, &progress, 60 * SECOND), None);
        assert_eq!(after(&env, &progress, SECOND), Some(Ended::IdleTimeout));
    }

    #[test]
    fn an_answer_has_to_be_taken() {
        let memory = Arc::default();
        let (env, progress) = progress(&memory);
        let answer = progress.answer(100);
        assert_eq!(after(&env, &progress, 10 * SECOND), None);
        answer.moved();
        assert_eq!(after(&env, &progress, 10 * SECOND), None);
        answer.waits();
        assert_eq!(after(&env, &progress, 600 * SECOND), None);
        answer.moved();
        assert_eq!(after(&env, &progress, 11 * SECOND), Some(Ended::WriteTimeout));
        assert_eq!(memory.answers(), 100);
        drop(answer);
        assert_eq!((memory.answers(), progress.due(env.monotonic())), (0, None));
    }

    #[test]
    fn of_many_answers_each_has_to_be_taken_and_sooner_when_they_take_up_much_memory() {
        let memory = Arc::default();
        let (env, progress) = progress(&memory);
        let (stalled, other) = (progress.answer(400), progress.answer(100));
        assert_eq!(after(&env, &progress, 3 * SECOND), None);
        other.moved();
        assert_eq!(after(&env, &progress, 8 * SECOND), Some(Ended::WriteTimeout));
        stalled.moved();
        assert_eq!(after(&env, &progress, SECOND), None);
        let more = progress.answer(1);
        assert_eq!(after(&env, &progress, 2 * SECOND), Some(Ended::WriteTimeout));
        drop((stalled, more));
    }

    #[test]
    fn the_rest_of_a_body_that_nobody_reads_is_no_head() {
        let memory = Arc::default();
        let (env, progress) = progress(&memory);
        drop(progress.request());
        progress.read(100).unwrap();
        progress.lingers();
        assert_eq!((after(&env, &progress, 6 * SECOND), memory.heads.load(Ordering::Relaxed)), (None, 0));
    }

    #[test]
    fn heads_share_their_memory() {
        let memory = Arc::default();
        let (_, first) = progress(&memory);
        let (_, second) = progress(&memory);
        first.read(MAX_HEAD_MEMORY).unwrap();
        second.read(SMALL_HEAD_BYTES).unwrap();
        assert_eq!(second.read(1), Err(Ended::HeadMemory));
        drop(second);
        drop(first);
        assert_eq!(memory.heads.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn another_protocol_has_its_own_limits() {
        let memory = Arc::default();
        let (env, progress) = progress(&memory);
        progress.upgraded();
        progress.read(MAX_HEAD_MEMORY + 1).unwrap();
        assert_eq!((after(&env, &progress, 6000 * SECOND), progress.idle_since()), (None, None));
    }
}
