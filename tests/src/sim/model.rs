//! What was pushed and deleted, and what follows from that for every answer.
//! Owns: which rows must be answered, which may be and which must not. Must not know: what is stored.
//!
//! A row is *acknowledged* from the moment its push was; *in doubt* while a push of it runs, and for ever if none succeeded. Whatever a request changes lies between its
//! begin and its acknowledgement: an answer that overlaps with it may be of before or after.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use compactor::Settings;
use schema::{Day, LabelSet, TenantId, TimeRange, Timestamp};
use store::env::VirtualTime;
use store::snapshot::DEDUPE_WINDOW;

use super::rows::{RowName, SimRow};
use super::scenario::{MAX_SKEW, Scenario};

/// Pushes of a row that lie closer together than this are one to the store: the second is recognised, whatever clocks say.
const CLOSE: Duration = Duration::from_secs(DEDUPE_WINDOW.as_secs() / 2);

/// What is known.
#[derive(Debug)]
pub struct Model {
    time: VirtualTime,
    tenants: Vec<TenantId>,
    settings: Settings,
    /// Longest time that a write is under way after its sender gave up.
    late: Duration,
    moment: u64,
    rows: BTreeMap<RowName, Known>,
    days: BTreeMap<String, BTreeSet<Day>>,
    deletions: Vec<Deletion>,
    processed: BTreeMap<Box<str>, i64>,
}

#[derive(Debug)]
struct Known {
    row: SimRow,
    first_begun: Duration,
    acknowledged: Option<u64>,
    active: u32,
    quiet_at: Duration,
    chunks: BTreeSet<String>,
}

/// A delete request.
#[derive(Debug)]
pub struct Deletion {
    /// Its id in the store.
    pub id: Box<str>,
    /// Whose.
    pub tenant: usize,
    /// Rows of streams with this label `app`.
    pub app: String,
    /// Rows whose line holds this text.
    pub tag: String,
    /// First and last instant.
    pub span: (i64, i64),
    acknowledged: Option<u64>,
    cancel_begun: bool,
    cancelled: Option<u64>,
    /// Rows that nobody has pushed since it was begun.
    quiet: BTreeSet<RowName>,
}

impl Deletion {
    /// A request that is about to be made.
    pub fn new(id: &str, tenant: usize, app: &str, tag: &str, span: (i64, i64)) -> Self {
        let (app, tag) = (app.to_owned(), tag.to_owned());
        Self { id: id.into(), tenant, app, tag, span, acknowledged: None, cancel_begun: false, cancelled: None, quiet: BTreeSet::new() }
    }

    fn covers(&self, row: &SimRow) -> bool {
        row.tenant == self.tenant && self.span.0 <= row.at && row.at <= self.span.1 && row.label("app") == self.app && row.line.contains(&self.tag)
    }
}

/// What a reader asks for.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose rows.
    pub tenant: usize,
    /// From when to when.
    pub range: TimeRange,
    /// Of streams with this label `app` only.
    pub app: Option<String>,
    /// When it was asked: see [`Model::moment`].
    pub asked: u64,
    /// The same in virtual time.
    pub since: Duration,
}

/// Rows with the number of their copies.
pub type Answer = BTreeMap<RowName, u32>;

impl Model {
    /// Nothing known.
    pub fn new(scenario: &Scenario, time: &VirtualTime) -> Self {
        Self {
            time: time.clone(),
            tenants: scenario.tenants.clone(),
            settings: scenario.settings.clone(),
            late: scenario.weather.late + 4 * scenario.weather.delay + Duration::from_secs(1),
            moment: 0,
            rows: BTreeMap::new(),
            days: BTreeMap::new(),
            deletions: Vec::new(),
            processed: BTreeMap::new(),
        }
    }

