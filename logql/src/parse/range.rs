//! Log ranges: what stands inside `rate(...)`.

use schema::Matcher;

use super::{CLOSE_PAREN, NONE, Parser};
use crate::ast::{LogExpr, LogRange, Stage, Unwrap};
use crate::error::ParseError;
use crate::token::{Token, TokenKind, TokenValue};

/// A log query in parentheses, whose range may follow the closing one.
enum Body {
    Complete(LogRange),
    Open { log: LogExpr, unwrap: Option<Unwrap> },
}

impl Parser<'_> {
    /// A log range. `expected`: what the error lists when none starts here.
    pub(super) fn log_range(&mut self, expected: &'static [&'static str]) -> Result<LogRange, ParseError> {
        match self.peek()? {
            TokenKind::OpenBrace => {
                let matchers = self.selector()?;
                match self.range_body(matchers, false)? {
                    Body::Complete(range) => Ok(range),
                    Body::Open { .. } => Err(self.unexpected(NONE)),
                }
            }
            TokenKind::OpenParen => {
                self.bump()?;
                self.nested(Self::parenthesised_range)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn parenthesised_range(&mut self) -> Result<LogRange, ParseError> {
        if self.peek()? != TokenKind::OpenBrace {
            let inner = self.log_range(&["{", "("])?;
            self.expect(TokenKind::CloseParen, CLOSE_PAREN)?;
            return Ok(inner);
        }
        let matchers = self.selector()?;
        let (log, unwrap) = match self.range_body(matchers, true)? {
            Body::Complete(range) => {
                self.expect(TokenKind::CloseParen, CLOSE_PAREN)?;
                return Ok(range);
            }
            Body::Open { log, unwrap } => (log, unwrap),
        };
        self.expect(TokenKind::CloseParen, NONE)?;
        let range = nanos(&self.expect(TokenKind::Range, &["RANGE"])?);
        let offset = self.offset()?;
        let bare = log.stages.is_empty() && unwrap.is_none();
        let unwrap = if bare && self.eat(TokenKind::Pipe)? {
            if self.peek()? != TokenKind::Unwrap {
                return Err(self.unexpected(&["unwrap"]));
            }
            Some(self.unwrap()?)
        } else {
            unwrap
        };
        Ok(LogRange { log, range, offset, unwrap })
    }

    /// What follows a selector: the range first and then the pipeline, or the other way round.
    fn range_body(&mut self, matchers: Vec<Matcher>, parenthesised: bool) -> Result<Body, ParseError> {
        let mut stages = Vec::new();
        if self.peek()? == TokenKind::Range {
            let range = nanos(&self.bump()?);
            let offset = self.offset()?;
            let unwrap = self.pipeline_and_unwrap(&mut stages)?;
            return Ok(Body::Complete(LogRange { log: LogExpr { matchers, stages }, range, offset, unwrap }));
        }
        let unwrap = self.pipeline_and_unwrap(&mut stages)?;
        let log = LogExpr { matchers, stages };
        match self.peek()? {
            TokenKind::Range => {
                let range = nanos(&self.bump()?);
                let offset = self.offset()?;
                Ok(Body::Complete(LogRange { log, range, offset, unwrap }))
            }
            TokenKind::CloseParen if parenthesised => Ok(Body::Open { log, unwrap }),
            _ => Err(self.unexpected(match (unwrap.is_some(), parenthesised) {
                (false, _) => NONE,
                (true, false) => &["RANGE", "|"],
                (true, true) => &["RANGE", ")", "|"],
            })),
        }
    }

    fn pipeline_and_unwrap(&mut self, stages: &mut Vec<Stage>) -> Result<Option<Unwrap>, ParseError> {
        if self.pipeline(stages)? { self.unwrap().map(Some) } else { Ok(None) }
    }

    /// `offset 5m`; an offset of zero is the same as none.
    fn offset(&mut self) -> Result<Option<i64>, ParseError> {
        if !self.eat(TokenKind::Offset)? {
            return Ok(None);
        }
        let offset = nanos(&self.expect(TokenKind::Duration, &["DURATION"])?);
        Ok((offset != 0).then_some(offset))
    }
}

fn nanos(token: &Token) -> i64 {
    match token.value {
        TokenValue::Duration(nanos) => nanos,
        TokenValue::None | TokenValue::Text(_) | TokenValue::Bytes(_) => 0,
    }
}
