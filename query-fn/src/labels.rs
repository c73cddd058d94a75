//! The labels of rows: how a batch holds them, and how a pipeline changes them.
//!
//! Between operators a batch has a `labels` column of type `Dictionary(Int32, Binary)`. A dictionary value is one label set
//! in the encoding below, so a set is stored once per batch, however many rows share it, and operators that only look at
//! labels work once per distinct set. It is plain Arrow: batches can be shipped between processes as they are.
//!
//! Encoding of a set: for each label in name order `category: u8, name length: varint, name, value length: varint, value`.
//! Equal sets have equal bytes.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;

use schema::LabelSet;

use crate::QueryError;
use crate::pipeline::NeededLabels;

/// The label that holds the kind of a pipeline error.
pub const ERROR_LABEL: &str = "__error__";
/// The label that holds the text of a pipeline error.
pub const ERROR_DETAILS_LABEL: &str = "__error_details__";

/// Appended to the name of a metadata label that a stream label has already.
const COLLISION_SUFFIX: &str = "_extracted";

/// Where a label came from (spec/logql.md section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// The stream.
    Stream,
    /// Structured metadata.
    Metadata,
    /// The pipeline.
    Parsed,
}

impl Category {
    const fn byte(self) -> u8 {
        match self {
            Self::Stream => 0,
            Self::Metadata => 1,
            Self::Parsed => 2,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Stream),
            1 => Some(Self::Metadata),
            2 => Some(Self::Parsed),
            _ => None,
        }
    }
}

/// One label of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelRef<'a> {
    /// Where it came from.
    pub category: Category,
    /// Its name.
    pub name: &'a str,
    /// Its value; may be empty for parsed labels.
    pub value: &'a str,
}

/// A decoded label set, borrowed from its encoding; labels in name order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelsView<'a> {
    labels: Vec<LabelRef<'a>>,
}

impl<'a> LabelsView<'a> {
    /// Decodes a set. Errors: the bytes are no encoding of ours.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, QueryError> {
        let mut labels = Vec::new();
        let mut rest = bytes;
        while let Some((&category, after)) = rest.split_first() {
            let category = Category::from_byte(category).ok_or_else(malformed)?;
            let (name, after) = take_text(after)?;
            let (value, after) = take_text(after)?;
            labels.push(LabelRef { category, name, value });
            rest = after;
        }
        Ok(Self { labels })
    }

    /// Labels in name order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = LabelRef<'a>> + '_ {
        self.labels.iter().copied()
    }

    /// The label with this name.
    pub fn get(&self, name: &str) -> Option<LabelRef<'a>> {
        self.labels.binary_search_by(|label| label.name.cmp(name)).ok().and_then(|i| self.labels.get(i)).copied()
    }
}

/// Encodes labels that are already in name order, names unique.
pub fn encode_sorted<'a>(labels: impl IntoIterator<Item = LabelRef<'a>>, out: &mut Vec<u8>) {
    for label in labels {
        out.push(label.category.byte());
        put_text(out, label.name);
        put_text(out, label.value);
    }
}

