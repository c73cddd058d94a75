//! What is stored, answered from label manifests: no row is read. Only `detected_fields` looks at lines, those that a query has read.
//! Owns: label names and values, series, counts and bytes over a time range, what fields look like.
//! Must not know: HTTP, JSON, how a manifest is encoded.

pub(crate) mod buckets;
pub(crate) mod detected_fields;
pub(crate) mod detected_labels;
pub(crate) mod volume;

use std::collections::BTreeSet;

use schema::time::NANOS_PER_MINUTE;
use schema::{LabelSet, Matcher, StreamManifest, TenantId, TimeRange, Timestamp};
use store::ObjectClient;
use store::chunk::ChunkCache;
use store::snapshot::Snapshot;

use crate::QueryError;

/// Whose streams, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) client: &'a ObjectClient,
    pub(crate) cache: &'a ChunkCache,
    pub(crate) tenant: &'a TenantId,
    pub(crate) range: TimeRange,
}

/// `range` moved out to whole minutes and never empty: label lookups ask what there is around a time, often with
/// `start == end`, and with nanoseconds that a client has rounded.
pub(crate) fn widen(range: TimeRange) -> TimeRange {
    let minute = |at: Timestamp| at.as_nanos().div_euclid(NANOS_PER_MINUTE);
    let start = minute(range.start).saturating_mul(NANOS_PER_MINUTE);
    let end = minute(range.end).saturating_add(1).saturating_mul(NANOS_PER_MINUTE);
    TimeRange::new(Timestamp(start), Timestamp(end))
}

impl Scope<'_> {
    /// Every stream entry of every chunk in scope that passes `matchers`; a stream has one entry per chunk.
    pub(crate) async fn fold<T: Default>(&self, matchers: &[Matcher], mut fold: impl FnMut(&mut T, &StreamManifest)) -> Result<T, QueryError> {
        let snapshot = Snapshot::load(self.client, self.tenant, &self.range, matchers, self.cache).await?;
        let mut out = T::default();
        for chunk in &snapshot.chunks {
            let streams = &chunk.manifest().streams;
            for stream in chunk.streams.iter().filter_map(|&index| streams.get(index)) {
                fold(&mut out, stream);
            }
            tokio::task::yield_now().await;
        }
        Ok(out)
    }

    /// Names of the labels of the streams that pass, sorted.
    pub(crate) async fn label_names(&self, matchers: &[Matcher]) -> Result<BTreeSet<String>, QueryError> {
        self.fold(matchers, |names: &mut BTreeSet<String>, stream| {
            for (name, _) in stream.labels.iter() {
                insert(names, name);
            }
        })
        .await
    }

    /// Values of `name` on the streams that pass, sorted.
    pub(crate) async fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<BTreeSet<String>, QueryError> {
        self.fold(matchers, |values: &mut BTreeSet<String>, stream| {
            if let Some(value) = stream.labels.get(name) {
                insert(values, value);
            }
        })
        .await
    }

    /// The streams that pass any of `groups`, in label order; without groups all streams.
    pub(crate) async fn series(&self, groups: &[Vec<Matcher>]) -> Result<BTreeSet<LabelSet>, QueryError> {
        let common = match groups {
            [only] => only.as_slice(),
            _ => &[],
        };
        self.fold(common, |series: &mut BTreeSet<LabelSet>, stream| {
            let passes = groups.is_empty() || groups.iter().any(|group| group.iter().all(|matcher| matcher.matches_labels(&stream.labels)));
            if passes && !series.contains(&stream.labels) {
                series.insert(stream.labels.clone());
            }
        })
        .await
    }
}

/// Inserts without allocating for what is there.
pub(crate) fn insert(set: &mut BTreeSet<String>, text: &str) {
    if !set.contains(text) {
        set.insert(text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_becomes_its_minute() {
        let minute = |n: i64| Timestamp(n * NANOS_PER_MINUTE);
        let at = Timestamp(90 * 1_000_000_000);
        assert_eq!(widen(TimeRange::new(at, at)), TimeRange::new(minute(1), minute(2)));
        assert_eq!(widen(TimeRange::new(minute(1), minute(2))), TimeRange::new(minute(1), minute(3)));
        assert!(!widen(TimeRange::new(Timestamp::MIN, Timestamp::MAX)).is_empty());
    }
}
