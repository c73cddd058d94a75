//! A position in JSON text: tokens, strings and skipping, without recursion and without a tree.
//! Owns: JSON's grammar as far as a push needs it. Must not know: what a push is.
//! More lenient than the grammar in one point, for hand-made templates: control characters may stand raw in a string.

use crate::error::PushError;

/// Objects and arrays inside one another that are skipped at most.
const MAX_DEPTH: usize = 512;

/// A string's bytes: in the body, or unescaped in an [`Arena`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text {
    start: usize,
    end: usize,
    unescaped: bool,
}

impl Text {
    pub(crate) fn len(self) -> usize {
        self.end - self.start
    }

    /// The bytes `start..end` of the body.
    pub(crate) fn of_body(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start), unescaped: false }
    }
}

/// A string as it stands in the body, its quotes left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawString {
    start: usize,
    end: usize,
    escaped: bool,
}

/// Unescaped strings, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Arena(Vec<u8>);

impl Arena {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }
}

#[derive(Debug)]
pub(crate) struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

#[cold]
pub(crate) fn malformed(problem: &'static str, offset: usize) -> PushError {
    PushError::Malformed { format: "JSON", problem, offset }
}

impl<'b> Cursor<'b> {
    /// At the start of `body`, which must be UTF-8.
    pub(crate) fn new(body: &'b [u8]) -> Result<Self, PushError> {
        if let Err(error) = simdutf8::compat::from_utf8(body) {
            return Err(malformed("not UTF-8", error.valid_up_to()));
        }
        Ok(Self { bytes: body, at: 0 })
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn go_to(&mut self, position: usize) {
        self.at = position;
    }

    /// The bytes of `text`.
    pub(crate) fn text<'t>(&self, text: Text, arena: &'t Arena) -> &'t [u8]
    where
        'b: 't,
    {
        let bytes: &'t [u8] = if text.unescaped { &arena.0 } else { self.bytes };
        bytes.get(text.start..text.end).unwrap_or_default()
    }

