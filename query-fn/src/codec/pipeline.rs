//! Stages and unwrap.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use super::parts::{decode_needed, encode_needed};
use super::{text, wire};
use crate::exec::{PipelineExec, StageSpec, UnwrapExec};

pub(super) fn encode(pipeline: &PipelineExec) -> Result<wire::Pipeline, String> {
    let encode = |spec: &StageSpec| Ok(wire::Stage { text: text::write_stage(&spec.stage)?, needed: Some(encode_needed(&spec.needed)), now: spec.now });
    Ok(wire::Pipeline { stages: pipeline.stages().iter().map(encode).collect::<Result<_, String>>()? })
}

pub(super) fn decode(pipeline: wire::Pipeline, input: Arc<dyn ExecutionPlan>) -> Result<PipelineExec, String> {
    let decode = |stage: wire::Stage| Ok(StageSpec { stage: text::read_stage(&stage.text)?, needed: decode_needed(stage.needed)?, now: stage.now });
    let stages = pipeline.stages.into_iter().map(decode).collect::<Result<_, String>>()?;
    PipelineExec::new(input, stages).map_err(|error| error.to_string())
}

pub(super) fn encode_unwrap(unwrap: &UnwrapExec) -> Result<wire::Unwrap, String> {
    Ok(wire::Unwrap { text: text::write_unwrap(unwrap.unwrap())?, keep: unwrap.keeps_label() })
}

pub(super) fn decode_unwrap(unwrap: &wire::Unwrap, input: Arc<dyn ExecutionPlan>) -> Result<UnwrapExec, String> {
    UnwrapExec::new(input, text::read_unwrap(&unwrap.text)?, unwrap.keep).map_err(|error| error.to_string())
}
