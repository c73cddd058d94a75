//! Regular expressions over lines: RE2 meaning, and how much of a search can run over the whole buffer.
//! Lines lie in the buffer without separators, so a match there may run over the end of a line; every strategy confirms
//! on the line itself wherever that could matter.

use std::ops::Range;

use memchr::memmem::Finder;
use regex::bytes::Regex;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, HirKind};

use super::lines::Lines;
use super::operand::{Operand, each, find_literal, search};
use crate::QueryError;

/// A pattern longer than this in matched bytes is not searched for across lines.
const MAX_BOUNDED_BYTES: usize = 256;
/// Shortest literal that pays as a prefilter.
const MIN_LITERAL_BYTES: usize = 3;
/// Most literals searched for at once.
const MAX_LITERALS: usize = 64;

/// A compiled regular expression.
#[derive(Debug)]
pub(super) struct LineRegex {
    regex: Regex,
    strategy: Strategy,
}

#[derive(Debug)]
enum Strategy {
    /// The pattern is one of these literals: a hit inside a line is a match.
    Literals(Regex),
    /// Every match holds this literal: only lines with it are tried.
    Required(Box<Finder<'static>>),
    /// Every match holds one of these literals.
    AnyRequired(Regex),
    /// Matches are short and look at nothing around them: the buffer is searched with the pattern itself.
    Bounded,
    /// Each line by itself.
    EachLine,
}

/// `pattern`, which is RE2 syntax, in the syntax of the `regex` crate. Errors: it is not RE2 syntax.
pub fn translate(pattern: &str) -> Result<String, QueryError> {
    logql::go_regex::translate(pattern).map_err(|error| QueryError::Invalid { message: error.to_string() })
}

/// Compiles a pattern of LogQL. Errors: it is not RE2 syntax.
pub(super) fn compile(pattern: &str) -> Result<Operand, QueryError> {
    let failed = |error: String| QueryError::Invalid { message: format!("error parsing regexp: {error}") };
    let translated = translate(pattern)?;
    let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(&translated).map_err(|error| failed(error.to_string()))?;
    let looks = !hir.properties().look_set().is_empty();
    if !looks && hir.properties().minimum_len() == Some(0) && empty_branches(&hir).is_none() {
        return Ok(Operand::Everything);
    }
    // Loki's simplifier drops the empty branch of an alternation of literals: `foo|` is `foo`.
    let hir = empty_branches(&hir).unwrap_or(hir);
    if let HirKind::Literal(literal) = hir.kind() {
        return Ok(Operand::literal(&literal.0));
    }
    let text = hir.to_string();
    let regex = regex::bytes::RegexBuilder::new(&text).build().map_err(|error| failed(error.to_string()))?;
    let strategy = strategy(&hir, looks)?;
    Ok(Operand::Regex(Box::new(LineRegex { regex, strategy })))
}

/// An alternation of literals with an empty branch, without that branch.
fn empty_branches(hir: &Hir) -> Option<Hir> {
    let HirKind::Alternation(branches) = hir.kind() else { return None };
    let kept: Vec<Hir> = branches.iter().filter(|branch| !matches!(branch.kind(), HirKind::Empty)).cloned().collect();
    let literal = kept.iter().all(|branch| matches!(branch.kind(), HirKind::Literal(_)));
    (literal && !kept.is_empty() && kept.len() < branches.len()).then(|| Hir::alternation(kept))
}

fn strategy(hir: &Hir, looks: bool) -> Result<Strategy, QueryError> {
    let properties = hir.properties();
    if !looks {
        let exact = Extractor::new().kind(ExtractKind::Prefix).limit_total(MAX_LITERALS).extract(hir);
        if let Some(literals) = exact.literals().filter(|literals| exact.is_exact() && literals.len() <= MAX_LITERALS && literals.iter().all(|l| !l.is_empty()))
        {
            return Ok(Strategy::Literals(any_of(literals.iter().map(regex_syntax::hir::literal::Literal::as_bytes))?));
        }
    }
    match required(hir) {
        Some(literals) if literals.iter().all(|literal| literal.len() >= MIN_LITERAL_BYTES) => match literals.as_slice() {
            [literal] => return Ok(Strategy::Required(Box::new(Finder::new(literal).into_owned()))),
            literals => return Ok(Strategy::AnyRequired(any_of(literals.iter().map(Vec::as_slice))?)),
        },
        _ => {}
    }
    let bounded = !looks && properties.maximum_len().is_some_and(|length| length <= MAX_BOUNDED_BYTES);
    Ok(if bounded { Strategy::Bounded } else { Strategy::EachLine })
}

/// A search for any of some literals.
fn any_of<'a>(literals: impl Iterator<Item = &'a [u8]>) -> Result<Regex, QueryError> {
    let hir = Hir::alternation(literals.map(|literal| Hir::literal(literal.to_vec())).collect());
    Regex::new(&hir.to_string()).map_err(|error| QueryError::Internal { invariant: format!("an alternation of literals is a regular expression: {error}") })
}

/// Literals of which every match holds at least one: the best set that can be read off the pattern.
fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required).max_by_key(|set| worth(set)),
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(required(branch)?);
            }
            (all.len() <= MAX_LITERALS).then_some(all)
        }
        _ => None,
    }
}

/// Long literals are rare, few are cheap to search for.
fn worth(set: &[Vec<u8>]) -> (usize, std::cmp::Reverse<usize>) {
    (set.iter().map(Vec::len).min().unwrap_or(0), std::cmp::Reverse(set.len()))
}

impl LineRegex {
    pub(super) const fn cost(&self) -> usize {
        match self.strategy {
            Strategy::Literals(_) => 0,
            Strategy::Required(_) => 500,
            Strategy::AnyRequired(_) => 1000,
            Strategy::Bounded => 1500,
            Strategy::EachLine => 2000,
        }
    }

    pub(super) fn matches(&self, line: &[u8]) -> bool {
        match &self.strategy {
            Strategy::Required(finder) => finder.find(line).is_some() && self.regex.is_match(line),
            _ => self.regex.is_match(line),
        }
    }

    pub(super) fn select(&self, lines: &Lines<'_>, range: Range<usize>, out: &mut Vec<usize>) {
        let with = |regex: &Regex, haystack: &[u8], at: usize| regex.find_at(haystack, at).map(|hit| hit.range());
        match &self.strategy {
            Strategy::Literals(literals) => search(lines, range, out, |h, at| with(literals, h, at), |line, inside| inside || self.regex.is_match(line)),
            Strategy::Required(finder) => search(lines, range, out, |h, at| find_literal(finder, h, at), |line, inside| inside && self.regex.is_match(line)),
            Strategy::AnyRequired(literals) => search(lines, range, out, |h, at| with(literals, h, at), |line, _| self.regex.is_match(line)),
            Strategy::Bounded => search(lines, range, out, |h, at| with(&self.regex, h, at), |line, _| self.regex.is_match(line)),
            Strategy::EachLine => each(lines, range, out, |line| self.regex.is_match(line)),
        }
    }
}
