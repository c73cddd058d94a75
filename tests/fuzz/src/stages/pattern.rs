//! `pattern`: a pattern and a line.

use logql::ast::Stage;
use query_fn::pipeline::NeededLabels;

use super::{base, check_needed, cleaned, compile, parts, run, text};

/// Any pattern is one or an error. Where a regular expression made of the pattern matches the line, the captures are its groups.
pub fn run_pattern(data: &[u8]) {
    let [pattern, line] = parts(data);
    let (Some(pattern), Some(line_text)) = (text(pattern), text(line)) else { return };
    let stage = Stage::Pattern(pattern.to_owned());
    let Some(compiled) = compile(&stage, &NeededLabels::All) else { return };
    let outcome = run(&[compiled], &base(), line);
    assert!(!outcome.has_error() || pattern.contains("__error__"));
    check_needed(&stage, line, &outcome);
    if line.is_empty() || pattern.len() > 200 {
        return;
    }
    let (regex, names) = as_regex(pattern);
    let Ok(regex) = regex::Regex::new(&regex) else { return };
    let Some(found) = regex.captures(line_text) else { return };
    for (group, name) in names.iter().enumerate().filter(|(_, name)| *name != "_") {
        let name = if matches!(name.as_str(), "app" | "env" | "trace_id") { format!("{name}_extracted") } else { name.clone() };
        // A renamed capture may meet another of that very name; the first one stays.
        if names.iter().filter(|other| **other == name || format!("{other}_extracted") == name).count() > 1 {
            continue;
        }
        let value = found.get(group + 1).map_or("", |value| value.as_str());
        assert_eq!(outcome.get(&name), Some(cleaned(value).as_str()), "{name} of {pattern:?} on {line_text:?}");
    }
}

/// Captures as lazy groups; the last one takes the rest of the line where no literal follows.
fn as_regex(pattern: &str) -> (String, Vec<String>) {
    let (mut out, mut names, mut rest) = ("^(?s)".to_owned(), Vec::new(), pattern);
    while let Some((literal, name, after)) = next_capture(rest) {
        out.push_str(&regex::escape(literal));
        out.push_str(if after.is_empty() { "(.*)$" } else { "(.*?)" });
        names.push(name.to_owned());
        rest = after;
    }
    out.push_str(&regex::escape(rest));
    (out, names)
}

fn next_capture(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices('<').find_map(|(at, _)| {
        let (name, after) = text.get(at + 1..)?.split_once('>')?;
        let is_name = !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        is_name.then(|| text.get(..at).map(|literal| (literal, name, after))).flatten()
    })
}
