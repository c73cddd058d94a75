//! Characters of a query: one of look-ahead, lines and columns as Go's `text/scanner` counts them, and the lexical shapes of that
//! package (white space, comments, identifiers, numbers, quoted literals).
//! Must not know: which identifier is a keyword, or what a number's suffix means.

use std::sync::LazyLock;

use regex::Regex;

use crate::error::LexicalError;
use crate::token::Position;

/// The shape of what [`Scanner::scan`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    End,
    Word,
    Number,
    /// A `"` or `` ` `` literal with its quotes.
    Quoted,
    /// A single character of no other shape.
    Symbol,
}

/// A cursor over a query.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    /// Byte offset after the look-ahead character.
    next: usize,
    /// The look-ahead character; `None` at the end.
    current: Option<char>,
    current_len: usize,
    line: u32,
    column: u32,
    last_line_len: u32,
    token_start: usize,
    position: Position,
    fault: Option<(LexicalError, Position)>,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let mut scanner = Self {
            text,
            next: 0,
            current: None,
            current_len: 0,
            line: 1,
            column: 0,
            last_line_len: 0,
            token_start: 0,
            position: Position::default(),
            fault: None,
        };
        scanner.read();
        if scanner.current == Some('\u{feff}') {
            scanner.read();
        }
        scanner
    }

    /// The look-ahead character.
    pub(crate) fn peek(&self) -> Option<char> {
        self.current
    }

    /// The text from the look-ahead character on.
    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.offset()..).unwrap_or_default()
    }

    /// Byte offset of the look-ahead character.
    pub(crate) fn offset(&self) -> usize {
        self.next - self.current_len
    }

    /// Where the last token began.
    pub(crate) fn token_start(&self) -> usize {
        self.token_start
    }

    /// The position that an error at the last token reports.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The first error since the last call.
    pub(crate) fn take_fault(&mut self) -> Option<(LexicalError, Position)> {
        self.fault.take()
    }

    /// Takes one character outside a token: from here on the last token's position has no line.
    pub(crate) fn advance(&mut self) -> Option<char> {
        self.position.line = 0;
        let taken = self.current;
        if taken.is_some() {
            self.read();
        }
        taken
    }

    fn read(&mut self) -> Option<char> {
        self.current = self.text.get(self.next..).and_then(|rest| rest.chars().next());
        match self.current {
            None => {
                self.column += u32::from(self.current_len > 0);
                self.current_len = 0;
            }
            Some(c) => {
                self.current_len = c.len_utf8();
                self.next += self.current_len;
                self.column += 1;
                match c {
                    '\0' => self.fail(LexicalError::Nul),
                    '\n' => {
                        self.line += 1;
                        self.last_line_len = self.column;
                        self.column = 0;
                    }
                    _ => {}
                }
            }
        }
        self.current
    }

    pub(crate) fn fail(&mut self, error: LexicalError) {
        if self.fault.is_none() {
            self.fault = Some((error, self.position));
        }
    }

    /// Skips white space and comments and takes the next token.
    pub(crate) fn scan(&mut self) -> Shape {
        let scan_start = self.offset();
        loop {
            self.position.line = 0;
            while matches!(self.current, Some('\t' | '\n' | '\r' | ' ')) {
                self.read();
            }
            self.token_start = self.offset();
            self.position =
                if self.column > 0 { Position { line: self.line, column: self.column } } else { Position { line: self.line - 1, column: self.last_line_len } };
            let Some(first) = self.current else { return Shape::End };
            if is_word_start(first) {
                while self.read().is_some_and(|c| is_word_start(c) || is_digit(c)) {}
                return Shape::Word;
            }
            if first.is_ascii_digit() {
                self.number(self.token_start == scan_start, false);
                return Shape::Number;
            }
            self.read();
            match (first, self.current) {
                ('"', _) => {
                    self.escaped_literal('"');
                    self.read();
                    return Shape::Quoted;
                }
                ('`', _) => {
                    self.raw_literal();
                    return Shape::Quoted;
                }
                ('\'', _) => {
                    if self.escaped_literal('\'') != 1 {
                        self.fail(LexicalError::Character);
                    }
                    self.read();
                    return Shape::Symbol;
                }
                ('.', Some('0'..='9')) => {
                    self.number(false, true);
                    return Shape::Number;
                }
                ('/', Some('/')) => while !matches!(self.read(), None | Some('\n')) {},
                ('/', Some('*')) => self.block_comment(),
                _ => return Shape::Symbol,
            }
        }
    }

    fn block_comment(&mut self) {
        let mut previous = self.read();
        while previous.is_some() {
            let c = self.read();
            if previous == Some('*') && c == Some('/') {
                self.read();
                return;
            }
            previous = c;
        }
        self.fail(LexicalError::OpenComment);
    }

    fn raw_literal(&mut self) {
        loop {
            match self.current {
                None => {
                    self.fail(LexicalError::OpenLiteral);
                    return;
                }
                Some('`') => {
                    self.read();
                    return;
                }
                Some(_) => {
                    self.read();
                }
            }
        }
    }

    /// Reads up to the closing quote, which stays the look-ahead character; returns the number of characters.
    fn escaped_literal(&mut self, quote: char) -> usize {
        let mut characters = 0;
        while self.current != Some(quote) {
            match self.current {
                None | Some('\n') => {
                    self.fail(LexicalError::OpenLiteral);
                    return characters;
                }
                Some('\\') => self.escape(quote),
                Some(_) => {
                    self.read();
                }
            }
            characters += 1;
        }
        characters
    }

    fn escape(&mut self, quote: char) {
        match self.read() {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => {
                self.read();
            }
            Some(c) if c == quote => {
                self.read();
            }
            Some('0'..='7') => self.escape_digits(8, 3),
            Some('x') => {
                self.read();
                self.escape_digits(16, 2);
            }
            Some('u') => {
                self.read();
                self.escape_digits(16, 4);
            }
            Some('U') => {
                self.read();
                self.escape_digits(16, 8);
            }
            _ => self.fail(LexicalError::Escape),
        }
    }

    fn escape_digits(&mut self, radix: u32, count: usize) {
        for _ in 0..count {
            if !self.current.is_some_and(|c| c.is_digit(radix)) {
                self.fail(LexicalError::Escape);
                return;
            }
            self.read();
        }
    }
}

