//! `tarn cost`: a month's bill, estimated or measured, and what would make it smaller.
//! Owns: reading of the flags and files, the tables. Must not know: the arithmetic.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::output::{CYAN, DIM};
use super::store_target::{Paint, print, print_json};
use crate::args::{CostArgs, CostDeployment};
use crate::config::parse_duration;
use crate::cost::knobs::{self, Saving, length};
use crate::cost::measured::{Measured, Report};
use crate::cost::model::{Bill, Cause, bill};
use crate::cost::plan::{DAY, DAYS, Deployment, GB, Plan, StoreKind};
use crate::cost::prices::{Prices, TEMPLATE};
use crate::error::TarnError;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Seconds of an hour.
const HOUR: f64 = 3600.0;

/// Runs the command.
pub(super) async fn run(args: CostArgs) -> Result<(), TarnError> {
    if args.prices_template {
        return print(TEMPLATE);
    }
    let prices = prices(args.prices.as_deref())?;
    if let Some((from, page)) = metrics(&args).await? {
        let measured = Measured::parse(&page).map_err(|problem| TarnError::Metrics { from, problem })?;
        let report = measured.report(&prices, duration("--retention", &args.retention)? / DAY);
        return if args.json { print_json(&report) } else { print(&measured_text(&report, &prices, Paint::stdout())) };
    }
    let plan = plan(&args)?;
    let estimate = Estimate::of(plan, &prices);
    if args.json { print_json(&estimate) } else { print(&estimate.text(&prices, Paint::stdout())) }
}

fn prices(path: Option<&Path>) -> Result<Prices, TarnError> {
    let Some(path) = path else { return Prices::parse(TEMPLATE).map_err(|problem| TarnError::Prices { path: "of this command".into(), problem }) };
    let text = std::fs::read_to_string(path).map_err(TarnError::io(format!("read the price file {}", path.display())))?;
    Prices::parse(&text).map_err(|problem| TarnError::Prices { path: path.to_owned(), problem })
}

/// The `/metrics` page that is asked for, if any, and where it is from.
async fn metrics(args: &CostArgs) -> Result<Option<(String, String)>, TarnError> {
    if let Some(path) = &args.from_metrics {
        let text = if path.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
        let text = text.map_err(TarnError::io(format!("read {}", path.display())))?;
        return Ok(Some((path.display().to_string(), text)));
    }
    let Some(base) = &args.measured else { return Ok(None) };
    if !base.starts_with("http://") && !base.starts_with("https://") {
        return Err(TarnError::Argument { flag: "--measured", value: base.clone(), expected: "a URL such as http://127.0.0.1:3100".to_owned() });
    }
    let url = format!("{}/metrics", base.trim_end_matches('/').trim_end_matches("/metrics"));
    let unreachable = |source| TarnError::Unreachable { url: url.clone(), source: Box::new(source) };
    let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build().map_err(unreachable)?;
    let answer = client.get(&url).send().await.map_err(unreachable)?;
    let status = answer.status();
    let page = answer.text().await.map_err(unreachable)?;
    if !status.is_success() {
        return Err(TarnError::Refused { status, message: format!("{url} answered {status}") });
    }
    Ok(Some((url, page)))
}

