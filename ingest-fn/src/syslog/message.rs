//! The header of a message: RFC 5424 to the letter, else RFC 3164 as far as it can be told. Nothing of the text is lost: what is not understood belongs to the message.
//! Must not know: rows, framing.

use jiff::tz::TimeZone;
use schema::Timestamp;

use super::time;
use crate::time::iso;

/// Facilities by their numbers (RFC 5424, table 1; names as in `syslog.conf`).
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock", "local0", "local1",
    "local2", "local3", "local4", "local5", "local6", "local7",
];
/// Severities by their numbers (RFC 5424, table 2), and the level that each is.
const SEVERITIES: [(&str, &str); 8] = [
    ("emerg", "fatal"),
    ("alert", "critical"),
    ("crit", "critical"),
    ("err", "error"),
    ("warning", "warn"),
    ("notice", "info"),
    ("info", "info"),
    ("debug", "debug"),
];
/// Longest name of a host or program that is taken for one, in RFC 3164, where it is a guess.
const MAX_GUESSED_BYTES: usize = 255;

/// What was read. `None` where the message says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message<'t> {
    pub(super) form: Form,
    pub(super) facility: Option<&'static str>,
    /// Its name, and the level that it is.
    pub(super) severity: Option<(&'static str, &'static str)>,
    /// Nanoseconds since the epoch.
    pub(super) timestamp: Option<i64>,
    pub(super) host: Option<&'t str>,
    pub(super) app_name: Option<&'t str>,
    pub(super) procid: Option<&'t str>,
    pub(super) msgid: Option<&'t str>,
    /// Element, parameter and value, escapes undone; an element without parameters has one without a name.
    pub(super) structured_data: Vec<(&'t str, &'t str, String)>,
    pub(super) text: &'t str,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    Rfc5424,
    Rfc3164,
    /// It has no priority, so it is nothing but a text.
    #[default]
    Unknown,
}

/// Reads a message. `zone` and `now` are for times that lack a zone or a year.
pub(super) fn read<'t>(text: &'t str, zone: &TimeZone, now: Timestamp) -> Message<'t> {
    let Some((priority, rest)) = priority(text) else { return Message { text, ..Message::default() } };
    let (facility, severity) = (FACILITIES.get(priority / 8).copied(), SEVERITIES.get(priority % 8).copied());
    let message = rfc5424(rest).unwrap_or_else(|| rfc3164(rest, zone, now));
    Message { facility, severity, ..message }
}

/// `<0>` to `<191>`.
fn priority(text: &str) -> Option<(usize, &str)> {
    let (digits, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_number = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|number| is_number && *number < FACILITIES.len() * SEVERITIES.len())?;
    Some((number, rest))
}

/// What follows the priority: `VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA [SP MSG]`.
fn rfc5424(text: &str) -> Option<Message<'_>> {
    const VERSION: &str = "1 ";
    let rest = text.strip_prefix(VERSION)?;
    let (timestamp, rest) = field(rest)?;
    let timestamp = match timestamp {
        None => None,
        // The date and the time are one word.
        Some(text) => Some(iso(text.as_bytes())?),
    };
    let (host, rest) = field(rest)?;
    let (app_name, rest) = field(rest)?;
    let (procid, rest) = field(rest)?;
    // Some senders end here.
    let (msgid, rest) = rest.split_once(' ').map_or((rest, ""), |(msgid, rest)| (msgid, rest));
    let msgid = (!msgid.is_empty() && msgid != "-").then_some(msgid);
    let (structured_data, text) = match rest.strip_prefix('-').filter(|after| after.is_empty() || after.starts_with(' ')) {
        Some(after) => (Vec::new(), after.strip_prefix(' ').unwrap_or(after)),
        // What is no structured data belongs to the text.
        None => structured_data(rest).unwrap_or((Vec::new(), rest)),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Some(Message { form: Form::Rfc5424, timestamp, host, app_name, procid, msgid, structured_data, text, ..Message::default() })
}

