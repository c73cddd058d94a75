//! `json`, `json name="path"` and `unpack`: the input is the line.

use std::collections::BTreeMap;
use std::fmt;

use logql::ast::{Extraction, Stage};
use query_fn::pipeline::NeededLabels;
use serde_json::Value;
use serde_json::de::Deserializer;

use super::{Outcome, base, check_needed, cleaned, compile, run, text};

/// Any line has an outcome; of a line that serde_json reads as an object, every scalar has its label and every place its path.
pub fn run_json(data: &[u8]) {
    let bare = Stage::Json { extractions: Vec::new() };
    let Some(stage) = compile(&bare, &NeededLabels::All) else { panic!("json compiles") };
    let outcome = run(&[stage], &base(), data);
    assert_eq!(outcome.line, data, "json leaves the line alone");
    let Some(unpack) = compile(&Stage::Unpack, &NeededLabels::All) else { panic!("unpack compiles") };
    run(&[unpack], &base(), data);
    let broken_path = run_expression(&[("e", "a.b[0]")], data);
    assert!(broken_path.get("e").is_some() || data.is_empty() || broken_path.has_error());
    let Some(Ok(Document::Object(members))) = text(data).map(document) else { return };
    if depth(&members) > 60 {
        return;
    }
    let mut expected = BTreeMap::new();
    scalars(&members, "", &mut expected);
    // A member may have that very name.
    assert!(expected.contains_key("__error__") || !outcome.has_error(), "{:?}", outcome.labels);
    let found = outcome.labels.iter().filter(|(_, name, _)| !matches!(name.as_str(), "app" | "env" | "trace_id")).count();
    assert_eq!(found, expected.len(), "{:?} and {expected:?}", outcome.labels);
    for (name, value) in &expected {
        let label = outcome.get(name).unwrap_or_else(|| panic!("no label {name}"));
        assert!(same(label, value), "{name} is {label:?}, not {value:?}");
    }
    check_needed(&bare, data, &outcome);
    if data.first() == Some(&b'{') {
        paths(&members, &mut String::new(), data, &mut 32);
    }
}

fn run_expression(extractions: &[(&str, &str)], line: &[u8]) -> Outcome {
    let extractions = extractions.iter().map(|(name, path)| Extraction { name: (*name).to_owned(), expression: (*path).to_owned() }).collect();
    let Some(stage) = compile(&Stage::Json { extractions }, &NeededLabels::All) else { panic!("these paths compile") };
    run(&[stage], &base(), line)
}

/// A document with its members in order, also those that occur twice.
enum Document {
    Scalar(Value),
    Null,
    Array(Vec<Document>),
    Object(Vec<(String, Document)>),
}

struct DocumentVisitor;

impl<'de> serde::de::Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Document, E> {
        Ok(Document::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Document, E> {
        Ok(Document::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Document, E> {
        Ok(Document::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Document, E> {
        Ok(Document::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Document, E> {
        Ok(Document::Scalar(value.into()))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element()? {
            out.push(item);
        }
        Ok(Document::Array(out))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Document, A::Error> {
        let mut out = Vec::new();
        while let Some(member) = members.next_entry()? {
            out.push(member);
        }
        Ok(Document::Object(out))
    }
}

impl<'de> serde::Deserialize<'de> for Document {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

fn document(text: &str) -> serde_json::Result<Document> {
    let mut deserializer = Deserializer::from_str(text);
    let document = serde::Deserialize::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(document)
}

fn depth(members: &[(String, Document)]) -> usize {
    members.iter().map(|(_, value)| if let Document::Object(inner) = value { 1 + depth(inner) } else { 1 }).max().unwrap_or(0)
}

/// The labels that spec/logql.md 3.2 asks for: names joined by `_`, the first value of a name, stream labels left alone.
fn scalars<'a>(members: &'a [(String, Document)], prefix: &str, out: &mut BTreeMap<String, &'a Value>) {
    for (key, value) in members {
        let mut name = prefix.to_owned();
        let key = key.trim();
        if !key.is_empty() {
            let first = if prefix.is_empty() { "" } else { "_" };
            let digit = if prefix.is_empty() && key.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
            name.push_str(first);
            name.push_str(digit);
            name.extend(key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
        }
        match value {
            Document::Object(inner) => scalars(inner, &name, out),
            Document::Scalar(value) if !name.is_empty() => {
                if matches!(name.as_str(), "app" | "env" | "trace_id") {
                    name.push_str("_extracted");
                }
                out.entry(name).or_insert(value);
            }
            Document::Scalar(_) | Document::Null | Document::Array(_) => {}
        }
    }
}

/// Whether a label's text is this scalar; numbers are as written, so they are compared by what they are.
fn same(label: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => label == cleaned(text),
        Value::Bool(value) => label == value.to_string(),
        number => serde_json::from_str::<Value>(label).ok().as_ref() == Some(number),
    }
}

/// Walks the document and looks every place up by its path; `left` bounds how many.
fn paths(members: &[(String, Document)], prefix: &mut String, line: &[u8], left: &mut usize) {
    let mut seen: Vec<&str> = Vec::new();
    for (key, value) in members {
        // Only the first of several members can be reached, and a path has no escapes.
        if key.contains('"') || seen.contains(&key.as_str()) || *left == 0 {
            continue;
        }
        seen.push(key);
        let length = prefix.len();
        prefix.push_str(&format!("[\"{key}\"]"));
        place(value, prefix, line, left);
        prefix.truncate(length);
    }
}

fn place(value: &Document, prefix: &mut String, line: &[u8], left: &mut usize) {
    let Some(less) = left.checked_sub(1) else { return };
    *left = less;
    let outcome = run_expression(&[("e", prefix)], line);
    let label = outcome.get("e").unwrap_or_else(|| panic!("nothing at {prefix}: {:?}", outcome.labels));
    match value {
        Document::Scalar(value) => assert!(same(label, value), "{prefix} is {label:?}, not {value:?}"),
        Document::Null => assert_eq!(label, "", "{prefix}"),
        Document::Object(members) => {
            assert!(label.starts_with('{') && label.ends_with('}'), "{prefix} is {label:?}");
            paths(members, prefix, line, left);
        }
        Document::Array(items) => {
            for (index, item) in items.iter().enumerate().take(4) {
                let length = prefix.len();
                prefix.push_str(&format!("[{index}]"));
                place(item, prefix, line, left);
                prefix.truncate(length);
            }
        }
    }
}
