//! What templates may call: Go's built-ins, Loki's own functions, and the sprig functions that Loki lets in.
//! Arguments come in Go's order; a piped value is the last one.

mod number;
mod regexes;
mod text;
mod time;

use jiff::Zoned;

use super::value::Value;
use super::{Fields, compare, printf};
use number::{number_function, to_float, to_int};
pub(super) use regexes::compiled as regexes_compiled;
pub(crate) use text::expand;
use text::{text_function, transform_function};
pub(super) use time::time_field;
use time::time_function;

/// No function may make a text longer than this: `repeat` and `indent` could otherwise fill the memory.
pub(super) const MAX_TEXT_BYTES: usize = 4 << 20;

const FUNCTIONS: [&str; 86] = [
    "and",
    "or",
    "not",
    "len",
    "index",
    "slice",
    "print",
    "printf",
    "println",
    "html",
    "js",
    "urlquery",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "call",
    "__line__",
    "__timestamp__",
    "ToLower",
    "ToUpper",
    "Replace",
    "Trim",
    "TrimLeft",
    "TrimRight",
    "TrimPrefix",
    "TrimSuffix",
    "TrimSpace",
    "regexReplaceAll",
    "regexReplaceAllLiteral",
    "count",
    "urldecode",
    "urlencode",
    "bytes",
    "duration",
    "duration_seconds",
    "unixEpochMillis",
    "unixEpochNanos",
    "unixToTime",
    "toDateInZone",
    "alignLeft",
    "alignRight",
    "b64dec",
    "b64enc",
    "lower",
    "upper",
    "title",
    "trunc",
    "substr",
    "contains",
    "hasPrefix",
    "hasSuffix",
    "indent",
    "nindent",
    "replace",
    "repeat",
    "trim",
    "trimAll",
    "trimSuffix",
    "trimPrefix",
    "int",
    "float64",
    "add",
    "sub",
    "mul",
    "div",
    "mod",
    "addf",
    "subf",
    "mulf",
    "divf",
    "max",
    "min",
    "maxf",
    "minf",
    "ceil",
    "floor",
    "round",
    "fromJson",
    "date",
    "toDate",
    "now",
    "unixEpoch",
    "default",
];

/// Whether a template may name this function.
pub(super) fn is_function(name: &str) -> bool {
    !name.is_empty() && FUNCTIONS.contains(&name)
}

/// Calls `name`. `and` and `or` are not here: they do not evaluate all arguments.
pub(super) fn call(name: &str, args: &[Value], fields: &dyn Fields) -> Result<Value, String> {
    if let Some(result) = compare::call(name, args) {
        return result;
    }
    let value = text_function(name, args)
        .or_else(|| transform_function(name, args))
        .or_else(|| number_function(name, args))
        .or_else(|| time_function(name, args, fields))
        .or_else(|| builtin(name, args, fields))
        .unwrap_or_else(|| Err(format!("function \"{name}\" not defined")))?;
    match &value {
        Value::Text(text) if text.len() > MAX_TEXT_BYTES => Err(too_long(name)),
        _ => Ok(value),
    }
}

fn too_long(name: &str) -> String {
    format!("the result of {name} is longer than {MAX_TEXT_BYTES} bytes")
}

type Outcome = Option<Result<Value, String>>;

/// The arguments of one call, read by type.
struct Args<'a> {
    name: &'a str,
    values: &'a [Value],
}

impl<'a> Args<'a> {
    fn count(&self, wanted: usize) -> Result<(), String> {
        if self.values.len() == wanted { Ok(()) } else { Err(format!("wrong number of args for {}: want {wanted} got {}", self.name, self.values.len())) }
    }

