//! Splits a logfmt line into keys and values, byte by byte, going on behind what it cannot read (spec/logql.md 3.4).

use std::borrow::Cow;

use super::json_text::unescape;

/// Why a token could not be read; `position` is 1-based, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("logfmt syntax error at pos {position} : {what}")]
pub(crate) struct LogfmtError {
    position: usize,
    what: &'static str,
}

/// One token: a pair, a lone key (empty value), or what is wrong with it.
pub(crate) type Token<'a> = Result<(&'a [u8], Cow<'a, [u8]>), LogfmtError>;

/// The tokens of a line in order.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(line: &'a [u8]) -> Self {
        Self { line, at: 0 }
    }

    fn byte(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.byte().is_some_and(&wanted) {
            self.at += 1;
        }
    }

    fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.line.get(from..to).unwrap_or(&[])
    }

    /// An error at the current byte; the rest of the token is skipped.
    fn fail(&mut self, what: &'static str) -> LogfmtError {
        let error = LogfmtError { position: self.at + 1, what };
        self.skip_while(|b| b > b' ');
        error
    }

    fn value(&mut self) -> Result<Cow<'a, [u8]>, LogfmtError> {
        match self.byte() {
            None => Ok(Cow::Borrowed(&[])),
            Some(b'"') => self.quoted(),
            Some(_) => {
                let start = self.at;
                self.skip_while(|b| b > b' ' && b != b'=' && b != b'"');
                match self.byte() {
                    Some(b'=') => Err(self.fail("unexpected '='")),
                    Some(b'"') => Err(self.fail("unexpected '\"'")),
                    _ => Ok(Cow::Borrowed(self.slice(start, self.at))),
                }
            }
        }
    }

    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, LogfmtError> {
        let start = self.at + 1;
        let mut end = start;
        loop {
            match self.line.get(end) {
                None => {
                    self.at = self.line.len();
                    return Err(LogfmtError { position: self.at + 1, what: "unterminated quoted value" });
                }
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
            }
        }
        self.at = end + 1;
        let raw = self.slice(start, end);
        // A raw control character is not JSON, which the quoted form of logfmt is taken from, but only matters beside an escape.
        match unescape(raw) {
            Some(Cow::Owned(_)) if raw.iter().any(|&b| b < b' ') => Err(LogfmtError { position: self.at + 1, what: "invalid quoted value" }),
            Some(value) => Ok(value),
            None => Err(LogfmtError { position: self.at + 1, what: "invalid quoted value" }),
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_while(|b| b <= b' ');
        self.byte()?;
        let start = self.at;
        self.skip_while(|b| b > b' ' && b != b'=' && b != b'"');
        let key = self.slice(start, self.at);
        if self.byte() == Some(b'"') {
            return Some(Err(self.fail("unexpected '\"'")));
        }
        let has_value = self.byte() == Some(b'=');
        if has_value && key.is_empty() {
            return Some(Err(self.fail("unexpected '='")));
        }
        if std::str::from_utf8(key).map_or(true, |text| text.contains('\u{fffd}')) {
            return Some(Err(self.fail("invalid key")));
        }
        if !has_value {
            return Some(Ok((key, Cow::Borrowed(&[]))));
        }
        self.at += 1;
        if self.byte().is_some_and(|b| b <= b' ') {
            return Some(Ok((key, Cow::Borrowed(&[]))));
        }
        Some(self.value().map(|value| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(line: &str) -> Vec<String> {
        Tokens::new(line.as_bytes())
            .map(|token| match token {
                Ok((key, value)) => format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(&value)),
                Err(error) => error.to_string(),
            })
            .collect()
    }

    #[test]
    fn pairs_lone_keys_and_quotes() {
        assert_eq!(tokens(r#"a=1 b="x \"y\" \u00e7" flag empty= c=""  d=é"#), ["a=1", r#"b=x "y" ç"#, "flag=", "empty=", "c=", "d=é"]);
        assert_eq!(tokens(""), Vec::<String>::new());
        assert_eq!(tokens(" \t "), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_skipped_and_named() {
        assert_eq!(tokens("a=1 =x b=2"), ["a=1", "logfmt syntax error at pos 5 : unexpected '='", "b=2"]);
        assert_eq!(tokens(r#"a=b=c a"b d=1"#), ["logfmt syntax error at pos 4 : unexpected '='", "logfmt syntax error at pos 8 : unexpected '\"'", "d=1"]);
        assert_eq!(tokens(r#"a=1 b="open"#), ["a=1", "logfmt syntax error at pos 12 : unterminated quoted value"]);
        assert_eq!(tokens(r#"b="\q" c=1"#), ["logfmt syntax error at pos 7 : invalid quoted value", "c=1"]);
        assert_eq!(tokens(r#"b="x"c=1"#), ["b=x", "c=1"]);
        assert_eq!(tokens(r#"b="trailing\"#), ["logfmt syntax error at pos 13 : unterminated quoted value"]);
    }
}
