//! What requests ask for: time bounds, step, limit, direction, each with Loki's defaults, checks, order of checks and texts
//! (spec/http-api.md section 0).
//! Owns: the meaning of parameters. Must not know: how they were sent, what a query means.

use jiff::civil::{Date, Time};
use jiff::tz::Offset;
use logql::duration::{format_prometheus, parse_prometheus};
use logql::number::parse_float;
use schema::QueryLimits;
use schema::quote::quote;
use schema::time::{NANOS_PER_SECOND, TimeRange, Timestamp};

use super::duration::parse_seconds_or_duration;
use super::form::Form;
use crate::QueryError;
use crate::engine::Direction;

const DEFAULT_LIMIT: usize = 100;
const DEFAULT_SINCE: i64 = 3600 * NANOS_PER_SECOND;
/// A range query without a step gets about this many points.
const DEFAULT_POINTS: i64 = 250;
/// Integers with at most this many characters are seconds, longer ones nanoseconds.
const MAX_SECONDS_DIGITS: usize = 10;

/// Parameters of `query_range`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RangeParameters {
    pub(crate) query: String,
    /// `[start, end)`; `start == end` is accepted.
    pub(crate) range: TimeRange,
    pub(crate) limit: usize,
    pub(crate) direction: Direction,
    /// Nanoseconds, positive.
    pub(crate) step: i64,
    /// Nanoseconds, not negative; 0 thins nothing.
    pub(crate) interval: i64,
}

/// Parameters of `query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstantParameters {
    pub(crate) query: String,
    pub(crate) time: Timestamp,
    pub(crate) limit: usize,
    pub(crate) direction: Direction,
}

impl RangeParameters {
    /// Reads and checks them in Loki's order: bounds, their order, limit, direction, step, resolution, interval.
    pub(crate) fn parse(form: &Form, now: Timestamp, limits: &QueryLimits) -> Result<Self, QueryError> {
        let range = bounds(form, now)?;
        if range.end < range.start {
            return Err(parameter("end timestamp must not be before or equal to start time"));
        }
        let limit = limit(form)?;
        let direction = direction(form)?;
        let step = step(form, &range, limits)?;
        let interval = interval(form)?;
        Ok(Self { query: form.get("query").to_owned(), range, limit, direction, step, interval })
    }

    /// How many entries and how long a range the tenant may ask for. Loki looks at these after the query has parsed.
    pub(crate) fn check_limits(&self, is_log_query: bool, limits: &QueryLimits) -> Result<(), QueryError> {
        if is_log_query {
            check_max_entries(self.limit, limits)?;
        }
        check_length(&self.range, limits)
    }
}

/// Whether a query may ask for so long a range.
pub(crate) fn check_length(range: &TimeRange, limits: &QueryLimits) -> Result<(), QueryError> {
    let length = range.end.0.saturating_sub(range.start.0);
    let Some(allowed) = limits.max_query_length else { return Ok(()) };
    let allowed = i64::try_from(allowed.as_nanos()).unwrap_or(i64::MAX);
    if allowed > 0 && length > allowed {
        let (length, allowed) = (format_prometheus(length), format_prometheus(allowed));
        let message = format!("the query time range exceeds the limit (query length: {length}, limit: {allowed})");
        return Err(QueryError::Limit { limit: "max_query_length", message });
    }
    Ok(())
}

/// Whether a log query may ask for `limit` entries.
pub(crate) fn check_max_entries(limit: usize, limits: &QueryLimits) -> Result<(), QueryError> {
    let most = limits.max_entries_limit_per_query;
    if most > 0 && limit > most {
        let message = format!("max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {most})");
        return Err(QueryError::Limit { limit: "max_entries_limit_per_query", message });
    }
    Ok(())
}

impl InstantParameters {
    /// Reads and checks them in Loki's order: limit, time, direction.
    pub(crate) fn parse(form: &Form, now: Timestamp) -> Result<Self, QueryError> {
        let limit = limit(form)?;
        let time = parse_time(form.get("time"), now).map_err(QueryError::from_parameter)?;
        let direction = direction(form)?;
        Ok(Self { query: form.get("query").to_owned(), time, limit, direction })
    }
}

/// `start`, `end` and `since`: `end` defaults to now, `start` to `since` (one hour) before the earlier of `end` and now.
/// The order of the two is not checked here.
pub(crate) fn bounds(form: &Form, now: Timestamp) -> Result<TimeRange, QueryError> {
    let named = |name: &'static str| move |text: String| QueryError::Parameter { message: format!("could not parse '{name}' parameter: {text}") };
    let since = match form.get("since") {
        "" => DEFAULT_SINCE,
        text => parse_prometheus(text).map_err(|error| named("since")(error.to_string()))?,
    };
    let end = parse_time(form.get("end"), now).map_err(named("end"))?;
    let default_start = Timestamp(end.min(now).0.saturating_sub(since));
    let start = parse_time(form.get("start"), default_start).map_err(named("start"))?;
    Ok(TimeRange::new(start, end))
}

/// Like [`bounds`], and `end` may not lie before `start`.
pub(crate) fn ordered_bounds(form: &Form, now: Timestamp) -> Result<TimeRange, QueryError> {
    let range = bounds(form, now)?;
    if range.end < range.start {
        return Err(parameter("end timestamp must not be before or equal to start time"));
    }
    Ok(range)
}

/// `limit`, 100 where it is absent.
pub(crate) fn limit(form: &Form) -> Result<usize, QueryError> {
    match integer(form.get("limit"))? {
        None => Ok(DEFAULT_LIMIT),
        Some(limit) => usize::try_from(limit).ok().filter(|limit| *limit > 0).ok_or_else(|| parameter("limit must be a positive value")),
    }
}

