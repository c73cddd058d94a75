//! Says of each row whose it is.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties as _, PlanProperties};
use futures::StreamExt as _;
use schema::TenantId;

use super::labels_column::{LabelsBuilder, LabelsColumn};
use super::plan::{one_input_plan, properties, stream_of};
use crate::labels::LabelsView;
use crate::logical::columns::LABELS;
use crate::tenants::encode_labels;

/// Adds the tenant to the labels of every row (`crate::tenants`), once for each distinct set of a batch. Other columns are handed on as they
/// are. Rows keep their order. Memory: one batch.
#[derive(Debug)]
pub struct TenantLabelExec {
    input: Arc<dyn ExecutionPlan>,
    tenant: TenantId,
    properties: Arc<PlanProperties>,
}

impl TenantLabelExec {
    /// The rows of `input`, all of which are `tenant`'s.
    pub fn new(input: Arc<dyn ExecutionPlan>, tenant: TenantId) -> Self {
        let properties = properties(input.schema(), input.output_partitioning().partition_count(), EmissionType::Incremental);
        Self { input, tenant, properties }
    }

    /// Whose rows they are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn rebuilt(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.tenant.clone()))
    }

    fn run(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let tenant = self.tenant.clone();
        Ok(stream_of(self.schema(), input.map(move |batch| labelled(&batch?, &tenant))))
    }
}

impl DisplayAs for TenantLabelExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantLabelExec: {}", self.tenant)
    }
}

one_input_plan!(TenantLabelExec, "TenantLabelExec");

fn labelled(batch: &RecordBatch, tenant: &TenantId) -> Result<RecordBatch> {
    let labels = LabelsColumn::of(batch)?;
    let mut out = LabelsBuilder::default();
    let mut encoded = Vec::new();
    let mut sets = Vec::with_capacity(labels.distinct());
    for key in 0..labels.distinct() {
        encoded.clear();
        encode_labels(&LabelsView::decode(labels.encoded(key))?, tenant.as_str(), &mut encoded);
        sets.push(out.intern(&encoded));
    }
    for row in 0..labels.keys().len() {
        out.push(sets.get(labels.key(row)).copied().unwrap_or(-1));
    }
    let labels = out.finish()?;
    let schema = batch.schema();
    let column = |(field, column): (&Arc<arrow::datatypes::Field>, &ArrayRef)| Arc::clone(if field.name() == LABELS { &labels } else { column });
    let columns = schema.fields().iter().zip(batch.columns()).map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}
