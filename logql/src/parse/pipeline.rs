//! Pipelines: line filters and the stages after `|`.

use super::selector::{match_op, matcher};
use super::{CLOSE_PAREN, IDENTIFIER, IDENTIFIER_OR_OPEN, NONE, OPEN_PAREN, Parser, STRING};
use crate::ast::{
    Extraction, FieldMatch, LabelFormat, LabelFormatValue, LineFilter, LineFilterOp, LineOperand, LogExpr, LogfmtFlags, Stage, Unwrap, UnwrapConversion,
};
use crate::error::{ParseError, ParseErrorKind, RegexpStageError};
use crate::go_regex;
use crate::pattern::check_pattern_stage;
use crate::token::TokenKind;

impl Parser<'_> {
    /// `{...}` and its pipeline, outside functions.
    pub(super) fn log_query(&mut self) -> Result<LogExpr, ParseError> {
        let matchers = self.selector()?;
        let mut stages = Vec::new();
        if self.pipeline(&mut stages)? {
            return Err(self.unexpected(NONE));
        }
        Ok(LogExpr { matchers, stages })
    }

    /// Stages up to the end of the pipeline or up to and including a `|` before `unwrap`; `true` for the latter.
    pub(super) fn pipeline(&mut self, stages: &mut Vec<Stage>) -> Result<bool, ParseError> {
        loop {
            if let Some(op) = line_filter_op(self.peek()?) {
                self.line_filter(op, stages)?;
                continue;
            }
            if !self.eat(TokenKind::Pipe)? {
                return Ok(false);
            }
            if self.peek()? == TokenKind::Unwrap {
                return Ok(true);
            }
            stages.push(self.stage()?);
        }
    }

    /// A line filter with its or-chain. Loki rewrites a negative chain to one filter per operand (neither a nor b), so that is what is stored.
    fn line_filter(&mut self, op: LineFilterOp, stages: &mut Vec<Stage>) -> Result<(), ParseError> {
        self.bump()?;
        let mut operands = vec![self.line_operand()?];
        while self.eat(TokenKind::Or)? {
            operands.push(self.line_operand()?);
        }
        if op.is_negative() {
            stages.extend(operands.into_iter().map(|operand| Stage::LineFilter(LineFilter { op, operands: vec![operand] })));
        } else {
            stages.push(Stage::LineFilter(LineFilter { op, operands }));
        }
        Ok(())
    }

    fn line_operand(&mut self) -> Result<LineOperand, ParseError> {
        if self.eat(TokenKind::Ip)? {
            return Ok(LineOperand::Ip(self.ip_argument()?));
        }
        Ok(LineOperand::Text(self.expect_text(TokenKind::Str, &["STRING", "ip"])?))
    }

    /// `("...")` after `ip`.
    pub(super) fn ip_argument(&mut self) -> Result<String, ParseError> {
        self.expect(TokenKind::OpenParen, OPEN_PAREN)?;
        let pattern = self.expect_text(TokenKind::Str, STRING)?;
        self.expect(TokenKind::CloseParen, CLOSE_PAREN)?;
        Ok(pattern)
    }

    /// A stage after its `|`.
    fn stage(&mut self) -> Result<Stage, ParseError> {
        let kind = self.peek()?;
        if matches!(kind, TokenKind::Identifier | TokenKind::OpenParen) {
            return Ok(Stage::LabelFilter(self.label_filter(NONE)?));
        }
        if !matches!(
            kind,
            TokenKind::Json
                | TokenKind::Logfmt
                | TokenKind::Regexp
                | TokenKind::Pattern
                | TokenKind::Unpack
                | TokenKind::LineFormat
                | TokenKind::LabelFormat
                | TokenKind::Decolorize
                | TokenKind::Drop
                | TokenKind::Keep
        ) {
            return Err(self.unexpected(NONE));
        }
        self.bump()?;
        match kind {
            TokenKind::Json => Ok(Stage::Json { extractions: self.extractions()? }),
            TokenKind::Logfmt => self.logfmt(),
            TokenKind::Regexp => self.regexp(),
            TokenKind::Pattern => self.pattern(),
            TokenKind::Unpack => Ok(Stage::Unpack),
            TokenKind::LineFormat => Ok(Stage::LineFormat(self.expect_text(TokenKind::Str, STRING)?)),
            TokenKind::LabelFormat => self.label_format(),
            TokenKind::Drop => Ok(Stage::Drop(self.field_matches()?)),
            TokenKind::Keep => Ok(Stage::Keep(self.field_matches()?)),
            _ => Ok(Stage::Decolorize),
        }
    }

    fn logfmt(&mut self) -> Result<Stage, ParseError> {
        let mut flags = LogfmtFlags::default();
        loop {
            match self.peek()? {
                TokenKind::StrictFlag => flags.strict = true,
                TokenKind::KeepEmptyFlag => flags.keep_empty = true,
                _ => break,
            }
            self.bump()?;
        }
        Ok(Stage::Logfmt { flags, extractions: self.extractions()? })
    }

    /// `a="x", b`, possibly nothing.
    fn extractions(&mut self) -> Result<Vec<Extraction>, ParseError> {
        let mut extractions = Vec::new();
        if self.peek()? != TokenKind::Identifier {
            return Ok(extractions);
        }
        loop {
            let name = self.expect_text(TokenKind::Identifier, IDENTIFIER)?;
            let expression = if self.eat(TokenKind::Equal)? { self.expect_text(TokenKind::Str, STRING)? } else { name.clone() };
            extractions.push(Extraction { name, expression });
            if !self.eat(TokenKind::Comma)? {
                return Ok(extractions);
            }
        }
    }

    fn regexp(&mut self) -> Result<Stage, ParseError> {
        let pattern = self.expect_text(TokenKind::Str, STRING)?;
        check_regexp_stage(&pattern).map_err(ParseErrorKind::RegexpStage)?;
        Ok(Stage::Regexp(pattern))
    }

    fn pattern(&mut self) -> Result<Stage, ParseError> {
        let pattern = self.expect_text(TokenKind::Str, STRING)?;
        check_pattern_stage(&pattern).map_err(ParseErrorKind::PatternStage)?;
        Ok(Stage::Pattern(pattern))
    }

    fn label_format(&mut self) -> Result<Stage, ParseError> {
        let mut formats = Vec::new();
        loop {
            let name = self.expect_text(TokenKind::Identifier, IDENTIFIER)?;
            self.expect(TokenKind::Equal, &["="])?;
            let value = if self.peek()? == TokenKind::Identifier {
                LabelFormatValue::Rename(self.expect_text(TokenKind::Identifier, IDENTIFIER)?)
            } else {
                LabelFormatValue::Template(self.expect_text(TokenKind::Str, &["IDENTIFIER", "STRING"])?)
            };
            formats.push(LabelFormat { name, value });
            if !self.eat(TokenKind::Comma)? {
                return Ok(Stage::LabelFormat(formats));
            }
        }
    }

    fn field_matches(&mut self) -> Result<Vec<FieldMatch>, ParseError> {
        let mut fields = Vec::new();
        loop {
            let name = self.expect_text(TokenKind::Identifier, IDENTIFIER)?;
            fields.push(match match_op(self.peek()?) {
                Some(op) => {
                    self.bump()?;
                    let value = self.expect_text(TokenKind::Str, STRING)?;
                    FieldMatch::Matcher(matcher(name, op, value)?)
                }
                None => FieldMatch::Name(name),
            });
            if !self.eat(TokenKind::Comma)? {
                return Ok(fields);
            }
        }
    }

    /// `unwrap` and the label filters after it.
    pub(super) fn unwrap(&mut self) -> Result<Unwrap, ParseError> {
        self.bump()?;
        let conversion = match self.peek()? {
            TokenKind::BytesConversion => UnwrapConversion::Bytes,
            TokenKind::DurationConversion => UnwrapConversion::Duration,
            TokenKind::DurationSecondsConversion => UnwrapConversion::DurationSeconds,
            _ => UnwrapConversion::Plain,
        };
        let label = if conversion == UnwrapConversion::Plain {
            self.expect_text(TokenKind::Identifier, &["IDENTIFIER", "BYTES_CONV", "DURATION_CONV", "DURATION_SECONDS_CONV"])?
        } else {
            self.bump()?;
            self.expect(TokenKind::OpenParen, OPEN_PAREN)?;
            let label = self.expect_text(TokenKind::Identifier, IDENTIFIER)?;
            self.expect(TokenKind::CloseParen, CLOSE_PAREN)?;
            label
        };
        let mut filters = Vec::new();
        while self.eat(TokenKind::Pipe)? {
            filters.push(self.label_filter(IDENTIFIER_OR_OPEN)?);
        }
        Ok(Unwrap { label, conversion, filters })
    }
}

fn line_filter_op(kind: TokenKind) -> Option<LineFilterOp> {
    match kind {
        TokenKind::PipeExact => Some(LineFilterOp::Contains),
        TokenKind::NotEqual => Some(LineFilterOp::NotContains),
        TokenKind::PipeMatch => Some(LineFilterOp::Regex),
        TokenKind::RegexNotMatch => Some(LineFilterOp::NotRegex),
        TokenKind::PipePattern => Some(LineFilterOp::Pattern),
        TokenKind::NotPattern => Some(LineFilterOp::NotPattern),
        _ => None,
    }
}

/// Some named group, and no name twice.
fn check_regexp_stage(pattern: &str) -> Result<(), RegexpStageError> {
    let names = go_regex::group_names(pattern)?;
    let twice = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|earlier| earlier == *name));
    match (twice, names.is_empty()) {
        (Some((_, name)), _) => Err(RegexpStageError::Duplicate { name: (*name).to_owned() }),
        (None, true) => Err(RegexpStageError::NoCapture),
        (None, false) => Ok(()),
    }
}
