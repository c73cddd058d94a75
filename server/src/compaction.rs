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

use crate::config::CompactorConfig;

/// The longest that one tenant keeps the others waiting: no job begins after it.
const TENANT_BUDGET: Duration = Duration::from_secs(600);

/// A compactor that knows LogQL.
#[derive(Clone, Debug)]
pub(crate) struct Compaction {
    client: ObjectClient,
    compactor: Compactor,
}

/// What compaction of one tenant came to.
#[derive(Debug)]
pub(crate) struct TenantRun {
    pub(crate) tenant: TenantId,
    pub(crate) result: Result<RunReport, CompactError>,
}

impl Compaction {
    pub(crate) fn new(client: &ObjectClient, env: &Env, config: &CompactorConfig) -> Self {
        let compactor = Compactor::new(client.clone(), env.clone(), config.settings(), Arc::new(LogqlDeletes));
        Self { client: client.clone(), compactor }
    }

    /// Compacts `tenant`, or all: one after the other, a failure of one does not stop the others. `done` hears of each at once.
    /// Dropping the future abandons the job under way; nothing that was stored is lost by it.
    /// Errors: the tenants cannot be listed.
    pub(crate) async fn run(&self, tenant: Option<&TenantId>, done: &mut (dyn FnMut(TenantRun) + Send)) -> Result<(), CompactError> {
        let tenants = match tenant {
            Some(tenant) => vec![tenant.clone()],
            None => tenants::list(&self.client).await?,
        };
        for tenant in tenants {
            let result = self.compactor.run(Some(&tenant), Some(TENANT_BUDGET)).await;
            done(TenantRun { tenant, result });
        }
        Ok(())
    }
}

/// Adds what a run did to what others did.
pub(crate) fn add(total: &mut RunReport, run: &RunReport) {
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
