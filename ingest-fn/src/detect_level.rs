//! Finds the level of a log line: what Loki stores as structured metadata `detected_level`.
//! Runs on every line, so: no allocation, no document tree, each byte looked at about once.
//! Order and names are Loki's (`pkg/distributor/field_detection.go`): a JSON string field at depth 1 or 2, else a logfmt
//! field, and where that says nothing known, the first level word in the text.
//! Must not know: labels and structured metadata of the entry, which come first and are the caller's.

/// The structured metadata name that the level is stored under.
pub const DETECTED_LEVEL: &str = "detected_level";
/// The level of a line that names none.
pub const UNKNOWN: &str = "unknown";

/// Label, metadata and field names that hold a level, best first.
pub const LEVEL_FIELDS: [&str; 14] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];

/// The level of `line`, or [`UNKNOWN`].
pub fn detect(line: &[u8]) -> &'static str {
    let trimmed = line.trim_ascii();
    let field = match trimmed {
        [b'{', inner @ .., b'}'] => json::level_field(inner),
        _ => logfmt_level_field(line),
    };
    field.and_then(normalize).or_else(|| first_level_word(line)).unwrap_or(UNKNOWN)
}

/// The normal form of a level's spelling, case ignored; `None` for what is not a level.
pub fn normalize(value: &[u8]) -> Option<&'static str> {
    const SPELLINGS: [(&[u8], &str); 14] = [
        (b"info", "info"),
        (b"error", "error"),
        (b"warn", "warn"),
        (b"debug", "debug"),
        (b"trace", "trace"),
        (b"err", "error"),
        (b"warning", "warn"),
        (b"fatal", "fatal"),
        (b"critical", "critical"),
        (b"inf", "info"),
        (b"information", "info"),
        (b"wrn", "warn"),
        (b"dbg", "debug"),
        (b"trc", "trace"),
    ];
    if value.len() > b"information".len() {
        return None;
    }
    SPELLINGS.iter().find_map(|(spelling, level)| value.eq_ignore_ascii_case(spelling).then_some(*level))
}

/// The level of an OpenTelemetry severity number; [`UNKNOWN`] for what is none.
pub fn from_severity_number(value: &[u8]) -> &'static str {
    match std::str::from_utf8(value).ok().and_then(|text| text.parse::<u8>().ok()) {
        Some(1..=4) => "trace",
        Some(5..=8) => "debug",
        Some(9..=12) => "info",
        Some(13..=16) => "warn",
        Some(17..=20) => "error",
        Some(21..=24) => "fatal",
        _ => UNKNOWN,
    }
}

/// Whether `name` is one of [`LEVEL_FIELDS`].
fn is_level_field(name: &[u8]) -> bool {
    match name.len() {
        3 => matches!(name, b"lvl" | b"LVL" | b"Lvl"),
        5 => matches!(name, b"level" | b"LEVEL" | b"Level"),
        8 => matches!(name, b"severity" | b"SEVERITY" | b"Severity"),
        9 => name == b"log.level",
        12 => name == b"SeverityText",
        13 => matches!(name, b"severity_text" | b"Severity_Text" | b"SEVERITY_TEXT"),
        _ => false,
    }
}

/// The value of the first level field in logfmt text. Stops at the first thing that is not logfmt, as Loki's decoder does,
/// so on most free text this ends within a few words.
fn logfmt_level_field(line: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b'=', line)?;
    let mut rest = line;
    loop {
        rest = rest.get(rest.iter().position(|b| *b > b' ')?..)?;
        let key_end = rest.iter().position(|b| matches!(*b, b'=' | b'"' | 0..=b' '))?;
        let (key, after) = rest.split_at_checked(key_end)?;
        let (&delimiter, after) = after.split_first()?;
        rest = match delimiter {
            b'=' if !key.is_empty() => {
                let (value, tail) = logfmt_value(after)?;
                if is_level_field(key) {
                    return Some(value);
                }
                tail
            }
            b'=' | b'"' => return None,
            _ => after,
        };
    }
}

/// The value that `text` starts with and what follows it; `None` where it is not logfmt.
fn logfmt_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        let end = string_end(quoted)?;
        return Some((quoted.get(..end)?, quoted.get(end + 1..)?));
    }
    let end = text.iter().position(|b| matches!(*b, b'=' | b'"' | 0..=b' ')).unwrap_or(text.len());
    if matches!(text.get(end), Some(b'=' | b'"')) {
        return None;
    }
    text.split_at_checked(end)
}

/// Where the double-quoted string that starts before `text` ends: the index of its closing quote.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// The first level word that stands alone. A word character is `[A-Za-z0-9_]`; a colon before the word also hides it
/// (`caller:error.go`).
fn first_level_word(line: &[u8]) -> Option<&'static str> {
    if let Some(level) = level_word(line) {
        return Some(level);
    }
    let mut at = 1;
    while let Some(window) = line.get(at - 1..).and_then(|rest| rest.first_chunk()) {
        if may_start_word(window) {
            let level = words_from(line, at..at + WINDOW);
            if level.is_some() {
                return level;
            }
        }
        at += WINDOW;
    }
    // The last window overlaps the one before; a word that starts at the very last byte cannot be one.
    match line.last_chunk() {
        Some(window) if !may_start_word(window) => None,
        _ => words_from(line, at..line.len()),
    }
}

/// The first level word that starts at one of `positions`, none of which is 0.
fn words_from(line: &[u8], positions: std::ops::Range<usize>) -> Option<&'static str> {
    let before = line.get(positions.start - 1..)?;
    let stands_alone = |(offset, byte): (usize, &u8)| (!byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b':')).then_some(positions.start + offset);
    before.iter().take(positions.len()).enumerate().filter_map(stands_alone).find_map(|at| line.get(at..).and_then(level_word))
}

