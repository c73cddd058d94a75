//! The end of a log query: which rows are the answer.

use std::fmt;

use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::Direction;
use super::node::{only_input, plan_node_identity};

/// The first rows in one direction of time, sorted. Ties: by label text, then by position.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries {
    /// Where rows come from.
    pub input: LogicalPlan,
    /// At most so many.
    pub limit: usize,
    /// From which end.
    pub direction: Direction,
    /// Least nanoseconds from one row to the next, over all streams; 0 thins nothing.
    pub interval: i64,
}

impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entries: limit={}, {}", self.limit, self.direction.as_str())?;
        if self.interval > 0 {
            write!(f, ", interval={}ns", self.interval)?;
        }
        Ok(())
    }
}

plan_node_identity!(Entries);

impl UserDefinedLogicalNodeCore for Entries {
    fn name(&self) -> &str {
        "Entries"
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
