//! Golden lines and their patterns: `golden/patterns/*.txt`. A case is lines, `----`, and the patterns, each behind its number of lines; lines that begin with
//! `# ` are comments. Cases are separated by lines of `====`. `BLESS=1` writes what was got; read the difference before committing it.
//! Then what the engine adds: which rows are mined.

use std::path::Path;

use schema::Timestamp;

use super::super::tests::{Pushed, SECOND, engine, engine_of};
use super::*;

const LEVELS: [&str; 3] = ["info", "warn", "error"];

fn mined(lines: &[&str]) -> String {
    let mut miner = Miner::new(SECOND);
    let level = miner.level("");
    lines.iter().for_each(|line| miner.add(level, 0, line.as_bytes()));
    miner.mine().patterns.iter().map(|pattern| format!("{} {}\n", pattern.lines, pattern.pattern)).collect()
}

#[test]
fn golden_lines_have_golden_patterns() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/patterns");
    let (mut cases, mut failures) = (0, Vec::new());
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut blessed = Vec::new();
        for case in text.split("\n====\n") {
            let (input, expected) = case.split_once("----\n").unwrap_or_else(|| panic!("{}: no ---- in: {case}", path.display()));
            let lines: Vec<&str> = input.lines().filter(|line| !line.starts_with("# ")).collect();
            let got = mined(&lines);
            if got.trim_end() != expected.trim_end() {
                failures.push(format!("{}\n{input}expected:\n{expected}\ngot:\n{got}", path.display()));
            }
            blessed.push(format!("{input}----\n{got}"));
            cases += 1;
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, blessed.join("\n====\n")).unwrap();
            failures.clear();
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(cases >= 9);
}

const WEB: &str = r#"{app="web"}"#;
const DB: &str = r#"{app="db"}"#;

fn row(labels: &'static str, second: i64, level: &str, line: &str) -> Pushed {
    (labels, second * SECOND, line.to_owned(), vec![("detected_level", level.to_owned()), ("trace_id", second.to_string())])
}

/// A minute of lines of three kinds, three a second.
fn minute(labels: &'static str) -> Vec<Pushed> {
    let kinds = |second: i64| {
        [
            row(labels, second, "info", &format!("took {second}ms for GET")),
            row(labels, second, LEVELS[usize::try_from(second % 2).unwrap()], "cache is cold"),
            row(labels, second, "error", &format!("no answer from 10.0.0.{second}")),
        ]
    };
    (0..60).flat_map(kinds).collect()
}

fn spec(selector: &str, start: i64, end: i64, step: i64) -> PatternsSpec {
    PatternsSpec {
        tenants: TenantId::default_tenant().into(),
        matchers: logql::parse_selector(selector).unwrap(),
        range: TimeRange::new(Timestamp(start * SECOND), Timestamp(end * SECOND)),
        step: step * SECOND,
    }
}

async fn patterns(engine: &Engine, selector: &str, start: i64, end: i64, step: i64) -> Vec<(String, String, Vec<(i64, u64)>)> {
    let (patterns, warnings) = engine.patterns(&spec(selector, start, end, step)).await.unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    patterns.into_iter().map(|pattern| (pattern.pattern, pattern.level, pattern.samples)).collect()
}

fn of(pattern: &str, level: &str, samples: &[(i64, u64)]) -> (String, String, Vec<(i64, u64)>) {
    (pattern.to_owned(), level.to_owned(), samples.to_vec())
}

