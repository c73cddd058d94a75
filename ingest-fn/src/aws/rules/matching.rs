//! The conditions of a rule: all of them must hold.
//! Must not know: what a rule changes.

use regex::Regex;
use serde::Deserialize;

use super::Fault;
use crate::aws::error::quoted;
use crate::aws::source::{LogType, Source};

/// Conditions as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConditions {
    log_type: Option<OneOrMore>,
    account_id: Option<OneOrMore>,
    bucket: Option<OneOrMore>,
    key_prefix: Option<OneOrMore>,
    key_glob: Option<String>,
    key_regex: Option<String>,
    log_group_glob: Option<String>,
    log_group_regex: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value],
            Self::More(values) => values,
        }
    }
}

/// Conditions ready to be tested. An absent one always holds.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    log_types: Option<Vec<LogType>>,
    accounts: Option<Vec<String>>,
    buckets: Option<Vec<String>>,
    key_prefixes: Option<Vec<String>>,
    keys: Vec<Regex>,
    log_groups: Vec<Regex>,
}

impl Conditions {
    pub(super) fn check(raw: RawConditions) -> Result<Self, Fault> {
        let log_types = raw.log_type.map(|names| names.into_vec().iter().map(|name| log_type(name)).collect::<Result<Vec<_>, _>>()).transpose()?;
        let compiled = |glob: Option<String>, pattern: Option<String>, what: &str| {
            let globs = glob.iter().map(|glob| self::regex(what, &glob_pattern(glob)));
            let patterns = pattern.iter().map(|pattern| self::regex(what, pattern));
            globs.chain(patterns).collect::<Result<Vec<_>, _>>()
        };
        let conditions = Self {
            log_types,
            accounts: raw.account_id.map(OneOrMore::into_vec),
            buckets: raw.bucket.map(OneOrMore::into_vec),
            key_prefixes: raw.key_prefix.map(OneOrMore::into_vec),
            keys: compiled(raw.key_glob, raw.key_regex, "key_regex")?,
            log_groups: compiled(raw.log_group_glob, raw.log_group_regex, "log_group_regex")?,
        };
        let empty = [
            ("log_type", conditions.log_types.as_ref().is_some_and(Vec::is_empty)),
            ("account_id", conditions.accounts.as_ref().is_some_and(Vec::is_empty)),
            ("bucket", conditions.buckets.as_ref().is_some_and(Vec::is_empty)),
            ("key_prefix", conditions.key_prefixes.as_ref().is_some_and(Vec::is_empty)),
        ];
        match empty.into_iter().find(|(_, empty)| *empty) {
            Some((name, _)) => Err(Fault::new(format!("match.{name} lists nothing, so the rule never matches"), "list a value or remove the condition")),
            None => Ok(conditions),
        }
    }

    pub(super) fn hold(&self, source: &Source) -> bool {
        let among = |values: &Option<Vec<String>>, value: &Option<String>| match (values, value) {
            (None, _) => true,
            (Some(values), Some(value)) => values.contains(value),
            (Some(_), None) => false,
        };
        let key = source.key.as_deref();
        let matches = |regexes: &[Regex], text: Option<&str>| regexes.iter().all(|regex| text.is_some_and(|text| regex.is_match(text)));
        self.log_types.as_ref().is_none_or(|kinds| kinds.contains(&source.log_type))
            && among(&self.accounts, &source.account_id)
            && among(&self.buckets, &source.bucket)
            && self.key_prefixes.as_ref().is_none_or(|prefixes| key.is_some_and(|key| prefixes.iter().any(|prefix| key.starts_with(prefix))))
            && matches(&self.keys, key)
            && matches(&self.log_groups, source.log_group.as_deref())
    }
}

fn log_type(name: &str) -> Result<LogType, Fault> {
    let known = LogType::ALL.map(LogType::as_str).join(", ");
    LogType::parse(name).ok_or_else(|| Fault::new(format!("match.log_type: there is no log type {}", quoted(name)), format!("use one of {known}")))
}

/// Compiles a regular expression of a rule; time and memory of its matching are bounded by its size.
pub(super) fn regex(what: &str, pattern: &str) -> Result<Regex, Fault> {
    Regex::new(pattern).map_err(|error| {
        let fix = "correct the pattern; in TOML, single quotes keep backslashes: '\\d+'";
        Fault::new(format!("{what} {} is not a regular expression: {error}", quoted(pattern)), fix)
    })
}

/// `?` is one character and `*` any number of them, `/` not among them; `**` is anything. The whole text must match.
fn glob_pattern(glob: &str) -> String {
    let mut pattern = String::from("(?s)^");
    let mut rest = glob;
    while let Some(c) = rest.chars().next() {
        let (piece, length) = match c {
            '*' if rest.starts_with("**") => (".*".to_owned(), 2),
            '*' => ("[^/]*".to_owned(), 1),
            '?' => ("[^/]".to_owned(), 1),
            other => (regex::escape(other.encode_utf8(&mut [0; 4])), other.len_utf8()),
        };
        pattern.push_str(&piece);
        rest = rest.get(length..).unwrap_or_default();
    }
    pattern.push('$');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("apps/*/x.log", "apps/a/x.log", true),
            ("apps/*/x.log", "apps/a/b/x.log", false),
            ("apps/**/x.log", "apps/a/b/x.log", true),
            ("apps/**", "apps/", true),
            ("a.?", "a.b", true),
            ("a.?", "axb", false),
            ("a", "ab", false),
            ("/ecs/*", "/ecs/checkout", true),
        ] {
            assert_eq!(Regex::new(&glob_pattern(glob)).unwrap().is_match(text), expected, "{glob} {text}");
        }
    }
}
