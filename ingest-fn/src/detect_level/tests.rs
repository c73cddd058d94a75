//! Expected levels are read off Loki's rules, not off the code.

use super::*;

#[test]
fn json_fields() {
    for (line, level) in [
        (r#"{"level":"info","msg":"x"}"#, "info"),
        (r#"  {"msg":"x", "Level" : "WARNING" }  "#, "warn"),
        (r#"{"log":{"level":"ERR"}}"#, "error"),
        (r#"{"log.level":"dbg"}"#, "debug"),
        (r#"{"a":{"b":{"level":"fatal"}},"lvl":"trc"}"#, "trace"),
        (r#"{"a":{},"b":[],"severity":"critical"}"#, "critical"),
        (r#"{"a":[{"level":"fatal"}],"c":[1,"]"],"SeverityText":"Information"}"#, "info"),
        (r#"{"a":"\"level\":\\","severity_text":"wrn"}"#, "warn"),
        // Not a string: the field is passed over, and no word is there either.
        (r#"{"level":30,"msg":"x"}"#, "unknown"),
        // The first field in the text wins although its value is no level; then the words are searched.
        (r#"{"lvl":"verbose","level":"error"}"#, "error"),
        (r#"{"lvl":"verbose","level":"x","msg":"all fatal"}"#, "fatal"),
        (r#"{"msg":"got an error"}"#, "error"),
        (r#"{"LeVeL":"fine"}"#, "unknown"),
        (r#"{"level":"info""#, "info"),
        ("{}", "unknown"),
        ("{", "unknown"),
        ("{\"level\"}", "unknown"),
        ("", "unknown"),
    ] {
        assert_eq!(detect(line.as_bytes()), level, "{line}");
    }
}

#[test]
fn logfmt_fields() {
    for (line, level) in [
        ("ts=1 level=warn msg=\"an error\"", "warn"),
        ("level=\"ERROR\"", "error"),
        ("msg=\"level=info \\\" x\" lvl=dbg", "debug"),
        ("key level=info", "info"),
        ("level= msg=x", "unknown"),
        ("level=custom msg=\"it is fatal\"", "fatal"),
        // Not logfmt from the first quote on: only words are left, and the first one wins.
        ("GET \"/x?a=1\" warn level=error", "warn"),
        ("xlevel=error", "error"),
    ] {
        assert_eq!(detect(line.as_bytes()), level, "{line}");
    }
}

#[test]
fn words_stand_alone() {
    for (line, level) in [
        ("2026 INFO started", "info"),
        ("[Error] no", "error"),
        ("ERR: no", "error"),
        ("<warning>", "warn"),
        ("no errors, one debugger, terror", "unknown"),
        ("caller:error.go", "unknown"),
        ("error_count 5 err", "error"),
        ("x_info", "unknown"),
        ("information", "unknown"),
        ("first debug then error", "debug"),
        ("CRITICAL", "critical"),
        ("fatal", "fatal"),
        ("tRaCe", "trace"),
        ("éerror", "error"),
        ("warnings", "unknown"),
        ("in in wa er e", "unknown"),
    ] {
        assert_eq!(detect(line.as_bytes()), level, "{line}");
    }
}

#[test]
fn severity_numbers() {
    for (number, level) in
        [("1", "trace"), ("8", "debug"), ("9", "info"), ("13", "warn"), ("20", "error"), ("24", "fatal"), ("0", "unknown"), ("25", "unknown"), ("x", "unknown")]
    {
        assert_eq!(from_severity_number(number.as_bytes()), level, "{number}");
    }
}

#[test]
fn field_names_agree_with_the_list() {
    assert!(LEVEL_FIELDS.iter().all(|name| is_level_field(name.as_bytes())));
    for name in ["", "leveL", "lev", "severity_texT", "logXlevel", "detected_level"] {
        assert!(!is_level_field(name.as_bytes()), "{name}");
    }
}

/// Every position relative to the windows, by a search that tries each position on its own.
#[test]
fn a_word_is_found_wherever_it_stands() {
    for word in ["info", "error", "ERR", "warn", "Warning", "debug", "trace", "fatal", "critical"] {
        for before in 0..100 {
            for after in [0, 1, 2, 30, 31, 32, 33, 64] {
                let line = format!("{} {word} {}", "-".repeat(before), "x".repeat(after));
                assert_eq!(Some(detect(line.as_bytes())), normalize(word.as_bytes()), "{line}");
                let hidden = format!("{}:{word} {}", "-".repeat(before), "x".repeat(after));
                assert_eq!(detect(hidden.as_bytes()), "unknown", "{hidden}");
                let longer = format!("{} {word}s{}", "-".repeat(before), " x".repeat(after));
                assert_eq!(detect(longer.as_bytes()), "unknown", "{longer}");
            }
        }
    }
}
