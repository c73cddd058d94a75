//! Syntax tree to logical plan, one node for one thing that the query says. Nothing is optimised here.

use datafusion::logical_expr::LogicalPlan;
use logql::Expr;
use logql::ast::{self, BinaryExpr, Grouping, GroupingKind, LogExpr, LogRange, MetricExpr, RangeAggregation, RangeOp, Stage, VectorAggregation};
use schema::{LabelSet, MatchOp, Matcher, TenantId, TenantSet, TimeRange, Timestamp};

use super::node::plan;
use super::{
    Entries, Evaluation, LineFilter, PipelineStage, QuerySpec, RangeAggregate, RangeFunction, SampleFunction, SampleOperation, Steps, StreamScan, TenantUnion,
    Unwrap, VectorAggregate, VectorFunction,
};
use crate::QueryError;
use crate::pipeline::NeededLabels;
use crate::tenants::{TENANT_LABEL, choose};

/// The plan of a query. Errors: a log query at an instant (Loki's text).
pub fn build(spec: &QuerySpec) -> Result<LogicalPlan, QueryError> {
    match (&spec.expr, &spec.evaluation) {
        (Expr::Log(log), Evaluation::Range { start, end, .. }) => {
            let input = rows_plan(&spec.tenants, log, None, TimeRange::new(*start, *end), true)?;
            Ok(plan(Entries { input, limit: spec.limit, direction: spec.direction, interval: spec.interval_ns.max(0) }))
        }
        (Expr::Log(_), Evaluation::Instant { .. }) => Err(QueryError::Invalid {
            message: "log queries are not supported as an instant query type, please change your query to a range query type".to_owned(),
        }),
        (Expr::Metric(metric), evaluation) => metric_plan(&spec.tenants, metric, Steps::of(evaluation)),
    }
}

/// The rows of a log expression, or of the range of a metric one with its `unwrap`. Of several tenants each has a plan of its own, up to
/// where rows of different streams meet.
fn rows_plan(tenants: &TenantSet, log: &LogExpr, unwrap: Option<(&ast::Unwrap, bool)>, range: TimeRange, position: bool) -> Result<LogicalPlan, QueryError> {
    let (chosen, matchers) = choose(tenants, &log.matchers);
    let of = |tenant: &TenantId| {
        let input = log_plan(tenant, &matchers, &log.stages, range, position)?;
        match unwrap {
            Some((unwrap, keep)) => Ok(plan(Unwrap::new(input, unwrap.clone(), keep).map_err(QueryError::from_datafusion)?)),
            None => Ok(input),
        }
    };
    match tenants.only() {
        Some(only) => of(only),
        None => {
            let inputs = chosen.iter().map(of).collect::<Result<Vec<_>, QueryError>>()?;
            Ok(plan(TenantUnion::new(chosen, inputs, position).map_err(QueryError::from_datafusion)?))
        }
    }
}

fn log_plan(tenant: &TenantId, matchers: &[Matcher], stages: &[Stage], range: TimeRange, position: bool) -> Result<LogicalPlan, QueryError> {
    let scan = StreamScan::new(tenant.clone(), matchers.to_vec(), range, position).map_err(QueryError::from_datafusion)?;
    Ok(stages.iter().fold(plan(scan), |input, stage| match stage {
        Stage::LineFilter(filter) => plan(LineFilter { input, filter: filter.clone() }),
        stage => plan(PipelineStage { input, stage: stage.clone(), needed: NeededLabels::All }),
    }))
}

