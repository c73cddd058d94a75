//! Structured metadata of one push: names brought into Prometheus' form and interned, values made UTF-8.
//! The rules are Loki's (otlptranslator `LabelNamer`). Must not know: limits, lines.

use std::borrow::Cow;
use std::collections::HashMap;

use schema::MetadataColumn;

use crate::detect_level::{self, DETECTED_LEVEL, LEVEL_FIELDS};
use crate::error::PushError;

/// The pairs of one entry as decoded, in the order of the body.
#[derive(Clone, Debug)]
pub(crate) struct Pairs<I> {
    /// Names and values. May end early once `count` or `bytes` is past every limit.
    pub(crate) iter: I,
    /// Number of pairs.
    pub(crate) count: usize,
    /// Bytes of all names and values.
    pub(crate) bytes: usize,
}

/// What an entry's metadata says about its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LevelHint<'p> {
    /// Nothing.
    None,
    /// `severity_number`.
    SeverityNumber(&'p [u8]),
    /// The best of the level fields.
    Field(&'p [u8]),
    /// The client set `detected_level`; it is already in the row.
    Given,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Plain,
    DetectedLevel,
    /// Index in [`LEVEL_FIELDS`].
    LevelField(usize),
    SeverityNumber,
}

#[derive(Clone, Copy, Debug)]
struct Name {
    id: u32,
    role: Role,
}

/// The names seen in a push. Rows mostly repeat the names of the row before, in the same order, which costs one comparison.
#[derive(Debug, Default)]
pub(crate) struct MetadataNames {
    /// By name as sent: index into `names`.
    sent: HashMap<Box<[u8]>, usize>,
    names: Vec<(Box<[u8]>, Name)>,
    /// By normalised name: the column's id.
    ids: HashMap<Box<str>, u32>,
    /// Indices into `names` of the latest pairs by position in their row.
    latest: Vec<usize>,
    /// Ids in the row under construction.
    row: Vec<u32>,
    detected_level: Option<u32>,
}

impl MetadataNames {
    /// Adds `pairs` to the row under construction. Of two pairs whose names become the same, the first one stays.
    pub(crate) fn write<'p>(&mut self, pairs: impl Iterator<Item = (&'p [u8], &'p [u8])>, column: &mut MetadataColumn) -> Result<LevelHint<'p>, PushError> {
        let mut hint = LevelHint::None;
        let mut best_rank = LEVEL_FIELDS.len();
        self.row.clear();
        for (position, (sent_name, value)) in pairs.enumerate() {
            let name = self.resolve(position, sent_name, column)?;
            if self.row.contains(&name.id) {
                continue;
            }
            self.row.push(name.id);
            match name.role {
                Role::DetectedLevel => {
                    hint = LevelHint::Given;
                    match detect_level::normalize(value) {
                        Some(level) => column.push_pair(name.id, level.as_bytes()),
                        None => column.push_pair(name.id, &clean_utf8(value)),
                    }
                    continue;
                }
                Role::LevelField(rank) if rank < best_rank && hint != LevelHint::Given && !value.is_empty() => {
                    best_rank = rank;
                    hint = LevelHint::Field(value);
                }
                Role::SeverityNumber if hint == LevelHint::None => hint = LevelHint::SeverityNumber(value),
                _ => {}
            }
            column.push_pair(name.id, &clean_utf8(value));
        }
        Ok(hint)
    }

    /// Adds `detected_level` to the row under construction.
    pub(crate) fn write_level(&mut self, level: &[u8], column: &mut MetadataColumn) {
        let id = match self.detected_level {
            Some(id) => id,
            None => {
                let id = self.id_of(DETECTED_LEVEL, column);
                self.detected_level = Some(id);
                id
            }
        };
        column.push_pair(id, &clean_utf8(level));
    }

    fn resolve(&mut self, position: usize, sent_name: &[u8], column: &mut MetadataColumn) -> Result<Name, PushError> {
        if let Some((known, name)) = self.latest.get(position).and_then(|index| self.names.get(*index))
            && **known == *sent_name
        {
            return Ok(*name);
        }
        let index = match self.sent.get(sent_name) {
            Some(index) => *index,
            None => self.add(sent_name, column)?,
        };
        match self.latest.get_mut(position) {
            Some(latest) => *latest = index,
            None => self.latest.push(index),
        }
        self.names.get(index).map(|(_, name)| *name).ok_or_else(|| invalid_name(sent_name))
    }

    fn add(&mut self, sent_name: &[u8], column: &mut MetadataColumn) -> Result<usize, PushError> {
        let text = std::str::from_utf8(sent_name).map_err(|_| invalid_name(sent_name))?;
        let normalized = normalize_name(text).ok_or_else(|| invalid_name(sent_name))?;
        let rank = LEVEL_FIELDS.iter().position(|field| *field == text || *field == normalized);
        let role = match (rank, &*normalized) {
            (_, DETECTED_LEVEL) => Role::DetectedLevel,
            (_, "severity_number") => Role::SeverityNumber,
            (Some(rank), _) => Role::LevelField(rank),
            (None, _) => Role::Plain,
        };
        let id = self.id_of(&normalized, column);
        let index = self.names.len();
        self.names.push((sent_name.into(), Name { id, role }));
        self.sent.insert(sent_name.into(), index);
        Ok(index)
    }

    fn id_of(&mut self, normalized: &str, column: &mut MetadataColumn) -> u32 {
        match self.ids.get(normalized) {
            Some(id) => *id,
            None => {
                let id = column.add_name(normalized);
                self.ids.insert(normalized.into(), id);
                id
            }
        }
    }
}

pub(crate) fn invalid_name(sent_name: &[u8]) -> PushError {
    PushError::MetadataName { name: crate::reject::shorten(&String::from_utf8_lossy(sent_name)) }
}

/// A metadata name as a label name: what is not `[A-Za-z0-9_]` becomes `_`, runs of `_` become one, a leading digit gets
/// `key_`; the double underscores around a reserved `__x__` stay. `None` if only underscores are left.
pub(crate) fn normalize_name(name: &str) -> Option<Cow<'_, str>> {
    let reserved = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    let inner = reserved.unwrap_or(name);
    if !inner.bytes().any(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let starts_with_digit = reserved.is_none() && inner.starts_with(|c: char| c.is_ascii_digit());
    if !starts_with_digit && !inner.contains("__") && inner.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Some(Cow::Borrowed(name));
    }
    let mut out = String::with_capacity(name.len() + 4);
    out.push_str(if reserved.is_some() { "__" } else { "" });
    out.push_str(if starts_with_digit { "key_" } else { "" });
    let mut after_underscore = false;
    for c in inner.chars() {
        let valid = c.is_ascii_alphanumeric();
        if valid || !after_underscore {
            out.push(if valid { c } else { '_' });
        }
        after_underscore = !valid;
    }
    out.push_str(if reserved.is_some() { "__" } else { "" });
    Some(Cow::Owned(out))
}

