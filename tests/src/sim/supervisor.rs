//! Starts actors, kills them at random instants, starts them again; in the end lets everything come to rest.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::scenario::{between, rng};
use super::world::World;
use super::{compacting, deleter, finale, querier, reader, writer};

/// The whole simulation.
pub async fn live(world: &Arc<World>) {
    let scenario = &world.scenario;
    let mut actors: Vec<JoinHandle<()>> = Vec::new();
    for number in 0..scenario.writers {
        let memory = Arc::new(Mutex::new(writer::Memory::default()));
        actors.push(supervise(world, format!("writer {number}"), move |world, name, life| writer::live(world, name, life, Arc::clone(&memory))));
    }
    for number in 0..scenario.readers {
        actors.push(supervise(world, format!("reader {number}"), reader::live));
    }
    for number in 0..scenario.queriers {
        actors.push(supervise(world, format!("querier {number}"), querier::live));
    }
    for number in 0..scenario.compactors {
        actors.push(supervise(world, format!("compactor {number}"), compacting::live));
    }
    for number in 0..scenario.deletes {
        actors.push(tokio::spawn(deleter::live(Arc::clone(world), number)));
    }
    actors.push(tokio::spawn(reader::audit(Arc::clone(world))));
    futures::future::select(std::pin::pin!(world.time.sleep(scenario.length)), std::pin::pin!(world.failed())).await;
    world.with(|state| state.over = true);
    world.note("it is over");
    for actor in &actors {
        actor.abort();
    }
    for actor in actors {
        if let Err(error) = actor.await
            && error.is_panic()
        {
            world.fail(format!("an actor panicked: {error}"));
        }
    }
    if !world.has_failed() {
        finale::rest(world).await;
    }
}

/// Keeps an actor alive, and kills it now and then if the scenario says so.
fn supervise<F>(world: &Arc<World>, name: String, life: impl Fn(Arc<World>, String, u32) -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let mut rng = rng(world.scenario.seed, &format!("supervisor of {name}"));
        let mut incarnation = 0;
        while !world.is_over() {
            let actor = Killed(tokio::spawn(life(Arc::clone(&world), name.clone(), incarnation)));
            match world.scenario.lives {
                Some(longest) => world.time.sleep(between(&mut rng, Duration::ZERO, longest)).await,
                None => world.time.sleep(world.scenario.length).await,
            }
            if actor.0.is_finished() {
                if !world.is_over() {
                    world.fail(format!("{name} ended by itself"));
                }
                return;
            }
            world.note(format!("{name} is killed"));
            world.with(|state| state.tally.killed += 1);
            drop(actor);
            incarnation += 1;
        }
    })
}

/// An actor that ends when this is dropped, wherever it is.
struct Killed(JoinHandle<()>);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.abort();
    }
}
