use proptest::prelude::*;

use super::knobs::savings;
use super::measured::Measured;
use super::model::{Bill, Cause, bill};
use super::plan::{Deployment, Plan, StoreKind};
use super::prices::{Prices, TEMPLATE};
use super::traffic::traffic;

fn prices() -> Prices {
    Prices::parse(TEMPLATE).unwrap()
}

/// 5 GB a day from 20 agents that push every 10 s, 500 queries a day over an hour that read a tenth of it.
fn small(deployment: Deployment) -> Plan {
    Plan {
        gb_per_day: 5.0,
        agents: 20.0,
        push_interval_seconds: 10.0,
        retention_days: 30.0,
        queries_per_day: 500.0,
        query_range_hours: 1.0,
        query_share: 0.1,
        tenants: 1.0,
        deployment,
        store: StoreKind::S3,
        ingest_mb: 512.0,
        query_mb: 1769.0,
        compactor_mb: 1769.0,
        compact_seconds: if deployment == Deployment::Lambda { 300.0 } else { 60.0 },
        flush_seconds: 0.5,
    }
}

fn dollars(bill: &Bill, what: &str) -> f64 {
    let found: Vec<f64> = bill.items.iter().filter(|item| item.what == what).map(|item| item.dollars).collect();
    assert_eq!(found.len(), 1, "{what} in {bill:#?}");
    found[0]
}

#[track_caller]
fn assert_near(got: f64, want: f64) {
    assert!((got - want).abs() <= want.abs() * 1e-4 + 1e-9, "{got} is not {want}");
}

/// Each line worked out by hand from the price file.
#[test]
fn a_small_team_on_lambda() {
    let bill = bill(&small(Deployment::Lambda), &prices());
    // 20 agents * 2,592,000 s / 10 s = 5,184,000 pushes, each an object: more than 150 GB in batches of 1 MiB would be. * $5e-6
    assert_near(dollars(&bill, "PUT of pushes"), 25.92);
    // 2 objects a second. A merge takes 512 of them: 5,184,000 / 512 = 10,125 merges, more than the 8,640 runs. An eighth of that again, 750 that close hours and
    // days: 12,140.625 merges of two PUTs each, and 3 * 150e9 / 2^28 = 1,676.38 files: 25,957.6 * $5e-6
    assert_near(dollars(&bill, "PUT of compaction"), 0.129_788);
    // 8,640 runs * (1 + 5 + 2.4 pages of the 2,400 chunks of 900 s grace and 300 s between runs) = 72,576 * $5e-6
    assert_near(dollars(&bill, "LIST of compaction"), 0.362_88);
    // 8,640 * 2 + 5,184,000 chunks + 12,140.6 manifests + 2,015.625 later merges * 8 inputs + 2 * 150e9 * 0.21 / 2^20 = 60,081.5: 5,289,627 * $4e-7
    assert_near(dollars(&bill, "GET of compaction"), 2.115_851);
    // 15,000 queries * (2 + 2.4) * $5e-6
    assert_near(dollars(&bill, "LIST of queries"), 0.33);
    // Each reads 5 / 24 * 0.1 = 0.0208333 raw GB: 300 chunks that wait, 1 + 1/24 manifests, 2 * (4 + 1 + 1/24 + 0.0776) of files, 0.5215 of pages.
    // 311.80 * 15,000 * $4e-7
    assert_near(dollars(&bill, "GET of queries"), 1.870_811);
    // 5 * 0.25 * 1,200 / 86,400 = 0.0173611 GB and 5 * 0.21 * 30 = 31.5 GB, * $0.023
    assert_near(dollars(&bill, "level 0, as pushed"), 0.000_399_306);
    assert_near(dollars(&bill, "level 1, compacted"), 0.7245);
    // (5,184,000 + 15,000 + 8,640) * $2e-7
    assert_near(dollars(&bill, "calls of functions"), 1.041_528);
    // 5,184,000 * 0.06 s + 150 * 8 s / (512 / 1769 CPU) = 4,146.09 s: 315,186.09 s * 0.5 GB * $1.66667e-5
    assert_near(dollars(&bill, "ingest function"), 2.626_556);
    // 15,000 * 0.4 s + 312.5 GB * 0.21 * 1000 / 75 = 875 s, which is longer than its 250 CPU-seconds: 6,875 s * 1769 / 1024 * $1.66667e-5
    assert_near(dollars(&bill, "query function"), 0.197_947);
    // 8,640 * 0.5 s + 150 * 20 s, which is longer than moving 150 * (0.25 + 5 * 0.21) = 195 GB takes: 7,320 s * 1769 / 1024 * $1.66667e-5
    assert_near(dollars(&bill, "compactor function"), 0.210_761);
    // 5,207,640 calls * 600 bytes = 3.124584 GB * $0.53
    assert_near(dollars(&bill, "CloudWatch, of the functions"), 1.656_030);
    // 15,000 * 200 kB = 3 GB * $0.09
    assert_near(dollars(&bill, "answers"), 0.27);
    // The sum of the above.
    assert_near(bill.total(), 37.457_04);
    assert_eq!(bill.items.len(), 14);
}

