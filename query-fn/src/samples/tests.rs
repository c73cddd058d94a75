//! Vectors as text: `{labels} value@instant ...`, `-` where a series has no sample.

use logql::ast::{BinaryOp, GroupSide, MatchOn, VectorMatching};
use schema::LabelSet;

use super::{binary, label_replace, with_scalar};
use crate::result::Series;

fn vector(lines: &[&str]) -> Vec<Series> {
    lines
        .iter()
        .map(|line| {
            let (labels, samples) = line.split_once("} ").unwrap();
            let samples =
                samples.split(' ').map(|sample| sample.split_once('@').unwrap()).map(|(value, at)| (at.parse().unwrap(), value.parse().unwrap())).collect();
            Series { labels: LabelSet::parse(&format!("{labels}}}")).unwrap(), samples }
        })
        .collect()
}

fn text(vector: Vec<Series>) -> Vec<String> {
    let mut lines: Vec<String> = vector
        .iter()
        .map(|series| format!("{} {}", series.labels, series.samples.iter().map(|(at, value)| format!("{value}@{at}")).collect::<Vec<_>>().join(" ")))
        .collect();
    lines.sort();
    lines
}

fn on(names: &[&str], group: Option<GroupSide>) -> VectorMatching {
    VectorMatching { on: MatchOn::On(names.iter().map(|&name| name.to_owned()).collect()), group }
}

fn ignoring(names: &[&str], group: Option<GroupSide>) -> VectorMatching {
    VectorMatching { on: MatchOn::Ignoring(names.iter().map(|&name| name.to_owned()).collect()), group }
}

#[test]
fn division_and_modulo_by_zero_are_not_a_number() {
    assert!(BinaryOp::Divide.apply(1.0, 0.0).is_nan());
    assert!(BinaryOp::Modulo.apply(1.0, 0.0).is_nan());
    assert_eq!(BinaryOp::Modulo.apply(-7.0, 3.0), -1.0);
    assert_eq!(BinaryOp::Power.apply(2.0, 10.0), 1024.0);
}

