//! Golden files: `golden/*.txt`, each a list of queries with what they become. `BLESS=1` rewrites the answers; then read the difference.

use std::fmt::Write as _;

use crate::ast::{Expr, LabelFilter, LogExpr, MetricExpr, Stage};
use crate::lexer::Lexer;
use crate::token::{TokenKind, TokenValue};

/// Runs every case of `file`: `====`, the query, `----`, the answer.
fn check(file: &str, answer: impl Fn(&str) -> String) {
    let path = format!("{}/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, body) = text.split_once("====\n").unwrap();
    let mut blessed = head.to_owned();
    let mut wrong = String::new();
    let mut cases = 0;
    for case in body.split("\n====\n").map(|case| case.strip_suffix('\n').unwrap_or(case)) {
        let (query, expected) = match case.strip_prefix("----\n") {
            Some(expected) => ("", expected),
            None => case.split_once("\n----\n").unwrap_or_else(|| panic!("{file}: no answer in {case:?}")),
        };
        let found = answer(query);
        let newline = if query.is_empty() { "" } else { "\n" };
        writeln!(blessed, "====\n{query}{newline}----\n{found}").unwrap();
        if found != expected {
            writeln!(wrong, "query    {query}\nexpected {expected}\nfound    {found}\n").unwrap();
        }
        cases += 1;
    }
    assert!(cases > 5, "{file}: only {cases} cases");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, blessed).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{file}\n{wrong}");
}

fn error(query: &str) -> String {
    crate::parse(query).map_or_else(|error| error.to_string(), |expr| format!("no error: {expr}"))
}

#[test]
fn one_line_forms_are_lokis() {
    check("printed.txt", |query| crate::parse(query).unwrap().to_string());
}

#[test]
fn many_line_forms_are_lokis() {
    check("pretty.txt", |query| crate::format_query(&crate::parse(query).unwrap()));
    check("recorded_format.txt", |query| crate::format_query(&crate::parse(query).unwrap()));
}

#[test]
fn error_texts_are_lokis() {
    check("recorded_errors.txt", error);
    check("errors.txt", error);
}

#[test]
fn forms_that_differ_from_loki_read_back() {
    check("deviations.txt", |query| {
        let expr = crate::parse(query).unwrap();
        let printed = crate::format_query(&expr);
        let again = crate::parse(&printed).unwrap();
        assert_eq!(format!("{again:?}"), format!("{expr:?}"), "{printed}");
        printed
    });
}

#[test]
fn tokens() {
    check("tokens.txt", tokens_of);
}

fn tokens_of(query: &str) -> String {
    let mut lexer = Lexer::new(query);
    let mut out = Vec::new();
    loop {
        match lexer.next_token() {
            Ok(token) if token.kind == TokenKind::End => return out.join(" "),
            Ok(token) => {
                let value = match token.value {
                    TokenValue::None => String::new(),
                    TokenValue::Text(text) => format!("({text})"),
                    TokenValue::Duration(nanos) => format!("({nanos}ns)"),
                    TokenValue::Bytes(bytes) => format!("({bytes})"),
                };
                out.push(format!("{}{value}", token.kind.name()));
            }
            Err(error) => {
                out.push(error.to_string());
                return out.join(" ");
            }
        }
    }
}

/// The first two hops of the queries whose plans and answers are golden in query-fn.
#[test]
fn hops() {
    check("hops.txt", |query| format!("{}\n{}", tokens_of(query), whole(&crate::parse(query).unwrap())));
}

#[test]
fn trees() {
    check("trees.txt", |query| match crate::parse(query).unwrap() {
        Expr::Log(log) => log.stages.iter().map(stage).collect::<Vec<_>>().join(" "),
        Expr::Metric(metric) => shape(&metric),
    });
}

/// The tree with its selectors.
fn whole(expr: &Expr) -> String {
    let stages = |stages: &[Stage]| stages.iter().map(|one| format!(" {}", stage(one))).collect::<String>();
    match expr {
        Expr::Log(log) => format!("(log {}{})", selector(log), stages(&log.stages)),
        Expr::Metric(metric) => {
            let mut selectors = Vec::new();
            collect_selectors(metric, &mut selectors);
            format!("{} over {}", shape(metric), selectors.join(" "))
        }
    }
}

fn selector(log: &LogExpr) -> String {
    format!("{{{}}}", log.matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

fn collect_selectors(metric: &MetricExpr, out: &mut Vec<String>) {
    match metric {
        MetricExpr::Binary(binary) => {
            collect_selectors(&binary.left, out);
            collect_selectors(&binary.right, out);
        }
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => {}
        MetricExpr::Vector(vector) => collect_selectors(&vector.inner, out),
        MetricExpr::Range(range) => out.push(selector(&range.range.log)),
        MetricExpr::LabelReplace(replace) => collect_selectors(&replace.inner, out),
    }
}

/// Label filters with every pair in brackets, other stages in `Debug` form.
fn stage(stage: &Stage) -> String {
    match stage {
        Stage::LabelFilter(filter) => label_filter(filter),
        other => format!("{other:?}"),
    }
}

fn label_filter(filter: &LabelFilter) -> String {
    match filter {
        LabelFilter::And(left, right) => format!("(and {} {})", label_filter(left), label_filter(right)),
        LabelFilter::Or(left, right) => format!("(or {} {})", label_filter(left), label_filter(right)),
        LabelFilter::Matcher(matcher) => matcher.to_string(),
        LabelFilter::Ip { name, negated, pattern } => format!("(ip {name} negated={negated} {pattern})"),
        LabelFilter::Compare { name, op, value } => format!("({op:?} {name} {value:?})"),
    }
}

/// Operators before their operands.
fn shape(metric: &MetricExpr) -> String {
    match metric {
        MetricExpr::Binary(binary) => {
            let bool_word = if binary.return_bool { " bool" } else { "" };
            let matching = binary.matching.as_ref().map_or_else(String::new, |matching| format!(" {matching:?}"));
            format!("({}{bool_word}{matching} {} {})", binary.op.as_str(), shape(&binary.left), shape(&binary.right))
        }
        MetricExpr::Literal(value) => value.to_string(),
        MetricExpr::VectorLiteral(value) => format!("v{value}"),
        MetricExpr::Vector(vector) => format!("({} {:?} {:?} {})", vector.op.as_str(), vector.parameter, vector.grouping, shape(&vector.inner)),
        MetricExpr::Range(range) => {
            let stages = range.range.log.stages.iter().map(stage).collect::<Vec<_>>().join(" ");
            let (width, offset) = (range.range.range / 1_000_000_000, range.range.offset.map(|nanos| nanos / 1_000_000_000));
            format!("({} {:?} [{stages}] {width}s {offset:?} {:?} {:?})", range.op.as_str(), range.parameter, range.range.unwrap, range.grouping)
        }
        MetricExpr::LabelReplace(replace) => {
            format!("(label_replace {} {} {} {} {})", shape(&replace.inner), replace.destination, replace.replacement, replace.source, replace.pattern)
        }
    }
}
