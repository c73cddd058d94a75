//! `tarn inspect`: what a store holds.

use std::fmt::Write as _;

use compactor::inspect::{Inspection, LabelInspection, LevelInspection, TenantInspection, Waiting};
use indicatif::{HumanBytes, HumanCount};
use schema::Timestamp;
use schema::quote::quote;

use super::output::{CYAN, DIM, YELLOW};
use super::store_target::{Paint, StoreTarget, counted, print, print_json, spinner};
use super::time;
use crate::args::InspectArgs;
use crate::error::TarnError;

/// So many small chunks are a sign that nobody compacts.
const LARGE_BACKLOG: u64 = store::snapshot::LEVEL0_BACKLOG;
/// Values of a label that are printed; all are in the JSON.
const PRINTED_VALUES: usize = 5;
/// Longer values are cut.
const VALUE_CHARS: usize = 60;

/// Runs the command.
pub(super) async fn run(args: InspectArgs) -> Result<(), TarnError> {
    let target = StoreTarget::open(&args.target).await?;
    let bar = spinner("looking at names, manifests and footers");
    let found = compactor::inspect::inspect(&target.client, &target.env, target.tenant.as_ref()).await;
    bar.finish_and_clear();
    let found = found.map_err(|source| target.failed(source))?;
    if args.json {
        return print_json(&found);
    }
    print(&text(&found, Paint::stdout()))
}

fn text(found: &Inspection, paint: Paint) -> String {
    let mut out = String::new();
    if found.tenants.is_empty() {
        out.push_str("the store has no tenants\n");
    }
    for (index, tenant) in found.tenants.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        tenant_text(&mut out, tenant, paint);
    }
    out
}

fn tenant_text(out: &mut String, found: &TenantInspection, paint: Paint) {
    let days = match (&found.first_day, &found.last_day) {
        (Some(first), Some(last)) => format!("{} from {first} to {last}", counted(found.days, "compacted day", "compacted days")),
        _ => "nothing compacted yet".to_owned(),
    };
    let _ = writeln!(out, "tenant {}  {}, {days}", paint.paint(CYAN, &found.tenant), counted(found.streams, "stream", "streams"));
    let _ = writeln!(out, "  {}", paint.paint(DIM, &format!("{:<8}{:>10}{:>13}{:>16}{:>13}{:>8}", "", "objects", "stored", "rows", "lines", "ratio")));
    let levels = &found.levels;
    for (name, level) in [("level 0", &levels.level0), ("hours", &levels.hours), ("days", &levels.days), ("total", &found.total)] {
        let _ = writeln!(out, "  {}", level_line(name, level));
    }
    if let Some(oldest) = found.oldest_waiting_row {
        let waiting = format!("{} for compaction, the oldest row is of {}", counted(levels.level0.objects, "chunk waits", "chunks wait"), at(oldest));
        let _ = writeln!(out, "  {}", if levels.level0.objects >= LARGE_BACKLOG { paint.paint(YELLOW, &waiting) } else { waiting });
    }
    for (what, objects) in [("compacted chunks of level 0", &found.consumed), ("replaced chunks", &found.replaced)] {
        if objects.objects > 0 {
            let _ = writeln!(out, "  {what} that wait for their deletion: {}", waiting_text(objects));
        }
    }
    if let Some(oldest) = found.oldest_orphan {
        let _ = writeln!(out, "  objects of running or abandoned jobs: {}, the oldest of {}", waiting_text(&found.orphans), at(oldest));
    }
    if found.deletes_pending > 0 {
        let _ = writeln!(out, "  {}", counted(found.deletes_pending, "delete request is pending", "delete requests are pending"));
    }
    for label in &found.labels {
        let _ = writeln!(out, "  {}", label_line(label, paint));
    }
}

fn level_line(name: &str, level: &LevelInspection) -> String {
    let ratio = if level.line_bytes == 0 { "-".to_owned() } else { format!("{:.3}", level.ratio) };
    format!(
        "{name:<8}{:>10}{:>13}{:>16}{:>13}{ratio:>8}",
        HumanCount(level.objects).to_string(),
        HumanBytes(level.stored_bytes).to_string(),
        HumanCount(level.rows).to_string(),
        HumanBytes(level.line_bytes).to_string()
    )
}

fn waiting_text(objects: &Waiting) -> String {
    format!("{} ({})", counted(objects.objects, "object", "objects"), HumanBytes(objects.stored_bytes))
}

fn label_line(label: &LabelInspection, paint: Paint) -> String {
    let values: Vec<String> =
        label.largest.iter().take(PRINTED_VALUES).map(|value| format!("{} {}", short(&value.value), HumanBytes(value.line_bytes))).collect();
    let more = if label.approximate { "more than " } else { "" };
    format!("{}  {more}{}: {}", paint.paint(CYAN, &label.name), counted(label.values, "value", "values"), values.join(", "))
}

/// A value as LogQL writes it, which also keeps control characters from the terminal.
fn short(value: &str) -> String {
    if value.chars().count() <= VALUE_CHARS {
        return quote(value);
    }
    quote(&value.chars().take(VALUE_CHARS).collect::<String>()) + "..."
}

fn at(nanos: i64) -> String {
    time::format(Timestamp(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use compactor::inspect::{Levels, ValueInspection};

    #[test]
    fn a_tenant_in_columns() {
        let level = |objects, stored_bytes, rows, line_bytes, ratio| LevelInspection { objects, stored_bytes, rows, line_bytes, ratio };
        let tenant = TenantInspection {
            tenant: "team-a".to_owned(),
            days: 2,
            first_day: Some("2026-11-01".to_owned()),
            last_day: Some("2026-11-02".to_owned()),
            levels: Levels { level0: level(1, 2048, 10, 4096, 0.5), hours: LevelInspection::default(), days: level(3, 3 << 20, 123_456, 30 << 20, 0.1) },
            total: level(4, (3 << 20) + 2048, 123_466, (30 << 20) + 4096, 0.1),
            streams: 7,
            labels: vec![LabelInspection {
                name: "app".to_owned(),
                values: 2,
                approximate: false,
                largest: vec![ValueInspection { value: "a\u{1b}".to_owned(), rows: 3, line_bytes: 2048 }],
            }],
            oldest_waiting_row: Some(1_700_000_000_000_000_000),
            replaced: Waiting { objects: 2, stored_bytes: 1024 },
            deletes_pending: 1,
            ..TenantInspection::default()
        };
        let shown = text(&Inspection { at: 0, tenants: vec![tenant] }, Paint::stdout());
        assert_eq!(
            shown,
            "tenant team-a  7 streams, 2 compacted days from 2026-11-01 to 2026-11-02\n\
             \x20            objects       stored            rows        lines   ratio\n\
             \x20 level 0          1     2.00 KiB              10     4.00 KiB   0.500\n\
             \x20 hours            0          0 B               0          0 B       -\n\
             \x20 days             3     3.00 MiB         123,456    30.00 MiB   0.100\n\
             \x20 total            4     3.00 MiB         123,466    30.00 MiB   0.100\n\
             \x20 1 chunk waits for compaction, the oldest row is of 2023-11-14T22:13:20Z\n\
             \x20 replaced chunks that wait for their deletion: 2 objects (1.00 KiB)\n\
             \x20 1 delete request is pending\n\
             \x20 app  2 values: \"a\\x1b\" 2.00 KiB\n"
        );
        assert_eq!(text(&Inspection::default(), Paint::stdout()), "the store has no tenants\n");
    }
}
