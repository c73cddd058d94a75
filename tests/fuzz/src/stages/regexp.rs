//! `regexp`: a regular expression and a line.

use logql::ast::Stage;
use query_fn::labels::Category;
use query_fn::pipeline::NeededLabels;

use super::{base, check_needed, cleaned, compile, parts, run, text};

/// Any pattern is one or an error; what it captures stands in the line.
pub fn run_regexp(data: &[u8]) {
    let [pattern, line] = parts(data);
    let Some(pattern) = text(pattern) else { return };
    let stage = Stage::Regexp(pattern.to_owned());
    let Some(compiled) = compile(&stage, &NeededLabels::All) else { return };
    let outcome = run(&[compiled], &base(), line);
    assert_eq!(outcome.line, line, "regexp leaves the line alone");
    if let Some(line) = text(line).map(cleaned) {
        for (_, name, value) in outcome.labels.iter().filter(|(category, _, _)| *category == Category::Parsed) {
            assert!(line.contains(value), "{name} is {value:?}, which is not in {line:?}");
        }
    }
    check_needed(&stage, line, &outcome);
}
