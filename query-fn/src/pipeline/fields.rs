//! `| drop a, b="x"` and `| keep a, b=~"x.*"` (spec/logql.md 3.11).

use logql::ast::FieldMatch;

use super::{Row, Stage, Verdict};
use crate::labels::{ERROR_DETAILS_LABEL, ERROR_LABEL};

/// Removes labels by name, or by name where the value matches.
#[derive(Debug)]
pub(crate) struct DropLabels {
    fields: Vec<FieldMatch>,
}

impl DropLabels {
    pub(crate) fn new(fields: &[FieldMatch]) -> Self {
        Self { fields: fields.to_vec() }
    }
}

impl Stage for DropLabels {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        for field in &self.fields {
            match field {
                FieldMatch::Name(name) => row.labels.remove(name),
                FieldMatch::Matcher(matcher) if matcher.matches(row.labels.value(matcher.name())) => row.labels.remove(matcher.name()),
                FieldMatch::Matcher(_) => {}
            }
        }
        Verdict::Keep
    }

    fn reads_only_labels(&self) -> bool {
        true
    }
}

/// Removes every label that is not listed; the error labels stay.
#[derive(Debug)]
pub(crate) struct KeepLabels {
    fields: Vec<FieldMatch>,
}

impl KeepLabels {
    pub(crate) fn new(fields: &[FieldMatch]) -> Self {
        Self { fields: fields.to_vec() }
    }

    fn keeps(&self, name: &str, value: &str) -> bool {
        matches!(name, ERROR_LABEL | ERROR_DETAILS_LABEL)
            || self.fields.iter().any(|field| match field {
                FieldMatch::Name(wanted) => wanted == name,
                FieldMatch::Matcher(matcher) => matcher.name() == name && matcher.matches(value),
            })
    }
}

impl Stage for KeepLabels {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        let gone: Vec<String> =
            row.labels.sorted().into_iter().filter(|label| !self.keeps(label.name, label.value)).map(|label| label.name.to_owned()).collect();
        for name in gone {
            row.labels.remove(&name);
        }
        Verdict::Keep
    }

    fn reads_only_labels(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run_with_metadata;
    use super::*;
    use schema::{MatchOp, Matcher};

    fn fields() -> [FieldMatch; 3] {
        [
            FieldMatch::Name("a".into()),
            FieldMatch::Matcher(Matcher::new("b", MatchOp::Regex, "x.*").unwrap()),
            FieldMatch::Matcher(Matcher::new("c", MatchOp::Equal, "no").unwrap()),
        ]
    }

    #[test]
    fn drop_removes_what_matches() {
        assert_eq!(run_with_metadata(&DropLabels::new(&fields()), r#"{a="1", b="xy", c="yes"}"#, &[("d", "4")], ""), "c=yes d=4");
        let errors = DropLabels::new(&[FieldMatch::Name(ERROR_LABEL.into())]);
        assert_eq!(run_with_metadata(&errors, r#"{a="1"}"#, &[("__error__", "x"), ("__error_details__", "y")], ""), "__error_details__=y a=1");
    }

    #[test]
    fn keep_removes_the_rest_but_no_errors() {
        assert_eq!(
            run_with_metadata(&KeepLabels::new(&fields()), r#"{a="1", b="xy", c="yes"}"#, &[("__error__", "x"), ("d", "4")], ""),
            "__error__=x a=1 b=xy"
        );
    }
}
