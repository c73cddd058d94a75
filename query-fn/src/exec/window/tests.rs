use logql::ast::RangeOp;
use schema::LabelSet;

use super::*;
use crate::logical::Steps;

const ROW: Weight = Weight { rows: 1, bytes: 10 };

fn function(op: RangeOp, unwrapped: bool) -> RangeFunction {
    let steps = Steps { start: 100, step: 50, count: 3 };
    RangeFunction { op, parameter: Some(0.5), range: 60, offset: 0, steps, unwrapped, grouping: None, absent_labels: LabelSet::default() }
}

fn run(function: &RangeFunction, rows: &[(i64, f64)]) -> Vec<(usize, f64)> {
    let mut series = SeriesWindow::new(function);
    for (timestamp, value) in rows {
        series.add(function, *timestamp, ROW, *value);
    }
    series.finish(function)
}

#[test]
fn windows_are_open_on_the_left_and_closed_on_the_right() {
    let count = function(RangeOp::CountOverTime, false);
    assert_eq!(run(&count, &[(40, 0.0)]), []);
    assert_eq!(run(&count, &[(41, 0.0)]), [(0, 1.0)]);
    assert_eq!(run(&count, &[(100, 0.0)]), [(0, 1.0), (1, 1.0)]);
    assert_eq!(run(&count, &[(101, 0.0), (90, 0.0), (141, 0.0)]), [(0, 1.0), (1, 2.0), (2, 1.0)]);
    assert_eq!(run(&count, &[(201, 0.0)]), []);
}

#[test]
fn an_offset_moves_the_data() {
    let mut count = function(RangeOp::CountOverTime, false);
    count.offset = 50;
    assert_eq!(run(&count, &[(50, 0.0)]), [(0, 1.0), (1, 1.0)]);
    count.offset = -50;
    assert_eq!(run(&count, &[(150, 0.0)]), [(0, 1.0), (1, 1.0)]);
}

#[test]
fn rates_are_per_second() {
    let mut rate = function(RangeOp::Rate, false);
    rate.range = 60_000_000_000;
    rate.steps = Steps { start: 60_000_000_000, step: 1, count: 1 };
    assert_eq!(run(&rate, &[(1, 0.0), (2, 0.0), (3, 0.0)]), [(0, 0.05)]);
    rate.op = RangeOp::BytesRate;
    assert_eq!(run(&rate, &[(1, 0.0), (2, 0.0), (3, 0.0)]), [(0, 0.5)]);
    rate.op = RangeOp::BytesOverTime;
    assert_eq!(run(&rate, &[(1, 0.0), (2, 0.0), (3, 0.0)]), [(0, 30.0)]);
}

#[test]
fn functions_of_values() {
    let rows = [(90, 4.0), (80, 1.0), (95, 1.0), (70, 2.0)];
    for (op, expected) in [
        (RangeOp::SumOverTime, 8.0),
        (RangeOp::AvgOverTime, 2.0),
        (RangeOp::MinOverTime, 1.0),
        (RangeOp::MaxOverTime, 4.0),
        (RangeOp::StdvarOverTime, 1.5),
        (RangeOp::StddevOverTime, 1.5f64.sqrt()),
        (RangeOp::QuantileOverTime, 1.5),
        (RangeOp::FirstOverTime, 2.0),
        (RangeOp::LastOverTime, 1.0),
    ] {
        let values = run(&function(op, true), &rows);
        assert!((values[0].1 - expected).abs() < 1e-12, "{op:?} {values:?}");
    }
    assert_eq!(run(&function(RangeOp::SumOverTime, true), &[(90, 4.0), (101, 1.0)]), [(0, 4.0), (1, 1.0)]);
    let mut quantile = function(RangeOp::QuantileOverTime, true);
    quantile.parameter = Some(1.5);
    assert_eq!(run(&quantile, &rows)[0].1, f64::INFINITY);
    quantile.parameter = Some(-1.0);
    assert_eq!(run(&quantile, &rows)[0].1, f64::NEG_INFINITY);
}

#[test]
fn nan_gives_way() {
    let rows = [(90, f64::NAN), (91, 1.0)];
    assert_eq!(run(&function(RangeOp::MinOverTime, true), &rows)[0].1, 1.0);
    assert_eq!(run(&function(RangeOp::MaxOverTime, true), &rows)[0].1, 1.0);
    assert_eq!(average([f64::INFINITY, 1.0].into_iter()), f64::INFINITY);
    assert!(average([f64::INFINITY, f64::NEG_INFINITY].into_iter()).is_nan());
}

#[test]
fn counters_are_extrapolated() {
    const S: i64 = 1_000_000_000;
    // Two samples 10 s apart in a window of 20 s, 5 s from each end: extrapolated by 5 s on both sides.
    assert_eq!(counter_rate(&[(5 * S, 10.0), (15 * S, 20.0)], 0, 20 * S), 20.0);
    // The counter starts at 0, so it cannot have grown before the first sample.
    assert_eq!(counter_rate(&[(5 * S, 0.0), (15 * S, 10.0)], 0, 20 * S), 15.0);
    // A reset from 10 to 5.
    assert_eq!(counter_rate(&[(0, 10.0), (10 * S, 5.0)], 0, 10 * S), 5.0);
    assert_eq!(counter_rate(&[(0, 10.0)], 0, 10 * S), 0.0);
}

/// Windows over every row, the definition, against buckets: random rows, ranges, steps and offsets.
#[test]
fn buckets_give_what_the_rows_give() {
    use proptest::prelude::*;
    const OPS: [RangeOp; 9] = [
        RangeOp::SumOverTime,
        RangeOp::Rate,
        RangeOp::AvgOverTime,
        RangeOp::MinOverTime,
        RangeOp::MaxOverTime,
        RangeOp::StdvarOverTime,
        RangeOp::StddevOverTime,
        RangeOp::FirstOverTime,
        RangeOp::LastOverTime,
    ];
    let rows = proptest::collection::vec((0i64..400, -100i32..100), 0..60);
    proptest!(|(rows in rows, range in 1i64..90, step in 1i64..60, count in 1usize..8, offset in -30i64..30, op in 0usize..OPS.len())| {
        // Distinct timestamps: of equal ones, which is first depends on the order of arrival.
        let rows: std::collections::BTreeMap<i64, f64> = rows.into_iter().map(|(at, value)| (at, f64::from(value) / 8.0)).collect();
        let rows: Vec<(i64, f64)> = rows.into_iter().rev().collect();
        let mut function = function(OPS[op], true);
        function.range = range;
        function.offset = offset;
        function.steps = Steps { start: 100, step, count };
        prop_assert!(Buckets::new(&function).is_some());
        let found = run(&function, &rows);
        let expected = windows(rows, &function);
        prop_assert_eq!(found.len(), expected.len());
        for ((step, value), (wanted_step, wanted)) in found.into_iter().zip(expected) {
            prop_assert_eq!(step, wanted_step);
            prop_assert!((value - wanted).abs() < 1e-9, "{} instead of {}", value, wanted);
        }
    });
}

#[test]
fn memory_does_not_grow_with_rows() {
    let mut average = function(RangeOp::AvgOverTime, true);
    average.range = 1_000_000;
    average.steps = Steps { start: 1_000_000, step: 100_000, count: 20 };
    let mut series = SeriesWindow::new(&average);
    for row in 0..1000 {
        series.add(&average, row, ROW, 1.0);
    }
    let before = series.bytes();
    for row in 0..1_000_000 {
        series.add(&average, row % 1000, ROW, 1.0);
    }
    assert_eq!(series.bytes(), before);
}
