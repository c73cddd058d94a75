//! Operations from samples to samples: literals, binary operations, `label_replace`.

use std::fmt;

use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use logql::ast::{BinaryOp, GroupSide, MatchOn, VectorMatching};

use super::Steps;
use super::columns::{plan_schema, sample_schema};
use super::node::plan_node_identity;

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleFunction {
    /// The same number at every step, without labels. No input.
    Constant {
        /// The number.
        value: f64,
        /// When it is evaluated.
        steps: Steps,
    },
    /// `left op right`. Two inputs, left first.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Comparisons give 0 or 1 instead of filtering.
        return_bool: bool,
        /// How series pair up.
        matching: Option<VectorMatching>,
    },
    /// `vector op scalar` or `scalar op vector`. One input.
    Scalar {
        /// The operator.
        op: BinaryOp,
        /// Comparisons give 0 or 1 instead of filtering.
        return_bool: bool,
        /// The number.
        scalar: f64,
        /// Whether it stands on the left.
        scalar_is_left: bool,
    },
    /// `label_replace`. One input.
    LabelReplace {
        /// The label to set.
        destination: String,
        /// Text with `$1`, `${name}`.
        replacement: String,
        /// The label to read.
        source: String,
        /// The pattern as written.
        pattern: String,
    },
}

impl fmt::Display for SampleFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant { value, steps } => write!(f, "Constant: {value}, steps={}+{}ns x {}", steps.start, steps.step, steps.count),
            Self::Binary { op, return_bool, matching } => {
                write!(f, "BinaryOperation: {}{}", op.as_str(), if *return_bool { " bool" } else { "" })?;
                matching.as_ref().map_or(Ok(()), |matching| write!(f, " {}", matching_text(matching)))
            }
            Self::Scalar { op, return_bool, scalar, scalar_is_left } => {
                let bool_text = if *return_bool { " bool" } else { "" };
                if *scalar_is_left {
                    write!(f, "ScalarOperation: {scalar} {}{bool_text} _", op.as_str())
                } else {
                    write!(f, "ScalarOperation: _ {}{bool_text} {scalar}", op.as_str())
                }
            }
            Self::LabelReplace { destination, replacement, source, pattern } => {
                let quote = schema::quote::quote;
                write!(f, "LabelReplace: {}, {}, {}, {}", quote(destination), quote(replacement), quote(source), quote(pattern))
            }
        }
    }
}

fn matching_text(matching: &VectorMatching) -> String {
    let on = match &matching.on {
        MatchOn::On(labels) => format!("on ({})", labels.join(", ")),
        MatchOn::Ignoring(labels) => format!("ignoring ({})", labels.join(", ")),
    };
    match &matching.group {
        None => on,
        Some(GroupSide::Left(labels)) => format!("{on} group_left ({})", labels.join(", ")),
        Some(GroupSide::Right(labels)) => format!("{on} group_right ({})", labels.join(", ")),
    }
}

/// Samples computed from samples.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleOperation {
    /// As many as the function takes.
    pub inputs: Vec<LogicalPlan>,
    /// What is computed.
    pub function: SampleFunction,
    schema: DFSchemaRef,
}

impl SampleOperation {
    /// `function` of `inputs`.
    pub fn new(inputs: Vec<LogicalPlan>, function: SampleFunction) -> Result<Self> {
        Ok(Self { inputs, function, schema: plan_schema(sample_schema())? })
    }
}

impl fmt::Display for SampleOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.function, f)
    }
}

plan_node_identity!(SampleOperation);

impl UserDefinedLogicalNodeCore for SampleOperation {
    fn name(&self) -> &str {
        "SampleOperation"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
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
        Self::new(inputs, self.function.clone())
    }
}
