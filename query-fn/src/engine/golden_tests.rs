//! Queries and their plans as text: `golden/plans/*.txt`, over the two chunks of the engine's tests; `golden/hops/*.txt`, with the
//! answer as the last hop, over the four chunks of the codec's tests. Their tokens and trees: `logql/golden/hops.txt`.
//!
//! A case is the query, one line of options (`range START END STEP` or `instant AT`, in seconds; `limit=N`, `forward`,
//! `interval=S`, `tenants=A|B`), `----`, then the explanation. Cases are separated by lines of `====`. `BLESS=1` writes what was got; read
//! the difference before committing it.

use std::fmt::Write as _;
use std::path::Path;

use schema::{TenantSet, Timestamp};

use super::codec_tests::chunks;
use super::tests::{SECOND, engine, spec, two_chunks};
use super::*;
use crate::response::query::{Answer, LabelEncoding, write_answer};

pub(super) fn parse(query: &str, options: &str) -> QuerySpec {
    let mut words = options.split_whitespace();
    let seconds = |words: &mut dyn Iterator<Item = &str>| Timestamp(words.next().unwrap().parse::<i64>().unwrap() * SECOND);
    let evaluation = match words.next().unwrap() {
        "range" => {
            let (start, end) = (seconds(&mut words), seconds(&mut words));
            Evaluation::Range { start, end, step_ns: seconds(&mut words).as_nanos() }
        }
        "instant" => Evaluation::Instant { at: seconds(&mut words) },
        other => panic!("unknown evaluation '{other}'"),
    };
    let mut spec = spec(query, evaluation);
    for word in words {
        match word.split_once('=') {
            None if word == "forward" => spec.direction = Direction::Forward,
            Some(("limit", limit)) => spec.limit = limit.parse().unwrap(),
            Some(("tenants", tenants)) => spec.tenants = TenantSet::parse(tenants).unwrap(),
            Some(("interval", interval)) => spec.interval_ns = interval.parse::<i64>().unwrap() * SECOND,
            _ => panic!("unknown option '{word}'"),
        }
    }
    spec
}

async fn explained(engine: &Engine, query: &str, options: &str) -> String {
    let mut out = String::new();
    match engine.explain(&parse(query, options)).await {
        Ok(explanation) => {
            for (hop, text) in
                [("logical", explanation.logical), ("optimized", explanation.optimized), ("physical", explanation.physical), ("pruned", explanation.pruned)]
            {
                writeln!(out, "{hop}:").unwrap();
                text.lines().for_each(|line| writeln!(out, "  {line}").unwrap());
            }
        }
        Err(error) => writeln!(out, "error: {error}").unwrap(),
    }
    out
}

/// The JSON of Loki, without statistics.
async fn answered(engine: &Engine, query: &str, options: &str) -> String {
    let spec = parse(query, options);
    let (result, statistics, warnings) = match engine.run(&spec).await {
        Ok(answer) => answer,
        Err(error) => return format!("answer:\n  error: {error}\n"),
    };
    let answer = Answer { result: &result, statistics: &statistics, warnings: &warnings, encoding: LabelEncoding::Merged, direction: spec.direction };
    let body = String::from_utf8(write_answer(&answer)).unwrap();
    // One stream or series a line.
    let shown = body.split(r#","stats":"#).next().unwrap().replace(r#"{"stream":"#, "\n  {\"stream\":").replace(r#"{"metric":"#, "\n  {\"metric\":");
    format!("answer:\n  {shown}\n")
}

#[tokio::test]
async fn golden_queries_have_golden_plans() {
    assert!(check("golden/plans", &engine(&two_chunks(), 2).await, false).await > 10);
}

#[tokio::test]
async fn golden_queries_have_golden_plans_and_answers() {
    assert!(check("golden/hops", &engine(&chunks(), 2).await, true).await >= 150);
}

/// How many cases the files of a folder have.
async fn check(folder: &str, engine: &Engine, answers: bool) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut cases = 0;
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let before = std::fs::read_to_string(&file).unwrap();
        let mut after = Vec::new();
        for case in before.split("====\n") {
            let head = case.split("----\n").next().unwrap();
            let (query, options) = head.trim_end().split_once('\n').unwrap();
            let answer = if answers { answered(engine, query, options).await } else { String::new() };
            after.push(format!("{query}\n{options}\n----\n{}{answer}", explained(engine, query, options).await));
        }
        cases += after.len();
        let after = after.join("====\n");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &after).unwrap();
            continue;
        }
        assert_eq!(before, after, "{}", file.display());
    }
    cases
}
