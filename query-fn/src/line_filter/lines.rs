//! Lines one after the other in one buffer.

use std::ops::Range;

/// Line `i` is `values[offsets[i]..offsets[i + 1]]`, as in an Arrow binary array.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    offsets: &'a [i32],
    values: &'a [u8],
}

impl<'a> Lines<'a> {
    /// Lines of an Arrow binary array.
    pub const fn new(offsets: &'a [i32], values: &'a [u8]) -> Self {
        Self { offsets, values }
    }

    /// Where line `row` starts; past the last line, where the last one ends.
    pub fn start(&self, row: usize) -> usize {
        self.offsets.get(row).or(self.offsets.last()).and_then(|&offset| usize::try_from(offset).ok()).unwrap_or(0)
    }

    /// Line `row`; empty past the end.
    pub fn line(&self, row: usize) -> &'a [u8] {
        self.values.get(self.start(row)..self.start(row + 1)).unwrap_or(&[])
    }

    /// The first rows of `range` that together have at most `bytes` bytes; at least one row.
    pub fn run_of(&self, range: Range<usize>, bytes: usize) -> Range<usize> {
        let offsets = self.offsets.get(range.start + 1..=range.end).unwrap_or(&[]);
        let last = i32::try_from(self.start(range.start).saturating_add(bytes)).unwrap_or(i32::MAX);
        let rows = offsets.partition_point(|&offset| offset <= last);
        range.start..range.end.min(range.start + rows.max(1))
    }

    /// The buffer up to the end of the last line of `range`.
    pub(super) fn haystack(&self, range: &Range<usize>) -> &'a [u8] {
        self.values.get(..self.start(range.end)).unwrap_or(&[])
    }

    /// The row of `range` that byte `at` of the buffer lies in.
    pub(super) fn row_of(&self, at: usize, range: &Range<usize>) -> usize {
        let offsets = self.offsets.get(range.start..range.end).unwrap_or(&[]);
        let at = i32::try_from(at).unwrap_or(i32::MAX);
        // Hits come in ascending order and mostly lie close to the last one: gallop from there.
        let mut step = 1;
        while offsets.get(step).is_some_and(|&offset| offset <= at) {
            step *= 2;
        }
        let low = step / 2;
        let near = offsets.get(low..offsets.len().min(step + 1)).unwrap_or(&[]);
        range.start + low + near.partition_point(|&offset| offset <= at).saturating_sub(1)
    }
}