/// `value` with each byte that is not UTF-8 replaced by a space, as Loki does with metadata values.
pub(crate) fn clean_utf8(value: &[u8]) -> Cow<'_, [u8]> {
    if value.is_ascii() || simdutf8::basic::from_utf8(value).is_ok() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        out.extend(chunk.invalid().iter().map(|_| b' '));
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_label_names() {
        for (sent, expected) in [
            ("trace_id", Some("trace_id")),
            ("http.status", Some("http_status")),
            ("a..b", Some("a_b")),
            ("a__b", Some("a_b")),
            ("_a", Some("_a")),
            ("__a", Some("_a")),
            ("1a", Some("key_1a")),
            ("__error__", Some("__error__")),
            ("__a.b__", Some("__a_b__")),
            ("ünï", Some("_n_")),
            ("a:b", Some("a_b")),
            ("", None),
            ("_", None),
            ("____", None),
            (".-.", None),
        ] {
            assert_eq!(normalize_name(sent).as_deref(), expected, "{sent:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_become_spaces() {
        assert_eq!(&*clean_utf8(b"a\xff\xfeb"), b"a  b");
        assert_eq!(&*clean_utf8("ü\u{fffd}".as_bytes()), "ü\u{fffd}".as_bytes());
    }

    #[test]
    fn of_equal_names_the_first_stays() {
        let mut names = MetadataNames::default();
        let mut column = MetadataColumn::default();
        let pairs: [(&[u8], &[u8]); 3] = [(b"a.b", b"1"), (b"a_b", b"2"), (b"c", b"3")];
        for _ in 0..2 {
            assert_eq!(names.write(pairs.into_iter(), &mut column).unwrap(), LevelHint::None);
            column.finish_row();
        }
        for row in 0..2 {
            assert_eq!(column.row(row).collect::<Vec<_>>(), [("a_b", &b"1"[..]), ("c", b"3")]);
        }
    }

    #[test]
    fn hints_follow_the_order_of_the_list() {
        let mut names = MetadataNames::default();
        let mut column = MetadataColumn::default();
        let mut hint = |pairs: &[(&'static str, &'static str)]| names.write(pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())), &mut column).unwrap();
        assert_eq!(hint(&[("severity_number", "9"), ("lvl", "x"), ("level", "y")]), LevelHint::Field(b"y"));
        assert_eq!(hint(&[("lvl", "x"), ("severity_number", "9")]), LevelHint::Field(b"x"));
        assert_eq!(hint(&[("severity_number", "9"), ("level", "")]), LevelHint::SeverityNumber(b"9"));
        assert_eq!(hint(&[("level", "x"), ("detected_level", "WARN")]), LevelHint::Given);
        assert_eq!(hint(&[("log.level", "x")]), LevelHint::Field(b"x"));
    }
}
