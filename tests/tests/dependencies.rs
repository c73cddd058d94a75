//! Licences and sources of everything that is linked, after the lists in deny.toml. `cargo deny check` reads the same file and also
//! knows advisories; it is not on every machine, this test is.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken checkout fails the test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Strings of the array `name = [ ... ]` in deny.toml: what is quoted first on each of its lines.
fn deny_list(name: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deny.toml")).unwrap();
    let lines = text.lines().skip_while(|line| *line != format!("{name} = [")).skip(1).take_while(|line| *line != "]");
    let list: BTreeSet<String> = lines.filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect();
    assert!(!list.is_empty(), "deny.toml has no {name}");
    list
}

fn packages() -> Vec<Value> {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).output().unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether an SPDX expression can be met with `allowed` alone. The old `/` means OR.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "+WITH+");
    let tokens: Vec<String> = spaced.split_whitespace().map(|token| token.replace("+WITH+", " WITH ")).collect();
    let mut rest = tokens.as_slice();
    let met = any_of(&mut rest, allowed);
    met && rest.is_empty()
}

fn any_of(rest: &mut &[String], allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(rest, allowed);
    while let Some(after) = rest.strip_prefix(&["OR".to_owned()]) {
        *rest = after;
        met |= all_of(rest, allowed);
    }
    met
}

fn all_of(rest: &mut &[String], allowed: &BTreeSet<String>) -> bool {
    let mut met = one(rest, allowed);
    while let Some(after) = rest.strip_prefix(&["AND".to_owned()]) {
        *rest = after;
        met &= one(rest, allowed);
    }
    met
}

fn one(rest: &mut &[String], allowed: &BTreeSet<String>) -> bool {
    let Some((first, after)) = rest.split_first() else { return false };
    *rest = after;
    if first != "(" {
        return allowed.contains(first);
    }
    let met = any_of(rest, allowed);
    match rest.strip_prefix(&[")".to_owned()]) {
        Some(after) => *rest = after,
        None => return false,
    }
    met
}

#[test]
fn expressions_are_read_as_spdx_does() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()]);
    for good in ["MIT", "MIT/GPL-3.0", "GPL-3.0 OR ISC", "(GPL-3.0 OR MIT) AND ISC", "Apache-2.0 WITH LLVM-exception", "MIT AND ISC OR GPL-3.0"] {
        assert!(is_met(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "(MIT", "MIT ISC", "(GPL-3.0 OR AGPL-3.0) AND MIT"] {
        assert!(!is_met(bad, &allowed), "{bad}");
    }
}

#[test]
fn licences_are_among_those_allowed() {
    let allowed = deny_list("allow");
    let mut refused = Vec::new();
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_met(licence, &allowed) {
            refused.push(format!("{} {}: {licence:?}", package["name"], package["version"]));
        }
    }
    assert!(refused.is_empty(), "licences that deny.toml does not allow:\n  {}", refused.join("\n  "));
}

#[test]
fn nothing_comes_from_elsewhere_and_nothing_banned_is_there() {
    let banned = deny_list("deny");
    for package in packages() {
        let (name, source) = (package["name"].as_str().unwrap(), package["source"].as_str());
        assert!(source.is_none_or(|source| source.starts_with("registry+")), "{name} comes from {source:?}");
        assert!(!banned.contains(name), "{name} is banned by deny.toml");
    }
}
