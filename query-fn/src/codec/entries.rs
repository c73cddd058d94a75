//! The end of a log query.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use super::parts::{Numbered as _, count, size};
use super::wire;
use crate::exec::EntriesExec;
use crate::logical::Direction;

pub(super) fn encode(entries: &EntriesExec) -> Result<wire::Entries, String> {
    Ok(wire::Entries { limit: count(entries.limit())?, direction: entries.direction().number(), interval: entries.interval() })
}

/// What it tells the scan below about rows that are no longer wanted goes from the plan itself, when it runs.
pub(super) fn decode(entries: wire::Entries, input: Arc<dyn ExecutionPlan>) -> Result<EntriesExec, String> {
    if entries.interval < 0 {
        return Err(format!("an interval of {} ns is negative", entries.interval));
    }
    Ok(EntriesExec::new(input, size(entries.limit)?, Direction::of_number(entries.direction)?, entries.interval))
}
