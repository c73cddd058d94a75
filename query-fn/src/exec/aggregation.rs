//! Which rows and samples belong together.

use std::cmp::Ordering;
use std::collections::HashMap;

use logql::ast::{Grouping, GroupingKind};
use schema::LabelSet;

use crate::QueryError;
use crate::labels::{Category, ERROR_LABEL, LabelRef, LabelsView, encode_sorted};

/// Set on a row whose error the query asks to keep.
const PRESERVE_ERROR_LABEL: &str = "__preserve_error__";

/// Appends the encoding of what `labels` has in common with its group: all labels without a grouping. Labels with an empty
/// value are left out: in a series they are the same as no label. Where a label came from does not matter.
pub(super) fn encode_group(labels: &LabelsView<'_>, grouping: Option<&Grouping>, out: &mut Vec<u8>) {
    let kept = |name: &str| match grouping {
        None => true,
        Some(Grouping { kind, labels }) => labels.iter().any(|label| label == name) == (*kind == GroupingKind::By),
    };
    let labels = labels.iter().filter(|label| !label.value.is_empty() && kept(label.name));
    encode_sorted(labels.map(|label| LabelRef { category: Category::Stream, ..label }), out);
}

/// Series by their encoded labels, numbered in the order of their first row.
#[derive(Debug, Default)]
pub(super) struct SeriesIndex {
    by_labels: HashMap<Box<[u8]>, usize>,
    labels: Vec<Box<[u8]>>,
}

impl SeriesIndex {
    /// The number of the series with these labels, and whether it is new.
    pub(super) fn number(&mut self, encoded: &[u8]) -> (usize, bool) {
        if let Some(&number) = self.by_labels.get(encoded) {
            return (number, false);
        }
        let number = self.labels.len();
        self.by_labels.insert(encoded.into(), number);
        self.labels.push(encoded.into());
        (number, true)
    }

    /// Encoded labels of all series, by number.
    pub(super) fn into_labels(self) -> Vec<Box<[u8]>> {
        self.labels
    }
}

/// Compares encoded sets label by label, names before values.
pub(super) fn in_label_order(a: &[u8], b: &[u8]) -> Ordering {
    match (LabelsView::decode(a), LabelsView::decode(b)) {
        (Ok(a), Ok(b)) => a.iter().map(|label| (label.name, label.value)).cmp(b.iter().map(|label| (label.name, label.value))),
        _ => a.cmp(b),
    }
}

/// A row with an error fails a metric query (spec/logql.md section 3.13).
pub(super) fn refuse_errors(labels: &LabelsView<'_>) -> Result<(), QueryError> {
    match labels.get(ERROR_LABEL) {
        Some(error) if !error.value.is_empty() && labels.get(PRESERVE_ERROR_LABEL).is_none() => {
            Err(QueryError::Pipeline { kind: error.value.to_owned(), series: label_set(labels)?.to_string() })
        }
        _ => Ok(()),
    }
}

/// `labels` as a label set.
pub(crate) fn label_set(labels: &LabelsView<'_>) -> Result<LabelSet, QueryError> {
    LabelSet::from_pairs(labels.iter().map(|label| (label.name, label.value)))
        .map_err(|duplicate| QueryError::Internal { invariant: format!("encoded label sets have unique names: {duplicate}") })
}
