//! Line filters run in the scan, over whole buffers, before a row has labels.

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use logql::ast::Stage;

use crate::logical::{LineFilter, PipelineStage, StreamScan, node_of, plan};

/// Moves line filters towards the scan, past every stage that leaves the line alone, and into it. A stage before such a
/// filter may set labels or drop rows, but neither changes which of the remaining lines pass.
#[derive(Debug)]
pub(super) struct PushLineFilters;

impl OptimizerRule for PushLineFilters {
    fn name(&self) -> &str {
        "push_line_filters"
    }

    fn rewrite(&self, node: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let sunk = sink(&node, Vec::new())?;
        Ok(if sunk == node { Transformed::no(node) } else { Transformed::yes(sunk) })
    }
}

/// `node` with the filters `carried` from above (lowest first) as far down as they go.
fn sink(node: &LogicalPlan, mut carried: Vec<logql::ast::LineFilter>) -> Result<LogicalPlan> {
    if let Some(filter) = node_of::<LineFilter>(node) {
        carried.insert(0, filter.filter.clone());
        return sink(&filter.input, carried);
    }
    if let Some(scan) = node_of::<StreamScan>(node) {
        let mut scan = scan.clone();
        scan.filters.extend(carried);
        return Ok(plan(scan));
    }
    if let Some(stage) = node_of::<PipelineStage>(node)
        && keeps_line(&stage.stage)
    {
        return Ok(plan(PipelineStage { input: sink(&stage.input, carried)?, ..stage.clone() }));
    }
    let inputs = node.inputs().into_iter().map(|input| sink(input, Vec::new())).collect::<Result<Vec<_>>>()?;
    let node = node.with_new_exprs(node.expressions(), inputs)?;
    Ok(carried.into_iter().fold(node, |input, filter| plan(LineFilter { input, filter })))
}

/// Whether the line after the stage is the line before it.
const fn keeps_line(stage: &Stage) -> bool {
    match stage {
        Stage::LineFilter(_) | Stage::Logfmt { .. } | Stage::Json { .. } | Stage::Regexp(_) | Stage::Pattern(_) => true,
        Stage::LabelFilter(_) | Stage::LabelFormat(_) | Stage::Drop(_) | Stage::Keep(_) => true,
        Stage::Unpack | Stage::LineFormat(_) | Stage::Decolorize => false,
    }
}
