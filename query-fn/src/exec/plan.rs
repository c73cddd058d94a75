//! What every operator with one input says to DataFusion in the same words.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{Partitioning, PlanProperties};
use futures::Stream;

/// Properties of an operator with `partitions` partitions that yields to the scheduler by itself.
pub(super) fn properties(schema: SchemaRef, partitions: usize, emission: EmissionType) -> Arc<PlanProperties> {
    let equivalence = EquivalenceProperties::new(schema);
    let partitioning = Partitioning::UnknownPartitioning(partitions);
    Arc::new(PlanProperties::new(equivalence, partitioning, emission, Boundedness::Bounded).with_scheduling_type(SchedulingType::Cooperative))
}

/// `stream` as DataFusion takes it, polled within the scheduler's budget.
pub(super) fn stream_of(
    schema: SchemaRef,
    stream: impl Stream<Item = datafusion::error::Result<arrow::array::RecordBatch>> + Send + 'static,
) -> SendableRecordBatchStream {
    Box::pin(datafusion::physical_plan::coop::cooperative(RecordBatchStreamAdapter::new(schema, Box::pin(stream))))
}

/// Implements `ExecutionPlan` for an operator with the fields `input` and `properties` and the methods
/// `rebuilt(&self, input) -> datafusion::error::Result<Self>` and `run(&self, partition, context)`.
macro_rules! one_input_plan {
    ($plan:ty, $name:literal) => {
        impl datafusion::physical_plan::ExecutionPlan for $plan {
            fn name(&self) -> &str {
                $name
            }

            fn properties(&self) -> &std::sync::Arc<datafusion::physical_plan::PlanProperties> {
                &self.properties
            }

            fn children(&self) -> Vec<&std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
                vec![&self.input]
            }

            fn apply_expressions(
                &self,
                _: &mut dyn FnMut(
                    &std::sync::Arc<dyn datafusion::physical_expr::PhysicalExpr>,
                ) -> datafusion::error::Result<datafusion::common::tree_node::TreeNodeRecursion>,
            ) -> datafusion::error::Result<datafusion::common::tree_node::TreeNodeRecursion> {
                Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
            }

            fn with_new_children(
                self: std::sync::Arc<Self>,
                children: Vec<std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>>,
            ) -> datafusion::error::Result<std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
                let mut children = children.into_iter();
                match (children.next(), children.next()) {
                    (Some(input), None) => Ok(std::sync::Arc::new(self.rebuilt(input)?)),
                    _ => Err(datafusion::error::DataFusionError::Internal(concat!($name, " has one input").to_owned())),
                }
            }

            fn execute(
                &self,
                partition: usize,
                context: std::sync::Arc<datafusion::execution::TaskContext>,
            ) -> datafusion::error::Result<datafusion::execution::SendableRecordBatchStream> {
                self.run(partition, context)
            }
        }
    };
}
pub(super) use one_input_plan;
