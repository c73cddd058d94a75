//! Lines that are only counted are counted without being read, minute by minute.

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use logql::ast::RangeOp;

use crate::logical::{LineColumn, RangeAggregate, StreamScan, node_of, plan};
use crate::pipeline::NeededLabels;

/// Tells a scan under a function that counts lines or bytes which windows it counts for. Nothing may lie in between: a stage
/// could drop rows, and a row of a count has no line and no metadata that it could look at.
#[derive(Debug)]
pub(super) struct CountByMinute;

impl OptimizerRule for CountByMinute {
    fn name(&self) -> &str {
        "minute_counts"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, node: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let Some(range) = node_of::<RangeAggregate>(&node).filter(|range| !range.function.unwrapped && counts(range.function.op)) else {
            return Ok(Transformed::no(node));
        };
        let Some(scan) = node_of::<StreamScan>(&range.input).filter(|scan| scan.counts.is_none() && hands_on_no_row(scan)) else {
            return Ok(Transformed::no(node));
        };
        let input = plan(scan.with_counts(range.function.windows())?);
        Ok(Transformed::yes(plan(RangeAggregate::new(input, range.function.clone())?)))
    }
}

const fn counts(op: RangeOp) -> bool {
    matches!(op, RangeOp::CountOverTime | RangeOp::Rate | RangeOp::BytesOverTime | RangeOp::BytesRate)
}

/// Whether a number of rows can stand for the rows. Where all labels are needed metadata is, and counts know none.
fn hands_on_no_row(scan: &StreamScan) -> bool {
    scan.filters.is_empty() && scan.line != LineColumn::Text && !scan.position && scan.stop.is_none() && matches!(scan.labels, NeededLabels::Only(_))
}
