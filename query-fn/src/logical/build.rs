//! Syntax tree to logical plan, one node for one thing that the query says. Nothing is optimised here.

use datafusion::logical_expr::LogicalPlan;
use logql::Expr;
use logql::ast::{BinaryExpr, GroupingKind, LogExpr, LogRange, MetricExpr, RangeAggregation, RangeOp, Stage, VectorAggregation};
use schema::{LabelSet, MatchOp, Matcher, TenantId, TimeRange, Timestamp};

use super::node::plan;
use super::{
    Entries, Evaluation, LineFilter, PipelineStage, QuerySpec, RangeAggregate, RangeFunction, SampleFunction, SampleOperation, Steps, StreamScan, Unwrap,
    VectorAggregate, VectorFunction,
};
use crate::QueryError;
use crate::pipeline::NeededLabels;

/// The plan of a query. Errors: a log query at an instant (Loki's text).
pub fn build(spec: &QuerySpec) -> Result<LogicalPlan, QueryError> {
    match (&spec.expr, &spec.evaluation) {
        (Expr::Log(log), Evaluation::Range { start, end, .. }) => {
            let input = log_plan(&spec.tenant, log, TimeRange::new(*start, *end), true)?;
            Ok(plan(Entries { input, limit: spec.limit, direction: spec.direction, interval: spec.interval_ns.max(0) }))
        }
        (Expr::Log(_), Evaluation::Instant { .. }) => Err(QueryError::Invalid {
            message: "log queries are not supported as an instant query type, please change your query to a range query type".to_owned(),
        }),
        (Expr::Metric(metric), evaluation) => metric_plan(&spec.tenant, metric, Steps::of(evaluation)),
    }
}

fn log_plan(tenant: &TenantId, log: &LogExpr, range: TimeRange, position: bool) -> Result<LogicalPlan, QueryError> {
    let scan = StreamScan::new(tenant.clone(), log.matchers.clone(), range, position).map_err(QueryError::from_datafusion)?;
    Ok(log.stages.iter().fold(plan(scan), |input, stage| match stage {
        Stage::LineFilter(filter) => plan(LineFilter { input, filter: filter.clone() }),
        stage => plan(PipelineStage { input, stage: stage.clone(), needed: NeededLabels::All }),
    }))
}

fn metric_plan(tenant: &TenantId, metric: &MetricExpr, steps: Steps) -> Result<LogicalPlan, QueryError> {
    match metric {
        MetricExpr::Range(range) => range_plan(tenant, range, steps),
        MetricExpr::Vector(vector) => vector_plan(tenant, vector, steps),
        MetricExpr::Binary(binary) => binary_plan(tenant, binary, steps),
        MetricExpr::Literal(value) | MetricExpr::VectorLiteral(value) => sample_operation(Vec::new(), SampleFunction::Constant { value: *value, steps }),
        MetricExpr::LabelReplace(replace) => {
            let function = SampleFunction::LabelReplace {
                destination: replace.destination.clone(),
                replacement: replace.replacement.clone(),
                source: replace.source.clone(),
                pattern: replace.pattern.clone(),
            };
            sample_operation(vec![metric_plan(tenant, &replace.inner, steps)?], function)
        }
    }
}

fn sample_operation(inputs: Vec<LogicalPlan>, function: SampleFunction) -> Result<LogicalPlan, QueryError> {
    Ok(plan(SampleOperation::new(inputs, function).map_err(QueryError::from_datafusion)?))
}

/// A literal on one side is a number for the operator, not a vector. Set operators have no literal sides: the parser refuses them.
fn binary_plan(tenant: &TenantId, binary: &BinaryExpr, steps: Steps) -> Result<LogicalPlan, QueryError> {
    let scalar = |scalar, scalar_is_left| SampleFunction::Scalar { op: binary.op, return_bool: binary.return_bool, scalar, scalar_is_left };
    match (&binary.left, &binary.right) {
        (MetricExpr::Literal(left), right) => sample_operation(vec![metric_plan(tenant, right, steps)?], scalar(*left, true)),
        (left, MetricExpr::Literal(right)) => sample_operation(vec![metric_plan(tenant, left, steps)?], scalar(*right, false)),
        (left, right) => {
            let inputs = vec![metric_plan(tenant, left, steps)?, metric_plan(tenant, right, steps)?];
            sample_operation(inputs, SampleFunction::Binary { op: binary.op, return_bool: binary.return_bool, matching: binary.matching.clone() })
        }
    }
}

fn range_plan(tenant: &TenantId, aggregation: &RangeAggregation, steps: Steps) -> Result<LogicalPlan, QueryError> {
    let LogRange { log, range, offset, unwrap } = &aggregation.range;
    let offset = offset.unwrap_or(0);
    let mut input = log_plan(tenant, log, window(steps, *range, offset), false)?;
    if let Some(unwrap) = unwrap {
        let keep = aggregation.grouping.as_ref().is_some_and(|grouping| grouping.kind == GroupingKind::By && grouping.labels.contains(&unwrap.label));
        input = plan(Unwrap::new(input, unwrap.clone(), keep).map_err(QueryError::from_datafusion)?);
    }
    let absent_labels = if aggregation.op == RangeOp::AbsentOverTime { absent_labels(&log.matchers)? } else { LabelSet::default() };
    let function = RangeFunction {
        op: aggregation.op,
        parameter: aggregation.parameter,
        range: *range,
        offset,
        steps,
        unwrapped: unwrap.is_some(),
        grouping: aggregation.grouping.clone(),
        absent_labels,
    };
    Ok(plan(RangeAggregate::new(input, function).map_err(QueryError::from_datafusion)?))
}

/// The rows that some window reads. Windows are open on the left and closed on the right, so in whole nanoseconds both
/// ends of the half-open range lie one further.
fn window(steps: Steps, range: i64, offset: i64) -> TimeRange {
    let first = steps.start.saturating_sub(offset).saturating_sub(range).saturating_add(1);
    let end = steps.last().saturating_sub(offset).saturating_add(1);
    TimeRange::new(Timestamp(first), Timestamp(end))
}

/// Labels of the series that `absent_over_time` makes up: equality matchers whose label no other matcher names.
fn absent_labels(matchers: &[Matcher]) -> Result<LabelSet, QueryError> {
    let alone = |matcher: &&Matcher| matcher.op() == MatchOp::Equal && matchers.iter().filter(|other| other.name() == matcher.name()).count() == 1;
    LabelSet::from_pairs(matchers.iter().filter(alone).map(|matcher| (matcher.name(), matcher.value())))
        .map_err(|duplicate| QueryError::Internal { invariant: format!("labels with one matcher are unique: {duplicate}") })
}

fn vector_plan(tenant: &TenantId, vector: &VectorAggregation, steps: Steps) -> Result<LogicalPlan, QueryError> {
    let input = metric_plan(tenant, &vector.inner, steps)?;
    let function = VectorFunction { op: vector.op, parameter: vector.parameter, grouping: vector.grouping.clone(), steps };
    Ok(plan(VectorAggregate { input, function }))
}
