//! `filter_path`: an answer with only the members that a client asked for, as Elasticsearch's common options describe it.
//! Paths with commas between, of names with dots between; `*` stands for any text in a name, `**` for any number of names; a path with a minus in front
//! takes away. Elements of a list have the path of the list. What has nothing left in it is left out.
//! Must not know: which answer it is.

use serde_json::{Map, Value};

/// More paths, and more names in a path, are not read.
const MAX_PARTS: usize = 16;
const ANY: &str = "**";

/// `body`, a JSON text, filtered by the `filter_path` of the query string `query`, if there is one.
pub(super) fn apply(body: String, query: &str) -> String {
    let Some(text) = parameter(query, "filter_path").filter(|text| !text.is_empty()) else { return body };
    let Ok(whole) = serde_json::from_str::<Value>(&body) else { return body };
    let paths: Vec<&str> = text.split(',').map(str::trim).filter(|path| !path.is_empty()).take(MAX_PARTS).collect();
    let names = |path: &str| path.split('.').take(MAX_PARTS).map(str::to_owned).collect::<Vec<_>>();
    let include: Vec<_> = paths.iter().filter(|path| !path.starts_with('-')).map(|path| names(path)).collect();
    let exclude: Vec<_> = paths.iter().filter_map(|path| path.strip_prefix('-')).map(names).collect();
    let filter = Filter { include, exclude };
    filter.apply(&whole, &mut Vec::new()).unwrap_or_else(|| Value::Object(Map::new())).to_string()
}

/// The value of `name` in a query string, the escapes undone that clients use in lists.
fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))?;
    let escapes = [("%2C", ","), ("%2c", ","), ("%2A", "*"), ("%2a", "*"), ("%20", " ")];
    Some(escapes.iter().fold(value.to_owned(), |text, (escape, plain)| text.replace(escape, plain)))
}

struct Filter {
    include: Vec<Vec<String>>,
    exclude: Vec<Vec<String>>,
}

impl Filter {
    fn apply<'v>(&self, value: &'v Value, path: &mut Vec<&'v str>) -> Option<Value> {
        match value {
            Value::Object(members) => {
                let mut kept = Map::new();
                for (name, member) in members {
                    path.push(name);
                    if let Some(member) = self.apply(member, path) {
                        kept.insert(name.clone(), member);
                    }
                    path.pop();
                }
                (!kept.is_empty()).then_some(Value::Object(kept))
            }
            Value::Array(elements) => {
                let kept: Vec<Value> = elements.iter().filter_map(|element| self.apply(element, path)).collect();
                (!kept.is_empty()).then_some(Value::Array(kept))
            }
            leaf => self.keeps(path).then(|| leaf.clone()),
        }
    }

    fn keeps(&self, path: &[&str]) -> bool {
        let named = |patterns: &[Vec<String>]| patterns.iter().any(|pattern| matches_start(pattern, path));
        (self.include.is_empty() || named(&self.include)) && !named(&self.exclude)
    }
}

/// Whether `pattern` names `path`, or something that it lies in.
fn matches_start(pattern: &[String], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, _) => true,
        (Some((name, rest)), _) if name == ANY => matches_start(rest, path) || path.split_first().is_some_and(|(_, below)| matches_start(pattern, below)),
        (Some((name, rest)), Some((first, below))) => matches_name(name, first) && matches_start(rest, below),
        (Some(_), None) => false,
    }
}

/// Whether `name` is `pattern`, in which `*` stands for any text.
fn matches_name(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    let mut parts = tail.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected answers follow the examples in Elasticsearch's documentation of response filtering.
    #[test]
    fn only_what_was_asked_for_is_left() {
        let body = r#"{"took":3,"errors":true,"items":[{"create":{"_index":"i","status":201}},{"create":{"error":{"type":"t","reason":"r"},"status":400}}]}"#;
        for (query, expected) in [
            (
                "filter_path=errors,items.*.error,items.*.status",
                r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"error":{"reason":"r","type":"t"},"status":400}}]}"#,
            ),
            ("pretty&filter_path=errors%2Citems.%2A.error", r#"{"errors":true,"items":[{"create":{"error":{"reason":"r","type":"t"}}}]}"#),
            ("filter_path=-items", r#"{"errors":true,"took":3}"#),
            ("filter_path=t*k,err*s", r#"{"errors":true,"took":3}"#),
            ("filter_path=**.type", r#"{"items":[{"create":{"error":{"type":"t"}}}]}"#),
            ("filter_path=nothing", "{}"),
            ("timeout=60s", body),
            ("filter_path=", body),
        ] {
            assert_eq!(apply(body.to_owned(), query), expected, "{query}");
        }
    }
}
