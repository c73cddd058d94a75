//! How plans print parts of a query.

use logql::ast::{Grouping, GroupingKind, LineFilter, RangeOp, Stage, Unwrap, UnwrapConversion, VectorOp};

use crate::pipeline::NeededLabels;

/// `|= "a" or ip("b")`
pub(crate) fn line_filter(filter: &LineFilter) -> String {
    filter.to_string()
}

/// A stage.
pub(crate) fn stage(stage: &Stage) -> String {
    stage.to_string()
}

/// `all` or `[a, b]`
pub(crate) fn needed(labels: &NeededLabels) -> String {
    match labels {
        NeededLabels::All => "all".to_owned(),
        NeededLabels::Only(names) => format!("[{}]", names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    }
}

/// `by (a, b)`
pub(crate) fn grouping(grouping: &Grouping) -> String {
    let kind = match grouping.kind {
        GroupingKind::By => "by",
        GroupingKind::Without => "without",
    };
    format!("{kind} ({})", grouping.labels.join(", "))
}

/// The function's name in LogQL.
pub(crate) const fn range_op(op: RangeOp) -> &'static str {
    match op {
        RangeOp::CountOverTime => "count_over_time",
        RangeOp::Rate => "rate",
        RangeOp::RateCounter => "rate_counter",
        RangeOp::BytesOverTime => "bytes_over_time",
        RangeOp::BytesRate => "bytes_rate",
        RangeOp::AvgOverTime => "avg_over_time",
        RangeOp::SumOverTime => "sum_over_time",
        RangeOp::MinOverTime => "min_over_time",
        RangeOp::MaxOverTime => "max_over_time",
        RangeOp::StdvarOverTime => "stdvar_over_time",
        RangeOp::StddevOverTime => "stddev_over_time",
        RangeOp::QuantileOverTime => "quantile_over_time",
        RangeOp::FirstOverTime => "first_over_time",
        RangeOp::LastOverTime => "last_over_time",
        RangeOp::AbsentOverTime => "absent_over_time",
    }
}

/// The function's name in LogQL.
pub(crate) const fn vector_op(op: VectorOp) -> &'static str {
    match op {
        VectorOp::Sum => "sum",
        VectorOp::Avg => "avg",
        VectorOp::Count => "count",
        VectorOp::Max => "max",
        VectorOp::Min => "min",
        VectorOp::Stddev => "stddev",
        VectorOp::Stdvar => "stdvar",
        VectorOp::Bottomk => "bottomk",
        VectorOp::Topk => "topk",
        VectorOp::Sort => "sort",
        VectorOp::SortDesc => "sort_desc",
        VectorOp::ApproxTopk => "approx_topk",
    }
}

/// `unwrap duration(x) | filter`
pub(crate) fn unwrap(unwrap: &Unwrap) -> String {
    let label = &unwrap.label;
    let mut out = match unwrap.conversion {
        UnwrapConversion::Plain => label.clone(),
        UnwrapConversion::Bytes => format!("bytes({label})"),
        UnwrapConversion::Duration => format!("duration({label})"),
        UnwrapConversion::DurationSeconds => format!("duration_seconds({label})"),
    };
    for filter in &unwrap.filters {
        out.push(' ');
        out.push_str(&stage(&Stage::LabelFilter(filter.clone())));
    }
    out
}