/// 2 pushes a second and half a second between flushes: an object each 0.5 + e^-1 / 2 = 0.683940 s, 2,592,000 s / 0.683940 s = 3,789,808 objects.
#[test]
fn pushes_that_meet_share_an_object() {
    let plan = small(Deployment::Vm);
    let needs = prices().tarn;
    assert_near(traffic(&plan, &needs, 1.0).level0_objects, 3_789_808.0);
    // Without waiting each push is an object.
    assert_near(traffic(&Plan { flush_seconds: 1e-9, ..plan.clone() }, &needs, 1.0).level0_objects, 5_184_000.0);
    // A second process halves what meets: 2 * 2,592,000 / (0.5 + e^-0.5 / 1) = 5,184,000 / 1.106531 = 4,684,912.
    assert_near(traffic(&plan, &needs, 2.0).level0_objects, 4_684_912.0);
    // 1,000 pushes a second of one tenant: an object each half second, 5,184,000.
    assert_near(traffic(&Plan { agents: 10_000.0, ..plan.clone() }, &needs, 1.0).level0_objects, 5_184_000.0);
    // 100 TB a day fill 8 MiB more often than twice a second: 3e15 / 2^23 = 357,627,869.
    assert_near(traffic(&Plan { gb_per_day: 1e5, ..plan }, &needs, 1.0).level0_objects, 357_627_869.0);
}

#[test]
fn machines_and_pods() {
    // 150 GB * 28 s + 312.5 GB * 0.8 s = 4,450 CPU-seconds a month: 0.005 CPUs at the peak. 720 h * $0.0168, 20 GB * $0.08.
    let machine = bill(&small(Deployment::Vm), &prices());
    assert_near(dollars(&machine, "1 x t4g.small"), 12.096);
    assert_near(dollars(&machine, "system disk"), 1.6);
    // 150 GB * 0.25 * 2/3 = 25 GB * $0.02
    assert_near(dollars(&machine, "pushes from other zones"), 0.5);
    // 200 times that: 840,000 + 50,000 = 890,000 CPU-seconds of 2,592,000 at the peak of 3 are 1.03 CPUs.
    let large = bill(&Plan { gb_per_day: 1000.0, ..small(Deployment::Vm) }, &prices());
    assert_near(dollars(&large, "1 x m7g.large"), 58.752);
    // 100 TB a day: 103 CPUs are 13 machines of 8.
    let huge = bill(&Plan { gb_per_day: 1e5, ..small(Deployment::Vm) }, &prices());
    assert_near(dollars(&huge, "13 x m7g.2xlarge"), 13.0 * 720.0 * 0.3264);
    let pods = bill(&small(Deployment::Knative), &prices());
    // 720 h * (0.5 * $0.04048 + 0.5 * $0.004445) and 720 h * (0.5 * $0.04048 + $0.004445)
    assert_near(dollars(&pods, "1 x ingest pod"), 16.173);
    assert_near(dollars(&pods, "1 x compactor pod"), 17.773_2);
    // A query each 172.8 s, after which a pod stays 600.4 s: 1 - e^-3.474537 = 0.969024 of the time, * 720 h * ($0.04048 + $0.004445)
    assert_near(dollars(&pods, "query pods, while asked"), 31.344_0);
}

