//! Physical plans as bytes, so that another process can run them (DataFusion's extension codec).
//! Owns: the form of every operator of ours in bytes, its version, the checks on bytes from elsewhere.
//! Must not know: how bytes travel, what operators do when they run.
//!
//! Each operator is one protobuf message (`wire`); parts of a query travel as LogQL text (`text`). A scan ships the chunks
//! it reads by name: the receiver opens them when it runs, through its own client and cache. All partitions of a scan must
//! run in one process, since copies of a row in several chunks are collapsed there.

mod entries;
mod minute_count;
mod parts;
mod pipeline;
mod samples;
mod scan;
mod tenant_label;
mod text;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties as _};
use datafusion_proto::bytes::{physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use prost::Message as _;

use crate::QueryError;
use crate::exec::{
    ChunkScanExec, EntriesExec, MinuteCountExec, PipelineExec, RangeAggregateExec, SampleOperationExec, TenantLabelExec, UnwrapExec, VectorAggregateExec,
};
use crate::physical::PlanContext;
use wire::Kind;

/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;
/// Deeper plans are not written: protobuf readers stop at a hundred nested messages, and an operator takes two.
const MAX_DEPTH: usize = 48;

/// Writes and reads the operators of ours. What is read uses the store, the cache and the counters of its context.
#[derive(Clone, Debug)]
pub struct PlanCodec {
    context: Arc<PlanContext>,
}

impl PlanCodec {
    /// A codec whose plans run in `context`.
    pub const fn new(context: Arc<PlanContext>) -> Self {
        Self { context }
    }

    /// `plan` as bytes. Errors: [`QueryError::Codec`] for an operator that cannot be written, and for too deep a plan.
    pub fn encode_plan(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Bytes, QueryError> {
        let depth = depth_of(&plan);
        if depth > MAX_DEPTH {
            let what = format!("{depth} operators lie on top of each other and {MAX_DEPTH} can be shipped; write the query with fewer nested operations");
            return Err(QueryError::Codec { node: plan.name().to_owned(), what });
        }
        physical_plan_to_bytes_with_extension_codec(plan, self).map_err(QueryError::from_datafusion)
    }

    /// The plan that [`Self::encode_plan`] wrote. Opens nothing. Errors: [`QueryError::Codec`] for what is no plan of this version.
    pub fn decode_plan(&self, bytes: &[u8], task: &TaskContext) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        physical_plan_from_bytes_with_extension_codec(bytes, task, self).map_err(QueryError::from_datafusion)
    }
}

fn depth_of(plan: &Arc<dyn ExecutionPlan>) -> usize {
    1 + plan.children().into_iter().map(depth_of).max().unwrap_or(0)
}

impl PhysicalExtensionCodec for PlanCodec {
    fn try_encode(&self, node: Arc<dyn ExecutionPlan>, out: &mut Vec<u8>, _: &dyn PhysicalProtoConverterExtension) -> Result<(), DataFusionError> {
        let refused = |what| QueryError::Codec { node: node.name().to_owned(), what };
        let message = wire::Node { version: VERSION, kind: Some(encode(&node).map_err(refused)?) };
        message.encode(out).map_err(|error| refused(error.to_string()))?;
        Ok(())
    }

    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let kind = read(bytes).map_err(|what| QueryError::Codec { node: "an operator".to_owned(), what })?;
        let node = kind.name();
        Ok(decode(kind, inputs, &self.context).map_err(|what| QueryError::Codec { node: node.to_owned(), what })?)
    }
}

