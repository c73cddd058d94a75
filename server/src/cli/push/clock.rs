//! Finds the time of an entry in its line.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use regex::Regex;
use schema::Timestamp;
use store::env::Env;

use crate::args::PushArgs;
use crate::cli::time;
use crate::error::TarnError;

/// `auto` looks no further into a line.
const AUTO_PREFIX_BYTES: usize = 512;

/// Times that `auto` knows, the most telling first: what the first group holds, and how to read it.
const AUTO: [(&str, Format); 5] = [
    (r"^\W?(\d{10}(?:\d{3}){0,3}(?:\.\d+)?)(?:\D|$)", Format::Epoch),
    (r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)", Format::Rfc3339),
    (r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]", Format::Strptime("%d/%b/%Y:%H:%M:%S %z")),
    (r"^(?:<\d{1,3}>)?([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)", Format::Strptime("%b %e %H:%M:%S")),
    (r#"\b(?:ts|time|timestamp|@timestamp)"?\s*[=:]\s*"?(\d{10}(?:\d{3}){0,3}(?:\.\d+)?)\b"#, Format::Epoch),
];

/// How a time is written.
#[derive(Clone, Debug)]
enum Format<T = &'static str> {
    Epoch,
    Rfc3339,
    Strptime(T),
}

/// Where the time stands in a line.
#[derive(Clone, Debug)]
enum Place {
    Regex(Regex),
    Byte(usize),
}

#[derive(Clone, Debug)]
enum How {
    Now,
    Auto(Vec<(Regex, Format)>),
    Written(Place, Format<String>),
}

/// Gives each line its time; lines come in the order of the input.
#[derive(Clone, Debug)]
pub(super) struct TimeSource {
    how: How,
    env: Env,
    /// The latest time that was found in a line.
    last_found: Option<Timestamp>,
    /// The latest time that was taken from the clock.
    last_now: Option<Timestamp>,
}

/// The time of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: Timestamp,
    /// Taken from the line before, as for the lines of a stack trace.
    pub(super) inherited: bool,
}

impl TimeSource {
    /// Reads `--timestamp`, `--timestamp-regex` and `--timestamp-at`.
    pub(super) fn new(args: &PushArgs, env: Env) -> Result<Self, TarnError> {
        let place = match (&args.timestamp_regex, args.timestamp_at) {
            (Some(pattern), _) => Some(Place::Regex(regex("--timestamp-regex", pattern)?)),
            (None, Some(byte)) => Some(Place::Byte(byte)),
            (None, None) => None,
        };
        let format = match args.timestamp.as_str() {
            "now" | "auto" if place.is_some() => {
                let expected = "rfc3339, epoch or a format, as --timestamp-regex and --timestamp-at need".to_owned();
                return Err(TarnError::Argument { flag: "--timestamp", value: args.timestamp.clone(), expected });
            }
            "now" => return Ok(Self { how: How::Now, env, last_found: None, last_now: None }),
            "auto" => {
                let known = AUTO.iter().map(|(pattern, format)| Ok((regex("--timestamp", pattern)?, format.clone()))).collect::<Result<_, TarnError>>()?;
                return Ok(Self { how: How::Auto(known), env, last_found: None, last_now: None });
            }
            "rfc3339" => Format::Rfc3339,
            "epoch" => Format::Epoch,
            format if format.contains('%') => Format::Strptime(format.to_owned()),
            _ => {
                let expected = "auto, now, rfc3339, epoch, or a format with % such as '%Y-%m-%d %H:%M:%S%.f'".to_owned();
                return Err(TarnError::Argument { flag: "--timestamp", value: args.timestamp.clone(), expected });
            }
        };
        Ok(Self { how: How::Written(place.unwrap_or(Place::Byte(0)), format), env, last_found: None, last_now: None })
    }

