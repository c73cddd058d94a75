//! Makes templates of shapes: a tree of fixed depth, as Drain's. First the level, then the gaps and with them the number of words, then the first
//! word that is not variable; a leaf holds the templates that have these in common. A shape becomes part of the template of its leaf that it is most like, or
//! a new one. A word in which it differs from its template is variable from then on.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use hashbrown::HashMap;

use super::shape::{Counted, REST, SEPARATOR, is_variable, tokens};
use super::text::PatternText;
use super::{MOST_PATTERNS, MinedPattern, MinedPatterns};

/// Words that a shape must have in common with a template, of those that count: so many hundredths.
const LIKENESS: usize = 66;
/// Templates of a leaf that a shape is compared with, those of the most frequent shapes.
const MOST_COMPARED: usize = 256;

/// A shape and its lines.
#[derive(Debug)]
pub struct Shape {
    pub(super) level: usize,
    pub(super) key: Box<[u8]>,
    pub(super) counted: Counted,
}

/// The templates so far.
#[derive(Debug)]
pub struct Templates {
    levels: Vec<Box<str>>,
    templates: Vec<Template>,
    leaves: HashMap<Box<[u8]>, Vec<usize>>,
}

#[derive(Debug)]
struct Template {
    level: usize,
    /// The shape that it began with.
    key: Box<[u8]>,
    /// Where its tokens are, gaps and words alternately.
    tokens: Vec<Range<usize>>,
    /// Which tokens are variable words.
    variable: Vec<bool>,
    counted: Counted,
}

impl Templates {
    pub(super) fn new(levels: Vec<Box<str>>) -> Self {
        Self { levels, templates: Vec::new(), leaves: HashMap::new() }
    }

    /// Counts the lines of a shape. Shapes come in the order that the miner gives them in.
    pub fn add(&mut self, shape: Shape) {
        let template = Template::of(shape);
        let leaf = self.leaves.entry(template.leaf().into()).or_default();
        let mut best = None;
        for &number in leaf.iter().take(MOST_COMPARED) {
            let likeness = self.templates.get(number).and_then(|known| known.likeness(&template)).filter(|likeness| *likeness >= LIKENESS);
            if likeness > best.map(|(likeness, _)| likeness) {
                best = likeness.map(|likeness| (likeness, number));
            }
        }
        match best.and_then(|(_, number)| self.templates.get_mut(number)) {
            Some(known) => known.merge(template),
            None => {
                leaf.push(self.templates.len());
                self.templates.push(template);
            }
        }
    }

    /// The patterns of all lines.
    pub fn finish(self) -> MinedPatterns {
        let mut counted: BTreeMap<(String, usize), Counted> = BTreeMap::new();
        for template in self.templates {
            let pattern = template.text();
            match counted.get_mut(&(pattern.clone(), template.level)) {
                Some(known) => known.merge(template.counted),
                None => {
                    counted.insert((pattern, template.level), template.counted);
                }
            }
        }
        let mut out = MinedPatterns::default();
        for ((pattern, level), Counted { samples, lines, .. }) in counted {
            let level = self.levels.get(level).map_or("", |level| &**level).to_owned();
            out.patterns.push(MinedPattern { pattern, level, samples, lines });
        }
        out.patterns.sort_by_key(|pattern| Reverse(pattern.lines));
        let rest = out.patterns.split_off(out.patterns.len().min(MOST_PATTERNS));
        out.left_out = rest.len();
        out.lines_left_out = rest.iter().map(|pattern| pattern.lines).sum();
        out
    }
}

impl Template {
    fn of(Shape { level, key, counted }: Shape) -> Self {
        let mut ranges = Vec::new();
        let mut variable = Vec::new();
        let mut start = 0;
        for token in tokens(&key) {
            ranges.push(start..start + token.len());
            variable.push(is_variable(token));
            start += token.len() + 1;
        }
        Self { level, tokens: ranges, variable, key, counted }
    }

    fn token(&self, at: usize) -> &[u8] {
        self.tokens.get(at).and_then(|range| self.key.get(range.clone())).unwrap_or(&[])
    }

    /// Places of the words; the last one may be a rest.
    fn words(&self) -> impl Iterator<Item = usize> {
        (1..self.tokens.len()).step_by(2)
    }

    fn is_variable(&self, at: usize) -> bool {
        self.variable.get(at).copied().unwrap_or(false)
    }

    /// The way to its leaf. Words are nothing on it, except a rest, and the first one that is not variable.
    fn leaf(&self) -> Vec<u8> {
        let mut leaf = self.level.to_be_bytes().to_vec();
        for at in 0..self.tokens.len() {
            let token = self.token(at);
            if at % 2 == 0 || token == [REST] {
                leaf.extend_from_slice(token);
            }
            leaf.push(SEPARATOR);
        }
        if let Some(first) = self.words().find(|&at| !self.is_variable(at)) {
            leaf.extend_from_slice(&first.to_be_bytes());
            leaf.extend_from_slice(self.token(first));
        }
        leaf
    }

    /// How many hundredths of the words are the same, of those that are not different values in both; names of fields and words such as `-` are not counted where they
    /// are the same. Nothing where the names of fields differ.
    fn likeness(&self, other: &Self) -> Option<usize> {
        let (mut same, mut all) = (0, 0);
        for at in self.words() {
            match (self.is_variable(at), other.is_variable(at)) {
                (true, true) => {
                    let in_common = self.common(at / 2).is_some_and(|value| other.common(at / 2) == Some(value));
                    same += usize::from(in_common);
                    all += usize::from(in_common);
                }
                (false, false) if self.token(at) == other.token(at) => {
                    let counts = usize::from(!self.is_name(at) && self.token(at).iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()));
                    same += counts;
                    all += counts;
                }
                _ if self.is_name(at) => return None,
                _ => all += 1,
            }
        }
        Some((same * 100usize).checked_div(all).unwrap_or(100))
    }

    /// Whether the word is the name of a field, as in `name=value` and `"name":"value"`.
    fn is_name(&self, at: usize) -> bool {
        let gap = self.token(at + 1);
        gap.starts_with(b"=") || gap.starts_with(b"\":")
    }

    fn merge(&mut self, other: Self) {
        let differ: Vec<usize> = self.words().filter(|&at| other.is_variable(at) || self.token(at) != other.token(at)).collect();
        for at in differ {
            self.variable.get_mut(at).into_iter().for_each(|variable| *variable = true);
        }
        self.counted.merge(other.counted);
    }

    /// A value that all lines have in common is text.
    fn text(&self) -> String {
        let mut text = PatternText::default();
        for at in 0..self.tokens.len() {
            let token = self.token(at);
            if at % 2 == 0 {
                text.gap(token);
                continue;
            }
            let word = if self.is_variable(at) { self.common(at / 2) } else { Some(token) };
            match word {
                Some(word) => text.word(word, self.token(at + 1)),
                None => text.variable(),
            }
        }
        text.finish()
    }

    fn common(&self, word: usize) -> Option<&[u8]> {
        let common = &self.counted.common;
        let at = common.binary_search_by_key(&word, |(word, _)| *word).ok()?;
        common.get(at).map(|(_, text)| &**text)
    }
}
