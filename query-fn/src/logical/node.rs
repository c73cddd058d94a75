//! What all plan nodes share: identity, and finding a node of a type inside a DataFusion plan.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Extension, LogicalPlan, UserDefinedLogicalNode};

/// Plan nodes are equal when their fields are (floating-point fields never hold NaN), hash by what they print, and have no
/// order beyond equality.
macro_rules! plan_node_identity {
    ($node:ty) => {
        impl Eq for $node {}

        impl std::hash::Hash for $node {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.to_string().hash(state);
            }
        }

        impl PartialOrd for $node {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                (self == other).then_some(std::cmp::Ordering::Equal)
            }
        }
    };
}
pub(crate) use plan_node_identity;

/// `node` as a plan.
pub(crate) fn plan(node: impl UserDefinedLogicalNode + 'static) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}

/// The node of type `T` at the top of `plan`.
pub(crate) fn node_of<T: 'static>(plan: &LogicalPlan) -> Option<&T> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref::<T>(),
        _ => None,
    }
}

/// The only input out of a list of inputs.
pub(crate) fn only_input(inputs: Vec<LogicalPlan>) -> Result<LogicalPlan, DataFusionError> {
    let mut inputs = inputs.into_iter();
    match (inputs.next(), inputs.next()) {
        (Some(input), None) => Ok(input),
        _ => Err(DataFusionError::Internal("a node with one input was given another number of inputs".to_owned())),
    }
}
