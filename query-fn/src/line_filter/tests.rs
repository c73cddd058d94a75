use logql::ast::{LineFilter, LineFilterOp, LineOperand};
use proptest::prelude::*;

use super::*;

fn filter(op: LineFilterOp, operands: &[&str]) -> LineFilter {
    LineFilter { op, operands: operands.iter().map(|text| LineOperand::Text((*text).to_owned())).collect() }
}

fn ip(op: LineFilterOp, pattern: &str) -> LineFilter {
    LineFilter { op, operands: vec![LineOperand::Ip(pattern.to_owned())] }
}

fn passes(filter: LineFilter, line: &str) -> bool {
    LineMatcher::compile(&[filter]).unwrap().matches(line.as_bytes())
}

/// Rows that pass, found over the whole buffer.
fn select(filters: &[LineFilter], lines: &[&[u8]]) -> Vec<usize> {
    let mut offsets = vec![0];
    let mut values = Vec::new();
    for line in lines {
        values.extend_from_slice(line);
        offsets.push(i32::try_from(values.len()).unwrap());
    }
    let mut out = Vec::new();
    LineMatcher::compile(filters).unwrap().select(&Lines::new(&offsets, &values), 0..lines.len(), &mut out);
    out
}

use LineFilterOp::{Contains, NotContains, NotPattern, NotRegex, Pattern, Regex};

/// spec/logql.md section 3.1.
#[test]
fn literals() {
    assert!(passes(filter(Contains, &["b"]), "abc"));
    assert!(!passes(filter(Contains, &["B"]), "abc"));
    assert!(passes(filter(Contains, &[""]), ""));
    assert!(!passes(filter(NotContains, &[""]), "abc"));
    assert!(passes(filter(Contains, &["x", "b"]), "abc"));
    assert!(!passes(filter(NotContains, &["x", "b"]), "abc"));
    assert!(passes(filter(NotContains, &["x", "y"]), "abc"));
    // An operand that matches everything is dropped from the chain.
    assert!(!passes(filter(Contains, &["", "foo"]), "abc"));
}

