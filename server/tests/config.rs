//! Wrong settings: the process says which, and what would be right.

use crate::support::{run, stderr};

fn refused(args: &[&str], env: &[(&str, &str)]) -> String {
    let output = run(&[&["serve"], args].concat(), env, b"");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn an_unknown_key_is_shown_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tarn.toml");
    std::fs::write(&path, "store = \"memory:\"\n\n[limits]\nmax_line_sise = 7\n").unwrap();
    let text = refused(&["--config", path.to_str().unwrap()], &[]);
    assert!(text.contains("tarn.toml") && text.contains("line 4") && text.contains("max_line_sise") && text.contains("max_line_size"), "{text}");
}

#[test]
fn wrong_values_name_their_origin() {
    for (args, env, expected) in [
        (vec!["--role", "boss"], vec![], "--role: 'boss' is not one of all, ingest, query and compactor"),
        (vec![], vec![("TARN_INGEST_FLUSH_INTERVAL", "soon")], "TARN_INGEST_FLUSH_INTERVAL: 'soon' is not a duration such as 500ms, 30s or 7d"),
        (vec!["--listen", "here"], vec![], "--listen: 'here' is not an address such as 127.0.0.1:3100"),
        (vec![], vec![("PORT", "http")], "PORT: 'http' is not a port between 0 and 65535"),
    ] {
        let text = refused(&args, &env);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let text = refused(&["--config", "/nonexistent/tarn.toml"], &[]);
    assert!(text.contains("/nonexistent/tarn.toml") && text.contains("--config"), "{text}");
}
