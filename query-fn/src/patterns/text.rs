//! Writes a template as a pattern that `|>` reads back as the same template.

use schema::labels::is_label_name;

use super::shape::{CUT, REST, TAIL};

const VARIABLE: &str = "<_>";

/// A pattern on its way.
#[derive(Debug, Default)]
pub(super) struct PatternText {
    text: String,
    /// Whether it ends with a variable. Two may not stand side by side; one takes the text of both.
    in_variable: bool,
}

impl PatternText {
    /// Adds any text that is not nothing.
    pub(super) fn variable(&mut self) {
        if !self.in_variable {
            self.text.push_str(VARIABLE);
            self.in_variable = true;
        }
    }

    /// Adds what stands between two words, or a mark for the rest of the line.
    pub(super) fn gap(&mut self, gap: &[u8]) {
        if matches!(gap, [TAIL | CUT]) { self.variable() } else { self.literal(gap) }
    }

    /// Adds a word, or a mark for the rest of the line. What a line has as `<name>` would be read as a capture, so a name between these brackets is variable.
    pub(super) fn word(&mut self, word: &[u8], gap_behind: &[u8]) {
        let is_name = || std::str::from_utf8(word).is_ok_and(is_label_name);
        let is_capture = self.text.ends_with('<') && gap_behind.starts_with(b">") && is_name();
        if is_capture || word == [REST] { self.variable() } else { self.literal(word) }
    }

    /// Words and gaps of a shape are UTF-8; what is not is a mark that was dealt with.
    fn literal(&mut self, text: &[u8]) {
        if !text.is_empty() {
            self.text.push_str(&String::from_utf8_lossy(text));
            self.in_variable = false;
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_around_a_name_are_no_capture() {
        let written = |words: &[(&str, &str)]| {
            let mut text = PatternText::default();
            for (gap, word) in words {
                let behind = if text.text.is_empty() { ">" } else { " " };
                text.gap(gap.as_bytes());
                text.word(word.as_bytes(), behind.as_bytes());
            }
            text.finish()
        };
        assert_eq!(written(&[("<", "init")]), "<<_>");
        assert_eq!(written(&[("<", "_")]), "<<_>");
        assert_eq!(written(&[("<", "a-b")]), "<a-b");
        assert_eq!(written(&[(" ", "init")]), " init");
        assert_eq!(written(&[("<", "1"), (">", "x")]), "<1>x");
    }

    #[test]
    fn variables_side_by_side_are_one() {
        let mut text = PatternText::default();
        text.gap(b"a ");
        text.variable();
        text.gap(&[CUT]);
        assert_eq!(text.finish(), "a <_>");
    }
}
