//! What template expressions yield, and how Go prints, tests and measures it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Zoned;

/// A value inside a template.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// `nil`, and what a missing member of `fromJson` data is.
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Time(Box<Zoned>),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// Go's truth: not the zero value of its type; times are always true.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Time(_) => true,
            Self::List(items) => !items.is_empty(),
            Self::Map(members) => !members.is_empty(),
        }
    }

    /// Go's name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Time(_) => "time.Time",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
        }
    }

    /// About how many bytes of memory it takes.
    pub(super) fn size(&self) -> usize {
        const EACH: usize = 32;
        match self {
            Self::Nil | Self::Bool(_) | Self::Int(_) | Self::Float(_) => EACH,
            Self::Text(text) => EACH + text.len(),
            Self::Time(_) => 2 * EACH,
            Self::List(items) => EACH + items.iter().map(Self::size).sum::<usize>(),
            Self::Map(members) => EACH + members.iter().map(|(key, value)| EACH + key.len() + value.size()).sum::<usize>(),
        }
    }

    /// As `{{value}}` prints it: `%v`, with `<no value>` for nil.
    pub(super) fn print(&self, out: &mut String) {
        match self {
            Self::Nil => out.push_str("<no value>"),
            other => other.print_verb(out),
        }
    }

    /// `%v`
    pub(super) fn print_verb(&self, out: &mut String) {
        match self {
            Self::Nil => out.push_str("<nil>"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => {
                let _ = write!(out, "{value}");
            }
            Self::Float(value) => out.push_str(&format_float(*value)),
            Self::Text(text) => out.push_str(text),
            Self::Time(time) => out.push_str(&super::layout::format(time, "2006-01-02 15:04:05.999999999 -0700 MST")),
            Self::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(' ');
                    }
                    item.print_verb(out);
                }
                out.push(']');
            }
            Self::Map(members) => {
                out.push_str("map[");
                for (i, (key, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(' ');
                    }
                    out.push_str(key);
                    out.push(':');
                    value.print_verb(out);
                }
                out.push(']');
            }
        }
    }

    /// `%v` as a string.
    pub(super) fn to_text(&self) -> String {
        let mut out = String::new();
        self.print_verb(&mut out);
        out
    }

    /// From parsed JSON: numbers are floats, as Go's decoder makes them.
    pub(super) fn from_json(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(items) => Self::List(items.into_iter().map(Self::from_json).collect()),
            serde_json::Value::Object(members) => Self::Map(members.into_iter().map(|(key, value)| (key, Self::from_json(value))).collect()),
        }
    }
}

/// Go's `%v` of a float64: `strconv.FormatFloat(v, 'g', -1, 64)`, which writes an exponent below 1e-4 and from 1e6 on.
pub(super) fn format_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e6).contains(&magnitude) {
        return format!("{value}");
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Digits of a base, without a sign.
fn unsigned(digits: &str, radix: u32) -> Option<i128> {
    if digits.starts_with(['+', '-']) { None } else { i128::from_str_radix(digits, radix).ok() }
}

/// A Go number constant: decimal, hex, octal and binary integers with underscores, floats. Integers stay integers.
pub(super) fn parse_number(text: &str) -> Option<Value> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    // One sign at most: the parsers below would each take another one.
    if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let lower = body.to_ascii_lowercase();
    let plain = lower.replace('_', "");
    let integer = if let Some(hex) = plain.strip_prefix("0x") {
        unsigned(hex, 16)
    } else if let Some(octal) = plain.strip_prefix("0o") {
        unsigned(octal, 8)
    } else if let Some(binary) = plain.strip_prefix("0b") {
        unsigned(binary, 2)
    } else if plain.len() > 1 && plain.starts_with('0') && plain.bytes().all(|b| b.is_ascii_digit()) {
        i128::from_str_radix(&plain, 8).ok()
    } else if plain.bytes().all(|b| b.is_ascii_digit()) {
        plain.parse().ok()
    } else {
        None
    };
    if let Some(value) = integer {
        return i64::try_from(if negative { -value } else { value }).ok().map(Value::Int);
    }
    if !plain.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-')) {
        return None;
    }
    let value: f64 = plain.parse().ok()?;
    Some(Value::Float(if negative { -value } else { value }))
}
