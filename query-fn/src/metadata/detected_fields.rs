//! Which fields lines have, guessed from a sample of entries: `detected_fields`, `detected_field/{name}/values`.
//! A line that is JSON has the fields of its members, else one that is logfmt to its end has the fields of its pairs;
//! structured metadata counts as fields, stream labels do not.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use logql::ast::{self, LogfmtFlags};
use serde_json::Value;

use crate::QueryError;
use crate::labels::{Category, ERROR_DETAILS_LABEL, ERROR_LABEL, LabelRef, LabelsView, RowLabels, encode_sorted};
use crate::pipeline::{self, NeededLabels, Row, Stage};
use crate::result::{CategorizedLabels, StreamResult};

const EXTRACTED_SUFFIX: &str = "_extracted";

/// What a field looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DetectedField {
    /// Its distinct values.
    pub(crate) values: BTreeSet<String>,
    /// Names of the parsers that found it; none for structured metadata.
    pub(crate) parsers: BTreeSet<&'static str>,
    /// Where JSON has it.
    pub(crate) json_path: Vec<String>,
}

/// The two parsers that are tried on every line.
struct Parsers {
    json: Arc<dyn Stage>,
    logfmt: Arc<dyn Stage>,
}

/// The fields of `streams`, by name. Where the query has parsers of its own (labels of category parsed), their labels are the
/// fields of an entry; `query_parsers` names those parsers.
pub(crate) fn detect(streams: &[StreamResult], query_parsers: &[&'static str]) -> Result<BTreeMap<String, DetectedField>, QueryError> {
    let json = ast::Stage::Json { extractions: Vec::new() };
    let logfmt = ast::Stage::Logfmt { flags: LogfmtFlags { strict: true, keep_empty: false }, extractions: Vec::new() };
    let parsers = Parsers { json: compile(&json)?, logfmt: compile(&logfmt)? };
    let mut fields = BTreeMap::new();
    for stream in streams {
        for (name, value) in &stream.labels.metadata {
            note(&mut fields, name, value);
        }
        for (name, value) in stream.labels.parsed.iter().filter(|(name, _)| !is_error(name)) {
            note(&mut fields, name, value).parsers.extend(query_parsers.iter().copied());
        }
        let base = base_labels(&stream.labels);
        let base = LabelsView::decode(&base)?;
        for entry in &stream.entries {
            detect_in_line(&mut fields, &parsers, &base, &entry.line, !stream.labels.parsed.is_empty());
        }
    }
    Ok(fields)
}

/// Parsers read no clock, so they are built for the epoch.
fn compile(stage: &ast::Stage) -> Result<Arc<dyn Stage>, QueryError> {
    pipeline::build(stage, &NeededLabels::All, 0)
}

/// Adds the fields of one line. `only_known`: fields come from the query's parsers, and the line only tells where they are in it.
fn detect_in_line(fields: &mut BTreeMap<String, DetectedField>, parsers: &Parsers, base: &LabelsView<'_>, line: &[u8], only_known: bool) {
    let (parser, pairs) = match parse(parsers.json.as_ref(), base, line) {
        Some(pairs) => ("json", pairs),
        None => match parse(parsers.logfmt.as_ref(), base, line) {
            Some(pairs) => ("logfmt", pairs),
            None => return,
        },
    };
    let mut paths = None;
    for (name, value) in pairs {
        if only_known && !fields.contains_key(&name) {
            continue;
        }
        let field = if only_known { fields.entry(name.clone()).or_default() } else { note(fields, &name, &value) };
        if !only_known {
            field.parsers.insert(parser);
        }
        if parser == "json" && field.json_path.is_empty() {
            let paths = paths.get_or_insert_with(|| json_paths(line));
            let plain = name.strip_suffix(EXTRACTED_SUFFIX).unwrap_or(&name);
            if let Some(path) = paths.get(name.as_str()).or_else(|| paths.get(plain)) {
                field.json_path.clone_from(path);
            }
        }
    }
}

/// The labels that `stage` makes of `line`; `None` where it fails or finds nothing.
fn parse(stage: &dyn Stage, base: &LabelsView<'_>, line: &[u8]) -> Option<Vec<(String, String)>> {
    let mut row = Row { timestamp: 0, line: Cow::Borrowed(line), labels: RowLabels::new(base) };
    stage.apply(&mut row);
    if row.labels.has_error() {
        return None;
    }
    let found: Vec<(String, String)> = row
        .labels
        .sorted()
        .into_iter()
        .filter(|label| label.category == Category::Parsed)
        .map(|label| (label.name.to_owned(), label.value.to_owned()))
        .collect();
    (!found.is_empty()).then_some(found)
}

fn note<'a>(fields: &'a mut BTreeMap<String, DetectedField>, name: &str, value: &str) -> &'a mut DetectedField {
    let field = fields.entry(name.to_owned()).or_default();
    super::insert(&mut field.values, value);
    field
}

