//! Metric expressions: aggregations, `label_replace`, `vector`, literals, parentheses.

use super::{CLOSE_PAREN, COMMA, Checked, NONE, NUMBER, OPEN_PAREN, Parser, STRING, Value};
use crate::MAX_DEPTH;
use crate::ast::{Grouping, GroupingKind, LabelReplace, LogExpr, LogRange, MetricExpr, RangeAggregation, RangeOp, VectorAggregation, VectorOp};
use crate::error::{ParseError, ParseErrorKind};
use crate::go_regex;
use crate::number::parse_float;
use crate::token::TokenKind;

impl Parser<'_> {
    /// What stands between binary operators.
    pub(super) fn operand(&mut self) -> Result<Box<Checked>, ParseError> {
        match self.peek()? {
            TokenKind::OpenBrace => Ok(checked_log(self.log_query()?)),
            TokenKind::OpenParen => {
                self.bump()?;
                let inner = self.nested(|parser| parser.expression(0))?;
                self.expect(TokenKind::CloseParen, NONE)?;
                Ok(inner)
            }
            TokenKind::Number | TokenKind::Add | TokenKind::Subtract => {
                let (negative, text) = self.signed_number()?;
                Ok(literal(negative, &text))
            }
            TokenKind::RangeOp(op) => self.range_aggregation(op),
            TokenKind::VectorOp(op) => self.nested(|parser| parser.vector_aggregation(op)),
            TokenKind::LabelReplace => self.nested(Self::label_replace),
            TokenKind::Vector => self.vector(),
            _ => Err(self.unexpected(NONE)),
        }
    }

    fn range_aggregation(&mut self, op: RangeOp) -> Result<Box<Checked>, ParseError> {
        self.bump()?;
        self.expect(TokenKind::OpenParen, OPEN_PAREN)?;
        let (parameter, range) = if self.peek()? == TokenKind::Number {
            let number = self.expect_text(TokenKind::Number, NUMBER)?;
            self.expect(TokenKind::Comma, COMMA)?;
            (Some(number), self.log_range(&["{", "("])?)
        } else {
            (None, self.log_range(&["NUMBER", "{", "("])?)
        };
        self.expect(TokenKind::CloseParen, CLOSE_PAREN)?;
        let grouping = self.optional_grouping()?;
        Ok(checked_range(op, parameter, range, grouping))
    }

    fn vector_aggregation(&mut self, op: VectorOp) -> Result<Box<Checked>, ParseError> {
        self.bump()?;
        let before = self.optional_grouping()?;
        self.expect(TokenKind::OpenParen, if before.is_some() { OPEN_PAREN } else { &["(", "by", "without"] })?;
        let mut parameter = None;
        let inner = if self.peek()? == TokenKind::Number {
            let number = self.expect_text(TokenKind::Number, NUMBER)?;
            if self.eat(TokenKind::Comma)? {
                parameter = Some(number);
                self.metric()?
            } else {
                let first = literal(false, &number);
                let whole = self.expression_from(first, 0)?;
                self.must_be_metric(whole)?
            }
        } else {
            self.metric()?
        };
        self.expect(TokenKind::CloseParen, NONE)?;
        let grouping = match before {
            Some(grouping) => Some(grouping),
            None => self.optional_grouping()?,
        };
        self.checked_vector(op, parameter, grouping, inner)
    }

    /// An expression that is no log query.
    fn metric(&mut self) -> Result<Box<Checked>, ParseError> {
        let inner = self.expression(0)?;
        self.must_be_metric(inner)
    }

    fn must_be_metric(&mut self, checked: Box<Checked>) -> Result<Box<Checked>, ParseError> {
        match checked.value {
            Value::Metric(_) => Ok(checked),
            // The log query is complete, and nothing can follow it here.
            Value::Log(_) => Err(self.unexpected(NONE)),
        }
    }

    fn optional_grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let kind = match self.peek()? {
            TokenKind::By => GroupingKind::By,
            TokenKind::Without => GroupingKind::Without,
            _ => return Ok(None),
        };
        self.bump()?;
        Ok(Some(Grouping { kind, labels: self.names()? }))
    }

    fn label_replace(&mut self) -> Result<Box<Checked>, ParseError> {
        self.bump()?;
        self.expect(TokenKind::OpenParen, OPEN_PAREN)?;
        let inner = self.metric()?;
        self.expect(TokenKind::Comma, NONE)?;
        let destination = self.expect_text(TokenKind::Str, STRING)?;
        self.comma()?;
        let replacement = self.expect_text(TokenKind::Str, STRING)?;
        self.comma()?;
        let source = self.expect_text(TokenKind::Str, STRING)?;
        self.comma()?;
        let pattern = self.expect_text(TokenKind::Str, STRING)?;
        self.expect(TokenKind::CloseParen, CLOSE_PAREN)?;
        let regex = match go_regex::compile(&format!("^(?:{pattern})$")) {
            Ok(regex) => regex,
            Err(error) => return Ok(Checked::invalid(ParseErrorKind::LabelReplace(error))),
        };
        let (problem, invalid, depth) = (inner.problem, inner.invalid, self.deeper(inner.depth)?);
        let value = match inner.value {
            Value::Metric(inner) => MetricExpr::LabelReplace(Box::new(LabelReplace { inner, destination, replacement, source, pattern, regex })),
            Value::Log(_) => return Err(self.unexpected(NONE)),
        };
        Ok(Box::new(Checked { value: Value::Metric(value), problem, invalid, depth }))
    }

    fn vector(&mut self) -> Result<Box<Checked>, ParseError> {
        self.bump()?;
        self.expect(TokenKind::OpenParen, OPEN_PAREN)?;
        let number = self.expect_text(TokenKind::Number, NUMBER)?;
        self.expect(TokenKind::CloseParen, CLOSE_PAREN)?;
        Ok(match parse_float(&number) {
            Ok(value) => Checked::metric(MetricExpr::VectorLiteral(value)),
            Err(error) => Checked::invalid(ParseErrorKind::Vector(error)),
        })
    }

    fn checked_vector(&mut self, op: VectorOp, parameter: Option<String>, grouping: Option<Grouping>, inner: Box<Checked>) -> Result<Box<Checked>, ParseError> {
        let parameter = match vector_parameter(op, parameter, grouping.is_some()) {
            Ok(parameter) => parameter,
            Err(problem) => return Ok(Checked::invalid(problem)),
        };
        let (mut problem, invalid, depth) = (inner.problem, inner.invalid, self.deeper(inner.depth)?);
        // `by ()` is the default: Loki's tree does not tell the two apart.
        let grouping = grouping.filter(|grouping| grouping.kind == GroupingKind::Without || !grouping.labels.is_empty());
        let groups_by_labels = grouping.as_ref().is_some_and(|grouping| !grouping.labels.is_empty());
        if matches!(op, VectorOp::Sort | VectorOp::SortDesc) && groups_by_labels {
            problem = Some(ParseErrorKind::SortGrouping);
        }
        let inner = match inner.value {
            Value::Metric(inner) => Box::new(inner),
            Value::Log(_) => return Err(self.unexpected(NONE)),
        };
        Ok(Box::new(Checked { value: Value::Metric(MetricExpr::Vector(VectorAggregation { op, parameter, grouping, inner })), problem, invalid, depth }))
    }

    /// The depth of a node over children of `depth`.
    pub(super) fn deeper(&mut self, depth: usize) -> Result<usize, ParseError> {
        if depth >= MAX_DEPTH { Err(self.too_deep()) } else { Ok(depth + 1) }
    }
}