fn plan(args: &CostArgs) -> Result<Plan, TarnError> {
    let gb_per_day = args.gb_per_day.unwrap_or_default();
    let positive = |flag: &'static str, value: f64, most: f64| {
        let expected = format!("a number above 0 and up to {most}");
        if value > 0.0 && value <= most { Ok(value) } else { Err(TarnError::Argument { flag, value: value.to_string(), expected }) }
    };
    let deployment = match args.deployment {
        CostDeployment::Lambda => Deployment::Lambda,
        CostDeployment::Knative => Deployment::Knative,
        CostDeployment::Vm => Deployment::Vm,
    };
    Ok(Plan {
        gb_per_day: positive("--gb-per-day", gb_per_day, 1e6)?,
        agents: positive("--agents", args.agents.into(), 1e9)?,
        push_interval_seconds: duration("--push-interval", &args.push_interval)?,
        retention_days: duration("--retention", &args.retention)? / DAY,
        queries_per_day: args.queries_per_day.into(),
        query_range_hours: duration("--query-range", &args.query_range)? / HOUR,
        query_share: positive("--query-share", args.query_share, 100.0)? / 100.0,
        tenants: positive("--tenants", args.tenants.into(), 1e9)?,
        deployment,
        store: StoreKind::S3,
        ingest_mb: positive("--ingest-memory", args.ingest_memory.into(), MOST_MB)?,
        query_mb: positive("--query-memory", args.query_memory.into(), MOST_MB)?,
        compactor_mb: positive("--compactor-memory", args.compactor_memory.into(), MOST_MB)?,
        compact_seconds: duration("--compact-interval", &args.compact_interval)?,
        flush_seconds: duration("--flush-interval", &args.flush_interval)?,
    })
}

/// Most memory of a function.
const MOST_MB: f64 = 10_240.0;

/// Seconds. For ever costs without end, so 0 is refused.
fn duration(flag: &'static str, text: &str) -> Result<f64, TarnError> {
    let found = parse_duration(text).filter(|duration| !duration.is_zero());
    let expected = "a duration above 0, such as 500ms, 10s, 1h or 30d".to_owned();
    found.map(|duration| duration.as_secs_f64()).ok_or_else(|| TarnError::Argument { flag, value: text.to_owned(), expected })
}

/// A bill and its knobs.
#[derive(Debug, Serialize)]
struct Estimate {
    plan: Plan,
    prices_as_of: String,
    prices_region: String,
    bill: Bill,
    by_cause: BTreeMap<&'static str, f64>,
    total: f64,
    per_gb: f64,
    savings: Vec<Saving>,
}

impl Estimate {
    fn of(plan: Plan, prices: &Prices) -> Self {
        let bill = bill(&plan, prices);
        let total = bill.total();
        let savings = knobs::savings(&plan, prices);
        let (prices_as_of, prices_region) = (prices.as_of.clone(), prices.region.clone());
        let by_cause = Cause::ALL.iter().map(|cause| (cause.as_str(), bill.of(*cause))).collect();
        Self { prices_as_of, prices_region, by_cause, per_gb: total / (plan.gb_per_day * DAYS), total, bill, savings, plan }
    }

    fn text(&self, prices: &Prices, paint: Paint) -> String {
        let plan = &self.plan;
        let name = match plan.deployment {
            Deployment::Lambda => "Lambda",
            Deployment::Knative => "Knative",
            Deployment::Vm => "a machine",
        };
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{} GB a day on {name}: agents: {}, a push every {}; {} kept; {} queries a day over {} that read {} % of it; tenants: {}",
            plan.gb_per_day,
            plan.agents,
            length(plan.push_interval_seconds),
            knobs::days(plan.retention_days),
            plan.queries_per_day,
            length(plan.query_range_hours * HOUR),
            plan.query_share * 100.0,
            plan.tenants,
        );
        head(&mut out, prices, paint);
        bill_text(&mut out, &self.bill, paint);
        let _ = writeln!(out, "{:<56}{:>14.2}", "total a month", self.total);
        let _ = writeln!(out, "{:<56}{:>14.3}", "per raw GB", self.per_gb);
        if self.savings.is_empty() {
            return out;
        }
        let _ = writeln!(out, "\n{}", paint.paint(DIM, &format!("{:<52}{:>9}{:>9}  {}", "each knob by itself", "saves $", "leaves $", "but")));
        for saving in &self.savings {
            let _ = writeln!(out, "{:<52}{:>9.2}{:>9.2}  {}", saving.what, saving.saves, saving.total, paint.paint(DIM, saving.but));
        }
        out
    }
}