fn is_error(name: &str) -> bool {
    name == ERROR_LABEL || name == ERROR_DETAILS_LABEL
}

/// What a parser sees of an entry before it runs.
fn base_labels(labels: &CategorizedLabels) -> Vec<u8> {
    let of = |category: Category, pairs: &'_ [(String, String)]| -> Vec<(Category, String, String)> {
        pairs.iter().map(|(name, value)| (category, name.clone(), value.clone())).collect()
    };
    let mut all = of(Category::Stream, &labels.stream);
    all.extend(of(Category::Metadata, &labels.metadata));
    all.sort_by(|(_, a, _), (_, b, _)| a.cmp(b));
    let mut out = Vec::new();
    encode_sorted(all.iter().map(|(category, name, value)| LabelRef { category: *category, name, value }), &mut out);
    out
}

/// The path of every member of a JSON object, by the label name that flattening gives it.
fn json_paths(line: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut out = BTreeMap::new();
    if let Ok(value) = serde_json::from_slice::<Value>(line) {
        walk(&value, &mut Vec::new(), &mut out);
    }
    out
}

fn walk(value: &Value, path: &mut Vec<String>, out: &mut BTreeMap<String, Vec<String>>) {
    let Value::Object(members) = value else {
        out.entry(flattened(path)).or_insert_with(|| path.clone());
        return;
    };
    for (name, member) in members {
        path.push(name.clone());
        walk(member, path, out);
        path.pop();
    }
}

/// The label name of a member: the parts joined with `_`, what a label name cannot hold replaced by `_`.
fn flattened(path: &[String]) -> String {
    let joined: String = path.join("_").chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if joined.starts_with(|c: char| c.is_ascii_digit()) { format!("_{joined}") } else { joined }
}

/// The type that all of `values` have: int, float, boolean, duration, bytes, or string. Numbers among durations or sizes count as such.
pub(crate) fn type_of(values: &BTreeSet<String>) -> &'static str {
    type Check = fn(&str) -> bool;
    let kinds: [(&'static str, Check); 5] = [("int", is_int), ("float", is_float), ("boolean", is_boolean), ("duration", is_duration), ("bytes", is_bytes)];
    kinds.into_iter().find(|(_, check)| values.iter().all(|value| check(value))).map_or("string", |(kind, _)| kind)
}

fn is_int(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

fn is_float(text: &str) -> bool {
    logql::number::parse_float(text).is_ok()
}

/// What Go's `strconv.ParseBool` reads.
fn is_boolean(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True" | "0" | "f" | "F" | "FALSE" | "false" | "False")
}

fn is_duration(text: &str) -> bool {
    logql::duration::parse_go(text).is_ok()
}

fn is_bytes(text: &str) -> bool {
    logql::bytes::parse_bytes(text).is_ok()
}

#[cfg(test)]
#[path = "detected_fields/tests.rs"]
mod tests;