/// An optional integer, with Go's texts for what is none.
pub(crate) fn integer(text: &str) -> Result<Option<i64>, QueryError> {
    if text.is_empty() {
        return Ok(None);
    }
    parse_go_int("Atoi", text).map(Some).map_err(QueryError::from_parameter)
}

/// `direction` in any case, backward where it is absent.
pub(crate) fn direction(form: &Form) -> Result<Direction, QueryError> {
    let text = form.get("direction");
    match text.to_ascii_lowercase().as_str() {
        "" | "backward" => Ok(Direction::Backward),
        "forward" => Ok(Direction::Forward),
        _ => Err(parameter(format!("invalid direction '{text}'"))),
    }
}

/// `step` in nanoseconds, checked to be positive and wide enough for `max_points_per_series`.
pub(crate) fn step(form: &Form, range: &TimeRange, limits: &QueryLimits) -> Result<i64, QueryError> {
    let length = range.end.0.saturating_sub(range.start.0);
    let step = match form.get("step") {
        "" => (length / NANOS_PER_SECOND / DEFAULT_POINTS).max(1) * NANOS_PER_SECOND,
        text => parse_seconds_or_duration(text).map_err(QueryError::from_parameter)?,
    };
    if step <= 0 {
        return Err(parameter("zero or negative query resolution step widths are not accepted. Try a positive integer"));
    }
    let most = i64::try_from(limits.max_points_per_series).unwrap_or(i64::MAX);
    if length / step > most {
        return Err(parameter(format!(
            "exceeded maximum resolution of {} points per time series. Try increasing the value of the step parameter",
            grouped(most)
        )));
    }
    Ok(step)
}

fn interval(form: &Form) -> Result<i64, QueryError> {
    let interval = match form.get("interval") {
        "" => 0,
        text => parse_seconds_or_duration(text).map_err(QueryError::from_parameter)?,
    };
    if interval < 0 {
        return Err(parameter("interval must be >= 0"));
    }
    Ok(interval)
}

/// `11000` as `11,000`.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A point in time: an integer of up to 10 characters is seconds, a longer one nanoseconds, a number with a point seconds
/// (rounded to milliseconds), anything else RFC 3339 with up to nine decimals. Instants outside [`Timestamp`] are moved to its ends.
/// Errors: the text of Go's `strconv.ParseInt`, whichever of the forms was meant.
pub(crate) fn parse_time(text: &str, default: Timestamp) -> Result<Timestamp, String> {
    if text.is_empty() {
        return Ok(default);
    }
    if text.contains('.')
        && let Ok(seconds) = parse_float(text)
    {
        return Ok(seconds_to_timestamp(seconds));
    }
    match parse_go_int("ParseInt", text) {
        Ok(seconds) if text.len() <= MAX_SECONDS_DIGITS => Ok(Timestamp(seconds.saturating_mul(NANOS_PER_SECOND))),
        Ok(nanos) => Ok(Timestamp(nanos)),
        Err(message) => parse_rfc3339(text).ok_or(message),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "float to integer conversion saturates, which is what this wants")]
fn seconds_to_timestamp(seconds: f64) -> Timestamp {
    let fraction = (seconds.fract() * 1000.0).round() / 1000.0;
    let nanos = (fraction * NANOS_PER_SECOND as f64) as i64;
    Timestamp((seconds.trunc() as i64).saturating_mul(NANOS_PER_SECOND).saturating_add(nanos))
}

/// Go's `strconv.ParseInt(text, 10, 64)`; errors carry the name of the function, as Go's do.
fn parse_go_int(function: &str, text: &str) -> Result<i64, String> {
    let reason = match text.parse::<i64>() {
        Ok(value) => return Ok(value),
        Err(error) => match error.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        },
    };
    Err(format!("strconv.{function}: parsing {}: {reason}", quote(text)))
}

/// `2006-01-02T15:04:05.999999999Z` or with `+07:00`; exactly this shape, as Go's `time.RFC3339Nano` wants it.
pub(super) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once('T')?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let [hour, minute, second] = fields(clock, ':', [2, 2, 2])?;
    let (nanos, zone) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let time = Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?, nanos).ok()?;
    let at = Offset::UTC.to_timestamp(date.to_datetime(time)).ok()?.as_nanosecond() - i128::from(zone_seconds(zone)?) * i128::from(NANOS_PER_SECOND);
    let clamped = at.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    i64::try_from(clamped).ok().map(Timestamp)
}

/// Splits `text` into numbers with exactly `widths` digits.
fn fields(text: &str, separator: char, widths: [usize; 3]) -> Option<[i32; 3]> {
    let mut parts = text.split(separator);
    let mut out = [0; 3];
    for (slot, width) in out.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

/// Reads the decimals of a second; more than nine are cut. Returns them as nanoseconds, and what follows.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (decimals, rest) = text.split_at_checked(digits)?;
    if decimals.is_empty() {
        return None;
    }
    let padded: String = decimals.chars().chain(std::iter::repeat('0')).take(9).collect();
    padded.parse().ok().map(|nanos| (nanos, rest))
}

/// Seconds east of UTC.
fn zone_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let [hours, minutes, _] = fields(&format!("{rest}:00"), ':', [2, 2, 2])?;
    (hours <= 24 && minutes < 60).then_some(sign * i64::from(hours * 3600 + minutes * 60))
}

fn parameter(message: impl Into<String>) -> QueryError {
    QueryError::Parameter { message: message.into() }
}

impl QueryError {
    pub(super) fn from_parameter(message: String) -> Self {
        Self::Parameter { message }
    }
}

#[cfg(test)]
#[path = "params/tests.rs"]
mod tests;
