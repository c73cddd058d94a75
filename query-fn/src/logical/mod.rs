//! Logical plans: one file a node, [`build()`] makes a plan from a syntax tree.
//! Owns: what each node means and how it is printed.
//! Must not know: chunks, execution.

mod build;
mod entries;
mod line_filter;
mod node;
mod pipeline_stage;
mod range_aggregate;
mod sample_operation;
mod spec;
mod stream_scan;
mod tenant_union;
mod text;
mod unwrap;
mod vector_aggregate;
mod windows;

pub mod columns;

pub use build::build;
pub use columns::LineColumn;
pub use entries::Entries;
pub use line_filter::LineFilter;
pub use pipeline_stage::PipelineStage;
pub use range_aggregate::{RangeAggregate, RangeFunction};
pub use sample_operation::{SampleFunction, SampleOperation};
pub use spec::{Direction, Evaluation, QuerySpec, Steps};
pub use stream_scan::{EarlyStop, StreamScan};
pub use tenant_union::TenantUnion;
pub use unwrap::Unwrap;
pub use vector_aggregate::{VectorAggregate, VectorFunction};
pub use windows::Windows;

pub(crate) use node::{node_of, plan};
pub(crate) use text::{line_filter as line_filter_text, needed as needed_text, stage as stage_text, unwrap as unwrap_text};
