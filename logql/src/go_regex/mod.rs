//! Regular expressions in Go's syntax (RE2 with Perl classes), which LogQL uses everywhere.
//! Owns: which patterns are valid, Go's error texts, and the same pattern in the syntax of the `regex` crate. The two differ: Go takes a
//! lone `{` literally, has no set operators in classes, knows `\Q..\E`, octal escapes and `\z`, and its `\d`, `\w`, `\s`, `\b` are ASCII.
//! Must not know: where a pattern is used and how it is anchored.

mod class;

use std::fmt::Write as _;

/// Why Go refuses a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {problem}: `{part}`")]
pub struct GoRegexError {
    /// What is wrong.
    pub problem: GoRegexProblem,
    /// The part of the pattern that Go shows.
    pub part: String,
}

/// What can be wrong with a pattern, in the words of Go's `regexp/syntax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoRegexProblem {
    /// An unknown class, or a range whose end is before its start.
    #[error("invalid character class range")]
    ClassRange,
    /// `\y` and the like.
    #[error("invalid escape sequence")]
    Escape,
    /// `(?P<>x)` and the like.
    #[error("invalid named capture")]
    NamedCapture,
    /// Look-around and other syntax that RE2 does not have.
    #[error("invalid or unsupported Perl syntax")]
    PerlSyntax,
    /// `a**`
    #[error("invalid nested repetition operator")]
    NestedRepetition,
    /// Counts above 1000, or reversed.
    #[error("invalid repeat count")]
    RepeatCount,
    /// `[a`
    #[error("missing closing ]")]
    MissingBracket,
    /// `(a`
    #[error("missing closing )")]
    MissingParen,
    /// `*a`
    #[error("missing argument to repetition operator")]
    MissingArgument,
    /// `\` at the end.
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    /// `a)`
    #[error("unexpected )")]
    UnexpectedParen,
    /// More than 1000 levels.
    #[error("expression nests too deeply")]
    NestingDepth,
    /// A valid pattern whose automaton is too large.
    #[error("expression too large")]
    TooLarge,
}

/// Checks `pattern` as Go's `regexp.Compile` would and gives the same pattern in the syntax of the `regex` crate.
pub fn translate(pattern: &str) -> Result<String, GoRegexError> {
    let mut translator = Translator::new(pattern);
    translator.run()?;
    Ok(translator.out)
}

/// The names of the pattern's groups in order of their opening parentheses, repetitions included.
pub fn group_names(pattern: &str) -> Result<Vec<&str>, GoRegexError> {
    let mut translator = Translator::new(pattern);
    translator.run()?;
    Ok(translator.names)
}

/// Compiles `pattern`, unanchored and with Go's meaning.
pub fn compile(pattern: &str) -> Result<regex::Regex, GoRegexError> {
    regex::Regex::new(&translate(pattern)?).map_err(|_| fail(GoRegexProblem::TooLarge, pattern))
}

const MAX_REPEAT: i64 = 1000;
const MAX_NESTING: usize = 1000;

fn fail(problem: GoRegexProblem, part: &str) -> GoRegexError {
    GoRegexError { problem, part: part.to_owned() }
}

/// What a repetition operator would apply to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    None,
    Item,
    /// A repetition; the text from its operator on has this length.
    Repetition(usize),
}

struct Translator<'a> {
    whole: &'a str,
    rest: &'a str,
    out: String,
    /// Per open group, the largest product of nested counts so far in what surrounds it.
    open: Vec<u64>,
    /// The same for the innermost open group.
    count: u64,
    /// The product of nested counts inside the last item.
    item_count: u64,
    operand: Operand,
    names: Vec<&'a str>,
}