fn checked_log(log: LogExpr) -> Box<Checked> {
    let problem = selectivity(&log);
    Box::new(Checked { value: Value::Log(log), problem, invalid: None, depth: 1 })
}

/// A selector must have a matcher that streams without the label cannot pass.
fn selectivity(log: &LogExpr) -> Option<ParseErrorKind> {
    log.matchers.iter().all(schema::Matcher::matches_empty).then_some(ParseErrorKind::EmptyCompatible)
}

fn literal(negative: bool, text: &str) -> Box<Checked> {
    match parse_float(text) {
        Ok(value) => Checked::metric(MetricExpr::Literal(if negative { -value } else { value })),
        Err(error) => {
            let problem = ParseErrorKind::Literal(error);
            Box::new(Checked { value: Value::Metric(MetricExpr::Literal(0.0)), problem: Some(problem.clone()), invalid: Some(problem), depth: 1 })
        }
    }
}

fn checked_range(op: RangeOp, parameter: Option<String>, range: LogRange, grouping: Option<Grouping>) -> Box<Checked> {
    let parameter = match range_problem(op, parameter, &range, grouping.as_ref()) {
        Ok(parameter) => parameter,
        Err(problem) => return Checked::invalid(problem),
    };
    let problem = selectivity(&range.log);
    Box::new(Checked { value: Value::Metric(MetricExpr::Range(RangeAggregation { op, parameter, range, grouping })), problem, invalid: None, depth: 1 })
}

/// The parameter as a number, or what is wrong with the aggregation.
fn range_problem(op: RangeOp, parameter: Option<String>, range: &LogRange, grouping: Option<&Grouping>) -> Result<Option<f64>, ParseErrorKind> {
    let name = op.as_str();
    let parameter = match (parameter, op) {
        (Some(text), RangeOp::QuantileOverTime) => Some(parse_float(&text).map_err(|source| ParseErrorKind::Quantile { op: name, source })?),
        (Some(parameter), _) => return Err(ParseErrorKind::RangeParameter { parameter, op: name }),
        (None, RangeOp::QuantileOverTime) => return Err(ParseErrorKind::ParameterRequired { op: name }),
        (None, _) => None,
    };
    if grouping.is_some() && !op.allows_grouping() {
        return Err(ParseErrorKind::Grouping { op: name });
    }
    match range.unwrap {
        Some(_) if !op.allows_unwrap() => Err(ParseErrorKind::WithUnwrap { op: name }),
        None if !op.allows_lines() => Err(ParseErrorKind::WithoutUnwrap { op: name }),
        _ => Ok(parameter),
    }
}

fn vector_parameter(op: VectorOp, parameter: Option<String>, grouped: bool) -> Result<Option<u64>, ParseErrorKind> {
    let name = op.as_str();
    if !op.needs_parameter() {
        return match parameter {
            Some(parameter) => Err(ParseErrorKind::VectorParameterUnsupported { op: name, parameter }),
            None => Ok(None),
        };
    }
    let Some(text) = parameter else { return Err(ParseErrorKind::ParameterRequired { op: name }) };
    let Ok(count) = text.parse::<i64>() else { return Err(ParseErrorKind::VectorParameter { op: name, parameter: text }) };
    let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) else {
        return Err(ParseErrorKind::VectorParameterZero { op: name, parameter: text });
    };
    if op == VectorOp::ApproxTopk && grouped {
        return Err(ParseErrorKind::Grouping { op: name });
    }
    Ok(Some(count))
}
