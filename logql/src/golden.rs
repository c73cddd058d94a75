//! Golden files: `golden/*.txt`, each a list of queries with what they become. `BLESS=1` rewrites the answers; then read the difference.

use std::fmt::Write as _;

use crate::ast::{Expr, LabelFilter, MetricExpr, Stage};
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
    check("tokens.txt", |query| {
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
    });
}

#[test]
fn trees() {
    check("trees.txt", |query| match crate::parse(query).unwrap() {
        Expr::Log(log) => log.stages.iter().map(stage).collect::<Vec<_>>().join(" "),
        Expr::Metric(metric) => shape(&metric),
    });
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
