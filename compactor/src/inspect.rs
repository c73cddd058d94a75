//! What a store holds, for people who look after it: sizes, streams, what waits for whom.
//! Owns: which numbers are told, what they are counted from.
//! Must not know: how they are printed, whether they are good.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};
use schema::key::level0_prefix;
use schema::level1::level1_prefix;
use schema::time::bucket_bounds;
use schema::{ChunkEntry, ChunkKey, ChunkManifest, ChunkRef, Day, DayManifest, Level1Key, StreamId, TenantId};
use serde::Serialize;
use store::chunk::{ChunkCache, ChunkReader};
use store::object::ObjectInfo;
use store::{Env, ErrorKind, ObjectClient, StoreError, day, deletes, tenants};

/// Values that are told of each label.
const TOP_VALUES: usize = 10;
/// Values of one label that are kept while counting; beyond it the smaller half is forgotten.
const MAX_VALUES: usize = 20_000;
/// Chunks that are opened at the same time.
const OPENS_IN_FLIGHT: usize = 16;

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inspection {
    /// When it was looked at, nanoseconds since the epoch.
    pub at: i64,
    /// Tenants, ascending.
    pub tenants: Vec<TenantInspection>,
}

/// What one tenant's folder holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TenantInspection {
    /// Whose.
    pub tenant: String,
    /// Days that have compacted chunks.
    pub days: u64,
    /// The first of them, `YYYY-MM-DD`.
    pub first_day: Option<String>,
    /// The last of them.
    pub last_day: Option<String>,
    /// What queries read: chunks that wait for compaction, chunks of an hour, chunks of a day.
    pub levels: Levels,
    /// All of these together. A row that was pushed twice counts twice until its copies are merged.
    pub total: LevelInspection,
    /// Distinct streams in all of these.
    pub streams: u64,
    /// Labels by name, with their largest values.
    pub labels: Vec<LabelInspection>,
    /// Earliest row that waits for compaction, nanoseconds since the epoch.
    pub oldest_waiting_row: Option<i64>,
    /// Level-0 objects whose rows are all compacted; deleted after the grace period.
    pub consumed: Waiting,
    /// Compacted objects that were replaced; deleted after the grace period.
    pub replaced: Waiting,
    /// Compacted objects that no manifest speaks of: of a job that runs, or of one that failed.
    pub orphans: Waiting,
    /// When the oldest orphan was begun, nanoseconds since the epoch.
    pub oldest_orphan: Option<i64>,
    /// Day manifests and the list of deletes.
    pub manifests: Waiting,
    /// Delete requests that are not carried out yet.
    pub deletes_pending: u64,
}

/// The three kinds of chunk that queries read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Levels {
    /// As pushed; only what waits for compaction.
    pub level0: LevelInspection,
    /// Compacted, of one hour.
    pub hours: LevelInspection,
    /// Compacted, of a whole day.
    pub days: LevelInspection,
}

/// Objects of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LevelInspection {
    /// How many.
    pub objects: u64,
    /// Bytes of the objects.
    pub stored_bytes: u64,
    /// Rows inside.
    pub rows: u64,
    /// Bytes of the lines inside, as they were pushed.
    pub line_bytes: u64,
    /// Stored bytes per line byte; 0 where there are no lines.
    pub ratio: f64,
}

/// Objects that no query reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// How many.
    pub objects: u64,
    /// Bytes of the objects.
    pub stored_bytes: u64,
}

/// A label and its largest values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LabelInspection {
    /// Its name.
    pub name: String,
    /// Distinct values; more than this if `approximate`.
    pub values: u64,
    /// There are so many values that small ones were left out of the count.
    pub approximate: bool,
    /// Values with the most line bytes, largest first.
    pub largest: Vec<ValueInspection>,
}

/// How much one value of a label has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ValueInspection {
    /// The value.
    pub value: String,
    /// Rows of its streams.
    pub rows: u64,
    /// Line bytes of its streams.
    pub line_bytes: u64,
}

/// Looks at one tenant, or at all. Reads names, manifests and footers, no rows: a LIST per 1,000 objects, a GET per day, and one per chunk whose labels are not
/// in its manifest. Memory: the names of one tenant's objects, the manifest of one day.
///
/// The answer is of one moment as far as a store that changes allows: nothing that was stored before the call is missing, but a job that commits meanwhile may show
/// its objects under two headings.
/// Errors: those of the store; [`StoreError::Corrupt`] for an object whose name or manifest cannot be read ([`crate::verify`] finds all of them).
pub async fn inspect(client: &ObjectClient, env: &Env, tenant: Option<&TenantId>) -> Result<Inspection, StoreError> {
    let tenants = match tenant {
        Some(tenant) => vec![tenant.clone()],
        None => tenants::list(client).await?,
    };
    let mut inspection = Inspection { at: env.now().as_nanos(), tenants: Vec::new() };
    for tenant in &tenants {
        inspection.tenants.push(inspect_tenant(client, tenant).await?);
    }
    Ok(inspection)
}

