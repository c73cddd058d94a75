//! `printf`: Go's formatting verbs for the values templates have. Source: Go package fmt.

use super::value::{Value, format_float};

/// Width and precision beyond this are cut, so that a format cannot fill the memory.
const MAX_PADDING: usize = 10_000;

#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    zero: bool,
    space: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `format` with its verbs replaced by `args` in turn; mistakes are written into the output, as Go does.
/// `None` where the output is longer than `most` bytes.
pub(super) fn sprintf(format: &str, args: &[Value], most: usize) -> Option<String> {
    let mut out = String::new();
    let mut args_left = args.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if out.len() > most {
            return None;
        }
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '+' | '#' | '0' | ' ')) {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                _ => spec.space = true,
            }
        }
        spec.width = number(&mut chars, &mut args_left, &mut spec.minus);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut chars, &mut args_left, &mut false).unwrap_or(0));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match args_left.next() {
                Some(arg) => out.push_str(&pad(&render(verb, &spec, arg), &spec, arg)),
                None => out.push_str(&format!("%!{verb}(MISSING)")),
            },
        }
    }
    let rest: Vec<String> = args_left.map(|arg| format!("{}={}", arg.type_name(), arg.to_text())).collect();
    if !rest.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", rest.join(", ")));
    }
    (out.len() <= most).then_some(out)
}

/// Digits, or `*` for the next argument.
fn number<'a>(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, args: &mut impl Iterator<Item = &'a Value>, minus: &mut bool) -> Option<usize> {
    if chars.next_if_eq(&'*').is_some() {
        let Some(Value::Int(value)) = args.next() else { return None };
        *minus |= *value < 0;
        return usize::try_from(value.unsigned_abs()).ok().map(|n| n.min(MAX_PADDING));
    }
    let mut value = None;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        let digit = usize::try_from(digit.to_digit(10).unwrap_or(0)).unwrap_or(0);
        value = Some((value.unwrap_or(0) * 10 + digit).min(MAX_PADDING));
    }
    value
}

fn render(verb: char, spec: &Spec, arg: &Value) -> String {
    let bad = || format!("%!{verb}({}={})", arg.type_name(), arg.to_text());
    match (verb, arg) {
        ('v', Value::Float(value)) => spec.precision.map_or_else(|| signed(format_float(*value), spec), |precision| signed(general(*value, precision), spec)),
        ('v', Value::Int(value)) => signed(value.to_string(), spec),
        ('v', _) => arg.to_text(),
        ('T', _) => arg.type_name().to_owned(),
        ('t', Value::Bool(value)) => value.to_string(),
        ('d', Value::Int(value)) => signed(value.to_string(), spec),
        ('b', Value::Int(value)) => radix(*value, spec, |n| format!("{n:b}"), ""),
        ('o', Value::Int(value)) => radix(*value, spec, |n| format!("{n:o}"), if spec.sharp { "0" } else { "" }),
        ('x', Value::Int(value)) => radix(*value, spec, |n| format!("{n:x}"), if spec.sharp { "0x" } else { "" }),
        ('X', Value::Int(value)) => radix(*value, spec, |n| format!("{n:X}"), if spec.sharp { "0X" } else { "" }),
        ('c', Value::Int(value)) => char_of(*value).to_string(),
        ('q', Value::Int(value)) => format!("'{}'", char_of(*value)),
        ('U', Value::Int(value)) => format!("U+{value:04X}"),
        ('f' | 'F', Value::Float(value)) => signed(special(*value).unwrap_or_else(|| format!("{:.*}", spec.precision.unwrap_or(6), value)), spec),
        ('e', Value::Float(value)) => signed(exponent(*value, spec.precision.unwrap_or(6)), spec),
        ('E', Value::Float(value)) => signed(exponent(*value, spec.precision.unwrap_or(6)).to_uppercase(), spec),
        ('g', Value::Float(value)) => signed(spec.precision.map_or_else(|| format_float(*value), |precision| general(*value, precision)), spec),
        ('G', Value::Float(value)) => signed(spec.precision.map_or_else(|| format_float(*value), |precision| general(*value, precision)).to_uppercase(), spec),
        ('s', Value::Text(text)) => cut(text, spec),
        ('s', Value::Time(_)) => arg.to_text(),
        ('s', Value::List(items)) => format!("[{}]", items.iter().map(|item| render('s', spec, item)).collect::<Vec<_>>().join(" ")),
        ('q', Value::Text(text)) => {
            let text = cut(text, spec);
            if spec.sharp && !text.contains('`') { format!("`{text}`") } else { schema::quote::quote(&text) }
        }
        ('x', Value::Text(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
        ('X', Value::Text(text)) => text.bytes().map(|b| format!("{b:02X}")).collect(),
        (_, Value::Nil) => format!("%!{verb}(<nil>)"),
        _ => bad(),
    }
}

fn char_of(value: i64) -> char {
    u32::try_from(value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn cut(text: &str, spec: &Spec) -> String {
    match spec.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    }
}

fn signed(text: String, spec: &Spec) -> String {
    if text.starts_with(['-', '+']) || text == "NaN" {
        return text;
    }
    match (spec.plus, spec.space) {
        (true, _) => format!("+{text}"),
        (false, true) => format!(" {text}"),
        (false, false) => text,
    }
}

fn radix(value: i64, spec: &Spec, digits: impl Fn(u64) -> String, prefix: &str) -> String {
    let body = format!("{prefix}{}", digits(value.unsigned_abs()));
    signed(if value < 0 { format!("-{body}") } else { body }, spec)
}

fn special(value: f64) -> Option<String> {
    (!value.is_finite()).then(|| format_float(value))
}

fn exponent(value: f64, precision: usize) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `%g` with a precision: the shorter of `%e` and `%f` at that many significant digits.
fn general(value: f64, precision: usize) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let precision = precision.max(1);
    let scientific = exponent(value, precision - 1);
    let power: i32 = scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    let trim = |text: &str| if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() };
    if power < -4 || usize::try_from(power).is_ok_and(|power| power >= precision) {
        let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "+00"));
        return format!("{}e{power}", trim(mantissa));
    }
    let decimals = i32::try_from(precision).unwrap_or(i32::MAX) - 1 - power;
    trim(&format!("{:.*}", usize::try_from(decimals).unwrap_or(0), value))
}

fn pad(text: &str, spec: &Spec, arg: &Value) -> String {
    let length = text.chars().count();
    let Some(missing) = spec.width.and_then(|width| width.checked_sub(length)).filter(|&missing| missing > 0) else { return text.to_owned() };
    if spec.minus {
        return format!("{text}{}", " ".repeat(missing));
    }
    if spec.zero && !matches!(arg, Value::Float(value) if !value.is_finite()) {
        let (sign, digits) = match text.strip_prefix(['-', '+', ' ']) {
            Some(digits) if !matches!(arg, Value::Text(_)) => (text.get(..1).unwrap_or(""), digits),
            _ => ("", text),
        };
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    format!("{}{text}", " ".repeat(missing))
}
