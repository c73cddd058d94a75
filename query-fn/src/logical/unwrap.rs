//! Takes the values of samples from a label.

use std::fmt;

use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::columns::{plan_schema, unwrapped_schema};
use super::node::{only_input, plan_node_identity};
use super::text;

/// Rows that have the label, with its value as a number in a `value` column. The label itself is gone unless `keep`.
/// A value that cannot be read is 0, and the row has `__error__`; the filters after the unwrap run after that.
#[derive(Clone, Debug, PartialEq)]
pub struct Unwrap {
    /// Where rows come from.
    pub input: LogicalPlan,
    /// Which label, how it is read, and the filters after it.
    pub unwrap: logql::ast::Unwrap,
    /// Whether the label stays: the grouping names it.
    pub keep: bool,
    schema: DFSchemaRef,
}

impl Unwrap {
    /// `unwrap` of the rows of `input`.
    pub fn new(input: LogicalPlan, unwrap: logql::ast::Unwrap, keep: bool) -> Result<Self> {
        let schema = plan_schema(unwrapped_schema(input.schema().as_arrow()))?;
        Ok(Self { input, unwrap, keep, schema })
    }
}

impl fmt::Display for Unwrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unwrap: {}", text::unwrap(&self.unwrap))?;
        if self.keep {
            f.write_str(", keep")?;
        }
        Ok(())
    }
}

plan_node_identity!(Unwrap);

impl UserDefinedLogicalNodeCore for Unwrap {
    fn name(&self) -> &str {
        "Unwrap"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Self::new(only_input(inputs)?, self.unwrap.clone(), self.keep)
    }
}
