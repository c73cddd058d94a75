//! Label sets: what names a stream.

use std::fmt;
use std::sync::Arc;

use crate::quote::{quote_into, unquote};

/// One label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// Never empty.
    pub name: Box<str>,
    /// Never empty: an empty value means that the label is absent, as in Prometheus.
    pub value: Box<str>,
}

/// Labels sorted by name, names unique, values non-empty. Cheap to clone. Ordered label by label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSet(Arc<[Label]>);

/// A 64-bit fingerprint of a label set, for the `stream_id` column that other engines join on.
/// Tarn itself compares label sets, never fingerprints, so that a collision cannot mix two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// A name that occurs twice in one label set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("duplicate label name: '{name}'")]
pub struct DuplicateLabel {
    /// The name.
    pub name: String,
}

/// Why label text such as `{app="x"}` could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelParseError {
    /// Something else stood where the grammar wants `expected`.
    #[error("parse error at line 1, col {column}: expected {expected}")]
    Unexpected {
        /// 1-based byte column.
        column: usize,
        /// What would have been right.
        expected: &'static str,
    },
    /// A name that occurs twice.
    #[error(transparent)]
    Duplicate(#[from] DuplicateLabel),
}

impl Default for LabelSet {
    fn default() -> Self {
        Self(Arc::from(Vec::new()))
    }
}

impl LabelSet {
    /// Sorts `pairs`, drops empty values, refuses a name that occurs twice.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, DuplicateLabel>
    where
        N: Into<Box<str>>,
        V: Into<Box<str>>,
    {
        let mut labels: Vec<Label> = pairs.into_iter().map(|(name, value)| Label { name: name.into(), value: value.into() }).collect();
        labels.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if let Some(twice) = labels.windows(2).find_map(|w| match w {
            [a, b] if a.name == b.name => Some(a),
            _ => None,
        }) {
            return Err(DuplicateLabel { name: twice.name.to_string() });
        }
        labels.retain(|label| !label.value.is_empty());
        Ok(Self(labels.into()))
    }

    /// Reads the Prometheus text form `{a="b", c="d"}`; a trailing comma and white space are accepted, as Loki's push does.
    pub fn parse(text: &str) -> Result<Self, LabelParseError> {
        let mut reader = Reader { text, at: 0 };
        let pairs = reader.label_set()?;
        Ok(Self::from_pairs(pairs)?)
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.binary_search_by(|label| (*label.name).cmp(name)).ok().and_then(|i| self.0.get(i)).map(|label| &*label.value)
    }

    /// Labels in name order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|label| (&*label.name, &*label.value))
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same labels with `name` set to `value`; an empty value removes it.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut labels: Vec<Label> = self.0.iter().filter(|label| &*label.name != name).cloned().collect();
        if !value.is_empty() {
            let at = labels.partition_point(|label| &*label.name < name);
            labels.insert(at, Label { name: name.into(), value: value.into() });
        }
        Self(labels.into())
    }

    /// The fingerprint of these labels: the first 8 bytes, little endian, of BLAKE3 over `name 0xff value 0xff ...`.
    /// `0xff` occurs in no UTF-8 text, so no two label sets spell the same bytes.
    pub fn stream_id(&self) -> StreamId {
        let mut hasher = blake3::Hasher::new();
        for (name, value) in self.iter() {
            hasher.update(name.as_bytes()).update(&[0xff]).update(value.as_bytes()).update(&[0xff]);
        }
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        StreamId(u64::from_le_bytes(first))
    }
}

impl fmt::Display for LabelSet {
    /// `{a="b", c="d"}`, values as Go literals: the form that Loki prints and sorts by.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::from("{");
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            out.push_str(name);
            out.push('=');
            quote_into(&mut out, value);
        }
        out.push('}');
        f.write_str(&out)
    }
}

