//! Text to tokens, one at a time.
//! Owns: keywords, which words are functions, numbers with units, ranges, flags (spec/logql.md section 1).
//! Must not know: which token may follow which.

use crate::bytes::parse_bytes;
use crate::duration::{parse_literal, parse_prometheus};
use crate::error::{LexicalError, ParseError, ParseErrorKind};
use crate::scanner::{Scanner, Shape};
use crate::token::{Position, Span, Token, TokenKind, TokenValue};

/// Reads tokens from the front of a query.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    scanner: Scanner<'a>,
    text: &'a str,
    bad_number: Option<ParseError>,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { scanner: Scanner::new(text), text, bad_number: None }
    }

    /// The next token; at the end, [`TokenKind::End`] again and again.
    pub(crate) fn next_token(&mut self) -> Result<Token, ParseError> {
        let shape = self.scan_past_hash_comments();
        let read = match shape {
            Shape::End => Ok((TokenKind::End, TokenValue::None)),
            Shape::Number => Ok(self.number()),
            Shape::Quoted => self.quoted(),
            Shape::Word => Ok(self.word()),
            Shape::Symbol => self.symbol(),
        };
        let span = Span { start: self.scanner.token_start(), end: self.scanner.offset().max(self.scanner.token_start()) };
        if let Some((error, position)) = self.scanner.take_fault() {
            let error = at(error, span, position);
            if shape != Shape::Number {
                return Err(error);
            }
            self.bad_number.get_or_insert(error);
        }
        let (kind, value) = read.map_err(|error| at(error, span, self.scanner.position()))?;
        Ok(Token { kind, value, span, position: self.scanner.position() })
    }

    /// The first number whose spelling is wrong. Reading goes on after it, as in Loki, whose check of the value may say more.
    pub(crate) fn take_bad_number(&mut self) -> Option<ParseError> {
        self.bad_number.take()
    }

    fn scan_past_hash_comments(&mut self) -> Shape {
        loop {
            let shape = self.scanner.scan();
            if shape != Shape::Symbol || self.token_text() != "#" {
                return shape;
            }
            while !matches!(self.scanner.peek(), None | Some('\n')) {
                self.scanner.advance();
            }
        }
    }

    fn token_text(&self) -> &'a str {
        self.text.get(self.scanner.token_start()..self.scanner.offset()).unwrap_or_default()
    }

    /// A number, or, with the characters glued to it, a duration or a size; in this order.
    fn number(&mut self) -> (TokenKind, TokenValue) {
        let number = self.token_text();
        if let Some(nanos) = self.duration(number) {
            return (TokenKind::Duration, TokenValue::Duration(nanos));
        }
        let suffix = glued(self.scanner.rest(), |c| matches!(c, 'B' | 'i' | 'k' | 'K' | 'M' | 'G' | 'T' | 'P'));
        if !suffix.is_empty()
            && let Ok(bytes) = parse_bytes(&format!("{number}{suffix}"))
        {
            self.take(suffix);
            return (TokenKind::Bytes, TokenValue::Bytes(bytes));
        }
        (TokenKind::Number, TokenValue::Text(number.to_owned()))
    }

    /// Takes the characters glued to `start` when both together are a duration.
    fn duration(&mut self, start: &str) -> Option<i64> {
        let suffix = glued(self.scanner.rest(), |c| matches!(c, 'n' | 'u' | '\u{b5}' | 'm' | 's' | 'h' | 'd' | 'w' | 'y'));
        if suffix.is_empty() {
            return None;
        }
        let nanos = parse_literal(&format!("{start}{suffix}")).ok()?;
        self.take(suffix);
        Some(nanos)
    }

    fn take(&mut self, glued: &str) {
        for _ in glued.chars() {
            self.scanner.advance();
        }
    }

    fn quoted(&mut self) -> Result<(TokenKind, TokenValue), LexicalError> {
        let literal = self.token_text();
        let content = match literal.strip_prefix('`') {
            // Unlike Go, LogQL keeps carriage returns in raw strings.
            Some(raw) => raw.strip_suffix('`').ok_or(LexicalError::OpenLiteral)?.to_owned(),
            None => schema::quote::unquote(literal).map_err(|error| match error {
                schema::quote::UnquoteError::InvalidSyntax => LexicalError::StringSyntax,
                schema::quote::UnquoteError::InvalidUtf8 => LexicalError::StringUtf8,
            })?,
        };
        Ok((TokenKind::Str, TokenValue::Text(content)))
    }

    fn word(&self) -> (TokenKind, TokenValue) {
        let text = self.token_text();
        let lower = text.to_lowercase();
        let kind = match TokenKind::function(&lower) {
            Some(function) if call_follows(self.scanner.rest()) => Some(function),
            Some(_) => None,
            None => TokenKind::keyword(&lower),
        };
        kind.map_or_else(|| identifier(text), |kind| (kind, TokenValue::None))
    }

    fn symbol(&mut self) -> Result<(TokenKind, TokenValue), LexicalError> {
        let text = self.token_text();
        match text {
            "-" => {
                if let Some(flag) = self.flag() {
                    return Ok((flag, TokenValue::None));
                }
                if let Some(nanos) = self.duration("-") {
                    return Ok((TokenKind::Duration, TokenValue::Duration(nanos)));
                }
            }
            "[" => return self.range(),
            _ => {}
        }
        if let Some(next) = self.scanner.peek()
            && let Some(kind) = TokenKind::operator(&format!("{text}{next}"))
        {
            self.scanner.advance();
            return Ok((kind, TokenValue::None));
        }
        Ok(TokenKind::operator(text).map_or_else(|| identifier(text), |kind| (kind, TokenValue::None)))
    }

    fn flag(&mut self) -> Option<TokenKind> {
        let rest = self.scanner.rest();
        let word = rest.split(|c: char| !c.is_alphabetic() && c != '-').next().unwrap_or_default();
        let flag = match word {
            "-strict" => TokenKind::StrictFlag,
            "-keep-empty" => TokenKind::KeepEmptyFlag,
            _ => return None,
        };
        self.take(word);
        Some(flag)
    }

    /// The duration up to the closing bracket.
    fn range(&mut self) -> Result<(TokenKind, TokenValue), LexicalError> {
        let Some((inside, _)) = self.scanner.rest().split_once(']') else {
            while self.scanner.advance().is_some() {}
            return Err(LexicalError::OpenRange);
        };
        self.take(inside);
        self.scanner.advance();
        Ok((TokenKind::Range, TokenValue::Duration(parse_prometheus(inside)?)))
    }
}

