//! `sum by (a) (rate(...))` counts per `a` at once instead of per series: fewer series, fewer labels.

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use logql::ast::{Grouping, GroupingKind, RangeOp, VectorOp};

use crate::logical::{RangeAggregate, RangeFunction, VectorAggregate, node_of, plan};

/// Gives the grouping of a `sum` to the range aggregation below it, where the sum of parts is the whole.
#[derive(Debug)]
pub(super) struct PushGrouping;

impl OptimizerRule for PushGrouping {
    fn name(&self) -> &str {
        "push_grouping"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, node: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        Ok(match pushed(&node)? {
            Some(better) => Transformed::yes(better),
            None => Transformed::no(node),
        })
    }
}

fn pushed(node: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let Some(vector) = node_of::<VectorAggregate>(node) else { return Ok(None) };
    let Some(range) = node_of::<RangeAggregate>(&vector.input) else { return Ok(None) };
    if vector.function.op != VectorOp::Sum || range.function.grouping.is_some() || !adds_up(range.function.op) {
        return Ok(None);
    }
    let grouping = vector.function.grouping.clone().unwrap_or(Grouping { kind: GroupingKind::By, labels: Vec::new() });
    let function = RangeFunction { grouping: Some(grouping), ..range.function.clone() };
    let input = plan(RangeAggregate::new(range.input.clone(), function)?);
    Ok(Some(plan(VectorAggregate { input, function: vector.function.clone() })))
}

/// Whether the value of two series together is the sum of their values.
const fn adds_up(op: RangeOp) -> bool {
    matches!(op, RangeOp::CountOverTime | RangeOp::Rate | RangeOp::BytesOverTime | RangeOp::BytesRate | RangeOp::SumOverTime)
}
