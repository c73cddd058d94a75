//! `| status >= 500 and level = "error"` (spec/logql.md 3.12).
//! A regex is anchored at both ends, as Loki documents it.

use std::cmp::Ordering;

use logql::ast::{CompareOp, LabelFilter, Number};
use schema::MatchOp;

use super::{Row, Stage, Verdict, errors, values};
use crate::QueryError;
use crate::labels::RowLabels;
use crate::line_filter::{IpMatcher, translate_regex};

/// The stage, compiled.
#[derive(Debug)]
pub(crate) struct CompiledLabelFilter {
    filter: Node,
}

#[derive(Debug)]
enum Node {
    /// `.` does not match a newline here, unlike in a selector, so regexes are compiled anew.
    Regex {
        name: String,
        regex: regex::Regex,
        negated: bool,
    },
    Text {
        name: String,
        value: String,
        negated: bool,
    },
    Compare {
        name: String,
        op: CompareOp,
        value: Number,
    },
    Ip {
        name: String,
        matcher: IpMatcher,
        negated: bool,
    },
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
}

impl CompiledLabelFilter {
    /// Errors: an address that is none.
    pub(crate) fn new(filter: &LabelFilter) -> Result<Self, QueryError> {
        Ok(Self { filter: compile(filter)? })
    }

    /// Whether the row passes; may set `__error__` on it.
    pub(crate) fn passes(&self, labels: &mut RowLabels<'_>) -> bool {
        self.filter.passes(labels)
    }
}

impl Stage for CompiledLabelFilter {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        self.passes(&mut row.labels).into()
    }

    fn reads_only_labels(&self) -> bool {
        true
    }
}

fn compile(filter: &LabelFilter) -> Result<Node, QueryError> {
    Ok(match filter {
        LabelFilter::Matcher(matcher) => match matcher.op() {
            MatchOp::Equal | MatchOp::NotEqual => {
                Node::Text { name: matcher.name().to_owned(), value: matcher.value().to_owned(), negated: matcher.op() == MatchOp::NotEqual }
            }
            MatchOp::Regex | MatchOp::NotRegex => {
                let regex = regex::Regex::new(&format!("^(?:{})$", translate_regex(matcher.value())?))
                    .map_err(|error| QueryError::Invalid { message: format!("parse error : {error}") })?;
                Node::Regex { name: matcher.name().to_owned(), regex, negated: matcher.op() == MatchOp::NotRegex }
            }
        },
        LabelFilter::Ip { name, negated, pattern } => {
            let matcher = IpMatcher::parse(pattern).ok_or_else(|| QueryError::Invalid {
                message: format!("parse error : stage '| {filter}' : ip: invalid pattern: {}", schema::quote::quote(pattern)),
            })?;
            Node::Ip { name: name.clone(), matcher, negated: *negated }
        }
        LabelFilter::Compare { name, op, value } => Node::Compare { name: name.clone(), op: *op, value: *value },
        LabelFilter::And(left, right) => Node::And(Box::new(compile(left)?), Box::new(compile(right)?)),
        LabelFilter::Or(left, right) => Node::Or(Box::new(compile(left)?), Box::new(compile(right)?)),
    })
}

impl Node {
    fn passes(&self, labels: &mut RowLabels<'_>) -> bool {
        match self {
            Self::Text { name, value, negated } => (labels.value(name) == value) != *negated,
            Self::Regex { name, regex, negated } => regex.is_match(labels.value(name)) != *negated,
            Self::Ip { name, matcher, negated } => match labels.get(name) {
                Some(label) => matcher.matches(label.value.as_bytes()) != *negated,
                // The label may be missing because of the error.
                None => labels.has_error(),
            },
            Self::Compare { name, op, value } => compare(labels, name, *op, *value),
            Self::And(left, right) => {
                // Both sides run, so that an error of the right one is set even where the left one drops the row's sibling.
                let left = left.passes(labels);
                let right = right.passes(labels);
                left && right
            }
            Self::Or(left, right) => left.passes(labels) || right.passes(labels),
        }
    }
}