    fn any(&self, index: usize) -> Result<&'a Value, String> {
        self.values.get(index).ok_or_else(|| format!("wrong number of args for {}: want at least {} got {}", self.name, index + 1, self.values.len()))
    }

    fn text(&self, index: usize) -> Result<&'a str, String> {
        match self.any(index)? {
            Value::Text(text) => Ok(text),
            Value::Nil => Err("invalid value; expected string".to_owned()),
            other => Err(format!("wrong type for value; expected string; got {}", other.type_name())),
        }
    }

    fn int(&self, index: usize) -> Result<i64, String> {
        match self.any(index)? {
            Value::Int(value) => Ok(*value),
            other => Err(format!("wrong type for value; expected int; got {}", other.type_name())),
        }
    }

    fn time(&self, index: usize) -> Result<&'a Zoned, String> {
        match self.any(index)? {
            Value::Time(time) => Ok(time),
            other => Err(format!("wrong type for value; expected time.Time; got {}", other.type_name())),
        }
    }

    /// sprig's forgiving conversions: what is no number is 0.
    fn number(&self, index: usize) -> Result<i64, String> {
        self.any(index).map(to_int)
    }

    fn float(&self, index: usize) -> Result<f64, String> {
        self.any(index).map(to_float)
    }
}

fn text(value: impl Into<String>) -> Result<Value, String> {
    Ok(Value::Text(value.into()))
}

fn builtin(name: &str, values: &[Value], fields: &dyn Fields) -> Outcome {
    let args = Args { name, values };
    Some(match name {
        "__line__" => text(fields.line()),
        "not" => args.count(1).and_then(|()| args.any(0)).map(|value| Value::Bool(!value.truth())),
        "len" => args.count(1).and_then(|()| length(args.any(0)?)),
        "print" => text(print(values)),
        "println" => text(values.iter().map(Value::to_text).collect::<Vec<_>>().join(" ") + "\n"),
        "printf" => args
            .text(0)
            .and_then(|format| printf::sprintf(format, values.get(1..).unwrap_or(&[]), MAX_TEXT_BYTES).ok_or_else(|| too_long("printf")))
            .and_then(text),
        "index" => index(&args),
        "slice" => slice(&args),
        "call" => Err("call of nil: there are no functions to call in a query".to_owned()),
        _ => return None,
    })
}

/// Go's Sprint: a space between two operands where neither is a string.
fn print(values: &[Value]) -> String {
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        let previous_is_text = i.checked_sub(1).and_then(|p| values.get(p)).is_none_or(|p| matches!(p, Value::Text(_)));
        if !previous_is_text && !matches!(value, Value::Text(_)) {
            out.push(' ');
        }
        value.print_verb(&mut out);
    }
    out
}

fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(members) => members.len(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(args: &Args<'_>) -> Result<Value, String> {
    let mut current = args.any(0)?.clone();
    for key in args.values.get(1..).unwrap_or(&[]) {
        current = match (&current, key) {
            (Value::Map(members), Value::Text(name)) => members.get(name).cloned().unwrap_or(Value::Nil),
            (Value::List(items), Value::Int(at)) => {
                usize::try_from(*at).ok().and_then(|at| items.get(at)).cloned().ok_or_else(|| format!("index out of range: {at}"))?
            }
            (Value::Text(text), Value::Int(at)) => usize::try_from(*at)
                .ok()
                .and_then(|at| text.as_bytes().get(at))
                .map(|&b| Value::Int(i64::from(b)))
                .ok_or_else(|| format!("index out of range: {at}"))?,
            (Value::Nil, _) => return Err("index of untyped nil".to_owned()),
            (Value::Map(_) | Value::List(_) | Value::Text(_), other) => return Err(format!("cannot index slice/array with type {}", other.type_name())),
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(current)
}

fn slice(args: &Args<'_>) -> Result<Value, String> {
    let item = args.any(0)?;
    let length = match length(item)? {
        Value::Int(length) => length,
        _ => 0,
    };
    let from = if args.values.len() > 1 { args.int(1)? } else { 0 };
    let to = if args.values.len() > 2 { args.int(2)? } else { length };
    if from < 0 || to > length || from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
    match item {
        Value::Text(text) => Ok(Value::Text(String::from_utf8_lossy(text.as_bytes().get(range).unwrap_or(&[])).into_owned())),
        Value::List(items) => Ok(Value::List(items.get(range).unwrap_or(&[]).to_vec())),
        other => Err(format!("can't slice item of type {}", other.type_name())),
    }
}
