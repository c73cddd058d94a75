//! Runs a query from its syntax tree to its answer.
//! Owns: the session that planning and execution share, the time and memory bounds of one query, the retry when a chunk
//! is merged away under a running query.
//! Must not know: HTTP parameters, JSON.

mod answer;
mod limits;
mod patterns;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use datafusion::prelude::SessionConfig;
use schema::{ChunkHash, QueryLimits, TenantSet};
use store::ErrorKind;
use store::chunk::ChunkCache;
use store::env::Env;
use store::object::{ObjectClient, RequestStats};

use crate::physical::{LogPlanner, PlanContext};
use crate::result::QueryStatistics;
use crate::{QueryError, QueryResult, logical, optimize};

pub(crate) use answer::categorized;
pub(crate) use limits::before;
use limits::{refuse_too_much, requests_so_far};
pub(crate) use patterns::PatternsSpec;

pub use crate::logical::{Direction, Evaluation, QuerySpec};

/// How often a query starts over because chunks were merged away while it ran.
const MAX_ATTEMPTS: u32 = 3;

/// Answers queries over one object store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    client: ObjectClient,
    env: Env,
    limits: QueryLimits,
    cache: ChunkCache,
    partitions: usize,
    /// Whether more series than a query may answer with are left out, with a warning, instead of being an error.
    cut_series: bool,
    /// Off only in tests, which compare both answers.
    optimize: bool,
}

/// How a query would be answered, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The logical plan as the query says it.
    pub logical: String,
    /// The logical plan after the optimizer.
    pub optimized: String,
    /// The physical plan.
    pub physical: String,
    /// What was left out before a row was read, one line a scan.
    pub pruned: String,
    /// What running it would read at most.
    pub estimate: String,
}

impl Engine {
    /// An engine over `client`. `cache` is shared by all queries. A scan runs on as many partitions as there are cores.
    pub fn new(client: ObjectClient, env: Env, limits: QueryLimits, cache: ChunkCache) -> Self {
        let partitions = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { client, env, limits, cache, partitions, cut_series: false, optimize: true }
    }

    /// The same engine, held to other limits.
    #[must_use]
    pub(crate) fn with_limits(mut self, limits: &QueryLimits) -> Self {
        self.limits = limits.clone();
        self
    }

    /// The same engine, which answers with `max_query_series` series and a warning where there are more, if `cut_series`; else that is an error.
    #[must_use]
    pub fn with_cut_series(mut self, cut_series: bool) -> Self {
        self.cut_series = cut_series;
        self
    }

    /// The same engine with another number of partitions for a scan.
    #[must_use]
    pub fn with_partitions(mut self, partitions: usize) -> Self {
        self.partitions = partitions.max(1);
        self
    }

    /// The answer to `spec`, what it cost, and warnings for the client. A chunk that vanishes meanwhile starts the query
    /// over, a few times. Errors: [`QueryError::Timeout`] after `query_timeout`; what the plan says. Cancel-safe.
    pub async fn run(&self, spec: &QuerySpec) -> Result<(QueryResult, QueryStatistics, Vec<String>), QueryError> {
        self.run_on(spec, None).await
    }

    /// As [`Self::run`]. Of level 0 only the chunks in `known` are read, where it is given; compacted chunks always.
    pub(crate) async fn run_on(
        &self,
        spec: &QuerySpec,
        known: Option<&Arc<HashSet<ChunkHash>>>,
    ) -> Result<(QueryResult, QueryStatistics, Vec<String>), QueryError> {
        let started = self.env.monotonic();
        let requests = Arc::new(RequestStats::new());
        let client = self.client.with_stats(Arc::clone(&requests));
        let answered = tokio::time::timeout(self.limits.query_timeout, self.answer(spec, &client, known, &requests)).await;
        let (result, mut statistics, warnings) = answered.map_err(|_| QueryError::Timeout)??;
        statistics.exec_seconds = self.env.monotonic().saturating_sub(started).as_secs_f64();
        answer::count_requests(&requests, &mut statistics);
        statistics.entries_returned = answer::entries(&result);
        Ok((result, statistics, warnings))
    }

