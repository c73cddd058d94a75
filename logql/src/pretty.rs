//! The tree over several lines, as Loki's `format_query` answers it: whatever fits into 100 bytes stays on one line; longer expressions are
//! broken after their function, stage or operator, and indented by two blanks a level.
//! Where Loki's layout would change the query (it drops the parentheses of nested operations, the operands of long or-chains, and empty groupings),
//! this keeps them.

use crate::ast::{BinaryExpr, BinaryOp, Expr, Grouping, LabelReplace, LogExpr, LogRange, MetricExpr, RangeAggregation, Stage, Unwrap, VectorAggregation};
use crate::display::operator_text;
use crate::duration::{format_go, format_prometheus};
use crate::number::format_float;
use schema::quote::quote;

/// Longest expression in bytes that stays on one line.
const LINE_BYTES: usize = 100;

/// `expr` as `format_query` prints it; [`crate::parse()`] reads it back as the same tree.
pub fn format_query(expr: &Expr) -> String {
    match expr {
        Expr::Log(log) => pretty_log(log, 0),
        Expr::Metric(metric) => pretty_metric(metric, 0),
    }
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

/// The expression on one line, unless it is too long for one.
fn one_line(expr: &impl ToString, level: usize) -> Option<String> {
    let text = expr.to_string();
    (text.len() <= LINE_BYTES).then(|| indent(level) + &text)
}

fn pretty_log(log: &LogExpr, level: usize) -> String {
    let selector = LogExpr { matchers: log.matchers.clone(), stages: Vec::new() };
    if log.stages.is_empty() {
        return format!("{}{selector}", indent(level));
    }
    if let Some(line) = one_line(log, level) {
        return line;
    }
    let mut lines = vec![format!("{}{selector}", indent(level))];
    let mut rest = log.stages.as_slice();
    while let Some((first, after)) = rest.split_first() {
        let filters = rest.iter().take_while(|stage| matches!(stage, Stage::LineFilter(_))).count();
        if filters > 0 {
            let (chain, after) = rest.split_at(filters);
            pretty_line_filters(chain, level + 1, &mut lines);
            rest = after;
            continue;
        }
        lines.push(match first {
            // Loki forgets the indentation here.
            Stage::Decolorize => first.to_string(),
            _ => format!("{}{first}", indent(level + 1)),
        });
        rest = after;
    }
    lines.join("\n")
}

/// Neighbouring line filters share a line as far as it goes; each one that no longer fits has a line to itself.
fn pretty_line_filters(chain: &[Stage], level: usize, lines: &mut Vec<String>) {
    let joined = |stages: &[Stage]| stages.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let together = (1..=chain.len()).rev().find(|count| joined(chain.get(..*count).unwrap_or_default()).len() <= LINE_BYTES).unwrap_or(1);
    let (first, others) = chain.split_at(together.min(chain.len()));
    lines.push(indent(level) + &joined(first));
    lines.extend(others.iter().map(|stage| format!("{}{stage}", indent(level))));
}

fn pretty_metric(metric: &MetricExpr, level: usize) -> String {
    if let Some(line) = one_line(metric, level) {
        return line;
    }
    match metric {
        MetricExpr::Range(range) => pretty_range_aggregation(range, level),
        MetricExpr::Vector(vector) => pretty_vector_aggregation(vector, level),
        MetricExpr::Binary(binary) => pretty_binary(binary, level),
        MetricExpr::LabelReplace(replace) => pretty_label_replace(replace, level),
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => format!("{}{metric}", indent(level)),
    }
}

fn pretty_range_aggregation(aggregation: &RangeAggregation, level: usize) -> String {
    let mut out = format!("{}{}(\n", indent(level), aggregation.op.as_str());
    if let Some(parameter) = aggregation.parameter {
        out.push_str(&format!("{}{},\n", indent(level + 1), format_float(parameter)));
    }
    out.push_str(&pretty_log_range(&aggregation.range, level + 1));
    out.push_str(&format!("\n{})", indent(level)));
    if let Some(grouping) = &aggregation.grouping {
        out.push_str(&pretty_grouping(grouping));
    }
    out
}

fn pretty_log_range(range: &LogRange, level: usize) -> String {
    let mut out = pretty_log(&range.log, level);
    if let Some(unwrap) = &range.unwrap {
        out.push('\n');
        out.push_str(&pretty_unwrap(unwrap, level + 1));
    }
    out.push_str(&format!(" [{}]", format_prometheus(range.range)));
    if let Some(offset) = range.offset {
        // Prometheus durations stop at milliseconds.
        let text = if offset % 1_000_000 == 0 { format_prometheus(offset) } else { format_go(offset) };
        out.push_str(&format!(" offset {text}"));
    }
    out
}

fn pretty_unwrap(unwrap: &Unwrap, level: usize) -> String {
    let bare = Unwrap { label: unwrap.label.clone(), conversion: unwrap.conversion, filters: Vec::new() };
    let mut out = format!("{}{bare}", indent(level));
    for filter in &unwrap.filters {
        out.push_str(&format!("\n{}| {filter}", indent(level)));
    }
    out
}

fn pretty_grouping(grouping: &Grouping) -> String {
    format!(" {} ({})", grouping.kind.as_str(), grouping.labels.join(", "))
}

fn pretty_vector_aggregation(aggregation: &VectorAggregation, level: usize) -> String {
    let mut out = format!("{}{}", indent(level), aggregation.op.as_str());
    if let Some(grouping) = &aggregation.grouping {
        out.push_str(&pretty_grouping(grouping));
    }
    out.push_str("(\n");
    if let Some(parameter) = aggregation.parameter {
        out.push_str(&format!("{}{parameter},\n", indent(level + 1)));
    }
    out.push_str(&pretty_metric(&aggregation.inner, level + 1));
    out.push_str(&format!("\n{})", indent(level)));
    out
}

fn pretty_binary(binary: &BinaryExpr, level: usize) -> String {
    let precedence = binary.op.precedence();
    let right_associative = binary.op == BinaryOp::Power;
    let side = |operand: &MetricExpr, binds_on_equal: bool| {
        let needs_parentheses = match operand {
            MetricExpr::Binary(inner) => {
                let own = inner.op.precedence();
                let is_split = one_line(operand, level + 1).is_none();
                is_split && (own < precedence || own == precedence && !binds_on_equal)
            }
            _ => false,
        };
        if needs_parentheses { format!("{0}(\n{1}\n{0})", indent(level + 1), pretty_metric(operand, level + 2)) } else { pretty_metric(operand, level + 1) }
    };
    let left = side(&binary.left, !right_associative);
    let right = side(&binary.right, right_associative);
    let mut operator = operator_text(binary, ", ");
    // The right operand's own parenthesis may open after this line.
    if operator.ends_with("group_left") || operator.ends_with("group_right") {
        let opens = right.trim_start().starts_with('(');
        operator.push_str(if opens { " ()" } else { "" });
    }
    format!("{left}\n{}{operator}\n{right}", indent(level))
}

fn pretty_label_replace(replace: &LabelReplace, level: usize) -> String {
    let inner = pretty_metric(&replace.inner, level + 1);
    let arguments = [&replace.destination, &replace.replacement, &replace.source, &replace.pattern];
    let arguments: Vec<String> = arguments.into_iter().map(|argument| indent(level + 1) + &quote(argument)).collect();
    format!("{0}label_replace(\n{inner},\n{1}\n{0})", indent(level), arguments.join(",\n"))
}
