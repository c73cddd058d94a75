//! What a compactor is told: sizes, times, and each tenant's partitions and retention.
//! Owns: the defaults, one place each. Must not know: where settings are written down.

use std::collections::HashMap;
use std::time::Duration;

use schema::{LabelSet, Matcher, TenantId, Timestamp};

/// Settings of a compactor.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of tenants that are not in `tenants`.
    pub default: TenantSettings,
    /// Of certain tenants.
    pub tenants: HashMap<TenantId, TenantSettings>,
    /// How long an object stays after nothing new refers to it. Longer than any query and any clock difference between compactors.
    pub grace: Duration,
    /// How long a level-1 object that no manifest speaks of stays: longer than a job.
    pub orphan_grace: Duration,
    /// How long a delete request can be taken back: its rows are hidden at once, and written away only after this.
    pub delete_cancel_period: Duration,
    /// When a job is worth it, and how large it may be.
    pub plan: PlanSettings,
}

/// What one tenant wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSettings {
    /// Labels whose values partition compacted chunks. Streams without any of them are in one partition.
    pub partition_labels: Vec<String>,
    /// How long rows are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// Rules for some streams: the one of the highest priority that matches a stream beats `retention`; of equal priorities the shorter period.
    pub retention_rules: Vec<RetentionRule>,
}

/// A retention of its own for some streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// Which streams.
    pub matchers: Vec<Matcher>,
    /// Higher beats lower.
    pub priority: u32,
    /// How long their rows are kept.
    pub period: Duration,
}

/// When chunks are merged, and what a job may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanSettings {
    /// So many level-0 chunks of a day are merged at once; fewer wait until they rest.
    pub min_level0: usize,
    /// A level-0 chunk whose latest row is older is merged with however few others.
    pub level0_rest: Duration,
    /// Small chunks of an hour or day that still grows are merged when there are so many.
    pub min_merge: usize,
    /// An hour is closed so long after its end; then two small chunks are worth a merge.
    pub hour_rest: Duration,
    /// A day is closed so long after its end; then its hours are merged.
    pub day_rest: Duration,
    /// Raw bytes below which a chunk is small: worth merging again.
    pub small_bytes: u64,
    /// Raw bytes of one partition from which on it gets files of its own.
    pub partition_bytes: u64,
    /// Raw bytes of a file, at most, give or take a page.
    pub file_bytes: u64,
    /// Most inputs of a job.
    pub max_inputs: usize,
    /// Bytes of memory that the inputs of a job may take.
    pub input_memory: u64,
    /// Bytes of memory that unfinished outputs may take.
    pub output_memory: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default: TenantSettings::default(),
            tenants: HashMap::new(),
            grace: Duration::from_secs(15 * 60),
            orphan_grace: Duration::from_secs(6 * 3600),
            delete_cancel_period: Duration::from_secs(24 * 3600),
            plan: PlanSettings::default(),
        }
    }
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self { partition_labels: vec!["service_name".to_owned()], retention: None, retention_rules: Vec::new() }
    }
}

impl Default for PlanSettings {
    fn default() -> Self {
        Self {
            min_level0: 16,
            level0_rest: Duration::from_secs(5 * 60),
            min_merge: 8,
            hour_rest: Duration::from_secs(10 * 60),
            day_rest: Duration::from_secs(3600),
            small_bytes: 64 << 20,
            partition_bytes: 80 << 20,
            file_bytes: 256 << 20,
            max_inputs: 512,
            input_memory: 64 << 20,
            output_memory: 40 << 20,
        }
    }
}

impl PlanSettings {
    /// The same, with nothing left to wait for: what is there is merged.
    #[must_use]
    pub const fn eager(self) -> Self {
        Self { min_level0: 1, ..self }
    }
}

impl Settings {
    /// What `tenant` wants.
    pub fn of(&self, tenant: &TenantId) -> &TenantSettings {
        self.tenants.get(tenant).unwrap_or(&self.default)
    }
}

impl TenantSettings {
    /// The value by which a stream is partitioned: those of the partition labels, one after the other.
    pub fn partition_value(&self, labels: &LabelSet) -> String {
        match self.partition_labels.as_slice() {
            [only] => labels.get(only).unwrap_or_default().to_owned(),
            several => several.iter().map(|name| labels.get(name).unwrap_or_default()).collect::<Vec<_>>().join(","),
        }
    }

    /// How long rows of this stream are kept; `None`: for ever.
    pub fn retention_of(&self, labels: &LabelSet) -> Option<Duration> {
        let matching = self.retention_rules.iter().filter(|rule| rule.matchers.iter().all(|matcher| matcher.matches_labels(labels)));
        matching.max_by(|a, b| a.priority.cmp(&b.priority).then(b.period.cmp(&a.period))).map(|rule| rule.period).or(self.retention)
    }

    /// Whether any row is ever dropped for its age.
    pub fn retains_for_ever(&self) -> bool {
        self.retention.is_none() && self.retention_rules.is_empty()
    }

    /// Rows of this stream that are older than the returned instant are dropped; `None`: no row is.
    pub fn horizon(&self, labels: &LabelSet, now: Timestamp) -> Option<Timestamp> {
        let period = i64::try_from(self.retention_of(labels)?.as_nanos()).unwrap_or(i64::MAX);
        Some(Timestamp(now.as_nanos().saturating_sub(period)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::MatchOp;

    fn rule(value: &str, priority: u32, hours: u64) -> RetentionRule {
        RetentionRule { matchers: vec![Matcher::new("env", MatchOp::Equal, value).unwrap()], priority, period: Duration::from_secs(hours * 3600) }
    }

    fn labels(pairs: &[(&str, &str)]) -> LabelSet {
        LabelSet::from_pairs(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn the_highest_priority_wins_then_the_shortest_period() {
        let settings = TenantSettings {
            retention: Some(Duration::from_secs(100 * 3600)),
            retention_rules: vec![rule("dev", 1, 10), rule("dev", 2, 20), rule("dev", 2, 30), rule("test", 0, 5)],
            ..TenantSettings::default()
        };
        let hours = |env: &str| settings.retention_of(&labels(&[("env", env)])).map(|period| period.as_secs() / 3600);
        assert_eq!((hours("dev"), hours("test"), hours("prod")), (Some(20), Some(5), Some(100)));
        assert_eq!(settings.horizon(&labels(&[("env", "test")]), Timestamp(6 * 3_600_000_000_000)), Some(Timestamp(3_600_000_000_000)));
        assert_eq!(TenantSettings::default().horizon(&labels(&[]), Timestamp(0)), None);
    }

    #[test]
    fn partitions_are_values() {
        let one = TenantSettings::default();
        assert_eq!(one.partition_value(&labels(&[("service_name", "web"), ("env", "p")])), "web");
        assert_eq!(one.partition_value(&labels(&[("env", "p")])), "");
        let two = TenantSettings { partition_labels: vec!["env".to_owned(), "service_name".to_owned()], ..one };
        assert_eq!(two.partition_value(&labels(&[("service_name", "web"), ("env", "p")])), "p,web");
    }
}
