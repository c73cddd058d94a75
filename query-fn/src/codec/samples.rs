//! Range aggregations, vector aggregations and operations on samples.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use logql::ast::{BinaryOp, GroupSide, MatchOn, RangeOp, VectorMatching, VectorOp};

use super::one_partition;
use super::parts::{Numbered as _, decode_grouping, decode_labels, decode_steps, encode_grouping, encode_labels, encode_steps, required};
use super::wire::{self, Operation};
use crate::exec::SampleOperationExec;
use crate::logical::{RangeFunction, SampleFunction, VectorFunction};

pub(super) fn encode_range(function: &RangeFunction) -> Result<wire::RangeAggregate, String> {
    Ok(wire::RangeAggregate {
        op: function.op.number(),
        parameter: function.parameter,
        range: function.range,
        offset: function.offset,
        steps: Some(encode_steps(function.steps)?),
        unwrapped: function.unwrapped,
        grouping: function.grouping.as_ref().map(encode_grouping),
        absent_labels: Some(encode_labels(&function.absent_labels)),
    })
}

pub(super) fn decode_range(function: wire::RangeAggregate) -> Result<RangeFunction, String> {
    if function.range < 1 {
        return Err(format!("a range of {} ns is not positive", function.range));
    }
    Ok(RangeFunction {
        op: RangeOp::of_number(function.op)?,
        parameter: function.parameter,
        range: function.range,
        offset: function.offset,
        steps: decode_steps(function.steps)?,
        unwrapped: function.unwrapped,
        grouping: function.grouping.map(decode_grouping),
        absent_labels: decode_labels(function.absent_labels.unwrap_or_default())?,
    })
}

pub(super) fn encode_vector(function: &VectorFunction) -> Result<wire::VectorAggregate, String> {
    Ok(wire::VectorAggregate {
        op: function.op.number(),
        parameter: function.parameter,
        grouping: function.grouping.as_ref().map(encode_grouping),
        steps: Some(encode_steps(function.steps)?),
    })
}

pub(super) fn decode_vector(function: wire::VectorAggregate) -> Result<VectorFunction, String> {
    Ok(VectorFunction {
        op: VectorOp::of_number(function.op)?,
        parameter: function.parameter,
        grouping: function.grouping.map(decode_grouping),
        steps: decode_steps(function.steps)?,
    })
}

pub(super) fn encode_operation(function: &SampleFunction) -> Result<wire::SampleOperation, String> {
    let operation = match function {
        SampleFunction::Constant { value, steps } => Operation::Constant(wire::Constant { value: *value, steps: Some(encode_steps(*steps)?) }),
        SampleFunction::Binary { op, return_bool, matching } => {
            Operation::Binary(wire::Binary { op: op.number(), return_bool: *return_bool, matching: matching.as_ref().map(encode_matching) })
        }
        SampleFunction::Scalar { op, return_bool, scalar, scalar_is_left } => {
            Operation::Scalar(wire::Scalar { op: op.number(), return_bool: *return_bool, scalar: *scalar, scalar_is_left: *scalar_is_left })
        }
        SampleFunction::LabelReplace { destination, replacement, source, pattern } => Operation::LabelReplace(wire::LabelReplace {
            destination: destination.clone(),
            replacement: replacement.clone(),
            source: source.clone(),
            pattern: pattern.clone(),
        }),
    };
    Ok(wire::SampleOperation { operation: Some(operation) })
}

pub(super) fn decode_operation(operation: wire::SampleOperation, inputs: &[Arc<dyn ExecutionPlan>]) -> Result<SampleOperationExec, String> {
    let (function, takes) = match required(operation.operation, "the operation, or it is not known to this version of Tarn: it")? {
        Operation::Constant(constant) => (SampleFunction::Constant { value: constant.value, steps: decode_steps(constant.steps)? }, 0),
        Operation::Binary(binary) => {
            let matching = binary.matching.map(decode_matching);
            (SampleFunction::Binary { op: BinaryOp::of_number(binary.op)?, return_bool: binary.return_bool, matching }, 2)
        }
        Operation::Scalar(wire::Scalar { op, return_bool, scalar, scalar_is_left }) => {
            (SampleFunction::Scalar { op: BinaryOp::of_number(op)?, return_bool, scalar, scalar_is_left }, 1)
        }
        Operation::LabelReplace(wire::LabelReplace { destination, replacement, source, pattern }) => {
            (SampleFunction::LabelReplace { destination, replacement, source, pattern }, 1)
        }
    };
    if inputs.len() != takes {
        return Err(format!("it takes {takes} inputs and has {}", inputs.len()));
    }
    inputs.iter().try_for_each(one_partition)?;
    Ok(SampleOperationExec::new(inputs.to_vec(), function))
}

fn encode_matching(matching: &VectorMatching) -> wire::Matching {
    let (ignoring, labels) = match &matching.on {
        MatchOn::On(labels) => (false, labels),
        MatchOn::Ignoring(labels) => (true, labels),
    };
    let group = matching.group.as_ref().map(|group| match group {
        GroupSide::Left(labels) => wire::Group { right: false, labels: labels.clone() },
        GroupSide::Right(labels) => wire::Group { right: true, labels: labels.clone() },
    });
    wire::Matching { ignoring, labels: labels.clone(), group }
}

fn decode_matching(matching: wire::Matching) -> VectorMatching {
    let on = if matching.ignoring { MatchOn::Ignoring(matching.labels) } else { MatchOn::On(matching.labels) };
    let group = matching.group.map(|group| if group.right { GroupSide::Right(group.labels) } else { GroupSide::Left(group.labels) });
    VectorMatching { on, group }
}