fn at(error: LexicalError, span: Span, position: Position) -> ParseError {
    ParseError { kind: ParseErrorKind::Lexical(error), span: Some(span), position: Some(position) }
}

fn identifier(text: &str) -> (TokenKind, TokenValue) {
    (TokenKind::Identifier, TokenValue::Text(text.to_owned()))
}

/// The digits, points and unit characters at the front of `rest`.
fn glued(rest: &str, is_unit: impl Fn(char) -> bool) -> &str {
    let end = rest.find(|c: char| !(c.is_numeric() || c == '.' || is_unit(c))).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

/// Whether what follows a function's name makes it a call: `(`, or `by` or `without` and then `(`.
fn call_follows(rest: &str) -> bool {
    let rest = rest.trim_start();
    if rest.starts_with('(') {
        return true;
    }
    ["by", "without"].iter().any(|word| {
        let (Some(start), Some(after)) = (rest.get(..word.len()), rest.get(word.len()..)) else { return false };
        start.eq_ignore_ascii_case(word) && after.trim_start().starts_with('(')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> String {
        let mut lexer = Lexer::new(text);
        let mut names = Vec::new();
        loop {
            let token = lexer.next_token().unwrap();
            if token.kind == TokenKind::End {
                return names.join(" ");
            }
            names.push(token.kind.name());
        }
    }

    #[test]
    fn units_decide_what_a_number_is() {
        assert_eq!(
            kinds("5m 5M 5MB 5 5.5h 1w2d -5m - 5m 5z 5kb 1e3 100us 1KiB"),
            "DURATION BYTES BYTES NUMBER DURATION DURATION DURATION - DURATION NUMBER IDENTIFIER BYTES IDENTIFIER NUMBER DURATION BYTES"
        );
    }

    #[test]
    fn a_function_is_one_only_where_it_is_called() {
        assert_eq!(
            kinds("sum sum( SUM by (x) sum bytes ip ip (\"x\")"),
            "IDENTIFIER SUM ( SUM by ( IDENTIFIER ) IDENTIFIER IDENTIFIER IDENTIFIER ip ( STRING )"
        );
        assert_eq!(kinds("JSON Or UNLESS"), "json or unless");
    }

    #[test]
    fn comments_are_white_space() {
        assert_eq!(kinds("# x\n a // b\n/* c\n */ b #"), "IDENTIFIER IDENTIFIER");
    }

    #[test]
    fn tokens_of_several_steps_have_no_line() {
        let mut lexer = Lexer::new("a\n  >= [5m]");
        let positions: Vec<Position> = (0..3).map(|_| lexer.next_token().unwrap().position).collect();
        assert_eq!(positions, [Position { line: 1, column: 1 }, Position { line: 0, column: 3 }, Position { line: 0, column: 6 }]);
    }
}
