//! Lines of text or JSON, one entry each, all of one stream: what `curl --data-binary @file` sends.
//! The time of an entry is that in its line, else now. Lines stay as they are, unless a member is named that holds the message: then that is the line
//! and the other members are structured metadata, objects taken apart as in OTLP (`{a: {b: 1}}` is `a_b`).
//! Must not know: HTTP.

use schema::Timestamp;
use serde_json::{Map, Value};

use crate::aws::json_time;
use crate::error::PushError;
use crate::metadata::Pairs;
use crate::rows::RowWriter;
use crate::time;

/// The parameters of a push of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineOptions {
    /// Labels of the stream, `{app="x"}`.
    labels: Option<String>,
    /// The member of a JSON line that holds its time; without one, those that usually do are looked for.
    time_field: Option<String>,
    /// The member of a JSON line that holds the message.
    line_field: Option<String>,
}

impl LineOptions {
    /// Reads the part of a URL behind the `?`. Errors: a parameter that is not known or comes twice, an escape that is none.
    pub fn parse(query: &str) -> Result<Self, PushError> {
        let mut options = Self::default();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = unescape(name)?;
            let slot = match &*name {
                "labels" | "stream" => &mut options.labels,
                "time_field" => &mut options.time_field,
                "line_field" => &mut options.line_field,
                _ => return Err(PushError::Parameter { name, problem: "is not known; there are labels (or stream), time_field and line_field" }),
            };
            if slot.is_some() {
                return Err(PushError::Parameter { name, problem: "is given twice" });
            }
            *slot = Some(unescape(value)?);
        }
        Ok(options)
    }
}

/// Reads a whole body. Lines without a time get `now`, each a nanosecond later than the one before, so that equal lines stay apart.
pub(crate) fn decode(body: &[u8], options: &LineOptions, now: Timestamp, rows: &mut RowWriter<'_>) -> Result<(), PushError> {
    let labels = options.labels.as_deref().unwrap_or("").trim();
    let stream =
        if labels.starts_with('{') { rows.streams().by_text(labels.as_bytes())? } else { rows.streams().by_text(format!("{{{labels}}}").as_bytes())? };
    rows.begin_stream(stream);
    let mut now = now.as_nanos();
    let mut any = false;
    for (line, number) in body.split(|byte| *byte == b'\n').zip(1_u64..) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        any = true;
        let entry = read(line, options).map_err(|detail| PushError::Line { number, detail })?;
        let timestamp = entry.time.unwrap_or(now);
        if entry.time.is_none() {
            now = now.saturating_add(1);
        }
        let text = entry.message.as_deref().map_or(line, str::as_bytes);
        let bytes = entry.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        let iter = entry.metadata.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        rows.entry(timestamp, text, Pairs { iter, count: entry.metadata.len(), bytes })?;
    }
    rows.end_stream();
    if any { Ok(()) } else { Err(PushError::NoLines) }
}

#[derive(Default)]
struct Entry {
    time: Option<i64>,
    /// `None` where the line is the message.
    message: Option<String>,
    metadata: Vec<(String, String)>,
}

/// Errors: a text that says what is wrong with the line.
fn read(line: &[u8], options: &LineOptions) -> Result<Entry, String> {
    let is_object = line.trim_ascii().starts_with(b"{");
    if !is_object {
        return Ok(Entry { time: time::iso_prefix(line).map(|(nanos, _)| nanos), ..Entry::default() });
    }
    let usual_time = || json_time::of_line(line);
    if options.time_field.is_none() && options.line_field.is_none() {
        return Ok(Entry { time: usual_time(), ..Entry::default() });
    }
    // A line that only begins like JSON is text.
    let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(line) else { return Ok(Entry::default()) };
    let time = match &options.time_field {
        None => usual_time(),
        Some(name) => match members.get(name) {
            None | Some(Value::Null) => None,
            Some(value) => Some(time_of(value).ok_or_else(|| {
                format!(
                    "member {} is {value}, which is no time: RFC 3339, or a number of seconds, milliseconds, microseconds or nanoseconds since 1970",
                    schema::quote::quote(name)
                )
            })?),
        },
    };
    let Some(message) = options.line_field.as_ref().and_then(|name| members.remove(name)) else {
        return Ok(Entry { time, ..Entry::default() });
    };
    if let Some(name) = &options.time_field {
        members.remove(name);
    }
    let mut metadata = Vec::new();
    for (name, value) in members {
        flatten(name, value, &mut metadata);
    }
    Ok(Entry { time, message: Some(plain(message)), metadata })
}

fn time_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => time::text(text.as_bytes()),
        Value::Number(number) => number.as_i64().map_or_else(|| time::epoch_float(number.as_f64()?), time::epoch),
        _ => None,
    }
}

/// Strings as they are, everything else as JSON.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The depth is bounded by that of serde_json's reader.
fn flatten(name: String, value: Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (member, value) in members {
                flatten(format!("{name}_{member}"), value, out);
            }
        }
        other => out.push((name, plain(other))),
    }
}

/// Undoes the percent encoding of a form.
fn unescape(text: &str) -> Result<String, PushError> {
    let wrong =
        || PushError::Parameter { name: crate::reject::shorten(text), problem: "has a percent sign that is not followed by two hexadecimal digits of UTF-8" };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                out.push(digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(wrong)?);
                rest = rest.get(2..).unwrap_or_default();
            }
            other => out.push(*other),
        }
    }
    String::from_utf8(out).map_err(|_| wrong())
}

#[cfg(test)]
mod tests;
