//! Compaction as this process runs it: the library with this process' settings, tenant by tenant, and what it did as numbers.
//! Owns: the reading of delete requests' LogQL for the library, the order of tenants, the time of each.
//! Must not know: what a compaction is, how often it is asked for.

use std::sync::Arc;
use std::time::Duration;

use compactor::{CompactError, Compactor, CompileDelete, RowPredicate, RunReport};
use query_fn::RowSelector;
use schema::{LabelSet, TenantId, Timestamp};
use store::chunk::MetadataSet;
use store::{Env, ObjectClient, tenants};

use crate::config::{CompactorConfig, Config};
use crate::error::TarnError;
use crate::roles;

/// The longest that one tenant keeps the others waiting: no job begins after it.
const TENANT_BUDGET: Duration = Duration::from_secs(600);

/// A compactor that knows LogQL.
#[derive(Clone, Debug)]
pub struct Compaction {
    client: ObjectClient,
    env: Env,
    compactor: Compactor,
}

/// What compaction of one tenant came to.
#[derive(Debug)]
pub struct TenantRun {
    /// Whose chunks.
    pub tenant: TenantId,
    /// What was done, or why nothing more was.
    pub result: Result<RunReport, CompactError>,
}

impl Compaction {
    /// Compaction of `client` with the settings of this process.
    pub(crate) fn new(client: &ObjectClient, env: &Env, config: &CompactorConfig) -> Self {
        let compactor = Compactor::new(client.clone(), env.clone(), config.settings(), Arc::new(LogqlDeletes));
        Self { client: client.clone(), env: env.clone(), compactor }
    }

    /// Compaction of the store that `config` names; makes no request.
    /// Errors: the URL of the store, or its settings.
    pub fn open(config: &Config, env: &Env) -> Result<Self, TarnError> {
        Ok(Self::new(&roles::open_store(config, env)?, env, &config.compactor))
    }

    /// Creates or checks the store's format: one request where the store exists.
    pub async fn ensure_format(&self) -> Result<(), TarnError> {
        self.client.ensure_format().await.map_err(|source| roles::store_error(self.client.url(), source))
    }

    /// Compacts `tenant`, or all: one after the other, a failure of one does not stop the others. `done` hears of each at once.
    /// With `within`, no job begins after that time, and the tenant that comes first is another each time, so that a large one does not keep the rest waiting for
    /// ever; `done` hears of the tenants that had no turn as out of time. Dropping the future abandons the job under way; nothing that was stored is lost by it.
    /// Errors: the tenants cannot be listed.
    pub async fn run(&self, tenant: Option<&TenantId>, within: Option<Duration>, done: &mut (dyn FnMut(TenantRun) + Send)) -> Result<(), CompactError> {
        let begun = self.env.monotonic();
        let mut tenants = match tenant {
            Some(tenant) => vec![tenant.clone()],
            None => tenants::list(&self.client).await?,
        };
        if within.is_some() && !tenants.is_empty() {
            let count = u64::try_from(tenants.len()).unwrap_or(u64::MAX);
            tenants.rotate_left(usize::try_from(self.env.random_u64() % count).unwrap_or(0));
        }
        for tenant in tenants {
            let left = within.map_or(TENANT_BUDGET, |within| within.saturating_sub(self.env.monotonic().saturating_sub(begun)));
            let result = match left.is_zero() {
                true => Ok(RunReport { out_of_time: true, ..RunReport::default() }),
                false => self.compactor.run(Some(&tenant), Some(left.min(TENANT_BUDGET))).await,
            };
            done(TenantRun { tenant, result });
        }
        Ok(())
    }
}

/// Adds what a run did to what others did.
pub fn add(total: &mut RunReport, run: &RunReport) {
    let RunReport {
        tenants,
        jobs,
        level0_consumed,
        rows_read,
        rows_written,
        duplicates,
        rows_expired,
        rows_deleted,
        bytes_read,
        bytes_written,
        objects_written,
        objects_expired,
        objects_deleted,
        orphans,
        deletes_processed,
        deletes_pending,
        conflicts,
        level0_backlog,
        out_of_time,
    } = run;
    total.tenants += tenants;
    total.jobs += jobs;
    total.level0_consumed += level0_consumed;
    total.rows_read += rows_read;
    total.rows_written += rows_written;
    total.duplicates += duplicates;
    total.rows_expired += rows_expired;
    total.rows_deleted += rows_deleted;
    total.bytes_read += bytes_read;
    total.bytes_written += bytes_written;
    total.objects_written += objects_written;
    total.objects_expired += objects_expired;
    total.objects_deleted += objects_deleted;
    total.orphans += orphans;
    total.deletes_processed += deletes_processed;
    total.deletes_pending += deletes_pending;
    total.conflicts += conflicts;
    total.level0_backlog += level0_backlog;
    total.out_of_time |= out_of_time;
}

/// Delete requests are log queries.
#[derive(Debug)]
struct LogqlDeletes;

struct LogqlRows(RowSelector);

impl CompileDelete for LogqlDeletes {
    fn compile(&self, query: &str) -> Result<Arc<dyn RowPredicate>, String> {
        RowSelector::parse(query).map(|selector| Arc::new(LogqlRows(selector)) as Arc<dyn RowPredicate>).map_err(|error| error.to_string())
    }
}

impl RowPredicate for LogqlRows {
    fn matches_stream(&self, labels: &LabelSet) -> bool {
        self.0.matches_stream(labels)
    }

    fn matches(&self, labels: &LabelSet, at: Timestamp, line: &[u8], metadata: &MetadataSet) -> bool {
        self.0.matches(labels, at, line, metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delete_requests_are_log_queries() {
        let predicate = LogqlDeletes.compile(r#"{app="a"} |= "secret""#).unwrap();
        let (a, b) = (LabelSet::parse(r#"{app="a"}"#).unwrap(), LabelSet::parse(r#"{app="b"}"#).unwrap());
        let none = MetadataSet::from([]);
        assert!(predicate.matches_stream(&a) && !predicate.matches_stream(&b));
        assert!(predicate.matches(&a, Timestamp(1), b"a secret", &none) && !predicate.matches(&a, Timestamp(1), b"nothing", &none));
        assert!(!predicate.matches(&b, Timestamp(1), b"a secret", &none));
        assert!(LogqlDeletes.compile("rate({a=\"b\"}[1m])").is_err());
    }
}
