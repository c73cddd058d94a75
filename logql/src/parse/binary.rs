//! Binary operations: precedence, modifiers, and the folding of literals.

use super::{Checked, Parser, Value};
use crate::ast::{BinaryExpr, BinaryOp, GroupSide, LogExpr, MatchOn, MetricExpr, VectorMatching};
use crate::error::{ParseError, ParseErrorKind, Shown, Side};
use crate::token::TokenKind;

/// What stands between an operator and its right operand.
#[derive(Default)]
struct Modifiers {
    return_bool: bool,
    matching: Option<VectorMatching>,
}

impl Parser<'_> {
    /// An expression whose operators bind at least as tightly as `min_precedence`.
    pub(super) fn expression(&mut self, min_precedence: u8) -> Result<Box<Checked>, ParseError> {
        let first = self.operand()?;
        self.expression_from(first, min_precedence)
    }

    /// The rest of an expression whose first operand was read.
    pub(super) fn expression_from(&mut self, first: Box<Checked>, min_precedence: u8) -> Result<Box<Checked>, ParseError> {
        let mut left = first;
        loop {
            let op = match binary_op(self.peek()?) {
                Some(op) if op.precedence() >= min_precedence => op,
                _ => return Ok(left),
            };
            self.bump()?;
            let modifiers = self.modifiers()?;
            let right_associative = op == BinaryOp::Power;
            let right_precedence = op.precedence() + u8::from(!right_associative);
            let right = self.nested(|parser| parser.expression(right_precedence))?;
            left = self.join(op, modifiers, left, right)?;
        }
    }

    fn modifiers(&mut self) -> Result<Modifiers, ParseError> {
        let return_bool = self.eat(TokenKind::Bool)?;
        let on = if self.eat(TokenKind::On)? {
            MatchOn::On(self.names()?)
        } else if self.eat(TokenKind::Ignoring)? {
            MatchOn::Ignoring(self.names()?)
        } else {
            return Ok(Modifiers { return_bool, matching: None });
        };
        let group = if self.eat(TokenKind::GroupLeft)? {
            Some(GroupSide::Left(self.optional_names()?))
        } else if self.eat(TokenKind::GroupRight)? {
            Some(GroupSide::Right(self.optional_names()?))
        } else {
            None
        };
        // `ignoring ()` alone is the default: Loki's tree does not tell the two apart.
        let is_default = group.is_none() && matches!(&on, MatchOn::Ignoring(names) if names.is_empty());
        Ok(Modifiers { return_bool, matching: (!is_default).then_some(VectorMatching { on, group }) })
    }

    fn optional_names(&mut self) -> Result<Vec<String>, ParseError> {
        if self.peek()? == TokenKind::OpenParen { self.names() } else { Ok(Vec::new()) }
    }

    fn join(&mut self, op: BinaryOp, modifiers: Modifiers, left: Box<Checked>, right: Box<Checked>) -> Result<Box<Checked>, ParseError> {
        if let Some(problem) = operand_problem(op, &left, &right) {
            return Ok(Checked::invalid(problem));
        }
        let depth = self.deeper(left.depth.max(right.depth))?;
        let (problem, invalid) = (left.problem.or(right.problem), left.invalid.or(right.invalid));
        let (Value::Metric(left), Value::Metric(right)) = (left.value, right.value) else { return Err(self.unexpected(super::NONE)) };
        if let (MetricExpr::Literal(left), MetricExpr::Literal(right)) = (&left, &right) {
            return Ok(Checked::metric(MetricExpr::Literal(op.apply(*left, *right))));
        }
        let binary = BinaryExpr { op, return_bool: modifiers.return_bool, matching: modifiers.matching, left, right };
        Ok(Box::new(Checked { value: Value::Metric(MetricExpr::Binary(Box::new(binary))), problem, invalid, depth }))
    }
}

fn operand_problem(op: BinaryOp, left: &Checked, right: &Checked) -> Option<ParseErrorKind> {
    let name = op.as_str();
    for (side, operand) in [(Side::Left, left), (Side::Right, right)] {
        if let Value::Log(LogExpr { stages, .. }) = &operand.value {
            return Some(ParseErrorKind::OperandType { side, op: name, pipeline: !stages.is_empty() });
        }
    }
    for operand in [left, right] {
        if let (Some(_), Some(problem)) = (literal(operand), &operand.invalid) {
            return Some(problem.clone());
        }
    }
    if op.is_set_operation() {
        for (side, operand) in [(Side::Left, left), (Side::Right, right)] {
            if let Some(value) = literal(operand) {
                return Some(ParseErrorKind::SetLiteral { side, op: name, value: Shown(value) });
            }
        }
    }
    None
}

fn literal(operand: &Checked) -> Option<f64> {
    match operand.value {
        Value::Metric(MetricExpr::Literal(value)) => Some(value),
        _ => None,
    }
}

fn binary_op(kind: TokenKind) -> Option<BinaryOp> {
    Some(match kind {
        TokenKind::Or => BinaryOp::Or,
        TokenKind::And => BinaryOp::And,
        TokenKind::Unless => BinaryOp::Unless,
        TokenKind::CompareEqual => BinaryOp::Equal,
        TokenKind::NotEqual => BinaryOp::NotEqual,
        TokenKind::Greater => BinaryOp::Greater,
        TokenKind::GreaterOrEqual => BinaryOp::GreaterOrEqual,
        TokenKind::Less => BinaryOp::Less,
        TokenKind::LessOrEqual => BinaryOp::LessOrEqual,
        TokenKind::Add => BinaryOp::Add,
        TokenKind::Subtract => BinaryOp::Subtract,
        TokenKind::Multiply => BinaryOp::Multiply,
        TokenKind::Divide => BinaryOp::Divide,
        TokenKind::Modulo => BinaryOp::Modulo,
        TokenKind::Power => BinaryOp::Power,
        _ => return None,
    })
}
