//! `logfmt`, strict or not, whole or by expression: the input is the line, and once more the pairs that a line is made of.

use std::collections::BTreeMap;

use logql::ast::{Extraction, LogfmtFlags, Stage};
use query_fn::labels::Category;
use query_fn::pipeline::NeededLabels;

use super::{Outcome, base, check_needed, cleaned, compile, run, text};

/// Any line has an outcome; strict reading only adds errors; pairs that are written out come back.
pub fn run_logfmt(data: &[u8]) {
    let lenient = LogfmtFlags { strict: false, keep_empty: false };
    let strict = LogfmtFlags { strict: true, keep_empty: false };
    let all = logfmt(lenient, &[], data);
    assert!(!all.has_error() || all.labels.iter().any(|(category, name, _)| *category == Category::Parsed && name == "__error__"));
    assert_eq!(all.line, data, "logfmt leaves the line alone");
    let checked = logfmt(strict, &[], data);
    match checked.get("__error__") {
        Some("LogfmtParserErr") => {
            for (_, name, value) in checked.labels.iter().filter(|(_, name, _)| !name.starts_with("__error")) {
                assert_eq!(all.get(name), Some(value.as_str()), "what strict reading finds before an error, the other finds too");
            }
        }
        _ => assert_eq!(checked, all),
    }
    check_needed(&Stage::Logfmt { flags: lenient, extractions: Vec::new() }, data, &all);
    round_trip(data);
}

fn logfmt(flags: LogfmtFlags, extractions: &[Extraction], line: &[u8]) -> Outcome {
    let Some(stage) = compile(&Stage::Logfmt { flags, extractions: extractions.to_vec() }, &NeededLabels::All) else { panic!("logfmt compiles") };
    run(&[stage], &base(), line)
}

/// Every line of the input is the value of a pair; the key is one of a few, so that some occur twice.
fn round_trip(data: &[u8]) {
    const KEYS: [&str; 5] = ["a", "b", "env", "level", "x1"];
    let pairs: Vec<(&str, &str)> = data.split(|&byte| byte == b'\n').filter_map(text).zip(KEYS.iter().cycle()).map(|(value, key)| (*key, value)).collect();
    let (mut first, mut last) = (BTreeMap::new(), BTreeMap::new());
    let mut line = String::new();
    for (key, value) in &pairs {
        first.entry(*key).or_insert(*value);
        last.insert(*key, *value);
        let quoted = serde_json::to_string(value).expect("text is JSON");
        line.push_str(&format!("{key}={quoted} "));
    }
    let flags = LogfmtFlags { strict: true, keep_empty: true };
    let outcome = logfmt(flags, &[], line.as_bytes());
    assert!(!outcome.has_error(), "{line}: {:?}", outcome.labels);
    for (key, value) in first {
        let name = if key == "env" { "env_extracted" } else { key };
        assert_eq!(outcome.get(name), Some(cleaned(value).as_str()), "{key} of {line}");
    }
    let extractions = KEYS.map(|key| Extraction { name: format!("e_{key}"), expression: key.to_owned() });
    let outcome = logfmt(flags, &extractions, line.as_bytes());
    for (key, value) in last.iter().filter(|(_, value)| !value.contains('\u{fffd}')) {
        assert_eq!(outcome.get(&format!("e_{key}")), Some(*value), "{key} of {line} by expression");
    }
}