    /// Whether `string` spells `expected`, which needs no escapes.
    pub(crate) fn is(&self, string: RawString, expected: &str) -> bool {
        !string.escaped && self.bytes.get(string.start..string.end) == Some(expected.as_bytes())
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), PushError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(malformed("text after the end of the push", self.at)),
        }
    }

    /// Reads `null` if it is next.
    pub(crate) fn null(&mut self) -> Result<bool, PushError> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.literal(b"null").map(|()| true)
    }

    /// Reads an opening bracket.
    pub(crate) fn open(&mut self, bracket: u8, expected: &'static str) -> Result<(), PushError> {
        self.token(bracket, expected)
    }

    /// In an object: the next key, with its colon read; `None` after the closing brace was read.
    pub(crate) fn key(&mut self, first: &mut bool) -> Result<Option<RawString>, PushError> {
        if self.closed(b'}', first)? {
            return Ok(None);
        }
        let key = self.raw_string("expected a key")?;
        self.token(b':', "expected `:`")?;
        Ok(Some(key))
    }

    /// In an array: whether another element follows; `false` after the closing bracket was read.
    pub(crate) fn element(&mut self, first: &mut bool) -> Result<bool, PushError> {
        self.closed(b']', first).map(|closed| !closed)
    }

    /// A string, unescaped into `arena` where it must be.
    pub(crate) fn string(&mut self, arena: &mut Arena, expected: &'static str) -> Result<Text, PushError> {
        let raw = self.raw_string(expected)?;
        self.unescape(raw, arena)
    }

    /// A string, or a number or boolean as it is written.
    pub(crate) fn string_or_scalar(&mut self, arena: &mut Arena, expected: &'static str) -> Result<Text, PushError> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                let start = self.at;
                self.scalar()?;
                Ok(Text { start, end: self.at, unescaped: false })
            }
            _ => self.string(arena, expected),
        }
    }

    /// `raw` without escapes.
    pub(crate) fn unescape(&self, raw: RawString, arena: &mut Arena) -> Result<Text, PushError> {
        if !raw.escaped {
            return Ok(Text { start: raw.start, end: raw.end, unescaped: false });
        }
        let start = arena.0.len();
        let mut rest = self.bytes.get(raw.start..raw.end).unwrap_or_default();
        while let Some(at) = memchr::memchr(b'\\', rest) {
            let (plain, escape) = rest.split_at_checked(at).unwrap_or((rest, b""));
            arena.0.extend_from_slice(plain);
            let used = unescape_one(escape, &mut arena.0).ok_or_else(|| malformed("invalid escape in a string", raw.end - escape.len()))?;
            rest = escape.get(used..).unwrap_or_default();
        }
        arena.0.extend_from_slice(rest);
        Ok(Text { start, end: arena.0.len(), unescaped: true })
    }

    /// Skips an object or array and returns its text.
    pub(crate) fn skip_container(&mut self) -> Result<&'b [u8], PushError> {
        self.peek();
        let start = self.at;
        self.skip_value()?;
        Ok(self.bytes.get(start..self.at).unwrap_or_default())
    }

    /// Skips any value.
    pub(crate) fn skip_value(&mut self) -> Result<(), PushError> {
        // Closing brackets of what is open, and whether its first member is still to come.
        let mut open: Vec<(u8, bool)> = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.raw_string("expected a string")?;
                }
                Some(bracket @ (b'{' | b'[')) => {
                    if open.len() >= MAX_DEPTH {
                        return Err(malformed("nested too deep", self.at));
                    }
                    self.at += 1;
                    open.push((if bracket == b'{' { b'}' } else { b']' }, true));
                }
                _ => self.scalar()?,
            }
            loop {
                let Some((close, first)) = open.last_mut() else { return Ok(()) };
                let close = *close;
                if !self.closed(close, first)? {
                    if close == b'}' {
                        self.raw_string("expected a key")?;
                        self.token(b':', "expected `:`")?;
                    }
                    break;
                }
                open.pop();
            }
        }
    }

    /// Reads `close`, or the comma before another member.
    fn closed(&mut self, close: u8, first: &mut bool) -> Result<bool, PushError> {
        let next = self.peek();
        if next == Some(close) {
            self.at += 1;
            return Ok(true);
        }
        if std::mem::take(first) {
            return Ok(false);
        }
        if next != Some(b',') {
            return Err(malformed("expected `,` or a closing bracket", self.at));
        }
        self.at += 1;
        if self.peek() == Some(close) { Err(malformed("a comma before a closing bracket", self.at)) } else { Ok(false) }
    }

    fn raw_string(&mut self, expected: &'static str) -> Result<RawString, PushError> {
        self.token(b'"', expected)?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else { return Err(malformed("unterminated string", start)) };
            self.at += found + 1;
            if rest.get(found) == Some(&b'"') {
                return Ok(RawString { start, end: self.at - 1, escaped });
            }
            escaped = true;
            self.at += 1;
        }
    }

    /// Skips a number, `true`, `false` or `null`.
    fn scalar(&mut self) -> Result<(), PushError> {
        match self.peek() {
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'-' | b'0'..=b'9') => {
                let rest = self.bytes.get(self.at..).unwrap_or_default();
                self.at += rest.iter().position(|b| !matches!(*b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).unwrap_or(rest.len());
                Ok(())
            }
            Some(_) => Err(malformed("expected a value", self.at)),
            None => Err(malformed("unexpected end", self.at)),
        }
    }

    fn literal(&mut self, literal: &'static [u8]) -> Result<(), PushError> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(literal)) {
            return Err(malformed("expected a value", self.at));
        }
        self.at += literal.len();
        Ok(())
    }

    fn token(&mut self, token: u8, expected: &'static str) -> Result<(), PushError> {
        if self.peek() != Some(token) {
            return Err(malformed(expected, self.at));
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is not white space.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }
}

/// Decodes the escape that `escape` starts with and returns its length. Half a surrogate pair becomes U+FFFD, as in Go.
fn unescape_one(escape: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let simple = match escape.get(1)? {
        b'"' => b'"',
        b'\\' => b'\\',
        b'/' => b'/',
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let (c, used) = unescape_unicode(escape)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(used);
        }
        _ => return None,
    };
    out.push(simple);
    Some(2)
}

fn unescape_unicode(escape: &[u8]) -> Option<(char, usize)> {
    let high = hex4(escape.get(2..6)?)?;
    if let Some(c) = char::from_u32(high) {
        return Some((c, 6));
    }
    if let (0xd800..0xdc00, Some(b"\\u")) = (high, escape.get(6..8)) {
        let low = hex4(escape.get(8..12)?)?;
        if (0xdc00..0xe000).contains(&low) {
            return char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)).map(|c| (c, 12));
        }
    }
    Some((char::REPLACEMENT_CHARACTER, 6))
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}
