//! `| decolorize`: removes ANSI escape sequences (spec/logql.md 3.10).

use std::borrow::Cow;

use super::{Row, Stage, Verdict};
use crate::QueryError;

/// Control sequences and operating system commands, introduced by ESC or by their single-character C1 forms.
const ANSI: &str = r"(?:\x1b|\u{9b})[\[\]()#;?]*(?:(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\x07)|(?:(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-ntqry=><~]))";

/// The stage, compiled.
#[derive(Debug)]
pub(crate) struct Decolorize {
    ansi: regex::bytes::Regex,
}

impl Decolorize {
    pub(crate) fn new() -> Result<Self, QueryError> {
        let ansi =
            regex::bytes::Regex::new(ANSI).map_err(|error| QueryError::Internal { invariant: format!("the pattern of ANSI sequences compiles: {error}") })?;
        Ok(Self { ansi })
    }
}

impl Stage for Decolorize {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        if memchr::memchr2(0x1b, 0xc2, &row.line).is_some()
            && let Cow::Owned(plain) = self.ansi.replace_all(&row.line, &b""[..])
        {
            row.line = Cow::Owned(plain);
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

    #[test]
    fn colours_go_and_text_stays() {
        let stage = Decolorize::new().unwrap();
        assert_eq!(run(&stage, "{}", "\x1b[32mINFO\x1b[0m x \x1b[1;31mred\x1b[39;49m"), " | INFO x red");
        assert_eq!(run(&stage, "{}", "plain [32m ünï"), "");
    }
}
