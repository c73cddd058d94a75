//! What an operator makes of two samples.

use logql::ast::BinaryOp;

/// The sample that `left op right` yields: comparisons without `bool` keep `kept` or nothing.
pub(super) fn sample(op: BinaryOp, return_bool: bool, left: f64, right: f64, kept: f64) -> Option<f64> {
    let value = op.apply(left, right);
    if op.is_comparison() && !return_bool {
        return (value != 0.0).then_some(kept);
    }
    Some(value)
}
