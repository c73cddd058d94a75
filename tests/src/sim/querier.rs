//! Queriers: ask the query engine for lines and for counts, and check every answer. Owns: how a question becomes LogQL, and an answer rows.

use std::sync::Arc;
use std::time::Duration;

use query_fn::engine::{Direction, Engine, Evaluation, QuerySpec};
use query_fn::{QueryError, QueryResult};
use rand::Rng;
use rand::rngs::StdRng;
use schema::{QueryLimits, TimeRange, Timestamp};
use store::ErrorKind;
use store::chunk::ChunkCache;

use super::model::{Answer, Question};
use super::rows::name_of;
use super::scenario::{a_time, between, mortal, one_of, rng};
use super::world::{Process, World};

/// Most lines of an answer: more than a simulation has.
const LIMIT: usize = 1_000_000;

/// A querier's life.
pub async fn live(world: Arc<World>, name: String, incarnation: u32) {
    let process = world.process(&name, incarnation);
    let mut rng = rng(world.scenario.seed, &format!("{name} {incarnation}"));
    let cache = ChunkCache::new(if rng.random() { 1 << 20 } else { 0 });
    let limits = QueryLimits { max_entries_limit_per_query: LIMIT, max_query_length: None, ..QueryLimits::default() };
    let engine = Engine::new(process.client.clone(), process.env.clone(), limits, cache).with_partitions(rng.random_range(1..=3));
    let pause = world.scenario.length / u32::try_from(world.scenario.queries).unwrap_or(1);
    while !world.is_over() {
        world.time.sleep(between(&mut rng, Duration::ZERO, 2 * pause)).await;
        process.held.take();
        let now = process.env.now().as_nanos();
        let tenant = rng.random_range(0..world.scenario.tenants.len());
        let app = rng.random_bool(0.3).then(|| format!("app-{}", rng.random_range(0..4u32)));
        let range = TimeRange::new(Timestamp::MIN, Timestamp::MAX);
        let question = Question { tenant, range, app, asked: world.with(|state| state.model.moment()), since: world.time.elapsed() };
        let asked = if rng.random() {
            lines(&world, &process, &engine, &mut rng, question, now).await
        } else {
            counts(&world, &process, &engine, &mut rng, question, now).await
        };
        match asked {
            Ok(()) => {}
            // A query that outlasts the grace period again and again fails in the end; only one that is held does.
            Err(QueryError::Store { source }) if source.is_retryable() || (source.kind() == ErrorKind::NotFound && process.held.take()) => {
                world.note(format!("{name} got no answer: {source}"));
            }
            Err(error) => world.fail(format!("{name}: {error:?}")),
        }
    }
}

fn selector(question: &Question) -> String {
    question.app.as_ref().map_or_else(|| "{app=~\".+\"}".to_owned(), |app| format!("{{app=\"{app}\"}}"))
}

fn texts(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The answer of the engine; `None` if the querier died meanwhile.
async fn run(
    world: &World,
    engine: &Engine,
    rng: &mut StdRng,
    question: &Question,
    query: &str,
    evaluation: Evaluation,
) -> Result<Option<QueryResult>, QueryError> {
    let Some(tenant) = world.scenario.tenants.get(question.tenant).cloned() else { return Ok(None) };
    let expr = logql::parse(query)?;
    let direction = if rng.random() { Direction::Forward } else { Direction::Backward };
    let spec = QuerySpec { tenants: tenant.into(), expr, evaluation, limit: LIMIT, direction, interval_ns: 0 };
    let answer = mortal(world, rng, 12, engine.run(&spec)).await.transpose()?;
    world.with(|state| state.tally.queries += u64::from(answer.is_some()));
    Ok(answer.map(|(result, _, _)| result))
}

async fn lines(world: &World, process: &Process, engine: &Engine, rng: &mut StdRng, mut question: Question, now: i64) -> Result<(), QueryError> {
    if rng.random_bool(0.7) {
        let (one, other) = (a_time(rng, now), a_time(rng, now));
        question.range = TimeRange::new(Timestamp(one.min(other)), Timestamp(one.max(other).saturating_add(1)));
    }
    let TimeRange { start, end } = question.range;
    let evaluation = Evaluation::Range { start, end, step_ns: 1_000_000_000 };
    let answer = match run(world, engine, rng, &question, &selector(&question), evaluation).await? {
        Some(QueryResult::Streams(streams)) => streams,
        Some(other) => {
            world.fail(format!("{} was answered {other:?} to a log query", process.name));
            return Ok(());
        }
        None => return Ok(()),
    };
    let mut rows = Answer::new();
    for stream in &answer {
        for entry in &stream.entries {
            let name = name_of(question.tenant, texts(&stream.labels.stream), entry.timestamp, &entry.line, texts(&stream.labels.metadata));
            *rows.entry(name).or_default() += 1;
        }
    }
    world.note(format!("{} has {} lines of {} in {:?}", process.name, rows.len(), question.tenant, question.range));
    world.check(&process.name, world.with(|state| state.model.check(&question, &rows)));
    if rows.values().any(|copies| *copies > 1) {
        world.fail(format!("{}: a line was answered twice to {question:?}", process.name));
    }
    Ok(())
}

async fn counts(world: &World, process: &Process, engine: &Engine, rng: &mut StdRng, mut question: Question, now: i64) -> Result<(), QueryError> {
    const MINUTE: i64 = 60_000_000_000;
    let at = if rng.random_bool(0.7) { a_time(rng, now).div_euclid(MINUTE).saturating_mul(MINUTE) } else { a_time(rng, now) };
    let seconds = one_of(rng, &[60, 90, 3600, 86_400, 3 * 86_400, 40 * 86_400]) * rng.random_range(1..=2i64);
    // `(at - range, at]`; what cannot be said in nanoseconds is not asked.
    let (Some(start), Some(end)) = (at.checked_sub(seconds * 1_000_000_000), at.checked_add(1)) else { return Ok(()) };
    question.range = TimeRange::new(Timestamp(start.saturating_add(1)), Timestamp(end));
    let by = one_of(rng, &["", " by (app)", " by (app, env)"]);
    let query = format!("sum{by} (count_over_time({}[{seconds}s]))", selector(&question));
    let (count, text) = match run(world, engine, rng, &question, &query, Evaluation::Instant { at: Timestamp(at) }).await? {
        Some(QueryResult::Vector(series)) => (series.iter().flat_map(|series| &series.samples).map(|(_, value)| *value).sum::<f64>(), format!("{series:?}")),
        Some(other) => {
            world.fail(format!("{} was answered {other:?} to {query}", process.name));
            return Ok(());
        }
        None => return Ok(()),
    };
    world.note(format!("{} counts {count} lines of {} in {:?}", process.name, question.tenant, question.range));
    let (least, most) = world.with(|state| state.model.bounds(&question));
    if count < f64::from(least) || count > f64::from(most) {
        world.fail(format!("{}: {query} at {at} counts {count} lines, there are {least} to {most}: {text} to {question:?}", process.name));
    }
    Ok(())
}
