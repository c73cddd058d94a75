//! How a field of a line becomes a label name (spec/logql.md 3.2).

use std::borrow::Cow;

use crate::labels::{Category, RowLabels};

/// Appended to a parsed name that a stream label or structured metadata already has.
pub(crate) const COLLISION_SUFFIX: &str = "_extracted";

/// `field` as a label name: outer white space trimmed, a leading digit prefixed with `_`, every other character outside
/// `[a-zA-Z0-9_]` replaced by `_`. Empty where nothing is left.
pub(crate) fn sanitize(field: &str) -> Cow<'_, str> {
    let field = field.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{85}' || c == '\u{a0}' || c.is_whitespace());
    let mut bytes = field.bytes();
    let clean = bytes.next().is_none_or(|b| b.is_ascii_alphabetic() || b == b'_') && bytes.all(is_name_byte);
    if clean {
        return Cow::Borrowed(field);
    }
    let mut out = String::with_capacity(field.len() + 1);
    append_sanitized(&mut out, field);
    Cow::Owned(out)
}

/// Appends one part of a nested name; the digit rule only concerns the first part.
pub(crate) fn append_sanitized(out: &mut String, part: &str) {
    let part = part.trim();
    if out.is_empty() && part.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(part.chars().map(|c| if c.is_ascii() && is_name_byte(u8::try_from(c).unwrap_or(b'?')) { c } else { '_' }));
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Whether the row had `name` before any parser ran: as a stream label or as structured metadata.
pub(crate) fn collides(labels: &RowLabels<'_>, name: &str) -> bool {
    labels.base(name).is_some_and(|label| label.category != Category::Parsed)
}

/// Text of a field: invalid UTF-8 and U+FFFD become spaces, since a label value cannot hold them.
pub(crate) fn clean_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\u{fffd}') => Cow::Borrowed(text),
        Ok(text) => Cow::Owned(text.replace('\u{fffd}', " ")),
        Err(_) => {
            let mut out = String::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                out.extend(chunk.valid().chars().map(|c| if c == '\u{fffd}' { ' ' } else { c }));
                out.extend(std::iter::repeat_n(' ', chunk.invalid().len()));
            }
            Cow::Owned(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_label_names() {
        for (field, name) in [
            ("a", "a"),
            ("trace-id", "trace_id"),
            ("client.ip", "client_ip"),
            ("1st", "_1st"),
            (" x ", "x"),
            ("ünï", "_n_"),
            ("", ""),
            ("  ", ""),
            ("a1", "a1"),
        ] {
            assert_eq!(sanitize(field), name, "{field:?}");
        }
        let mut nested = String::from("user_");
        append_sanitized(&mut nested, "1.x");
        assert_eq!(nested, "user_1_x");
    }

    #[test]
    fn broken_text_becomes_spaces() {
        assert_eq!(clean_text(b"a\xffb\xe2\x82"), "a b  ");
        assert_eq!(clean_text("a\u{fffd}b".as_bytes()), "a b");
    }
}
