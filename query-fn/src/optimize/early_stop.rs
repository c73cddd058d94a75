//! Tells the scan that only the first rows in one direction are wanted.

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::logical::{EarlyStop, Entries, LineFilter, PipelineStage, StreamScan, TenantUnion, node_of, plan};

/// Puts the limit and direction of a log query into its scan. Not for queries with an interval: there the row after the
/// limit depends on every row before it.
#[derive(Debug)]
pub(super) struct PushEarlyStop;

impl OptimizerRule for PushEarlyStop {
    fn name(&self) -> &str {
        "early_stop"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, node: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let Some(entries) = node_of::<Entries>(&node).filter(|entries| entries.interval == 0) else { return Ok(Transformed::no(node)) };
        let stop = EarlyStop { direction: entries.direction, limit: entries.limit, every_row_counts: true };
        Ok(match stopped(&entries.input, stop)? {
            Some(input) => Transformed::yes(plan(Entries { input, ..entries.clone() })),
            None => Transformed::no(node),
        })
    }
}

/// `node` with `stop` in its scans; `None` where it is there already or does not fit.
fn stopped(node: &LogicalPlan, stop: EarlyStop) -> Result<Option<LogicalPlan>> {
    if let Some(scan) = node_of::<StreamScan>(node) {
        let stop = EarlyStop { every_row_counts: stop.every_row_counts && scan.filters.is_empty(), ..stop };
        if scan.stop.is_some() {
            return Ok(None);
        }
        let mut scan = scan.clone();
        scan.stop = Some(stop);
        return Ok(Some(plan(scan)));
    }
    let below = EarlyStop { every_row_counts: false, ..stop };
    if let Some(stage) = node_of::<PipelineStage>(node) {
        return Ok(stopped(&stage.input, below)?.map(|input| plan(PipelineStage { input, ..stage.clone() })));
    }
    // The first rows of all tenants are among the first rows of each.
    if let Some(union) = node_of::<TenantUnion>(node) {
        let inputs = union.inputs.iter().map(|input| stopped(input, stop)).collect::<Result<Option<Vec<_>>>>()?;
        return Ok(inputs.filter(|inputs| !inputs.is_empty()).map(|inputs| plan(union.with_inputs(inputs))));
    }
    if let Some(filter) = node_of::<LineFilter>(node) {
        return Ok(stopped(&filter.input, below)?.map(|input| plan(LineFilter { input, ..filter.clone() })));
    }
    Ok(None)
}