#[tokio::test]
async fn the_lines_of_several_tenants_are_mined_together() {
    let engine = engine_of(&[("a", &[minute(WEB)]), ("b", &[minute(WEB), minute(DB)]), ("c", &[minute(WEB)])], 2).await;
    for (selector, lines) in
        [(r#"{app="web"}"#, 120), (r#"{app=~".+"}"#, 180), (r#"{app=~".+", __tenant_id__="b"}"#, 120), (r#"{app="web", __tenant_id__!="b"}"#, 60)]
    {
        let spec = PatternsSpec { tenants: TenantSet::parse("a|b").unwrap(), ..spec(selector, 0, 60, 60) };
        let (patterns, _) = engine.patterns(&spec).await.unwrap();
        assert_eq!((patterns[0].pattern.as_str(), patterns[0].samples.as_slice()), ("no answer from <_>", &[(0, lines)][..]), "{selector}");
    }
    let spec = PatternsSpec { tenants: TenantSet::parse("a|b").unwrap(), ..spec(r#"{app="web", __tenant_id__="c"}"#, 0, 60, 60) };
    assert!(engine.patterns(&spec).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn lines_of_the_selector_and_the_time_are_mined_by_level() {
    let engine = engine(&[minute(WEB), minute(DB)], 2).await;
    let expected = [
        of("no answer from <_>", "error", &[(0, 15), (20, 20), (40, 1)]),
        of("took <_> for GET", "info", &[(0, 15), (20, 20), (40, 1)]),
        of("cache is cold", "info", &[(0, 7), (20, 10), (40, 1)]),
        of("cache is cold", "warn", &[(0, 8), (20, 10)]),
    ];
    assert_eq!(patterns(&engine, r#"{app="web"}"#, 5, 41, 20).await, expected);
    assert_eq!(patterns(&engine, r#"{app="none"}"#, 5, 41, 20).await, []);
    assert_eq!(patterns(&engine, r#"{app="web"}"#, 41, 41, 20).await, []);
    let both = patterns(&engine, r#"{app=~".+"}"#, 0, 60, 60).await;
    assert_eq!(both[0], of("no answer from <_>", "error", &[(0, 120)]));
}

#[tokio::test]
async fn it_does_not_matter_in_which_chunks_the_lines_lie() {
    let rows = minute(WEB);
    let whole = patterns(&engine(std::slice::from_ref(&rows), 1).await, r#"{app="web"}"#, 0, 60, 10).await;
    assert_eq!(whole.iter().flat_map(|pattern| &pattern.2).map(|sample| sample.1).sum::<u64>(), 180);
    // Every seventh row, and the others twice, as after a push that was repeated.
    let (some, others): (Vec<_>, Vec<_>) = rows.into_iter().enumerate().partition(|(i, _)| i % 7 == 0);
    let rows = |rows: &[(usize, Pushed)]| rows.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>();
    let mut half = rows(&others);
    half.truncate(70);
    for partitions in [1, 3] {
        let engine = engine(&[half.clone(), rows(&others), rows(&some)], partitions).await;
        assert_eq!(patterns(&engine, r#"{app="web"}"#, 0, 60, 10).await, whole);
    }
}

#[tokio::test]
async fn an_entry_without_a_level_has_the_level_unknown() {
    let rows = vec![
        (WEB, SECOND, "x".to_owned(), Vec::new()),
        row(WEB, 2, "info", "x"),
        (r#"{app="web", detected_level="warn"}"#, SECOND, "x".to_owned(), Vec::new()),
    ];
    let found = patterns(&engine(&[rows], 1).await, r#"{app="web"}"#, 0, 60, 60).await;
    assert_eq!(found, [of("x", "info", &[(0, 1)]), of("x", "unknown", &[(0, 1)]), of("x", "warn", &[(0, 1)])]);
}

#[tokio::test]
async fn deleted_lines_are_in_no_pattern() {
    let engine = engine(&[minute(WEB)], 2).await;
    super::super::delete_tests::ask_for(&engine, "00000001", r#"{app="web"} |= "took""#, 0, 9 * SECOND).await;
    let found = patterns(&engine, r#"{app="web"}"#, 0, 60, 60).await;
    let took: Vec<_> = found.iter().filter(|pattern| pattern.0.starts_with("took")).collect();
    assert_eq!(took, [&of("took <_> for GET", "info", &[(0, 50)])]);
}

#[tokio::test]
async fn more_patterns_than_an_answer_has_are_warned_of() {
    let word = |i: usize| format!("{i:012b}").replace('0', "a").replace('1', "b");
    // Levels keep them apart.
    let rows: Vec<Pushed> = (0..MOST_PATTERNS + 3).map(|i| row(WEB, 1, &format!("level{i}"), &word(i))).collect();
    let (patterns, warnings) = engine(&[rows], 1).await.patterns(&spec(r#"{app="web"}"#, 0, 60, 60)).await.unwrap();
    assert_eq!(patterns.len(), MOST_PATTERNS);
    assert!(matches!(warnings.as_slice(), [only] if only.contains(" 1000 ") && only.contains(" 3 lines of 3 other patterns ")), "{warnings:?}");
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_an_error() {
    let mut engine = engine(&[minute(WEB)], 1).await;
    engine.limits.max_query_memory_bytes = 1000;
    let error = engine.patterns(&spec(r#"{app="web"}"#, 0, 60, 60)).await.unwrap_err();
    assert!(matches!(error, QueryError::Memory { .. }), "{error}");
}
