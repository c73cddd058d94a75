//! The lines of one tail between the one who finds them and the one who sends them.
//! Owns: their order, the delay, the bound on memory and what is dropped beyond it.
//! Must not know: where lines come from, JSON, sockets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use store::Env;
use tokio::sync::Notify;

use super::TailEnded;
use crate::result::CategorizedLabels;

/// Bytes of lines that wait for a client; what is found beyond them is dropped, and the client is told.
pub(super) const MAX_HELD_BYTES: usize = 8 << 20;
/// Dropped lines that the client is told of by name, as in Loki; further ones are only gone.
pub(super) const MAX_REPORTED: usize = 1000;
/// Lines in one frame, as in Loki.
pub(super) const MAX_FRAME_LINES: usize = 100;

/// A line as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TailLine {
    pub(crate) timestamp: i64,
    pub(crate) line: Vec<u8>,
    pub(crate) labels: Arc<CategorizedLabels>,
}

/// A line that was found and not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DroppedLine {
    pub(crate) timestamp: i64,
    pub(crate) labels: Arc<CategorizedLabels>,
}

/// What is sent at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// By timestamp.
    pub(crate) lines: Vec<TailLine>,
    pub(crate) dropped: Vec<DroppedLine>,
}

/// Lines found in one chunk or in one poll, in any order, with what tells them apart; no more than a queue may hold.
#[derive(Debug)]
pub(super) struct Found<T = ()> {
    lines: Vec<(T, TailLine)>,
    bytes: usize,
    dropped: Vec<DroppedLine>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), bytes: 0, dropped: Vec::new() }
    }
}

impl<T> Found<T> {
    pub(super) fn add(&mut self, id: T, line: TailLine) {
        let weight = line.weight();
        if self.bytes + weight > MAX_HELD_BYTES {
            drop_line(&mut self.dropped, line);
            return;
        }
        self.bytes += weight;
        self.lines.push((id, line));
    }

    /// Adds what another one holds, as far as `is_wanted` says so.
    pub(super) fn append<U>(&mut self, other: Found<U>, mut is_wanted: impl FnMut(&U) -> Option<T>) {
        for (id, line) in other.lines {
            if let Some(id) = is_wanted(&id) {
                self.add(id, line);
            }
        }
        let room = MAX_REPORTED.saturating_sub(self.dropped.len());
        self.dropped.extend(other.dropped.into_iter().take(room));
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped.is_empty()
    }
}

/// One finder, one sender.
#[derive(Debug)]
pub(super) struct Queue {
    delay: Duration,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Live lines wait until these have gone ahead.
    has_history: bool,
    /// Live lines by timestamp, those of one timestamp in the order found.
    waiting: BTreeMap<(i64, u64), TailLine>,
    found: u64,
    /// When each batch may be sent, and the latest timestamp in it.
    due: VecDeque<(Duration, i64)>,
    /// Lines whose order is settled.
    ready: VecDeque<TailLine>,
    bytes: usize,
    dropped: Vec<DroppedLine>,
    ended: Option<TailEnded>,
}

impl Queue {
    /// A queue whose live lines are held back for `delay`, so that later ones can still take their place before them.
    pub(super) fn new(delay: Duration) -> Self {
        Self { delay, state: Mutex::default(), changed: Notify::new() }
    }

    /// The lines from before the tail, by timestamp. Called once.
    pub(super) fn add_history(&self, lines: Vec<TailLine>) {
        let mut state = self.state.lock();
        state.has_history = true;
        state.bytes += lines.iter().map(TailLine::weight).sum::<usize>();
        // Live lines stay in `waiting` until now, so these come first.
        state.ready.extend(lines);
        drop(state);
        self.changed.notify_one();
    }

