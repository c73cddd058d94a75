//! What would make a bill smaller: each knob turned by itself, the bill computed anew.
//! Owns: which knobs there are, and what is given up by turning them. Must not know: how a bill is computed.

use serde::Serialize;

use super::model::bill;
use super::plan::{Deployment, Plan, StoreKind};
use super::prices::Prices;

/// Savings below this are not worth a line, in dollars a month.
const WORTH_A_LINE: f64 = 0.01;
/// Smallest memory of a function that is proposed: what one push, query or merge needs.
const LEAST_MB: f64 = 256.0;
const LEAST_QUERY_MB: f64 = 512.0;
/// Longest intervals that are proposed: beyond them an agent's memory, a client's timeout and the length of a LIST get in the way.
const LONGEST_PUSH_INTERVAL: f64 = 60.0;
const LONGEST_FLUSH: f64 = 5.0;
const LONGEST_COMPACT_INTERVAL: f64 = 1800.0;
/// The finest schedule of a function.
const SHORTEST_COMPACT_INTERVAL: f64 = 60.0;

/// A knob, turned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Saving {
    pub(crate) what: String,
    /// What one has to live with.
    pub(crate) but: &'static str,
    /// A month's bill after it.
    pub(crate) total: f64,
    pub(crate) saves: f64,
}

/// Every knob that saves something, the largest saving first.
pub(crate) fn savings(plan: &Plan, prices: &Prices) -> Vec<Saving> {
    let now = bill(plan, prices).total();
    let mut savings: Vec<Saving> = turned(plan)
        .into_iter()
        .map(|(what, but, plan)| {
            let total = bill(&plan, prices).total();
            Saving { what, but, total, saves: now - total }
        })
        .filter(|saving| saving.saves >= WORTH_A_LINE)
        .collect();
    savings.sort_by(|a, b| b.saves.total_cmp(&a.saves));
    // The same knob turned further without saving more.
    savings.dedup_by(|further, less| further.but == less.but && (less.total - further.total).abs() < WORTH_A_LINE / 2.0);
    savings
}

type Turned = (String, &'static str, Plan);

fn turned(plan: &Plan) -> Vec<Turned> {
    let mut all = of_any(plan);
    all.extend(if plan.deployment == Deployment::Lambda { of_functions(plan) } else { of_servers(plan) });
    all
}

fn of_any(plan: &Plan) -> Vec<Turned> {
    let mut all = Vec::new();
    let doubled = plan.push_interval_seconds * 2.0;
    let mut intervals = vec![doubled];
    if doubled < LONGEST_PUSH_INTERVAL {
        intervals.push(LONGEST_PUSH_INTERVAL);
    }
    for seconds in intervals {
        let what = format!("agents push every {} instead of {}", length(seconds), length(plan.push_interval_seconds));
        all.push((what, "lines are seen that much later", Plan { push_interval_seconds: seconds, ..plan.clone() }));
    }
    let collectors = (plan.agents / 10.0).ceil();
    if collectors < plan.agents {
        let what = format!("{collectors} {} in front of {} agents", if collectors == 1.0 { "collector" } else { "collectors" }, plan.agents);
        all.push((what, "collectors to run, not counted here", Plan { agents: collectors, ..plan.clone() }));
    }
    let half = plan.retention_days / 2.0;
    let what = format!("keep {} instead of {}", days(half), days(plan.retention_days));
    all.push((what, "older lines are gone", Plan { retention_days: half, ..plan.clone() }));
    all.push(("half the queries".to_owned(), "slower dashboards", Plan { queries_per_day: plan.queries_per_day / 2.0, ..plan.clone() }));
    let what = "queries look back half as far".to_owned();
    all.push((what, "less on a dashboard", Plan { query_range_hours: plan.query_range_hours / 2.0, ..plan.clone() }));
    let quicker = plan.compact_seconds / 5.0;
    if quicker >= SHORTEST_COMPACT_INTERVAL {
        let what = format!("compact every {} instead of {}", length(quicker), length(plan.compact_seconds));
        all.push((what, "more runs that find little to do", Plan { compact_seconds: quicker, ..plan.clone() }));
    }
    let slower = plan.compact_seconds * 5.0;
    if slower <= LONGEST_COMPACT_INTERVAL {
        let what = format!("compact every {} instead of {}", length(slower), length(plan.compact_seconds));
        all.push((what, "queries of the newest lines make more GETs", Plan { compact_seconds: slower, ..plan.clone() }));
    }
    all
}

fn of_functions(plan: &Plan) -> Vec<Turned> {
    let server = Plan { deployment: Deployment::Vm, ..plan.clone() };
    let mut all = vec![("group commit: one server on a machine".to_owned(), "a machine to run, in one zone", server)];
    let pods = Plan { deployment: Deployment::Knative, ..plan.clone() };
    all.push(("group commit: pods on Knative".to_owned(), "a cluster to run", pods));
    let mut memory = |name: &str, mb: f64, least: f64, but: &'static str, set: fn(&mut Plan, f64)| {
        let half = mb / 2.0;
        if half >= least {
            let mut plan = plan.clone();
            set(&mut plan, half);
            all.push((format!("{half} MB for the {name} function instead of {mb}"), but, plan));
        }
    };
    memory("ingest", plan.ingest_mb, LEAST_MB, "slower acknowledgements, smaller pushes", |plan, mb| plan.ingest_mb = mb);
    memory("query", plan.query_mb, LEAST_QUERY_MB, "slower queries", |plan, mb| plan.query_mb = mb);
    memory("compactor", plan.compactor_mb, LEAST_MB, "slower merges", |plan, mb| plan.compactor_mb = mb);
    all
}

fn of_servers(plan: &Plan) -> Vec<Turned> {
    let mut all = Vec::new();
    let mut intervals = vec![plan.flush_seconds * 2.0];
    if plan.flush_seconds * 2.0 < LONGEST_FLUSH {
        intervals.push(LONGEST_FLUSH);
    }
    for seconds in intervals.into_iter().filter(|seconds| *seconds <= LONGEST_FLUSH) {
        let what = format!("ingest.flush_interval = \"{}\" instead of {}", length(seconds), length(plan.flush_seconds));
        all.push((what, "pushes are acknowledged that much later", Plan { flush_seconds: seconds, ..plan.clone() }));
    }
    if plan.deployment == Deployment::Knative {
        all.push(("one server on a machine".to_owned(), "a machine to run, in one zone", Plan { deployment: Deployment::Vm, ..plan.clone() }));
    } else if plan.store == StoreKind::S3 {
        all.push(("the store on the machine's disk".to_owned(), "no copy in another zone, a disk to size", Plan { store: StoreKind::Disk, ..plan.clone() }));
        let functions = Plan { deployment: Deployment::Lambda, ..plan.clone() };
        all.push(("functions instead of a machine".to_owned(), "an object a push", functions));
    }
    all
}

/// `500ms`, `10s`, `5m`, `1h`.
pub(crate) fn length(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{}ms", (seconds * 1e6).round() / 1e3)
    } else if seconds >= 3600.0 && seconds % 3600.0 == 0.0 {
        format!("{}h", seconds / 3600.0)
    } else if seconds >= 120.0 && seconds % 60.0 == 0.0 {
        format!("{}m", seconds / 60.0)
    } else {
        format!("{seconds}s")
    }
}

/// `30d`, `36h`.
pub(crate) fn days(days: f64) -> String {
    if days.fract() == 0.0 { format!("{days}d") } else { format!("{}h", (days * 24.0 * 1e3).round() / 1e3) }
}
