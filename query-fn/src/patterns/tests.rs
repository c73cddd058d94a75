use logql::ast::{LineFilter, LineFilterOp, LineOperand};
use proptest::prelude::*;

use super::*;
use crate::line_filter::LineMatcher;

const SECOND: i64 = 1_000_000_000;

/// Patterns and how many lines each has, of lines without a level.
fn mined(lines: &[&str]) -> Vec<(String, u64)> {
    let mut miner = Miner::new(SECOND);
    let level = miner.level("");
    lines.iter().for_each(|line| miner.add(level, 0, line.as_bytes()));
    miner.mine().patterns.into_iter().map(|pattern| (pattern.pattern, pattern.lines)).collect()
}

fn patterns(lines: &[&str]) -> Vec<String> {
    mined(lines).into_iter().map(|(pattern, _)| pattern).collect()
}

/// Line number `i` is logged in second `i`, so that the samples tell which lines a pattern stands for.
fn mine<L: AsRef<[u8]>>(lines: &[L], most_shapes: usize) -> MinedPatterns {
    let mut miner = Miner::with_most_shapes(SECOND, most_shapes);
    let level = miner.level("info");
    for (second, line) in lines.iter().enumerate() {
        miner.add(level, i64::try_from(second).unwrap() * SECOND, line.as_ref());
    }
    miner.mine()
}

fn matcher(pattern: &str) -> LineMatcher {
    // By way of a query's text, as a client sends it.
    let query = format!("{{app=\"x\"}} |> {}", schema::quote::quote(pattern));
    let Ok(logql::Expr::Log(log)) = logql::parse(&query) else { panic!("{query}") };
    let [logql::ast::Stage::LineFilter(filter)] = log.stages.as_slice() else { panic!("{query}") };
    assert_eq!(*filter, LineFilter { op: LineFilterOp::Pattern, operands: vec![LineOperand::Text(pattern.to_owned())] });
    LineMatcher::compile(std::slice::from_ref(filter)).unwrap()
}

/// Every line is in one pattern, which matches it.
fn check<L: AsRef<[u8]>>(lines: &[L], mined: &MinedPatterns) {
    assert_eq!((mined.left_out, mined.lines_left_out), (0, 0));
    let mut seen = vec![false; lines.len()];
    for MinedPattern { pattern, samples, lines: count, .. } in &mined.patterns {
        assert_eq!(samples.iter().map(|sample| sample.1).sum::<u64>(), *count);
        let matcher = matcher(pattern);
        for (second, lines_then) in samples {
            let number = usize::try_from(*second).unwrap();
            let line = lines[number].as_ref();
            assert_eq!((*lines_then, std::mem::replace(&mut seen[number], true)), (1, false));
            assert!(matcher.matches(line), "{pattern:?} on {:?}", String::from_utf8_lossy(line));
        }
    }
    assert!(seen.into_iter().all(|seen| seen));
}

#[test]
fn values_are_variable_and_text_is_not() {
    let lines = ["took 35ms for 10.0.0.1:80", "took 7ms for 10.0.0.2:8080", "cache is cold", "took 5s for [::1]:80"];
    assert_eq!(mined(&lines), [("took <_> for <_>", 2), ("cache is cold", 1), ("took <_> for [::<_>]:<_>", 1)].map(|(p, n)| (p.to_owned(), n)));
}

#[test]
fn a_value_that_all_lines_have_is_text_where_it_has_letters() {
    assert_eq!(patterns(&["node-3 HTTP/1.1 200 a1", "node-3 HTTP/1.1 200 b2"]), ["node-3 HTTP/1.1 <_> <_>"]);
    assert_eq!(patterns(&["node-3 HTTP/1.1 200 a1"]), ["node-3 HTTP/1.1 <_> a1"]);
}

