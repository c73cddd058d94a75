//! Whose the rows of an input are.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use schema::TenantId;

use super::wire;
use crate::exec::{ChunkScanExec, TenantLabelExec};

pub(super) fn encode(label: &TenantLabelExec) -> wire::TenantLabel {
    wire::TenantLabel { tenant: label.tenant().to_string() }
}

/// The chunks below must be of the tenant: a plan cannot show one's rows as another's.
pub(super) fn decode(label: &wire::TenantLabel, input: Arc<dyn ExecutionPlan>) -> Result<TenantLabelExec, String> {
    let tenant = TenantId::parse(&label.tenant).map_err(|error| error.to_string())?;
    match other_tenant(&input, &tenant) {
        Some(other) => Err(format!("it says that rows of tenant {other} are those of {tenant}")),
        None => Ok(TenantLabelExec::new(input, tenant)),
    }
}

/// Another tenant whose chunks are read under `plan`.
fn other_tenant(plan: &Arc<dyn ExecutionPlan>, tenant: &TenantId) -> Option<TenantId> {
    match plan.downcast_ref::<ChunkScanExec>() {
        Some(scan) => {
            let units = scan.partitions().iter().flat_map(|units| units.iter());
            units.map(|unit| unit.chunk.chunk().name.tenant()).find(|other| *other != tenant).cloned()
        }
        None => plan.children().into_iter().find_map(|input| other_tenant(input, tenant)),
    }
}