fn encode(node: &Arc<dyn ExecutionPlan>) -> Result<Kind, String> {
    if let Some(scan) = node.downcast_ref::<ChunkScanExec>() {
        return scan::encode(scan).map(Kind::Scan);
    }
    if let Some(pipeline) = node.downcast_ref::<PipelineExec>() {
        return pipeline::encode(pipeline).map(Kind::Pipeline);
    }
    if let Some(unwrap) = node.downcast_ref::<UnwrapExec>() {
        return pipeline::encode_unwrap(unwrap).map(Kind::Unwrap);
    }
    if let Some(entries) = node.downcast_ref::<EntriesExec>() {
        return entries::encode(entries).map(Kind::Entries);
    }
    if let Some(range) = node.downcast_ref::<RangeAggregateExec>() {
        return samples::encode_range(range.function()).map(Kind::RangeAggregate);
    }
    if let Some(vector) = node.downcast_ref::<VectorAggregateExec>() {
        return samples::encode_vector(vector.function()).map(Kind::VectorAggregate);
    }
    if let Some(operation) = node.downcast_ref::<SampleOperationExec>() {
        return samples::encode_operation(operation.function()).map(Kind::SampleOperation);
    }
    if let Some(counts) = node.downcast_ref::<MinuteCountExec>() {
        return minute_count::encode(counts).map(Kind::MinuteCount);
    }
    if let Some(label) = node.downcast_ref::<TenantLabelExec>() {
        return Ok(Kind::TenantLabel(tenant_label::encode(label)));
    }
    Err("it is no operator of Tarn".to_owned())
}

/// The version is looked at first: what a later version wrote need not make sense.
fn read(bytes: &[u8]) -> Result<Kind, String> {
    let unreadable = |error: prost::DecodeError| format!("its bytes cannot be read: {error}");
    let wire::Version { version } = wire::Version::decode(bytes).map_err(unreadable)?;
    if version != VERSION {
        return Err(format!("it was written in plan version {version}, and this one reads version {VERSION}; run the same version of Tarn on both sides"));
    }
    wire::Node::decode(bytes).map_err(unreadable)?.kind.ok_or_else(|| "it is of a kind that this version of Tarn does not know".to_owned())
}

fn decode(kind: Kind, inputs: &[Arc<dyn ExecutionPlan>], context: &PlanContext) -> Result<Arc<dyn ExecutionPlan>, String> {
    Ok(match kind {
        Kind::Scan(scan) => {
            no_input(inputs)?;
            Arc::new(scan::decode(scan, context)?)
        }
        Kind::Pipeline(pipeline) => Arc::new(pipeline::decode(pipeline, only_input(inputs)?)?),
        Kind::Unwrap(unwrap) => Arc::new(pipeline::decode_unwrap(&unwrap, only_input(inputs)?)?),
        Kind::Entries(entries) => Arc::new(entries::decode(entries, only_partition(inputs)?)?),
        Kind::RangeAggregate(range) => Arc::new(RangeAggregateExec::new(only_partition(inputs)?, samples::decode_range(range)?)),
        Kind::VectorAggregate(vector) => Arc::new(VectorAggregateExec::new(only_partition(inputs)?, samples::decode_vector(vector)?)),
        Kind::SampleOperation(operation) => Arc::new(samples::decode_operation(operation, inputs)?),
        Kind::MinuteCount(counts) => {
            no_input(inputs)?;
            Arc::new(minute_count::decode(counts, context)?)
        }
        Kind::TenantLabel(label) => Arc::new(tenant_label::decode(&label, only_input(inputs)?)?),
    })
}

fn no_input(inputs: &[Arc<dyn ExecutionPlan>]) -> Result<(), String> {
    if inputs.is_empty() { Ok(()) } else { Err(format!("it takes no input and has {}", inputs.len())) }
}

fn only_input(inputs: &[Arc<dyn ExecutionPlan>]) -> Result<Arc<dyn ExecutionPlan>, String> {
    match inputs {
        [input] => Ok(Arc::clone(input)),
        _ => Err(format!("it takes one input and has {}", inputs.len())),
    }
}

/// The only input of an operator that reads one partition and would leave out the rows of others.
fn only_partition(inputs: &[Arc<dyn ExecutionPlan>]) -> Result<Arc<dyn ExecutionPlan>, String> {
    let input = only_input(inputs)?;
    one_partition(&input)?;
    Ok(input)
}

fn one_partition(input: &Arc<dyn ExecutionPlan>) -> Result<(), String> {
    match input.output_partitioning().partition_count() {
        1 => Ok(()),
        count => Err(format!("it reads one partition and its input {} has {count}", input.name())),
    }
}

#[cfg(test)]
mod tests;