    /// The time of the next line. Errors: a first line without the time that the flags promise.
    pub(super) fn of_line(&mut self, line: &str) -> Result<Found, TarnError> {
        let now = self.env.now();
        let found = match &self.how {
            How::Now => return Ok(Found { at: self.clock(now), inherited: false }),
            How::Auto(known) => auto(line, known, now),
            How::Written(place, format) => written(line, place, format, now),
        };
        if let Some(at) = found {
            self.last_found = Some(at);
            return Ok(Found { at, inherited: false });
        }
        match self.last_found {
            Some(at) => Ok(Found { at, inherited: true }),
            None if matches!(self.how, How::Auto(_)) => Ok(Found { at: self.clock(now), inherited: false }),
            None => {
                let shown: String = line.chars().take(80).collect();
                let expected =
                    format!("how the first line writes its time: '{shown}'; give --timestamp-regex or --timestamp-at, another format, or --timestamp now");
                Err(TarnError::Argument { flag: "--timestamp", value: self.describe(), expected })
            }
        }
    }

    /// The moment of reading. Lines read within one tick of the clock keep their order.
    fn clock(&mut self, now: Timestamp) -> Timestamp {
        let at = self.last_now.map_or(now, |last| now.max(Timestamp(last.0.saturating_add(1))));
        self.last_now = Some(at);
        at
    }

    fn describe(&self) -> String {
        match &self.how {
            How::Now => "now".to_owned(),
            How::Auto(_) => "auto".to_owned(),
            How::Written(_, Format::Epoch) => "epoch".to_owned(),
            How::Written(_, Format::Rfc3339) => "rfc3339".to_owned(),
            How::Written(_, Format::Strptime(format)) => format.clone(),
        }
    }
}

fn regex(flag: &'static str, pattern: &str) -> Result<Regex, TarnError> {
    Regex::new(pattern).map_err(|error| TarnError::Argument { flag, value: pattern.to_owned(), expected: format!("a regex: {error}") })
}

fn auto(line: &str, known: &[(Regex, Format)], now: Timestamp) -> Option<Timestamp> {
    let end = line.floor_char_boundary(AUTO_PREFIX_BYTES.min(line.len()));
    let start = line.get(..end)?;
    known.iter().find_map(|(regex, format)| {
        let text = regex.captures(start)?.get(1)?.as_str();
        match format {
            Format::Epoch => time::epoch(text),
            Format::Rfc3339 => rfc3339(text).map(|(at, _)| at),
            Format::Strptime(format) => strptime(format, text, now),
        }
    })
}

fn written(line: &str, place: &Place, format: &Format<String>, now: Timestamp) -> Option<Timestamp> {
    let text = match place {
        Place::Regex(regex) => {
            let captures = regex.captures(line)?;
            captures.get(1).or_else(|| captures.get(0))?.as_str()
        }
        Place::Byte(byte) => line.get(*byte..)?.trim_start(),
    };
    match format {
        Format::Epoch => {
            let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
            time::epoch(text.get(..end)?.trim_end_matches('.'))
        }
        Format::Rfc3339 => rfc3339(text).map(|(at, _)| at),
        Format::Strptime(format) => strptime(format, text, now),
    }
}

/// The RFC 3339 time, or date and time without a zone, that `text` begins with, and its length.
fn rfc3339(text: &str) -> Option<(Timestamp, usize)> {
    let date_time = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | ',' | 'T' | 't' | 'Z' | 'z' | '+' | ' '))).unwrap_or(text.len());
    // The longest beginning that is a time: what follows may look like a part of it.
    (10..=date_time.min(40)).rev().find_map(|end| Some((time::date_time(text.get(..end)?.trim_end_matches([' ', ',', '.', ':']))?, end)))
}

/// Reads what `text` begins with. A format without a zone is UTC; one without a year means the latest such day that is not
/// more than a day ahead of `now`.
fn strptime(format: &str, text: &str, now: Timestamp) -> Option<Timestamp> {
    let (mut parts, _) = BrokenDownTime::parse_prefix(format, text).ok()?;
    if parts.year().is_some() || parts.timestamp().is_some() {
        return instant(&parts);
    }
    let today = jiff::Timestamp::from_nanosecond(i128::from(now.0)).ok()?.to_zoned(TimeZone::UTC);
    let tomorrow = now.0.saturating_add(86_400 * schema::time::NANOS_PER_SECOND);
    [today.year(), today.year() - 1].into_iter().find_map(|year| {
        parts.set_year(Some(year)).ok()?;
        instant(&parts).filter(|at| at.0 <= tomorrow)
    })
}

fn instant(parts: &BrokenDownTime) -> Option<Timestamp> {
    if let Ok(instant) = parts.to_timestamp() {
        return time::nanos(instant);
    }
    time::nanos(parts.to_datetime().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests;
