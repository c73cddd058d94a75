//! Compaction on a schedule: a run, a pause, another run, until the process stops. Failures are logged and counted.
//! Owns: when a run begins, the metrics of runs. Must not know: what a run does.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use compactor::RunReport;
use parking_lot::Mutex;
use schema::time::NANOS_PER_SECOND;
use store::Env;
use tokio::task::{JoinError, JoinHandle};

use crate::compaction::{self, Compaction};
use crate::serve::metrics::{header, single};
use crate::serve::state::App;

/// What runs of this process did since its start.
#[derive(Debug, Default)]
pub(crate) struct ScheduleMetrics {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ok: u64,
    failed: u64,
    /// All runs together; its `level0_backlog` and `deletes_pending` mean nothing.
    total: RunReport,
    /// Of the last run that saw every tenant.
    level0_backlog: u64,
    deletes_pending: u64,
    /// Seconds since the epoch, seconds.
    last_success: i64,
    last_duration: f64,
}

/// Compacts until it is dropped, which abandons the job under way; no row is lost by that, and its objects become garbage.
pub(crate) async fn run(app: Arc<App>, compaction: Compaction) {
    let interval = app.config.compactor.interval;
    loop {
        tokio::time::sleep(jittered(interval, &app.env)).await;
        // A task of its own: a panic is a failed run, and the schedule goes on.
        let (of_run, compaction) = (Arc::clone(&app), compaction.clone());
        let run = OwnedTask::spawn(async move { run_once(&of_run, &compaction).await });
        if let Err(panic) = run.join().await {
            tracing::error!(error = %panic, "compaction panicked");
            app.compactions.state.lock().failed += 1;
        }
    }
}

/// A task that is aborted when this is dropped.
#[derive(Debug)]
pub(crate) struct OwnedTask(JoinHandle<()>);

impl OwnedTask {
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    /// Waits for its end. Errors: it panicked.
    async fn join(mut self) -> Result<(), JoinError> {
        (&mut self.0).await
    }
}

impl Drop for OwnedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Half to one and a half of `interval`, so that several processes do not run at the same time for ever.
fn jittered(interval: Duration, env: &Env) -> Duration {
    let share = 512 + u32::try_from(env.random_u64() % 1024).unwrap_or(0);
    interval.saturating_mul(share) / 1024
}

async fn run_once(app: &App, compaction: &Compaction) {
    let begun = app.env.monotonic();
    let (mut seen, mut all_well) = (RunReport::default(), true);
    let outcome = compaction
        .run(None, None, &mut |run| match run.result {
            Ok(report) => {
                compaction::add(&mut seen, &report);
                compaction::add(&mut app.compactions.state.lock().total, &report);
            }
            Err(error) => {
                all_well = false;
                tracing::error!(tenant = %run.tenant, error = %chain(&error), "compaction of a tenant failed");
            }
        })
        .await;
    if let Err(error) = &outcome {
        tracing::error!(error = %chain(error), "compaction failed: the tenants cannot be listed");
    }
    let ended = app.env.now();
    let mut state = app.compactions.state.lock();
    state.last_duration = app.env.monotonic().saturating_sub(begun).as_secs_f64();
    if outcome.is_ok() && all_well {
        state.ok += 1;
        state.level0_backlog = seen.level0_backlog;
        state.deletes_pending = seen.deletes_pending;
        state.last_success = ended.as_nanos() / NANOS_PER_SECOND;
    } else {
        state.failed += 1;
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

impl ScheduleMetrics {
    /// Appends the metrics, also before the first run.
    pub(crate) fn render(&self, out: &mut String) {
        let state = self.state.lock();
        header(out, "tarn_compactor_runs_total", "counter", "Runs of the compactor over all tenants; one with a tenant that failed is an error.");
        for (result, count) in [("ok", state.ok), ("error", state.failed)] {
            let _ = writeln!(out, "tarn_compactor_runs_total{{result=\"{result}\"}} {count}");
        }
        let total = &state.total;
        for (name, help, count) in [
            ("jobs", "Merges that were committed.", total.jobs),
            ("conflicts", "Commits that another compactor was ahead of; the work is done again.", total.conflicts),
            ("level0_consumed", "Level-0 chunks that were merged, once for each day they have rows in.", total.level0_consumed),
            ("rows_read", "Rows that merges read.", total.rows_read),
            ("rows_written", "Rows that merges wrote.", total.rows_written),
            ("rows_duplicate", "Exact copies of rows that merges left out.", total.duplicates),
            ("rows_expired", "Rows that merges left out because of their age; those of objects that went whole are not counted.", total.rows_expired),
            ("rows_deleted", "Rows that were left out because of a delete request.", total.rows_deleted),
            ("bytes_read", "Bytes of the objects that merges read.", total.bytes_read),
            ("bytes_written", "Bytes of the objects that merges wrote.", total.bytes_written),
            ("objects_written", "Objects that merges wrote.", total.objects_written),
            ("objects_expired", "Compacted objects that were taken out of their day because all of their rows are too old.", total.objects_expired),
            ("objects_deleted", "Objects that were deleted after their grace period.", total.objects_deleted),
            ("orphans", "Objects of abandoned jobs that were found and will be deleted after the grace period.", total.orphans),
            ("deletes_processed", "Delete requests that were carried out.", total.deletes_processed),
        ] {
            single(out, &format!("tarn_compactor_{name}_total"), "counter", help, count);
        }
        single(
            out,
            "tarn_compactor_level0_backlog",
            "gauge",
            "Level-0 chunks with rows that are not merged yet, as of the last good run.",
            state.level0_backlog,
        );
        single(out, "tarn_compactor_deletes_pending", "gauge", "Delete requests that are not carried out yet, as of the last good run.", state.deletes_pending);
        single(
            out,
            "tarn_compactor_last_success_timestamp_seconds",
            "gauge",
            "When the last good run ended, in seconds since the epoch; 0 before it.",
            state.last_success,
        );
        single(out, "tarn_compactor_last_run_duration_seconds", "gauge", "How long the last run took.", state.last_duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::Timestamp;

    #[test]
    fn pauses_vary_around_the_interval() {
        let env = Env::seeded(Timestamp(0), 3);
        let pauses: Vec<Duration> = (0..200).map(|_| jittered(Duration::from_secs(60), &env)).collect();
        assert!(pauses.iter().all(|pause| (Duration::from_secs(30)..Duration::from_secs(90)).contains(pause)), "{pauses:?}");
        let mean = pauses.iter().sum::<Duration>() / 200;
        assert!((Duration::from_secs(55)..Duration::from_secs(65)).contains(&mean), "{mean:?}");
    }

    #[test]
    fn metrics_are_there_before_the_first_run() {
        let mut out = String::new();
        ScheduleMetrics::default().render(&mut out);
        for line in [
            r#"tarn_compactor_runs_total{result="ok"} 0"#,
            r#"tarn_compactor_runs_total{result="error"} 0"#,
            "tarn_compactor_jobs_total 0",
            "tarn_compactor_level0_backlog 0",
            "tarn_compactor_last_success_timestamp_seconds 0",
            "# TYPE tarn_compactor_bytes_written_total counter",
        ] {
            assert!(out.lines().any(|found| found == line), "{line} is missing in\n{out}");
        }
    }
}