/// Appends the encoding of the needed labels of a row: the stream's, and its metadata, renamed where the stream has the name.
pub(crate) fn encode_row(stream: &LabelSet, metadata: &[(Box<str>, Box<str>)], needed: &NeededLabels, out: &mut Vec<u8>) {
    let own = stream.iter().filter(|(name, _)| needed.contains(name)).map(|(name, value)| LabelRef { category: Category::Stream, name, value });
    if metadata.is_empty() {
        return encode_sorted(own, out);
    }
    let renamed: Vec<(Cow<'_, str>, &str)> = metadata
        .iter()
        .map(|(name, value)| match stream.get(name) {
            Some(_) => (format!("{name}{COLLISION_SUFFIX}").into(), &**value),
            None => ((&**name).into(), &**value),
        })
        .collect();
    let added = renamed.iter().filter(|(name, _)| needed.contains(name)).map(|(name, value)| LabelRef { category: category_of(name), name, value });
    let mut labels: Vec<LabelRef<'_>> = own.chain(added).collect();
    labels.sort_by(|a, b| a.name.cmp(b.name));
    labels.dedup_by(|later, earlier| later.name == earlier.name);
    encode_sorted(labels, out);
}

/// Metadata with the name of an error label is an error (spec/logql.md section 3).
fn category_of(name: &str) -> Category {
    if matches!(name, ERROR_LABEL | ERROR_DETAILS_LABEL) { Category::Parsed } else { Category::Metadata }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    while length > 0x7f {
        out.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or(0));
    out.extend_from_slice(text.as_bytes());
}

fn take_text(bytes: &[u8]) -> Result<(&str, &[u8]), QueryError> {
    let (mut length, mut shift, mut rest) = (0usize, 0u32, bytes);
    loop {
        let (&byte, after) = rest.split_first().ok_or_else(malformed)?;
        rest = after;
        length |= usize::from(byte & 0x7f).checked_shl(shift).ok_or_else(malformed)?;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    let (text, rest) = rest.split_at_checked(length).ok_or_else(malformed)?;
    Ok((std::str::from_utf8(text).map_err(|_| malformed())?, rest))
}

fn malformed() -> QueryError {
    QueryError::Internal { invariant: "a labels column holds only encoded label sets".to_owned() }
}

/// The labels of one row while a pipeline runs: a shared base and the row's own changes, kept in buffers that are reused
/// from row to row. Names are unique over all categories; setting a label replaces whatever had its name.
#[derive(Debug)]
pub struct RowLabels<'a> {
    base: &'a LabelsView<'a>,
    changes: Vec<Change>,
    text: String,
    /// Where the change of a name is, once there are so many that looking through all of them would be slow.
    index: HashMap<Box<str>, usize>,
}

/// Up to so many changes are looked through one by one.
const MAX_UNINDEXED: usize = 48;

#[derive(Clone, Debug)]
struct Change {
    name: Range<usize>,
    /// `None`: the label was removed.
    value: Option<(Category, Range<usize>)>,
    /// Whether the row ever had a parsed label of this name.
    was_parsed: bool,
}

impl<'a> RowLabels<'a> {
    /// The labels of a row that nothing has changed yet.
    pub fn new(base: &'a LabelsView<'a>) -> Self {
        Self { base, changes: Vec::new(), text: String::new(), index: HashMap::new() }
    }

    /// Starts the next row; the buffers are kept.
    pub fn reset(&mut self, base: &'a LabelsView<'a>) {
        self.base = base;
        self.changes.clear();
        self.text.clear();
        self.index.clear();
    }

    /// Whether the row still has exactly the base's labels.
    pub fn is_unchanged(&self) -> bool {
        self.changes.is_empty()
    }

    /// The label with this name.
    pub fn get(&self, name: &str) -> Option<LabelRef<'_>> {
        match self.change(name) {
            Some(change) => self.changed(change),
            None => self.base.get(name),
        }
    }

    /// The value of `name`, `""` where the label is absent.
    pub fn value(&self, name: &str) -> &str {
        self.get(name).map_or("", |label| label.value)
    }

    /// The label of the row before the pipeline changed anything.
    pub fn base(&self, name: &str) -> Option<LabelRef<'a>> {
        self.base.get(name)
    }

    /// Sets a label.
    pub fn set(&mut self, category: Category, name: &str, value: &str) {
        let value = self.store(value);
        self.put(name, Some((category, value)));
    }

    /// Removes a label; nothing happens where it is absent.
    pub fn remove(&mut self, name: &str) {
        if self.get(name).is_some() {
            self.put(name, None);
        }
    }

    /// Sets `__error__` and `__error_details__`; empty details set no label.
    pub fn set_error(&mut self, kind: &str, details: &str) {
        self.set(Category::Parsed, ERROR_LABEL, kind);
        if details.is_empty() {
            self.remove(ERROR_DETAILS_LABEL);
        } else {
            self.set(Category::Parsed, ERROR_DETAILS_LABEL, details);
        }
    }

    /// Whether `__error__` is set and not empty.
    pub fn has_error(&self) -> bool {
        !self.value(ERROR_LABEL).is_empty()
    }

    /// Whether the pipeline has set this label on this row before, even if it was removed since.
    pub fn was_parsed(&self, name: &str) -> bool {
        self.change(name).is_some_and(|change| change.was_parsed)
    }

    /// All labels in name order.
    pub fn sorted(&self) -> Vec<LabelRef<'_>> {
        let mut own: Vec<(&str, Option<LabelRef<'_>>)> = self.changes.iter().map(|change| (self.slice(&change.name), self.changed(change))).collect();
        own.sort_unstable_by_key(|(name, _)| *name);
        let mut out = Vec::with_capacity(self.base.labels.len() + own.len());
        let (mut base, mut own) = (self.base.iter().peekable(), own.into_iter().peekable());
        loop {
            let order = match (base.peek(), own.peek()) {
                (Some(label), Some((name, _))) => label.name.cmp(name),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return out,
            };
            match order {
                Ordering::Less => out.extend(base.next()),
                Ordering::Equal => {
                    base.next();
                    out.extend(own.next().and_then(|(_, label)| label));
                }
                Ordering::Greater => out.extend(own.next().and_then(|(_, label)| label)),
            }
        }
    }

    /// Appends the encoding of the row's labels.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_sorted(self.sorted(), out);
    }

    fn put(&mut self, name: &str, value: Option<(Category, Range<usize>)>) {
        let parsed = matches!(value, Some((Category::Parsed, _)));
        match self.position(name).and_then(|i| self.changes.get_mut(i)) {
            Some(change) => {
                change.value = value;
                change.was_parsed |= parsed;
            }
            None => {
                let stored = self.store(name);
                self.changes.push(Change { name: stored, value, was_parsed: parsed });
                self.extend_index(name);
            }
        }
    }

    fn store(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    fn change(&self, name: &str) -> Option<&Change> {
        self.position(name).and_then(|at| self.changes.get(at))
    }

    fn position(&self, name: &str) -> Option<usize> {
        if self.changes.len() > MAX_UNINDEXED {
            return self.index.get(name).copied();
        }
        self.changes.iter().position(|change| self.slice(&change.name) == name)
    }

    /// Keeps the index, where there is one, up with a change that was just added.
    fn extend_index(&mut self, name: &str) {
        let last = self.changes.len().saturating_sub(1);
        if self.index.is_empty() && last >= MAX_UNINDEXED {
            self.index = self.changes.iter().enumerate().map(|(at, change)| (Box::from(self.slice(&change.name)), at)).collect();
        } else if last >= MAX_UNINDEXED {
            self.index.insert(name.into(), last);
        }
    }

    fn changed(&self, change: &Change) -> Option<LabelRef<'_>> {
        let (category, value) = change.value.as_ref()?;
        Some(LabelRef { category: *category, name: self.slice(&change.name), value: self.slice(value) })
    }

    fn slice(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(labels: &[(Category, &str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_sorted(labels.iter().map(|&(category, name, value)| LabelRef { category, name, value }), &mut out);
        out
    }

    #[test]
    fn sets_round_trip() {
        let long = "x".repeat(300);
        let labels = [(Category::Stream, "a", "1"), (Category::Metadata, "b", long.as_str()), (Category::Parsed, "c", "")];
        let bytes = encode(&labels);
        let view = LabelsView::decode(&bytes).unwrap();
        assert_eq!(view.iter().map(|l| (l.category, l.name, l.value)).collect::<Vec<_>>(), labels);
        assert_eq!(view.get("b").unwrap().value, long);
        assert!(view.get("d").is_none());
        for cut in [1, 2, 3, bytes.len() - 1] {
            assert!(LabelsView::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(LabelsView::decode(&[9, 1, b'a', 0]).is_err());
    }

    #[test]
    fn a_row_changes_its_own_labels_only() {
        let bytes = encode(&[(Category::Stream, "app", "x"), (Category::Metadata, "trace", "t")]);
        let base = LabelsView::decode(&bytes).unwrap();
        let mut row = RowLabels::new(&base);
        assert!(row.is_unchanged());
        row.set(Category::Parsed, "status", "500");
        row.set(Category::Parsed, "app", "y");
        row.set(Category::Parsed, "status", "");
        row.remove("trace");
        row.remove("absent");
        assert_eq!(row.value("app"), "y");
        assert_eq!(row.base("app").unwrap().value, "x");
        let sorted: Vec<_> = row.sorted().into_iter().map(|l| (l.category, l.name, l.value)).collect();
        assert_eq!(sorted, [(Category::Parsed, "app", "y"), (Category::Parsed, "status", "")]);
        let mut encoded = Vec::new();
        row.encode(&mut encoded);
        assert_eq!(encoded, encode(&[(Category::Parsed, "app", "y"), (Category::Parsed, "status", "")]));
        row.remove("status");
        assert!(row.was_parsed("status") && !row.was_parsed("trace"));
        row.reset(&base);
        assert_eq!(row.value("trace"), "t");
        assert!(!row.was_parsed("status"));
    }

    #[test]
    fn errors_are_labels() {
        let base = LabelsView::default();
        let mut row = RowLabels::new(&base);
        assert!(!row.has_error());
        row.set_error("JSONParserErr", "why");
        assert!(row.has_error());
        row.set_error("LabelFilterErr", "");
        assert_eq!(row.sorted().len(), 1);
    }

    /// A line of 256 KiB can have so many; looking through all of them for each took seconds for one line.
    #[test]
    fn many_labels_on_one_row_take_time_in_proportion() {
        let base = LabelsView::default();
        let mut row = RowLabels::new(&base);
        for round in 0..2 {
            for i in 0..50_000 {
                row.set(Category::Parsed, &format!("k{i}"), if round == 0 { "first" } else { "second" });
            }
        }
        row.remove("k7");
        assert_eq!((row.value("k49999"), row.get("k7"), row.was_parsed("k7"), row.sorted().len()), ("second", None, true, 49_999));
        row.reset(&base);
        assert_eq!((row.get("k1"), row.sorted().len()), (None, 0));
    }
}
