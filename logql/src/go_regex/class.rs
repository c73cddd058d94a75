//! Character classes: `[...]`, `\d` and its like, `\p{...}`.

use std::fmt::Write as _;

use super::{GoRegexError, GoRegexProblem, Operand, Translator, fail, push_literal};

const POSIX_CLASSES: [&str; 14] =
    ["alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit"];

impl Translator<'_> {
    pub(super) fn unicode_class(&mut self) -> Result<(), GoRegexError> {
        let start = self.rest;
        let length = match start.chars().nth(2) {
            Some('{') => start.find('}').ok_or_else(|| fail(GoRegexProblem::ClassRange, start))? + 1,
            Some(c) => 2 + c.len_utf8(),
            None => 2,
        };
        let text = self.take(length);
        let name = text.get(2..).unwrap_or_default();
        let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
        let (inverted, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
        let class = format!("\\{}{{{name}}}", if text.starts_with("\\P") == inverted { 'p' } else { 'P' });
        let known = name.starts_with(|c: char| c.is_ascii_uppercase()) && !name.contains(['=', ':']) && regex_syntax::parse(&class).is_ok();
        if !known {
            return Err(fail(GoRegexProblem::ClassRange, text));
        }
        self.out.push_str(&class);
        self.operand = Operand::Item;
        Ok(())
    }

    /// `[...]`
    pub(super) fn class(&mut self) -> Result<(), GoRegexError> {
        let whole = self.rest;
        self.take(1);
        self.out.push('[');
        if self.rest.starts_with('^') {
            self.take(1);
            self.out.push('^');
        }
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if self.rest.starts_with("[:")
                && let Some(end) = self.rest.find(":]")
            {
                let name = self.take(end + 2);
                if !POSIX_CLASSES.contains(&name.trim_matches(['[', ':', ']']).trim_start_matches('^')) {
                    return Err(fail(GoRegexProblem::ClassRange, name));
                }
                self.out.push_str(name);
                continue;
            }
            match (self.rest.as_bytes().first(), self.rest.as_bytes().get(1)) {
                (Some(b'\\'), Some(b'p' | b'P')) => self.unicode_class()?,
                (Some(b'\\'), Some(class @ (b'd' | b'D' | b's' | b'S' | b'w' | b'W'))) => {
                    let class = perl_class(*class);
                    self.take(2);
                    let _ = write!(self.out, "[{class}]");
                }
                _ => self.class_range(whole)?,
            }
        }
        self.take(1);
        self.out.push(']');
        self.operand = Operand::Item;
        Ok(())
    }

    fn class_range(&mut self, whole: &str) -> Result<(), GoRegexError> {
        let start = self.rest;
        let low = self.class_char(whole)?;
        push_class_char(&mut self.out, low);
        let is_range = self.rest.starts_with('-') && self.rest.len() >= 2 && !self.rest.starts_with("-]");
        if is_range {
            self.take(1);
            let high = self.class_char(whole)?;
            if high < low {
                return Err(fail(GoRegexProblem::ClassRange, start.get(..start.len() - self.rest.len()).unwrap_or(start)));
            }
            self.out.push('-');
            push_class_char(&mut self.out, high);
        }
        Ok(())
    }

    fn class_char(&mut self, whole: &str) -> Result<char, GoRegexError> {
        match self.rest.chars().next() {
            None => Err(fail(GoRegexProblem::MissingBracket, whole)),
            Some('\\') => self.escaped_char(),
            Some(c) => {
                self.take(c.len_utf8());
                Ok(c)
            }
        }
    }
}

/// The inside of the class that `\d` and its like stand for in Go: ASCII only.
pub(super) fn perl_class(letter: u8) -> &'static str {
    match letter {
        b'd' => "0-9",
        b'D' => "^0-9",
        b's' => r"\t\n\x0c\r ",
        b'S' => r"^\t\n\x0c\r ",
        b'w' => "0-9A-Za-z_",
        _ => "^0-9A-Za-z_",
    }
}

fn push_class_char(out: &mut String, c: char) {
    if c.is_ascii_punctuation() && c != '_' && regex_syntax::is_escapeable_character(c) {
        out.push('\\');
        out.push(c);
    } else {
        push_literal(out, c);
    }
}