#[test]
fn regexes() {
    for (pattern, line, expected) in [
        ("", "abc", true),
        (".*", "", true),
        (".+", "", false),
        ("a.c", "a\nc", false),
        ("(?s)a.c", "a\nc", true),
        ("(?i)ERR", "some error", true),
        ("foo|", "bar", false),
        ("foo|", "a foo", true),
        ("^a$", "a", true),
        ("^a$", "ab", false),
        ("^b", "ab", false),
        (r"\d+", "٣", false),
        (r"\w", "é", false),
        (r"[\d\-]x", "-x", true),
        (r"\bfoo\b", "éfooé", true),
        (r#"{"a""#, r#"x {"a": 1}"#, true),
        ("a{2}", "aa", true),
        ("a{2}", "a{2}", false),
        ("a{,2}", "a{,2}", true),
        (r"\Qa.b\E+", "a.bb", true),
        ("[[]", "[", true),
        ("[a&&b]", "&", true),
        ("[+--]x", ",x", true),
        ("[]a]", "]", true),
        (r"\<x\>", "<x>", true),
        (r"\pL", "é", true),
        ("status=(500|503)", "status=503", true),
    ] {
        assert_eq!(passes(filter(Regex, &[pattern]), line), expected, "{pattern} on {line}");
        assert_eq!(passes(filter(NotRegex, &[pattern]), line), !expected, "not {pattern} on {line}");
        assert_eq!(select(&[filter(Regex, &[pattern])], &[b"", line.as_bytes(), b""]).contains(&1), expected, "{pattern} in a buffer with {line}");
    }
    for pattern in ["(", "(?x)a", "a**b(", r"\8", "(?=a)"] {
        assert!(LineMatcher::compile(&[filter(Regex, &[pattern])]).is_err(), "{pattern}");
    }
}

#[test]
fn patterns() {
    for (pattern, line, expected) in [
        ("", "", true),
        ("", "a", false),
        ("<_>", "a", true),
        ("<_>", "", false),
        ("foo", "a foo", true),
        ("foo", "a foo b", false),
        ("foo <_>", "a foo b", true),
        ("foo <_>", "a foo ", false),
        ("<_> foo", "a foo", true),
        ("<_> foo", " foo", false),
        ("<_> foo <_> bar", "a foo x bar", true),
        ("<_> foo <_> bar", "a foo  bar", false),
        ("a<_>b", "axbxb", false),
        ("<1>", "<1>", true),
    ] {
        assert_eq!(passes(filter(Pattern, &[pattern]), line), expected, "{pattern} on {line}");
        assert_eq!(passes(filter(NotPattern, &[pattern]), line), !expected, "not {pattern} on {line}");
        assert_eq!(select(&[filter(Pattern, &[pattern])], &[b"x", line.as_bytes(), b"y"]).contains(&1), expected, "{pattern} in a buffer with {line}");
    }
    for pattern in ["<_><_>", "<a> <_>"] {
        assert!(LineMatcher::compile(&[filter(Pattern, &[pattern])]).is_err(), "{pattern}");
    }
}

#[test]
fn addresses() {
    for (pattern, line, expected) in [
        ("10.0.0.1", "from 10.0.0.1 to", true),
        ("10.0.0.1", "from 10.0.0.12 to", false),
        ("10.0.0.0/8", "x=10.255.3.4,", true),
        ("10.0.0.0/8", "x=11.255.3.4,", false),
        ("0.0.0.0/0", "no address 1.2.3 here", false),
        ("10.0.0.1-10.0.0.3", "10.0.0.2", true),
        ("10.0.0.1-10.0.0.3", "10.0.0.4", false),
        ("2001:db8::/32", "peer 2001:db8:0:1::5 up", true),
        ("2001:db8::/32", "peer 2001:db9::5 up", false),
        ("::1", "on ::1.", false),
        ("::1", "on ::1 now", true),
    ] {
        assert_eq!(passes(ip(Contains, pattern), line), expected, "{pattern} on {line}");
        assert_eq!(passes(ip(NotContains, pattern), line), !expected, "not {pattern} on {line}");
    }
    assert!(LineMatcher::compile(&[ip(Contains, "10.0.0")]).is_err());
    assert!(LineMatcher::compile(&[ip(Regex, "10.0.0.1")]).is_err());
}

#[test]
fn a_hit_across_two_lines_is_none() {
    assert_eq!(select(&[filter(Contains, &["ab"])], &[b"xa", b"b", b"ab"]), [2]);
    assert_eq!(select(&[filter(Contains, &["aa"])], &[b"a", b"aa", b"a"]), [1]);
    assert_eq!(select(&[filter(Regex, &["abc|ab"])], &[b"xab", b"c", b"abc"]), [0, 2]);
    assert_eq!(select(&[filter(Regex, &["a.b"])], &[b"a", b"xb", b"a-b"]), [2]);
    assert_eq!(select(&[filter(NotContains, &["b"])], &[b"a", b"b", b"", b"b"]), [0, 2]);
}

proptest! {
    /// The buffer search gives what asking every line gives.
    #[test]
    fn buffer_and_lines_agree(
        lines in prop::collection::vec("[ab.10]{0,6}", 0..40),
        chosen in prop::collection::vec((0usize..6, prop::collection::vec(prop::sample::select(vec!["", "a", "ab", "aa", "b.a", "a.*b", "(?i)AB", "a|bb", "ab0|ab", "^a", "[ab]1", "1<_>0", "<_>a", "abab|1010"]), 1..3)), 1..4),
    ) {
        let ops = [Contains, NotContains, Regex, NotRegex, Pattern, NotPattern];
        let filters: Vec<LineFilter> = chosen.iter().map(|(op, operands)| filter(ops[*op], operands)).collect();
        let matcher = LineMatcher::compile(&filters).unwrap();
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let expected: Vec<usize> = (0..lines.len()).filter(|&row| matcher.matches(lines[row])).collect();
        prop_assert_eq!(select(&filters, &lines), expected);
    }
}
