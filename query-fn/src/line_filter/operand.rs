//! What one operand of a line filter looks for.

use std::ops::Range;

use memchr::memmem::Finder;

use super::ip::IpMatcher;
use super::lines::Lines;
use super::pattern::LinePattern;
use super::regex::LineRegex;

/// One operand, compiled.
#[derive(Debug)]
pub(super) enum Operand {
    /// Matches every line.
    Everything,
    /// Bytes that must occur; never empty.
    Literal(Box<Finder<'static>>),
    /// A regular expression.
    Regex(Box<LineRegex>),
    /// A `|>` pattern.
    Pattern(LinePattern),
    /// `ip()`.
    Ip(IpMatcher),
}

impl Operand {
    /// `needle` anywhere in the line.
    pub(super) fn literal(needle: &[u8]) -> Self {
        if needle.is_empty() { Self::Everything } else { Self::Literal(Box::new(Finder::new(needle).into_owned())) }
    }

    pub(super) const fn matches_all(&self) -> bool {
        matches!(self, Self::Everything)
    }

    pub(super) fn cost(&self) -> usize {
        const LONGEST: usize = 1000;
        match self {
            Self::Everything => 0,
            Self::Literal(finder) => LONGEST - finder.needle().len().min(LONGEST - 1),
            Self::Regex(regex) => LONGEST + regex.cost(),
            Self::Pattern(_) => LONGEST * 5,
            Self::Ip(_) => LONGEST * 6,
        }
    }

    pub(super) fn matches(&self, line: &[u8]) -> bool {
        match self {
            Self::Everything => true,
            Self::Literal(finder) => finder.find(line).is_some(),
            Self::Regex(regex) => regex.matches(line),
            Self::Pattern(pattern) => pattern.matches(line),
            Self::Ip(ip) => ip.matches(line),
        }
    }

    /// Appends the rows of `range` that match, ascending.
    pub(super) fn select(&self, lines: &Lines<'_>, range: Range<usize>, out: &mut Vec<usize>) {
        match self {
            Self::Everything => out.extend(range),
            Self::Literal(finder) => search(lines, range, out, |haystack, at| find_literal(finder, haystack, at), |_, inside| inside),
            Self::Regex(regex) => regex.select(lines, range, out),
            Self::Pattern(pattern) => match pattern.longest_literal() {
                Some(literal) => {
                    let finder = Finder::new(literal);
                    search(lines, range, out, |haystack, at| find_literal(&finder, haystack, at), |line, inside| inside && pattern.matches(line));
                }
                None => each(lines, range, out, |line| pattern.matches(line)),
            },
            Self::Ip(ip) => each(lines, range, out, |line| ip.matches(line)),
        }
    }
}

/// The first occurrence at or after `at`.
pub(super) fn find_literal(finder: &Finder<'_>, haystack: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + finder.find(haystack.get(at..)?)?;
    Some(start..start + finder.needle().len())
}

/// Tries every line by itself.
pub(super) fn each(lines: &Lines<'_>, range: Range<usize>, out: &mut Vec<usize>, matches: impl Fn(&[u8]) -> bool) {
    out.extend(range.filter(|&row| matches(lines.line(row))));
}

/// Searches the buffer of `range` as a whole. `find` gives the next hit at or after a byte; `confirm` is asked once per hit
/// with the line that the hit starts in and whether the hit also ends in it. After a hit inside a line, or a confirmed
/// one, the search goes on in the next line; after a hit across the end of a line, one byte further.
pub(super) fn search(
    lines: &Lines<'_>,
    range: Range<usize>,
    out: &mut Vec<usize>,
    find: impl Fn(&[u8], usize) -> Option<Range<usize>>,
    confirm: impl Fn(&[u8], bool) -> bool,
) {
    let haystack = lines.haystack(&range);
    let (mut left, mut at) = (range.clone(), lines.start(range.start));
    while let Some(hit) = find(haystack, at) {
        left.start = lines.row_of(hit.start, &left);
        if left.is_empty() {
            return;
        }
        let end = lines.start(left.start + 1);
        let inside = hit.end <= end;
        let confirmed = confirm(lines.line(left.start), inside);
        if confirmed {
            out.push(left.start);
        }
        if confirmed || inside {
            left.start += 1;
            at = end;
        } else {
            at = hit.start + 1;
        }
        if left.is_empty() {
            return;
        }
    }
}
