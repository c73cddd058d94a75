//! A function over a window of rows, at each step.

use std::fmt;

use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use logql::ast::{Grouping, RangeOp};

use super::columns::{plan_schema, sample_schema};
use super::node::{only_input, plan_node_identity};
use super::{Steps, Windows, text};

/// What a range aggregation computes, apart from its input.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeFunction {
    /// The function.
    pub op: RangeOp,
    /// The quantile of `quantile_over_time`.
    pub parameter: Option<f64>,
    /// Width of the window in nanoseconds. The window of instant `t` is `(t - offset - range, t - offset]`.
    pub range: i64,
    /// How far back the window lies, in nanoseconds.
    pub offset: i64,
    /// When it is evaluated.
    pub steps: Steps,
    /// Whether rows have a `value` column, from `unwrap`.
    pub unwrapped: bool,
    /// Which rows form a series; `None`: those with equal labels.
    pub grouping: Option<Grouping>,
    /// `absent_over_time`: the labels of its only series.
    pub absent_labels: schema::LabelSet,
}

impl RangeFunction {
    /// Which rows it is computed over at each step.
    pub const fn windows(&self) -> Windows {
        Windows { range: self.range, offset: self.offset, steps: self.steps }
    }
}

impl fmt::Display for RangeFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", text::range_op(self.op))?;
        if let Some(parameter) = self.parameter {
            write!(f, "({parameter})")?;
        }
        write!(f, ", range={}ns, offset={}ns, steps={}+{}ns x {}", self.range, self.offset, self.steps.start, self.steps.step, self.steps.count)?;
        if self.unwrapped {
            f.write_str(", of=value")?;
        }
        match &self.grouping {
            Some(grouping) => write!(f, ", {}", text::grouping(grouping)),
            None => Ok(()),
        }
    }
}

/// Samples: one a series and step whose window holds a row.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeAggregate {
    /// Where rows come from.
    pub input: LogicalPlan,
    /// What is computed.
    pub function: RangeFunction,
    schema: DFSchemaRef,
}

impl RangeAggregate {
    /// `function` over the rows of `input`.
    pub fn new(input: LogicalPlan, function: RangeFunction) -> Result<Self> {
        Ok(Self { input, function, schema: plan_schema(sample_schema())? })
    }
}

impl fmt::Display for RangeAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RangeAggregate: {}", self.function)
    }
}

plan_node_identity!(RangeAggregate);

impl UserDefinedLogicalNodeCore for RangeAggregate {
    fn name(&self) -> &str {
        "RangeAggregate"
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
        Ok(Self { input: only_input(inputs)?, ..self.clone() })
    }
}
