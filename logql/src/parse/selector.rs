//! Selectors `{a="b"}`, single matchers, and lists of names in parentheses.

use schema::{MatchOp, Matcher};

use super::{COMMA, IDENTIFIER, IDENTIFIER_OR_CLOSE, OPEN_PAREN, Parser, STRING};
use crate::error::{ParseError, ParseErrorKind};
use crate::go_regex;
use crate::token::TokenKind;

impl Parser<'_> {
    /// `{...}` from its brace on.
    pub(super) fn selector(&mut self) -> Result<Vec<Matcher>, ParseError> {
        self.bump()?;
        let mut matchers = Vec::new();
        if self.eat(TokenKind::CloseBrace)? {
            return Ok(matchers);
        }
        let mut expected: &[&str] = &["IDENTIFIER", "}"];
        loop {
            let name = self.expect_text(TokenKind::Identifier, expected)?;
            let Some(op) = match_op(self.peek()?) else {
                return Err(self.unexpected(&["=", "=~", "!~", "!="]));
            };
            self.bump()?;
            let value = self.expect_text(TokenKind::Str, STRING)?;
            matchers.push(matcher(name, op, value)?);
            if !self.eat(TokenKind::Comma)? {
                self.expect(TokenKind::CloseBrace, &["}", ","])?;
                return Ok(matchers);
            }
            expected = IDENTIFIER;
        }
    }

    /// `(a, b)`, possibly empty.
    pub(super) fn names(&mut self) -> Result<Vec<String>, ParseError> {
        self.expect(TokenKind::OpenParen, OPEN_PAREN)?;
        let mut names = Vec::new();
        if self.eat(TokenKind::CloseParen)? {
            return Ok(names);
        }
        let mut expected = IDENTIFIER_OR_CLOSE;
        loop {
            names.push(self.expect_text(TokenKind::Identifier, expected)?);
            if self.eat(TokenKind::CloseParen)? {
                return Ok(names);
            }
            self.expect(TokenKind::Comma, &[",", ")"])?;
            expected = IDENTIFIER;
        }
    }

    /// `,` and nothing else.
    pub(super) fn comma(&mut self) -> Result<(), ParseError> {
        self.expect(TokenKind::Comma, COMMA).map(|_| ())
    }
}

/// The operator of a matcher that compares with a string.
pub(super) fn match_op(kind: TokenKind) -> Option<MatchOp> {
    match kind {
        TokenKind::Equal => Some(MatchOp::Equal),
        TokenKind::NotEqual => Some(MatchOp::NotEqual),
        TokenKind::RegexMatch => Some(MatchOp::Regex),
        TokenKind::RegexNotMatch => Some(MatchOp::NotRegex),
        _ => None,
    }
}

/// Builds a matcher. Errors: the pattern, in Go's words, and at once, whatever follows in the query.
pub(super) fn matcher(name: String, op: MatchOp, value: String) -> Result<Matcher, ParseError> {
    let translated = match op {
        MatchOp::Equal | MatchOp::NotEqual => String::new(),
        MatchOp::Regex | MatchOp::NotRegex => go_regex::translate(&value).map_err(ParseErrorKind::from)?,
    };
    Matcher::translated(name, op, value.clone(), &translated).map_err(|_| {
        let error = go_regex::GoRegexError { problem: go_regex::GoRegexProblem::TooLarge, part: value };
        ParseErrorKind::from(error).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_only_go_reads_still_matches() {
        let brace = matcher("a".to_owned(), MatchOp::Regex, "x{".to_owned()).unwrap();
        assert!(brace.matches("x{") && !brace.matches("x"));
        assert_eq!(brace.to_string(), r#"a=~"x{""#);
    }

    #[test]
    fn classes_are_ascii_as_in_go() {
        let digit = matcher("a".to_owned(), MatchOp::Regex, r"\d".to_owned()).unwrap();
        assert!(digit.matches("7") && !digit.matches("٣"));
    }
}
