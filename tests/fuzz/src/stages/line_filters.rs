//! Line filters over a buffer of lines. An input is a list of operands, an empty part, and the lines. The first character of an
//! operand says how it is compared: `=` contains, `~` regex, `>` pattern, `i` address; in front of it `!` negates and `|` joins it
//! to the operand before.

use std::net::IpAddr;

use logql::ast::{LineFilter, LineFilterOp, LineOperand};
use query_fn::line_filter::{LineMatcher, Lines, translate_regex};

use super::text;

/// What the search over the buffer selects is what matches line by line, and that is what the operands mean.
pub fn run_line_filters(data: &[u8]) {
    let mut parts = data.split(|&byte| byte == 0x1e);
    let operands: Option<Vec<&str>> = parts.by_ref().take_while(|part| !part.is_empty()).map(text).collect();
    let Some(filters) = operands.and_then(|operands| filters(&operands)) else { return };
    let text: Vec<u8> = parts.collect::<Vec<_>>().join(&0x1e);
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    let matcher = match LineMatcher::compile(&filters) {
        Ok(matcher) => matcher,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let expected: Vec<usize> = (0..lines.len()).filter(|&row| lines.get(row).is_some_and(|line| matcher.matches(line))).collect();
    for before in [&b""[..], b"before "] {
        check_select(&matcher, &lines, before, &expected, &filters);
    }
    if let ([filter], false) = (filters.as_slice(), filters.is_empty())
        && let [operand] = filter.operands.as_slice()
    {
        for line in &lines {
            if let Some(meant) = meaning(filter.op, operand, line) {
                let shown = String::from_utf8_lossy(line);
                assert_eq!(matcher.matches(line), meant != filter.op.is_negative(), "{filter:?} on {shown:?}");
            }
        }
    }
}

fn filters(operands: &[&str]) -> Option<Vec<LineFilter>> {
    let mut filters: Vec<LineFilter> = Vec::new();
    for operand in operands {
        let (joined, rest) = operand.strip_prefix('|').map_or((false, *operand), |rest| (true, rest));
        let (negative, rest) = rest.strip_prefix('!').map_or((false, rest), |rest| (true, rest));
        let mut chars = rest.chars();
        let kind = chars.next()?;
        let wanted = chars.as_str().to_owned();
        let (op, operand) = match (kind, negative) {
            ('=', false) => (LineFilterOp::Contains, LineOperand::Text(wanted)),
            ('=', true) => (LineFilterOp::NotContains, LineOperand::Text(wanted)),
            ('~', false) => (LineFilterOp::Regex, LineOperand::Text(wanted)),
            ('~', true) => (LineFilterOp::NotRegex, LineOperand::Text(wanted)),
            ('>', false) => (LineFilterOp::Pattern, LineOperand::Text(wanted)),
            ('>', true) => (LineFilterOp::NotPattern, LineOperand::Text(wanted)),
            ('i', false) => (LineFilterOp::Contains, LineOperand::Ip(wanted)),
            ('i', true) => (LineFilterOp::NotContains, LineOperand::Ip(wanted)),
            _ => return None,
        };
        match filters.last_mut().filter(|last| joined && last.op == op) {
            Some(last) => last.operands.push(operand),
            None => filters.push(LineFilter { op, operands: vec![operand] }),
        }
    }
    Some(filters)
}

/// Selects from the lines, laid one after the other behind `before`, as a whole and in two halves.
fn check_select(matcher: &LineMatcher, lines: &[&[u8]], before: &[u8], expected: &[usize], filters: &[LineFilter]) {
    let mut values = before.to_vec();
    let mut offsets = vec![i32::try_from(values.len()).expect("inputs are short")];
    for line in lines {
        values.extend_from_slice(line);
        offsets.push(i32::try_from(values.len()).expect("inputs are short"));
    }
    values.extend_from_slice(b"behind");
    let buffer = Lines::new(&offsets, &values);
    let mut whole = Vec::new();
    matcher.select(&buffer, 0..lines.len(), &mut whole);
    assert_eq!(whole, expected, "{filters:?} on {lines:?}");
    let half = lines.len() / 2;
    let mut halves = Vec::new();
    matcher.select(&buffer, 0..half, &mut halves);
    matcher.select(&buffer, half..lines.len(), &mut halves);
    assert_eq!(halves, expected, "{filters:?} in two halves of {lines:?}");
}

/// Whether the operand matches, found another way; `None` where there is no other way.
fn meaning(op: LineFilterOp, operand: &LineOperand, line: &[u8]) -> Option<bool> {
    match (operand, op) {
        (LineOperand::Ip(pattern), _) => {
            let wanted: IpAddr = pattern.parse().ok()?;
            let found: IpAddr = text(line)?.parse().ok()?;
            // Shorter addresses are not looked for; see the rules of the search.
            (line.len() >= 7).then_some(wanted == found)
        }
        (LineOperand::Text(needle), LineFilterOp::Contains | LineFilterOp::NotContains) => {
            Some(needle.is_empty() || line.windows(needle.len()).any(|window| window == needle.as_bytes()))
        }
        (LineOperand::Text(pattern), LineFilterOp::Regex | LineFilterOp::NotRegex) => {
            let regex = regex::bytes::Regex::new(&translate_regex(pattern).ok()?).ok()?;
            // An empty branch beside literals is left out, as in Loki.
            (!regex.is_match(b"")).then(|| regex.is_match(line))
        }
        (LineOperand::Text(_), LineFilterOp::Pattern | LineFilterOp::NotPattern) => None,
    }
}
