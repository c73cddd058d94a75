//! The patterns of `|>` and `!>`: literals and `<_>` captures.

use memchr::memmem::Finder;
use schema::labels::is_label_name;

use crate::QueryError;

/// A compiled line pattern.
#[derive(Debug)]
pub(super) struct LinePattern {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Literal(Box<Finder<'static>>),
    Capture,
}

impl LinePattern {
    /// Reads a pattern. Errors: named captures, two captures side by side.
    pub(super) fn parse(pattern: &str) -> Result<Self, QueryError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            if let Some((name, after)) = capture(rest) {
                if name != "_" {
                    return Err(QueryError::Invalid { message: format!("named captures are not allowed: found '<{name}>'") });
                }
                if literal.is_empty() && matches!(parts.last(), Some(Part::Capture)) {
                    return Err(QueryError::Invalid { message: "found consecutive capture '<_><_>': invalid expression".to_owned() });
                }
                flush(&mut literal, &mut parts);
                parts.push(Part::Capture);
                rest = after;
            } else {
                literal.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or("");
            }
        }
        flush(&mut literal, &mut parts);
        Ok(Self { parts })
    }

    /// Literals are looked for from left to right, each at its first occurrence; a capture takes at least one byte. What
    /// comes before a leading literal does not matter; after a trailing literal the line ends.
    pub(super) fn matches(&self, line: &[u8]) -> bool {
        if line.is_empty() || self.parts.is_empty() {
            return line.is_empty() && self.parts.is_empty();
        }
        let mut rest = line;
        let mut captured = false;
        for (i, part) in self.parts.iter().enumerate() {
            captured = matches!(part, Part::Capture);
            if let Part::Literal(finder) = part {
                let Some(at) = finder.find(rest) else { return false };
                if i > 0 && at == 0 {
                    return false;
                }
                rest = rest.get(at + finder.needle().len()..).unwrap_or(&[]);
            }
        }
        captured != rest.is_empty()
    }

    /// A literal that every matching line holds.
    pub(super) fn longest_literal(&self) -> Option<&[u8]> {
        let literals = self.parts.iter().filter_map(|part| match part {
            Part::Literal(finder) => Some(finder.needle()),
            Part::Capture => None,
        });
        literals.max_by_key(|literal| literal.len())
    }
}

fn flush(literal: &mut String, parts: &mut Vec<Part>) {
    if !literal.is_empty() {
        parts.push(Part::Literal(Box::new(Finder::new(literal.as_bytes()).into_owned())));
        literal.clear();
    }
}

/// The capture that `text` starts with: its name and what follows.
fn capture(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('<')?.split_once('>')?;
    is_label_name(name).then_some((name, after))
}
