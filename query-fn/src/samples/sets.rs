//! `and`, `or`, `unless`.

use std::collections::{HashMap, HashSet};

use logql::ast::{BinaryOp, VectorMatching};
use schema::LabelSet;

use super::matching::signature;
use crate::result::Series;

/// The set operator applied at every instant by itself: a sample of one side is there or not there for the other side when
/// some series with its signature has a sample at that instant. Left series come first.
pub fn set_operation(op: BinaryOp, matching: Option<&VectorMatching>, left: Vec<Series>, right: Vec<Series>) -> Vec<Series> {
    let mut out = match op {
        BinaryOp::And => filter(left, &instants(&right, matching), matching, true),
        BinaryOp::Unless => filter(left, &instants(&right, matching), matching, false),
        _ => {
            let present = instants(&left, matching);
            merge(left, filter(right, &present, matching, false))
        }
    };
    out.retain(|series| !series.samples.is_empty());
    out
}

type Instants = HashMap<LabelSet, HashSet<i64>>;

/// When each signature has a sample.
fn instants(vector: &[Series], matching: Option<&VectorMatching>) -> Instants {
    let mut instants = Instants::new();
    for series in vector {
        instants.entry(signature(&series.labels, matching)).or_default().extend(series.samples.iter().map(|(at, _)| *at));
    }
    instants
}

/// The samples whose signature is (or is not) present at their instant.
fn filter(vector: Vec<Series>, present: &Instants, matching: Option<&VectorMatching>, wanted: bool) -> Vec<Series> {
    vector
        .into_iter()
        .map(|series| {
            let there = present.get(&signature(&series.labels, matching));
            let samples = series.samples.iter().copied().filter(|(at, _)| there.is_some_and(|instants| instants.contains(at)) == wanted).collect();
            Series { samples, ..series }
        })
        .collect()
}

/// Both, series with equal labels joined: they cannot have samples at the same instant.
fn merge(left: Vec<Series>, right: Vec<Series>) -> Vec<Series> {
    let mut out = left;
    let places: HashMap<LabelSet, usize> = out.iter().enumerate().map(|(i, series)| (series.labels.clone(), i)).collect();
    for series in right {
        match places.get(&series.labels).and_then(|&place| out.get_mut(place)) {
            Some(known) => {
                known.samples.extend(series.samples);
                known.samples.sort_unstable_by_key(|(at, _)| *at);
            }
            None => out.push(series),
        }
    }
    out
}