/// 2 objects a second, 60 s between runs: 60 wait on average.
#[test]
fn a_process_that_stays_reads_a_chunk_once() {
    let needs = prices().tarn;
    let gets = |plan: &Plan| traffic(plan, &needs, 1.0).query_gets;
    let without = |plan: &Plan| gets(&Plan { compact_seconds: 1e-6, ..plan.clone() });
    // 100,000 queries a day over a thousandth of an hour's logs; the GETs of compacted files are the same in both.
    let plan = Plan { queries_per_day: 100_000.0, query_share: 0.001, flush_seconds: 1e-9, ..small(Deployment::Vm) };
    let function = Plan { deployment: Deployment::Lambda, compact_seconds: 60.0, ..plan.clone() };
    // Merges wait for 16 chunks, 8 s, even if runs are more frequent: 3,000,000 queries * 2 * (60 - 8) / 2 more.
    assert_near(gets(&function) - without(&function), 3e6 * 52.0);
    // 60 chunks for each query would be 180,000,000: there are only 5,184,000. 8 chunks would be more than that too.
    assert_near(gets(&function) - gets(&plan), 3e6 * 60.0 - 5_184_000.0);
}

#[test]
fn a_store_on_the_disk_costs_no_requests() {
    let plan = Plan { store: StoreKind::Disk, ..small(Deployment::Vm) };
    let bill = bill(&plan, &prices());
    assert!(bill.of(Cause::Requests).abs() < 1e-12);
    // 31.5 GB compacted and 5 * 0.25 * (900 + 60) / 86,400 = 0.01389 GB as pushed, * $0.08
    assert_near(bill.of(Cause::Storage), 2.521_11);
}

#[test]
fn the_largest_saving_comes_first_and_is_what_the_bill_says() {
    let (plan, prices) = (small(Deployment::Lambda), prices());
    let found = savings(&plan, &prices);
    assert!(found.windows(2).all(|pair| pair[0].saves >= pair[1].saves));
    assert!(found.iter().all(|saving| saving.saves > 0.0 && !saving.but.is_empty()));
    let minute = found.iter().find(|saving| saving.what == "agents push every 60s instead of 10s").unwrap();
    let turned = bill(&Plan { push_interval_seconds: 60.0, ..plan.clone() }, &prices).total();
    assert_near(minute.total, turned);
    assert_near(minute.saves, bill(&plan, &prices).total() - turned);
    // Five of six PUTs of pushes are saved, and at least they.
    assert!(minute.saves > 25.92 * 5.0 / 6.0);
}

#[test]
fn the_default_prices_are_those_that_answers_are_priced_with() {
    let prices = prices();
    assert_near(prices.s3.put, schema::price::DOLLARS_PER_WRITE_REQUEST);
    assert_near(prices.s3.get, schema::price::DOLLARS_PER_READ_REQUEST);
}

#[test]
fn a_price_file_that_cannot_be_meant_is_refused() {
    for (from, to, text) in [
        ("put = 5.0e-6", "put = -1.0", "s3.put is -1: it must be a number of at least 0"),
        ("get = 4.0e-7", "get = nan", "s3.get is NaN: it must be a number of at least 0"),
        ("put = 5.0e-6", "puts = 5.0e-6", "unknown field `puts`"),
        ("peak = 3.0", "", "missing field `peak`"),
        ("mb_per_vcpu = 1769 ", "mb_per_vcpu = 0 ", "lambda.mb_per_vcpu must be above 0"),
        ("vcpus = 2.0", "vcpus = 0", "each with vcpus above 0"),
    ] {
        assert!(TEMPLATE.contains(from), "{from}");
        let error = Prices::parse(&TEMPLATE.replace(from, to)).unwrap_err();
        assert!(error.contains(text), "{to}: {error}");
    }
}