/// The literal forms of Go numbers.
impl Scanner<'_> {
    /// A number from its first digit on, or, after a point, from its first decimal on. `glued`: no white space stands before it.
    fn number(&mut self, glued: bool, after_point: bool) {
        let (mut radix, mut prefix) = (10, Prefix::Decimal);
        let mut digits = Digits::default();
        let mut is_float = after_point;
        if !after_point {
            if self.current == Some('0') {
                self.read();
                (radix, prefix) = self.number_prefix(glued, &mut digits);
            }
            self.digits(radix, &mut digits);
            if self.current == Some('.') {
                self.read();
                is_float = true;
            }
        }
        if is_float {
            if matches!(prefix, Prefix::Octal | Prefix::Binary) {
                self.fail(LexicalError::RadixPoint { literal: prefix.literal() });
            }
            self.digits(radix, &mut digits);
        }
        if !digits.any {
            self.fail(LexicalError::NoDigits { literal: prefix.literal() });
        }
        is_float |= self.exponent(prefix, is_float, &mut digits);
        if let (Some(digit), false) = (digits.invalid, is_float) {
            self.fail(LexicalError::Digit { digit, literal: prefix.literal() });
        }
        let text = self.text.get(self.token_start..self.offset()).unwrap_or_default();
        if digits.separators && misplaced_separator(text) {
            self.fail(LexicalError::Separator);
        }
    }

    /// What follows a leading `0`. Loki's scanner sees a binary prefix only in a number that white space does not set off; else `0b` is a
    /// decimal without digits.
    fn number_prefix(&mut self, glued: bool, digits: &mut Digits) -> (u32, Prefix) {
        match self.current {
            Some('x' | 'X') => {
                self.read();
                (16, Prefix::Hexadecimal)
            }
            Some('o' | 'O') => {
                self.read();
                (8, Prefix::Octal)
            }
            Some('b' | 'B') if glued => {
                self.read();
                (2, Prefix::Binary)
            }
            Some('b' | 'B') => (10, Prefix::Decimal),
            _ => {
                digits.any = true;
                (8, Prefix::LeadingZero)
            }
        }
    }

    /// Whether there was an exponent, which makes the number a float.
    fn exponent(&mut self, prefix: Prefix, is_float: bool, digits: &mut Digits) -> bool {
        let hexadecimal = prefix == Prefix::Hexadecimal;
        match self.current {
            Some(c @ ('e' | 'E')) if !matches!(prefix, Prefix::Decimal | Prefix::LeadingZero) => {
                self.fail(LexicalError::Exponent { letter: c });
            }
            Some('e' | 'E') => {}
            Some('p' | 'P') if hexadecimal => {}
            _ => {
                if hexadecimal && is_float {
                    self.fail(LexicalError::HexadecimalMantissa);
                }
                return false;
            }
        }
        self.read();
        if matches!(self.current, Some('+' | '-')) {
            self.read();
        }
        let mut exponent = Digits::default();
        self.digits(10, &mut exponent);
        if !exponent.any {
            self.fail(LexicalError::EmptyExponent);
        }
        digits.separators |= exponent.separators;
        true
    }

    fn digits(&mut self, radix: u32, digits: &mut Digits) {
        loop {
            match self.current {
                Some('_') => digits.separators = true,
                Some(c) if c.is_ascii_digit() || radix == 16 && c.is_ascii_hexdigit() => {
                    digits.any = true;
                    if radix <= 10 && !c.is_digit(radix) && digits.invalid.is_none() {
                        digits.invalid = Some(c);
                    }
                }
                _ => return,
            }
            self.read();
        }
    }
}

