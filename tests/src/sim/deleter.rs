//! Delete requests: made, taken back, and what their queries mean. The queries are a corner of LogQL: `{app="…"} |= "…"`.

use std::sync::Arc;
use std::time::Duration;

use compactor::{CompileDelete, RowPredicate};
use rand::Rng;
use schema::{DeleteRequest, LabelSet, TenantId, Timestamp};
use store::chunk::MetadataSet;
use store::deletes;

use super::model::Deletion;
use super::scenario::{MAX_SKEW, between, rng};
use super::world::{Process, World};

/// The query for streams with this label `app` and lines that hold `tag`.
pub fn query(app: &str, tag: &str) -> String {
    format!("{{app=\"{app}\"}} |= \"{tag}\"")
}

struct Selected {
    app: String,
    tag: String,
}

fn parse(query: &str) -> Option<Selected> {
    let (app, tag) = query.strip_prefix("{app=\"")?.strip_suffix('"')?.split_once("\"} |= \"")?;
    Some(Selected { app: app.to_owned(), tag: tag.to_owned() })
}

impl RowPredicate for Selected {
    fn matches_stream(&self, labels: &LabelSet) -> bool {
        labels.get("app") == Some(&*self.app)
    }

    fn matches(&self, labels: &LabelSet, _: Timestamp, line: &[u8], _: &MetadataSet) -> bool {
        self.matches_stream(labels) && String::from_utf8_lossy(line).contains(&self.tag)
    }
}

/// Reads the queries of the simulation.
#[derive(Clone, Copy, Debug)]
pub struct SimQueries;

impl CompileDelete for SimQueries {
    fn compile(&self, query: &str) -> Result<Arc<dyn RowPredicate>, String> {
        Ok(Arc::new(parse(query).ok_or("not a query of the simulation")?))
    }
}

/// Whether a reader has to hide this row because of `request`.
pub fn means(request: &DeleteRequest, labels: &LabelSet, at: i64, line: &[u8]) -> bool {
    request.overlaps(Timestamp(at), Timestamp(at))
        && parse(&request.query).is_some_and(|selected| selected.matches(labels, Timestamp(at), line, &Arc::default()))
}

/// Makes a request, and perhaps takes it back.
pub async fn live(world: Arc<World>, number: usize) {
    let name = format!("deleter {number}");
    let process = world.process(&name, 0);
    let mut rng = rng(world.scenario.seed, &name);
    world.time.sleep(between(&mut rng, Duration::ZERO, world.scenario.length)).await;
    let pick = rng.random_range(0..1000usize);
    let Some(row) = world.with(|state| state.model.nth_row(pick).cloned()) else { return };
    let Some(tenant) = world.scenario.tenants.get(row.tenant) else { return };
    let around = rng.random_range(0..40_000_000_000_000);
    let span = if rng.random() { (row.at, row.at) } else { (row.at.saturating_sub(around), row.at.saturating_add(around / 2)) };
    let tag = if rng.random() { "tag".to_owned() } else { row.line.rsplit(' ').next().unwrap_or_default().to_owned() };
    let id = format!("{:08x}", number + 1);
    let deletion = Deletion::new(&id, row.tenant, row.label("app"), &tag, span);
    let query = query(&deletion.app, &deletion.tag);
    let handle = world.with(|state| state.model.begin_delete(deletion));
    world.note(format!("{name} asks to delete {query} of {tenant} in {span:?}"));
    let created = process.env.now().as_nanos();
    let request = DeleteRequest { id: id.as_str().into(), query, start: span.0, end: span.1, created, processed: None, receipt: Vec::new() };
    let made = deletes::update(&process.client, &process.env, tenant, |list| {
        list.requests.push(request.clone());
        Some(())
    });
    match made.await {
        Ok(_) => {
            world.note(format!("{name} was acknowledged"));
            world.with(|state| state.model.acknowledge_delete(handle));
        }
        Err(error) if error.is_retryable() => return world.note(format!("{name} is in doubt: {error}")),
        Err(error) => return world.fail(format!("{name}: {}", error.chain())),
    }
    if rng.random_bool(0.5) {
        world.time.sleep(between(&mut rng, Duration::ZERO, world.scenario.settings.delete_cancel_period)).await;
        cancel(&world, &process, tenant, &id, created, handle).await;
    }
}

async fn cancel(world: &World, process: &Process, tenant: &TenantId, id: &str, created: i64, handle: usize) {
    // Whatever clocks say, it can still be taken back.
    let margin = i64::try_from((2 * MAX_SKEW).as_nanos()).unwrap_or(i64::MAX);
    let period = i64::try_from(world.scenario.settings.delete_cancel_period.as_nanos()).unwrap_or(i64::MAX);
    let in_time = || process.env.now().as_nanos().saturating_add(margin) < created.saturating_add(period);
    if !in_time() {
        return;
    }
    world.with(|state| state.model.begin_cancel(handle));
    let taken_back = deletes::update(&process.client, &process.env, tenant, |list| {
        let before = list.requests.len();
        list.requests.retain(|request| *request.id != *id || !in_time());
        (list.requests.len() < before).then_some(())
    });
    match taken_back.await {
        Ok(Some(())) if in_time() => {
            world.note(format!("{} took its request back", process.name));
            world.with(|state| {
                state.tally.cancelled += 1;
                state.model.acknowledge_cancel(handle);
            });
        }
        Ok(_) => world.note(format!("{} could not take its request back in time", process.name)),
        Err(error) if error.is_retryable() => world.note(format!("{} does not know whether its request is taken back", process.name)),
        Err(error) => world.fail(format!("{}: {}", process.name, error.chain())),
    }
}
