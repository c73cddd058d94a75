//! How many requests were made to the object store, and how many bytes went each way: the bill.
//! Owns: counters per request and result, their Prometheus text.
//! Must not know: prices.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// The kinds of request. A `swap` and a `create` are puts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Conditional write of a whole object.
    Put,
    /// Read of an object or of one range.
    Get,
    /// Size and version of an object.
    Head,
    /// One page of at most 1000 keys.
    List,
    /// Removal of an object.
    Delete,
}

impl Op {
    /// Every kind, in the order of the metrics.
    pub const ALL: [Self; 5] = [Self::Put, Self::Get, Self::Head, Self::List, Self::Delete];

    /// The value of the metrics' label `op`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpResult {
    /// With success.
    Ok,
    /// A create found an object under its key.
    Exists,
    /// A swap found another version, or the store refused one of two concurrent writes.
    Conflict,
    /// No object has the key.
    NotFound,
    /// Anything else: each failed attempt counts.
    Error,
}

impl OpResult {
    /// Every result, in the order of the metrics.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Exists, Self::Conflict, Self::NotFound, Self::Error];

    /// The value of the metrics' label `result`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Exists => "exists",
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
            Self::Error => "error",
        }
    }
}

const OPS: usize = Op::ALL.len();
const RESULTS: usize = OpResult::ALL.len();

/// Counts requests; shared by every clone of a client, or by the requests of one query.
///
/// A retried request counts once per attempt. S3 answers a LIST in pages of 1000 keys and charges per page: so does this counter, for every kind of store.
#[derive(Debug, Default)]
pub struct RequestStats {
    requests: [[AtomicU64; RESULTS]; OPS],
    sent: AtomicU64,
    received: AtomicU64,
}

/// What a [`RequestStats`] had counted at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    requests: [[u64; RESULTS]; OPS],
    /// Bytes of object bodies written by puts that succeeded.
    pub bytes_sent: u64,
    /// Bytes of object bodies received by gets.
    pub bytes_received: u64,
}

impl RequestStats {
    /// Counters at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counts so far. Counters are read one by one: a request that ends meanwhile may be in some of them only.
    pub fn snapshot(&self) -> RequestCounts {
        RequestCounts {
            requests: std::array::from_fn(|op| {
                std::array::from_fn(|result| self.requests.get(op).and_then(|row| row.get(result)).map_or(0, |count| count.load(Ordering::Relaxed)))
            }),
            bytes_sent: self.sent.load(Ordering::Relaxed),
            bytes_received: self.received.load(Ordering::Relaxed),
        }
    }

    /// Appends the counters in Prometheus' text format: `tarn_object_store_requests_total` and `tarn_object_store_bytes_total`.
    /// Every combination of request and result is printed, also at zero, so that a rate can be taken from the first scrape on.
    pub fn render_prometheus(&self, out: &mut String) {
        let counts = self.snapshot();
        out.push_str("# HELP tarn_object_store_requests_total Requests made to the object store; a LIST counts once per page of 1000 keys.\n");
        out.push_str("# TYPE tarn_object_store_requests_total counter\n");
        for op in Op::ALL {
            for result in OpResult::ALL {
                let count = counts.requests(op, result);
                let _infallible = writeln!(out, "tarn_object_store_requests_total{{op=\"{}\",result=\"{}\"}} {count}", op.as_str(), result.as_str());
            }
        }
        out.push_str("# HELP tarn_object_store_bytes_total Bytes of object bodies sent to and received from the object store.\n");
        out.push_str("# TYPE tarn_object_store_bytes_total counter\n");
        let _infallible = writeln!(out, "tarn_object_store_bytes_total{{op=\"put\",direction=\"sent\"}} {}", counts.bytes_sent);
        let _infallible = writeln!(out, "tarn_object_store_bytes_total{{op=\"get\",direction=\"received\"}} {}", counts.bytes_received);
    }

    pub(crate) fn count(&self, op: Op, result: OpResult, requests: u64) {
        if let Some(counter) = self.requests.get(op as usize).and_then(|row| row.get(result as usize)) {
            counter.fetch_add(requests, Ordering::Relaxed);
        }
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl RequestCounts {
    /// Requests of one kind that ended in one way.
    pub fn requests(&self, op: Op, result: OpResult) -> u64 {
        self.requests.get(op as usize).and_then(|row| row.get(result as usize)).copied().unwrap_or(0)
    }

    /// Requests of one kind, however they ended.
    pub fn of(&self, op: Op) -> u64 {
        OpResult::ALL.into_iter().map(|result| self.requests(op, result)).sum()
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        Op::ALL.into_iter().map(|op| self.of(op)).sum()
    }

    /// What was counted after `earlier`, a snapshot of the same counters.
    pub fn since(&self, earlier: &Self) -> Self {
        let requests = std::array::from_fn(|op| {
            std::array::from_fn(|result| {
                let at = |counts: &Self| counts.requests.get(op).and_then(|row| row.get(result)).copied().unwrap_or(0);
                at(self).saturating_sub(at(earlier))
            })
        });
        Self {
            requests,
            bytes_sent: self.bytes_sent.saturating_sub(earlier.bytes_sent),
            bytes_received: self.bytes_received.saturating_sub(earlier.bytes_received),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_text_is_what_the_design_names() {
        let stats = RequestStats::new();
        stats.count(Op::Put, OpResult::Ok, 2);
        stats.count(Op::List, OpResult::Ok, 3);
        stats.sent(1024);
        stats.received(7);
        let mut text = String::new();
        stats.render_prometheus(&mut text);
        for line in [
            "# TYPE tarn_object_store_requests_total counter",
            "tarn_object_store_requests_total{op=\"put\",result=\"ok\"} 2",
            "tarn_object_store_requests_total{op=\"list\",result=\"ok\"} 3",
            "tarn_object_store_requests_total{op=\"delete\",result=\"error\"} 0",
            "tarn_object_store_bytes_total{op=\"put\",direction=\"sent\"} 1024",
            "tarn_object_store_bytes_total{op=\"get\",direction=\"received\"} 7",
        ] {
            assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{line}\nin\n{text}");
        }
        assert_eq!(stats.snapshot().total(), 5);
    }

    #[test]
    fn counts_since_an_earlier_moment() {
        let stats = RequestStats::new();
        stats.count(Op::Get, OpResult::NotFound, 4);
        let before = stats.snapshot();
        stats.count(Op::Get, OpResult::NotFound, 1);
        stats.received(9);
        let during = stats.snapshot().since(&before);
        assert_eq!((during.of(Op::Get), during.requests(Op::Get, OpResult::NotFound), during.bytes_received), (1, 1, 9));
    }
}
