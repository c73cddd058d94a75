//! A line filter that was not moved into the scan.

use std::fmt;

use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::node::{only_input, plan_node_identity};
use super::text;

/// Rows whose line passes.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFilter {
    /// Where rows come from.
    pub input: LogicalPlan,
    /// What a line must pass.
    pub filter: logql::ast::LineFilter,
}

impl fmt::Display for LineFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineFilter: {}", text::line_filter(&self.filter))
    }
}

plan_node_identity!(LineFilter);

impl UserDefinedLogicalNodeCore for LineFilter {
    fn name(&self) -> &str {
        "LineFilter"
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
        Ok(Self { input: only_input(inputs)?, filter: self.filter.clone() })
    }
}
