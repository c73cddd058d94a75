//! What is stored, answered from label manifests: no row is read. Only `detected_fields` looks at lines, those that a query has read.
//! Owns: label names and values, series, counts and bytes over a time range, what fields look like.
//! Must not know: HTTP, JSON, how a manifest is encoded.

pub(crate) mod buckets;
pub(crate) mod detected_fields;
pub(crate) mod detected_labels;
pub(crate) mod volume;

use std::borrow::Cow;
use std::collections::BTreeSet;

use futures::StreamExt as _;
use futures::stream;
use schema::time::NANOS_PER_MINUTE;
use schema::{LabelSet, Matcher, StreamManifest, TenantId, TenantSet, TimeRange, Timestamp};
use store::ObjectClient;
use store::chunk::ChunkCache;
use store::snapshot::Snapshot;

use crate::QueryError;
use crate::tenants::{TENANT_LABEL, choose, labels_of};

/// Tenants whose chunks are looked for at the same time.
const TENANTS_IN_FLIGHT: usize = 8;

/// Whose streams, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) client: &'a ObjectClient,
    pub(crate) cache: &'a ChunkCache,
    pub(crate) tenants: &'a TenantSet,
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
    /// Every stream entry of every chunk in scope that passes `matchers`, with the stream's labels, which say the tenant where there are
    /// several; a stream has one entry per chunk.
    pub(crate) async fn fold<T: Default>(&self, matchers: &[Matcher], mut fold: impl FnMut(&mut T, &LabelSet, &StreamManifest)) -> Result<T, QueryError> {
        self.fold_tenants(matchers, |out, _, labels, stream| fold(out, labels, stream)).await
    }

    /// As [`Self::fold`], with the tenant.
    async fn fold_tenants<T: Default>(
        &self,
        matchers: &[Matcher],
        mut fold: impl FnMut(&mut T, &TenantId, &LabelSet, &StreamManifest),
    ) -> Result<T, QueryError> {
        let (chosen, matchers) = choose(self.tenants, matchers);
        let matchers = &matchers;
        let several = self.tenants.only().is_none();
        let loads = stream::iter(chosen).map(|tenant| async move {
            let snapshot = Snapshot::load(self.client, &tenant, &self.range, matchers, self.cache).await;
            (tenant, snapshot)
        });
        let mut loads = loads.buffered(TENANTS_IN_FLIGHT);
        let mut out = T::default();
        while let Some((tenant, snapshot)) = loads.next().await {
            for chunk in &snapshot?.chunks {
                let streams = &chunk.manifest().streams;
                for stream in chunk.streams.iter().filter_map(|&index| streams.get(index)) {
                    let labels = if several { Cow::Owned(labels_of(&stream.labels, &tenant)?) } else { Cow::Borrowed(&stream.labels) };
                    fold(&mut out, &tenant, &labels, stream);
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(out)
    }

    /// Names of the labels of the streams that pass, sorted.
    pub(crate) async fn label_names(&self, matchers: &[Matcher]) -> Result<BTreeSet<String>, QueryError> {
        let mut names = self
            .fold(matchers, |names: &mut BTreeSet<String>, labels, _| {
                for (name, _) in labels.iter() {
                    insert(names, name);
                }
            })
            .await?;
        // As in Loki also where no stream passes.
        if self.tenants.only().is_none() {
            insert(&mut names, TENANT_LABEL);
        }
        Ok(names)
    }

    /// Values of `name` on the streams that pass, sorted.
    pub(crate) async fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<BTreeSet<String>, QueryError> {
        if name == TENANT_LABEL && self.tenants.only().is_none() {
            return Ok(choose(self.tenants, matchers).0.iter().map(ToString::to_string).collect());
        }
        self.fold(matchers, |values: &mut BTreeSet<String>, labels, _| {
            if let Some(value) = labels.get(name) {
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
        let groups: Vec<(Vec<TenantId>, Vec<Matcher>)> = groups.iter().map(|group| choose(self.tenants, group)).collect();
        self.fold_tenants(common, |series: &mut BTreeSet<LabelSet>, tenant, labels, stream| {
            let in_group = |(tenants, matchers): &(Vec<TenantId>, Vec<Matcher>)| {
                tenants.contains(tenant) && matchers.iter().all(|matcher| matcher.matches_labels(&stream.labels))
            };
            if (groups.is_empty() || groups.iter().any(in_group)) && !series.contains(labels) {
                series.insert(labels.clone());
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