fn head(out: &mut String, prices: &Prices, paint: Paint) {
    let text = format!("list prices of {} as of {}, a month of 30 days, no free tier", prices.region, prices.as_of);
    let _ = writeln!(out, "{}\n", paint.paint(DIM, &text));
    let _ = writeln!(out, "{}", paint.paint(DIM, &format!("{:<10}{:<32}{:>14}{:>14}", "", "", "a month", "$")));
}

fn bill_text(out: &mut String, bill: &Bill, paint: Paint) {
    for cause in Cause::ALL {
        let mut shown = cause.as_str();
        for item in bill.items.iter().filter(|item| item.cause == cause) {
            let amount = format!("{} {}", short(item.quantity), item.unit);
            let cause = paint.paint(CYAN, &format!("{shown:<10}"));
            let _ = writeln!(out, "{cause}{:<32}{:>14}{:>14.2}", item.what, amount.trim_end(), item.dollars);
            shown = "";
        }
    }
}

fn measured_text(report: &Report, prices: &Prices, paint: Paint) -> String {
    let measured = &report.measured;
    let mut out = String::new();
    let per_gb = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}"));
    let ratio = report.level0_ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
    let _ = writeln!(
        out,
        "measured over {}: {} pushes in {} objects, {} raw GB ({} GB a day), {} queries, {} failed requests",
        elapsed(measured.uptime_seconds),
        short(measured.pushes),
        short(measured.level0_objects),
        short(measured.raw_bytes / GB),
        short(report.gb_per_day),
        short(measured.queries),
        short(measured.errors),
    );
    let _ = writeln!(
        out,
        "stored bytes per raw byte as pushed: {ratio}; CPU-seconds per raw GB, everything together: {}; pushes per object: {:.1}",
        per_gb(report.cpu_seconds_per_gb),
        report.pushes_per_object
    );
    head(&mut out, prices, paint);
    bill_text(&mut out, &report.bill, paint);
    let _ = writeln!(out, "{:<56}{:>14.2}", "total a month, without machines", report.total);
    if report.raw_gb() > 0.0 {
        let _ = writeln!(out, "{:<56}{:>14.3}", "per raw GB", report.total / report.raw_gb());
    }
    for warning in &report.warnings {
        let _ = writeln!(out, "note: {warning}");
    }
    out
}

/// Three digits that matter, and thousands, millions, billions.
fn short(number: f64) -> String {
    let scaled = [(1e9, " G"), (1e6, " M"), (1e3, " k")].into_iter().find(|(least, _)| number >= *least);
    let (value, unit) = scaled.map_or((number, ""), |(least, unit)| (number / least, unit));
    let whole = unit.is_empty() && value.fract() == 0.0;
    let digits = match value {
        _ if whole => 0,
        100.0.. => 0,
        10.0.. => 1,
        0.1.. => 2,
        _ => 4,
    };
    format!("{value:.digits$}{unit}")
}

fn elapsed(seconds: f64) -> String {
    if seconds >= 2.0 * DAY {
        format!("{:.1} days", seconds / DAY)
    } else if seconds >= 2.0 * HOUR {
        format!("{:.1} hours", seconds / HOUR)
    } else {
        format!("{seconds:.0} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0"),
            (5.0, "5"),
            (0.0123, "0.0123"),
            (0.5, "0.50"),
            (12.34, "12.3"),
            (720.0, "720"),
            (999.4, "999"),
            (5_184_000.0, "5.18 M"),
            (3.1e9, "3.10 G"),
        ] {
            assert_eq!(short(number), text, "{number}");
        }
    }

    #[test]
    fn durations_that_cost_without_end_are_refused() {
        for text in ["0", "", "5", "-1s"] {
            assert!(duration("--retention", text).unwrap_err().to_string().starts_with(&format!("--retention '{text}' is not a duration above 0")));
        }
        assert!((duration("--retention", "30d").unwrap() - 2_592_000.0).abs() < 1e-9);
    }
}
