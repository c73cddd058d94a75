//! `| json a="user.id", b="tags[0]"`: chosen places of the line's JSON become labels (spec/logql.md 3.3).

use std::borrow::Cow;
use std::ops::ControlFlow;

use logql::ast::Extraction;

use super::json_text::{JsonKind, JsonTextError, JsonValue, each_member, element, first_value, unescape};
use super::names::{COLLISION_SUFFIX, clean_text, collides};
use super::{NeededLabels, Row, Stage, Verdict, errors};
use crate::QueryError;
use crate::labels::Category;

/// The stage, compiled.
#[derive(Debug)]
pub(crate) struct JsonExpression {
    extractions: Vec<(String, Vec<Step>)>,
    /// Whether the query reads no parsed label at all.
    skip: bool,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl JsonExpression {
    /// Errors: a path that is not `field`, `a.b`, `["key"]`, `[0]` or a chain of these.
    pub(crate) fn new(extractions: &[Extraction], needed: &NeededLabels) -> Result<Self, QueryError> {
        let compiled =
            extractions.iter().map(|extraction| Ok((extraction.name.clone(), parse_path(&extraction.expression)?))).collect::<Result<_, QueryError>>()?;
        Ok(Self { extractions: compiled, skip: needed.is_empty() })
    }
}

impl Stage for JsonExpression {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        if self.skip || row.line.is_empty() {
            return Verdict::Keep;
        }
        if !matches!(row.line.first(), Some(b'{' | b'[' | b'"')) {
            row.labels.set_error(errors::JSON_PARSER, "");
            return Verdict::Keep;
        }
        let line = std::mem::take(&mut row.line);
        for (name, path) in &self.extractions {
            match find(&line, path) {
                Ok(Some(value)) => {
                    let name = if collides(&row.labels, name) { Cow::Owned(format!("{name}{COLLISION_SUFFIX}")) } else { Cow::Borrowed(name) };
                    row.labels.set(Category::Parsed, &name, &text_of(value));
                }
                Ok(None) => {}
                Err(error) => row.labels.set_error(errors::JSON_PARSER, &error.to_string()),
            }
        }
        for (name, _) in &self.extractions {
            if row.labels.get(name).is_none() {
                row.labels.set(Category::Parsed, name, "");
            }
        }
        row.line = line;
        Verdict::Keep
    }

    fn reads_only_labels(&self) -> bool {
        false
    }
}

fn text_of(value: JsonValue<'_>) -> Cow<'_, str> {
    match value.kind {
        JsonKind::Null => Cow::Borrowed(""),
        JsonKind::Object => clean_text(value.text),
        JsonKind::String | JsonKind::Number | JsonKind::Boolean | JsonKind::Array => match unescape(value.text) {
            Some(Cow::Borrowed(text)) => clean_text(text),
            Some(Cow::Owned(text)) => Cow::Owned(clean_text(&text).into_owned()),
            None => Cow::Borrowed(""),
        },
    }
}

/// The value at `path`. Errors: the value itself has no end. A line that is malformed elsewhere has no value there.
fn find<'a>(text: &'a [u8], path: &[Step]) -> Result<Option<JsonValue<'a>>, JsonTextError> {
    let Some((step, rest)) = path.split_first() else { return first_value(text).map(Some) };
    let found = match step {
        Step::Index(index) => element(text, *index).unwrap_or(None),
        Step::Key(wanted) => {
            match each_member(text, &mut |key, value| Ok(if *key == *wanted.as_bytes() { ControlFlow::Break(value) } else { ControlFlow::Continue(()) })) {
                Ok(ControlFlow::Break(value)) => Some(value?),
                Ok(ControlFlow::Continue(())) | Err(_) => None,
            }
        }
    };
    match found {
        Some(value) if rest.is_empty() => Ok(Some(value)),
        Some(value) => find(value.text, rest),
        None => Ok(None),
    }
}