/// A word and what follows it; `-` is none.
fn field(text: &str) -> Option<(Option<&str>, &str)> {
    let (word, rest) = text.split_once(' ')?;
    if word.is_empty() {
        return None;
    }
    Some(((word != "-").then_some(word), rest))
}

type StructuredData<'t> = Vec<(&'t str, &'t str, String)>;

/// `[id name="value" ...]...`, and the text behind it.
fn structured_data(text: &str) -> Option<(StructuredData<'_>, &str)> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']', '=', '"'])?;
        let (id, mut inside) = element.split_at_checked(end)?;
        if id.is_empty() {
            return None;
        }
        let mut is_bare = true;
        loop {
            if let Some(after) = inside.strip_prefix(']') {
                rest = after;
                break;
            }
            let (name, value) = inside.strip_prefix(' ')?.split_once("=\"")?;
            if name.is_empty() || name.contains([' ', ']', '"', '=']) {
                return None;
            }
            let (value, after) = quoted(value)?;
            out.push((id, name, value));
            inside = after;
            is_bare = false;
        }
        if is_bare {
            out.push((id, "", String::new()));
        }
    }
    match rest.strip_prefix(' ') {
        _ if out.is_empty() => None,
        Some(text) => Some((out, text)),
        None => rest.is_empty().then_some((out, rest)),
    }
}

/// What stands before the next quote, and what follows that. A backslash escapes a quote, a backslash and a bracket; before anything else it is one.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find(['"', '\\'])?;
        let (before, special) = rest.split_at_checked(at)?;
        value.push_str(before);
        if let Some(after) = special.strip_prefix('"') {
            return Some((value, after));
        }
        let after = special.strip_prefix('\\')?;
        match after.chars().next()? {
            escaped @ ('"' | '\\' | ']') => {
                value.push(escaped);
                rest = after.get(1..)?;
            }
            _ => {
                value.push('\\');
                rest = after;
            }
        }
    }
}

/// What follows the priority: `TIMESTAMP SP HOSTNAME SP TAG[PID]: MSG`, of which each part may be missing.
fn rfc3164<'t>(text: &'t str, zone: &TimeZone, now: Timestamp) -> Message<'t> {
    let start = text.trim_start_matches(' ');
    let (timestamp, rest) = match time::prefix(start, zone, now) {
        Some((nanos, rest)) => (Some(nanos), rest),
        None => (None, text),
    };
    let message = Message { form: Form::Rfc3164, timestamp, ..Message::default() };
    if let Some((app_name, procid, text)) = tag(rest) {
        return Message { app_name: Some(app_name), procid, text, ..message };
    }
    // Without a time a first word is more likely to be of the text than a host.
    let host = rest.split_once(' ').filter(|(host, _)| timestamp.is_some() && is_host(host));
    let Some((host, after)) = host else { return Message { text: rest, ..message } };
    let message = Message { host: Some(host), ..message };
    match tag(after) {
        Some((app_name, procid, text)) => Message { app_name: Some(app_name), procid, text, ..message },
        None => Message { text: after, ..message },
    }
}

/// `name:` or `name[pid]:` and the text behind it and one space.
fn tag(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_./@()%+#*".contains(c)))?;
    let (name, rest) = text.split_at_checked(end)?;
    if name.is_empty() || name.len() > MAX_GUESSED_BYTES {
        return None;
    }
    let (procid, rest) = match rest.strip_prefix('[') {
        Some(inside) => {
            let (procid, after) = inside.split_once(']')?;
            (Some(procid).filter(|procid| !procid.is_empty()), after)
        }
        None => (None, rest),
    };
    if procid.is_some_and(|procid| procid.contains(' ')) {
        return None;
    }
    let rest = rest.strip_prefix(':')?;
    // `http://...` and `12:30` are no names of programs.
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    Some((name, procid, rest.strip_prefix(' ').unwrap_or(rest)))
}

fn is_host(word: &str) -> bool {
    (1..=MAX_GUESSED_BYTES).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:%".contains(&byte)) && !word.ends_with(':')
}

#[cfg(test)]
mod tests;