/// Positions that [`may_start_word`] looks at in one go.
const WINDOW: usize = 32;

/// Whether a level word may start at one of the positions `1..=WINDOW` of `bytes`: a byte before it that does not belong to a word,
/// and its first two letters. Written without branches, so that the compiler makes vector instructions of it.
fn may_start_word(bytes: &[u8; WINDOW + 2]) -> bool {
    let mut found = false;
    for ((&before, &first), &second) in bytes.iter().zip(bytes.iter().skip(1)).zip(bytes.iter().skip(2)) {
        let (a, b) = (first | 0x20, second | 0x20);
        let joined = ((before | 0x20).wrapping_sub(b'a') < 26) | (before.wrapping_sub(b'0') < 11) | (before == b'_');
        let letters = ((a == b'e') & (b == b'r'))
            | ((a == b'i') & (b == b'n'))
            | ((a == b'w') & (b == b'a'))
            | ((a == b'd') & (b == b'e'))
            | ((a == b't') & (b == b'r'))
            | ((a == b'f') & (b == b'a'))
            | ((a == b'c') & (b == b'r'));
        found |= letters & !joined;
    }
    found
}

/// The level whose word `text` starts with, the word ending there.
fn level_word(text: &[u8]) -> Option<&'static str> {
    let candidates: &[(&[u8], &str)] = match text.first()?.to_ascii_lowercase() {
        b'i' => &[(b"info", "info")],
        b'e' => &[(b"error", "error"), (b"err", "error")],
        b'w' => &[(b"warn", "warn"), (b"warning", "warn")],
        b'd' => &[(b"debug", "debug")],
        b't' => &[(b"trace", "trace")],
        b'f' => &[(b"fatal", "fatal")],
        b'c' => &[(b"critical", "critical")],
        _ => return None,
    };
    candidates.iter().find_map(|(word, level)| {
        let (head, tail) = text.split_at_checked(word.len())?;
        let ends = !tail.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        (ends && head.eq_ignore_ascii_case(word)).then_some(*level)
    })
}

/// A byte scanner over one JSON object that looks for a level field and skips everything else.
mod json {
    use super::{is_level_field, string_end};

    /// Objects inside the line's object that are looked into.
    const MAX_DEPTH: u8 = 2;

    /// The value of the first level field with a string value, in the order of the text; `inner` is what stands between
    /// the outermost braces. Damaged JSON ends the search.
    pub(super) fn level_field(inner: &[u8]) -> Option<&[u8]> {
        let mut scanner = Scanner { rest: inner };
        match scanner.members(1) {
            Step::Found(value) => Some(value),
            Step::End | Step::Damaged => None,
        }
    }

    enum Step<'a> {
        Found(&'a [u8]),
        End,
        Damaged,
    }

    struct Scanner<'a> {
        rest: &'a [u8],
    }

    impl<'a> Scanner<'a> {
        fn members(&mut self, depth: u8) -> Step<'a> {
            loop {
                match self.member(depth) {
                    Some(Step::End) => {}
                    Some(step) => return step,
                    None => return Step::Damaged,
                }
                match self.next_token() {
                    Some(b',') => {}
                    Some(b'}') | None => return Step::End,
                    Some(_) => return Step::Damaged,
                }
            }
        }

        /// One `"key": value`; `None` where the text is not JSON.
        fn member(&mut self, depth: u8) -> Option<Step<'a>> {
            match self.next_token() {
                Some(b'"') => {}
                Some(b'}') | None => return None,
                Some(_) => return Some(Step::Damaged),
            }
            let key = self.string()?;
            if self.next_token() != Some(b':') {
                return Some(Step::Damaged);
            }
            match self.next_token()? {
                b'"' => {
                    let value = self.string()?;
                    if is_level_field(key) {
                        return Some(Step::Found(value));
                    }
                }
                b'{' if depth < MAX_DEPTH => {
                    if self.peek_token() == Some(b'}') {
                        self.next_token();
                    } else if let found @ (Step::Found(_) | Step::Damaged) = self.members(depth + 1) {
                        return Some(found);
                    }
                }
                b'{' | b'[' => self.skip_container()?,
                _ => {
                    let end = self.rest.iter().position(|b| matches!(*b, b',' | b'}')).unwrap_or(self.rest.len());
                    self.rest = self.rest.get(end..)?;
                }
            }
            Some(Step::End)
        }

        fn peek_token(&mut self) -> Option<u8> {
            let start = self.rest.iter().position(|b| !matches!(*b, b' ' | b'\t' | b'\n' | b'\r'))?;
            self.rest = self.rest.get(start..)?;
            self.rest.first().copied()
        }

        fn next_token(&mut self) -> Option<u8> {
            let token = self.peek_token()?;
            self.rest = self.rest.get(1..)?;
            Some(token)
        }

        /// The raw text of the string whose opening quote was read.
        fn string(&mut self) -> Option<&'a [u8]> {
            let end = string_end(self.rest)?;
            let text = self.rest.get(..end)?;
            self.rest = self.rest.get(end + 1..)?;
            Some(text)
        }

        /// Skips the object or array whose opening bracket was read.
        fn skip_container(&mut self) -> Option<()> {
            let mut open = 1_usize;
            while open > 0 {
                let at = self.rest.iter().position(|b| matches!(*b, b'"' | b'{' | b'}' | b'[' | b']'))?;
                let byte = *self.rest.get(at)?;
                self.rest = self.rest.get(at + 1..)?;
                match byte {
                    b'"' => {
                        self.string()?;
                    }
                    b'{' | b'[' => open += 1,
                    _ => open -= 1,
                }
            }
            Some(())
        }
    }
}

#[cfg(test)]
mod tests;