    /// A point in the order of all begins and acknowledgements; later calls give later ones.
    pub fn moment(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// A push of `rows` as the object `chunk` begins. Returns their names. Whether any was pushed before.
    pub fn begin_push(&mut self, rows: &[SimRow], chunk: &str) -> (Vec<RowName>, bool) {
        let now = self.time.elapsed();
        self.days.insert(chunk.to_owned(), rows.iter().map(|row| Day::of(Timestamp(row.at))).collect());
        let names: BTreeSet<RowName> = rows.iter().map(SimRow::name).collect();
        let mut again = false;
        for row in rows {
            let new = || Known { row: row.clone(), first_begun: now, acknowledged: None, active: 0, quiet_at: now, chunks: BTreeSet::new() };
            self.rows.entry(row.name()).or_insert_with(new);
        }
        for name in &names {
            let Some(known) = self.rows.get_mut(name) else { continue };
            again |= !known.chunks.is_empty();
            known.active += 1;
            known.chunks.insert(chunk.to_owned());
            for deletion in &mut self.deletions {
                deletion.quiet.remove(name);
            }
        }
        (names.into_iter().collect(), again)
    }

    /// That push has ended; parts of it may be under way still.
    pub fn end_push(&mut self, names: &[RowName], acknowledged: bool) {
        let (now, moment) = (self.time.elapsed(), self.moment());
        for name in names {
            let Some(known) = self.rows.get_mut(name) else { continue };
            known.active = known.active.saturating_sub(1);
            known.quiet_at = known.quiet_at.max(now + self.late);
            if acknowledged {
                known.acknowledged.get_or_insert(moment);
            }
        }
    }

    /// A delete request is about to be made. Returns its number.
    pub fn begin_delete(&mut self, mut deletion: Deletion) -> usize {
        let now = self.time.elapsed();
        let quiet = |known: &Known| known.active == 0 && known.quiet_at <= now && deletion.covers(&known.row);
        deletion.quiet = self.rows.iter().filter(|(_, known)| quiet(known)).map(|(name, _)| *name).collect();
        self.deletions.push(deletion);
        self.deletions.len() - 1
    }

    /// It was acknowledged.
    pub fn acknowledge_delete(&mut self, number: usize) {
        let moment = self.moment();
        if let Some(deletion) = self.deletions.get_mut(number) {
            deletion.acknowledged = Some(moment);
        }
    }

    /// It is about to be taken back.
    pub fn begin_cancel(&mut self, number: usize) {
        if let Some(deletion) = self.deletions.get_mut(number) {
            deletion.cancel_begun = true;
        }
    }

    /// It was taken back, in time.
    pub fn acknowledge_cancel(&mut self, number: usize) {
        let moment = self.moment();
        if let Some(deletion) = self.deletions.get_mut(number) {
            deletion.cancelled = Some(moment);
        }
    }

    /// The store says that a request was carried out at that time by some clock.
    pub fn processed(&mut self, id: &str, at: i64) {
        self.processed.entry(id.into()).or_insert(at);
    }

    /// The days of the rows in the level-0 object `chunk`.
    pub fn days_of(&self, chunk: &str) -> Option<&BTreeSet<Day>> {
        self.days.get(chunk)
    }

    /// A row that may have been pushed, by number.
    pub fn nth_row(&self, n: usize) -> Option<&SimRow> {
        self.rows.values().nth(n % self.rows.len().max(1)).map(|known| &known.row)
    }

    fn now(&self) -> i64 {
        self.time.now().as_nanos()
    }

    fn skew() -> i64 {
        i64::try_from(MAX_SKEW.as_nanos()).unwrap_or(i64::MAX)
    }

    fn horizon(&self, row: &SimRow, now: i64) -> Option<i64> {
        let settings = self.settings.of(self.tenants.get(row.tenant)?);
        let labels = LabelSet::from_pairs(row.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))).ok()?;
        settings.horizon(&labels, Timestamp(now)).map(Timestamp::as_nanos)
    }

    fn may_be_expired(&self, row: &SimRow) -> bool {
        self.horizon(row, self.now().saturating_add(Self::skew())).is_some_and(|horizon| row.at < horizon)
    }

    /// Whether the row's whole day is beyond its retention by every clock.
    fn is_expired_for_sure(&self, row: &SimRow) -> bool {
        self.horizon(row, self.now().saturating_sub(Self::skew())).is_some_and(|horizon| Day::of(Timestamp(row.at)).last().as_nanos() < horizon)
    }

    fn may_be_deleted(&self, row: &SimRow, asked: u64) -> bool {
        self.deletions.iter().any(|deletion| deletion.covers(row) && deletion.cancelled.is_none_or(|at| at >= asked))
    }

    /// Whether an answer to a question asked then must not have the row. `hidden`: besides rows that are gone, those that are only hidden.
    fn is_deleted(&self, name: RowName, row: &SimRow, asked: u64, hidden: bool) -> bool {
        let window = i64::try_from(DEDUPE_WINDOW.as_nanos()).unwrap_or(i64::MAX);
        self.deletions.iter().any(|deletion| {
            let holds = deletion.acknowledged.is_some_and(|at| at < asked) && !deletion.cancel_begun && deletion.covers(row);
            let hides = || self.processed.get(&deletion.id).is_none_or(|at| self.now().saturating_add(Self::skew()) < at.saturating_add(window));
            holds && (deletion.quiet.contains(&name) || (hidden && hides()))
        })
    }

    fn is_asked_for(&self, row: &SimRow, question: &Question) -> bool {
        let at = question.range.contains(Timestamp(row.at));
        row.tenant == question.tenant && at && question.app.as_ref().is_none_or(|app| row.label("app") == app)
    }

    /// Whether all pushes of the row are one to the store, so that it is stored once at every moment.
    fn is_pushed_once(&self, known: &Known) -> bool {
        let last = if known.active > 0 { self.time.elapsed() } else { known.quiet_at };
        known.chunks.len() == 1 && last.saturating_sub(known.first_begun) < CLOSE
    }

    fn is_required(&self, known: &Known, question: &Question) -> bool {
        known.acknowledged.is_some_and(|at| at < question.asked)
            && self.is_asked_for(&known.row, question)
            && !self.may_be_deleted(&known.row, question.asked)
            && !self.may_be_expired(&known.row)
    }

    /// How many rows the answer to `question` may have now, at least and at most.
    pub fn bounds(&self, question: &Question) -> (u32, u32) {
        let (mut least, mut most) = (0, 0);
        for (name, known) in self.rows.iter().filter(|(_, known)| self.is_asked_for(&known.row, question)) {
            least += u32::from(self.is_required(known, question));
            most += u32::from(!self.is_deleted(*name, &known.row, question.asked, true));
        }
        (least, most)
    }

    /// Whether `answer` may be the answer to `question` now. Its copies are those that were found, not those that a client would see.
    pub fn check(&self, question: &Question, answer: &Answer) -> Result<(), String> {
        // Chunks that were collected under a query that takes longer than the grace period may show beside their copies if they are in its cache.
        let too_long = self.time.elapsed().saturating_sub(question.since) + 2 * MAX_SKEW >= self.settings.grace;
        for (name, copies) in answer {
            let Some(known) = self.rows.get(name) else { return Err(format!("a row of tenant {} was answered that was never pushed to it", question.tenant)) };
            if !self.is_asked_for(&known.row, question) {
                return Err(format!("a row was answered that was not asked for: {:?} to {question:?}", known.row));
            }
            if *copies > 1 && self.is_pushed_once(known) && !too_long {
                return Err(format!("a row was found {copies} times: {:?}", known.row));
            }
            if self.is_deleted(*name, &known.row, question.asked, true) {
                return Err(format!("a deleted row was answered: {:?}", known.row));
            }
        }
        match self.rows.iter().find(|(name, known)| !answer.contains_key(name) && self.is_required(known, question)) {
            Some((_, known)) => Err(format!("an acknowledged row is missing: {:?} in the answer to {question:?}", known.row)),
            None => Ok(()),
        }
    }

    /// Whether a tenant may hold exactly these rows once everything has come to rest.
    pub fn check_at_rest(&self, stored: &Answer) -> Result<(), String> {
        for (name, copies) in stored {
            let Some(known) = self.rows.get(name) else { return Err("a row is stored that was never pushed".to_owned()) };
            if *copies > 1 {
                return Err(format!("a row is stored {copies} times: {:?}", known.row));
            }
            if self.is_deleted(*name, &known.row, u64::MAX, false) {
                return Err(format!("a deleted row is still stored: {:?}", known.row));
            }
            if self.is_expired_for_sure(&known.row) {
                return Err(format!("a row is still stored although its retention is over: {:?}", known.row));
            }
        }
        Ok(())
    }
}
