//! Patterns mined from lines. An input is a list of lines, after a first line of which the first byte is the bound on shapes.

use logql::ast::{LineFilter, LineFilterOp, LineOperand};
use query_fn::line_filter::LineMatcher;
use query_fn::patterns::{MOST_SHAPES, MinedPatterns, Miner};

const SECOND: i64 = 1_000_000_000;

/// Each line is counted under one pattern, which matches it; without a low bound on shapes, the order of the lines does not matter.
pub fn run_patterns(data: &[u8]) {
    let mut lines: Vec<&[u8]> = data.split(|&byte| byte == b'\n').collect();
    let bound = lines.remove(0).first().copied().unwrap_or(0);
    check(&lines, &mined(lines.iter().copied().enumerate(), usize::from(bound)));
    let whole = mined(lines.iter().copied().enumerate(), MOST_SHAPES);
    check(&lines, &whole);
    if lines.len() < MOST_SHAPES {
        assert_eq!(mined(lines.iter().copied().enumerate().rev(), MOST_SHAPES), whole);
        let (even, odd): (Vec<_>, Vec<_>) = lines.iter().copied().enumerate().partition(|(number, _)| number % 2 == 0);
        let mut miner = miner(even.into_iter(), MOST_SHAPES);
        miner.absorb(self::miner(odd.into_iter(), MOST_SHAPES));
        assert_eq!(miner.mine(), whole);
    }
}

/// Line `n` is logged in second `n`, so that the samples say which lines a pattern stands for.
fn miner<'a>(lines: impl Iterator<Item = (usize, &'a [u8])>, bound: usize) -> Miner {
    let mut miner = Miner::with_most_shapes(SECOND, bound);
    let level = miner.level("info");
    for (number, line) in lines {
        let second = i64::try_from(number).expect("inputs are short");
        miner.add(level, second * SECOND, line);
    }
    miner
}

fn mined<'a>(lines: impl Iterator<Item = (usize, &'a [u8])>, bound: usize) -> MinedPatterns {
    miner(lines, bound).mine()
}

fn check(lines: &[&[u8]], mined: &MinedPatterns) {
    let mut seen = vec![false; lines.len()];
    for mined in &mined.patterns {
        assert_eq!(mined.samples.iter().map(|(_, lines)| lines).sum::<u64>(), mined.lines);
        let filter = LineFilter { op: LineFilterOp::Pattern, operands: vec![LineOperand::Text(mined.pattern.clone())] };
        let Ok(matcher) = LineMatcher::compile(&[filter]) else { panic!("{:?} is no pattern", mined.pattern) };
        for (second, count) in &mined.samples {
            let number = usize::try_from(*second).expect("no second is negative");
            let (Some(line), Some(seen)) = (lines.get(number), seen.get_mut(number)) else { panic!("there is no line {number}") };
            assert!(matcher.matches(line), "{:?} on {:?}", mined.pattern, String::from_utf8_lossy(line));
            assert_eq!((*count, std::mem::replace(seen, true)), (1, false));
        }
    }
    let counted = seen.iter().filter(|seen| **seen).count();
    assert_eq!(u64::try_from(counted).expect("inputs are short") + mined.lines_left_out, u64::try_from(lines.len()).expect("inputs are short"));
}
