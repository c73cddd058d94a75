//! Walks JSON text without building a document, as forgiving as the parser that Loki uses (buger/jsonparser): values are
//! only looked at as far as their end has to be found, and what follows the outermost object is ignored.
//! The error texts are what `__error_details__` shows.

use std::borrow::Cow;
use std::ops::ControlFlow;

/// Objects nested deeper than this are an error: the walk recurses, and each level is scanned once more for its end.
pub(crate) const MAX_DEPTH: usize = 64;

/// Why a walk stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonTextError {
    #[error("Value looks like object, but can't find closing '}}' symbol")]
    Object,
    #[error("Value is array, but can't find closing ']' symbol")]
    Array,
    #[error("Value is string, but can't find closing '\"' symbol")]
    String,
    #[error("Malformed JSON error")]
    Malformed,
    #[error("Unknown value type")]
    UnknownType,
    #[error("Encountered an invalid escape sequence in a string")]
    Escape,
    #[error("objects are nested deeper than {MAX_DEPTH} levels")]
    Depth,
}

/// A value of which only the extent and kind are known. Strings come without their quotes, escapes still in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonValue<'a> {
    pub(crate) kind: JsonKind,
    pub(crate) text: &'a [u8],
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonKind {
    String,
    Number,
    Boolean,
    Null,
    Array,
    Object,
}

/// What a visitor of members answers: go on, stop with a result, or fail.
pub(crate) type Visit<B> = Result<ControlFlow<B>, JsonTextError>;

/// Calls `visit` with each unescaped key and value of the object that `text` starts with, in order, until it breaks.
/// Members before a malformed one are visited; a malformed value is shown to the visitor, and ends the walk.
pub(crate) fn each_member<'a, B>(text: &'a [u8], visit: &mut dyn FnMut(Cow<'a, [u8]>, Result<JsonValue<'a>, JsonTextError>) -> Visit<B>) -> Visit<B> {
    let mut cursor = Cursor { rest: text };
    if cursor.peek() != Some(b'{') {
        return Err(JsonTextError::Object);
    }
    cursor.skip(1);
    match cursor.peek() {
        None => return Err(JsonTextError::Malformed),
        Some(b'}') => return Ok(ControlFlow::Continue(())),
        Some(_) => {}
    }
    loop {
        match cursor.peek() {
            Some(b'"') => {}
            Some(b'}') => return Ok(ControlFlow::Continue(())),
            _ => return Err(JsonTextError::Object),
        }
        let raw = cursor.string().ok_or(JsonTextError::Malformed)?;
        let key = unescape(raw).ok_or(JsonTextError::Escape)?;
        if cursor.peek() != Some(b':') {
            return Err(JsonTextError::Malformed);
        }
        cursor.skip(1);
        let value = cursor.value();
        if let ControlFlow::Break(out) = visit(key, value)? {
            return Ok(ControlFlow::Break(out));
        }
        value?;
        match cursor.peek() {
            None => return Err(JsonTextError::Array),
            Some(b'}') => return Ok(ControlFlow::Continue(())),
            Some(b',') => cursor.skip(1),
            Some(_) => return Err(JsonTextError::Object),
        }
        if cursor.peek().is_none() {
            return Err(JsonTextError::Array);
        }
    }
}

/// The value that `text` starts with, leading white space skipped.
pub(crate) fn first_value(text: &[u8]) -> Result<JsonValue<'_>, JsonTextError> {
    Cursor { rest: text }.value()
}

/// Element `index` of the array `text`; `None` where there is none.
pub(crate) fn element(text: &[u8], index: usize) -> Result<Option<JsonValue<'_>>, JsonTextError> {
    let mut cursor = Cursor { rest: text };
    if cursor.peek() != Some(b'[') {
        return Ok(None);
    }
    cursor.skip(1);
    let mut at = 0;
    loop {
        match cursor.peek() {
            None => return Err(JsonTextError::Array),
            Some(b']') => return Ok(None),
            Some(_) => {}
        }
        let value = cursor.value()?;
        if at == index {
            return Ok(Some(value));
        }
        at += 1;
        match cursor.peek() {
            Some(b',') => cursor.skip(1),
            Some(b']') => return Ok(None),
            _ => return Err(JsonTextError::Array),
        }
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// The next byte that is no white space, which becomes the front.
    fn peek(&mut self) -> Option<u8> {
        let blank = self.rest.iter().take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t')).count();
        self.skip(blank);
        self.rest.first().copied()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or(&[]);
    }

    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// The string at the front, without quotes; `None` where it has no end.
    fn string(&mut self) -> Option<&'a [u8]> {
        let end = string_end(self.rest.get(1..)?)?;
        let whole = self.take(end + 1);
        whole.get(1..end)
    }

    fn value(&mut self) -> Result<JsonValue<'a>, JsonTextError> {
        let (kind, text) = match self.peek().ok_or(JsonTextError::Malformed)? {
            b'"' => (JsonKind::String, self.string().ok_or(JsonTextError::String)?),
            b'[' => {
                let end = block_end(self.rest, b'[', b']').ok_or(JsonTextError::Array)?;
                (JsonKind::Array, self.take(end))
            }
            b'{' => {
                let end = block_end(self.rest, b'{', b'}').ok_or(JsonTextError::Object)?;
                (JsonKind::Object, self.take(end))
            }
            first => {
                let end = self.rest.iter().position(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'}' | b']')).unwrap_or(self.rest.len());
                let text = self.take(end);
                let kind = match (first, text) {
                    (_, b"true" | b"false") => JsonKind::Boolean,
                    (_, b"null") => JsonKind::Null,
                    (b'0'..=b'9' | b'-', _) => JsonKind::Number,
                    _ => return Err(JsonTextError::UnknownType),
                };
                (kind, text)
            }
        };
        Ok(JsonValue { kind, text })
    }
}

