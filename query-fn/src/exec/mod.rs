//! Physical operators and what they share.
//! Owns: how rows are read, filtered, relabelled, aggregated and cut to a limit, batch by batch.
//! Must not know: LogQL text, HTTP, JSON, how a chunk is encoded.

mod aggregation;
mod chunk_source;
mod dedupe;
mod entries;
mod estimate;
mod hidden;
mod labels_column;
mod minute_count;
mod minute_counter;
mod pace;
mod pipeline;
mod plan;
mod range;
mod rows;
mod sample_operation;
mod samples;
mod scan;
mod statistics;
mod stop;
mod tenant_label;
mod units;
mod unwrap;
mod vector;
mod window;

pub use entries::EntriesExec;
pub use estimate::Estimate;
pub use minute_count::MinuteCountExec;
pub use pipeline::{PipelineExec, StageSpec};
pub use range::RangeAggregateExec;
pub use sample_operation::SampleOperationExec;
pub use scan::{ChunkScanExec, ScanSpec};
pub use statistics::ScanStatistics;
pub use tenant_label::TenantLabelExec;
pub use unwrap::UnwrapExec;
pub use vector::VectorAggregateExec;

pub(crate) use aggregation::label_set;
pub(crate) use chunk_source::ChunkSource;
pub(crate) use hidden::{Deletes, HiddenRows};
pub(crate) use labels_column::{LabelsColumn, column};
pub(crate) use minute_counter::{CountedRows, CountedSeries, MinuteCounter};
pub(crate) use pace::Pace;
pub(crate) use units::{Piece, Unit, partition, units_of};
