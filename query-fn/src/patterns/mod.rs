//! Templates of log lines, mined from the lines themselves: `took <_> for <_>`, each a pattern that the line filter `|>` takes.
//! Owns: how a line is cut into words, which of them are variable, which lines are of one kind, the text of a pattern.
//! Must not know: chunks, plans, HTTP, JSON. No I/O, no clock.
//!
//! In the manner of Drain (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017), in three steps:
//!
//! 1. `words`: a line becomes a shape (`shape`): its delimiters as they are, its words, and a mark for each word with a digit in it. A function
//!    of the line alone. Lines are counted by shape (`miner`): all of them, none is sampled.
//! 2. `spread`: where more than [`MOST_ALTERNATIVES`] words follow the same beginning, the word there is variable. A function of the set of shapes.
//! 3. `tree`: of the shapes with the same delimiters and the same first word, those that are alike become one template. From the most frequent
//!    shape to the least, so again a function of what was counted.
//!
//! What holds: each line is counted under one pattern, and the pattern matches it under `|>` (see `words` for why). The same lines give the same
//! patterns in whatever order and in whatever batches they come, as long as there are never more than [`MOST_SHAPES`] shapes at a time; with more,
//! words become variable sooner, and which ones depends on the order. The counts are right also then.

mod miner;
mod shape;
mod spread;
mod text;
mod tree;
mod words;

pub use miner::Miner;
pub use tree::Templates;

/// Only so many bytes of a line are looked at; the rest of the line is variable.
pub const MOST_LINE_BYTES: usize = 4096;
/// Only so many words of a line are looked at; the rest of the line is variable.
pub const MOST_WORDS: usize = 128;
/// Shapes that are held at a time.
pub const MOST_SHAPES: usize = 16_384;
/// Words that may follow the same beginning before they count as values of a variable.
pub const MOST_ALTERNATIVES: usize = 64;
/// Patterns in an answer, the most frequent ones.
pub const MOST_PATTERNS: usize = 1000;

/// A pattern and when lines of it were logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinedPattern {
    /// Literals and `<_>`, as `|>` takes it.
    pub pattern: String,
    /// The level of its lines.
    pub level: String,
    /// Lines by time: the beginning of the step, in whole seconds since the epoch, and how many. Ascending, none is 0.
    pub samples: Vec<(i64, u64)>,
    /// All its lines.
    pub lines: u64,
}

/// What was found in lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MinedPatterns {
    /// By number of lines, most first; then by pattern and level. Each pair of pattern and level once; at most [`MOST_PATTERNS`].
    pub patterns: Vec<MinedPattern>,
    /// Pairs of pattern and level that are not among them.
    pub left_out: usize,
    /// Lines of those.
    pub lines_left_out: u64,
}

#[cfg(test)]
mod tests;
