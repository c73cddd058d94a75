//! Go's reference-time layouts: `2006-01-02 15:04:05` and friends, for writing and reading times.
//! Source of the elements: Go package time, `format.go`.

use jiff::Zoned;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

const MONTHS: [&str; 12] = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// An element of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    SpaceDay,
    ZeroDay,
    SpaceYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    ZoneName,
    /// An offset: `Z` for UTC, colons, seconds, hours only.
    Zone {
        z: bool,
        colon: bool,
        seconds: bool,
        short: bool,
    },
    /// Fraction digits; `nines` drops trailing zeros.
    Fraction {
        digits: usize,
        nines: bool,
    },
}

/// Elements by their text, in the order in which they are tried: longer ones before their prefixes.
const ELEMENTS: [(&str, Element); 36] = [
    ("January", Element::LongMonth),
    ("Jan", Element::Month),
    ("Monday", Element::LongWeekday),
    ("Mon", Element::Weekday),
    ("MST", Element::ZoneName),
    ("002", Element::ZeroYearDay),
    ("01", Element::ZeroMonth),
    ("02", Element::ZeroDay),
    ("03", Element::ZeroHour12),
    ("04", Element::ZeroMinute),
    ("05", Element::ZeroSecond),
    ("06", Element::Year),
    ("15", Element::Hour),
    ("1", Element::NumMonth),
    ("2006", Element::LongYear),
    ("2", Element::Day),
    ("__2", Element::SpaceYearDay),
    ("_2006", Element::LongYear),
    ("_2", Element::SpaceDay),
    ("3", Element::Hour12),
    ("4", Element::Minute),
    ("5", Element::Second),
    ("PM", Element::UpperPm),
    ("pm", Element::LowerPm),
    ("-070000", Element::Zone { z: false, colon: false, seconds: true, short: false }),
    ("-07:00:00", Element::Zone { z: false, colon: true, seconds: true, short: false }),
    ("-0700", Element::Zone { z: false, colon: false, seconds: false, short: false }),
    ("-07:00", Element::Zone { z: false, colon: true, seconds: false, short: false }),
    ("-07", Element::Zone { z: false, colon: false, seconds: false, short: true }),
    ("Z070000", Element::Zone { z: true, colon: false, seconds: true, short: false }),
    ("Z07:00:00", Element::Zone { z: true, colon: true, seconds: true, short: false }),
    ("Z0700", Element::Zone { z: true, colon: false, seconds: false, short: false }),
    ("Z07:00", Element::Zone { z: true, colon: true, seconds: false, short: false }),
    ("Z07", Element::Zone { z: true, colon: false, seconds: false, short: true }),
    (".0", Element::Fraction { digits: 0, nines: false }),
    (",0", Element::Fraction { digits: 0, nines: false }),
];

/// The first element of `layout`: the text before it, itself, its length.
fn next_element(layout: &str) -> Option<(usize, Element, usize)> {
    layout.char_indices().find_map(|(at, _)| element_at(layout.get(at..)?).map(|(element, length)| (at, element, length)))
}

fn element_at(text: &str) -> Option<(Element, usize)> {
    if let Some(rest) = text.strip_prefix(['.', ',']) {
        let digit = rest.chars().next().filter(|c| matches!(c, '0' | '9'))?;
        let digits = rest.chars().take_while(|&c| c == digit).count();
        if rest.get(digits..).is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit())) {
            return None;
        }
        return Some((Element::Fraction { digits, nines: digit == '9' }, digits + 1));
    }
    let (found, element) = ELEMENTS.iter().find(|(found, _)| text.starts_with(found))?;
    let longer = text.get(found.len()..).is_some_and(|after| after.starts_with(|c: char| c.is_ascii_lowercase()));
    match *found {
        "Jan" | "Mon" if longer => None,
        "_2006" => Some((Element::LongYear, 5)),
        _ => Some((*element, found.len())),
    }
}

