//! The rules of the house that a compiler does not check: who may depend on whom, how long a file may be, how it must open, and
//! what no committed file may name. Owns the dependency table. Must not know what any crate does.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken checkout fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Our crates and which of ours each may depend on, tests and build scripts included. A new edge is a decision: it is made here.
const ALLOWED: &[(&str, &[&str])] = &[
    ("schema", &[]),
    ("logql", &["schema"]),
    ("store", &["schema"]),
    ("ingest-fn", &["schema", "store"]),
    ("query-fn", &["schema", "logql", "store"]),
    ("compactor", &["schema", "store"]),
    ("server", &["schema", "logql", "store", "ingest-fn", "query-fn", "compactor"]),
    ("lambda", &["schema", "store", "ingest-fn", "compactor", "server"]),
    ("tests", &["schema", "logql", "store", "ingest-fn", "query-fn", "compactor"]),
];

/// Dependencies (by prefix of their name) that only the crates listed may name.
const RESERVED: &[(&str, &[&str])] = &[("object_store", &["store"]), ("datafusion", &["query-fn", "tests"])];

/// What may not appear anywhere below a crate, not even through others.
const FORBIDDEN_BELOW: &[(&str, &[&str])] = &[
    ("schema", &["tokio", "object_store", "datafusion", "hyper", "futures"]),
    ("logql", &["tokio", "object_store", "datafusion", "hyper", "futures"]),
    ("ingest-fn", &["datafusion"]),
];

/// Longest source file in lines, tests apart. Longer ones are listed in size_allow.txt with a reason.
const MAX_LINES: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Name of each of our packages with the package's metadata.
fn our_packages(metadata: &Value) -> BTreeMap<String, &Value> {
    let members: BTreeSet<&str> = array(&metadata["workspace_members"]).iter().map(text).collect();
    array(&metadata["packages"])
        .iter()
        .filter(|package| members.contains(text(&package["id"])))
        .map(|package| (text(&package["name"]).to_owned(), package))
        .collect()
}

/// Fails with one line per finding.
fn assert_none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

#[test]
fn our_crates_depend_only_on_those_below_them() {
    let metadata = metadata();
    let packages = our_packages(&metadata);
    let ours: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
    assert_eq!(ours, ALLOWED.iter().map(|(name, _)| *name).collect(), "crates of the workspace and of the table in this test");

    let mut findings = Vec::new();
    for (name, allowed) in ALLOWED {
        for dependency in array(&packages[*name]["dependencies"]).iter().map(|d| text(&d["name"])) {
            if ours.contains(dependency) && !allowed.contains(&dependency) {
                findings.push(format!("{name} -> {dependency}"));
            }
        }
    }
    assert_none(&findings, "dependencies that the table does not allow");
}

#[test]
fn only_their_owners_name_the_reserved_libraries() {
    let metadata = metadata();
    let mut findings = Vec::new();
    for (name, package) in our_packages(&metadata) {
        for dependency in array(&package["dependencies"]).iter().map(|d| text(&d["name"])) {
            for (reserved, owners) in RESERVED {
                if dependency.starts_with(reserved) && !owners.contains(&name.as_str()) {
                    findings.push(format!("{name} -> {dependency}, which only {owners:?} may name"));
                }
            }
        }
    }
    // A re-export would go round the table, so the text is searched too.
    for file in rust_sources() {
        if !file.starts_with("store/") && read(&file).contains(concat!("object_", "store::")) {
            findings.push(format!("{file} uses object_store through another crate"));
        }
    }
    assert_none(&findings, "reserved libraries");
}

#[test]
fn pure_crates_stay_pure_all_the_way_down() {
    let metadata = metadata();
    let name_of: BTreeMap<&str, &str> = array(&metadata["packages"]).iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
    let below: BTreeMap<&str, Vec<&str>> = array(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let normal = array(&node["deps"]).iter().filter(|d| array(&d["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()));
            (text(&node["id"]), normal.map(|d| text(&d["pkg"])).collect())
        })
        .collect();

    let mut findings = Vec::new();
    for (name, forbidden) in FORBIDDEN_BELOW {
        let start = text(&our_packages(&metadata)[*name]["id"]).to_owned();
        let mut seen = BTreeSet::new();
        let mut open = vec![start.as_str()];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(&below[id]);
            }
        }
        let found = seen.iter().map(|id| name_of[id]).filter(|n| forbidden.contains(n));
        findings.extend(found.map(|n| format!("{name} reaches {n}")));
    }
    assert_none(&findings, "libraries below crates that must not need them");
}

