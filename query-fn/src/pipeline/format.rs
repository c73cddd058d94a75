//! `| line_format "..."` and `| label_format a=b, c="..."` (spec/logql.md 3.9).

use std::borrow::Cow;
use std::collections::BTreeMap;

use logql::ast::{LabelFormat as Assignment, LabelFormatValue};

use super::{Row, Stage, Verdict, errors};
use crate::QueryError;
use crate::labels::{Category, ERROR_LABEL};
use crate::template::{Fields, Template};

/// What a template sees of a row.
struct RowFields<'a, 'r> {
    row: &'a Row<'r>,
    now: i64,
}

impl Fields for RowFields<'_, '_> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.row.labels.get(name).map(|label| Cow::Borrowed(label.value))
    }

    fn all(&self) -> Vec<(String, String)> {
        self.row.labels.sorted().into_iter().map(|label| (label.name.to_owned(), label.value.to_owned())).collect()
    }

    fn line(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.row.line)
    }

    fn timestamp(&self) -> i64 {
        self.row.timestamp
    }

    fn now(&self) -> i64 {
        self.now
    }
}

/// Replaces the line by a template's output.
#[derive(Debug)]
pub(crate) struct LineFormat {
    template: Template,
    now: i64,
}

impl LineFormat {
    /// Errors: the template does not parse.
    pub(crate) fn new(text: &str, now: i64) -> Result<Self, QueryError> {
        let template = Template::parse("line", text).map_err(|error| QueryError::Invalid {
            message: format!("parse error : stage '| line_format {}' : invalid line template: {error}", schema::quote::quote(text)),
        })?;
        Ok(Self { template, now })
    }
}

impl Stage for LineFormat {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        if let Some(name) = self.template.single_field() {
            row.line = Cow::Owned(row.labels.value(name).as_bytes().to_vec());
            return Verdict::Keep;
        }
        let mut out = String::new();
        match self.template.render(&RowFields { row, now: self.now }, &mut out) {
            Ok(()) => row.line = Cow::Owned(out.into_bytes()),
            Err(details) => row.labels.set_error(errors::TEMPLATE_FORMAT, &details),
        }
        Verdict::Keep
    }

    fn reads_only_labels(&self) -> bool {
        false
    }
}

/// Moves labels and sets them by templates, in the order written.
#[derive(Debug)]
pub(crate) struct LabelFormat {
    assignments: Vec<(String, Source)>,
    reads_only_labels: bool,
    now: i64,
}

#[derive(Debug)]
enum Source {
    Rename(String),
    Template(Template),
}

impl LabelFormat {
    /// Errors: a template that does not parse, a label twice, `__error__`.
    pub(crate) fn new(assignments: &[Assignment], now: i64) -> Result<Self, QueryError> {
        let stage = || logql::ast::Stage::LabelFormat(assignments.to_vec()).to_string();
        let invalid = |why: String| QueryError::Invalid { message: format!("parse error : stage '{}' : {why}", stage()) };
        let mut compiled: Vec<(String, Source)> = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            if assignment.name == ERROR_LABEL {
                return Err(invalid(format!("{ERROR_LABEL} cannot be formatted")));
            }
            if compiled.iter().any(|(name, _)| *name == assignment.name) {
                return Err(invalid(format!("multiple label name '{}' not allowed in a single format operation", assignment.name)));
            }
            let source = match &assignment.value {
                LabelFormatValue::Rename(from) => Source::Rename(from.clone()),
                LabelFormatValue::Template(text) => Source::Template(
                    Template::parse("label", text).map_err(|error| invalid(format!("invalid template for label '{}': {error}", assignment.name)))?,
                ),
            };
            compiled.push((assignment.name.clone(), source));
        }
        let reads_only_labels = compiled.iter().all(|(_, source)| !matches!(source, Source::Template(template) if template.reads_more_than_labels()));
        Ok(Self { assignments: compiled, reads_only_labels, now })
    }
}

/// The labels as they were at the first template of a stage, and the row for everything else.
struct Snapshot<'a, 'r> {
    labels: &'a BTreeMap<String, String>,
    row: &'a Row<'r>,
    now: i64,
}

impl Fields for Snapshot<'_, '_> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.labels.get(name).map(|value| Cow::Borrowed(value.as_str()))
    }

    fn all(&self) -> Vec<(String, String)> {
        self.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn line(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.row.line)
    }

    fn timestamp(&self) -> i64 {
        self.row.timestamp
    }

    fn now(&self) -> i64 {
        self.now
    }
}

