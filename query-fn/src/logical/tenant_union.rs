//! The rows of several tenants.

use std::fmt;

use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use schema::TenantId;

use super::LineColumn;
use super::columns::{entry_schema, plan_schema};
use super::node::plan_node_identity;

/// The rows of all inputs, each with the tenant that its input reads as the label `__tenant_id__`.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantUnion {
    /// The tenant of each input.
    pub tenants: Vec<TenantId>,
    /// As many as tenants, of one shape. None where no tenant was chosen.
    pub inputs: Vec<LogicalPlan>,
    /// What it hands on without inputs.
    empty: DFSchemaRef,
}

impl TenantUnion {
    /// The rows of `inputs`; `position`: whether they have positions.
    pub fn new(tenants: Vec<TenantId>, inputs: Vec<LogicalPlan>, position: bool) -> Result<Self> {
        Ok(Self { tenants, inputs, empty: plan_schema(entry_schema(LineColumn::Text, position))? })
    }

    /// The same union of other inputs, as many.
    #[must_use]
    pub fn with_inputs(&self, inputs: Vec<LogicalPlan>) -> Self {
        Self { inputs, ..self.clone() }
    }
}

impl fmt::Display for TenantUnion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenants: Vec<&str> = self.tenants.iter().map(TenantId::as_str).collect();
        write!(f, "TenantUnion: tenants=[{}]", tenants.join(", "))
    }
}

plan_node_identity!(TenantUnion);

impl UserDefinedLogicalNodeCore for TenantUnion {
    fn name(&self) -> &str {
        "TenantUnion"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        self.inputs.first().map_or(&self.empty, LogicalPlan::schema)
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.with_inputs(inputs))
    }
}
