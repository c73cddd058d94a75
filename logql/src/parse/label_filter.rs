//! Label filters: `a="x" and (b > 5 or c = ip("::1"))`.

use super::selector::{match_op, matcher};
use super::{IDENTIFIER_OR_OPEN, NONE, NUMBER, Parser, STRING};
use crate::MAX_DEPTH;
use crate::ast::{CompareOp, LabelFilter, Number};
use crate::error::{ParseError, ParseErrorKind};
use crate::number::parse_float;
use crate::token::{TokenKind, TokenValue};

/// How two label filters are joined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    And,
    Or,
    /// `,` or nothing at all.
    Juxtaposed,
}

impl Joint {
    /// Whether the filter before this joint is complete when `next` follows. In Loki's grammar `,` and juxtaposition have no precedence, and
    /// its parser generator then prefers to read on: they bind looser than what follows and, after `and` or `or`, take all the rest.
    fn ends_before(self, next: Self) -> bool {
        match self {
            Self::And => next != Self::Juxtaposed,
            Self::Or => next == Self::Or,
            Self::Juxtaposed => false,
        }
    }

    fn join(self, left: LabelFilter, right: LabelFilter) -> LabelFilter {
        match self {
            Self::Or => LabelFilter::Or(Box::new(left), Box::new(right)),
            Self::And | Self::Juxtaposed => LabelFilter::And(Box::new(left), Box::new(right)),
        }
    }
}

impl Parser<'_> {
    /// A label filter as far as it goes. `expected`: what the error lists when none starts here.
    pub(super) fn label_filter(&mut self, expected: &'static [&'static str]) -> Result<LabelFilter, ParseError> {
        let mut last = self.single_filter(expected)?;
        // Filters that wait for their right side, each with the joint after it.
        let mut waiting: Vec<(LabelFilter, Joint)> = Vec::new();
        let mut joined = 0;
        loop {
            let next = match self.peek()? {
                TokenKind::And => Joint::And,
                TokenKind::Or => Joint::Or,
                TokenKind::Comma | TokenKind::Identifier | TokenKind::OpenParen => Joint::Juxtaposed,
                _ => break,
            };
            if matches!(self.peek()?, TokenKind::And | TokenKind::Or | TokenKind::Comma) {
                self.bump()?;
            }
            joined += 1;
            if joined >= MAX_DEPTH {
                return Err(self.too_deep());
            }
            while let Some((left, joint)) = waiting.pop_if(|(_, joint)| joint.ends_before(next)) {
                last = joint.join(left, last);
            }
            waiting.push((last, next));
            last = self.single_filter(IDENTIFIER_OR_OPEN)?;
        }
        while let Some((left, joint)) = waiting.pop() {
            last = joint.join(left, last);
        }
        Ok(last)
    }

    fn single_filter(&mut self, expected: &'static [&'static str]) -> Result<LabelFilter, ParseError> {
        if self.eat(TokenKind::OpenParen)? {
            let inner = self.nested(|parser| parser.label_filter(IDENTIFIER_OR_OPEN))?;
            self.expect(TokenKind::CloseParen, NONE)?;
            return Ok(inner);
        }
        let name = self.expect_text(TokenKind::Identifier, expected)?;
        let kind = self.peek()?;
        if let Some(op) = match_op(kind) {
            self.bump()?;
            let only_string = matches!(kind, TokenKind::RegexMatch | TokenKind::RegexNotMatch);
            if only_string || self.peek()? == TokenKind::Str {
                let value = self.expect_text(TokenKind::Str, STRING)?;
                return Ok(LabelFilter::Matcher(matcher(name, op, value)?));
            }
            let negated = kind == TokenKind::NotEqual;
            if self.eat(TokenKind::Ip)? {
                return Ok(LabelFilter::Ip { name, negated, pattern: self.ip_argument()? });
            }
            let op = if negated { CompareOp::NotEqual } else { CompareOp::Equal };
            return Ok(LabelFilter::Compare { name, op, value: self.quantity()? });
        }
        let op = match kind {
            TokenKind::CompareEqual => CompareOp::Equal,
            TokenKind::Greater => CompareOp::Greater,
            TokenKind::GreaterOrEqual => CompareOp::GreaterOrEqual,
            TokenKind::Less => CompareOp::Less,
            TokenKind::LessOrEqual => CompareOp::LessOrEqual,
            _ => return Err(self.unexpected(NONE)),
        };
        self.bump()?;
        Ok(LabelFilter::Compare { name, op, value: self.quantity()? })
    }

    /// A number with a sign, a duration or a size.
    fn quantity(&mut self) -> Result<Number, ParseError> {
        match self.peek()? {
            TokenKind::Number | TokenKind::Add | TokenKind::Subtract => {
                let (negative, text) = self.signed_number()?;
                let value = parse_float(&text).map_err(ParseErrorKind::Literal)?;
                Ok(Number::Plain(if negative { -value } else { value }))
            }
            TokenKind::Duration | TokenKind::Bytes => match self.bump()?.value {
                TokenValue::Bytes(bytes) => Ok(Number::Bytes(bytes)),
                TokenValue::Duration(nanos) => Ok(Number::Duration(nanos)),
                TokenValue::None | TokenValue::Text(_) => Err(self.unexpected(NONE)),
            },
            _ => Err(self.unexpected(NONE)),
        }
    }

    /// `[+-]NUMBER`: whether it is negative, and its digits.
    pub(super) fn signed_number(&mut self) -> Result<(bool, String), ParseError> {
        let negative = self.peek()? == TokenKind::Subtract;
        if negative || self.peek()? == TokenKind::Add {
            self.bump()?;
        }
        Ok((negative, self.expect_text(TokenKind::Number, NUMBER)?))
    }
}
