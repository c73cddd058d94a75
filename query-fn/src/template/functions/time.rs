//! Times: the entry's own, the clock's, and what texts and numbers say.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::{Args, Outcome, text};
use crate::template::value::Value;
use crate::template::{Fields, layout};

pub(super) fn time_function(name: &str, values: &[Value], fields: &dyn Fields) -> Outcome {
    let args = Args { name, values };
    Some(match name {
        "__timestamp__" => time_from_nanos(i128::from(fields.timestamp())),
        "now" => time_from_nanos(i128::from(fields.now())),
        "unixEpoch" => args.time(0).and_then(|time| text(time.timestamp().as_second().to_string())),
        "unixEpochMillis" => args.time(0).and_then(|time| text(time.timestamp().as_millisecond().to_string())),
        "unixEpochNanos" => args.time(0).and_then(|time| text(time.timestamp().as_nanosecond().to_string())),
        "date" => args.text(0).and_then(|wanted| args.any(1).and_then(|value| date(wanted, value, fields))),
        "toDate" => args.text(0).and_then(|wanted| args.text(1).map(|s| parse_date(wanted, s, &TimeZone::UTC))),
        "toDateInZone" => args.text(0).and_then(|wanted| {
            let zone = TimeZone::get(args.text(1)?).unwrap_or(TimeZone::UTC);
            Ok(parse_date(wanted, args.text(2)?, &zone))
        }),
        "unixToTime" => args.text(0).and_then(unix_to_time),
        _ => return None,
    })
}

fn time_from_nanos(nanos: i128) -> Result<Value, String> {
    let at = Timestamp::from_nanosecond(nanos).map_err(|error| error.to_string())?;
    Ok(Value::Time(Box::new(at.to_zoned(TimeZone::UTC))))
}

/// sprig's `date`: times and integer seconds; anything else means now.
fn date(wanted: &str, value: &Value, fields: &dyn Fields) -> Result<Value, String> {
    match value {
        Value::Time(time) => text(layout::format(time, wanted)),
        Value::Int(seconds) => date(wanted, &time_from_nanos(i128::from(*seconds) * 1_000_000_000)?, fields),
        _ => date(wanted, &time_from_nanos(i128::from(fields.now()))?, fields),
    }
}

/// What does not parse is the zero time, as Go's ignored error leaves it.
fn parse_date(wanted: &str, s: &str, zone: &TimeZone) -> Value {
    let zero = || jiff::civil::date(1, 1, 1).to_zoned(TimeZone::UTC).ok();
    layout::parse(wanted, s, zone).or_else(zero).map_or(Value::Nil, |time| Value::Time(Box::new(time)))
}

fn unix_to_time(epoch: &str) -> Result<Value, String> {
    let unable = |why: &str| format!("unable to parse time '{epoch}': {why}");
    let value: i64 = epoch.parse().map_err(|_| unable(&format!("strconv.ParseInt: parsing {}: invalid syntax", schema::quote::quote(epoch))))?;
    let unit: i128 = match epoch.len() {
        5 => 86_400_000_000_000,
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return Err(unable("%!w(<nil>)")),
    };
    time_from_nanos(i128::from(value) * unit)
}

/// A method of Go's time.Time; `None` where there is no such method here.
pub(in crate::template) fn time_field(time: &Zoned, method: &str, args: &[Value]) -> Option<Result<Value, String>> {
    let int = |value: i64| Ok(Value::Int(value));
    let result = match (method, args) {
        ("Format", [Value::Text(wanted)]) => text(layout::format(time, wanted)),
        ("Unix", []) => int(time.timestamp().as_second()),
        ("UnixMilli", []) => int(time.timestamp().as_millisecond()),
        ("UnixMicro", []) => int(time.timestamp().as_microsecond()),
        ("UnixNano", []) => int(i64::try_from(time.timestamp().as_nanosecond()).unwrap_or(i64::MAX)),
        ("Year", []) => int(i64::from(time.year())),
        ("Day", []) => int(i64::from(time.day())),
        ("Hour", []) => int(i64::from(time.hour())),
        ("Minute", []) => int(i64::from(time.minute())),
        ("Second", []) => int(i64::from(time.second())),
        ("Nanosecond", []) => int(i64::from(time.subsec_nanosecond())),
        ("YearDay", []) => int(i64::from(time.day_of_year())),
        ("Month", []) => text(layout::format(time, "January")),
        ("Weekday", []) => text(layout::format(time, "Monday")),
        ("String", []) => text(Value::Time(Box::new(time.clone())).to_text()),
        ("UTC", []) => Ok(Value::Time(Box::new(time.with_time_zone(TimeZone::UTC)))),
        ("IsZero", []) => Ok(Value::Bool(time.year() == 1 && time.day_of_year() == 1 && time.hour() == 0 && time.minute() == 0 && time.second() == 0)),
        ("Before", [Value::Time(other)]) => Ok(Value::Bool(*time < **other)),
        ("After", [Value::Time(other)]) => Ok(Value::Bool(*time > **other)),
        ("Equal", [Value::Time(other)]) => Ok(Value::Bool(*time == **other)),
        (
            "Format" | "Unix" | "UnixMilli" | "UnixMicro" | "UnixNano" | "Year" | "Day" | "Hour" | "Minute" | "Second" | "Nanosecond" | "YearDay" | "Month"
            | "Weekday" | "String" | "UTC" | "IsZero" | "Before" | "After" | "Equal",
            _,
        ) => Err(format!("wrong number of args for {method}: got {}", args.len())),
        _ => return None,
    };
    Some(result)
}
