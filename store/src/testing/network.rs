//! One store in memory behind a network that delays, loses and repeats, for simulations in virtual time.
//! Owns: how long a request travels, what befalls it, that a write whose sender is gone may still arrive; telling an observer what happened.
//! Must not know: who sends requests, and which outcome is right.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::env::{Env, VirtualTime};
use crate::error::StoreError;
use crate::object::{Backend, Condition, Failure, FolderPage, ObjectClient, ObjectInfo, Op, Page, Part, Read, Version};

/// How requests fare. A number "one in" of 0 means never.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Longest usual travel to the store, and longest back.
    pub delay: Duration,
    /// One request in so many suffers a fault.
    pub fault_one_in: u32,
    /// One request in so many is held for up to `hold`, on its way there or back: its sender sleeps as long.
    pub hold_one_in: u32,
    /// Longest time that a request is held.
    pub hold: Duration,
    /// Longest time that a write travels on after its sender was told that the connection broke.
    pub late: Duration,
    /// Keys in a page of a LIST, at most: pages are requests of their own, between which others write.
    pub page_keys: usize,
}

impl Weather {
    /// Every request arrives at once and is answered at once, and a LIST has one page.
    pub const CALM: Self = Self { delay: Duration::ZERO, fault_one_in: 0, hold_one_in: 0, hold: Duration::ZERO, late: Duration::ZERO, page_keys: usize::MAX };
}

/// Something that happened to a request.
#[derive(Debug)]
pub struct NetworkEvent<'a> {
    /// Who sent it.
    pub actor: &'a str,
    /// Its kind.
    pub op: Op,
    /// Its key or prefix.
    pub key: &'a str,
    /// What happened.
    pub what: What<'a>,
}