impl<'a> Translator<'a> {
    fn new(pattern: &'a str) -> Self {
        Self {
            whole: pattern,
            rest: pattern,
            out: String::with_capacity(pattern.len()),
            open: Vec::new(),
            count: 1,
            item_count: 1,
            operand: Operand::None,
            names: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), GoRegexError> {
        while let Some(c) = self.rest.chars().next() {
            match c {
                '(' => self.group()?,
                ')' => {
                    let outside = self.open.pop().ok_or_else(|| fail(GoRegexProblem::UnexpectedParen, self.whole))?;
                    let inside = std::mem::replace(&mut self.count, outside);
                    self.copy(1, Operand::Item);
                    self.item_count = inside;
                    self.count = self.count.max(inside);
                }
                '|' => self.copy(1, Operand::None),
                '*' | '+' | '?' => self.repetition(1)?,
                '{' => match repeat_counts(self.rest) {
                    Some((min, max, length)) => {
                        let (operator, _) = self.rest.split_at(length);
                        if !(0..=MAX_REPEAT).contains(&min) || max > MAX_REPEAT || max >= 0 && min > max {
                            return Err(fail(GoRegexProblem::RepeatCount, operator));
                        }
                        self.repetition(length)?;
                        self.multiply_count(if max > 0 { max } else { min }, operator)?;
                    }
                    None => self.replace(1, "\\{"),
                },
                '}' | ']' => self.replace(1, if c == '}' { "\\}" } else { "\\]" }),
                '[' => self.class()?,
                '\\' => self.escape()?,
                c => self.copy(c.len_utf8(), Operand::Item),
            }
        }
        if self.open.is_empty() { Ok(()) } else { Err(fail(GoRegexProblem::MissingParen, self.whole)) }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn copy(&mut self, bytes: usize, operand: Operand) {
        let text = self.take(bytes);
        self.out.push_str(text);
        self.operand = operand;
        self.item_count = 1;
    }

    fn replace(&mut self, bytes: usize, text: &str) {
        self.take(bytes);
        self.out.push_str(text);
        self.operand = Operand::Item;
        self.item_count = 1;
    }

    /// A repetition whose operator has `bytes` bytes, with the `?` that makes it lazy.
    fn repetition(&mut self, bytes: usize) -> Result<(), GoRegexError> {
        let before = self.rest;
        let operator = self.take(bytes);
        let lazy = if self.rest.starts_with('?') { self.take(1) } else { "" };
        let shown = before.get(..operator.len() + lazy.len()).unwrap_or(before);
        match self.operand {
            Operand::None => return Err(fail(GoRegexProblem::MissingArgument, shown)),
            Operand::Repetition(length) => {
                let first = self.whole.len() - length;
                let end = self.whole.len() - self.rest.len();
                return Err(fail(GoRegexProblem::NestedRepetition, self.whole.get(first..end).unwrap_or(shown)));
            }
            Operand::Item => {}
        }
        self.out.push_str(operator);
        self.out.push_str(lazy);
        self.operand = Operand::Repetition(before.len());
        Ok(())
    }

    /// Nested counts may not multiply to more than the largest count.
    fn multiply_count(&mut self, times: i64, operator: &str) -> Result<(), GoRegexError> {
        let product = self.item_count.saturating_mul(u64::try_from(times).unwrap_or(1).max(1));
        if product > MAX_REPEAT.unsigned_abs() {
            return Err(fail(GoRegexProblem::RepeatCount, operator));
        }
        self.count = self.count.max(product);
        Ok(())
    }

    fn enter(&mut self) {
        self.open.push(self.count);
        self.count = 1;
    }

    fn group(&mut self) -> Result<(), GoRegexError> {
        if self.open.len() >= MAX_NESTING {
            return Err(fail(GoRegexProblem::NestingDepth, self.whole));
        }
        if !self.rest.starts_with("(?") {
            self.enter();
            self.copy(1, Operand::None);
            return Ok(());
        }
        let name_start = if self.rest.len() > 4 && self.rest.starts_with("(?P<") {
            4
        } else if self.rest.len() > 3 && self.rest.starts_with("(?<") {
            3
        } else {
            return self.flags();
        };
        let Some(end) = self.rest.find('>') else { return Err(fail(GoRegexProblem::NamedCapture, self.rest)) };
        let name = self.rest.get(name_start..end).unwrap_or_default();
        if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            return Err(fail(GoRegexProblem::NamedCapture, self.rest.get(..=end).unwrap_or(self.rest)));
        }
        self.enter();
        self.names.push(name);
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            // The regex crate wants a letter first. Such a group can only be referred to by its number then.
            self.replace(end + 1, "(");
            self.operand = Operand::None;
        } else {
            self.copy(end + 1, Operand::None);
        }
        Ok(())
    }