/// `time` written by `layout`: Go's `time.Time.Format`.
pub(super) fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some((at, element, length)) = next_element(rest) {
        out.push_str(rest.get(..at).unwrap_or(""));
        let underscore_year = element == Element::LongYear && length == 5;
        if underscore_year {
            out.push('_');
        }
        write_element(&mut out, time, element);
        rest = rest.get(at + length..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

fn write_element(out: &mut String, time: &Zoned, element: Element) {
    let month = usize::from(time.month().unsigned_abs()).saturating_sub(1);
    let weekday = usize::from(time.weekday().to_monday_zero_offset().unsigned_abs());
    let month_name = MONTHS.get(month).copied().unwrap_or("");
    let day_name = DAYS.get(weekday).copied().unwrap_or("");
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let text = match element {
        Element::LongMonth => month_name.to_owned(),
        Element::Month => month_name.chars().take(3).collect(),
        Element::NumMonth => time.month().to_string(),
        Element::ZeroMonth => format!("{:02}", time.month()),
        Element::LongWeekday => day_name.to_owned(),
        Element::Weekday => day_name.chars().take(3).collect(),
        Element::Day => time.day().to_string(),
        Element::SpaceDay => format!("{:>2}", time.day()),
        Element::ZeroDay => format!("{:02}", time.day()),
        Element::SpaceYearDay => format!("{:>3}", time.day_of_year()),
        Element::ZeroYearDay => format!("{:03}", time.day_of_year()),
        Element::Hour => format!("{:02}", time.hour()),
        Element::Hour12 => hour12.to_string(),
        Element::ZeroHour12 => format!("{hour12:02}"),
        Element::Minute => time.minute().to_string(),
        Element::ZeroMinute => format!("{:02}", time.minute()),
        Element::Second => time.second().to_string(),
        Element::ZeroSecond => format!("{:02}", time.second()),
        Element::LongYear => format!("{:04}", time.year()),
        Element::Year => format!("{:02}", time.year().rem_euclid(100)),
        Element::UpperPm => if time.hour() >= 12 { "PM" } else { "AM" }.to_owned(),
        Element::LowerPm => if time.hour() >= 12 { "pm" } else { "am" }.to_owned(),
        Element::ZoneName => zone_name(time),
        Element::Zone { z, colon, seconds, short } => zone_offset(time.offset(), z, colon, seconds, short),
        Element::Fraction { digits, nines } => fraction(time.subsec_nanosecond(), digits, nines),
    };
    out.push_str(&text);
}

fn zone_name(time: &Zoned) -> String {
    if time.time_zone() == &TimeZone::UTC {
        return "UTC".to_owned();
    }
    time.time_zone().to_offset_info(time.timestamp()).abbreviation().to_owned()
}

fn zone_offset(offset: Offset, z: bool, colon: bool, seconds: bool, short: bool) -> String {
    let total = offset.seconds();
    if z && total == 0 {
        return "Z".to_owned();
    }
    let sign = if total < 0 { '-' } else { '+' };
    let total = total.unsigned_abs();
    let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60);
    let separator = if colon { ":" } else { "" };
    let mut text = format!("{sign}{hours:02}");
    if !short {
        text.push_str(&format!("{separator}{minutes:02}"));
    }
    if seconds {
        text.push_str(&format!("{separator}{rest:02}"));
    }
    text
}

fn fraction(nanoseconds: i32, digits: usize, nines: bool) -> String {
    let all = format!("{nanoseconds:09}");
    let shown = all.get(..digits.min(9)).unwrap_or(&all);
    let shown = if nines { shown.trim_end_matches('0') } else { shown };
    if shown.is_empty() { String::new() } else { format!(".{shown}") }
}

/// What has been read of a time.
#[derive(Default)]
struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    year_day: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    pm: Option<bool>,
    offset: Option<Offset>,
    utc: bool,
}

/// `text` read by `layout`, in `zone` where the text names none: Go's `time.ParseInLocation`. `None` where it does not fit.
pub(super) fn parse(layout: &str, text: &str, zone: &TimeZone) -> Option<Zoned> {
    let (mut layout, mut text) = (layout, text);
    let mut parts = Parts::default();
    while let Some((at, element, length)) = next_element(layout) {
        text = skip_literal(layout.get(..at)?, text)?;
        let after_seconds = matches!(element, Element::Second | Element::ZeroSecond);
        text = read_element(&mut parts, element, text)?;
        layout = layout.get(at + length..)?;
        if after_seconds && !matches!(next_element(layout), Some((0, Element::Fraction { .. }, _))) {
            text = read_fraction(&mut parts, text);
        }
    }
    if !skip_literal(layout, text)?.is_empty() {
        return None;
    }
    parts.into_time(zone)
}

/// Spaces of a layout match any number of spaces.
fn skip_literal<'a>(literal: &str, text: &'a str) -> Option<&'a str> {
    let mut text = text;
    for c in literal.chars() {
        text = if c == ' ' { text.trim_start_matches(' ') } else { text.strip_prefix(c)? };
    }
    Some(text)
}

/// A number of at most `most` and at least `least` digits.
fn digits(text: &str, least: usize, most: usize) -> Option<(i32, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least {
        return None;
    }
    Some((text.get(..count)?.parse().ok()?, text.get(count..)?))
}

fn name<'a>(text: &'a str, names: &[&str], short: bool) -> Option<(usize, &'a str)> {
    names.iter().enumerate().find_map(|(i, name)| {
        let name = if short { name.get(..3)? } else { name };
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then(|| text.get(name.len()..)).flatten().map(|rest| (i, rest))
    })
}

