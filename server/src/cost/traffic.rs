//! What a plan asks of the object store in a month: objects, requests, bytes.
//! Owns: how pushes become objects, how objects are compacted and read. Must not know: dollars, CPUs.
//!
//! The constants are those of the code that they describe: `compactor::settings::PlanSettings`, `store::chunk::fetch`.

use serde::Serialize;

use super::plan::{DAY, DAYS, Deployment, GB, MONTH, Plan};
use super::prices::Needs;

/// So many level-0 chunks are merged at once.
const MIN_LEVEL0: f64 = 16.0;
/// Fewer wait so long, in seconds.
const LEVEL0_REST: f64 = 300.0;
/// Most inputs of a merge.
const MAX_INPUTS: f64 = 512.0;
/// Most stored bytes of level-0 inputs of a merge.
const INPUT_BYTES: f64 = 67_108_864.0;
/// So many small results of merges are merged again.
const MERGE_OF: f64 = 8.0;
/// Merges that close the hours of a month and its days.
const CLOSING_MERGES: f64 = 30.0 * 25.0;
/// Raw bytes of a compacted file.
const FILE_BYTES: f64 = 268_435_456.0;
/// How often a row is written by merges: into an hour, with others of the hour, into its day.
const PASSES: f64 = 3.0;
/// Stored bytes of a merge's GET, and of a query's.
const MERGE_GET_BYTES: f64 = 1_048_576.0;
const QUERY_GET_BYTES: f64 = 8_388_608.0;
/// Keys of a page of a LIST.
const PAGE: f64 = 1000.0;
/// Files of the hour that is being written, on average.
const OPEN_HOUR_FILES: f64 = 4.0;
/// Footer and pages of a file.
const GETS_PER_FILE: f64 = 2.0;

/// A month.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Traffic {
    /// Raw GB of lines.
    pub(crate) raw_gb: f64,
    pub(crate) pushes: f64,
    /// Objects that pushes become, one PUT each.
    pub(crate) level0_objects: f64,
    pub(crate) runs: f64,
    pub(crate) compaction_puts: f64,
    pub(crate) compaction_lists: f64,
    pub(crate) compaction_gets: f64,
    /// Stored GB that merges read and write.
    pub(crate) compaction_gb: f64,
    pub(crate) queries: f64,
    pub(crate) query_lists: f64,
    pub(crate) query_gets: f64,
    /// Raw GB whose lines queries read.
    pub(crate) query_raw_gb: f64,
    /// Stored GB at any time, as pushed.
    pub(crate) level0_gb: f64,
    /// Stored GB at any time, compacted.
    pub(crate) level1_gb: f64,
}

/// What `plan` asks for. `processes` take pushes, each on its own.
pub(crate) fn traffic(plan: &Plan, needs: &Needs, processes: f64) -> Traffic {
    let raw_gb = plan.gb_per_day * DAYS;
    let pushes = pushes(plan, needs);
    let level0_objects = level0_objects(plan, needs, processes);
    let per_tenant = level0_objects / MONTH / plan.tenants;

    // A merge comes once there are enough chunks, or a few have rested, and a run looks.
    let cycle = plan.compact_seconds.max((MIN_LEVEL0 / per_tenant).min(LEVEL0_REST + 1.0 / per_tenant));
    let first_merges = (plan.tenants * MONTH / cycle).min(level0_objects).max(level0_objects / MAX_INPUTS).max(raw_gb * GB * needs.level0_ratio / INPUT_BYTES);
    let later_merges = first_merges / MERGE_OF + first_merges.min(plan.tenants * CLOSING_MERGES);
    let merges = first_merges + later_merges;
    let runs = MONTH / plan.compact_seconds;
    let listed = per_tenant * (needs.grace_seconds + cycle);

    let hours = plan.query_range_hours.min(plan.retention_days * 24.0);
    let queries = plan.queries_per_day * DAYS;
    let read_gb = plan.gb_per_day / 24.0 * hours * plan.query_share / plan.tenants;
    let files = OPEN_HOUR_FILES + hours.min(24.0) + hours / 24.0 + read_gb * GB / FILE_BYTES;
    let gets_per_query = 1.0 + hours / 24.0 + files * GETS_PER_FILE + read_gb * GB * needs.level1_ratio / QUERY_GET_BYTES;
    // Chunks that wait for their merge are read whole. A process that stays keeps them in memory; a function starts with nothing.
    let waiting = queries * per_tenant * cycle / 2.0;
    let waiting = if plan.deployment == Deployment::Lambda { waiting } else { waiting.min(level0_objects) };

    Traffic {
        raw_gb,
        pushes,
        level0_objects,
        runs,
        // A result and the day's manifest each, and further files where there is much.
        compaction_puts: merges * 2.0 + PASSES * raw_gb * GB / FILE_BYTES,
        // One of them finds the tenants.
        compaction_lists: runs * (1.0 + plan.tenants * (needs.run_lists + listed / PAGE)),
        compaction_gets: runs * plan.tenants * needs.run_gets
            + level0_objects
            + merges
            + later_merges * MERGE_OF
            + (PASSES - 1.0) * raw_gb * GB * needs.level1_ratio / MERGE_GET_BYTES,
        compaction_gb: raw_gb * (needs.level0_ratio + (2.0 * PASSES - 1.0) * needs.level1_ratio),
        queries,
        query_lists: queries * (2.0 + listed / PAGE),
        query_gets: waiting + queries * gets_per_query,
        query_raw_gb: queries * read_gb,
        level0_gb: plan.gb_per_day * needs.level0_ratio * (needs.grace_seconds + cycle) / DAY,
        level1_gb: plan.gb_per_day * needs.level1_ratio * plan.retention_days,
    }
}

/// An agent pushes when its interval is over, or when it has a batch full.
fn pushes(plan: &Plan, needs: &Needs) -> f64 {
    (plan.agents * MONTH / plan.push_interval_seconds).max(plan.gb_per_day * DAYS * GB / needs.push_bytes)
}

/// A function stores each push by itself. A process stores together what comes within the flush interval: pushes at random times, `rate` a second, make an object
/// each `interval + exp(-rate * interval) / rate` seconds, since the first after a pause goes at once.
fn level0_objects(plan: &Plan, needs: &Needs, processes: f64) -> f64 {
    let pushes = pushes(plan, needs);
    if plan.deployment == Deployment::Lambda {
        return pushes;
    }
    let groups = plan.tenants * processes;
    let rate = pushes / MONTH / groups;
    let cycle = plan.flush_seconds + (-rate * plan.flush_seconds).exp() / rate;
    (groups * MONTH / cycle).max(plan.gb_per_day * DAYS * GB / needs.flush_bytes)
}
