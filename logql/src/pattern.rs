//! The `<name>` patterns of the `pattern` stage and of the `|>` line filter.
//! Owns: how a pattern splits into literals and captures, and which patterns are valid where.
//! Must not know: how lines are matched.

use crate::error::PatternError;

/// One piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternPart {
    /// Text that must occur.
    Literal(String),
    /// `<name>`; `None` is `<_>`.
    Capture(Option<String>),
}

/// Splits a pattern. A capture is `<`, an ASCII letter or `_`, more letters, digits or `_`, `>`; everything else is literal. Neighbouring
/// literal characters form one part.
pub fn split_pattern(pattern: &str) -> Vec<PatternPart> {
    let mut parts: Vec<PatternPart> = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let (part, length) = match capture(rest) {
            Some((name, length)) => (PatternPart::Capture((name != "_").then(|| name.to_owned())), length),
            None => (PatternPart::Literal(c.to_string()), c.len_utf8()),
        };
        match (parts.last_mut(), part) {
            (Some(PatternPart::Literal(text)), PatternPart::Literal(more)) => text.push_str(&more),
            (_, part) => parts.push(part),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    parts
}

/// The name of the capture at the front of `text` and the capture's length.
fn capture(text: &str) -> Option<(&str, usize)> {
    let end = text.find('>')?;
    let name = text.strip_prefix('<')?.get(..end.checked_sub(1)?)?;
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())).then_some((name, end + 1))
}

/// Whether `pattern` may stand in a `pattern` stage: some named capture, none twice, no two captures side by side.
pub fn check_pattern_stage(pattern: &str) -> Result<(), PatternError> {
    let parts = split_pattern(pattern);
    if parts.is_empty() {
        return Err(PatternError::Empty);
    }
    let names: Vec<&String> = parts.iter().filter_map(|part| if let PatternPart::Capture(Some(name)) = part { Some(name) } else { None }).collect();
    if names.is_empty() {
        return Err(PatternError::NoCapture);
    }
    check_consecutive(&parts)?;
    for (at, name) in names.iter().enumerate() {
        if names.iter().take(at).any(|earlier| earlier == name) {
            return Err(PatternError::Duplicate { name: (*name).clone() });
        }
    }
    Ok(())
}

/// Whether `pattern` may stand in `|>` or `!>`: no named capture, no two captures side by side. Loki checks this when it builds the pipeline.
pub fn check_pattern_filter(pattern: &str) -> Result<(), PatternError> {
    let parts = split_pattern(pattern);
    check_consecutive(&parts)?;
    match parts.iter().find_map(|part| if let PatternPart::Capture(Some(name)) = part { Some(name) } else { None }) {
        Some(name) => Err(PatternError::Named { capture: format!("<{name}>") }),
        None => Ok(()),
    }
}

fn check_consecutive(parts: &[PatternPart]) -> Result<(), PatternError> {
    let name = |name: &Option<String>| format!("<{}>", name.as_deref().unwrap_or("_"));
    for pair in parts.windows(2) {
        if let [PatternPart::Capture(first), PatternPart::Capture(second)] = pair {
            return Err(PatternError::Consecutive { captures: name(first) + &name(second) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_in_angle_brackets_are_captures() {
        let literal = |text: &str| PatternPart::Literal(text.to_owned());
        let capture = |name: &str| PatternPart::Capture(Some(name.to_owned()));
        assert_eq!(split_pattern("<ip> - <_> [<ts>]"), [capture("ip"), literal(" - "), PatternPart::Capture(None), literal(" ["), capture("ts"), literal("]")]);
        assert_eq!(split_pattern("<1a> <a-b> <<x>"), [literal("<1a> <a-b> <"), capture("x")]);
        assert_eq!(split_pattern("a>b<"), [literal("a>b<")]);
    }

    #[test]
    fn stage_and_filter_differ_in_what_they_accept() {
        assert_eq!(check_pattern_stage("<a> <_>"), Ok(()));
        assert_eq!(check_pattern_filter("x <_>"), Ok(()));
        assert_eq!(check_pattern_filter(""), Ok(()));
        for (result, text) in [
            (check_pattern_stage("x"), "at least one capture is required"),
            (check_pattern_stage("<_>"), "at least one capture is required"),
            (check_pattern_stage("<a><b>"), "found consecutive capture '<a><b>': invalid expression"),
            (check_pattern_stage("<a> <a>"), "duplicate capture name (a): invalid expression"),
            (check_pattern_filter("<a>"), "named captures are not allowed: found '<a>'"),
            (check_pattern_filter("<_><_>"), "found consecutive capture '<_><_>': invalid expression"),
        ] {
            assert_eq!(result.unwrap_err().to_string(), text);
        }
    }
}