    /// Live lines that were found at `now`, together.
    pub(super) fn add_live(&self, found: Found, now: Duration) {
        if found.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let latest = found.lines.iter().map(|(_, line)| line.timestamp).max();
        for (_, line) in found.lines {
            state.insert(line);
        }
        for line in found.dropped {
            if state.dropped.len() < MAX_REPORTED {
                state.dropped.push(line);
            }
        }
        if let Some(latest) = latest {
            state.due.push_back((now.saturating_add(self.delay), latest));
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Nothing comes any more; what is held is not sent.
    pub(super) fn end(&self, why: TailEnded) {
        self.state.lock().ended.get_or_insert(why);
        self.changed.notify_one();
    }

    /// The next batch, at most [`MAX_FRAME_LINES`] lines. Waits for it until `deadline`. Cancel-safe.
    pub(super) async fn next(&self, env: &Env, deadline: Duration) -> Result<Batch, TailEnded> {
        loop {
            let now = env.monotonic();
            if now >= deadline {
                return Err(TailEnded::Expired);
            }
            let wake = {
                let mut state = self.state.lock();
                if let Some(why) = &state.ended {
                    return Err(why.clone());
                }
                if let Some(batch) = state.take(now) {
                    return Ok(batch);
                }
                if state.has_history { state.due.front().map_or(deadline, |(due, _)| deadline.min(*due)) } else { deadline }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = env.sleep(wake.saturating_sub(now)) => {}
            }
        }
    }
}

impl State {
    fn insert(&mut self, line: TailLine) {
        let weight = line.weight();
        if self.bytes + weight > MAX_HELD_BYTES {
            drop_line(&mut self.dropped, line);
            return;
        }
        self.bytes += weight;
        self.found += 1;
        self.waiting.insert((line.timestamp, self.found), line);
    }

    fn take(&mut self, now: Duration) -> Option<Batch> {
        if !self.has_history {
            return None;
        }
        let mut latest = None;
        while let Some((_, at)) = self.due.pop_front_if(|(due, _)| *due <= now) {
            latest = latest.max(Some(at));
        }
        if let Some(latest) = latest {
            let later = self.waiting.split_off(&(latest, u64::MAX));
            self.ready.extend(std::mem::replace(&mut self.waiting, later).into_values());
        }
        if self.ready.is_empty() && self.dropped.is_empty() {
            return None;
        }
        let lines: Vec<TailLine> = self.ready.drain(..self.ready.len().min(MAX_FRAME_LINES)).collect();
        self.bytes = self.bytes.saturating_sub(lines.iter().map(TailLine::weight).sum());
        Some(Batch { lines, dropped: std::mem::take(&mut self.dropped) })
    }
}

impl TailLine {
    /// Bytes that the line takes while it waits, with labels of its own.
    fn weight(&self) -> usize {
        let CategorizedLabels { stream, metadata, parsed } = &*self.labels;
        let labels = stream.iter().chain(metadata).chain(parsed).map(|pair| size_of_val(pair) + pair.0.len() + pair.1.len());
        self.line.len() + size_of::<Self>() + size_of::<CategorizedLabels>() + labels.sum::<usize>()
    }
}

fn drop_line(dropped: &mut Vec<DroppedLine>, line: TailLine) {
    if dropped.len() < MAX_REPORTED {
        dropped.push(DroppedLine { timestamp: line.timestamp, labels: line.labels });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_secs(3600);

    fn line(timestamp: i64, text: &str) -> TailLine {
        TailLine { timestamp, line: text.as_bytes().to_vec(), labels: Arc::default() }
    }

    fn found(lines: &[(i64, &str)]) -> Found {
        let mut found = Found::default();
        lines.iter().for_each(|(at, text)| found.add((), line(*at, text)));
        found
    }

    fn texts(batch: &Batch) -> Vec<String> {
        batch.lines.iter().map(|line| String::from_utf8_lossy(&line.line).into_owned()).collect()
    }

    fn take(queue: &Queue, seconds: u64) -> Option<Vec<String>> {
        queue.state.lock().take(Duration::from_secs(seconds)).map(|batch| texts(&batch))
    }

    #[test]
    fn live_lines_wait_for_history_and_are_in_order_of_time() {
        let queue = Queue::new(Duration::ZERO);
        queue.add_live(found(&[(30, "c"), (10, "a"), (20, "b")]), Duration::ZERO);
        assert_eq!(take(&queue, 1), None);
        queue.add_history(vec![line(5, "old"), line(25, "less old")]);
        assert_eq!(take(&queue, 1).unwrap(), ["old", "less old", "a", "b", "c"]);
        assert_eq!(take(&queue, 2), None);
    }

    #[test]
    fn a_delay_lets_late_lines_take_their_place() {
        let queue = Queue::new(Duration::from_secs(5));
        queue.add_history(Vec::new());
        queue.add_live(found(&[(10, "a"), (30, "c")]), Duration::from_secs(1));
        queue.add_live(found(&[(20, "b"), (40, "d")]), Duration::from_secs(4));
        assert_eq!(take(&queue, 5), None);
        assert_eq!(take(&queue, 6).unwrap(), ["a", "b", "c"]);
        assert_eq!(take(&queue, 8), None);
        assert_eq!(take(&queue, 9).unwrap(), ["d"]);
    }

    #[test]
    fn one_line_from_the_future_does_not_lift_the_delay_for_later_ones() {
        let queue = Queue::new(Duration::from_secs(2));
        queue.add_history(Vec::new());
        queue.add_live(found(&[(i64::MAX, "future")]), Duration::ZERO);
        assert_eq!(take(&queue, 2).unwrap(), ["future"]);
        queue.add_live(found(&[(1, "x")]), Duration::from_secs(3));
        assert_eq!(take(&queue, 4), None);
        assert_eq!(take(&queue, 5).unwrap(), ["x"]);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_told() {
        let queue = Queue::new(Duration::ZERO);
        queue.add_history(Vec::new());
        let large = "x".repeat(MAX_HELD_BYTES / 2 - 1000);
        queue.add_live(found(&[(1, &large), (2, &large)]), Duration::ZERO);
        queue.add_live(found(&[(3, "y".repeat(5000).as_str()), (4, "fits")]), Duration::ZERO);
        let batch = queue.state.lock().take(Duration::ZERO).unwrap();
        assert_eq!(batch.lines.iter().map(|line| line.timestamp).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(batch.dropped.iter().map(|line| line.timestamp).collect::<Vec<_>>(), [3]);
        queue.add_live(found(&[(5, &large)]), Duration::ZERO);
        assert_eq!(take(&queue, 0).unwrap().len(), 1, "what was sent makes room");
    }

    #[test]
    fn only_so_many_dropped_lines_are_named() {
        let mut found = Found::default();
        found.add((), line(0, &"x".repeat(MAX_HELD_BYTES - 1000)));
        (1..3000).for_each(|at| found.add((), line(at, &"y".repeat(1000))));
        assert_eq!(found.dropped.len(), MAX_REPORTED);
        let mut all = Found::default();
        all.append(found, |()| Some(()));
        assert_eq!((all.lines.len(), all.dropped.len()), (1, MAX_REPORTED));
    }

    #[tokio::test]
    async fn frames_are_bounded_and_the_end_is_told() {
        let env = Env::fixed(schema::Timestamp(0));
        let queue = Queue::new(Duration::ZERO);
        queue.add_history((0..250).map(|at| line(at, "x")).collect());
        let mut sizes = Vec::new();
        for _ in 0..3 {
            sizes.push(queue.next(&env, FAR).await.unwrap().lines.len());
        }
        assert_eq!(sizes, [100, 100, 50]);
        queue.end(TailEnded::Failed { message: "gone".to_owned() });
        assert_eq!(queue.next(&env, FAR).await.unwrap_err().to_string(), "gone");
    }

    #[tokio::test]
    async fn a_tail_ends_after_its_longest_time() {
        let env = Env::fixed(schema::Timestamp(0));
        let queue = Queue::new(Duration::ZERO);
        queue.add_history(Vec::new());
        env.advance(FAR);
        assert_eq!(queue.next(&env, FAR).await, Err(TailEnded::Expired));
    }
}
