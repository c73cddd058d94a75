//! Splits a template into text and the tokens of its actions, trim markers and comments resolved.
//! Source of the rules: Go text/template/parse.

use schema::quote::unquote;

use super::TemplateError;

/// A token, with where it begins: 1-based line, 0-based byte column, as Go counts them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// Text outside actions.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// White space between operands.
    Space,
    /// `.name`
    Field(String),
    /// `.` alone
    Dot,
    /// `$name`, the empty name for `$`
    Variable(String),
    /// A function name or keyword.
    Identifier(String),
    /// A string constant, unquoted.
    Quoted(String),
    /// A character constant.
    Char(char),
    /// A number as written.
    Number(String),
    Pipe,
    LeftParen,
    RightParen,
    Comma,
    Declare,
    Assign,
}

struct Lexer<'a> {
    name: &'static str,
    rest: &'a str,
    line: usize,
    column: usize,
    parens: usize,
    tokens: Vec<Token>,
}

/// All tokens of `text`.
pub(super) fn lex(name: &'static str, text: &str) -> Result<Vec<Token>, TemplateError> {
    let mut lexer = Lexer { name, rest: text, line: 1, column: 0, parens: 0, tokens: Vec::new() };
    let mut trim_next = false;
    loop {
        let (before, action) = match lexer.rest.split_once("{{") {
            Some((before, action)) => (before, Some(action)),
            None => (lexer.rest, None),
        };
        let (line, column) = (lexer.line, lexer.column);
        let mut shown = if trim_next { before.trim_start_matches(is_space) } else { before };
        let inner = action.map(|action| (action, starts_with_trim(action)));
        if inner.is_some_and(|(_, trims)| trims) {
            shown = shown.trim_end_matches(is_space);
        }
        if !shown.is_empty() {
            lexer.tokens.push(Token { kind: TokenKind::Text(shown.to_owned()), line, column });
        }
        lexer.advance(before);
        let Some((action, trims)) = inner else { return Ok(lexer.tokens) };
        lexer.column += 2;
        lexer.rest = action;
        if trims {
            let (marker, rest) = action.split_at_checked(2).unwrap_or((action, ""));
            lexer.advance(marker);
            lexer.rest = rest;
        }
        trim_next = lexer.action()?;
    }
}

/// Space, tab, carriage return, newline: what trim markers remove.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn starts_with_trim(action: &str) -> bool {
    let mut chars = action.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}