    /// `(?flags)` and `(?flags:`.
    fn flags(&mut self) -> Result<(), GoRegexError> {
        let start = self.rest;
        let (mut negative, mut any) = (false, false);
        for (at, c) in start.char_indices().skip(2) {
            match c {
                'i' | 'm' | 's' | 'U' => any = true,
                '-' if !negative => (negative, any) = (true, false),
                ':' | ')' if !negative || any => {
                    let opens = c == ':';
                    let keep = self.operand;
                    if start.get(2..at) == Some("") && !opens {
                        self.take(at + 1);
                    } else {
                        self.copy(at + 1, keep);
                    }
                    if opens {
                        self.enter();
                        self.operand = Operand::None;
                    }
                    return Ok(());
                }
                _ => return Err(fail(GoRegexProblem::PerlSyntax, start.get(..at + c.len_utf8()).unwrap_or(start))),
            }
        }
        Err(fail(GoRegexProblem::PerlSyntax, start))
    }

    /// An escape outside classes.
    fn escape(&mut self) -> Result<(), GoRegexError> {
        match self.rest.as_bytes().get(1) {
            Some(b'A') => self.copy(2, Operand::Item),
            Some(b'z') => self.copy(2, Operand::Item),
            Some(b'b') => self.replace(2, r"(?-u:\b)"),
            Some(b'B') => self.replace(2, r"(?-u:\B)"),
            Some(b'C') => return Err(fail(GoRegexProblem::Escape, r"\C")),
            Some(b'Q') => self.quoted(),
            Some(class @ (b'd' | b'D' | b's' | b'S' | b'w' | b'W')) => {
                let class = class::perl_class(*class);
                self.take(2);
                let _ = write!(self.out, "[{class}]");
                self.operand = Operand::Item;
            }
            Some(b'p' | b'P') => self.unicode_class()?,
            _ => {
                let c = self.escaped_char()?;
                push_literal(&mut self.out, c);
                self.operand = Operand::Item;
            }
        }
        Ok(())
    }

    /// `\Q...\E`
    fn quoted(&mut self) {
        self.take(2);
        let (literal, end) = match self.rest.find(r"\E") {
            Some(at) => (self.rest.get(..at).unwrap_or_default(), at + 2),
            None => (self.rest, self.rest.len()),
        };
        for c in literal.chars() {
            push_literal(&mut self.out, c);
            self.operand = Operand::Item;
        }
        self.take(end);
    }

