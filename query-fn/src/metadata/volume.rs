//! Bytes per label set or per label, and the size of what a selector matches: `index/volume`, `index/stats`.

use std::collections::{BTreeMap, BTreeSet};

use schema::{LabelSet, MatchOp, Matcher, StreamManifest, TimeRange};

use super::Scope;
use super::buckets::{Amount, amount_in, pieces};
use crate::QueryError;

/// What volumes are added up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AggregateBy {
    /// Label sets, cut down to the labels that were asked for.
    Series,
    /// Label names.
    Labels,
}

/// A volume request.
#[derive(Clone, Debug)]
pub(crate) struct VolumeSpec {
    /// Which streams.
    pub(crate) matchers: Vec<Matcher>,
    /// Which labels; empty: those of the matchers (by series), or all (by labels).
    pub(crate) target_labels: Vec<String>,
    /// What is added up.
    pub(crate) aggregate_by: AggregateBy,
    /// Most series in the answer; the largest ones stay.
    pub(crate) limit: usize,
}

/// Bytes of one series: (milliseconds at the end of the bucket, bytes), ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeSeries {
    /// (name, value) in name order; the value is empty where labels are added up.
    pub(crate) labels: Vec<(String, String)>,
    /// At least one.
    pub(crate) samples: Vec<(i64, u64)>,
}

/// What `index/stats` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexStats {
    pub(crate) streams: usize,
    pub(crate) chunks: usize,
    pub(crate) amount: Amount,
}

impl VolumeSpec {
    /// Streams without a target label have no volume: every target that no matcher names must be there.
    pub(crate) fn require_targets(&mut self) -> Result<(), QueryError> {
        for name in &self.target_labels {
            if !self.matchers.iter().any(|matcher| matcher.name() == name) {
                let present = Matcher::new(name.as_str(), MatchOp::Regex, ".+").map_err(|error| QueryError::Internal { invariant: error.to_string() })?;
                self.matchers.push(present);
            }
        }
        Ok(())
    }

    /// The series that a stream adds to.
    fn keys(&self, labels: &LabelSet) -> Vec<Vec<(String, String)>> {
        let is_target = |name: &str| self.target_labels.iter().any(|target| target == name);
        match self.aggregate_by {
            AggregateBy::Labels => labels
                .iter()
                .filter(|(name, _)| self.target_labels.is_empty() || is_target(name))
                .map(|(name, _)| vec![(name.to_owned(), String::new())])
                .collect(),
            AggregateBy::Series => {
                let is_shown = |name: &str| if self.target_labels.is_empty() { self.is_matched(name) } else { is_target(name) };
                vec![labels.iter().filter(|(name, _)| is_shown(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()]
            }
        }
    }

    /// A selector without matchers names every label.
    fn is_matched(&self, name: &str) -> bool {
        self.matchers.is_empty() || self.matchers.iter().any(|matcher| matcher.name() == name)
    }
}

/// Bytes by series, by bucket.
type Sums = BTreeMap<Vec<(String, String)>, BTreeMap<i64, u64>>;

impl Scope<'_> {
    /// Volumes in the scope's range, cut into buckets of `step` nanoseconds, or whole where there is no step. Largest first, ties by labels.
    pub(crate) async fn volume(&self, spec: &VolumeSpec, step: Option<i64>) -> Result<Vec<VolumeSeries>, QueryError> {
        let buckets = match step {
            Some(step) => pieces(&self.range, step),
            None => vec![(self.range, self.range.end.0.div_euclid(1_000_000))],
        };
        let sums = self.fold(&spec.matchers, |sums: &mut Sums, labels, stream| add(sums, spec, labels, stream, &buckets)).await?;
        Ok(largest(sums, spec.limit))
    }

    /// How much the streams that pass `matchers` hold.
    pub(crate) async fn index_stats(&self, matchers: &[Matcher]) -> Result<IndexStats, QueryError> {
        let mut stats = IndexStats::default();
        let range = self.range;
        let (streams, chunks, amount) = self
            .fold(matchers, |(streams, chunks, amount): &mut (BTreeSet<LabelSet>, usize, Amount), labels, stream| {
                if !streams.contains(labels) {
                    streams.insert(labels.clone());
                }
                *chunks += 1;
                let inside = amount_in(stream, &range);
                amount.rows = amount.rows.saturating_add(inside.rows);
                amount.bytes = amount.bytes.saturating_add(inside.bytes);
            })
            .await?;
        stats.streams = streams.len();
        stats.chunks = chunks;
        stats.amount = amount;
        Ok(stats)
    }
}

fn add(sums: &mut Sums, spec: &VolumeSpec, labels: &LabelSet, stream: &StreamManifest, buckets: &[(TimeRange, i64)]) {
    let first = buckets.partition_point(|(range, _)| range.end <= stream.min);
    let amounts: Vec<(i64, u64)> = buckets
        .iter()
        .skip(first)
        .take_while(|(range, _)| range.start <= stream.max)
        .map(|(range, stamp)| (*stamp, amount_in(stream, range).bytes))
        .filter(|(_, bytes)| *bytes > 0)
        .collect();
    if amounts.is_empty() {
        return;
    }
    for key in spec.keys(labels) {
        let series = sums.entry(key).or_default();
        for (stamp, bytes) in &amounts {
            let sum = series.entry(*stamp).or_default();
            *sum = sum.saturating_add(*bytes);
        }
    }
}

fn largest(sums: Sums, limit: usize) -> Vec<VolumeSeries> {
    let mut ranked: Vec<(u64, VolumeSeries)> = sums
        .into_iter()
        .map(|(labels, samples)| {
            (samples.values().fold(0u64, |sum, bytes| sum.saturating_add(*bytes)), VolumeSeries { labels, samples: samples.into_iter().collect() })
        })
        .collect();
    ranked.sort_by(|(a, left), (b, right)| b.cmp(a).then_with(|| left.labels.cmp(&right.labels)));
    ranked.truncate(limit);
    ranked.into_iter().map(|(_, series)| series).collect()
}

#[cfg(test)]
mod tests {
    use schema::Timestamp;