#[test]
fn one_to_one_by_all_labels() {
    let left = vector(&[r#"{a="1"} 4@10 6@20"#, r#"{a="2"} 1@10"#]);
    let right = vector(&[r#"{a="1"} 2@10"#, r#"{a="3"} 5@10"#]);
    assert_eq!(text(binary(BinaryOp::Divide, false, None, left.clone(), right.clone()).unwrap()), [r#"{a="1"} 2@10"#]);
    assert_eq!(text(binary(BinaryOp::Greater, false, None, left.clone(), right.clone()).unwrap()), [r#"{a="1"} 4@10"#]);
    assert_eq!(text(binary(BinaryOp::Less, true, None, left.clone(), right.clone()).unwrap()), [r#"{a="1"} 0@10"#]);
    assert!(binary(BinaryOp::Less, false, None, left, right).unwrap().is_empty());
}

#[test]
fn on_and_ignoring_reduce_the_labels() {
    let left = vector(&[r#"{a="1", b="x"} 4@10"#]);
    let right = vector(&[r#"{a="1", c="y"} 2@10"#]);
    assert_eq!(text(binary(BinaryOp::Add, false, Some(&on(&["a"], None)), left.clone(), right.clone()).unwrap()), [r#"{a="1"} 6@10"#]);
    assert_eq!(text(binary(BinaryOp::Add, false, Some(&ignoring(&["b", "c"], None)), left, right).unwrap()), [r#"{a="1"} 6@10"#]);
}

#[test]
fn many_to_one_keeps_the_many_and_takes_labels_from_the_one() {
    let many = vector(&[r#"{a="1", b="x"} 4@10"#, r#"{a="1", b="y"} 8@10"#]);
    let one = vector(&[r#"{a="1", team="t"} 2@10"#]);
    let left = on(&["a"], Some(GroupSide::Left(vec!["team".into()])));
    assert_eq!(
        text(binary(BinaryOp::Divide, false, Some(&left), many.clone(), one.clone()).unwrap()),
        [r#"{a="1", b="x", team="t"} 2@10"#, r#"{a="1", b="y", team="t"} 4@10"#]
    );
    let right = on(&["a"], Some(GroupSide::Right(vec!["none".into()])));
    assert_eq!(text(binary(BinaryOp::Divide, false, Some(&right), one, many).unwrap()), [r#"{a="1", b="x"} 0.5@10"#, r#"{a="1", b="y"} 0.25@10"#]);
}

#[test]
fn ambiguous_pairs_are_errors_only_where_they_meet() {
    let two = vector(&[r#"{a="1", b="x"} 4@10"#, r#"{a="1", b="y"} 8@10"#]);
    let one = vector(&[r#"{a="1"} 2@10"#]);
    let apart = vector(&[r#"{a="1", b="x"} 4@10"#, r#"{a="1", b="y"} 8@20"#]);
    let by_a = on(&["a"], None);
    let error = |left: &[Series], right: &[Series]| binary(BinaryOp::Add, false, Some(&by_a), left.to_vec(), right.to_vec()).unwrap_err().to_string();
    assert!(error(&two, &one).contains("many-to-one matching must be explicit"));
    assert!(error(&one, &two).contains("found duplicate series on the right hand-side;many-to-many matching not allowed"));
    assert_eq!(text(binary(BinaryOp::Add, false, Some(&by_a), one, apart).unwrap()), [r#"{a="1"} 6@10"#]);
    let unclear = on(&["a"], Some(GroupSide::Left(vec!["b".into()])));
    let many = vector(&[r#"{a="1", b="x"} 1@10"#, r#"{a="1", b="y"} 1@10"#]);
    let one = vector(&[r#"{a="1", b="z"} 2@10"#]);
    assert!(binary(BinaryOp::Add, false, Some(&unclear), many, one).unwrap_err().to_string().contains("grouping labels must ensure unique matches"));
}

#[test]
fn set_operators_work_instant_by_instant() {
    let left = vector(&[r#"{a="1", b="x"} 1@10 2@20"#, r#"{a="2"} 3@10"#]);
    let right = vector(&[r#"{a="1"} 9@10"#, r#"{a="3"} 7@10"#]);
    let by_a = on(&["a"], None);
    let run = |op, matching: Option<&VectorMatching>| text(binary(op, false, matching, left.clone(), right.clone()).unwrap());
    assert_eq!(run(BinaryOp::And, Some(&by_a)), [r#"{a="1", b="x"} 1@10"#]);
    assert_eq!(run(BinaryOp::Unless, Some(&by_a)), [r#"{a="1", b="x"} 2@20"#, r#"{a="2"} 3@10"#]);
    assert_eq!(run(BinaryOp::Or, Some(&by_a)), [r#"{a="1", b="x"} 1@10 2@20"#, r#"{a="2"} 3@10"#, r#"{a="3"} 7@10"#]);
    assert!(run(BinaryOp::And, None).is_empty());
    let gaps = vector(&[r#"{} 5@10"#]);
    let zero = vector(&[r#"{} 0@10 0@20"#]);
    assert_eq!(text(binary(BinaryOp::Or, false, None, gaps, zero).unwrap()), ["{} 5@10 0@20"]);
}

#[test]
fn a_scalar_on_either_side() {
    let v = vector(&[r#"{a="1"} 4@10 1@20"#, r#"{a="2"} 1@10"#]);
    assert_eq!(text(with_scalar(BinaryOp::Subtract, false, v.clone(), 10.0, true)), [r#"{a="1"} 6@10 9@20"#, r#"{a="2"} 9@10"#]);
    assert_eq!(text(with_scalar(BinaryOp::Greater, false, v.clone(), 2.0, false)), [r#"{a="1"} 4@10"#]);
    assert_eq!(text(with_scalar(BinaryOp::Greater, false, v.clone(), 2.0, true)), [r#"{a="1"} 1@20"#, r#"{a="2"} 1@10"#]);
    assert_eq!(text(with_scalar(BinaryOp::Greater, true, v, 2.0, false)), [r#"{a="1"} 1@10 0@20"#, r#"{a="2"} 0@10"#]);
}

#[test]
fn relabelling() {
    let regex = regex::Regex::new("^(?:(.*)-(?P<n>[0-9]+))$").unwrap();
    let v = vector(&[r#"{pod="api-1"} 1@10"#, r#"{pod="web"} 2@10"#]);
    assert_eq!(text(label_replace(v.clone(), "app", "$1/${n}", "pod", &regex)), [r#"{app="api/1", pod="api-1"} 1@10"#, r#"{pod="web"} 2@10"#]);
    assert_eq!(text(label_replace(v, "pod", "", "pod", &regex)), [r#"{pod="web"} 2@10"#, "{} 1@10"]);
}

#[test]
fn series_that_come_to_share_labels_stay_apart() {
    let regex = regex::Regex::new("^(?:.*)$").unwrap();
    let v = vector(&[r#"{pod="a"} 1@10"#, r#"{pod="b"} 2@10"#]);
    assert_eq!(text(label_replace(v, "pod", "", "pod", &regex)), ["{} 1@10", "{} 2@10"]);
}