const PAGE: &str = r#"# HELP tarn_object_store_requests_total Requests made to the object store.
# TYPE tarn_object_store_requests_total counter
tarn_object_store_requests_total{op="put",result="ok"} 90
tarn_object_store_requests_total{op="put",result="exists"} 8
tarn_object_store_requests_total{op="put",result="error"} 2
tarn_object_store_requests_total{op="get",result="ok"} 50
tarn_object_store_requests_total{op="head",result="ok"} 10
tarn_object_store_requests_total{op="list",result="ok"} 40
tarn_object_store_requests_total{op="delete",result="ok"} 30
tarn_object_store_bytes_total{op="put",direction="sent"} 300000000
tarn_object_store_bytes_total{op="get",direction="received"} 100000000
tarn_ingest_bytes_received_total 1000000000
tarn_ingest_object_bytes_total 250000000
tarn_ingest_pushes_total{status="204"} 160
tarn_ingest_flushes_total{result="stored"} 80
tarn_ingest_flushes_total{result="failed"} 2
tarn_http_requests_total{route="/loki/api/v1/query_range",method="GET",status="200"} 7
tarn_http_requests_total{route="/loki/api/v1/label/{name}/values",method="GET",status="200"} 2
tarn_http_requests_total{route="/metrics",method="GET",status="200"} 99
tarn_http_requests_total{route="/loki/api/v1/push",method="POST",status="204"} 150
tarn_http_requests_total{route="/api/prom/push",method="POST",status="204"} 10
tarn_uptime_seconds 43200.0
process_cpu_seconds_total 28.5
"#;

/// Half a day, so 60 times as much in a month.
#[test]
fn a_measured_half_day_is_a_sixtieth_of_a_month() {
    let measured = Measured::parse(PAGE).unwrap();
    assert_eq!((measured.puts, measured.gets, measured.lists, measured.deletes, measured.errors), (100.0, 60.0, 40.0, 30.0, 2.0));
    assert_eq!((measured.pushes, measured.queries), (160.0, 9.0));
    let report = measured.report(&prices(), 30.0);
    assert_near(report.gb_per_day, 2.0);
    assert_near(report.pushes_per_object, 2.0);
    assert_near(report.level0_ratio.unwrap(), 0.25);
    assert_near(report.cpu_seconds_per_gb.unwrap(), 28.5);
    // 80 and 20 PUTs, 40 LISTs at $5e-6, 60 GETs at $4e-7, each 60 times; 2 GB * 0.21 * 30 days * $0.023.
    assert_near(dollars(&report.bill, "PUT of pushes"), 0.024);
    assert_near(dollars(&report.bill, "other PUT"), 0.006);
    assert_near(dollars(&report.bill, "LIST"), 0.012);
    assert_near(dollars(&report.bill, "GET and HEAD"), 0.001_44);
    assert_near(report.total, 0.024 + 0.006 + 0.012 + 0.001_44 + 0.2898);
    assert_eq!(report.warnings, ["2 requests failed; they are in the bill"]);
}

#[test]
fn metrics_of_something_else_are_refused() {
    assert_eq!(Measured::parse("loki_build_info 1\n").unwrap_err(), "it has no tarn_uptime_seconds");
    assert_eq!(Measured::parse("tarn_uptime_seconds 5\n").unwrap_err(), "it has no tarn_object_store_requests_total");
    assert!(Measured::parse(&PAGE.replace("43200.0", "0.2")).is_err());
    let short = Measured::parse(&PAGE.replace("43200.0", "60")).unwrap().report(&prices(), 30.0);
    assert_eq!(short.warnings[0], "the server runs for 60 s only: measure over a day or more");
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let deployment = prop_oneof![Just(Deployment::Lambda), Just(Deployment::Knative), Just(Deployment::Vm)];
    let volume = (0.01f64..20_000.0, 1u32..20_000, 0.5f64..120.0, 0.1f64..1000.0);
    let reading = (0u32..100_000, 0.1f64..1000.0, 0.001f64..1.0, 1u32..200);
    (deployment, any::<bool>(), volume, reading, 20.0f64..3600.0, 0.001f64..10.0).prop_map(
        |(deployment, disk, volume, reading, compact_seconds, flush_seconds)| Plan {
            gb_per_day: volume.0,
            agents: volume.1.into(),
            push_interval_seconds: volume.2,
            retention_days: volume.3,
            queries_per_day: reading.0.into(),
            query_range_hours: reading.1,
            query_share: reading.2,
            tenants: reading.3.into(),
            store: if disk && deployment == Deployment::Vm { StoreKind::Disk } else { StoreKind::S3 },
            compact_seconds,
            flush_seconds,
            ..small(deployment)
        },
    )
}

