//! The bodies of `query` and `query_range`.

use std::collections::BTreeMap;

use schema::quote::quote_into;

use super::json::{Escape, comma, format_value, write_bytes, write_seconds, write_string, write_string_array, write_string_map};
use super::stats::write_stats;
use crate::engine::Direction;
use crate::result::{CategorizedLabels, Entry, QueryResult, QueryStatistics, Series, StreamResult};

/// How the labels of log entries are written (spec/logql.md section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelEncoding {
    /// All labels of an entry in its stream object.
    Merged,
    /// The stream's own labels in the stream object, the others beside each line.
    Categorized,
}

/// What an answer's body is made of.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) result: &'a QueryResult,
    pub(crate) statistics: &'a QueryStatistics,
    pub(crate) warnings: &'a [String],
    pub(crate) encoding: LabelEncoding,
    /// The order of entries.
    pub(crate) direction: Direction,
}

/// The whole body, ending with a newline.
pub(crate) fn write_answer(answer: &Answer<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(estimate(answer.result));
    out.extend_from_slice(br#"{"status":"success","#);
    if !answer.warnings.is_empty() {
        out.extend_from_slice(br#""warnings":"#);
        write_string_array(&mut out, answer.warnings.iter().map(String::as_str));
        out.push(b',');
    }
    out.extend_from_slice(br#""data":{"resultType":"#);
    write_string(&mut out, type_name(answer.result), Escape::Json);
    if answer.encoding == LabelEncoding::Categorized {
        out.extend_from_slice(br#","encodingFlags":["categorize-labels"]"#);
    }
    out.extend_from_slice(br#","result":"#);
    match answer.result {
        QueryResult::Streams(streams) => write_streams(&mut out, streams, answer.encoding, answer.direction),
        QueryResult::Matrix(series) => write_matrix(&mut out, series),
        QueryResult::Vector(series) => write_vector(&mut out, series),
        // Loki writes the time of a scalar in milliseconds, unlike that of every other sample.
        QueryResult::Scalar(millis, value) => write_sample(&mut out, millis.saturating_mul(1000), *value),
    }
    out.extend_from_slice(br#","stats":"#);
    write_stats(&mut out, answer.statistics);
    out.extend_from_slice(b"}}\n");
    out
}

const fn type_name(result: &QueryResult) -> &'static str {
    match result {
        QueryResult::Streams(_) => "streams",
        QueryResult::Matrix(_) => "matrix",
        QueryResult::Vector(_) => "vector",
        QueryResult::Scalar(..) => "scalar",
    }
}

/// Room for most bodies, so that they are not copied while they grow.
fn estimate(result: &QueryResult) -> usize {
    const FIXED: usize = 4096;
    const PER_ENTRY: usize = 48;
    const PER_SERIES: usize = 256;
    FIXED
        + match result {
            QueryResult::Streams(streams) => {
                streams.iter().map(|stream| PER_SERIES + stream.entries.iter().map(|entry| PER_ENTRY + entry.line.len()).sum::<usize>()).sum()
            }
            QueryResult::Matrix(series) | QueryResult::Vector(series) => series.iter().map(|one| PER_SERIES + PER_ENTRY * one.samples.len()).sum(),
            QueryResult::Scalar(..) => 0,
        }
}

/// One stream object of the answer: the labels it shows, and its entries with the labels that each shows beside its line.
pub(super) struct StreamGroup<'a> {
    pub(super) labels: Vec<(&'a str, &'a str)>,
    pub(super) entries: Vec<(&'a Entry, &'a CategorizedLabels)>,
    sources: usize,
}

/// Entries under the labels that `encoding` shows, by label text. Streams that differ only in labels that are not shown, or
/// only in where a label came from, become one, its entries in `direction`.
pub(super) fn group(streams: &[StreamResult], encoding: LabelEncoding, direction: Direction) -> BTreeMap<String, StreamGroup<'_>> {
    let mut groups: BTreeMap<String, StreamGroup<'_>> = BTreeMap::new();
    for stream in streams {
        let labels = match encoding {
            LabelEncoding::Merged => stream.labels.merged(),
            LabelEncoding::Categorized => stream.labels.stream.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        };
        let target = groups.entry(label_text(&labels)).or_insert_with(|| StreamGroup { labels, entries: Vec::new(), sources: 0 });
        target.entries.extend(stream.entries.iter().map(|entry| (entry, &stream.labels)));
        target.sources += 1;
    }
    for merged in groups.values_mut().filter(|merged| merged.sources > 1) {
        match direction {
            Direction::Forward => merged.entries.sort_by_key(|(entry, _)| entry.timestamp),
            Direction::Backward => merged.entries.sort_by_key(|(entry, _)| std::cmp::Reverse(entry.timestamp)),
        }
    }
    groups
}

/// `{a="b", c="d"}`: what Loki sorts streams by.
pub(super) fn label_text(labels: &[(&str, &str)]) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        out.push_str(name);
        out.push('=');
        quote_into(&mut out, value);
    }
    out.push('}');
    out
}

pub(super) fn write_streams(out: &mut Vec<u8>, streams: &[StreamResult], encoding: LabelEncoding, direction: Direction) {
    out.push(b'[');
    for (i, stream) in group(streams, encoding, direction).into_values().enumerate() {
        comma(out, i);
        out.extend_from_slice(br#"{"stream":"#);
        write_string_map(out, stream.labels);
        out.extend_from_slice(br#","values":["#);
        for (j, (entry, labels)) in stream.entries.into_iter().enumerate() {
            comma(out, j);
            write_entry(out, entry);
            if encoding == LabelEncoding::Categorized {
                out.push(b',');
                write_categories(out, labels);
            }
            out.push(b']');
        }
        out.extend_from_slice(b"]}");
    }
    out.push(b']');
}

/// `["1700000000000000000","line"` without the closing bracket.
fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    out.extend_from_slice(b"[\"");
    out.extend_from_slice(entry.timestamp.to_string().as_bytes());
    out.extend_from_slice(b"\",");
    write_bytes(out, &entry.line, Escape::Html);
}

fn write_categories(out: &mut Vec<u8>, labels: &CategorizedLabels) {
    out.push(b'{');
    let categories = [("structuredMetadata", &labels.metadata), ("parsed", &labels.parsed)];
    for (i, (name, pairs)) in categories.into_iter().filter(|(_, pairs)| !pairs.is_empty()).enumerate() {
        comma(out, i);
        write_string(out, name, Escape::Json);
        out.push(b':');
        write_string_map(out, pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }
    out.push(b'}');
}

fn write_matrix(out: &mut Vec<u8>, series: &[Series]) {
    out.push(b'[');
    for (i, one) in series.iter().enumerate() {
        comma(out, i);
        write_metric(out, one);
        out.extend_from_slice(br#","values":["#);
        for (j, (millis, value)) in one.samples.iter().enumerate() {
            comma(out, j);
            write_sample(out, *millis, *value);
        }
        out.extend_from_slice(b"]}");
    }
    out.push(b']');
}

fn write_vector(out: &mut Vec<u8>, series: &[Series]) {
    out.push(b'[');
    let samples = series.iter().flat_map(|one| one.samples.first().map(|sample| (one, sample)));
    for (i, (one, (millis, value))) in samples.enumerate() {
        comma(out, i);
        write_metric(out, one);
        out.extend_from_slice(br#","value":"#);
        write_sample(out, *millis, *value);
        out.push(b'}');
    }
    out.push(b']');
}

/// `{"metric":{...}` without the closing brace.
fn write_metric(out: &mut Vec<u8>, series: &Series) {
    out.extend_from_slice(br#"{"metric":"#);
    write_string_map(out, series.labels.iter());
}

/// `[1793494799.999,"42"]`
pub(super) fn write_sample(out: &mut Vec<u8>, millis: i64, value: f64) {
    out.push(b'[');
    write_seconds(out, millis);
    out.extend_from_slice(b",\"");
    out.extend_from_slice(format_value(value).as_bytes());
    out.extend_from_slice(b"\"]");
}

#[cfg(test)]
#[path = "query/tests.rs"]
mod tests;