fn small(value: i32) -> Option<i8> {
    i8::try_from(value).ok()
}

fn read_element<'a>(parts: &mut Parts, element: Element, text: &'a str) -> Option<&'a str> {
    let (value, rest) = match element {
        Element::LongMonth | Element::Month => {
            let (month, rest) = name(text, &MONTHS, element == Element::Month)?;
            parts.month = small(i32::try_from(month + 1).ok()?);
            return Some(rest);
        }
        Element::LongWeekday | Element::Weekday => return name(text, &DAYS, element == Element::Weekday).map(|(_, rest)| rest),
        Element::UpperPm | Element::LowerPm => {
            let head = text.get(..2)?;
            parts.pm = Some(head.eq_ignore_ascii_case("pm"));
            return if parts.pm == Some(true) || head.eq_ignore_ascii_case("am") { text.get(2..) } else { None };
        }
        Element::ZoneName => {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '-').unwrap_or(text.len());
            parts.utc |= text.get(..end)? == "UTC";
            return (end >= 3).then(|| text.get(end..)).flatten();
        }
        Element::Zone { z, colon, seconds, short } => return read_offset(parts, text, z, colon, seconds, short),
        Element::Fraction { .. } => return Some(read_fraction(parts, text)),
        Element::LongYear => digits(text, 4, 4)?,
        Element::Year => digits(text, 2, 2)?,
        Element::ZeroYearDay => digits(text, 3, 3)?,
        Element::SpaceYearDay => digits(text.trim_start_matches(' '), 1, 3)?,
        Element::SpaceDay => digits(text.trim_start_matches(' '), 1, 2)?,
        Element::ZeroMonth | Element::ZeroDay | Element::ZeroHour12 | Element::ZeroMinute | Element::ZeroSecond | Element::Hour => digits(text, 2, 2)?,
        Element::NumMonth | Element::Day | Element::Hour12 | Element::Minute | Element::Second => digits(text, 1, 2)?,
    };
    match element {
        Element::LongYear => parts.year = i16::try_from(value).ok(),
        Element::Year => parts.year = i16::try_from(if value >= 69 { value + 1900 } else { value + 2000 }).ok(),
        Element::NumMonth | Element::ZeroMonth => parts.month = small(value),
        Element::Day | Element::SpaceDay | Element::ZeroDay => parts.day = small(value),
        Element::SpaceYearDay | Element::ZeroYearDay => parts.year_day = i16::try_from(value).ok(),
        Element::Hour | Element::Hour12 | Element::ZeroHour12 => parts.hour = small(value)?,
        Element::Minute | Element::ZeroMinute => parts.minute = small(value)?,
        _ => parts.second = small(value)?,
    }
    Some(rest)
}

fn read_fraction<'a>(parts: &mut Parts, text: &'a str) -> &'a str {
    let Some(rest) = text.strip_prefix(['.', ',']) else { return text };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return text;
    }
    let nine: String = rest.chars().take(count.min(9)).chain(std::iter::repeat('0')).take(9).collect();
    parts.nanosecond = nine.parse().unwrap_or(0);
    rest.get(count..).unwrap_or("")
}

fn read_offset<'a>(parts: &mut Parts, text: &'a str, z: bool, colon: bool, seconds: bool, short: bool) -> Option<&'a str> {
    if z && let Some(rest) = text.strip_prefix('Z') {
        parts.offset = Some(Offset::UTC);
        parts.utc = true;
        return Some(rest);
    }
    let negative = text.starts_with('-');
    let (hours, mut rest) = digits(text.strip_prefix(['+', '-'])?, 2, 2)?;
    let mut total = hours * 3600;
    for unit in [60, 1].into_iter().take(if short { 0 } else { 1 + usize::from(seconds) }) {
        let (value, after) = digits(if colon { rest.strip_prefix(':')? } else { rest }, 2, 2)?;
        total += value * unit;
        rest = after;
    }
    parts.offset = Some(Offset::from_seconds(if negative { -total } else { total }).ok()?);
    Some(rest)
}

impl Parts {
    fn into_time(self, zone: &TimeZone) -> Option<Zoned> {
        let hour = match self.pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let year = self.year.unwrap_or(0);
        let date = match self.year_day {
            Some(day) => Date::new(year, 1, 1).ok()?.with().day_of_year(day).build().ok()?,
            None => Date::new(year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()?,
        };
        let moment = DateTime::from_parts(date, Time::new(hour, self.minute, self.second, self.nanosecond).ok()?);
        let zone = match self.offset {
            Some(offset) if offset == Offset::UTC => TimeZone::UTC,
            Some(offset) => TimeZone::fixed(offset),
            None if self.utc => TimeZone::UTC,
            None => zone.clone(),
        };
        moment.to_zoned(zone).ok()
    }
}
