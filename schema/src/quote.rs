//! Go string literals, as LogQL, Prometheus label text and Loki's messages write them.
//! Source: Go `strconv.Quote`, `strconv.Unquote`.

use std::fmt::Write as _;

/// Why a literal could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnquoteError {
    /// Not surrounded by `"` or `` ` ``, or an unescaped quote or newline inside.
    #[error("invalid syntax")]
    InvalidSyntax,
    /// The bytes that the escapes spell are not UTF-8.
    #[error("invalid UTF-8 rune")]
    InvalidUtf8,
}

/// `text` as a double-quoted Go literal: `strconv.Quote`.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote_into(&mut out, text);
    out
}

/// Appends `text` as a double-quoted Go literal.
pub fn quote_into(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if is_printable(c) => out.push(c),
            c if u32::from(c) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
}

/// Whether Go's `strconv.IsPrint` would show `c` as it is. Exact for ASCII and Latin-1; beyond, controls, format and
/// separator characters that logs meet are escaped and everything else is shown.
fn is_printable(c: char) -> bool {
    !(c.is_control()
        || matches!(u32::from(c), 0x80..=0xa0 | 0xad | 0x1680 | 0x180e | 0x2000..=0x200f | 0x2028..=0x202f | 0x205f..=0x206f | 0x3000 | 0xd800..=0xf8ff | 0xfeff | 0xfff0..=0xfffb | 0xfffe | 0xffff))
}

/// The text that the whole literal `literal` (quotes included) spells: `strconv.Unquote` for strings.
pub fn unquote(literal: &str) -> Result<String, UnquoteError> {
    if let Some(raw) = literal.strip_prefix('`') {
        let inner = raw.strip_suffix('`').ok_or(UnquoteError::InvalidSyntax)?;
        if inner.contains('`') {
            return Err(UnquoteError::InvalidSyntax);
        }
        return Ok(inner.replace('\r', ""));
    }
    let inner = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(UnquoteError::InvalidSyntax)?;
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).ok_or(UnquoteError::InvalidSyntax)?;
        rest = match c {
            '"' | '\n' => return Err(UnquoteError::InvalidSyntax),
            '\\' => unescape(after, &mut out)?,
            c => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                after
            }
        };
    }
    String::from_utf8(out).map_err(|_| UnquoteError::InvalidUtf8)
}

/// Reads one escape after its backslash into `out`; returns what follows.
fn unescape<'a>(text: &'a str, out: &mut Vec<u8>) -> Result<&'a str, UnquoteError> {
    let kind = text.chars().next().ok_or(UnquoteError::InvalidSyntax)?;
    let rest = text.get(kind.len_utf8()..).ok_or(UnquoteError::InvalidSyntax)?;
    let simple = match kind {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        '\\' => Some(b'\\'),
        '"' => Some(b'"'),
        _ => None,
    };
    if let Some(byte) = simple {
        out.push(byte);
        return Ok(rest);
    }
    match kind {
        'x' => {
            let (value, rest) = digits(rest, 2, 16)?;
            out.push(u8::try_from(value).map_err(|_| UnquoteError::InvalidSyntax)?);
            Ok(rest)
        }
        '0'..='7' => {
            let (value, rest) = digits(text, 3, 8)?;
            out.push(u8::try_from(value).map_err(|_| UnquoteError::InvalidSyntax)?);
            Ok(rest)
        }
        'u' | 'U' => {
            let (value, rest) = digits(rest, if kind == 'u' { 4 } else { 8 }, 16)?;
            let c = char::from_u32(value).ok_or(UnquoteError::InvalidSyntax)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            Ok(rest)
        }
        _ => Err(UnquoteError::InvalidSyntax),
    }
}

fn digits(text: &str, count: usize, radix: u32) -> Result<(u32, &str), UnquoteError> {
    let (number, rest) = (text.get(..count), text.get(count..));
    let (Some(number), Some(rest)) = (number, rest) else { return Err(UnquoteError::InvalidSyntax) };
    if number.starts_with('+') {
        return Err(UnquoteError::InvalidSyntax);
    }
    u32::from_str_radix(number, radix).map(|value| (value, rest)).map_err(|_| UnquoteError::InvalidSyntax)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (literal, text) in
            [(r#""a\tb""#, "a\tb"), (r#""\x41\101\u0041\U00000041""#, "AAAA"), (r#""\"\\""#, "\"\\"), ("`a\\n\"b`", "a\\n\"b"), (r#""ünï""#, "ünï")]
        {
            assert_eq!(unquote(literal).as_deref(), Ok(text), "{literal}");
        }
        for literal in ["", "\"", "a", "\"a", "`a", "`a`b`", "\"a\nb\"", r#""\q""#, r#""\'""#, r#""\u12""#, r#""\400""#, r#""\ud800""#] {
            assert_eq!(unquote(literal), Err(UnquoteError::InvalidSyntax), "{literal}");
        }
        assert_eq!(unquote(r#""\xff""#), Err(UnquoteError::InvalidUtf8));
    }

    #[test]
    fn writes_what_go_writes() {
        for (text, literal) in
            [("a\"b\\", r#""a\"b\\""#), ("\n\t\0\u{7f}", r#""\n\t\x00\x7f""#), ("ünï 😀", "\"ünï 😀\""), ("\u{feff}\u{a0}", r#""\ufeff\u00a0""#)]
        {
            assert_eq!(quote(text), literal);
            assert_eq!(unquote(literal).as_deref(), Ok(text));
        }
    }
}
