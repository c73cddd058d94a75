//! Compactors: run, rest, run again. Owns: which of their errors the network may cause.

use std::sync::Arc;
use std::time::Duration;

use compactor::{Compactor, RunReport};
use rand::Rng;
use store::ErrorKind;

use super::Tally;
use super::deleter::SimQueries;
use super::scenario::{between, mortal, rng};
use super::world::World;

/// A compactor's life.
pub async fn live(world: Arc<World>, name: String, incarnation: u32) {
    let process = world.process(&name, incarnation);
    let mut rng = rng(world.scenario.seed, &format!("{name} {incarnation}"));
    let born = || Compactor::new(process.client.clone(), process.env.clone(), world.scenario.settings.clone(), Arc::new(SimQueries));
    let mut compactor = born();
    while !world.is_over() {
        world.time.sleep(between(&mut rng, Duration::ZERO, world.scenario.rest)).await;
        let budget = rng.random_bool(0.2).then(|| between(&mut rng, Duration::ZERO, Duration::from_secs(60)));
        process.held.take();
        let Some(result) = mortal(&world, &mut rng, 100, compactor.run(None, budget)).await else {
            world.note(format!("{name} dies"));
            compactor = born();
            continue;
        };
        match result {
            Ok(report) => {
                world.note(format!("{name} has run: {}", told(&report)));
                world.with(|state| count(&mut state.tally, &report));
            }
            // What a compactor has read of a day may be gone when it goes on after a sleep longer than the grace period.
            Err(error) if error.kind() == ErrorKind::Unavailable || (error.kind() == ErrorKind::NotFound && process.held.take()) => {
                world.note(format!("{name} gave up: {error}"));
            }
            Err(error) => world.fail(format!("{name}: {error}")),
        }
    }
}

/// What of a report is worth a line.
pub fn told(report: &RunReport) -> String {
    format!(
        "{} jobs, {} consumed, {} written, {} expired and {} deleted rows, {} objects collected, {} orphans, {} conflicts, {} + {} deletes",
        report.jobs,
        report.level0_consumed,
        report.rows_written,
        report.rows_expired,
        report.rows_deleted,
        report.objects_deleted,
        report.orphans,
        report.conflicts,
        report.deletes_processed,
        report.deletes_pending,
    )
}

/// Adds a report.
pub const fn count(tally: &mut Tally, report: &RunReport) {
    tally.jobs += report.jobs;
    tally.conflicts += report.conflicts;
    tally.collected += report.objects_deleted;
    tally.orphans += report.orphans;
    tally.deletes += report.deletes_processed;
    tally.removed += report.rows_deleted + report.rows_expired + report.objects_expired;
}
