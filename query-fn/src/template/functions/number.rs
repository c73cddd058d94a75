//! Arithmetic, and sprig's forgiving conversions to numbers.

use super::{Args, Outcome};
use crate::pipeline::values::{int_to_float, uint_to_float};
use crate::template::value::{Value, parse_number};

pub(super) fn number_function(name: &str, values: &[Value]) -> Outcome {
    let args = Args { name, values };
    let fold_int = |f: &dyn Fn(i64, i64) -> i64| -> Result<Value, String> {
        args.any(0)?;
        Ok(Value::Int(values.iter().map(to_int).reduce(f).unwrap_or(0)))
    };
    let fold_float = |f: &dyn Fn(f64, f64) -> f64| -> Result<Value, String> {
        args.any(0)?;
        Ok(Value::Float(values.iter().map(to_float).reduce(f).unwrap_or(0.0)))
    };
    let divide = |f: &dyn Fn(i64, i64) -> Option<i64>| -> Result<Value, String> {
        args.count(2)?;
        f(args.number(0)?, args.number(1)?).map(Value::Int).ok_or_else(|| "runtime error: integer divide by zero".to_owned())
    };
    Some(match name {
        "int" => args.count(1).and_then(|()| args.number(0)).map(Value::Int),
        "float64" => args.count(1).and_then(|()| args.float(0)).map(Value::Float),
        "add" => fold_int(&i64::wrapping_add),
        "mul" => fold_int(&i64::wrapping_mul),
        "sub" => args.count(2).and_then(|()| fold_int(&i64::wrapping_sub)),
        "div" => divide(&|a, b| (b != 0).then(|| a.wrapping_div(b))),
        "mod" => divide(&|a, b| (b != 0).then(|| a.wrapping_rem(b))),
        "max" => fold_int(&i64::max),
        "min" => fold_int(&i64::min),
        "addf" => fold_float(&|a, b| a + b),
        "subf" => fold_float(&|a, b| a - b),
        "mulf" => fold_float(&|a, b| a * b),
        "divf" => fold_float(&|a, b| a / b),
        "maxf" => fold_float(&f64::max),
        "minf" => fold_float(&f64::min),
        "ceil" => args.count(1).and_then(|()| args.float(0)).map(|v| Value::Float(v.ceil())),
        "floor" => args.count(1).and_then(|()| args.float(0)).map(|v| Value::Float(v.floor())),
        "round" => round(&args),
        "bytes" => args.text(0).and_then(|s| logql::bytes::parse_bytes(s).map_err(|error| error.to_string())).map(|bytes| Value::Float(uint_to_float(bytes))),
        "duration" | "duration_seconds" => args
            .text(0)
            .and_then(|s| logql::duration::parse_go(s).map_err(|error| error.to_string()))
            .map(|nanos| Value::Float(crate::pipeline::values::nanos_to_seconds(nanos))),
        _ => return None,
    })
}

/// sprig's `round value places [threshold]`.
fn round(args: &Args<'_>) -> Result<Value, String> {
    let (value, places) = (args.float(0)?, args.number(1)?);
    let threshold = if args.values.len() > 2 { args.float(2)? } else { 0.5 };
    let scale = 10f64.powi(i32::try_from(places.clamp(-300, 300)).unwrap_or(0));
    let scaled = scale * value;
    let rounded = if scaled.fract() >= threshold { scaled.ceil() } else { scaled.floor() };
    Ok(Value::Float(rounded / scale))
}

/// sprig's `toInt64`: numbers are cut, texts are parsed, all else is 0.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(value) => *value,
        Value::Float(value) => float_to_int(*value),
        Value::Bool(value) => i64::from(*value),
        Value::Text(text) => match parse_number(text.trim()) {
            Some(Value::Int(value)) => value,
            Some(Value::Float(value)) if value.fract() == 0.0 && !text.contains(['e', 'E']) => float_to_int(value),
            _ => 0,
        },
        Value::Nil | Value::Time(_) | Value::List(_) | Value::Map(_) => 0,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Go's conversion cuts the fraction; the cast saturates where Go leaves the result open")]
fn float_to_int(value: f64) -> i64 {
    value as i64
}

pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(value) => int_to_float(*value),
        Value::Float(value) => *value,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Text(text) => text.trim().parse().unwrap_or(0.0),
        Value::Nil | Value::Time(_) | Value::List(_) | Value::Map(_) => 0.0,
    }
}
