//! Functions from text to text, and tests on text.

use base64::Engine as _;

use super::regexes::regex_of;
use super::{Args, MAX_TEXT_BYTES, Outcome, text, too_long};
use crate::template::value::Value;

pub(super) fn text_function(name: &str, values: &[Value]) -> Outcome {
    let args = Args { name, values };
    let run = || -> Result<Option<Value>, String> {
        let one = |f: &dyn Fn(&str) -> String| {
            args.count(1)?;
            Ok(Some(Value::Text(f(args.text(0)?))))
        };
        let two = |f: &dyn Fn(&str, &str) -> Value| {
            args.count(2)?;
            Ok(Some(f(args.text(0)?, args.text(1)?)))
        };
        match name {
            "ToLower" | "lower" => one(&|s| s.to_lowercase()),
            "ToUpper" | "upper" => one(&|s| s.to_uppercase()),
            "TrimSpace" | "trim" => one(&|s| s.trim().to_owned()),
            "title" => one(&title),
            "b64enc" => one(&|s| base64::engine::general_purpose::STANDARD.encode(s)),
            "b64dec" => one(&base64_decode),
            "urlencode" | "urlquery" => one(&query_escape),
            "html" => one(&html_escape),
            "js" => one(&js_escape),
            "Trim" => two(&|s, cut| Value::Text(s.trim_matches(one_of(cut)).to_owned())),
            "TrimLeft" => two(&|s, cut| Value::Text(s.trim_start_matches(one_of(cut)).to_owned())),
            "TrimRight" => two(&|s, cut| Value::Text(s.trim_end_matches(one_of(cut)).to_owned())),
            "TrimPrefix" => two(&|s, prefix| Value::Text(s.strip_prefix(prefix).unwrap_or(s).to_owned())),
            "TrimSuffix" => two(&|s, suffix| Value::Text(s.strip_suffix(suffix).unwrap_or(s).to_owned())),
            "trimAll" => two(&|cut, s| Value::Text(s.trim_matches(one_of(cut)).to_owned())),
            "trimPrefix" => two(&|prefix, s| Value::Text(s.strip_prefix(prefix).unwrap_or(s).to_owned())),
            "trimSuffix" => two(&|suffix, s| Value::Text(s.strip_suffix(suffix).unwrap_or(s).to_owned())),
            "contains" => two(&|part, s| Value::Bool(s.contains(part))),
            "hasPrefix" => two(&|prefix, s| Value::Bool(s.starts_with(prefix))),
            "hasSuffix" => two(&|suffix, s| Value::Bool(s.ends_with(suffix))),
            _ => Ok(None),
        }
    };
    run().transpose()
}

