//! Lines that are only counted are counted without being read, minute by minute.

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use logql::ast::RangeOp;

use crate::logical::{LineColumn, RangeAggregate, StreamScan, TenantUnion, Windows, node_of, plan};
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
        let Some(input) = counted(&range.input, range.function.windows())? else { return Ok(Transformed::no(node)) };
        Ok(Transformed::yes(plan(RangeAggregate::new(input, range.function.clone())?)))
    }
}

/// `node` with counts in its scans; `None` where they are there already or something does not fit. Of several tenants all are counted or none.
fn counted(node: &LogicalPlan, windows: Windows) -> Result<Option<LogicalPlan>> {
    if let Some(union) = node_of::<TenantUnion>(node) {
        let inputs = union.inputs.iter().map(|input| counted(input, windows)).collect::<Result<Option<Vec<_>>>>()?;
        return Ok(inputs.filter(|inputs| !inputs.is_empty()).map(|inputs| plan(union.with_inputs(inputs))));
    }
    match node_of::<StreamScan>(node).filter(|scan| scan.counts.is_none() && hands_on_no_row(scan)) {
        Some(scan) => Ok(Some(plan(scan.with_counts(windows)?))),
        None => Ok(None),
    }
}

const fn counts(op: RangeOp) -> bool {
    matches!(op, RangeOp::CountOverTime | RangeOp::Rate | RangeOp::BytesOverTime | RangeOp::BytesRate)
}

/// Whether a number of rows can stand for the rows. Where all labels are needed metadata is, and counts know none.
fn hands_on_no_row(scan: &StreamScan) -> bool {
    scan.filters.is_empty() && scan.line != LineColumn::Text && !scan.position && scan.stop.is_none() && matches!(scan.labels, NeededLabels::Only(_))
}
