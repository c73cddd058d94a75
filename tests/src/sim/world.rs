//! What all actors share: time, network, what is known to be true, and the first thing that was not.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use store::env::{Env, VirtualTime};
use store::object::ObjectClient;
use store::testing::{HeldFlag, Network, NetworkEvent, Observer, What};
use tokio::sync::Notify;

use super::mirror::Mirror;
use super::model::Model;
use super::scenario::{MAX_SKEW, Scenario, between, rng};
use super::trace::Trace;
use super::{Outcome, Tally};

/// Everything.
#[derive(Debug)]
pub struct World {
    /// What the seed says.
    pub scenario: Scenario,
    /// The clock.
    pub time: VirtualTime,
    /// The way to the store.
    pub network: Network,
    state: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    time: VirtualTime,
    state: Mutex<State>,
}

/// What is known.
#[derive(Debug)]
pub struct State {
    /// What was pushed and deleted.
    pub model: Model,
    /// What is stored.
    pub mirror: Mirror,
    /// What happened how often.
    pub tally: Tally,
    /// Whether writers and readers go home.
    pub over: bool,
    trace: Trace,
    failure: Option<String>,
    failed: Arc<Notify>,
}

/// A process of the simulation: its store and its clock.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its name in the trace.
    pub name: String,
    /// Its way to the store.
    pub client: ObjectClient,
    /// Its clock and randomness.
    pub env: Env,
    /// Whether a request of it was held.
    pub held: HeldFlag,
}

impl World {
    /// Nothing stored, nothing pushed.
    pub fn new(scenario: Scenario, time: VirtualTime) -> anyhow::Result<Arc<Self>> {
        let state = State {
            model: Model::new(&scenario, &time),
            mirror: Mirror::new(&scenario, &time),
            tally: Tally::default(),
            over: false,
            trace: Trace::default(),
            failure: None,
            failed: Arc::default(),
        };
        let state = Arc::new(Shared { time: time.clone(), state: Mutex::new(state) });
        let observer: Arc<dyn Observer> = Arc::<Shared>::clone(&state);
        let network = Network::new(&time, scenario.weather, observer)?;
        Ok(Arc::new(Self { scenario, time, network, state }))
    }

    /// A new process, with a clock of its own.
    pub fn process(&self, name: &str, incarnation: u32) -> Process {
        let mut rng = rng(self.scenario.seed, &format!("process {name} {incarnation}"));
        let skew = between(&mut rng, Duration::ZERO, 2 * MAX_SKEW).as_nanos();
        let skew = i64::try_from(skew).unwrap_or(0) - i64::try_from(MAX_SKEW.as_nanos()).unwrap_or(0);
        let (of_env, of_link) = (rand::Rng::random(&mut rng), rand::Rng::random(&mut rng));
        let env = Env::simulated(&self.time, skew, of_env);
        // Readers are slow: what they have listed vanishes under them.
        let held_more = if name.starts_with("reader") || name.starts_with("querier") { 5 } else { 1 };
        let (client, held) = self.network.client(name, &env, of_link, held_more);
        Process { name: name.to_owned(), client, env, held }
    }

    /// Looks at what is known, or adds to it.
    pub fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        action(&mut self.state.state.lock())
    }

    /// Adds to the trace.
    pub fn note(&self, text: impl AsRef<str>) {
        let at = self.time.elapsed();
        self.with(|state| state.trace.push(at, text.as_ref()));
    }

    /// Something that must not be is.
    pub fn fail(&self, text: impl Into<String>) {
        let text = text.into();
        self.note(format!("BROKEN {text}"));
        self.with(|state| state.fail(text));
    }

    /// Fails with the error, if it is one.
    pub fn check(&self, who: &str, result: Result<(), String>) {
        if let Err(text) = result {
            self.fail(format!("{who}: {text}"));
        }
    }

    /// Whether writers and readers go home: there was time enough, or something has failed.
    pub fn is_over(&self) -> bool {
        self.with(|state| state.over || state.failure.is_some())
    }

    /// Ends when something fails.
    pub async fn failed(&self) {
        let failed = self.with(|state| Arc::clone(&state.failed));
        failed.notified().await;
    }

    /// Whether something has failed.
    pub fn has_failed(&self) -> bool {
        self.with(|state| state.failure.is_some())
    }

    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        let seed = self.scenario.seed;
        self.with(|state| {
            let (events, hash) = state.trace.digest();
            let failure = state.failure.as_ref().map(|failure| format!("seed {seed}: {failure}\n--- the last events ---\n{}", state.trace.text()));
            Outcome { seed, events, hash, tally: state.tally, failure }
        })
    }
}

impl State {
    fn fail(&mut self, text: String) {
        self.failure.get_or_insert(text);
        self.failed.notify_one();
    }
}

impl Observer for Shared {
    fn saw(&self, event: &NetworkEvent<'_>) {
        let NetworkEvent { actor, op, key, what } = event;
        let op = op.as_str();
        let mut state = self.state.lock();
        let text = match what {
            What::Sent(body) => return state.mirror.sent(body),
            What::Written(body) => format!("{actor} {op} {key}: written, {} bytes", body.len()),
            What::Done(result) => format!("{actor} {op} {key}: {result}"),
            What::Answered(result) => format!("{actor} {op} {key} answered: {result}"),
            What::Held(by) => format!("{actor} {op} {key} is held for {} s", by.as_secs()),
        };
        state.trace.push(self.time.elapsed(), &text);
        let State { model, mirror, tally, .. } = &mut *state;
        tally.held += u64::from(matches!(what, What::Held(_)));
        let verdict = match what {
            What::Written(body) => mirror.written(key, body, model),
            What::Done("ok") if op == "delete" => mirror.deleted(key),
            _ => Ok(()),
        };
        if let Err(problem) = verdict {
            let text = format!("{actor} {op} {key}: {problem}");
            state.trace.push(self.time.elapsed(), &format!("BROKEN {text}"));
            state.fail(text);
        }
    }
}
