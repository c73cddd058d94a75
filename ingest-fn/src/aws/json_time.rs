//! The time of a JSON line: the value of the best known of its top-level members. The rest of the line is only skipped over.
//! Must not know: which service wrote the line.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::time;

/// Members that hold a time, best first: what log libraries, then AWS services call it.
const NAMES: [&str; 21] = [
    "timestamp",
    "@timestamp",
    "time",
    "ts",
    "eventTime",
    "event_time",
    "query_timestamp",
    "request_time",
    "updatedAt",
    "datetime",
    "date_time",
    "_time",
    "Timestamp",
    "Time",
    "timestamp(ms)",
    "timestamp_ms",
    "timeMillis",
    "time_iso8601",
    "@t",
    "t",
    "date",
];
const DATE: &str = "date";
const TIME: &str = "time";

/// Nanoseconds; `None` if `line` is not a JSON object or has no time that can be read.
pub(crate) fn of_line(line: &[u8]) -> Option<i64> {
    serde_json::from_slice::<Found>(line).ok().and_then(|found| found.time)
}

struct Found {
    time: Option<i64>,
}

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found, A::Error> {
        let mut best: Option<(usize, i64)> = None;
        let (mut date, mut clock) = (None, None);
        while let Some(name) = members.next_key::<Name<'de>>()? {
            let Some(rank) = NAMES.iter().position(|known| *known == name.0) else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = members.next_value::<Scalar<'de>>()?;
            if let Some(nanos) = value.time()
                && best.is_none_or(|(known, _)| rank < known)
            {
                best = Some((rank, nanos));
            }
            match (&*name.0, value) {
                (DATE, Scalar::Text(text)) => date = Some(text),
                (TIME, Scalar::Text(text)) => clock = Some(text),
                _ => {}
            }
        }
        let pair = date.zip(clock).and_then(|(date, clock)| time::date_and_time(date.as_bytes(), clock.as_bytes()));
        Ok(Found { time: best.map(|(_, nanos)| nanos).or(pair) })
    }
}

/// A member's name, borrowed unless it has escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(Value)? {
            Scalar::Text(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("a name is a string")),
        }
    }
}

enum Scalar<'de> {
    Whole(i64),
    Fraction(f64),
    Text(Cow<'de, str>),
    Other,
}

impl Scalar<'_> {
    fn time(&self) -> Option<i64> {
        match self {
            Self::Whole(number) => time::epoch(*number),
            Self::Fraction(number) => time::epoch_float(*number),
            Self::Text(text) => time::text(text.as_bytes()),
            Self::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Value)
    }
}

struct Value;

impl<'de> Visitor<'de> for Value {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Scalar::Other, Scalar::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Fraction(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_members() {
        for (line, expected) in [
            (r#"{"timestamp":1576280412771,"formatVersion":1}"#, Some(1_576_280_412_771_000_000)),
            (r#"{"msg":{"time":"2020-04-01T08:51:42Z"},"ts":1585731102.5}"#, Some(1_585_731_102_500_000_000)),
            (r#"{"time":"2020-04-01T08:51:42Z","timestamp":"2018-07-02T22:23:00.186641Z"}"#, Some(1_530_570_180_186_641_000)),
            (r#"{"timestamp":"soon","eventTime":"2020-04-01T08:51:42Z"}"#, Some(1_585_731_102_000_000_000)),
            (r#"{"date":"2019-12-04","time":"21:02:31","sc-status":"200"}"#, Some(1_575_493_351_000_000_000)),
            (r#"{"\u0074ime":"2020-04-01T08:51:42Z"}"#, Some(1_585_731_102_000_000_000)),
            (r#"{"time":12.5,"ts":[1],"t":{"a":null},"date":true}"#, None),
            (r#"{"a":1}"#, None),
            (r#"{"timestamp":1576280412771"#, None),
            ("[1]", None),
        ] {
            assert_eq!(of_line(line.as_bytes()), expected, "{line}");
        }
    }
}
