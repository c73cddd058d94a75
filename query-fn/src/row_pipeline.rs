//! The pipeline of a log query as a function from one stored row to one row of an answer, or to none.
//! Owns: the order in which line filters and stages see a row that is looked at by itself, outside of a plan.
//! Must not know: which streams the query selects, where rows are, Arrow, plans, HTTP.

use std::borrow::Cow;
use std::sync::Arc;

use logql::ast;

use crate::QueryError;
use crate::labels::{LabelsView, RowLabels};
use crate::line_filter::{LineFilterStage, LineMatcher};
use crate::pipeline::{self, NeededLabels, Row, Stage, Verdict};

/// Compiled line filters and stages.
#[derive(Debug)]
pub(crate) struct RowPipeline {
    /// Line filters that see the line as it was stored, whatever stands before them: they are the cheapest to ask.
    lines: LineMatcher,
    /// What else the pipeline holds, in the order written.
    stages: Vec<Arc<dyn Stage>>,
}

impl RowPipeline {
    /// Compiles the stages of a log query. `now` is what templates call now, in nanoseconds since the epoch.
    /// Errors: a stage that is wrong in itself.
    pub(crate) fn compile(written: Vec<ast::Stage>, now: i64) -> Result<Self, QueryError> {
        let (mut filters, mut stages) = (Vec::new(), Vec::new());
        let mut line_is_stored = true;
        for stage in written {
            line_is_stored = line_is_stored && keeps_line(&stage);
            match stage {
                ast::Stage::LineFilter(filter) if line_is_stored => filters.push(filter),
                ast::Stage::LineFilter(filter) => stages.push(Arc::new(LineFilterStage(LineMatcher::compile(&[filter])?)) as Arc<dyn Stage>),
                stage => stages.push(pipeline::build(&stage, &NeededLabels::All, now)?),
            }
        }
        Ok(Self { lines: LineMatcher::compile(&filters)?, stages })
    }

    /// The filters that see the stored line.
    pub(crate) const fn lines(&self) -> &LineMatcher {
        &self.lines
    }

    /// The other stages.
    pub(crate) fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.stages
    }

    /// A row whose line passes [`Self::lines`], after the stages; `None` when one of them drops it.
    pub(crate) fn run_stages<'a>(&self, timestamp: i64, line: &'a [u8], labels: &'a LabelsView<'a>) -> Option<Row<'a>> {
        let mut row = Row { timestamp, line: Cow::Borrowed(line), labels: RowLabels::new(labels) };
        self.stages.iter().all(|stage| stage.apply(&mut row) == Verdict::Keep).then_some(row)
    }
}

/// Whether the line after the stage is the line before it.
const fn keeps_line(stage: &ast::Stage) -> bool {
    !matches!(stage, ast::Stage::Unpack | ast::Stage::Decolorize | ast::Stage::LineFormat(_))
}
