//! `eq ne lt le gt ge`. Source of the rules and error texts: Go text/template `funcs.go`.

use std::cmp::Ordering;

use super::value::Value;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Float,
    Text,
}

fn kind(value: &Value) -> Option<Kind> {
    match value {
        Value::Bool(_) => Some(Kind::Bool),
        Value::Int(_) => Some(Kind::Int),
        Value::Float(_) => Some(Kind::Float),
        Value::Text(_) => Some(Kind::Text),
        Value::Nil | Value::Time(_) | Value::List(_) | Value::Map(_) => None,
    }
}

const INCOMPATIBLE: &str = "incompatible types for comparison";

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Text(a), Value::Text(b)) => Ok(a == b),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => Err(format!("non-comparable type {}: {}", a.to_text(), a.type_name())),
        _ => Err(INCOMPATIBLE.to_owned()),
    }
}

fn less(a: &Value, b: &Value) -> Result<bool, String> {
    let (Some(left), Some(right)) = (kind(a), kind(b)) else { return Err("invalid type for comparison".to_owned()) };
    if left != right {
        return Err(INCOMPATIBLE.to_owned());
    }
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(a < b),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b) == Some(Ordering::Less)),
        (Value::Text(a), Value::Text(b)) => Ok(a < b),
        _ => Err("invalid type for comparison".to_owned()),
    }
}

/// Runs the comparison `name`; `None` where it is none.
pub(super) fn call(name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    if !matches!(name, "eq" | "ne" | "lt" | "le" | "gt" | "ge") {
        return None;
    }
    Some(compare(name, args).map(Value::Bool))
}

fn compare(name: &str, args: &[Value]) -> Result<bool, String> {
    let (first, rest) = args.split_first().ok_or_else(|| wrong_count(name, args.len()))?;
    if name == "eq" {
        if rest.is_empty() {
            return Err("missing argument for comparison".to_owned());
        }
        for other in rest {
            if equal(first, other)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let [second] = rest else { return Err(wrong_count(name, args.len())) };
    match name {
        "ne" => equal(first, second).map(|same| !same),
        "lt" => less(first, second),
        "le" => Ok(less(first, second)? || equal(first, second)?),
        "gt" => Ok(!(less(first, second)? || equal(first, second)?)),
        _ => less(first, second).map(|is_less| !is_less),
    }
}

fn wrong_count(name: &str, got: usize) -> String {
    format!("wrong number of args for {name}: want 2 got {got}")
}
