//! Decoded log rows, columnar: what a push becomes, and what a chunk is built from.
//! Columns instead of a tree of strings: one allocation per column, not per line (PERFORMANCE.md 2a).

use std::ops::Range;

use crate::labels::LabelSet;

/// Byte strings one after the other: value `i` is `values[ends[i-1]..ends[i]]` (0 before the first).
/// Lines are arbitrary bytes here; decoders promise UTF-8 where the protocol does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteColumn {
    ends: Vec<usize>,
    values: Vec<u8>,
}

impl ByteColumn {
    /// An empty column with room for `rows` values of `bytes` bytes in all.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self { ends: Vec::with_capacity(rows), values: Vec::with_capacity(bytes) }
    }

    /// Appends one value.
    pub fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.ends.push(self.values.len());
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all values together.
    pub fn total_bytes(&self) -> usize {
        self.values.len()
    }

    /// Value `index`, or `None` past the end.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(previous) => *self.ends.get(previous)?,
            None => 0,
        };
        self.values.get(start..end)
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// Drops every value from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        self.values.truncate(self.ends.last().copied().unwrap_or(0));
    }
}

/// Structured metadata of every row: row `i` has the pairs `row_ends[i-1]..row_ends[i]`.
/// Names repeat from row to row, so a row stores an index into `names`; values are kept as sent.
/// Pairs of a row are in the order they were given until [`crate::rows`]' users sort them by name; names in one row are unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataColumn {
    row_ends: Vec<usize>,
    name_ids: Vec<u32>,
    values: ByteColumn,
    names: Vec<Box<str>>,
}

impl MetadataColumn {
    /// The id of `name`, added to the table where it is new. Linear in the number of distinct names up to a handful;
    /// callers with many names keep their own map and use [`Self::add_name`].
    pub fn intern(&mut self, name: &str) -> u32 {
        match self.names.iter().position(|known| &**known == name) {
            Some(position) => u32::try_from(position).unwrap_or(u32::MAX),
            None => self.add_name(name),
        }
    }

    /// Adds `name` to the table without looking for it and returns its id.
    pub fn add_name(&mut self, name: &str) -> u32 {
        self.names.push(name.into());
        u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
    }

    /// Adds a pair to the row under construction.
    pub fn push_pair(&mut self, name_id: u32, value: &[u8]) {
        self.name_ids.push(name_id);
        self.values.push(value);
    }

    /// Drops the pairs of the row under construction.
    pub fn abandon_row(&mut self) {
        let keep = self.row_ends.last().copied().unwrap_or(0);
        self.name_ids.truncate(keep);
        self.values.truncate(keep);
    }

    /// Ends the row under construction.
    pub fn finish_row(&mut self) {
        self.row_ends.push(self.name_ids.len());
    }

    /// Number of finished rows.
    pub fn len(&self) -> usize {
        self.row_ends.len()
    }

    /// Whether no row was finished.
    pub fn is_empty(&self) -> bool {
        self.row_ends.is_empty()
    }

    /// Bytes of all values together.
    pub fn total_bytes(&self) -> usize {
        self.values.total_bytes()
    }

    /// The pairs of row `index`, in stored order.
    pub fn row(&self, index: usize) -> impl Iterator<Item = (&str, &[u8])> {
        self.row_pairs(index).filter_map(|pair| {
            let name = self.names.get(usize::try_from(*self.name_ids.get(pair)?).ok()?)?;
            Some((&**name, self.values.get(pair)?))
        })
    }

    fn row_pairs(&self, index: usize) -> Range<usize> {
        let Some(&end) = self.row_ends.get(index) else { return 0..0 };
        let start = index.checked_sub(1).and_then(|previous| self.row_ends.get(previous)).copied().unwrap_or(0);
        start..end
    }
}

/// Consecutive rows of one stream. A batch may hold several runs of the same stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRun {
    /// The stream's labels, `service_name` included.
    pub labels: LabelSet,
    /// The rows of the batch that belong to it.
    pub rows: Range<usize>,
}

/// The accepted rows of one push of one tenant. Runs cover `0..timestamps.len()` in order, without gaps.
/// Rows of a run are in the order they arrived; nothing is sorted yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowBatch {
    /// Which rows belong to which stream.
    pub runs: Vec<StreamRun>,
    /// Nanoseconds since the epoch, one per row.
    pub timestamps: Vec<i64>,
    /// Line bytes, one per row.
    pub lines: ByteColumn,
    /// Structured metadata, one (possibly empty) set per row.
    pub metadata: MetadataColumn,
}

impl RowBatch {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Bytes of lines and metadata values: what `flush_bytes` counts.
    pub fn raw_bytes(&self) -> usize {
        self.lines.total_bytes() + self.metadata.total_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_column_round_trips_and_truncates() {
        let mut c = ByteColumn::default();
        for v in ["a", "", "bcd"] {
            c.push(v.as_bytes());
        }
        assert_eq!(c.iter().collect::<Vec<_>>(), [&b"a"[..], b"", b"bcd"]);
        c.truncate(1);
        assert_eq!((c.len(), c.total_bytes(), c.get(1)), (1, 1, None));
    }

    #[test]
    fn an_abandoned_row_leaves_nothing() {
        let mut m = MetadataColumn::default();
        let (a, b) = (m.intern("a"), m.intern("b"));
        assert_eq!(m.intern("a"), a);
        m.push_pair(a, b"1");
        m.finish_row();
        m.push_pair(b, b"2");
        m.abandon_row();
        m.finish_row();
        m.push_pair(b, b"3");
        m.finish_row();
        let rows: Vec<Vec<(&str, &[u8])>> = (0..3).map(|i| m.row(i).collect()).collect();
        assert_eq!(rows, [vec![("a", &b"1"[..])], vec![], vec![("b", &b"3"[..])]]);
    }
}
