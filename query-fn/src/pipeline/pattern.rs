//! `| pattern "<ip> - <_> <status>"`: the text between literals becomes labels (spec/logql.md 3.7).

use super::names::clean_text;
use super::{NeededLabels, Row, Stage, Verdict, set_parsed};
use crate::QueryError;

/// The stage, compiled: literals and captures in turn.
#[derive(Debug)]
pub(crate) struct PatternParser {
    /// What the line has to start with; empty where the pattern starts with a capture.
    prefix: Vec<u8>,
    /// Each capture and the literal behind it; the literal of the last one may be empty.
    captures: Vec<Capture>,
    needed: NeededLabels,
}

#[derive(Debug)]
struct Capture {
    /// `None` for `<_>`.
    name: Option<String>,
    until: Vec<u8>,
}

impl PatternParser {
    /// Errors: no named capture; two captures without a literal between; a name twice.
    pub(crate) fn new(pattern: &str, needed: NeededLabels) -> Result<Self, QueryError> {
        let invalid = |why: String| QueryError::Invalid { message: format!("parse error : invalid pattern parser: {why}") };
        let (mut prefix, mut captures): (Vec<u8>, Vec<Capture>) = (Vec::new(), Vec::new());
        let mut rest = pattern;
        while let Some(c) = rest.chars().next() {
            if let Some((name, after)) = capture(rest) {
                if let Some(last) = captures.last().filter(|last| last.until.is_empty()) {
                    return Err(invalid(format!("found consecutive capture '<{}><{name}>': invalid expression", last.name.as_deref().unwrap_or("_"))));
                }
                if name != "_" && captures.iter().any(|earlier| earlier.name.as_deref() == Some(name)) {
                    return Err(invalid(format!("duplicate capture name ({name}): invalid expression")));
                }
                captures.push(Capture { name: (name != "_").then(|| name.to_owned()), until: Vec::new() });
                rest = after;
            } else {
                let literal = captures.last_mut().map_or(&mut prefix, |last| &mut last.until);
                literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = rest.get(c.len_utf8()..).unwrap_or("");
            }
        }
        if captures.iter().all(|capture| capture.name.is_none()) {
            return Err(invalid("at least one capture is required".to_owned()));
        }
        Ok(Self { prefix, captures, needed })
    }
}

/// The name of the capture `<name>` that `text` starts with, and what follows.
fn capture(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix('<')?.split_once('>')?;
    schema::labels::is_label_name(name).then_some((name, rest))
}

impl Stage for PatternParser {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        if self.needed.is_empty() {
            return Verdict::Keep;
        }
        let Some(mut rest) = row.line.strip_prefix(self.prefix.as_slice()).filter(|_| !row.line.is_empty()) else { return Verdict::Keep };
        for capture in &self.captures {
            let end = if capture.until.is_empty() { None } else { memchr::memmem::find(rest, &capture.until) };
            let (value, after) = match end {
                Some(end) => (rest.get(..end).unwrap_or(rest), rest.get(end + capture.until.len()..)),
                None => (rest, None),
            };
            if let Some(name) = &capture.name {
                set_parsed(&self.needed, &mut row.labels, name, &clean_text(value));
            }
            match after {
                Some(after) => rest = after,
                None => break,
            }
        }
        Verdict::Keep
    }

    fn reads_only_labels(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    fn pattern(pattern: &str, line: &str) -> String {
        run(&PatternParser::new(pattern, NeededLabels::All).unwrap(), r#"{app="x"}"#, line)
    }

    #[test]
    fn text_between_literals() {
        assert_eq!(
            pattern(r#"<ip> - <user> [<_>] "<method> <path> <_>" <status>"#, r#"1.2.3.4 - bob [now] "GET /a HTTP/1.1" 200 17"#),
            "app=x ip=1.2.3.4 method=GET path=/a status=200 17 user=bob"
        );
        assert_eq!(pattern("<app> <b c> <d>", "1 <b c> 2"), "app=x app_extracted=1 d=2");
    }

    #[test]
    fn a_literal_that_is_missing_ends_the_match() {
        assert_eq!(pattern("<a>;<b>,<c>", "1;2 3"), "a=1 app=x b=2 3");
        assert_eq!(pattern("level=<l> ", "x level=y "), "app=x");
        assert_eq!(pattern("<a> end", ""), "app=x");
    }

    #[test]
    fn bad_patterns_say_why() {
        for (text, why) in [
            ("none", "at least one capture is required"),
            ("<_> <_>", "at least one capture is required"),
            ("<a><b>", "found consecutive capture '<a><b>': invalid expression"),
            ("<a> <a>", "duplicate capture name (a): invalid expression"),
        ] {
            assert_eq!(PatternParser::new(text, NeededLabels::All).unwrap_err().to_string(), format!("parse error : invalid pattern parser: {why}"));
        }
    }
}