/// A level-0 object, and the days whose manifests have consumed it.
struct Pushed {
    key: ChunkKey,
    size: u64,
    consumed: HashSet<Day>,
}

impl Pushed {
    /// Whether every day that it spans has consumed it. One that spans many days may have rows in a few of them only.
    fn is_consumed(&self) -> bool {
        Day::spanned(self.key.min, self.key.max).all(|day| self.consumed.contains(&day))
    }

    /// Whether every day that it has rows in has consumed it. A row on a whole minute counts to the minute before, so the first day may be one too early.
    fn has_only_consumed_rows(&self, labels: &ChunkManifest) -> bool {
        labels.streams.iter().flat_map(|stream| &stream.minutes).all(|minute| {
            let (first, last) = bucket_bounds(minute.minute);
            Day::spanned(first.max(self.key.min), last.min(self.key.max)).all(|day| self.consumed.contains(&day))
        })
    }
}

async fn inspect_tenant(client: &ObjectClient, tenant: &TenantId) -> Result<TenantInspection, StoreError> {
    // Objects before manifests: what a job commits in between is then no orphan, and no row is missed.
    let mut compacted: HashMap<String, u64> = client.list(&level1_prefix(tenant)).await?.into_iter().map(|object| (object.key, object.size)).collect();
    let mut pushed = list_pushed(client, tenant).await?;
    let listed = day::list(client, tenant).await?;
    let mut found = TenantInspection { tenant: tenant.to_string(), days: count(listed.days.len()), ..TenantInspection::default() };
    found.first_day = listed.days.keys().next().map(Day::to_string);
    found.last_day = listed.days.keys().next_back().map(Day::to_string);
    listed.days.values().chain(&listed.deletes).for_each(|object| found.manifests.add(object.size));

    let cache = ChunkCache::new(0);
    let mut tally = Tally::default();
    for day in listed.days.keys() {
        let manifest = day::load(client, tenant, *day).await?.manifest;
        for chunk in pushed.iter_mut().filter(|chunk| Day::of(chunk.key.min) <= *day && *day <= Day::of(chunk.key.max)) {
            if manifest.has_consumed(&chunk.key.hash) {
                chunk.consumed.insert(*day);
            }
        }
        read_day(client, &manifest, &cache, &mut compacted, &mut found, &mut tally).await?;
    }
    for (name, size) in &compacted {
        let key = Level1Key::parse(tenant, name).map_err(|error| StoreError::corrupt_by(name.as_str(), "it lies among the compacted chunks", error))?;
        found.orphans.add(*size);
        let begun = key.created().as_nanos();
        found.oldest_orphan = Some(found.oldest_orphan.map_or(begun, |oldest| oldest.min(begun)));
    }
    read_pushed(client, pushed, &cache, &mut found, &mut tally).await?;

    let (requests, _) = deletes::load(client, tenant).await?;
    found.deletes_pending = count(requests.requests.iter().filter(|request| request.processed.is_none()).count());
    found.streams = count(tally.streams.len());
    found.labels = tally.into_labels();
    for level in [found.levels.level0, found.levels.hours, found.levels.days] {
        found.total.merge(&level);
    }
    Ok(found)
}

async fn list_pushed(client: &ObjectClient, tenant: &TenantId) -> Result<Vec<Pushed>, StoreError> {
    let name = |object: ObjectInfo| match ChunkKey::parse(tenant, &object.key) {
        Ok(key) => Ok(Pushed { key, size: object.size, consumed: HashSet::new() }),
        Err(error) => Err(StoreError::corrupt_by(object.key, "it lies among the chunks of level 0", error)),
    };
    client.list(&level0_prefix(tenant)).await?.into_iter().map(name).collect()
}

/// Counts the chunks of a day, and takes what it speaks of out of `compacted`.
async fn read_day(
    client: &ObjectClient,
    manifest: &DayManifest,
    cache: &ChunkCache,
    compacted: &mut HashMap<String, u64>,
    found: &mut TenantInspection,
    tally: &mut Tally,
) -> Result<(), StoreError> {
    for replaced in &manifest.replaced {
        // One that is not there is deleted, and its mention is about to go.
        if let Some(size) = compacted.remove(&replaced.key.to_string()) {
            found.replaced.add(size);
        }
    }
    for entry in &manifest.chunks {
        compacted.remove(&entry.key.to_string());
        let level = if entry.key.hour.is_some() { &mut found.levels.hours } else { &mut found.levels.days };
        level.add(entry.size, entry.rows, entry.bytes);
    }
    let opens = stream::iter(&manifest.chunks).map(|entry| labels_of(client, entry, cache));
    let mut opens = std::pin::pin!(opens.buffered(OPENS_IN_FLIGHT));
    while let Some(labels) = opens.next().await {
        if let Some(labels) = labels? {
            tally.add(&labels);
        }
    }
    Ok(())
}

