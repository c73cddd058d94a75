//! A month's bill: what a plan asks for, times prices.
//! Owns: which part of the traffic is paid how. Must not know: where prices come from, what would be cheaper.

use serde::Serialize;

use super::plan::{Deployment, GB, MONTH, Plan, StoreKind};
use super::prices::{Machine, Prices};
use super::traffic::{Traffic, traffic};

/// Hours of a month.
const HOURS: f64 = MONTH / 3600.0;
/// CPUs and GiB of pods, as `infra/knative` asks for them. The compactor's is counted as one that stays: a new one each minute is billed for that minute.
const INGEST_POD: PodSize = PodSize { vcpus: 0.5, gib: 0.5 };
const QUERY_POD: PodSize = PodSize { vcpus: 1.0, gib: 1.0 };
const COMPACTOR_POD: PodSize = PodSize { vcpus: 0.5, gib: 1.0 };
/// Seconds that a query pod stays after its last query.
const POD_LINGERS: f64 = 600.0;
/// GB of a machine's disk for its system.
const SYSTEM_DISK_GB: f64 = 20.0;
/// Share of pushes that come from another of three zones.
const OTHER_ZONES: f64 = 2.0 / 3.0;
/// MiB of a GiB.
const MIB_PER_GIB: f64 = 1024.0;
/// MB of a GB.
const MB_PER_GB: f64 = 1000.0;

/// What money is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cause {
    Requests,
    Storage,
    Compute,
    Logs,
    Transfer,
}

impl Cause {
    pub(crate) const ALL: [Self; 5] = [Self::Requests, Self::Storage, Self::Compute, Self::Logs, Self::Transfer];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Storage => "storage",
            Self::Compute => "compute",
            Self::Logs => "logs",
            Self::Transfer => "transfer",
        }
    }
}

/// A line of a bill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Item {
    pub(crate) cause: Cause,
    pub(crate) what: String,
    pub(crate) quantity: f64,
    pub(crate) unit: &'static str,
    pub(crate) dollars: f64,
}

impl Item {
    pub(crate) fn new(cause: Cause, what: impl Into<String>, quantity: f64, unit: &'static str, price: f64) -> Self {
        Self { cause, what: what.into(), quantity, unit, dollars: quantity * price }
    }
}

/// A month's bill.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Bill {
    pub(crate) items: Vec<Item>,
}

impl Bill {
    pub(crate) fn total(&self) -> f64 {
        // Not `sum`: of nothing that is minus zero.
        self.items.iter().fold(0.0, |sum, item| sum + item.dollars)
    }

    pub(crate) fn of(&self, cause: Cause) -> f64 {
        self.items.iter().filter(|item| item.cause == cause).fold(0.0, |sum, item| sum + item.dollars)
    }
}

/// What `plan` costs a month once its retention has passed for the first time.
pub(crate) fn bill(plan: &Plan, prices: &Prices) -> Bill {
    let compute = compute(plan, prices);
    let traffic = &compute.traffic;
    let mut items = requests_and_storage(plan, prices, traffic);
    items.extend(compute.items);
    let needs = &prices.tarn;
    if plan.deployment == Deployment::Lambda {
        let logs = (traffic.pushes + traffic.queries + traffic.runs) * needs.log_bytes / GB;
        items.push(Item::new(Cause::Logs, "CloudWatch, of the functions", logs, "GB", prices.cloudwatch.gb_in + prices.cloudwatch.gb_month));
    } else {
        let body_gb = traffic.raw_gb * needs.body_ratio * OTHER_ZONES;
        items.push(Item::new(Cause::Transfer, "pushes from other zones", body_gb, "GB", prices.transfer.zone_gb));
    }
    items.push(Item::new(Cause::Transfer, "answers", traffic.queries * needs.answer_bytes / GB, "GB", prices.transfer.internet_gb));
    Bill { items }
}

fn requests_and_storage(plan: &Plan, prices: &Prices, traffic: &Traffic) -> Vec<Item> {
    let (s3, stored) = (&prices.s3, traffic.level0_gb + traffic.level1_gb);
    if plan.store == StoreKind::Disk {
        return vec![Item::new(Cause::Storage, "both levels, on the disk", stored, "GB", prices.disk.gb_month)];
    }
    use Cause::{Requests, Storage};
    vec![
        Item::new(Requests, "PUT of pushes", traffic.level0_objects, "", s3.put),
        Item::new(Requests, "PUT of compaction", traffic.compaction_puts, "", s3.put),
        Item::new(Requests, "LIST of compaction", traffic.compaction_lists, "", s3.put),
        Item::new(Requests, "GET of compaction", traffic.compaction_gets, "", s3.get),
        Item::new(Requests, "LIST of queries", traffic.query_lists, "", s3.put),
        Item::new(Requests, "GET of queries", traffic.query_gets, "", s3.get),
        Item::new(Storage, "level 0, as pushed", traffic.level0_gb, "GB", s3.gb_month),
        Item::new(Storage, "level 1, compacted", traffic.level1_gb, "GB", s3.gb_month),
    ]
}

struct PodSize {
    vcpus: f64,
    gib: f64,
}

struct Compute {
    traffic: Traffic,
    items: Vec<Item>,
}