/// Whether `name` is a Prometheus label name: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Name and value as read.
type Pair = (Box<str>, Box<str>);

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn label_set(&mut self) -> Result<Vec<Pair>, LabelParseError> {
        let mut pairs = Vec::new();
        self.expect(b'{', "{")?;
        loop {
            if self.accept(b'}') {
                break;
            }
            let name = self.name()?;
            self.expect(b'=', "=")?;
            let value = self.value()?;
            pairs.push((name.into(), value.into_boxed_str()));
            if self.accept(b',') {
                continue;
            }
            self.expect(b'}', ", or }")?;
            break;
        }
        self.skip_space();
        if self.at < self.text.len() {
            return Err(self.unexpected("the end of the labels"));
        }
        Ok(pairs)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn accept(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.rest().as_bytes().first() == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), LabelParseError> {
        if self.accept(byte) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn name(&mut self) -> Result<&'a str, LabelParseError> {
        self.skip_space();
        let rest = self.rest();
        let end = rest.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'_')).unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or("");
        if !is_label_name(name) {
            return Err(self.unexpected("a label name"));
        }
        self.at += end;
        Ok(name)
    }

    fn value(&mut self) -> Result<String, LabelParseError> {
        self.skip_space();
        let rest = self.rest();
        let end = literal_end(rest.as_bytes()).ok_or_else(|| self.unexpected("a quoted label value"))?;
        let value = rest.get(..end).and_then(|literal| unquote(literal).ok()).ok_or_else(|| self.unexpected("a quoted label value"))?;
        self.at += end;
        Ok(value)
    }

    fn unexpected(&self, expected: &'static str) -> LabelParseError {
        LabelParseError::Unexpected { column: self.at + 1, expected }
    }
}

/// Length of the string literal that `bytes` starts with, quotes included.
fn literal_end(bytes: &[u8]) -> Option<usize> {
    let (&quote, inner) = bytes.split_first()?;
    let mut escaped = false;
    for (i, &b) in inner.iter().enumerate() {
        match (quote, b) {
            _ if escaped => escaped = false,
            (b'"', b'\\') => escaped = true,
            (b'"', b'"') | (b'`', b'`') => return Some(i + 2),
            (b'"' | b'`', _) => {}
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for (text, canonical) in [
            (r#"{b="2", a="1"}"#, r#"{a="1", b="2"}"#),
            (r#" { a = "x\"y" , b=`c\d` ,} "#, r#"{a="x\"y", b="c\\d"}"#),
            (r#"{a="", b="1"}"#, r#"{b="1"}"#),
            ("{}", "{}"),
        ] {
            let set = LabelSet::parse(text).unwrap();
            assert_eq!(set.to_string(), canonical);
            assert_eq!(LabelSet::parse(canonical).unwrap(), set);
        }
    }

    #[test]
    fn refuses_what_is_not_a_label_set() {
        for text in
            ["", "{", "a=\"b\"", "{a}", "{a=}", "{a=b}", "{a=\"b\"", "{a=\"b\"}}", "{1a=\"b\"}", "{a=\"b\" c=\"d\"}", "{a.b=\"c\"}", "{=\"c\"}", "{a=\"\\q\"}"]
        {
            assert!(matches!(LabelSet::parse(text), Err(LabelParseError::Unexpected { .. })), "{text}");
        }
        assert!(matches!(LabelSet::parse(r#"{a="1",a="2"}"#), Err(LabelParseError::Duplicate(_))));
    }

    #[test]
    fn with_sets_and_removes() {
        let set = LabelSet::parse(r#"{b="2"}"#).unwrap();
        assert_eq!(set.with("a", "1").to_string(), r#"{a="1", b="2"}"#);
        assert_eq!(set.with("b", "").to_string(), "{}");
        assert_eq!(set.get("b"), Some("2"));
        assert_eq!(set.get("c"), None);
        assert_ne!(set.stream_id(), set.with("b", "3").stream_id());
    }
}
