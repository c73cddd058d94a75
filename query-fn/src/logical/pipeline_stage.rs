//! A stage of a pipeline other than a line filter.

use std::fmt;

use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use logql::ast::Stage;

use super::node::{only_input, plan_node_identity};
use super::text;
use crate::pipeline::NeededLabels;

/// Rows after one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineStage {
    /// Where rows come from.
    pub input: LogicalPlan,
    /// What is done with each.
    pub stage: Stage,
    /// The labels that anything after this stage reads.
    pub needed: NeededLabels,
}

impl fmt::Display for PipelineStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PipelineStage: {}", text::stage(&self.stage))?;
        match &self.needed {
            NeededLabels::All => Ok(()),
            needed => write!(f, ", needed={}", text::needed(needed)),
        }
    }
}

plan_node_identity!(PipelineStage);

impl UserDefinedLogicalNodeCore for PipelineStage {
    fn name(&self) -> &str {
        "PipelineStage"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(Self { input: only_input(inputs)?, ..self.clone() })
    }
}
