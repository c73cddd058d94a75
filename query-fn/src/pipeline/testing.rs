//! Runs one stage on one row, text in, text out.

use std::borrow::Cow;

use schema::LabelSet;

use super::{NeededLabels, Row, Stage, Verdict};
use crate::labels::{Category, LabelRef, LabelsView, RowLabels, encode_sorted};

/// `stage` on `line` with these stream labels: the labels afterwards as `name=value` in name order, then `| line` where the
/// line changed, or `dropped`.
pub(crate) fn run(stage: &dyn Stage, stream: &str, line: &str) -> String {
    run_with_metadata(stage, stream, &[], line)
}

/// The same with structured metadata.
pub(crate) fn run_with_metadata(stage: &dyn Stage, stream: &str, metadata: &[(&str, &str)], line: &str) -> String {
    run_all(&[stage], stream, metadata, line.as_bytes())
}

/// Several stages in order.
pub(crate) fn run_all(stages: &[&dyn Stage], stream: &str, metadata: &[(&str, &str)], line: &[u8]) -> String {
    let stream = LabelSet::parse(stream).unwrap();
    let mut base: Vec<LabelRef<'_>> = stream.iter().map(|(name, value)| LabelRef { category: Category::Stream, name, value }).collect();
    base.extend(metadata.iter().map(|&(name, value)| LabelRef { category: Category::Metadata, name, value }));
    base.sort_by_key(|label| label.name);
    let mut bytes = Vec::new();
    encode_sorted(base, &mut bytes);
    let view = LabelsView::decode(&bytes).unwrap();
    let mut row = Row { timestamp: 1_700_000_000_123_456_789, line: Cow::Borrowed(line), labels: RowLabels::new(&view) };
    if stages.iter().any(|stage| stage.apply(&mut row) == Verdict::Drop) {
        return "dropped".to_owned();
    }
    let labels: Vec<String> = row.labels.sorted().iter().map(|label| format!("{}={}", label.name, label.value)).collect();
    let labels = labels.join(" ");
    if *row.line == *line { labels } else { format!("{labels} | {}", String::from_utf8_lossy(&row.line)) }
}

/// A parser that is told which labels are needed.
pub(crate) fn run_needed<S: Stage>(new: impl Fn(NeededLabels) -> S, needed: &[&str], stream: &str, line: &str) -> String {
    run(&new(NeededLabels::Only(needed.iter().map(|&name| name.to_owned()).collect())), stream, line)
}
