//! The end: faults stop, compactors run until there is nothing left to do, and then everything that is stored is looked at.
//! Owns: what must be true of a store at rest.

use std::sync::Arc;
use std::time::Duration;

use compactor::{Compactor, PlanSettings, RunReport, Settings};
use schema::TenantId;
use schema::key::level0_prefix;
use schema::level1::level1_prefix;
use store::chunk::ChunkCache;
use store::testing::Weather;
use store::{StoreError, day};

use super::deleter::SimQueries;
use super::model::Question;
use super::world::World;
use super::{compacting, reader};

/// Runs after which a compactor must have come to rest.
const MAX_RUNS: u32 = 80;
/// Time between two of them: longer than any grace.
const PAUSE: Duration = Duration::from_secs(75 * 60);

/// Lets everything come to rest and checks what is left.
pub async fn rest(world: &Arc<World>) {
    world.network.set_weather(Weather { delay: Duration::from_millis(5), ..Weather::CALM });
    // Nothing is under way any more after that.
    world.time.sleep(world.scenario.weather.late + Duration::from_secs(60)).await;
    reader::audit_once(world).await;
    let process = world.process("last compactor", 0);
    // Nothing waits for company, and everything is small: copies from late retries meet, and collapse.
    let plan = PlanSettings { min_level0: 1, min_merge: 2, ..PlanSettings::default() };
    let settings = Settings { plan, ..world.scenario.settings.clone() };
    let compactor = Compactor::new(process.client.clone(), process.env.clone(), settings, Arc::new(SimQueries));
    let mut quiet = 0;
    for _ in 0..MAX_RUNS {
        match compactor.run(None, None).await {
            Ok(report) => {
                world.note(format!("the last compactor has run: {}", compacting::told(&report)));
                world.with(|state| compacting::count(&mut state.tally, &report));
                quiet = if is_idle(&report) { quiet + 1 } else { 0 };
            }
            Err(error) => return world.fail(format!("the last compactor: {error}")),
        }
        if quiet < 2 {
            reader::audit_once(world).await;
        }
        if quiet > 2 || world.has_failed() {
            break;
        }
        world.time.sleep(PAUSE).await;
    }
    if world.has_failed() {
        return;
    }
    if quiet <= 2 {
        return world.fail(format!("the last compactor still finds something to do after {MAX_RUNS} runs"));
    }
    if let Err(error) = look(world).await {
        world.fail(format!("the store at rest: {}", error.chain()));
    }
}

fn is_idle(report: &RunReport) -> bool {
    let RunReport { jobs, objects_expired, objects_deleted, orphans, deletes_processed, deletes_pending, conflicts, level0_backlog, out_of_time, .. } = report;
    [jobs, objects_expired, objects_deleted, orphans, deletes_processed, deletes_pending, conflicts, level0_backlog].into_iter().all(|count| *count == 0)
        && !out_of_time
}

async fn look(world: &World) -> Result<(), StoreError> {
    let client = world.network.direct();
    let env = world.process("verifier", 0).env;
    let mut stored_rows = 0u64;
    for (tenant, id) in world.scenario.tenants.iter().enumerate() {
        look_at_objects(world, id).await?;
        let question = Question { tenant, range: reader::all_time(), app: None, asked: u64::MAX, since: world.time.elapsed() };
        let answer = reader::ask(&client, id, &question, &ChunkCache::new(1 << 20)).await?;
        stored_rows += answer.values().map(|copies| u64::from(*copies)).sum::<u64>();
        let checksum = answer.iter().fold(0u128, |sum, (name, copies)| sum.wrapping_add(name.wrapping_mul(u128::from(*copies))));
        world.note(format!("{id} has {} rows with the checksum {checksum:032x}", answer.len()));
        world.check("at rest", world.with(|state| state.model.check(&question, &answer)));
        world.check("at rest", world.with(|state| state.model.check_at_rest(&answer)));
    }
    let report = compactor::verify::verify(&client, &env, None, &mut |_| {}).await?;
    if let Some(finding) = report.findings.first() {
        world.fail(format!("verify: {} in {}, and {} more", finding.problem, finding.object, report.problems.saturating_sub(1)));
    }
    if report.orphans > 0 || (report.rows != stored_rows && world.scenario.deletes == 0) {
        world.fail(format!("{} orphans; {} rows are stored, {stored_rows} are answered", report.orphans, report.rows));
    }
    Ok(())
}

/// Level 0 is empty, and of level 1 there is exactly what the days speak of, all of it live.
async fn look_at_objects(world: &World, tenant: &TenantId) -> Result<(), StoreError> {
    let client = world.network.direct();
    let left: Vec<String> = client.list(&level0_prefix(tenant)).await?.into_iter().map(|object| object.key).collect();
    if let Some(key) = left.first() {
        world.fail(format!("level 0 is not empty: {key}, {} in all", left.len()));
    }
    let mut live: Vec<String> = Vec::new();
    for day in day::list(&client, tenant).await?.days.into_keys() {
        let manifest = day::load(&client, tenant, day).await?.manifest;
        if let Some(replaced) = manifest.replaced.first() {
            world.fail(format!("a replaced chunk is still there: {}", replaced.key));
        }
        live.extend(manifest.chunks.iter().map(|entry| entry.key.to_string()));
    }
    live.sort_unstable();
    let objects: Vec<String> = client.list(&level1_prefix(tenant)).await?.into_iter().map(|object| object.key).collect();
    if objects != live {
        world.fail(format!("compacted objects of {tenant} are {objects:?}, the days speak of {live:?}"));
    }
    Ok(())
}