fn metric_plan(tenants: &TenantSet, metric: &MetricExpr, steps: Steps) -> Result<LogicalPlan, QueryError> {
    match metric {
        MetricExpr::Range(range) => range_plan(tenants, range, steps),
        MetricExpr::Vector(vector) => vector_plan(tenants, vector, steps),
        MetricExpr::Binary(binary) => binary_plan(tenants, binary, steps),
        MetricExpr::Literal(value) | MetricExpr::VectorLiteral(value) => sample_operation(Vec::new(), SampleFunction::Constant { value: *value, steps }),
        MetricExpr::LabelReplace(replace) => {
            let function = SampleFunction::LabelReplace {
                destination: replace.destination.clone(),
                replacement: replace.replacement.clone(),
                source: replace.source.clone(),
                pattern: replace.pattern.clone(),
            };
            sample_operation(vec![metric_plan(tenants, &replace.inner, steps)?], function)
        }
    }
}

fn sample_operation(inputs: Vec<LogicalPlan>, function: SampleFunction) -> Result<LogicalPlan, QueryError> {
    Ok(plan(SampleOperation::new(inputs, function).map_err(QueryError::from_datafusion)?))
}

/// A literal on one side is a number for the operator, not a vector. Set operators have no literal sides: the parser refuses them.
fn binary_plan(tenants: &TenantSet, binary: &BinaryExpr, steps: Steps) -> Result<LogicalPlan, QueryError> {
    let scalar = |scalar, scalar_is_left| SampleFunction::Scalar { op: binary.op, return_bool: binary.return_bool, scalar, scalar_is_left };
    match (&binary.left, &binary.right) {
        (MetricExpr::Literal(left), right) => sample_operation(vec![metric_plan(tenants, right, steps)?], scalar(*left, true)),
        (left, MetricExpr::Literal(right)) => sample_operation(vec![metric_plan(tenants, left, steps)?], scalar(*right, false)),
        (left, right) => {
            let inputs = vec![metric_plan(tenants, left, steps)?, metric_plan(tenants, right, steps)?];
            sample_operation(inputs, SampleFunction::Binary { op: binary.op, return_bool: binary.return_bool, matching: binary.matching.clone() })
        }
    }
}

fn range_plan(tenants: &TenantSet, aggregation: &RangeAggregation, steps: Steps) -> Result<LogicalPlan, QueryError> {
    let LogRange { log, range, offset, unwrap } = &aggregation.range;
    let offset = offset.unwrap_or(0);
    let unwrap = unwrap.as_ref().map(|unwrap| {
        let keep = aggregation.grouping.as_ref().is_some_and(|grouping| grouping.kind == GroupingKind::By && grouping.labels.contains(&unwrap.label));
        (unwrap, keep)
    });
    let input = rows_plan(tenants, log, unwrap, window(steps, *range, offset), false)?;
    let absent_labels = if aggregation.op == RangeOp::AbsentOverTime { absent_labels(&log.matchers)? } else { LabelSet::default() };
    let function = RangeFunction {
        op: aggregation.op,
        parameter: aggregation.parameter,
        range: *range,
        offset,
        steps,
        unwrapped: unwrap.is_some(),
        grouping: aggregation.grouping.as_ref().map(|grouping| if tenants.only().is_some() { grouping.clone() } else { by_tenant(grouping) }),
        absent_labels,
    };
    Ok(plan(RangeAggregate::new(input, function).map_err(QueryError::from_datafusion)?))
}

/// A range aggregation's own grouping says what one tenant's series are: as in Loki, series of several tenants stay apart.
fn by_tenant(grouping: &Grouping) -> Grouping {
    let others = grouping.labels.iter().filter(|label| *label != TENANT_LABEL).cloned();
    let labels = match grouping.kind {
        GroupingKind::By => others.chain([TENANT_LABEL.to_owned()]).collect(),
        GroupingKind::Without => others.collect(),
    };
    Grouping { kind: grouping.kind, labels }
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

fn vector_plan(tenants: &TenantSet, vector: &VectorAggregation, steps: Steps) -> Result<LogicalPlan, QueryError> {
    let input = metric_plan(tenants, &vector.inner, steps)?;
    let function = VectorFunction { op: vector.op, parameter: vector.parameter, grouping: vector.grouping.clone(), steps };
    Ok(plan(VectorAggregate { input, function }))
}
