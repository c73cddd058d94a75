//! Optimizer rules, one a file, in the order in which they run.
//! Owns: rewriting a logical plan into one with the same answer that reads or holds less.
//! Must not know: chunks, execution.

mod early_stop;
mod minute_counts;
mod needed_labels;
mod push_grouping;
mod push_line_filters;

use std::sync::Arc;

use datafusion::optimizer::OptimizerRule;

/// All rules.
/// 1. `push_grouping` before `needed_labels`, which reads the grouping of range aggregations.
/// 2. `push_line_filters` before `needed_labels`: a filter inside the scan needs no line column above it; and before
///    `early_stop`, which asks whether anything between the scan and the limit drops rows.
/// 3. `needed_labels`.
/// 4. `minute_counts` after `needed_labels`, which takes stages away that nobody notices and says which labels the counts must have.
/// 5. `early_stop`.
pub fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    vec![
        Arc::new(push_grouping::PushGrouping),
        Arc::new(push_line_filters::PushLineFilters),
        Arc::new(needed_labels::FindNeededLabels),
        Arc::new(minute_counts::CountByMinute),
        Arc::new(early_stop::PushEarlyStop),
    ]
}
