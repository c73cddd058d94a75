//! Label predicates of a selector.

use std::fmt;

use crate::labels::LabelSet;
use crate::quote::quote;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends, `.` matches every character.
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// As LogQL writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// One predicate on one label. A label that is absent has the value `""`.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<regex::Regex>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}
impl Eq for Matcher {}
impl std::hash::Hash for Matcher {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.name, self.op, &self.value).hash(state);
    }
}

impl Matcher {
    /// Compiles the predicate. Errors: the pattern of a regex operator is not syntax of the `regex` crate.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, regex::Error> {
        let value = value.into();
        let pattern = value.clone();
        Self::translated(name, op, value, &pattern)
    }

    /// A predicate whose `value`, as written and printed, is in another regex syntax; `pattern` says the same in that of the
    /// `regex` crate. Errors: it does not.
    pub fn translated(name: impl Into<String>, op: MatchOp, value: impl Into<String>, pattern: &str) -> Result<Self, regex::Error> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(regex::Regex::new(&format!("^(?s:{pattern})$"))?),
        };
        Ok(Self { name: name.into(), op, value: value.into(), regex })
    }

    /// The label it reads.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The literal or pattern it compares with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label with this value passes.
    pub fn matches(&self, value: &str) -> bool {
        let equal = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.value == value,
        };
        match self.op {
            MatchOp::Equal | MatchOp::Regex => equal,
            MatchOp::NotEqual | MatchOp::NotRegex => !equal,
        }
    }

    /// Whether the stream with these labels passes.
    pub fn matches_labels(&self, labels: &LabelSet) -> bool {
        self.matches(labels.get(&self.name).unwrap_or(""))
    }

    /// Whether a stream without this label would pass.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.op.as_str(), quote(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regexes_are_anchored_and_dot_matches_newline() {
        let m = Matcher::new("a", MatchOp::Regex, "b|c.d").unwrap();
        assert!(m.matches("b") && m.matches("c\nd"));
        assert!(!m.matches("xb") && !m.matches("bx") && !m.matches(""));
        assert!(Matcher::new("a", MatchOp::NotRegex, ".+").unwrap().matches_empty());
        assert!(!Matcher::new("a", MatchOp::NotEqual, "").unwrap().matches_empty());
        assert!(Matcher::new("a", MatchOp::Regex, "(").is_err());
        assert_eq!(m.to_string(), r#"a=~"b|c.d""#);
    }

    #[test]
    fn an_absent_label_is_empty() {
        let set = LabelSet::parse(r#"{a="1"}"#).unwrap();
        assert!(Matcher::new("b", MatchOp::Equal, "").unwrap().matches_labels(&set));
        assert!(!Matcher::new("a", MatchOp::Equal, "").unwrap().matches_labels(&set));
    }
}
