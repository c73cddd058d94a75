//! What an adapter decides once: default tenant, rules, limits, and where the lake itself lies, so that it is never read back.
//! Must not know: environment variables, events.

use schema::{IngestLimits, TenantId};

use super::event::ObjectRef;
use super::lines::Format;
use super::rules::Rules;
use super::source::{self, LogType, Source};

/// Settings of all AWS sources.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose the lines are, unless a rule says otherwise.
    pub tenant: TenantId,
    /// The region of events that do not say theirs: the function's own.
    pub region: Option<String>,
    /// Changes of labels, tenants and formats.
    pub rules: Rules,
    /// What lines are held to, as those of a push.
    pub limits: IngestLimits,
    /// The store of this lake, if it is in S3: its objects are not log files.
    pub lake: Option<Lake>,
    /// The function's own log group (`AWS_LAMBDA_LOG_GROUP_NAME`): a subscription of it is left out, since every line would make another.
    pub own_log_group: Option<String>,
    /// A batch is closed once its lines have this many bytes. Part of the identity of rows: objects that are read again after
    /// a change may be stored twice.
    pub piece_bytes: usize,
}

/// Where the lake itself is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lake {
    /// The bucket.
    pub bucket: String,
    /// The prefix, with or without a slash at its end; empty for a bucket of its own.
    pub prefix: String,
}

/// What to do with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectPlan {
    /// Leave it out; that is no failure.
    Skip(SkipReason),
    /// Read it, with an [`super::ObjectDecoder`] of this.
    Read(Box<ObjectRoute>),
}

/// Why an object is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// It belongs to the lake, which must not eat itself.
    #[error("it is part of the lake itself")]
    Lake,
    /// A rule says so.
    #[error("{rule} skips it")]
    Rule {
        /// The rule.
        rule: String,
    },
    /// It has no log lines.
    #[error("it is {what}")]
    NoLog {
        /// What it is instead.
        what: &'static str,
    },
}

/// An object that is to be read: where its lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRoute {
    pub(super) source: Source,
    pub(super) route: Route,
}

/// What the rules make of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) tenant: TenantId,
    /// Names are valid, values not empty.
    pub(super) labels: std::collections::BTreeMap<String, String>,
    pub(super) format: Format,
    /// The rule that leaves the source out.
    pub(super) skipped_by: Option<String>,
}

impl Settings {
    /// Settings without rules for `tenant`.
    pub fn new(tenant: TenantId, limits: IngestLimits) -> Self {
        Self { tenant, region: None, rules: Rules::default(), limits, lake: None, own_log_group: None, piece_bytes: super::PIECE_BYTES }
    }

    /// Whether `object` is to be read, and as what.
    pub fn plan(&self, object: &ObjectRef) -> ObjectPlan {
        if self.lake.as_ref().is_some_and(|lake| lake.owns(&object.bucket, &object.key)) {
            return ObjectPlan::Skip(SkipReason::Lake);
        }
        let mut source = match source::of_key(&object.bucket, &object.key) {
            Ok(source) => source,
            Err(what) => return ObjectPlan::Skip(SkipReason::NoLog { what }),
        };
        // CloudFront is in no region; what else does not say its own logs into a bucket beside it.
        if source.log_type != LogType::CloudFront {
            source.region = source.region.or_else(|| object.region.clone()).or_else(|| self.region.clone());
        }
        let route = self.route(&source);
        match route.skipped_by {
            Some(rule) => ObjectPlan::Skip(SkipReason::Rule { rule }),
            None => ObjectPlan::Read(Box::new(ObjectRoute { source, route })),
        }
    }

    pub(super) fn route(&self, source: &Source) -> Route {
        self.rules.apply(source, &self.tenant)
    }
}

impl Lake {
    /// Whether the object is, or could be, one that Tarn wrote.
    fn owns(&self, bucket: &str, key: &str) -> bool {
        if bucket != self.bucket {
            return false;
        }
        let prefix = self.prefix.trim_matches('/');
        if prefix.is_empty() {
            // The bucket may also hold log files.
            return key == schema::key::FORMAT_KEY || key.starts_with(schema::key::TENANT_FOLDER) || key.starts_with(schema::key::PROBE_PREFIX);
        }
        key.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bucket: &str, key: &str) -> ObjectRef {
        ObjectRef { bucket: bucket.to_owned(), key: key.to_owned(), ..ObjectRef::default() }
    }

    #[test]
    fn the_lake_does_not_eat_itself() {
        let mut settings = Settings::new(TenantId::default_tenant(), IngestLimits::default());
        settings.lake = Some(Lake { bucket: "lake".to_owned(), prefix: "/tarn/".to_owned() });
        let own = [("lake", "tarn/t=fake/l0/0/x.parquet"), ("lake", "tarn/anything"), ("lake", "tarn")];
        let others = [("lake", "tarnished/x.log"), ("lake", "logs/x.log"), ("other", "tarn/t=fake/l0/0/x")];
        for (bucket, key) in own {
            assert_eq!(settings.plan(&object(bucket, key)), ObjectPlan::Skip(SkipReason::Lake), "{key}");
        }
        for (bucket, key) in others {
            assert!(matches!(settings.plan(&object(bucket, key)), ObjectPlan::Read(_)), "{key}");
        }
        settings.lake = Some(Lake { bucket: "lake".to_owned(), prefix: String::new() });
        for (key, skipped) in [("t=fake/l0/0/x.parquet", true), ("tarn.json", true), ("probe/x", true), ("AWSLogs/x.log", false)] {
            assert_eq!(matches!(settings.plan(&object("lake", key)), ObjectPlan::Skip(SkipReason::Lake)), skipped, "{key}");
        }
    }
}