#[test]
fn lines_that_differ_in_a_word_or_so_are_of_one_pattern() {
    assert_eq!(mined(&["user ann logged in", "user bob logged in", "user cyd logged in"]), [("user <_> logged in".to_owned(), 3)]);
    assert_eq!(patterns(&["user ann logged in", "user ann has left"]).len(), 2);
    // Compared with what the template has become, the third one is no longer alike enough.
    assert_eq!(patterns(&["user ann logged in", "user ann logged out", "user bob logged in"]), ["user ann logged <_>", "user bob logged in"]);
    assert_eq!(patterns(&["user ann logged in", "disk is almost full"]).len(), 2);
    // A value that is the same counts like a word.
    assert_eq!(patterns(&["is ann n3", "is bob n3"]), ["is <_> n3"]);
    assert_eq!(patterns(&["is ann n3", "is bob n4"]), ["is ann n3", "is bob n4"]);
    // The first word tells kinds of lines apart, and so do the names of fields.
    assert_eq!(patterns(&["connected to ann", "refused to ann"]).len(), 2);
    assert_eq!(patterns(&["id=x user=ann ok=yes", "id=x role=ann ok=yes"]).len(), 2);
    assert_eq!(patterns(&["id=x user=ann ok=yes", "id=x user=bob ok=yes"]), ["id=x user=<_> ok=yes"]);
    assert_eq!(patterns(&[r#"{"a":"x y z","b":"p"}"#, r#"{"a":"x y z","b":"q"}"#]), [r#"{"a":"x y z","b":"<_>"}"#]);
}

#[test]
fn many_words_at_one_place_are_values() {
    let name = |i: u8| [char::from(b'a' + i / 26), char::from(b'a' + i % 26)].iter().collect::<String>();
    let lines = |names: u8| (0..names).map(|i| format!("{} in", name(i))).collect::<Vec<_>>();
    let count = |names: u8| mined(&lines(names).iter().map(String::as_str).collect::<Vec<_>>()).len();
    assert_eq!((count(64), count(65)), (64, 1));
}

/// All of these broke, or would break, the rule that the pattern matches: text that looks like a capture, delimiters inside of values, ends of lines.
#[test]
fn awkward_lines_match_their_patterns() {
    let lines: Vec<&[u8]> = vec![
        b"",
        b" ",
        b".",
        b"a",
        b"1",
        b"<_>",
        b"<_><_>",
        b"<1>",
        b"<init>",
        b"at Foo.<init>(Foo.java:10)",
        b"at Foo.<clinit>(Foo.java:11)",
        b"<a1><a1>",
        b"<a1><a2>",
        b"1: 2:",
        b"10:20: 30:",
        b"x1:::y1",
        b"/a?b=1,2;3 ,",
        b"/a?b=1,2;3,",
        b"http://h1/p?q=a!b? c!",
        b"\xff",
        b"\xff\xfe \xfa",
        b"a\xfcb",
        b"\0\x01\n\r\t",
        b"\"quoted \\\"1\\\" `x`\"",
        "naïve 1ü".as_bytes(),
        b"1 1 1 1",
        b"aa1aa1 aa1",
        b"end1.",
        b"end1. ",
    ];
    for copies in 1..3 {
        let lines = lines.repeat(copies);
        for most_shapes in [MOST_SHAPES, 8, 1] {
            check(&lines, &mine(&lines, most_shapes));
        }
    }
}

#[test]
fn text_that_looks_like_a_capture_is_variable() {
    assert_eq!(patterns(&["in Foo.<init> ok"]), ["in Foo.<<_>> ok"]);
    assert_eq!(patterns(&["x <_> y"]), ["x <<_>> y"]);
    assert_eq!(patterns(&["x <a b> y"]), ["x <a b> y"]);
}

#[test]
fn empty_lines_have_the_pattern_that_matches_only_them() {
    assert_eq!(mined(&["", "", "x"]), [(String::new(), 2), ("x".to_owned(), 1)]);
}

#[test]
fn the_rest_of_long_lines_is_variable() {
    let long = format!("start {} end", "x".repeat(MOST_LINE_BYTES));
    assert_eq!(patterns(&[&long]), ["start <_>"]);
    let lines = [long.clone(), long.replace(' ', "\t"), vec!["w"; 400].join(", "), "(".repeat(2 * MOST_LINE_BYTES), "ü".repeat(MOST_LINE_BYTES)];
    check(&lines, &mine(&lines, MOST_SHAPES));
}

#[test]
fn lines_are_counted_by_level_and_step() {
    let mut miner = Miner::new(10 * SECOND);
    let (info, error) = (miner.level("info"), miner.level("error"));
    for (level, second) in [(info, 9), (info, 10), (info, 19), (error, 19), (info, -1), (error, 29)] {
        miner.add(level, second * SECOND + 999_999_999, b"took 1s");
    }
    let of = |level: &str, samples: &[(i64, u64)]| MinedPattern {
        pattern: "took <_>".to_owned(),
        level: level.to_owned(),
        samples: samples.to_vec(),
        lines: samples.iter().map(|sample| sample.1).sum(),
    };
    let expected = vec![of("info", &[(-10, 1), (0, 1), (10, 2)]), of("error", &[(10, 1), (20, 1)])];
    assert_eq!(miner.mine(), MinedPatterns { patterns: expected, left_out: 0, lines_left_out: 0 });
}

#[test]
fn steps_are_a_second_at_least() {
    let mut miner = Miner::new(SECOND / 10);
    let level = miner.level("");
    (0..4).for_each(|i| miner.add(level, 5 * SECOND + i * SECOND / 2, b"x"));
    assert_eq!(miner.mine().patterns[0].samples, [(5, 2), (6, 2)]);
    let mut miner = Miner::new(SECOND * 3 / 2);
    let level = miner.level("");
    (0..4).for_each(|i| miner.add(level, i * SECOND, b"x"));
    assert_eq!(miner.mine().patterns[0].samples, [(0, 2), (1, 1), (3, 1)]);
}

#[test]
fn what_is_left_out_is_counted() {
    let mut miner = Miner::new(SECOND);
    let levels: Vec<usize> = (0..MOST_PATTERNS + 7).map(|i| miner.level(&i.to_string())).collect();
    for &level in &levels {
        (0..if level < 5 { 1 } else { 2 }).for_each(|_| miner.add(level, 0, b"x"));
    }
    let mined = miner.mine();
    assert_eq!((mined.patterns.len(), mined.left_out, mined.lines_left_out), (MOST_PATTERNS, 7, 5 + 2 * 2));
    assert!(mined.patterns.iter().all(|pattern| pattern.lines == 2));
}

#[test]
fn memory_does_not_follow_the_number_of_kinds_of_lines() {
    let mut miner = Miner::with_most_shapes(SECOND, 500);
    let level = miner.level("");
    let letters = |i: u32| format!("{i:08b}").replace('0', "a").replace('1', "b");
    let mut most = 0;
    for i in 0..20_000 {
        miner.add(level, 0, format!("{} of {} is {}", letters(i / 97), letters(i), letters(i % 97)).as_bytes());
        most = most.max(miner.bytes());
    }
    assert!(most < 500 * 400, "{most}");
    assert_eq!(miner.mine().patterns.iter().map(|pattern| pattern.lines).sum::<u64>(), 20_000);
}

/// A load to measure, with `time` and an optimised build.
#[test]
#[ignore = "a load to measure, not a check"]
fn a_million_lines() {
    let mut miner = Miner::new(60 * SECOND);
    let level = miner.level("info");
    let names = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"];
    for n in 0..1_000_000 {
        let name = names[usize::try_from(n % 8).unwrap()];
        let line = match n % 5 {
            0 => format!("2026-11-01T10:00:00.{n:06}Z INFO [worker-{}] c.e.shop.OrderService - Order {n} placed by customer {name}", n % 16),
            1 => format!("10.0.{}.{} - - [01/Nov/2026:10:00:00 +0000] \"GET /api/{name}?page={n} HTTP/1.1\" 200 {n} \"-\" \"curl/8.9.1\"", n % 7, n % 251),
            2 => format!("ts=2026-11-01T10:00:00Z level=info caller=pool.go:40 msg=\"slow query\" table={name} rows={n} duration={}ms", n % 1000),
            3 => format!("{{\"time\":\"2026-11-01T10:00:00Z\",\"level\":\"info\",\"msg\":\"user signed in\",\"user\":{{\"id\":{n},\"name\":\"{name}\"}}}}"),
            _ => format!("Nov  1 10:00:00 gate sshd[{n}]: Failed password for invalid user {name} from 198.51.100.{} port {n} ssh2", n % 256),
        };
        miner.add(level, n * SECOND / 1000, line.as_bytes());
    }
    assert_eq!(miner.mine().patterns.iter().map(|pattern| pattern.lines).sum::<u64>(), 1_000_000);
}

/// Pieces of lines in which the rules about delimiters, captures and ends could go wrong.
fn awkward_line() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"a",
        b"b",
        b"1",
        b"x2",
        b" ",
        b" ",
        b".",
        b":",
        b"=",
        b",",
        b"?",
        b"!",
        b"/",
        b"<",
        b">",
        b"<_>",
        b"<a>",
        b"\"",
        b"{",
        b"}",
        b"\xff",
        b"\xfc",
        "ü".as_bytes(),
        b"://",
        b"\n",
        b"-",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..12).prop_map(|pieces| pieces.concat())
}

/// Lines as programs write them, of a few kinds, with values that vary little or much.
fn usual_line() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(vec![
        "2026-11-01T10:00:0#Z INFO worker-#: job % finished in #ms",
        "level=% msg=\"% % from 10.0.0.#\" dur=#.#s",
        "{\"level\":\"%\",\"status\":#,\"path\":\"/api/%/#?page=#&sort=%\"}",
        "% % %: %",
        "Accepted password for % from 192.168.0.# port # ssh2",
        "at com.example.<init>(Main.java:#) <%>",
    ]);
    let word = prop::sample::select(vec!["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]);
    (kind, prop::collection::vec(word, 5), 0..400u32).prop_map(|(kind, words, number)| {
        let mut words = words.into_iter().cycle();
        let text = kind.chars().map(|c| match c {
            '%' => words.next().unwrap_or("").to_owned(),
            '#' => number.to_string(),
            other => other.to_string(),
        });
        text.collect::<String>().into_bytes()
    })
}

proptest! {
    #[test]
    fn each_line_matches_the_pattern_it_is_counted_under(lines in prop::collection::vec(awkward_line(), 0..60), most_shapes in 0..64usize) {
        check(&lines, &mine(&lines, most_shapes));
        check(&lines, &mine(&lines, MOST_SHAPES));
    }

    #[test]
    fn each_usual_line_matches_the_pattern_it_is_counted_under(lines in prop::collection::vec(usual_line(), 0..200), most_shapes in 0..64usize) {
        check(&lines, &mine(&lines, most_shapes));
        check(&lines, &mine(&lines, MOST_SHAPES));
    }

    /// In any order, in one miner or in several.
    #[test]
    fn order_does_not_matter(lines in prop::collection::vec((usual_line(), 0..3usize), 0..200), seed in any::<u64>()) {
        let whole = of_parts(&lines, &[0]);
        let mut shuffled = lines.clone();
        let mut state = seed;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
        }
        prop_assert_eq!(&of_parts(&shuffled, &[0, shuffled.len() / 3, shuffled.len() / 2]), &whole);
    }
}

/// What miners of the parts, which begin where `starts` says, have found together. The number beside a line is its level and its second.
fn of_parts(lines: &[(Vec<u8>, usize)], starts: &[usize]) -> MinedPatterns {
    let mut all = Miner::new(SECOND);
    for (i, start) in starts.iter().enumerate() {
        let mut miner = Miner::new(SECOND);
        for (line, number) in &lines[*start..*starts.get(i + 1).unwrap_or(&lines.len())] {
            let level = miner.level(["info", "warn", "error"][*number]);
            miner.add(level, i64::try_from(*number).unwrap() * SECOND, line);
        }
        all.absorb(miner);
    }
    all.mine()
}