/// The label manifest of a compacted chunk; `None` if it was replaced and deleted meanwhile.
async fn labels_of(client: &ObjectClient, entry: &ChunkEntry, cache: &ChunkCache) -> Result<Option<Arc<ChunkManifest>>, StoreError> {
    match &entry.labels {
        Some(frame) => cache.labels(&entry.key.to_string(), frame).map(Some),
        None => open(client, &ChunkRef::level1(entry), cache).await,
    }
}

async fn open(client: &ObjectClient, chunk: &ChunkRef, cache: &ChunkCache) -> Result<Option<Arc<ChunkManifest>>, StoreError> {
    match ChunkReader::open(client, chunk, cache).await {
        Ok(reader) => Ok(Some(reader.shared_manifest())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn read_pushed(
    client: &ObjectClient,
    pushed: Vec<Pushed>,
    cache: &ChunkCache,
    found: &mut TenantInspection,
    tally: &mut Tally,
) -> Result<(), StoreError> {
    let (consumed, waiting): (Vec<Pushed>, Vec<Pushed>) = pushed.into_iter().partition(Pushed::is_consumed);
    consumed.iter().for_each(|chunk| found.consumed.add(chunk.size));
    let opens = stream::iter(waiting).map(|chunk| async move {
        let labels = open(client, &ChunkRef::level0(chunk.key.clone(), chunk.size), cache).await;
        labels.map(|labels| (chunk, labels))
    });
    let mut opens = std::pin::pin!(opens.buffered(OPENS_IN_FLIGHT));
    while let Some(opened) = opens.next().await {
        match opened? {
            // It was compacted and deleted meanwhile.
            (_, None) => {}
            (chunk, Some(labels)) if chunk.has_only_consumed_rows(&labels) => found.consumed.add(chunk.size),
            (chunk, Some(labels)) => {
                found.levels.level0.add(chunk.size, chunk.key.rows, labels.bytes());
                let oldest = chunk.key.min.as_nanos();
                found.oldest_waiting_row = Some(found.oldest_waiting_row.map_or(oldest, |known| known.min(oldest)));
                tally.add(&labels);
            }
        }
    }
    Ok(())
}

impl LevelInspection {
    fn add(&mut self, stored_bytes: u64, rows: u64, line_bytes: u64) {
        self.merge(&Self { objects: 1, stored_bytes, rows, line_bytes, ratio: 0.0 });
    }

    fn merge(&mut self, other: &Self) {
        self.objects += other.objects;
        self.stored_bytes += other.stored_bytes;
        self.rows += other.rows;
        self.line_bytes += other.line_bytes;
        self.ratio = if self.line_bytes == 0 { 0.0 } else { self.stored_bytes as f64 / self.line_bytes as f64 };
    }
}

impl Waiting {
    fn add(&mut self, stored_bytes: u64) {
        self.objects += 1;
        self.stored_bytes += stored_bytes;
    }
}

/// Streams and label values seen so far.
#[derive(Default)]
struct Tally {
    streams: HashSet<StreamId>,
    labels: BTreeMap<Box<str>, Values>,
}

/// Rows and line bytes by value.
#[derive(Default)]
struct Values {
    seen: HashMap<Box<str>, (u64, u64)>,
    approximate: bool,
}

impl Tally {
    fn add(&mut self, manifest: &ChunkManifest) {
        for stream in &manifest.streams {
            self.streams.insert(stream.labels.stream_id());
            for (name, value) in stream.labels.iter() {
                match self.labels.get_mut(name) {
                    Some(values) => values.add(value, stream.rows, stream.bytes),
                    None => self.labels.entry(name.into()).or_default().add(value, stream.rows, stream.bytes),
                }
            }
        }
    }

    fn into_labels(self) -> Vec<LabelInspection> {
        self.labels.into_iter().map(|(name, values)| values.into_label(name.into())).collect()
    }
}

impl Values {
    fn add(&mut self, value: &str, rows: u64, bytes: u64) {
        if let Some(sum) = self.seen.get_mut(value) {
            sum.0 += rows;
            sum.1 += bytes;
            return;
        }
        if self.seen.len() >= MAX_VALUES {
            let mut sizes: Vec<u64> = self.seen.values().map(|(_, bytes)| *bytes).collect();
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            let least = sizes.get(MAX_VALUES / 2).copied().unwrap_or_default();
            self.seen.retain(|_, (_, bytes)| *bytes > least);
            self.approximate = true;
        }
        self.seen.insert(value.into(), (rows, bytes));
    }

    fn into_label(self, name: String) -> LabelInspection {
        let values = count(self.seen.len());
        let told = self.seen.into_iter().map(|(value, (rows, line_bytes))| ValueInspection { value: value.into(), rows, line_bytes });
        let mut largest: Vec<ValueInspection> = told.collect();
        largest.sort_by(|a, b| b.line_bytes.cmp(&a.line_bytes).then_with(|| a.value.cmp(&b.value)));
        largest.truncate(TOP_VALUES);
        LabelInspection { name, values, approximate: self.approximate, largest }
    }
}

/// Lengths in memory fit 64 bits.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
