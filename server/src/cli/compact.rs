//! `tarn compact --once`: one run of the compactor over a store.

use std::fmt::Write as _;
use std::process::ExitCode;

use compactor::RunReport;
use indicatif::HumanBytes;

use super::output::{CYAN, RED, YELLOW};
use super::store_target::{Paint, StoreTarget, counted, print, print_json, spinner};
use crate::args::CompactArgs;
use crate::compaction::{Compaction, add};
use crate::error::TarnError;

/// Runs the command. The exit code is 1 if a tenant failed.
pub(super) async fn run(args: CompactArgs) -> Result<ExitCode, TarnError> {
    let target = StoreTarget::open(&args.target).await?;
    let compaction = Compaction::new(&target.client, &target.env, &target.config.compactor);
    let bar = spinner("compacting");
    let (mut reports, mut total, mut failed) = (Vec::new(), RunReport::default(), 0);
    let outcome = compaction
        .run(target.tenant.as_ref(), None, &mut |run| {
            match &run.result {
                Ok(report) => {
                    add(&mut total, report);
                    bar.set_message(format!("compacting: {} and {} so far", counted(total.tenants, "tenant", "tenants"), counted(total.jobs, "job", "jobs")));
                }
                Err(_) => failed += 1,
            }
            reports.push(run);
        })
        .await;
    bar.finish_and_clear();
    outcome.map_err(|source| TarnError::Compaction { source: Box::new(source) })?;
    if args.json {
        let tenants: serde_json::Map<String, serde_json::Value> = reports
            .iter()
            .map(|run| {
                let value = match &run.result {
                    Ok(report) => serde_json::to_value(report).unwrap_or_default(),
                    Err(error) => serde_json::json!({"error": error.to_string()}),
                };
                (run.tenant.to_string(), value)
            })
            .collect();
        print_json(&serde_json::json!({"total": total, "tenants": tenants}))?;
    } else {
        let paint = Paint::stdout();
        let mut out = String::new();
        for run in &reports {
            let _ = writeln!(out, "tenant {}", paint.paint(CYAN, run.tenant.as_str()));
            match &run.result {
                Ok(report) => out.push_str(&text(report, paint)),
                Err(error) => {
                    let _ = writeln!(out, "  {}", paint.paint(RED, &format!("failed: {error}")));
                }
            }
        }
        if reports.is_empty() {
            out.push_str("the store has no tenants\n");
        }
        print(&out)?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(report: &RunReport, paint: Paint) -> String {
    let mut lines = Vec::new();
    if report.jobs == 0 {
        lines.push("nothing to merge".to_owned());
    } else {
        lines.push(format!(
            "{} merged {} ({}) into {} ({}, {})",
            counted(report.jobs, "job", "jobs"),
            counted(report.rows_read, "row", "rows"),
            HumanBytes(report.bytes_read),
            counted(report.objects_written, "object", "objects"),
            HumanBytes(report.bytes_written),
            counted(report.rows_written, "row", "rows"),
        ));
    }
    for (count, one, many) in [
        (report.duplicates, "row was a copy of another", "rows were copies of others"),
        (report.rows_expired, "row was too old", "rows were too old"),
        (report.rows_deleted, "row was deleted on request", "rows were deleted on request"),
        (report.objects_expired, "object was too old as a whole", "objects were too old as a whole"),
        (report.objects_deleted, "object was removed after its grace period", "objects were removed after their grace period"),
        (report.orphans, "object of an abandoned job was found", "objects of abandoned jobs were found"),
        (report.deletes_processed, "delete request was carried out", "delete requests were carried out"),
        (report.deletes_pending, "delete request is pending", "delete requests are pending"),
        (report.level0_backlog, "small chunk waits for more, or for its rest", "small chunks wait for more, or for their rest"),
        (report.conflicts, "commit lost a race against another compactor", "commits lost a race against another compactor"),
    ] {
        if count > 0 {
            lines.push(counted(count, one, many));
        }
    }
    if report.out_of_time {
        lines.push(paint.paint(YELLOW, "there is more to do than one run may take: run it again"));
    }
    lines.iter().fold(String::new(), |out, line| out + "  " + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_what_happened_and_nothing_else() {
        let nothing = RunReport { tenants: 1, ..RunReport::default() };
        assert_eq!(text(&nothing, Paint::stdout()), "  nothing to merge\n");
        let report = RunReport {
            jobs: 1,
            rows_read: 12_000,
            bytes_read: 4 << 20,
            objects_written: 2,
            bytes_written: 1 << 20,
            rows_written: 11_999,
            duplicates: 1,
            level0_backlog: 3,
            ..nothing
        };
        assert_eq!(
            text(&report, Paint::stdout()),
            "  1 job merged 12,000 rows (4.00 MiB) into 2 objects (1.00 MiB, 11,999 rows)\n  1 row was a copy of another\n  3 small chunks wait for more, or for their rest\n"
        );
    }
}