    async fn answer(
        &self,
        spec: &QuerySpec,
        client: &ObjectClient,
        known: Option<&Arc<HashSet<ChunkHash>>>,
        requests: &RequestStats,
    ) -> Result<(QueryResult, QueryStatistics, Vec<String>), QueryError> {
        let mut attempt = 1;
        loop {
            match self.attempt(spec, client, known, requests).await {
                Err(error) if is_merged_away(&error) && attempt < MAX_ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    async fn attempt(
        &self,
        spec: &QuerySpec,
        client: &ObjectClient,
        known: Option<&Arc<HashSet<ChunkHash>>>,
        requests: &RequestStats,
    ) -> Result<(QueryResult, QueryStatistics, Vec<String>), QueryError> {
        let mut statistics = QueryStatistics::default();
        if let Some(result) = answer::of_literal(spec) {
            return Ok((result, statistics, Vec::new()));
        }
        let context = Arc::new(PlanContext { known: known.cloned(), ..self.context(&spec.tenants, client) });
        let session = self.session(&context)?;
        let plan = logical::build(spec)?;
        let plan = session.optimize(&plan).map_err(QueryError::from_datafusion)?;
        let planning = self.env.monotonic();
        let plan = physical_plan(&session, &plan).await?;
        refuse_too_much(*context.estimate.lock(), requests_so_far(requests), &self.limits)?;
        statistics.plan_seconds = self.env.monotonic().saturating_sub(planning).as_secs_f64();
        let batches = execute_stream(plan, session.task_ctx()).map_err(QueryError::from_datafusion)?;
        let (result, cut) = answer::collect(spec, batches, &self.limits, self.cut_series).await?;
        context.statistics.fill(&mut statistics);
        for (_, pruned) in context.pruned.lock().iter() {
            statistics.chunks_listed += pruned.listed;
            statistics.streams_matched += pruned.streams_kept;
        }
        let mut warnings: Vec<String> = context.pruned.lock().iter().filter_map(|(_, pruned)| pruned.warning()).collect();
        warnings.dedup();
        warnings.extend(cut);
        Ok((result, statistics, warnings))
    }

    /// The plans for `spec`, without running it. Lists and prunes chunks, reads no rows.
    pub async fn explain(&self, spec: &QuerySpec) -> Result<Explanation, QueryError> {
        let context = Arc::new(self.context(&spec.tenants, &self.client));
        let session = self.session(&context)?;
        let built = logical::build(spec)?;
        let optimized = session.optimize(&built).map_err(QueryError::from_datafusion)?;
        let physical = physical_plan(&session, &optimized).await?;
        let mut pruned = context.pruned.lock().clone();
        // Tenants are looked at side by side.
        pruned.sort_by(|(a, _), (b, _)| a.cmp(b));
        let pruned: Vec<String> = match spec.tenants.only() {
            Some(_) => pruned.iter().map(|(_, pruned)| pruned.to_string()).collect(),
            None => pruned.iter().map(|(tenant, pruned)| format!("tenant={tenant}, {pruned}")).collect(),
        };
        Ok(Explanation {
            logical: built.display_indent().to_string(),
            optimized: optimized.display_indent().to_string(),
            physical: displayable(physical.as_ref()).indent(false).to_string(),
            pruned: pruned.join("\n"),
            estimate: context.estimate.lock().to_string(),
        })
    }

    /// What planning and running a query share. Tenants share the partitions, so that many take no more memory than one.
    fn context(&self, tenants: &TenantSet, client: &ObjectClient) -> PlanContext {
        let partitions = self.partitions.div_ceil(tenants.count());
        let now = self.env.now();
        let context = PlanContext::new(client.clone(), self.cache.clone(), partitions, now.as_nanos());
        PlanContext { oldest: self.limits.max_query_lookback.map(|lookback| before(now, lookback)), ..context }
    }

    /// A session for one query: its own memory pool, no disk, our rules and no others.
    fn session(&self, context: &Arc<PlanContext>) -> Result<SessionState, QueryError> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(self.limits.max_query_memory_bytes, 1.0)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(QueryError::from_datafusion)?;
        Ok(SessionStateBuilder::new()
            .with_config(SessionConfig::new().with_target_partitions(self.partitions))
            .with_runtime_env(runtime)
            .with_query_planner(Arc::new(LogPlanner::new(Arc::clone(context))))
            .with_analyzer_rules(Vec::new())
            .with_optimizer_rules(if self.optimize { optimize::rules() } else { Vec::new() })
            .with_physical_optimizer_rules(Vec::new())
            .build())
    }

    /// How long a query may run.
    pub const fn timeout(&self) -> Duration {
        self.limits.query_timeout
    }
}

/// Whether a chunk is gone, which has been merged into others since the snapshot was taken.
fn is_merged_away(error: &QueryError) -> bool {
    matches!(error, QueryError::Store { source } if source.kind() == ErrorKind::NotFound)
}

async fn physical_plan(session: &SessionState, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
    session.query_planner().create_physical_plan(plan, session).await.map_err(QueryError::from_datafusion)
}

#[cfg(test)]
mod codec_tests;
#[cfg(test)]
mod delete_tests;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tenant_tests;
#[cfg(test)]
mod tests;