fn parse_path(expression: &str) -> Result<Vec<Step>, QueryError> {
    let invalid = |why: &str| QueryError::Invalid { message: format!("parse error : invalid json parser: cannot parse expression [{expression}]: {why}") };
    let mut path = Vec::new();
    let mut rest = expression.trim_matches([' ', '\t', '\n']);
    while !rest.is_empty() {
        rest = rest.trim_start_matches([' ', '\t', '\n']);
        if let Some(inner) = rest.strip_prefix('[') {
            let inner = inner.trim_start_matches([' ', '\t', '\n']);
            if let Some(quoted) = inner.strip_prefix('"') {
                let (key, after) = quoted.split_once('"').ok_or_else(|| invalid("a key in brackets has no closing quote"))?;
                path.push(Step::Key(key.to_owned()));
                rest = after;
            } else {
                let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
                let (number, after) = inner.split_at_checked(digits).unwrap_or((inner, ""));
                if after.starts_with('.') {
                    return Err(invalid("cannot use float as array index"));
                }
                path.push(Step::Index(number.parse().map_err(|_| invalid("brackets hold a quoted key or an index"))?));
                rest = after;
            }
            rest = rest.trim_start_matches([' ', '\t', '\n']).strip_prefix(']').ok_or_else(|| invalid("a bracket is not closed"))?;
            continue;
        }
        if !path.is_empty() {
            rest = rest.strip_prefix('.').ok_or_else(|| invalid("steps are joined by a dot"))?.trim_start_matches([' ', '\t', '\n']);
        }
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let (field, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        if field.is_empty() || field.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(invalid("a field name is missing"));
        }
        path.push(Step::Key(field.to_owned()));
        rest = after;
    }
    if path.is_empty() {
        return Err(invalid("it is empty"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    fn json(extractions: &[(&str, &str)], line: &str) -> String {
        let extractions: Vec<Extraction> =
            extractions.iter().map(|&(name, expression)| Extraction { name: name.into(), expression: expression.into() }).collect();
        run(&JsonExpression::new(&extractions, &NeededLabels::All).unwrap(), r#"{app="x"}"#, line)
    }

    #[test]
    fn paths_reach_into_objects_and_arrays() {
        let line = r#"{"status":200,"user":{"geo":{"country":"DE"},"n":null},"tags":["a\n","b"],"trace-id":"t","deep":[{"a":[1,2]}],"app":"in"}"#;
        assert_eq!(
            json(
                &[
                    ("st", "status"),
                    ("c", "user.geo.country"),
                    ("t", "tags[0]"),
                    ("tags", "tags"),
                    ("tid", r#"["trace-id"]"#),
                    ("d", "deep[0].a[1]"),
                    ("u", "user"),
                    ("app", "app"),
                    ("none", "no.such"),
                    ("nul", "user.n")
                ],
                line
            ),
            "app=x app_extracted=in c=DE d=2 none= nul= st=200 t=a\n tags=[\"a\n\",\"b\"] tid=t u={\"geo\":{\"country\":\"DE\"},\"n\":null}"
        );
    }

    #[test]
    fn a_line_that_does_not_start_like_json_is_an_error_without_details() {
        assert_eq!(json(&[("a", "a")], "plain"), "__error__=JSONParserErr app=x");
        assert_eq!(json(&[("a", "a")], " {\"a\":1}"), "__error__=JSONParserErr app=x");
        assert_eq!(json(&[("a", "a")], ""), "app=x");
    }

    #[test]
    fn a_malformed_line_matters_only_where_the_value_is() {
        assert_eq!(json(&[("a", "a")], r#"{"a":1,"b":"open"#), "a=1 app=x");
        assert_eq!(
            json(&[("b", "b")], r#"{"a":1,"b":"open"#),
            r#"__error__=JSONParserErr __error_details__=Value is string, but can't find closing '"' symbol app=x b="#
        );
        assert_eq!(json(&[("c", "c")], r#"{"a":1,"b":"open"#), "app=x c=");
    }

    #[test]
    fn bad_paths_are_refused() {
        for expression in ["", "a..b", ".a", "a.", "[", "[1", "[1.5]", "[\"a]", "a[b]", "1a", "a-b", "a b"] {
            assert!(parse_path(expression).is_err(), "{expression}");
        }
        assert_eq!(parse_path(r#" a [0] ["x y"].b "#).unwrap(), [Step::Key("a".into()), Step::Index(0), Step::Key("x y".into()), Step::Key("b".into())]);
    }
}
