//! A line filter as a step of a pipeline, for filters that stand after a stage that changes the line.

use super::LineMatcher;
use crate::pipeline::{Row, Stage, Verdict};

/// Drops rows whose line, as it is at this point, does not pass.
#[derive(Debug)]
pub struct LineFilterStage(pub LineMatcher);

impl Stage for LineFilterStage {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        if self.0.matches(&row.line) { Verdict::Keep } else { Verdict::Drop }
    }

    fn reads_only_labels(&self) -> bool {
        false
    }
}