/// What happened to a request.
#[derive(Debug)]
pub enum What<'a> {
    /// A put with this body sets off.
    Sent(&'a Bytes),
    /// The store carried out a put: the key now has this body.
    Written(&'a Bytes),
    /// The store did what it does with any other request, which ended so.
    Done(&'static str),
    /// The sender was told so.
    Answered(&'static str),
    /// It is held for so long.
    Held(Duration),
}

/// Is told of everything, in order.
pub trait Observer: Send + Sync {
    /// Called at the instant of the event; must not make requests.
    fn saw(&self, event: &NetworkEvent<'_>);
}

/// A store in memory and the way to it. A cheap clone.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    store: ObjectClient,
    time: VirtualTime,
    weather: Mutex<Weather>,
    observer: Arc<dyn Observer>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("weather", &self.shared.weather.lock()).finish_non_exhaustive()
    }
}

impl Network {
    /// A new store.
    pub fn new(time: &VirtualTime, weather: Weather, observer: Arc<dyn Observer>) -> Result<Self, StoreError> {
        let store = ObjectClient::open("memory:", &Env::simulated(time, 0, 0))?;
        Ok(Self { shared: Arc::new(Shared { store, time: time.clone(), weather: Mutex::new(weather), observer }) })
    }

    /// From now on. Requests under way fare as they would have.
    pub fn set_weather(&self, weather: Weather) {
        *self.shared.weather.lock() = weather;
    }

    /// A client without a network in between: a future that makes only such requests ends at the instant it begins.
    pub fn direct(&self) -> ObjectClient {
        self.shared.store.clone()
    }

    /// The client of a process called `actor`, whose requests fare after the random sequence of `seed` and are held `held_more` times as often as the weather says, for as
    /// much shorter. The flag says whether any was held.
    pub fn client(&self, actor: &str, env: &Env, seed: u64, held_more: u32) -> (ObjectClient, HeldFlag) {
        let held = HeldFlag::default();
        let link = Arc::new(Link {
            actor: actor.to_owned(),
            shared: Arc::clone(&self.shared),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            held_more,
            held: held.clone(),
        });
        (self.shared.store.wrapped_for(env, |inner| Arc::new(LinkBackend { inner, link })), held)
    }
}

/// Whether a request of a client was held. A cheap clone.
#[derive(Clone, Debug, Default)]
pub struct HeldFlag(Arc<Mutex<bool>>);

impl HeldFlag {
    /// Whether one was since the last call.
    pub fn take(&self) -> bool {
        std::mem::take(&mut *self.0.lock())
    }
}

struct Link {
    actor: String,
    shared: Arc<Shared>,
    rng: Mutex<StdRng>,
    held_more: u32,
    held: HeldFlag,
}

/// What befalls a request besides delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It arrives and is answered.
    Good,
    /// As [`Fate::Good`], and it arrives also if its sender is dropped meanwhile.
    Stubborn,
    LostBefore,
    LostAfter,
    /// A put that happened and is refused: something on the way repeated it.
    RefusedAfter,
    Conflict409,
    SlowDown503,
    /// A write that arrives after its sender was told that the connection broke.
    Late(Duration),
}

struct Course {
    before: Duration,
    after: Duration,
    fate: Fate,
    held: Option<Duration>,
}

impl Link {
    fn draw(&self, write: bool, conditional: bool) -> Course {
        let weather = *self.shared.weather.lock();
        let mut rng = self.rng.lock();
        let mut upto = |longest: Duration| Duration::from_nanos(rng.random_range(0..=u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX)));
        let (mut before, mut after) = (upto(weather.delay), upto(weather.delay));
        let (hold, late) = (upto(weather.hold / self.held_more.max(1)), upto(weather.late));
        let one_in = |rng: &mut StdRng, n: u32| n > 0 && rng.random_range(0..n) == 0;
        let held = one_in(&mut rng, weather.hold_one_in.div_ceil(self.held_more.max(1))).then_some(hold);
        if let Some(hold) = held {
            if rng.random() {
                before += hold;
            } else {
                after += hold;
            }
            *self.held.0.lock() = true;
        }
        let fate = if one_in(&mut rng, weather.fault_one_in) {
            match rng.random_range(0..6u32) {
                0 => Fate::LostBefore,
                1 => Fate::LostAfter,
                2 if conditional => Fate::RefusedAfter,
                3 if conditional => Fate::Conflict409,
                4 if write => Fate::Late(late),
                _ => Fate::SlowDown503,
            }
        } else if write && rng.random() {
            Fate::Stubborn
        } else {
            Fate::Good
        };
        Course { before, after, fate, held }
    }

    fn tell(&self, op: Op, key: &str, what: What<'_>) {
        self.shared.observer.saw(&NetworkEvent { actor: &self.actor, op, key, what });
    }
}

fn name<T>(result: &Result<T, Failure>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(Failure::NotFound) => "not found",
        Err(Failure::Exists) => "exists",
        Err(Failure::Mismatch) => "mismatch",
        Err(Failure::Busy(_)) => "409",
        Err(Failure::Range(_)) => "range",
        Err(Failure::Denied(_)) => "denied",
        Err(Failure::Key(_)) => "bad key",
        Err(Failure::Transient(_)) => "no answer",
    }
}

fn lost(text: &'static str) -> Failure {
    Failure::Transient(text.into())
}

struct LinkBackend {
    inner: Arc<dyn Backend>,
    link: Arc<Link>,
}

impl fmt::Debug for LinkBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkBackend").field("actor", &self.link.actor).finish_non_exhaustive()
    }
}

