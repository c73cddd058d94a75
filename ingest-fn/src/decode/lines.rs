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

/// How much longer than its line and metadata a line of JSON may be: for escapes, numbers, `null`.
const MAX_OVERHEAD: usize = 8;

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

    /// Lines of the stream with these labels, `app="x"`.
    pub(crate) fn of_stream(labels: String) -> Self {
        Self { labels: Some(labels), ..Self::default() }
    }

    /// Whether lines of JSON are looked into.
    fn takes_apart(&self) -> bool {
        self.time_field.is_some() || self.line_field.is_some()
    }
}

/// Reads a whole body. Lines without a time get `now`, each a nanosecond later than the one before, so that equal lines stay apart.
pub(crate) fn decode(body: &[u8], options: &LineOptions, now: Timestamp, rows: &mut RowWriter<'_>) -> Result<(), PushError> {
    let labels = options.labels.as_deref().unwrap_or("").trim();
    let stream =
        if labels.starts_with('{') { rows.streams().by_text(labels.as_bytes())? } else { rows.streams().by_text(format!("{{{labels}}}").as_bytes())? };
    rows.begin_stream(stream);
    // The tree of a line that is taken apart is many times as large as its text. Longer ones than this could hardly be accepted.
    let longest = MAX_OVERHEAD.saturating_mul(rows.limits().max_line_size.saturating_add(rows.metadata_limits().1));
    let mut now = now.as_nanos();
    let mut any = false;
    for (line, number) in body.split(|byte| *byte == b'\n').zip(1_u64..) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        any = true;
        if options.takes_apart() && line.len() > longest {
            rows.refuse_long_line(line.len());
            continue;
        }
        let entry = read(line, options, rows.metadata_limits()).map_err(|detail| PushError::Line { number, detail })?;
        let timestamp = entry.time.unwrap_or(now);
        if entry.time.is_none() {
            now = now.saturating_add(1);
        }
        let text = entry.message.as_deref().map_or(line, str::as_bytes);
        let members = &entry.members;
        let iter = members.pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        rows.entry(timestamp, text, Pairs { iter, count: members.count, bytes: members.bytes })?;
    }
    rows.end_stream();
    if any { Ok(()) } else { Err(PushError::NoLines) }
}

#[derive(Default)]
struct Entry {
    time: Option<i64>,
    /// `None` where the line is the message.
    message: Option<String>,
    members: Members,
}

/// Errors: a text that says what is wrong with the line.
fn read(line: &[u8], options: &LineOptions, (max_pairs, max_bytes): (usize, usize)) -> Result<Entry, String> {
    let is_object = line.trim_ascii().starts_with(b"{");
    if !is_object {
        return Ok(Entry { time: time::iso_prefix(line).map(|(nanos, _)| nanos), ..Entry::default() });
    }
    let usual_time = || json_time::of_line(line);
    if !options.takes_apart() {
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
    let mut others = Members { max_pairs, max_bytes, ..Members::default() };
    for (name, value) in members {
        others.add(&name, value);
    }
    Ok(Entry { time, message: Some(plain(message)), members: others })
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

/// Structured metadata of a line. No more is kept than an entry may have and be accepted; the rest is counted.
#[derive(Debug, Default)]
struct Members {
    max_pairs: usize,
    max_bytes: usize,
    pairs: Vec<(String, String)>,
    count: usize,
    bytes: usize,
    /// The name of a value inside objects.
    path: String,
}

impl Members {
    /// The depth is bounded by that of serde_json's reader.
    fn add(&mut self, name: &str, value: Value) {
        let end_of_path = self.path.len();
        if end_of_path > 0 {
            self.path.push('_');
        }
        self.path.push_str(name);
        match value {
            Value::Null => {}
            Value::Object(members) => {
                for (member, value) in members {
                    self.add(&member, value);
                }
            }
            other => {
                let text = plain(other);
                self.count += 1;
                self.bytes += self.path.len() + text.len();
                if self.count <= self.max_pairs && self.bytes <= self.max_bytes {
                    self.pairs.push((self.path.clone(), text));
                }
            }
        }
        self.path.truncate(end_of_path);
    }
}

/// Undoes the percent encoding of a form.
pub(crate) fn unescape(text: &str) -> Result<String, PushError> {
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