proptest! {
    /// More logs, more days, more queries, more agents never cost less.
    #[test]
    fn more_never_costs_less(plan in any_plan(), factor in 1.0f64..50.0) {
        let prices = prices();
        let total = |plan: &Plan| bill(plan, &prices).total();
        let now = total(&plan);
        let slack = 1.0 - 1e-9;
        let more = Plan { gb_per_day: plan.gb_per_day * factor, ..plan.clone() };
        prop_assert!(total(&more) >= now * slack, "volume");
        let more = Plan { retention_days: plan.retention_days * factor, ..plan.clone() };
        prop_assert!(total(&more) >= now * slack, "retention");
        let more = Plan { queries_per_day: plan.queries_per_day * factor, ..plan.clone() };
        prop_assert!(total(&more) >= now * slack, "queries");
        let more = Plan { query_range_hours: plan.query_range_hours * factor, ..plan.clone() };
        prop_assert!(total(&more) >= now * slack, "range");
        let more = Plan { push_interval_seconds: plan.push_interval_seconds / factor, ..plan.clone() };
        // Chunks that come faster are merged sooner, so a little less of level 0 is stored; on a disk that is all that changes.
        let asked = |plan: &Plan| {
            let bill = bill(plan, &prices);
            bill.total() - bill.of(Cause::Storage)
        };
        prop_assert!(asked(&more) >= asked(&plan) * slack, "pushes");
    }

    #[test]
    fn parts_sum_to_the_total_and_none_is_negative(plan in any_plan()) {
        let bill = bill(&plan, &prices());
        let parts: f64 = Cause::ALL.iter().map(|cause| bill.of(*cause)).sum();
        prop_assert!((parts - bill.total()).abs() <= bill.total() * 1e-9);
        prop_assert!(bill.items.iter().all(|item| item.dollars.is_finite() && item.dollars >= 0.0 && item.quantity.is_finite()), "{:#?}", bill);
        prop_assert!(bill.total() > 0.0);
    }

    /// Never more objects than pushes, and a flush interval only lowers their number.
    #[test]
    fn group_commit_never_adds_objects(plan in any_plan(), factor in 1.0f64..20.0) {
        let needs = prices().tarn;
        let objects = |plan: &Plan| traffic(plan, &needs, 1.0).level0_objects;
        prop_assert!(objects(&plan) <= traffic(&plan, &needs, 1.0).pushes * (1.0 + 1e-9));
        let longer = Plan { flush_seconds: plan.flush_seconds * factor, ..plan.clone() };
        prop_assert!(objects(&longer) <= objects(&plan) * (1.0 + 1e-9));
    }
}

/// What a query's estimate is made of is what this file says.
#[test]
fn the_prices_of_a_query_are_those_of_the_file() {
    let prices = prices();
    let close = |a: f64, b: f64| assert!((a - b).abs() < 0.02 * b, "{a} and {b}");
    close(schema::price::DOLLARS_PER_READ_REQUEST, prices.s3.get);
    close(schema::price::DOLLARS_PER_WRITE_REQUEST, prices.s3.put);
    close(schema::price::DOLLARS_PER_GB_READ, prices.tarn.query_cpu_per_gb * prices.lambda.mb_per_vcpu / 1024.0 * prices.lambda.gb_second);
}