fn compute(plan: &Plan, prices: &Prices) -> Compute {
    match plan.deployment {
        Deployment::Lambda => {
            let traffic = traffic(plan, &prices.tarn, 1.0);
            let items = functions(plan, prices, &traffic);
            Compute { traffic, items }
        }
        Deployment::Knative => pods(plan, prices),
        Deployment::Vm => machines(plan, prices),
    }
}

fn functions(plan: &Plan, prices: &Prices, traffic: &Traffic) -> Vec<Item> {
    let (needs, lambda) = (&prices.tarn, &prices.lambda);
    // One push, and one merge, keep one CPU busy; a query all that there are.
    let vcpus = |mb: f64| mb / lambda.mb_per_vcpu;
    let busy = |cpu: f64, vcpus: f64, moved_gb: f64| (cpu / vcpus).max(moved_gb * MB_PER_GB / lambda.network_mb_per_second);
    let ingest = traffic.pushes * needs.put_seconds
        + busy(traffic.raw_gb * needs.ingest_cpu_per_gb, vcpus(plan.ingest_mb).min(1.0), traffic.raw_gb * needs.level0_ratio);
    let query = traffic.queries * needs.query_seconds
        + busy(traffic.query_raw_gb * needs.query_cpu_per_gb, vcpus(plan.query_mb), traffic.query_raw_gb * needs.level1_ratio);
    let compactor = traffic.runs * plan.tenants * needs.run_seconds
        + busy(traffic.raw_gb * needs.compact_cpu_per_gb, vcpus(plan.compactor_mb).min(1.0), traffic.compaction_gb);
    let gb_seconds = |what: &str, seconds: f64, mb: f64| Item::new(Cause::Compute, what, seconds * mb / MIB_PER_GIB, "GB-s", lambda.gb_second);
    vec![
        Item::new(Cause::Compute, "calls of functions", traffic.pushes + traffic.queries + traffic.runs, "", lambda.request),
        gb_seconds("ingest function", ingest, plan.ingest_mb),
        gb_seconds("query function", query, plan.query_mb),
        gb_seconds("compactor function", compactor, plan.compactor_mb),
    ]
}

fn pods(plan: &Plan, prices: &Prices) -> Compute {
    let (needs, pod) = (&prices.tarn, &prices.pod);
    // CPUs that are busy; the volume does not depend on how many processes share it.
    let rough = traffic(plan, needs, 1.0);
    let ingest = (rough.raw_gb * needs.ingest_cpu_per_gb / MONTH * needs.peak / INGEST_POD.vcpus).ceil().max(1.0);
    let compact = (rough.raw_gb * needs.compact_cpu_per_gb / MONTH / COMPACTOR_POD.vcpus).ceil().max(1.0);
    // Queries come at random times, so this is the share of time with one in the last minutes.
    let asked = 1.0 - (-rough.queries / MONTH * (needs.query_seconds + POD_LINGERS)).exp();
    let query = asked.max(rough.query_raw_gb * needs.query_cpu_per_gb / MONTH * needs.peak / QUERY_POD.vcpus);
    let traffic = traffic(plan, needs, ingest);
    let hours = |what: String, pods: f64, size: &PodSize| {
        let price = size.vcpus * pod.vcpu_hour + size.gib * pod.gib_hour;
        Item::new(Cause::Compute, what, pods * HOURS, "h", price)
    };
    let mut items = vec![
        hours(format!("{ingest} x ingest pod"), ingest, &INGEST_POD),
        hours("query pods, while asked".to_owned(), query, &QUERY_POD),
        hours(format!("{compact} x compactor pod"), compact, &COMPACTOR_POD),
    ];
    if pod.cluster_hour > 0.0 {
        items.push(Item::new(Cause::Compute, "control plane", HOURS, "h", pod.cluster_hour));
    }
    Compute { traffic, items }
}

fn machines(plan: &Plan, prices: &Prices) -> Compute {
    let needs = &prices.tarn;
    let rough = traffic(plan, needs, 1.0);
    let cpu = rough.raw_gb * (needs.ingest_cpu_per_gb + needs.compact_cpu_per_gb) + rough.query_raw_gb * needs.query_cpu_per_gb;
    let (machine, count) = choose(&prices.machines, cpu / MONTH * needs.peak);
    let mut items = Vec::new();
    if let Some(machine) = machine {
        items.push(Item::new(Cause::Compute, format!("{count} x {}", machine.name), count * HOURS, "h", machine.hour));
    }
    items.push(Item::new(Cause::Compute, "system disk", count * SYSTEM_DISK_GB, "GB", prices.disk.gb_month));
    Compute { traffic: traffic(plan, needs, count), items }
}

/// The cheapest machine with enough CPUs, or as many of the largest as it takes.
fn choose(machines: &[Machine], vcpus: f64) -> (Option<&Machine>, f64) {
    let enough = machines.iter().filter(|machine| machine.vcpus >= vcpus).min_by(|a, b| a.hour.total_cmp(&b.hour));
    match enough {
        Some(machine) => (Some(machine), 1.0),
        None => {
            let largest = machines.iter().max_by(|a, b| a.vcpus.total_cmp(&b.vcpus));
            (largest, largest.map_or(1.0, |machine| (vcpus / machine.vcpus).ceil()))
        }
    }
}
