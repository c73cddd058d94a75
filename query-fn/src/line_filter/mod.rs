//! Which lines pass the line filters of a query. Pure: bytes in, row numbers out.
//! Owns: the meaning of `|=`, `!=`, `|~`, `!~`, `|>`, `!>` and `ip()` (spec/logql.md section 3.1), the order in which
//! filters are tried, the search over whole buffers of lines.
//! Must not know: Arrow, plans, labels.

mod compile;
mod ip;
mod lines;
mod operand;
mod pattern;
mod regex;
mod stage;

use std::ops::Range;

pub use ip::IpMatcher;
pub use lines::Lines;
pub use regex::translate as translate_regex;
pub use stage::LineFilterStage;

use crate::QueryError;
use operand::Operand;

/// Compiled line filters; a line passes when it passes all.
#[derive(Debug, Default)]
pub struct LineMatcher {
    /// Cheapest and most selective first.
    filters: Vec<CompiledFilter>,
}

/// One line filter with its or-chain.
#[derive(Debug)]
struct CompiledFilter {
    /// Whether lines that match are the ones that fail.
    negative: bool,
    /// A line matches when any operand does.
    any: Vec<Operand>,
}

impl LineMatcher {
    /// Compiles filters. Errors: a regex, pattern or address that is wrong.
    pub fn compile(filters: &[logql::ast::LineFilter]) -> Result<Self, QueryError> {
        let mut filters = filters.iter().map(compile::filter).collect::<Result<Vec<_>, _>>()?;
        filters.retain(|filter| !filter.passes_all());
        filters.sort_by_key(CompiledFilter::cost);
        Ok(Self { filters })
    }

    /// Whether every line passes.
    pub fn passes_all(&self) -> bool {
        self.filters.is_empty()
    }

    /// Whether this line passes.
    pub fn matches(&self, line: &[u8]) -> bool {
        self.filters.iter().all(|filter| filter.passes(line))
    }

    /// Appends to `out` the rows of `range` whose line passes, ascending. The first filter searches the buffer as a whole;
    /// the others look only at the lines it leaves.
    pub fn select(&self, lines: &Lines<'_>, range: Range<usize>, out: &mut Vec<usize>) {
        let Some((first, rest)) = self.filters.split_first() else {
            out.extend(range);
            return;
        };
        let before = out.len();
        first.select(lines, range, out);
        if rest.is_empty() {
            return;
        }
        let found = out.split_off(before);
        out.extend(found.into_iter().filter(|&row| rest.iter().all(|filter| filter.passes(lines.line(row)))));
    }
}

impl CompiledFilter {
    fn passes_all(&self) -> bool {
        !self.negative && self.any.iter().any(Operand::matches_all)
    }

    fn passes(&self, line: &[u8]) -> bool {
        self.any.iter().any(|operand| operand.matches(line)) != self.negative
    }

    /// Lower is tried first: selective before unselective (a literal that must occur, the longer the better, before one
    /// that must not), cheap before dear.
    fn cost(&self) -> (bool, usize) {
        (self.negative, self.any.iter().map(Operand::cost).max().unwrap_or(0))
    }

    fn select(&self, lines: &Lines<'_>, range: Range<usize>, out: &mut Vec<usize>) {
        if let ([operand], false) = (self.any.as_slice(), self.negative) {
            operand.select(lines, range, out);
            return;
        }
        let mut matched = Vec::new();
        for operand in &self.any {
            operand.select(lines, range.clone(), &mut matched);
        }
        if self.any.len() > 1 {
            matched.sort_unstable();
            matched.dedup();
        }
        if !self.negative {
            out.extend(matched);
            return;
        }
        let mut next = range.start;
        for row in matched {
            out.extend(next..row);
            next = row + 1;
        }
        out.extend(next..range.end);
    }
}

#[cfg(test)]
mod tests;
