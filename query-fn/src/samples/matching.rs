//! Pairs the series of two vectors: one to one, many to one, one to many.

use std::collections::{BTreeMap, HashMap};

use logql::ast::{BinaryOp, GroupSide, MatchOn, VectorMatching};
use schema::LabelSet;

use super::arithmetic::sample;
use crate::QueryError;
use crate::result::Series;

/// The labels by which series pair up.
pub(super) fn signature(labels: &LabelSet, matching: Option<&VectorMatching>) -> LabelSet {
    match matching.map(|matching| &matching.on) {
        None => labels.clone(),
        Some(MatchOn::On(names)) => keep(labels, |name| names.iter().any(|wanted| wanted == name)),
        Some(MatchOn::Ignoring(names)) => keep(labels, |name| names.iter().all(|ignored| ignored != name)),
    }
}

fn keep(labels: &LabelSet, keep: impl Fn(&str) -> bool) -> LabelSet {
    // Names of a label set are unique, so a part of it has no name twice.
    LabelSet::from_pairs(labels.iter().filter(|(name, _)| keep(name))).unwrap_or_default()
}

/// `left op right` where every sample needs a partner. Errors: at some instant more than one series on a side that may have
/// only one.
pub fn pair_up(op: BinaryOp, return_bool: bool, matching: Option<&VectorMatching>, left: Vec<Series>, right: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    let group = matching.and_then(|matching| matching.group.as_ref());
    let swapped = matches!(group, Some(GroupSide::Right(_)));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let mut partners: HashMap<LabelSet, Vec<&Series>> = HashMap::new();
    for series in &one {
        partners.entry(signature(&series.labels, matching)).or_default().push(series);
    }
    // By result labels and instant: two samples there are an error, whichever series they come from.
    let mut out: BTreeMap<LabelSet, BTreeMap<i64, f64>> = BTreeMap::new();
    for series in &many {
        let key = signature(&series.labels, matching);
        let Some(ones) = partners.get(&key) else { continue };
        let found = partner_at(ones)?;
        for &(at, value) in &series.samples {
            let Some(&(other_value, other)) = found.get(&at) else { continue };
            let (left, right) = if swapped { (other_value, value) } else { (value, other_value) };
            let Some(result) = sample(op, return_bool, left, right, left) else { continue };
            let labels = result_labels(series, other, &key, group);
            if out.entry(labels).or_default().insert(at, result).is_some() {
                return Err(QueryError::Matching { message: ambiguous(group).to_owned() });
            }
        }
    }
    Ok(out.into_iter().map(|(labels, samples)| Series { labels, samples: samples.into_iter().collect() }).collect())
}

/// The only sample of the "one" side at each instant, with its series.
fn partner_at<'a>(ones: &[&'a Series]) -> Result<HashMap<i64, (f64, &'a Series)>, QueryError> {
    let mut found = HashMap::new();
    for series in ones {
        for &(at, value) in &series.samples {
            if found.insert(at, (value, *series)).is_some() {
                return Err(QueryError::Matching {
                    message: "found duplicate series on the right hand-side;many-to-many matching not allowed: matching labels must be unique on one side"
                        .to_owned(),
                });
            }
        }
    }
    Ok(found)
}

const fn ambiguous(group: Option<&GroupSide>) -> &'static str {
    match group {
        None => "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        Some(_) => "multiple matches for labels: grouping labels must ensure unique matches",
    }
}

/// One to one: the labels that paired them. Otherwise those of the "many" side, with the included labels of the other.
fn result_labels(many: &Series, one: &Series, key: &LabelSet, group: Option<&GroupSide>) -> LabelSet {
    match group {
        None => key.clone(),
        Some(GroupSide::Left(include) | GroupSide::Right(include)) => {
            include.iter().fold(many.labels.clone(), |labels, name| labels.with(name, one.labels.get(name).unwrap_or("")))
        }
    }
}