impl Stage for LabelFormat {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        let mut snapshot: Option<BTreeMap<String, String>> = None;
        for (name, source) in &self.assignments {
            match source {
                Source::Rename(from) => {
                    if let Some(value) = row.labels.get(from).map(|label| label.value.to_owned()) {
                        row.labels.set(Category::Parsed, name, &value);
                        row.labels.remove(from);
                    }
                }
                Source::Template(template) => {
                    let labels =
                        snapshot.get_or_insert_with(|| row.labels.sorted().into_iter().map(|label| (label.name.to_owned(), label.value.to_owned())).collect());
                    let mut out = String::new();
                    match template.render(&Snapshot { labels, row, now: self.now }, &mut out) {
                        Ok(()) => row.labels.set(Category::Parsed, name, &out),
                        Err(details) => row.labels.set_error(errors::TEMPLATE_FORMAT, &details),
                    }
                }
            }
        }
        Verdict::Keep
    }

    fn reads_only_labels(&self) -> bool {
        self.reads_only_labels
    }
}

/// The labels that a stage's templates and renames read: what Loki's parsers take as needed.
pub(crate) fn required_labels(stage: &logql::ast::Stage) -> Vec<String> {
    let of_template = |name, text: &str| Template::parse(name, text).map(|template| template.field_names()).unwrap_or_default();
    match stage {
        logql::ast::Stage::LineFormat(text) => of_template("line", text),
        logql::ast::Stage::LabelFormat(assignments) => assignments
            .iter()
            .flat_map(|assignment| match &assignment.value {
                LabelFormatValue::Rename(from) => vec![from.clone()],
                LabelFormatValue::Template(text) => of_template("label", text),
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    const LABELS: &str = r#"{a="1", b="two"}"#;

    fn labels(assignments: &[(&str, Option<&str>, Option<&str>)]) -> String {
        let assignments: Vec<Assignment> = assignments
            .iter()
            .map(|&(name, rename, template)| Assignment {
                name: name.into(),
                value: rename.map_or_else(|| LabelFormatValue::Template(template.unwrap().into()), |from| LabelFormatValue::Rename(from.into())),
            })
            .collect();
        run(&LabelFormat::new(&assignments, 0).unwrap(), LABELS, "line")
    }

    #[test]
    fn line_format_replaces_the_line() {
        assert_eq!(run(&LineFormat::new("{{.b}}-{{.a}}: {{__line__}}", 0).unwrap(), LABELS, "x"), "a=1 b=two | two-1: x");
        assert_eq!(run(&LineFormat::new("{{.none}}", 0).unwrap(), LABELS, "x"), "a=1 b=two | ");
        let failed = run(&LineFormat::new("x{{ urldecode .pct }}{{ urldecode \"%zz\" }}", 0).unwrap(), LABELS, "kept");
        assert_eq!(
            failed,
            "__error__=TemplateFormatErr __error_details__=template: line:1:24: executing \"line\" at <urldecode \"%zz\">: error calling urldecode: invalid URL escape \"%zz\" a=1 b=two"
        );
    }

    #[test]
    fn renames_move_and_templates_see_the_labels_before_the_first_template() {
        assert_eq!(labels(&[("c", Some("a"), None)]), "b=two c=1");
        assert_eq!(labels(&[("a", Some("a"), None)]), "b=two");
        assert_eq!(labels(&[("c", Some("none"), None)]), "a=1 b=two");
        assert_eq!(labels(&[("a", None, Some("9")), ("c", None, Some("{{.a}}"))]), "a=9 b=two c=1");
        assert_eq!(labels(&[("c", Some("a"), None), ("d", None, Some("{{.a}}{{.c}}"))]), "b=two c=1 d=1");
    }

    #[test]
    fn bad_formats_name_the_stage() {
        assert_eq!(
            LineFormat::new("{{ nosuch .x }}", 0).unwrap_err().to_string(),
            r#"parse error : stage '| line_format "{{ nosuch .x }}"' : invalid line template: template: line:1: function "nosuch" not defined"#
        );
        let twice = [("a", "b"), ("a", "c")].map(|(name, from)| Assignment { name: name.into(), value: LabelFormatValue::Rename(from.into()) });
        assert!(LabelFormat::new(&twice, 0).unwrap_err().to_string().ends_with("multiple label name 'a' not allowed in a single format operation"));
    }
}