pub(super) fn transform_function(name: &str, values: &[Value]) -> Outcome {
    let args = Args { name, values };
    let run = || -> Result<Value, String> {
        match name {
            "Replace" => {
                args.count(4)?;
                let (s, old, new, most) = (args.text(0)?, args.text(1)?, args.text(2)?, args.int(3)?);
                bounded_replace(s, old, new, usize::try_from(most).unwrap_or(usize::MAX))
            }
            "replace" => {
                args.count(3)?;
                bounded_replace(args.text(2)?, args.text(0)?, args.text(1)?, usize::MAX)
            }
            "repeat" => {
                args.count(2)?;
                let (times, s) = (args.int(0)?, args.text(1)?);
                let times = usize::try_from(times).map_err(|_| "strings: negative Repeat count".to_owned())?;
                if s.len().saturating_mul(times) > MAX_TEXT_BYTES {
                    return Err(too_long(name));
                }
                text(s.repeat(times))
            }
            "indent" | "nindent" => {
                args.count(2)?;
                let (spaces, s) = (args.int(0)?, args.text(1)?);
                let spaces = usize::try_from(spaces).map_err(|_| "strings: negative Repeat count".to_owned())?;
                if s.split('\n').count().saturating_mul(spaces).saturating_add(s.len()) > MAX_TEXT_BYTES {
                    return Err(too_long(name));
                }
                let pad = " ".repeat(spaces);
                let indented = format!("{pad}{}", s.replace('\n', &format!("\n{pad}")));
                text(if name == "indent" { indented } else { format!("\n{indented}") })
            }
            "trunc" => {
                args.count(2)?;
                text(truncate(args.int(0)?, args.text(1)?))
            }
            "substr" => {
                args.count(3)?;
                text(substring(args.int(0)?, args.int(1)?, args.text(2)?))
            }
            "alignLeft" | "alignRight" => {
                args.count(2)?;
                text(align(args.int(0)?, args.text(1)?, name == "alignRight")?)
            }
            "regexReplaceAll" | "regexReplaceAllLiteral" => {
                args.count(3)?;
                let (regex, s, with) = (regex_of(args.text(0)?)?, args.text(1)?, args.text(2)?);
                let literal = name == "regexReplaceAllLiteral";
                let mut out = String::new();
                let mut last = 0;
                for found in regex.captures_iter(s) {
                    let Some(whole) = found.get(0) else { continue };
                    out.push_str(s.get(last..whole.start()).unwrap_or(""));
                    if literal {
                        out.push_str(with);
                    } else {
                        expand(&found, with, MAX_TEXT_BYTES, &mut out);
                    }
                    last = whole.end();
                    if out.len() > MAX_TEXT_BYTES {
                        return Err(too_long(name));
                    }
                }
                out.push_str(s.get(last..).unwrap_or(""));
                text(out)
            }
            "count" => {
                args.count(2)?;
                let found = regex_of(args.text(0)?)?.find_iter(args.text(1)?).count();
                Ok(Value::Int(i64::try_from(found).unwrap_or(i64::MAX)))
            }
            "urldecode" => {
                args.count(1)?;
                query_unescape(args.text(0)?).and_then(text)
            }
            "default" => {
                let given = args.any(values.len().saturating_sub(1).max(1))?;
                Ok(if given.truth() { given.clone() } else { args.any(0)?.clone() })
            }
            "fromJson" => {
                args.count(1)?;
                Ok(serde_json::from_str(args.text(0)?).map_or(Value::Nil, Value::from_json))
            }
            _ => Err(String::new()),
        }
    };
    const HANDLED: [&str; 16] = [
        "Replace",
        "replace",
        "repeat",
        "indent",
        "nindent",
        "trunc",
        "substr",
        "alignLeft",
        "alignRight",
        "regexReplaceAll",
        "regexReplaceAllLiteral",
        "count",
        "urldecode",
        "default",
        "fromJson",
        "",
    ];
    (HANDLED.contains(&name) && !name.is_empty()).then(run)
}

/// Go's template expansion of a match: `$1`, `${name}`, `$$`; a name takes as many word characters as it can.
/// Stops soon after `out` is longer than `most` bytes.
pub(crate) fn expand(found: &regex::Captures<'_>, template: &str, most: usize, out: &mut String) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        if out.len() > most {
            return;
        }
        out.push_str(before);
        let (name, behind) = if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        } else if let Some((name, behind)) = after.strip_prefix('{').and_then(|braced| braced.split_once('}')) {
            (name, behind)
        } else {
            after.split_at_checked(after.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(after.len())).unwrap_or((after, ""))
        };
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            out.push('$');
            rest = after;
            continue;
        }
        let group = if name.bytes().all(|b| b.is_ascii_digit()) { name.parse().ok().and_then(|index| found.get(index)) } else { found.name(name) };
        out.push_str(group.map_or("", |group| group.as_str()));
        rest = behind;
    }
    out.push_str(rest);
}

/// Whether a character is one of `cut`; fast also where that is long.
fn one_of(cut: &str) -> impl Fn(char) -> bool {
    let mut chars: Vec<char> = cut.chars().collect();
    chars.sort_unstable();
    chars.dedup();
    move |c| chars.binary_search(&c).is_ok()
}