impl LinkBackend {
    /// Sends a request whose effect is `effect`. `written` is the body that a successful put leaves; `refusal` how a condition is refused.
    async fn send<T: Send + 'static>(
        &self,
        op: Op,
        key: &str,
        written: Option<Bytes>,
        refusal: Option<Failure>,
        effect: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let link = Arc::clone(&self.link);
        let write = matches!(op, Op::Put | Op::Delete);
        let Course { before, after, fate, held } = link.draw(write, refusal.is_some());
        if let Some(held) = held {
            link.tell(op, key, What::Held(held));
        }
        if let Some(body) = &written {
            link.tell(op, key, What::Sent(body));
        }
        let arrival = {
            let (link, key, time) = (Arc::clone(&link), key.to_owned(), link.shared.time.clone());
            async move {
                time.sleep(before).await;
                let result = effect.await;
                match (&result, &written) {
                    (Ok(_), Some(body)) => link.tell(op, &key, What::Written(body)),
                    _ => link.tell(op, &key, What::Done(name(&result))),
                }
                result
            }
        };
        let time = link.shared.time.clone();
        let answer = match fate {
            Fate::Good => arrival.await,
            Fate::Stubborn => tokio::spawn(arrival).await.unwrap_or_else(|_| Err(lost("the simulation ended"))),
            Fate::LostAfter => arrival.await.and(Err(lost("the connection broke before the answer came"))),
            Fate::RefusedAfter => arrival.await.and(Err(refusal.unwrap_or_else(|| lost("the connection broke before the answer came")))),
            Fate::Late(by) => {
                tokio::spawn(async move {
                    time.sleep(by).await;
                    arrival.await.ok();
                });
                Err(lost("the connection broke, and the request travels on"))
            }
            Fate::LostBefore | Fate::SlowDown503 | Fate::Conflict409 => {
                time.sleep(before).await;
                Err(match fate {
                    Fate::Conflict409 => Failure::Busy("409 ConditionalRequestConflict".into()),
                    Fate::SlowDown503 => lost("503 SlowDown"),
                    _ => lost("the connection could not be made"),
                })
            }
        };
        link.shared.time.sleep(after).await;
        link.tell(op, key, What::Answered(name(&answer)));
        answer
    }
}

#[async_trait]
impl Backend for LinkBackend {
    async fn put(&self, key: &str, body: Bytes, condition: &Condition) -> Result<Version, Failure> {
        let refusal = match condition {
            Condition::Absent => Failure::Exists,
            Condition::Is(_) => Failure::Mismatch,
        };
        let (inner, condition, owned, written) = (Arc::clone(&self.inner), condition.clone(), key.to_owned(), body.clone());
        self.send(Op::Put, key, Some(written), Some(refusal), async move { inner.put(&owned, body, &condition).await }).await
    }

    async fn get(&self, key: &str, part: &Part) -> Result<Read, Failure> {
        let (inner, part, owned) = (Arc::clone(&self.inner), part.clone(), key.to_owned());
        self.send(Op::Get, key, None, None, async move { inner.get(&owned, &part).await }).await
    }

    async fn head(&self, key: &str) -> Result<ObjectInfo, Failure> {
        let (inner, owned) = (Arc::clone(&self.inner), key.to_owned());
        self.send(Op::Head, key, None, None, async move { inner.head(&owned).await }).await
    }

    async fn list(&self, prefix: &str, page: Option<&str>) -> Result<Page, Failure> {
        let (inner, owned, after) = (Arc::clone(&self.inner), prefix.to_owned(), page.map(str::to_owned));
        let keys = self.link.shared.weather.lock().page_keys.max(1);
        let effect = async move {
            let mut all = inner.list(&owned, None).await?.objects;
            all.retain(|object| after.as_ref().is_none_or(|after| object.key > *after));
            all.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            let more = all.len() > keys;
            all.truncate(keys);
            let next = if more { all.last().map(|object| object.key.clone()) } else { None };
            Ok(Page { objects: all, next, requests: 1 })
        };
        self.send(Op::List, prefix, None, None, effect).await
    }

    async fn folders(&self, prefix: &str, page: Option<&str>) -> Result<FolderPage, Failure> {
        let (inner, owned, page) = (Arc::clone(&self.inner), prefix.to_owned(), page.map(str::to_owned));
        self.send(Op::List, prefix, None, None, async move { inner.folders(&owned, page.as_deref()).await }).await
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        let (inner, owned) = (Arc::clone(&self.inner), key.to_owned());
        self.send(Op::Delete, key, None, None, async move { inner.delete(&owned).await }).await
    }
}
