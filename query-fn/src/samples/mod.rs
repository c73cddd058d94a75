//! Pure functions from samples to samples: arithmetic, vector matching, set operators, relabelling.
//! A vector is a list of series, each with its samples ascending in time; the samples of all series at one instant are
//! what Prometheus calls an instant vector.
//! Source of the behaviour: spec/logql.md section 6.
//! Must not know: Arrow, plans, async.

mod arithmetic;
mod label_replace;
mod matching;
mod scalar;
mod sets;
#[cfg(test)]
mod tests;

pub use label_replace::label_replace;
pub use matching::pair_up;
pub use scalar::with_scalar;
pub use sets::set_operation;

use logql::ast::{BinaryOp, VectorMatching};

use crate::QueryError;
use crate::result::Series;

/// `left op right` for two vectors.
pub fn binary(op: BinaryOp, return_bool: bool, matching: Option<&VectorMatching>, left: Vec<Series>, right: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    if op.is_set_operation() { Ok(set_operation(op, matching, left, right)) } else { pair_up(op, return_bool, matching, left, right) }
}