    use super::*;

    fn spec(matchers: &[&str], target_labels: &[&str], aggregate_by: AggregateBy) -> VolumeSpec {
        let matchers = matchers.iter().map(|name| Matcher::new(*name, MatchOp::Regex, ".+").unwrap()).collect();
        VolumeSpec { matchers, target_labels: target_labels.iter().map(|name| (*name).to_owned()).collect(), aggregate_by, limit: 2 }
    }

    fn stream(labels: &str, bytes: u64) -> StreamManifest {
        StreamManifest { labels: LabelSet::parse(labels).unwrap(), first_row: 0, rows: 1, min: Timestamp(10), max: Timestamp(20), bytes, minutes: Vec::new() }
    }

    fn volumes(spec: &VolumeSpec) -> Vec<(String, u64)> {
        let mut sums = Sums::new();
        for stream in
            [stream(r#"{app="a", env="p"}"#, 5), stream(r#"{app="a", env="d"}"#, 4), stream(r#"{app="b", env="p"}"#, 6), stream(r#"{app="c", env="d"}"#, 1)]
        {
            add(&mut sums, spec, &stream.labels, &stream, &[(TimeRange::new(Timestamp(0), Timestamp(100)), 1)]);
        }
        largest(sums, spec.limit)
            .into_iter()
            .map(|series| (series.labels.iter().map(|(name, value)| format!("{name}={value};")).collect(), series.samples.iter().map(|(_, bytes)| bytes).sum()))
            .collect()
    }

    #[test]
    fn series_keep_the_labels_that_were_asked_for() {
        assert_eq!(volumes(&spec(&["app"], &[], AggregateBy::Series)), [("app=a;".to_owned(), 9), ("app=b;".to_owned(), 6)]);
        assert_eq!(volumes(&spec(&["app"], &["env"], AggregateBy::Series)), [("env=p;".to_owned(), 11), ("env=d;".to_owned(), 5)]);
        assert_eq!(volumes(&spec(&["app"], &[], AggregateBy::Labels)), [("app=;".to_owned(), 16), ("env=;".to_owned(), 16)]);
        assert_eq!(volumes(&spec(&["app"], &["env"], AggregateBy::Labels)), [("env=;".to_owned(), 16)]);
    }

    #[test]
    fn a_target_that_no_matcher_names_must_be_there() {
        let mut spec = spec(&["app"], &["app", "env"], AggregateBy::Series);
        spec.require_targets().unwrap();
        assert_eq!(spec.matchers.iter().map(ToString::to_string).collect::<Vec<_>>(), [r#"app=~".+""#, r#"env=~".+""#]);
    }
}