fn bounded_replace(s: &str, old: &str, new: &str, most: usize) -> Result<Value, String> {
    let hits = if old.is_empty() { s.chars().count() + 1 } else { s.matches(old).count() };
    if hits.min(most).saturating_mul(new.len()).saturating_add(s.len()) > MAX_TEXT_BYTES {
        return Err(format!("the result of a replacement is longer than {MAX_TEXT_BYTES} bytes"));
    }
    text(s.replacen(old, new, most))
}

fn title(s: &str) -> String {
    let mut previous = ' ';
    s.chars()
        .flat_map(|c| {
            let starts = !(previous.is_alphanumeric() || previous == '_' || previous == '\'');
            previous = c;
            if starts { c.to_uppercase().collect::<Vec<_>>() } else { vec![c] }
        })
        .collect()
}

/// sprig's `trunc`: the first `count` bytes, or the last where it is negative.
fn truncate(count: i64, s: &str) -> String {
    let bytes = s.as_bytes();
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let kept = match (count < 0, bytes.len().checked_sub(wanted)) {
        (true, Some(from)) if from > 0 => bytes.get(from..),
        (false, Some(_)) => bytes.get(..wanted),
        _ => Some(bytes),
    };
    String::from_utf8_lossy(kept.unwrap_or(bytes)).into_owned()
}

/// sprig's `substr start end s`, in bytes.
fn substring(start: i64, end: i64, s: &str) -> String {
    let bytes = s.as_bytes();
    let at = |index: i64| usize::try_from(index).unwrap_or(0).min(bytes.len());
    let part = if start < 0 {
        bytes.get(..at(end))
    } else if end < 0 || at(end) == bytes.len() {
        bytes.get(at(start)..)
    } else {
        bytes.get(at(start)..at(end))
    };
    String::from_utf8_lossy(part.unwrap_or(&[])).into_owned()
}

fn align(count: i64, s: &str, right: bool) -> Result<String, String> {
    let Ok(count) = usize::try_from(count) else { return Ok(s.to_owned()) };
    if count > MAX_TEXT_BYTES {
        return Err(format!("the result of an alignment is longer than {MAX_TEXT_BYTES} bytes"));
    }
    let length = s.chars().count();
    Ok(match (count.checked_sub(length), right) {
        (Some(missing), true) => format!("{}{s}", " ".repeat(missing)),
        (Some(missing), false) => format!("{s}{}", " ".repeat(missing)),
        (None, true) => s.chars().skip(length - count).collect(),
        (None, false) => s.chars().take(count).collect(),
    })
}

/// Padding is repaired; what is no base64 yields the error's text.
fn base64_decode(s: &str) -> String {
    let padded = match s.len() % 4 {
        2 => format!("{s}=="),
        3 => format!("{s}="),
        _ => s.to_owned(),
    };
    let bad = padded.bytes().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))).unwrap_or_else(|| padded.len() / 4 * 4);
    match base64::engine::general_purpose::STANDARD.decode(&padded) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => format!("illegal base64 data at input byte {bad}"),
    }
}

fn query_escape(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for b in s.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(b)),
            b' ' => out.push('+'),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn query_unescape(s: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(s.len());
    let mut rest = s.as_bytes();
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        match b {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
                let Some(value) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) else {
                    let shown: String = String::from_utf8_lossy(after.get(..after.len().min(2)).unwrap_or(&[])).into_owned();
                    return Err(format!("invalid URL escape {}", schema::quote::quote(&format!("%{shown}"))));
                };
                out.push(value);
                rest = after.get(2..).unwrap_or(&[]);
            }
            b => out.push(b),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn html_escape(s: &str) -> String {
    s.replace('&', "&amp;").replace('\'', "&#39;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\0', "\u{fffd}")
}

fn js_escape(s: &str) -> String {
    let mut out = String::new();
    for c in s.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