    /// The character that an escape stands for; takes the escape.
    fn escaped_char(&mut self) -> Result<char, GoRegexError> {
        let start = self.rest;
        self.take(1);
        let Some(c) = self.rest.chars().next() else { return Err(fail(GoRegexProblem::TrailingBackslash, "")) };
        self.take(c.len_utf8());
        let octal = |rest: &str| rest.bytes().next().is_some_and(|b| (b'0'..=b'7').contains(&b));
        let found = match c {
            '1'..='7' if !octal(self.rest) => None,
            '0'..='7' => {
                let mut value = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    if octal(self.rest) {
                        value = value * 8 + self.take(1).chars().next().and_then(|digit| digit.to_digit(8)).unwrap_or(0);
                    }
                }
                char::from_u32(value)
            }
            'x' => self.hexadecimal(),
            'a' => Some('\u{7}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        };
        found.ok_or_else(|| fail(GoRegexProblem::Escape, start.get(..start.len() - self.rest.len()).unwrap_or(start)))
    }

    fn hexadecimal(&mut self) -> Option<char> {
        let mut next = || {
            let c = self.rest.chars().next()?;
            self.take(c.len_utf8());
            Some(c)
        };
        let first = next()?;
        if first != '{' {
            let second = next()?;
            return char::from_u32(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let (mut value, mut digits) = (0_u32, 0);
        loop {
            let c = next()?;
            if c == '}' {
                return if digits > 0 { char::from_u32(value) } else { None };
            }
            value = value * 16 + c.to_digit(16)?;
            digits += 1;
            if value > u32::from(char::MAX) {
                return None;
            }
        }
    }
}

fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() && regex_syntax::is_meta_character(c) {
        out.push('\\');
        out.push(c);
    } else if c.is_control() {
        let _ = write!(out, "\\x{{{:x}}}", u32::from(c));
    } else {
        out.push(c);
    }
}

/// The counts of `{min}`, `{min,}` (maximum -1) or `{min,max}` and its length; too large a count is negative. `None`: not a repetition.
fn repeat_counts(text: &str) -> Option<(i64, i64, usize)> {
    let end = text.find('}')?;
    let inside = text.get(1..end)?;
    let (min, max) = match inside.split_once(',') {
        None => {
            let count = repeat_count(inside)?;
            (count, count)
        }
        Some((min, "")) => (repeat_count(min)?, -1),
        Some((min, max)) => {
            let max = repeat_count(max)?;
            (if max < 0 { -1 } else { repeat_count(min)? }, max)
        }
    };
    Some((min, max, end + 1))
}

fn repeat_count(text: &str) -> Option<i64> {
    let leading_zero = text.len() >= 2 && text.starts_with('0');
    if text.is_empty() || leading_zero || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(if text.len() >= 9 { -1 } else { text.parse().unwrap_or(-1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_with_gos_texts() {
        for (pattern, text) in [
            ("(", "missing closing ): `(`"),
            ("a)", "unexpected ): `a)`"),
            ("[", "missing closing ]: `[`"),
            ("[a", "missing closing ]: `[a`"),
            ("x**", "invalid nested repetition operator: `**`"),
            ("x+?*", "invalid nested repetition operator: `+?*`"),
            ("*x", "missing argument to repetition operator: `*`"),
            ("(+)", "missing argument to repetition operator: `+`"),
            ("a|{2}", "missing argument to repetition operator: `{2}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{3,2}", "invalid repeat count: `{3,2}`"),
            ("\\", "trailing backslash at end of expression: ``"),
            ("\\y", "invalid escape sequence: `\\y`"),
            ("\\8", "invalid escape sequence: `\\8`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("\\p{Nope}", "invalid character class range: `\\p{Nope}`"),
            ("[[:nope:]]", "invalid character class range: `[:nope:]`"),
            ("(a{500}){500}", "invalid repeat count: `{500}`"),
            ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
            ("\\p{greek}", "invalid character class range: `\\p{greek}`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?P<1-2>a)", "invalid named capture: `(?P<1-2>`"),
            ("(?<=a)", "invalid named capture: `(?<=a)`"),
        ] {
            assert_eq!(translate(pattern).unwrap_err().to_string(), format!("error parsing regexp: {text}"), "{pattern}");
        }
    }

    #[test]
    fn keeps_gos_meaning() {
        for (pattern, hits, misses) in [
            ("{a", &["{a"][..], &["a"][..]),
            ("a{,2}", &["a{,2}"], &["aa"]),
            (r"^\d+$", &["12"], &["١"]),
            (r"^\w$", &["a", "_"], &["ü", "-"]),
            (r"[a&&b]", &["&", "a", "b"], &["c"]),
            ("[[a]", &["[", "a"], &["]"]),
            (r"^\Qa.b\E$", &["a.b"], &["axb"]),
            (r"^\101$", &["A"], &["1"]),
            (r"^[^\d]$", &["a"], &["1"]),
            (r"\bfoo\b", &["a foo b", "üfoo"], &["afoo"]),
            ("^a#b$", &["a#b"], &["a"]),
            ("(?i)foo", &["FOO"], &["bar"]),
            ("a]b}", &["a]b}"], &["ab"]),
            (r"^\x{41}\x42$", &["AB"], &["ab"]),
        ] {
            let regex = compile(pattern).unwrap();
            for text in hits {
                assert!(regex.is_match(text), "{pattern} {text} {regex}");
            }
            for text in misses {
                assert!(!regex.is_match(text), "{pattern} {text} {regex}");
            }
        }
    }
}