/// A missing label drops the row, an unreadable one keeps it and sets an error.
fn compare(labels: &mut RowLabels<'_>, name: &str, op: CompareOp, wanted: Number) -> bool {
    let Some(label) = labels.get(name) else { return false };
    let order = match wanted {
        Number::Plain(wanted) => values::number(label.value).map(|value| value.partial_cmp(&wanted)),
        Number::Duration(wanted) => values::duration(label.value).map(|value| Some(value.cmp(&wanted))),
        Number::Bytes(wanted) => values::bytes(label.value).map(|value| Some(value.cmp(&wanted))),
    };
    match order {
        Ok(order) => holds(op, order),
        Err(details) => {
            if !labels.has_error() {
                labels.set_error(errors::LABEL_FILTER, &details);
            }
            true
        }
    }
}

/// Comparisons with NaN hold only for `!=`.
fn holds(op: CompareOp, order: Option<Ordering>) -> bool {
    match op {
        CompareOp::Equal => order == Some(Ordering::Equal),
        CompareOp::NotEqual => order != Some(Ordering::Equal),
        CompareOp::Greater => order == Some(Ordering::Greater),
        CompareOp::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        CompareOp::Less => order == Some(Ordering::Less),
        CompareOp::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;
    use logql::ast::Stage as StageAst;

    const LABELS: &str = r#"{app="foo bar", n="5", d="1m30s", b="1.5KB", ip="10.1.2.3", bad="x"}"#;

    fn filter(text: &str) -> String {
        let query = format!(r#"{{a="b"}} | {text}"#);
        let logql::Expr::Log(log) = logql::parse(&query).unwrap() else { panic!("{query}") };
        let Some(StageAst::LabelFilter(filter)) = log.stages.first() else { panic!("{query}") };
        run(&CompiledLabelFilter::new(filter).unwrap(), LABELS, "")
    }

    fn passes(text: &str) -> bool {
        filter(text) != "dropped"
    }

    #[test]
    fn texts_and_anchored_regexes() {
        for text in [r#"app="foo bar""#, r#"app!="x""#, r#"app=~"foo.*""#, r#"app!~"foo""#, r#"none="""#, r#"none!="x""#, r#"app=~".+""#, r#"app=~".*bar|x""#] {
            assert!(passes(text), "{text}");
        }
        for text in [r#"app="foo""#, r#"app=~"oo.*""#, r#"app=~"foo""#, r#"app!~"foo.*""#, r#"none!="""#, r#"app=~"bar|buzz""#] {
            assert!(!passes(text), "{text}");
        }
    }

    #[test]
    fn numbers_durations_and_sizes() {
        for text in ["n = 5", "n == 5.0", "n >= 5", "n < 6", "n != 4", "d > 1m", "d <= 90s", "b = 1500B", "b < 2KB", "b > 1KiB"] {
            assert!(passes(text), "{text}");
        }
        for text in ["n > 5", "n != 5", "d > 2m", "b > 1.5KiB", "none > 5", "none != 5", "none < 1s", "none < 1KB"] {
            assert!(!passes(text), "{text}");
        }
    }

    #[test]
    fn an_unreadable_label_keeps_the_row_with_an_error() {
        assert!(filter("bad > 5").contains(r#"__error__=LabelFilterErr __error_details__=strconv.ParseFloat: parsing "x": invalid syntax"#));
        assert!(filter("bad > 5s").contains(r#"__error_details__=time: invalid duration "x""#));
        assert!(filter("bad > 5KB").contains("__error__=LabelFilterErr"));
    }

    #[test]
    fn combinations() {
        for text in [
            "n = 5 and d > 1m",
            "n = 4 or d > 1m",
            "n = 5, d > 1m",
            r#"(n = 4 or n = 5) and app=~"foo.*""#,
            r#"ip = ip("10.0.0.0/8")"#,
            r#"ip != ip("10.1.2.4")"#,
        ] {
            assert!(passes(text), "{text}");
        }
        for text in [
            "n = 5 and d > 2m",
            "n = 4 or d > 2m",
            "n = 5, d > 2m",
            r#"ip = ip("192.168.0.0/16")"#,
            r#"none = ip("10.0.0.0/8")"#,
            r#"none != ip("10.0.0.0/8")"#,
        ] {
            assert!(!passes(text), "{text}");
        }
    }
}