#[derive(Default)]
struct Digits {
    any: bool,
    separators: bool,
    invalid: Option<char>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Decimal,
    LeadingZero,
    Octal,
    Binary,
    Hexadecimal,
}

impl Prefix {
    const fn literal(self) -> &'static str {
        match self {
            Self::Decimal => "decimal literal",
            Self::LeadingZero | Self::Octal => "octal literal",
            Self::Binary => "binary literal",
            Self::Hexadecimal => "hexadecimal literal",
        }
    }
}

/// Whether some `_` of a number does not stand between two digits; a radix prefix counts as a digit.
fn misplaced_separator(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let (mut previous, body) = match lower.get(..2) {
        Some("0x" | "0o" | "0b") => ('0', lower.get(2..).unwrap_or_default()),
        _ => ('.', lower.as_str()),
    };
    let hexadecimal = lower.starts_with("0x");
    for c in body.chars() {
        let class = match c {
            '_' => '_',
            c if c.is_ascii_digit() || hexadecimal && c.is_ascii_hexdigit() => '0',
            _ => '.',
        };
        if class == '_' && previous != '0' || class == '.' && previous == '_' {
            return true;
        }
        previous = class;
    }
    previous == '_'
}

fn is_word_start(c: char) -> bool {
    c == '_' || if c.is_ascii() { c.is_ascii_alphabetic() } else { in_class(&LETTER, c) }
}

fn is_digit(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_digit() } else { in_class(&DECIMAL_DIGIT, c) }
}

static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{L}$").ok());
static DECIMAL_DIGIT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{Nd}$").ok());

fn in_class(class: &LazyLock<Option<Regex>>, c: char) -> bool {
    class.as_ref().is_some_and(|regex| regex.is_match(c.encode_utf8(&mut [0; 4])))
}
