//! What ingest counts about itself, as Prometheus text.
//! `tarn_ingest_lines_received_total`, `tarn_ingest_bytes_received_total`, `tarn_discarded_samples_total{reason}` and
//! `tarn_discarded_bytes_total{reason}` mean what Loki's `loki_distributor_*` and `loki_discarded_*` of the same endings mean,
//! without the tenant label, whose number of values has no bound.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::error::PushError;
use crate::reject::{DiscardReason, Rejections};

/// Upper bounds of the acknowledgement histogram, in milliseconds.
const ACK_BUCKETS_MS: [u64; 10] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];
/// Answers that are counted one by one; others share a counter.
const STATUSES: [StatusCode; 9] = [
    StatusCode::OK,
    StatusCode::CREATED,
    StatusCode::NO_CONTENT,
    StatusCode::BAD_REQUEST,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::INTERNAL_SERVER_ERROR,
];

/// Counters of one process. All methods may be called at once from anywhere.
#[derive(Debug, Default)]
pub struct IngestMetrics {
    lines: AtomicU64,
    bytes: AtomicU64,
    body_bytes: AtomicU64,
    discarded_lines: [AtomicU64; DiscardReason::ALL.len()],
    discarded_bytes: [AtomicU64; DiscardReason::ALL.len()],
    pushes: [AtomicU64; STATUSES.len()],
    other_pushes: AtomicU64,
    flushes_stored: AtomicU64,
    flushes_repeated: AtomicU64,
    flushes_failed: AtomicU64,
    flushed_pushes: AtomicU64,
    repeated_pushes: AtomicU64,
    object_bytes: AtomicU64,
    waiting_bytes: AtomicU64,
    waiting_pushes: AtomicU64,
    running_flushes: AtomicU64,
    ack_buckets: [AtomicU64; ACK_BUCKETS_MS.len()],
    ack_count: AtomicU64,
    ack_micros: AtomicU64,
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlushResult {
    Stored,
    AlreadyStored,
    Failed,
}

impl IngestMetrics {
    /// Appends all metrics in Prometheus' text format.
    pub fn render_prometheus(&self, out: &mut String) {
        counter(out, "tarn_ingest_lines_received_total", "Accepted log lines.", &self.lines);
        counter(out, "tarn_ingest_bytes_received_total", "Bytes of accepted lines and their structured metadata.", &self.bytes);
        counter(out, "tarn_ingest_body_bytes_total", "Bytes of push bodies as sent.", &self.body_bytes);
        by_label(out, "tarn_discarded_samples_total", "Log lines that were refused.", "reason", reasons(&self.discarded_lines));
        by_label(out, "tarn_discarded_bytes_total", "Bytes of refused log lines.", "reason", reasons(&self.discarded_bytes));
        let statuses = STATUSES.iter().map(StatusCode::as_str).zip(&self.pushes).chain([("other", &self.other_pushes)]);
        by_label(out, "tarn_ingest_pushes_total", "Answered pushes.", "status", statuses);
        let results = [("stored", &self.flushes_stored), ("already_stored", &self.flushes_repeated), ("failed", &self.flushes_failed)];
        by_label(out, "tarn_ingest_flushes_total", "Objects written, each for one tenant.", "result", results.into_iter());
        counter(out, "tarn_ingest_flushed_pushes_total", "Pushes inside written objects.", &self.flushed_pushes);
        counter(out, "tarn_ingest_repeated_pushes_total", "Pushes left out of an object since an equal one was in it.", &self.repeated_pushes);
        counter(out, "tarn_ingest_object_bytes_total", "Bytes of written objects.", &self.object_bytes);
        gauge(out, "tarn_ingest_waiting_bytes", "Bytes of decoded pushes that are not yet stored.", &self.waiting_bytes);
        gauge(out, "tarn_ingest_waiting_pushes", "Decoded pushes that are not yet stored.", &self.waiting_pushes);
        gauge(out, "tarn_ingest_flushes_running", "Objects that are being written.", &self.running_flushes);
        self.render_acks(out);
    }

    fn render_acks(&self, out: &mut String) {
        let name = "tarn_ingest_ack_seconds";
        let _ = writeln!(out, "# HELP {name} From a decoded push to its acknowledgement.\n# TYPE {name} histogram");
        for (bound, count) in ACK_BUCKETS_MS.iter().zip(&self.ack_buckets) {
            let _ = writeln!(out, "{name}_bucket{{le=\"{}.{:03}\"}} {}", bound / 1000, bound % 1000, load(count));
        }
        let micros = load(&self.ack_micros);
        let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_count {count}", count = load(&self.ack_count));
        let _ = writeln!(out, "{name}_sum {}.{:06}", micros / 1_000_000, micros % 1_000_000);
    }

    pub(crate) fn received(&self, lines: u64, bytes: u64, rejected: &Rejections) {
        add(&self.lines, lines);
        add(&self.bytes, bytes);
        for (reason, discarded) in rejected.iter() {
            self.discard(reason, discarded.lines, discarded.bytes);
        }
    }

    pub(crate) fn discard(&self, reason: DiscardReason, lines: u64, bytes: u64) {
        for ((known, line_counter), byte_counter) in DiscardReason::ALL.iter().zip(&self.discarded_lines).zip(&self.discarded_bytes) {
            if *known == reason {
                add(line_counter, lines);
                add(byte_counter, bytes);
            }
        }
    }

