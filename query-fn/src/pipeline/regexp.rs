//! `| regexp "..."`: named groups of the first match become labels (spec/logql.md 3.6).

use super::names::{clean_text, sanitize};
use super::{NeededLabels, Row, Stage, Verdict, set_parsed};
use crate::QueryError;
use crate::line_filter::translate_regex;

/// The stage, compiled.
#[derive(Debug)]
pub(crate) struct Regexp {
    regex: regex::bytes::Regex,
    /// (group, label name) of every named group.
    groups: Vec<(usize, String)>,
    needed: NeededLabels,
}

impl Regexp {
    /// Errors: not RE2 syntax; no named group; a name twice. The parser has checked all three already.
    pub(crate) fn new(pattern: &str, needed: NeededLabels) -> Result<Self, QueryError> {
        let invalid = |why: String| QueryError::Invalid { message: format!("parse error : invalid regexp parser: {why}") };
        let regex = regex::bytes::Regex::new(&translate_regex(pattern)?).map_err(|error| invalid(error.to_string()))?;
        let groups: Vec<(usize, String)> = regex
            .capture_names()
            .enumerate()
            .filter_map(|(group, name)| name.map(|name| (group, sanitize(name).into_owned())))
            .filter(|(_, name)| !name.is_empty())
            .collect();
        if groups.is_empty() {
            return Err(invalid("at least one named capture must be supplied".to_owned()));
        }
        Ok(Self { regex, groups, needed })
    }
}

impl Stage for Regexp {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        if let Some(found) = self.regex.captures(&row.line) {
            for (group, name) in &self.groups {
                let value = found.get(*group).map_or(&b""[..], |value| value.as_bytes());
                set_parsed(&self.needed, &mut row.labels, name, &clean_text(value));
            }
        }
        Verdict::Keep
    }

    fn reads_only_labels(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    #[test]
    fn named_groups_of_the_first_match() {
        let stage = Regexp::new(r"(?P<method>[A-Z]+) (?P<app>\S+)( (?P<rest>x))?", NeededLabels::All).unwrap();
        assert_eq!(run(&stage, r#"{app="a"}"#, "GET /x POST /y"), "app=a app_extracted=/x method=GET rest=");
        assert_eq!(run(&stage, r#"{app="a"}"#, "nothing"), "app=a");
        assert!(Regexp::new("(x)", NeededLabels::All).is_err());
    }
}
