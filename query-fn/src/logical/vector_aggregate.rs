//! A function over the series at each step.

use std::fmt;

use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use logql::ast::{Grouping, VectorOp};

use super::node::{only_input, plan_node_identity};
use super::{Steps, text};

/// What a vector aggregation computes, apart from its input.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorFunction {
    /// The function.
    pub op: VectorOp,
    /// `k` of topk, bottomk, approx_topk.
    pub parameter: Option<u64>,
    /// Which series form a group; `None`: all.
    pub grouping: Option<Grouping>,
    /// When it is evaluated.
    pub steps: Steps,
}

impl fmt::Display for VectorFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text::vector_op(self.op))?;
        if let Some(parameter) = self.parameter {
            write!(f, "({parameter})")?;
        }
        match &self.grouping {
            Some(grouping) => write!(f, ", {}", text::grouping(grouping)),
            None => Ok(()),
        }
    }
}

/// Samples: one a group and step with a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorAggregate {
    /// Where samples come from.
    pub input: LogicalPlan,
    /// What is computed.
    pub function: VectorFunction,
}

impl fmt::Display for VectorAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VectorAggregate: {}", self.function)
    }
}

plan_node_identity!(VectorAggregate);

impl UserDefinedLogicalNodeCore for VectorAggregate {
    fn name(&self) -> &str {
        "VectorAggregate"
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
