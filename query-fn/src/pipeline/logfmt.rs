//! `| logfmt` with and without expressions (spec/logql.md 3.4, 3.5).

use logql::ast::{Extraction, LogfmtFlags};

use super::logfmt_text::Tokens;
use super::names::{COLLISION_SUFFIX, clean_text, collides, sanitize};
use super::{NeededLabels, Row, Stage, Verdict, errors, set_parsed};
use crate::QueryError;
use crate::labels::Category;

/// Every key becomes a label.
#[derive(Debug)]
pub(crate) struct Logfmt {
    flags: LogfmtFlags,
    needed: NeededLabels,
}

impl Logfmt {
    pub(crate) fn new(flags: LogfmtFlags, needed: NeededLabels) -> Self {
        Self { flags, needed }
    }
}

impl Stage for Logfmt {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        if self.needed.is_empty() || self.needed.all_parsed(&row.labels) {
            return Verdict::Keep;
        }
        for token in Tokens::new(&row.line) {
            match token {
                Ok((_, value)) if value.is_empty() && !self.flags.keep_empty => {}
                Ok((key, value)) => {
                    let name = std::str::from_utf8(key).map(sanitize).unwrap_or_default();
                    if !name.is_empty() {
                        set_parsed(&self.needed, &mut row.labels, &name, &clean_text(&value));
                    }
                }
                Err(error) if self.flags.strict => {
                    row.labels.set_error(errors::LOGFMT_PARSER, &error.to_string());
                    break;
                }
                Err(_) => {}
            }
            if self.needed.all_parsed(&row.labels) {
                break;
            }
        }
        Verdict::Keep
    }

    fn reads_only_labels(&self) -> bool {
        false
    }
}

/// Only the listed keys become labels, under the listed names; the last occurrence of a key wins.
#[derive(Debug)]
pub(crate) struct LogfmtExpression {
    flags: LogfmtFlags,
    extractions: Vec<Extraction>,
    /// Whether the query reads no parsed label at all.
    skip: bool,
}

impl LogfmtExpression {
    /// Errors: an expression that is not a single key.
    pub(crate) fn new(flags: LogfmtFlags, extractions: &[Extraction], needed: &NeededLabels) -> Result<Self, QueryError> {
        let mut compiled: Vec<Extraction> = Vec::with_capacity(extractions.len());
        for extraction in extractions {
            let key = extraction.expression.trim();
            if key.is_empty() || key.contains(|c: char| c.is_whitespace() || matches!(c, '=' | '"')) {
                return Err(QueryError::Invalid {
                    message: format!("parse error : invalid logfmt parser: cannot parse expression [{}]: it is not a logfmt key", extraction.expression),
                });
            }
            compiled.retain(|earlier| earlier.name != extraction.name);
            compiled.push(Extraction { name: extraction.name.clone(), expression: key.to_owned() });
        }
        Ok(Self { flags, extractions: compiled, skip: needed.is_empty() })
    }
}

impl Stage for LogfmtExpression {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        if self.skip {
            return Verdict::Keep;
        }
        for extraction in &self.extractions {
            if !collides(&row.labels, &extraction.name) {
                row.labels.set(Category::Parsed, &extraction.name, "");
            }
        }
        for token in Tokens::new(&row.line) {
            match token {
                Ok((key, value)) => {
                    let name = std::str::from_utf8(key).map(sanitize).unwrap_or_default();
                    for extraction in self.extractions.iter().filter(|extraction| extraction.expression == name) {
                        let text = std::str::from_utf8(&value).ok().filter(|text| !text.contains('\u{fffd}')).unwrap_or("");
                        if collides(&row.labels, &extraction.name) {
                            row.labels.set(Category::Parsed, &format!("{}{COLLISION_SUFFIX}", extraction.name), text);
                        } else {
                            row.labels.set(Category::Parsed, &extraction.name, text);
                        }
                    }
                }
                Err(error) if self.flags.strict => {
                    row.labels.set_error(errors::LOGFMT_PARSER, &error.to_string());
                    break;
                }
                Err(_) => {}
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
    use super::super::testing::{run, run_needed};
    use super::*;

    const STRICT: LogfmtFlags = LogfmtFlags { strict: true, keep_empty: false };
    const KEEP_EMPTY: LogfmtFlags = LogfmtFlags { strict: false, keep_empty: true };

    fn logfmt(flags: LogfmtFlags, line: &str) -> String {
        run(&Logfmt::new(flags, NeededLabels::All), r#"{app="x"}"#, line)
    }

    #[test]
    fn keys_become_labels() {
        let line = r#"level=info msg="a b" a.b=1 flag empty= level=warn app=y"#;
        assert_eq!(logfmt(LogfmtFlags::default(), line), "a_b=1 app=x app_extracted=y level=info msg=a b");
        assert_eq!(logfmt(KEEP_EMPTY, line), "a_b=1 app=x app_extracted=y empty= flag= level=info msg=a b");
    }

    #[test]
    fn strict_stops_at_the_first_bad_token() {
        assert_eq!(logfmt(LogfmtFlags::default(), "a=1 =x b=2"), "a=1 app=x b=2");
        assert_eq!(logfmt(STRICT, "a=1 =x b=2"), "__error__=LogfmtParserErr __error_details__=logfmt syntax error at pos 5 : unexpected '=' a=1 app=x");
    }

    #[test]
    fn expressions_rename_and_the_last_occurrence_wins() {
        let extractions = [("lvl", "level"), ("msg", "msg"), ("none", "absent"), ("app", "x")]
            .map(|(name, expression)| Extraction { name: name.into(), expression: expression.into() });
        let stage = LogfmtExpression::new(LogfmtFlags::default(), &extractions, &NeededLabels::All).unwrap();
        assert_eq!(run(&stage, r#"{app="x"}"#, "level=a x=1 level=b other=1"), "app=x app_extracted=1 lvl=b msg= none=");
    }

    #[test]
    fn reading_stops_when_all_is_found() {
        let new = |needed| Logfmt::new(STRICT, needed);
        assert_eq!(run_needed(new, &["a"], "{}", "a=1 =x"), "a=1");
        assert_eq!(run_needed(new, &[], "{}", "=x"), "");
    }
}