/// Index after the quote that ends the string whose opening quote stands before `bytes`, counted from that opening quote.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        from = at + 2;
    }
}

/// Length of the bracketed value that `bytes` starts with; brackets inside strings do not count.
fn block_end(bytes: &[u8], open: u8, close: u8) -> Option<usize> {
    let (mut level, mut at) = (0usize, 0);
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' {
            at += string_end(bytes.get(at + 1..)?)?;
        } else if byte == open {
            level += 1;
        } else if byte == close {
            level = level.checked_sub(1)?;
            if level == 0 {
                return Some(at + 1);
            }
        }
        at += 1;
    }
    None
}

/// `raw` with its escapes resolved; `None` where one is not JSON's.
pub(crate) fn unescape(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(first) = memchr::memchr(b'\\', raw) else { return Some(Cow::Borrowed(raw)) };
    let mut out = Vec::with_capacity(raw.len());
    let (plain, mut rest) = raw.split_at_checked(first)?;
    out.extend_from_slice(plain);
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'\\' {
            let end = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
            let (plain, next) = rest.split_at_checked(end)?;
            out.extend_from_slice(plain);
            rest = next;
            continue;
        }
        let (&kind, after) = after.split_first()?;
        rest = after;
        match kind {
            b'"' | b'\\' | b'/' => out.push(kind),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (c, after) = unicode_escape(rest)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            }
            _ => return None,
        }
    }
    Some(Cow::Owned(out))
}

/// The character after `\u`, a surrogate pair read as one.
fn unicode_escape(bytes: &[u8]) -> Option<(char, &[u8])> {
    let (unit, rest) = hex4(bytes)?;
    if !(0xd800..0xe000).contains(&unit) {
        return char::from_u32(unit).map(|c| (c, rest));
    }
    let (low, rest) = hex4(rest.strip_prefix(b"\\u")?)?;
    if unit >= 0xdc00 || !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)).map(|c| (c, rest))
}

fn hex4(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    Some((u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Members = Vec<(String, JsonKind, String)>;

    fn members(text: &str) -> (Members, Result<(), JsonTextError>) {
        let mut seen = Vec::new();
        let result = each_member::<()>(text.as_bytes(), &mut |key, value| {
            let value = value?;
            seen.push((String::from_utf8_lossy(&key).into_owned(), value.kind, String::from_utf8_lossy(value.text).into_owned()));
            Ok(ControlFlow::Continue(()))
        });
        (seen, result.map(|_| ()))
    }

    #[test]
    fn members_come_in_order_with_their_extent() {
        let (seen, result) = members(r#" {"a": "x\"y", "b" :1.50,"c":[1,{"]":2}], "d":{"e":"}"} ,"f":true,"g":null} trailing"#);
        assert_eq!(result, Ok(()));
        let expected = [
            ("a", JsonKind::String, r#"x\"y"#),
            ("b", JsonKind::Number, "1.50"),
            ("c", JsonKind::Array, r#"[1,{"]":2}]"#),
            ("d", JsonKind::Object, r#"{"e":"}"}"#),
            ("f", JsonKind::Boolean, "true"),
            ("g", JsonKind::Null, "null"),
        ];
        assert_eq!(seen, expected.map(|(k, kind, v)| (k.to_owned(), kind, v.to_owned())));
    }

    #[test]
    fn what_is_broken_is_named_and_what_came_before_is_seen() {
        for (text, count, error) in [
            ("", 0, JsonTextError::Object),
            ("plain", 0, JsonTextError::Object),
            ("[1]", 0, JsonTextError::Object),
            ("{", 0, JsonTextError::Malformed),
            (r#"{"a":1"#, 1, JsonTextError::Array),
            (r#"{"a":1,"#, 1, JsonTextError::Array),
            (r#"{"a":"x"#, 0, JsonTextError::String),
            (r#"{"a":1,"b":{"c":2"#, 1, JsonTextError::Object),
            (r#"{"a":1,"b":[2"#, 1, JsonTextError::Array),
            (r#"{"a":1,"b"#, 1, JsonTextError::Malformed),
            (r#"{"a" 1}"#, 0, JsonTextError::Malformed),
            (r#"{"a":nope}"#, 0, JsonTextError::UnknownType),
            (r#"{"a":1 "b":2}"#, 1, JsonTextError::Object),
            (r#"{"\q":1}"#, 0, JsonTextError::Escape),
        ] {
            let (seen, result) = members(text);
            assert_eq!((seen.len(), result), (count, Err(error)), "{text}");
        }
    }

    #[test]
    fn escapes() {
        for (raw, text) in [
            (r"a\n\u00e7\ud83d\ude00\/", Some("a\nç😀/")),
            (r"\ud83d", None),
            (r"\ude00", None),
            (r"\x", None),
            (r"\u12g4", None),
            ("plain", Some("plain")),
            (r"\u+123", None),
        ] {
            assert_eq!(unescape(raw.as_bytes()).map(|b| String::from_utf8(b.into_owned()).unwrap()).as_deref(), text, "{raw}");
        }
    }

    #[test]
    fn elements_of_arrays() {
        assert_eq!(element(br#"[1, "x", {"a":2}]"#, 1).unwrap().unwrap().text, b"x");
        assert_eq!(element(b"[]", 0), Ok(None));
        assert_eq!(element(b"[1]", 1), Ok(None));
        assert_eq!(element(b"{}", 0), Ok(None));
        assert_eq!(element(b"[1", 1), Err(JsonTextError::Array));
    }
}
