//! Label filters: a filter as LogQL writes it, and the values of labels `x` and `y`.

use logql::Expr;
use logql::ast::{CompareOp, LabelFilter, Stage};
use query_fn::labels::Category;
use query_fn::pipeline::{NeededLabels, label_filter};

use super::{Outcome, base, compile, parts, run, text};

/// A filter means the same when it is printed and read again, and as a stage of its own; opposite operators have opposite outcomes.
pub fn run_label_filter(data: &[u8]) {
    let [filter, x, y] = parts(data);
    let (Some(filter), Some(x), Some(y)) = (text(filter), text(x), text(y)) else { return };
    let Some(filter) = parse(filter) else { return };
    let Some(outcome) = apply(&filter, x, y) else { return };
    let stage = compile(&Stage::LabelFilter(filter.clone()), &NeededLabels::All).expect("compiled once, compiled twice");
    assert!(stage.reads_only_labels());
    let printed = filter.to_string();
    let again = parse(&printed).unwrap_or_else(|| panic!("{printed:?} does not parse"));
    assert_eq!(apply(&again, x, y).as_ref(), Some(&outcome), "{printed}");
    if let Some(opposite) = opposite(&filter)
        && !outcome.has_error()
        && let Some(other) = apply(&opposite, x, y)
    {
        assert_ne!(other.kept, outcome.kept, "{filter} and {opposite} with {x:?}");
    }
    if let LabelFilter::And(left, right) = &filter
        && let (Some(left), Some(right)) = (apply(left, x, y), apply(right, x, y))
        && !left.has_error()
        && !right.has_error()
    {
        assert_eq!(outcome.kept, left.kept && right.kept, "{filter}");
    }
}

fn parse(filter: &str) -> Option<LabelFilter> {
    match logql::parse(&format!("{{a=\"b\"}} | {filter}")) {
        Ok(Expr::Log(log)) => match <[Stage; 1]>::try_from(log.stages) {
            Ok([Stage::LabelFilter(filter)]) => Some(filter),
            _ => None,
        },
        _ => None,
    }
}

fn apply(filter: &LabelFilter, x: &str, y: &str) -> Option<Outcome> {
    let stage = label_filter(filter).ok()?;
    let mut labels = base();
    labels.push((Category::Parsed, "x".to_owned(), x.to_owned()));
    labels.push((Category::Parsed, "y".to_owned(), y.to_owned()));
    Some(run(&[stage], &labels, b"line"))
}

/// The filter with the opposite operator, where one of the labels that are there decides.
fn opposite(filter: &LabelFilter) -> Option<LabelFilter> {
    let LabelFilter::Compare { name, op, value } = filter else { return None };
    let op = match op {
        CompareOp::Equal => CompareOp::NotEqual,
        CompareOp::NotEqual => CompareOp::Equal,
        // With NaN neither of these holds.
        CompareOp::Greater | CompareOp::GreaterOrEqual | CompareOp::Less | CompareOp::LessOrEqual => return None,
    };
    matches!(name.as_str(), "x" | "y").then(|| LabelFilter::Compare { name: name.clone(), op, value: *value })
}