    pub(crate) fn answered(&self, status: StatusCode, body_bytes: usize) {
        add(&self.body_bytes, u64::try_from(body_bytes).unwrap_or(u64::MAX));
        let known = STATUSES.iter().zip(&self.pushes).find(|(known, _)| **known == status);
        add(known.map_or(&self.other_pushes, |(_, count)| count), 1);
    }

    /// Counts a push of which nothing was read because it says that it is too large, in bytes.
    pub fn refused_unread(&self, bytes: u64) {
        self.discard(DiscardReason::RequestBodyTooLarge, 1, bytes);
    }

    /// Counts what a push lost that failed as a whole for what is in it: one line, since none was read, and the bytes of its body.
    pub(crate) fn failed(&self, error: &PushError, body_bytes: usize) {
        let reason = match error {
            PushError::TooLarge { .. } => DiscardReason::RequestBodyTooLarge,
            PushError::Labels { .. } | PushError::ReservedLabels => DiscardReason::InvalidLabels,
            _ => return,
        };
        self.discard(reason, 1, u64::try_from(body_bytes).unwrap_or(u64::MAX));
    }

    pub(crate) fn flushed(&self, result: FlushResult, pushes: usize, repeated: usize, object_bytes: usize) {
        let counted = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        match result {
            FlushResult::Stored => add(&self.flushes_stored, 1),
            FlushResult::AlreadyStored => add(&self.flushes_repeated, 1),
            FlushResult::Failed => return add(&self.flushes_failed, 1),
        }
        add(&self.flushed_pushes, counted(pushes));
        add(&self.repeated_pushes, counted(repeated));
        add(&self.object_bytes, counted(object_bytes));
    }

    pub(crate) fn queued(&self) {
        add(&self.waiting_pushes, 1);
    }

    pub(crate) fn flush_began(&self) {
        add(&self.running_flushes, 1);
    }

    pub(crate) fn flush_ended(&self, pushes: usize) {
        self.running_flushes.fetch_sub(1, Ordering::Relaxed);
        self.waiting_pushes.fetch_sub(u64::try_from(pushes).unwrap_or_default(), Ordering::Relaxed);
    }

    pub(crate) fn waiting(&self, bytes: u64) {
        self.waiting_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn acknowledged(&self, after: Duration) {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        for (bound, count) in ACK_BUCKETS_MS.iter().zip(&self.ack_buckets) {
            if millis <= *bound {
                add(count, 1);
            }
        }
        add(&self.ack_count, 1);
        add(&self.ack_micros, u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
    }
}

fn reasons(counters: &[AtomicU64]) -> impl Iterator<Item = (&str, &AtomicU64)> {
    DiscardReason::ALL.iter().map(|reason| reason.as_str()).zip(counters)
}

fn counter(out: &mut String, name: &str, help: &str, value: &AtomicU64) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {}", load(value));
}

fn gauge(out: &mut String, name: &str, help: &str, value: &AtomicU64) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {}", load(value));
}

fn by_label<'a>(out: &mut String, name: &str, help: &str, label: &str, values: impl Iterator<Item = (&'a str, &'a AtomicU64)>) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
    for (value, count) in values {
        let _ = writeln!(out, "{name}{{{label}=\"{value}\"}} {}", load(count));
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_shown() {
        let metrics = IngestMetrics::default();
        let mut rejected = Rejections::default();
        rejected.count(DiscardReason::LineTooLong, 2, 30);
        metrics.received(5, 100, &rejected);
        metrics.answered(StatusCode::BAD_REQUEST, 70);
        metrics.flushed(FlushResult::Stored, 3, 1, 1000);
        metrics.acknowledged(Duration::from_millis(30));
        metrics.answered(StatusCode::CREATED, 1);
        metrics.answered(StatusCode::IM_A_TEAPOT, 1);
        metrics.failed(&PushError::Labels { detail: String::new() }, 7);
        metrics.failed(&PushError::NoStreams, 9);
        (0..3).for_each(|_| metrics.queued());
        metrics.flush_began();
        metrics.flush_began();
        metrics.flush_ended(2);
        let mut text = String::new();
        metrics.render_prometheus(&mut text);
        for line in [
            "tarn_ingest_lines_received_total 5",
            "tarn_ingest_bytes_received_total 100",
            "tarn_discarded_samples_total{reason=\"line_too_long\"} 2",
            "tarn_discarded_bytes_total{reason=\"line_too_long\"} 30",
            "tarn_discarded_samples_total{reason=\"invalid_utf8\"} 0",
            "tarn_ingest_pushes_total{status=\"400\"} 1",
            "tarn_ingest_pushes_total{status=\"201\"} 1",
            "tarn_ingest_pushes_total{status=\"500\"} 0",
            "tarn_ingest_pushes_total{status=\"other\"} 1",
            "tarn_discarded_samples_total{reason=\"invalid_labels\"} 1",
            "tarn_discarded_bytes_total{reason=\"invalid_labels\"} 7",
            "tarn_ingest_waiting_pushes 1",
            "tarn_ingest_flushes_running 1",
            "tarn_ingest_flushes_total{result=\"stored\"} 1",
            "tarn_ingest_flushed_pushes_total 3",
            "tarn_ingest_ack_seconds_bucket{le=\"0.025\"} 0",
            "tarn_ingest_ack_seconds_bucket{le=\"0.050\"} 1",
            "tarn_ingest_ack_seconds_sum 0.030000",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
