//! The stages of a pipeline, each with a program and a line from the input.
//! An input is text that an editor can show: its parts are separated by the byte 0x1e.

pub mod json;
pub mod label_filter;
pub mod labels;
pub mod line_filters;
pub mod logfmt;
pub mod pattern;
pub mod patterns;
pub mod pipeline;
pub mod regexp;
pub mod template;

use std::borrow::Cow;
use std::sync::Arc;

use logql::ast;
use query_fn::labels::{Category, LabelRef, LabelsView, RowLabels, encode_sorted};
use query_fn::pipeline::{NeededLabels, Row, Stage, Verdict, build};

/// When every row was written, and what templates call now.
const NOW: i64 = 1_793_491_200_123_456_789;

/// The labels of a row, in name order.
type Labels = Vec<(Category, String, String)>;

/// What a row has become.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    kept: bool,
    line: Vec<u8>,
    labels: Labels,
}

impl Outcome {
    fn get(&self, name: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(_, known, _)| known.as_str().cmp(name)).ok()?;
        self.labels.get(at).map(|(_, _, value)| value.as_str())
    }

    fn has_error(&self) -> bool {
        self.get("__error__").is_some_and(|kind| !kind.is_empty())
    }
}

/// The parts of an input; what is not there is empty.
fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut parts = data.splitn(N, |&byte| byte == 0x1e);
    std::array::from_fn(|_| parts.next().unwrap_or(&[]))
}

fn text(part: &[u8]) -> Option<&str> {
    std::str::from_utf8(part).ok()
}

/// Two labels of the stream and one of the metadata, for parsed labels to collide with.
fn base() -> Labels {
    let label = |category, name: &str, value: &str| (category, name.to_owned(), value.to_owned());
    vec![label(Category::Stream, "app", "x"), label(Category::Stream, "env", "prod"), label(Category::Metadata, "trace_id", "4bf92f3577b34da6")]
}

fn encode(labels: &Labels) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_sorted(labels.iter().map(|(category, name, value)| LabelRef { category: *category, name, value }), &mut bytes);
    bytes
}

/// A compiled stage, or nothing where the program is wrong, which must say why.
fn compile(stage: &ast::Stage, needed: &NeededLabels) -> Option<Arc<dyn Stage>> {
    match build(stage, needed, NOW) {
        Ok(stage) => Some(stage),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// Runs stages twice, on a fresh row and on one that has just had other labels; both must come to the same.
fn run(stages: &[Arc<dyn Stage>], labels: &Labels, line: &[u8]) -> Outcome {
    let bytes = encode(labels);
    let view = LabelsView::decode(&bytes).expect("what was encoded decodes");
    let mut row = Row { timestamp: NOW, line: Cow::Borrowed(line), labels: RowLabels::new(&view) };
    let outcome = apply(stages, &mut row);
    let other = LabelsView::default();
    let mut row = Row { timestamp: NOW, line: Cow::Borrowed(line), labels: RowLabels::new(&other) };
    row.labels.set(Category::Parsed, "left", "over");
    row.labels.reset(&view);
    assert_eq!(apply(stages, &mut row), outcome, "a row that is used again");
    outcome
}

fn apply(stages: &[Arc<dyn Stage>], row: &mut Row<'_>) -> Outcome {
    let kept = stages.iter().all(|stage| stage.apply(row) == Verdict::Keep);
    let labels: Labels = row.labels.sorted().iter().map(|label| (label.category, label.name.to_owned(), label.value.to_owned())).collect();
    assert!(labels.iter().zip(labels.iter().skip(1)).all(|((_, a, _), (_, b, _))| a < b), "labels are in name order and unique: {labels:?}");
    let mut encoded = Vec::new();
    row.labels.encode(&mut encoded);
    assert_eq!(encoded, encode(&labels));
    let decoded = LabelsView::decode(&encoded).expect("what was encoded decodes");
    assert!(decoded.iter().eq(labels.iter().map(|(category, name, value)| LabelRef { category: *category, name, value })));
    for (category, name, value) in &labels {
        assert_eq!(row.labels.get(name), Some(LabelRef { category: *category, name, value }));
    }
    Outcome { kept, line: row.line.to_vec(), labels }
}

/// Each label that the stage extracts is extracted with the same value when it is the only one that is needed.
fn check_needed(stage: &ast::Stage, line: &[u8], whole: &Outcome) {
    for (_, name, value) in whole.labels.iter().filter(|(category, _, _)| *category == Category::Parsed).take(8) {
        let needed = NeededLabels::Only([name.clone()].into());
        let Some(only) = compile(stage, &needed) else { panic!("the stage compiles whatever is needed of it") };
        let alone = run(&[only], &base(), line);
        assert_eq!(alone.get(name), Some(value.as_str()), "{name} alone, of {stage}");
    }
}

/// What Loki puts in the place of text that a label cannot hold.
fn cleaned(text: &str) -> String {
    text.replace('\u{fffd}', " ")
}
