//! `| json`: every scalar member of the line's JSON object becomes a label (spec/logql.md 3.2).

use std::ops::ControlFlow;

use super::json_text::{JsonKind, JsonTextError, JsonValue, MAX_DEPTH, each_member, unescape};
use super::names::{COLLISION_SUFFIX, append_sanitized, clean_text, collides};
use super::{NeededLabels, Row, Stage, Verdict, errors};
use crate::labels::Category;

/// The stage, compiled.
#[derive(Debug)]
pub(crate) struct Json {
    needed: NeededLabels,
}

impl Json {
    pub(crate) fn new(needed: NeededLabels) -> Self {
        Self { needed }
    }
}

impl Stage for Json {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        if self.needed.is_empty() || self.needed.all_parsed(&row.labels) {
            return Verdict::Keep;
        }
        let line = std::mem::take(&mut row.line);
        let mut walk = Walk { needed: &self.needed, row, prefix: String::new() };
        let result = walk.object(&line, 0);
        row.line = line;
        if let Err(error) = result {
            row.labels.set_error(errors::JSON_PARSER, &error.to_string());
        }
        Verdict::Keep
    }

    fn reads_only_labels(&self) -> bool {
        false
    }
}

struct Walk<'w, 'r> {
    needed: &'w NeededLabels,
    row: &'w mut Row<'r>,
    /// Sanitised names of the enclosing objects, joined by `_`.
    prefix: String,
}

impl Walk<'_, '_> {
    fn object(&mut self, text: &[u8], depth: usize) -> Result<ControlFlow<()>, JsonTextError> {
        if depth > MAX_DEPTH {
            return Err(JsonTextError::Depth);
        }
        each_member(text, &mut |key, value| self.member(&key, value?, depth))
    }

    fn member(&mut self, key: &[u8], value: JsonValue<'_>, depth: usize) -> Result<ControlFlow<()>, JsonTextError> {
        let length = self.prefix.len();
        self.push_part(key);
        let flow = match value.kind {
            JsonKind::Object if self.needed.contains_prefix(&self.prefix) => self.object(value.text, depth + 1),
            JsonKind::String | JsonKind::Number | JsonKind::Boolean => {
                self.label(value);
                Ok(ControlFlow::Continue(()))
            }
            JsonKind::Object | JsonKind::Null | JsonKind::Array => Ok(ControlFlow::Continue(())),
        };
        self.prefix.truncate(length);
        match flow {
            Ok(ControlFlow::Continue(())) if self.needed.all_parsed(&self.row.labels) => Ok(ControlFlow::Break(())),
            other => other,
        }
    }

    fn push_part(&mut self, key: &[u8]) {
        let key = String::from_utf8_lossy(key);
        if key.trim().is_empty() {
            return;
        }
        if !self.prefix.is_empty() {
            self.prefix.push('_');
        }
        append_sanitized(&mut self.prefix, &key);
    }

    /// Sets the label named by the prefix; the first value of a name wins.
    fn label(&mut self, value: JsonValue<'_>) {
        if self.prefix.is_empty() {
            return;
        }
        if collides(&self.row.labels, &self.prefix) {
            self.prefix.push_str(COLLISION_SUFFIX);
        }
        if !self.needed.contains(&self.prefix) || self.row.labels.was_parsed(&self.prefix) {
            return;
        }
        match value.kind {
            JsonKind::String => {
                let text = unescape(value.text).unwrap_or_default();
                self.row.labels.set(Category::Parsed, &self.prefix, &clean_text(&text));
            }
            _ => self.row.labels.set(Category::Parsed, &self.prefix, &clean_text(value.text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{run, run_needed};
    use super::*;

    fn json(line: &str) -> String {
        run(&Json::new(NeededLabels::All), r#"{app="x"}"#, line)
    }

    #[test]
    fn scalars_become_labels() {
        assert_eq!(
            json(r#"{"level":"info","status":200,"ok":true,"n":null,"tags":["a"],"user":{"id":3,"geo":{"c":"DE"}},"trace-id":"t","1x":"y"}"#),
            r#"_1x=y app=x level=info ok=true status=200 trace_id=t user_geo_c=DE user_id=3"#
        );
    }

    #[test]
    fn first_value_wins_and_collisions_are_renamed() {
        assert_eq!(json(r#"{"a":1,"a":2,"app":"inner"}"#), "a=1 app=x app_extracted=inner");
    }

    #[test]
    fn text_is_unescaped_and_cleaned() {
        assert_eq!(json(r#"{"a":"x\ny\u00e7","b":"\q","c":"\ufffd"}"#), "a=x\nyç app=x b= c= ");
    }

    #[test]
    fn a_malformed_line_keeps_what_was_read() {
        assert_eq!(json(r#"{"a":1,"b":"x"#), r#"__error__=JSONParserErr __error_details__=Value is string, but can't find closing '"' symbol a=1 app=x"#);
        assert_eq!(json("plain"), "__error__=JSONParserErr __error_details__=Value looks like object, but can't find closing '}' symbol app=x");
    }

    #[test]
    fn only_what_is_needed_is_read_and_errors_behind_it_are_not_seen() {
        let needed = ["b"];
        assert_eq!(run_needed(Json::new, &needed, r#"{app="x"}"#, r#"{"a":1,"b":2,"c":"#), "app=x b=2");
        assert_eq!(run_needed(Json::new, &[], r#"{app="x"}"#, "plain"), "app=x");
    }

    #[test]
    fn depth_is_bounded() {
        let line = r#"{"a":"#.repeat(100_000);
        assert!(json(&line).contains("JSONParserErr"));
        let closed = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        assert!(json(&closed).contains("nested deeper than 64"));
    }
}