/// Committed files, as paths from the root.
fn committed_files() -> Vec<String> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let listing = String::from_utf8(output.stdout).unwrap();
    let files: Vec<String> = listing.split('\0').filter(|f| !f.is_empty()).map(str::to_owned).filter(|f| root().join(f).is_file()).collect();
    assert!(files.len() > 30, "git lists only {} files", files.len());
    files
}

/// Committed Rust files under a crate's src.
fn rust_sources() -> Vec<String> {
    committed_files().into_iter().filter(|f| f.ends_with(".rs") && ALLOWED.iter().any(|(name, _)| f.starts_with(&format!("{name}/src/")))).collect()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// Lines before the inline test module, which closes a file.
fn lines_of_code(source: &str) -> usize {
    let lines: Vec<&str> = source.lines().collect();
    let tests = lines.windows(2).position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{'));
    tests.unwrap_or(lines.len())
}

fn is_test_file(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/") || file.ends_with("_tests.rs")
}

#[test]
fn files_are_short_or_say_why_not() {
    let list = read("tests/size_allow.txt");
    let mut allowed = BTreeMap::new();
    for line in list.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (file, reason) = line.split_once(": ").unwrap_or_else(|| panic!("size_allow.txt: {line:?} should be 'path: reason'"));
        allowed.insert(file, reason);
    }
    let mut findings = Vec::new();
    for file in rust_sources().iter().filter(|f| !is_test_file(f)) {
        let lines = lines_of_code(&read(file));
        match (lines > MAX_LINES, allowed.remove(file.as_str())) {
            (true, None) => findings.push(format!("{file}: {lines} lines, more than {MAX_LINES}")),
            (false, Some(_)) => findings.push(format!("{file}: {lines} lines, needs no place in size_allow.txt")),
            _ => {}
        }
    }
    findings.extend(allowed.keys().map(|file| format!("{file}: in size_allow.txt but not in the tree")));
    assert_none(&findings, "file sizes");
}

#[test]
fn every_file_opens_with_what_it_owns() {
    // A crate's README may be its documentation; a `tests.rs` beside a file is about that file.
    let opens = |text: &str| text.starts_with("//!") || text.starts_with("#![doc = include_str!(");
    let findings: Vec<String> = rust_sources().into_iter().filter(|f| !is_test_file(f) && !opens(&read(f))).collect();
    assert_none(&findings, "files that do not open with `//!`");
}

/// Whether `line` holds an absolute path below one of the folders that only a machine of ours has.
fn names_a_machine_path(line: &str) -> bool {
    ["work", "root"].iter().any(|folder| {
        line.match_indices(&format!("/{folder}")).any(|(at, hit)| {
            let before = line[..at].chars().next_back();
            let after = line[at + hit.len()..].chars().next();
            let starts_a_path = before.is_none_or(|c| c.is_whitespace() || "\"'`(=:,[".contains(c)) || line[..at].ends_with("//");
            starts_a_path && after.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '-')
        })
    })
}

#[test]
fn the_search_for_machine_paths_finds_them() {
    for bad in [concat!("cd /wo", "rk"), concat!("\"/ro", "ot/.cargo\""), concat!("file:///wo", "rk/x"), concat!("PATH=/ro", "ot/bin")] {
        assert!(names_a_machine_path(bad), "{bad}");
    }
    for good in ["<root>/tarn.json", "a/work/b", "/workspace", "/rootless", "crate/root", "/loki/api/v1/push"] {
        assert!(!names_a_machine_path(good), "{good}");
    }
}

#[test]
fn no_committed_file_names_a_machine_or_a_registry() {
    // Written in two halves, so that this file does not name them either.
    let registries = [
        concat!("registry.", "npmjs.org"),
        concat!("files.", "pythonhosted.org"),
        concat!("py", "pi.org"),
        concat!("index.", "crates.io"),
        concat!("static.", "crates.io"),
        concat!("proxy.", "golang.org"),
        concat!("repo1.", "maven.org"),
        concat!("deb.", "debian.org"),
    ];
    let mut findings = Vec::new();
    for file in committed_files() {
        // Binary fixtures hold no paths of ours.
        let Ok(content) = std::fs::read_to_string(root().join(&file)) else { continue };
        for (number, line) in content.lines().enumerate() {
            if names_a_machine_path(line) || registries.iter().any(|host| line.contains(host)) {
                findings.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none(&findings, "paths of one machine, or hosts of registries");
}
