//! Which minutes of a stream are taken from the counts of its manifest instead of being read. Pure.

use std::collections::{BTreeMap, HashMap};

use schema::LabelSet;

use super::aggregation::label_set;
use super::rows::reads_metadata;
use super::units::Minute;
use crate::QueryError;
use crate::labels::{LabelsView, encode_row};
use crate::logical::Windows;
use crate::pipeline::NeededLabels;

/// Rows that lie in the same windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountedRows {
    /// The time of one of them, about: what lies in the same windows.
    pub(crate) timestamp: i64,
    /// How many.
    pub(crate) rows: u64,
    /// Bytes of their lines.
    pub(crate) bytes: u64,
}

/// Counted rows with the same labels.
#[derive(Clone, Debug)]
pub(crate) struct CountedSeries {
    /// The labels as a labels column holds them.
    encoded: Box<[u8]>,
    /// At least one.
    pub(crate) samples: Vec<CountedRows>,
}

impl CountedSeries {
    pub(crate) fn new(labels: &LabelSet, samples: Vec<CountedRows>) -> Self {
        let mut encoded = Vec::new();
        encode_row(labels, &[], &NeededLabels::All, &mut encoded);
        Self { encoded: encoded.into(), samples }
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    pub(crate) fn labels(&self) -> Result<LabelSet, QueryError> {
        label_set(&LabelsView::decode(&self.encoded)?)
    }
}

/// Adds up the minutes that need not be read: one sum for each set of needed labels and set of windows.
#[derive(Debug)]
pub(crate) struct MinuteCounter {
    windows: Windows,
    needed: NeededLabels,
    places: HashMap<Box<[u8]>, usize>,
    /// By the first step and the step after the last.
    series: Vec<BTreeMap<(usize, usize), CountedRows>>,
    encoded: Vec<u8>,
}

impl MinuteCounter {
    pub(crate) fn new(windows: Windows, needed: NeededLabels) -> Self {
        Self { windows, needed, places: HashMap::new(), series: Vec::new(), encoded: Vec::new() }
    }

    /// A counter for minutes of a stream; `None` where a label that is needed may come from a row.
    pub(super) fn of_stream(&mut self, labels: &LabelSet) -> Option<StreamCounter<'_>> {
        if reads_metadata(labels, &self.needed) {
            return None;
        }
        self.encoded.clear();
        encode_row(labels, &[], &self.needed, &mut self.encoded);
        let place = match self.places.get(self.encoded.as_slice()) {
            Some(&place) => place,
            None => {
                self.places.insert(self.encoded.as_slice().into(), self.series.len());
                self.series.push(BTreeMap::new());
                self.series.len() - 1
            }
        };
        self.series.get_mut(place).map(|samples| StreamCounter { windows: self.windows, samples })
    }

    /// What was counted, in the order of the streams.
    pub(crate) fn finish(self) -> Vec<CountedSeries> {
        let mut labels: Vec<(Box<[u8]>, usize)> = self.places.into_iter().collect();
        labels.sort_unstable_by_key(|(_, place)| *place);
        let series = labels.into_iter().zip(self.series);
        let series = series.map(|((encoded, _), samples)| CountedSeries { encoded, samples: samples.into_values().collect() });
        series.filter(|series| !series.samples.is_empty()).collect()
    }
}

/// Counts for one stream of one chunk.
#[derive(Debug)]
pub(super) struct StreamCounter<'a> {
    windows: Windows,
    samples: &'a mut BTreeMap<(usize, usize), CountedRows>,
}

impl StreamCounter<'_> {
    /// Whether the minute need not be read: no window begins or ends inside it, and each of its rows is to be counted, since no other
    /// chunk may have copies and no delete may hide any (else it is `uncertain`). Then it is counted, if a window holds it.
    pub(super) fn takes(&mut self, minute: &Minute, uncertain: bool) -> bool {
        let Some(steps) = self.windows.steps_of_all(minute.min, minute.max) else { return false };
        if steps.is_empty() {
            return true;
        }
        if uncertain || !minute.whole {
            return false;
        }
        let sum = self.samples.entry((steps.start, steps.end)).or_insert(CountedRows { timestamp: minute.max, rows: 0, bytes: 0 });
        sum.rows = sum.rows.saturating_add(minute.rows.end.saturating_sub(minute.rows.start));
        sum.bytes = sum.bytes.saturating_add(minute.bytes);
        true
    }
}
