//! What a bill is asked for: a volume of logs, and how Tarn is run.
//! Must not know: prices.

use serde::Serialize;

/// Seconds of a month of 30 days.
pub(crate) const MONTH: f64 = 30.0 * DAY;
/// Seconds of a day.
pub(crate) const DAY: f64 = 86_400.0;
/// Days of a month.
pub(crate) const DAYS: f64 = 30.0;
/// Bytes of a GB.
pub(crate) const GB: f64 = 1e9;

/// Where Tarn runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Deployment {
    /// Functions: each push is an object, nothing runs when nothing happens.
    Lambda,
    /// Pods that meet many pushes: group commit; query pods go away when nobody asks.
    Knative,
    /// One process on a machine.
    Vm,
}

/// Where the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    S3,
    /// The machine's own disk.
    Disk,
}

/// A month of logs, and how Tarn is run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Plan {
    /// Raw bytes of lines, in GB.
    pub(crate) gb_per_day: f64,
    /// Processes that push.
    pub(crate) agents: f64,
    /// Longest time between two pushes of an agent.
    pub(crate) push_interval_seconds: f64,
    pub(crate) retention_days: f64,
    pub(crate) queries_per_day: f64,
    /// How far back a query looks.
    pub(crate) query_range_hours: f64,
    /// Share of the logs in a query's range whose lines it reads; the others are pruned.
    pub(crate) query_share: f64,
    /// The logs, agents and queries are spread evenly over them.
    pub(crate) tenants: f64,
    pub(crate) deployment: Deployment,
    pub(crate) store: StoreKind,
    pub(crate) ingest_mb: f64,
    pub(crate) query_mb: f64,
    pub(crate) compactor_mb: f64,
    /// From one compaction run to the next.
    pub(crate) compact_seconds: f64,
    /// How long a server collects pushes for one object.
    pub(crate) flush_seconds: f64,
}