impl<'a> Lexer<'a> {
    fn error<T>(&self, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError { name: self.name, line: self.line, message: message.into() })
    }

    /// Moves the position past `text`.
    fn advance(&mut self, text: &str) {
        match text.rfind('\n') {
            Some(last) => {
                self.line += text.bytes().filter(|&b| b == b'\n').count();
                self.column = text.len() - last - 1;
            }
            None => self.column += text.len(),
        }
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        self.tokens.push(Token { kind, line: self.line, column: self.column });
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.advance(taken);
    }

    /// Reads one action up to its end; says whether the text behind it is to be trimmed.
    fn action(&mut self) -> Result<bool, TemplateError> {
        if let Some(comment) = self.rest.strip_prefix("/*") {
            return self.comment(comment);
        }
        self.push(TokenKind::Open, 0);
        self.parens = 0;
        loop {
            if let Some((trims, length)) = self.end_of_action() {
                if self.parens > 0 {
                    return self.error("unclosed left paren");
                }
                while matches!(self.tokens.last(), Some(Token { kind: TokenKind::Space, .. })) {
                    self.tokens.pop();
                }
                self.push(TokenKind::Close, length);
                return Ok(trims);
            }
            self.token()?;
        }
    }

    fn comment(&mut self, comment: &'a str) -> Result<bool, TemplateError> {
        let Some((inside, after)) = comment.split_once("*/") else { return self.error("unclosed comment") };
        self.advance("/*");
        self.advance(inside);
        self.advance("*/");
        let spaced = after.trim_start_matches(is_space);
        if spaced.len() < after.len() && spaced.starts_with("-}}") {
            self.rest = spaced.get(3..).unwrap_or("");
            return Ok(true);
        }
        match after.strip_prefix("}}") {
            Some(rest) => {
                self.rest = rest;
                Ok(false)
            }
            None => self.error("comment ends before closing delimiter"),
        }
    }

    /// Whether the action ends here: with a trim marker or not, and how long that is.
    fn end_of_action(&self) -> Option<(bool, usize)> {
        if self.rest.starts_with("}}") {
            return Some((false, 2));
        }
        let after = self.rest.trim_start_matches(is_space);
        let blank = self.rest.len() - after.len();
        (blank > 0 && after.starts_with("-}}")).then_some((true, blank + 3))
    }

    fn token(&mut self) -> Result<(), TemplateError> {
        let Some(first) = self.rest.chars().next() else { return self.error("unclosed action") };
        let second = self.rest.chars().nth(1);
        match first {
            c if is_space(c) => {
                let length = self.rest.len() - self.rest.trim_start_matches(is_space).len();
                self.push(TokenKind::Space, length);
            }
            '|' => self.push(TokenKind::Pipe, 1),
            ',' => self.push(TokenKind::Comma, 1),
            '=' => self.push(TokenKind::Assign, 1),
            ':' if second == Some('=') => self.push(TokenKind::Declare, 2),
            ':' => return self.error("expected :="),
            '(' => {
                self.parens += 1;
                self.push(TokenKind::LeftParen, 1);
            }
            ')' => {
                let Some(parens) = self.parens.checked_sub(1) else { return self.error("unexpected right paren") };
                self.parens = parens;
                self.push(TokenKind::RightParen, 1);
            }
            '"' | '`' => self.quoted(first)?,
            '\'' => self.character()?,
            '$' => {
                let name = self.word(1);
                self.push(TokenKind::Variable(name.to_owned()), 1 + name.len());
            }
            '.' if !second.is_some_and(|c| c.is_ascii_digit()) => {
                let name = self.word(1);
                let kind = if name.is_empty() { TokenKind::Dot } else { TokenKind::Field(name.to_owned()) };
                self.push(kind, 1 + name.len());
            }
            '.' | '0'..='9' => self.number()?,
            '+' | '-' if second.is_some_and(|c| c.is_ascii_digit() || c == '.') => self.number()?,
            c if c.is_alphabetic() || c == '_' => {
                let name = self.word(0);
                let length = name.len();
                self.push(TokenKind::Identifier(name.to_owned()), length);
            }
            c => return self.error(format!("unrecognized character in action: U+{:04X} {}", u32::from(c), go_quote_char(c))),
        }
        Ok(())
    }

    /// The letters, digits and underscores from byte `from` on.
    fn word(&self, from: usize) -> &'a str {
        let rest = self.rest.get(from..).unwrap_or("");
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        rest.get(..end).unwrap_or("")
    }

    fn quoted(&mut self, quote: char) -> Result<(), TemplateError> {
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' if quote == '"' => escaped = true,
                '\n' if quote == '"' => return self.error("unterminated quoted string"),
                c if c == quote => {
                    let literal = self.rest.get(..=at).unwrap_or("");
                    let Ok(text) = unquote(literal) else { return self.error("invalid syntax") };
                    self.push(TokenKind::Quoted(text), at + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        self.error(if quote == '"' { "unterminated quoted string" } else { "unterminated raw quoted string" })
    }

    fn character(&mut self) -> Result<(), TemplateError> {
        let inner = self.rest.get(1..).unwrap_or("");
        let mut escaped = false;
        for (at, c) in inner.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '\n' => break,
                '\'' => {
                    let body = inner.get(..at).unwrap_or("");
                    let text = if body == "\\'" { "'".to_owned() } else { unquote(&format!("\"{}\"", body.replace('"', "\\\""))).unwrap_or_default() };
                    let mut chars = text.chars();
                    let (Some(c), None) = (chars.next(), chars.next()) else { return self.error(format!("malformed character constant: '{body}'")) };
                    self.push(TokenKind::Char(c), at + 2);
                    return Ok(());
                }
                _ => {}
            }
        }
        self.error("unterminated character constant")
    }

    fn number(&mut self) -> Result<(), TemplateError> {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let body = self.rest.get(sign..).unwrap_or("");
        let hex = body.starts_with("0x") || body.starts_with("0X");
        let mut end = 0;
        let mut previous = ' ';
        for c in body.chars() {
            let exponent_sign = matches!(c, '+' | '-') && if hex { matches!(previous, 'p' | 'P') } else { matches!(previous, 'e' | 'E') };
            if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || exponent_sign) {
                break;
            }
            previous = c;
            end += c.len_utf8();
        }
        let text = self.rest.get(..sign + end).unwrap_or("").to_owned();
        if super::value::parse_number(&text).is_none() {
            return self.error(format!("bad number syntax: {}", schema::quote::quote(&text)));
        }
        let length = text.len();
        self.push(TokenKind::Number(text), length);
        Ok(())
    }
}

fn go_quote_char(c: char) -> String {
    match c {
        '\'' => "'\\''".to_owned(),
        '\\' => "'\\\\'".to_owned(),
        c => format!("'{c}'"),
    }
}
