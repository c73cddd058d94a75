//! `tarn verify`: reads all of a store and tells what is wrong with it.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use compactor::verify::{VerifyProgress, VerifyReport};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::output::RED;
use super::store_target::{Paint, StoreTarget, counted, print, print_json};
use crate::args::VerifyArgs;
use crate::error::TarnError;

/// Runs the command. The exit code is 1 if anything is wrong.
pub(super) async fn run(args: VerifyArgs) -> Result<ExitCode, TarnError> {
    let target = StoreTarget::open(&args.target).await?;
    let bar = progress_bar();
    let mut tell = |progress: VerifyProgress<'_>| {
        bar.set_length(progress.total);
        bar.set_position(progress.objects);
        bar.set_message(format!("objects of tenant {}, {} read", progress.tenant, HumanBytes(progress.bytes)));
    };
    let report = compactor::verify::verify(&target.client, &target.env, target.tenant.as_ref(), &mut tell).await;
    bar.finish_and_clear();
    let report = report.map_err(|source| target.failed(source))?;
    if args.json {
        print_json(&report)?;
    } else {
        print(&text(&report, Paint::stdout()))?;
    }
    Ok(if report.problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn text(report: &VerifyReport, paint: Paint) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let _ = writeln!(out, "{}\n  {}", finding.object, paint.paint(RED, &finding.problem));
    }
    let left_out = report.problems.saturating_sub(u64::try_from(report.findings.len()).unwrap_or(u64::MAX));
    if left_out > 0 {
        let _ = writeln!(out, "and {} more", HumanCount(left_out));
    }
    let _ = writeln!(
        out,
        "read {} of {} in {} and {}",
        HumanBytes(report.bytes),
        counted(report.rows, "row", "rows"),
        counted(report.chunks, "chunk", "chunks"),
        counted(report.manifests, "day manifest", "day manifests"),
    );
    if report.orphans > 0 {
        let _ = writeln!(out, "{} no manifest speaks of, left to garbage collection", counted(report.orphans, "object that", "objects that"));
    }
    match report.problems {
        0 => out.push_str("everything is as it should be\n"),
        problems => {
            let _ = writeln!(out, "{}", paint.paint(RED, &counted(problems, "thing is wrong", "things are wrong")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use compactor::verify::Finding;

    #[test]
    fn findings_come_first_and_the_sum_last() {
        let sound = VerifyReport { tenants: 1, manifests: 1, chunks: 2, rows: 1, bytes: 1024, orphans: 2, ..VerifyReport::default() };
        assert_eq!(
            text(&sound, Paint::stdout()),
            "read 1.00 KiB of 1 row in 2 chunks and 1 day manifest\n2 objects that no manifest speaks of, left to garbage collection\neverything is as it should be\n"
        );
        let finding = Finding { object: "t=a/l0/x".to_owned(), problem: "it is gone".to_owned() };
        let damaged = VerifyReport { problems: 3, orphans: 0, findings: vec![finding], ..sound };
        assert_eq!(
            text(&damaged, Paint::stdout()),
            "t=a/l0/x\n  it is gone\nand 2 more\nread 1.00 KiB of 1 row in 2 chunks and 1 day manifest\n3 things are wrong\n"
        );
    }
}
