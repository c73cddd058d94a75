//! Watches every object as it is written and deleted.
//! Owns: that manifests name only what is there as they say it is, and that nothing is deleted which a reader may still read.
//! Must not know: which rows there should be.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use schema::key::{deletes_key, level0_prefix, manifest_prefix};
use schema::level1::level1_prefix;
use schema::{ChunkHash, ChunkKey, Day, DayManifest, DeleteRequests, Level1Key, TenantId};
use store::env::VirtualTime;

use super::model::Model;
use super::scenario::{MAX_SKEW, Scenario};

/// What is stored.
#[derive(Debug)]
pub struct Mirror {
    time: VirtualTime,
    tenants: Vec<TenantId>,
    grace: Duration,
    /// When a body was sent first, by its checksum.
    sent: BTreeMap<[u8; 16], Duration>,
    /// Size and checksum of every object.
    objects: BTreeMap<String, (u64, [u8; 16])>,
    manifests: BTreeMap<(usize, Day), DayManifest>,
    /// When the commits were sent after which chunks were not part of their day any more.
    left: BTreeMap<Level1Key, Duration>,
    /// When the commits were sent that consumed level-0 chunks first.
    consumed: BTreeMap<(usize, Day, ChunkHash), Duration>,
    days_of_level0: BTreeMap<String, Vec<Day>>,
}

impl Mirror {
    /// Nothing stored.
    pub fn new(scenario: &Scenario, time: &VirtualTime) -> Self {
        Self {
            time: time.clone(),
            tenants: scenario.tenants.clone(),
            grace: scenario.settings.grace,
            sent: BTreeMap::new(),
            objects: BTreeMap::new(),
            manifests: BTreeMap::new(),
            left: BTreeMap::new(),
            consumed: BTreeMap::new(),
            days_of_level0: BTreeMap::new(),
        }
    }

    fn owner(&self, key: &str) -> Option<(usize, TenantId)> {
        let owner = self.tenants.iter().position(|tenant| key.starts_with(&schema::key::tenant_prefix(tenant)))?;
        Some((owner, self.tenants.get(owner)?.clone()))
    }

    /// A put with this body sets off.
    pub fn sent(&mut self, body: &Bytes) {
        self.sent.entry(checksum_of(body)).or_insert_with(|| self.time.elapsed());
    }

    /// An object was written.
    pub fn written(&mut self, key: &str, body: &Bytes, model: &mut Model) -> Result<(), String> {
        let checksum = checksum_of(body);
        self.objects.insert(key.to_owned(), (u64::try_from(body.len()).unwrap_or(u64::MAX), checksum));
        let Some((owner, tenant)) = self.owner(key) else { return Err("it belongs to no tenant".to_owned()) };
        if key == deletes_key(&tenant) {
            let requests: DeleteRequests = serde_json::from_slice(body).map_err(|error| error.to_string())?;
            requests.requests.iter().filter_map(|request| Some((request, request.processed?))).for_each(|(request, at)| model.processed(&request.id, at));
        } else if let Some(day) = key.strip_prefix(&manifest_prefix(&tenant)).and_then(Day::parse) {
            let manifest = store::day::decode(&tenant, day, key, body).map_err(|error| error.chain())?;
            // A commit can say only when it was sent.
            let at = self.sent.get(&checksum).copied().unwrap_or_else(|| self.time.elapsed());
            self.committed(owner, day, manifest, at)?;
        } else if key.starts_with(&level0_prefix(&tenant)) {
            let days = model.days_of(key).ok_or("it was never pushed")?;
            self.days_of_level0.insert(key.to_owned(), days.iter().copied().collect());
        } else if !key.starts_with(&level1_prefix(&tenant)) {
            return Err("it is an object of no known kind".to_owned());
        }
        Ok(())
    }

    fn committed(&mut self, owner: usize, day: Day, manifest: DayManifest, at: Duration) -> Result<(), String> {
        for entry in &manifest.chunks {
            match self.objects.get(&entry.key.to_string()) {
                Some((size, checksum)) if *size == entry.size && *checksum == entry.checksum => {}
                Some(_) => return Err(format!("a commit names {} with another size or checksum than it has", entry.key)),
                None => return Err(format!("a commit names {}, which does not exist", entry.key)),
            }
            self.left.remove(&entry.key);
        }
        if let Some(before) = self.manifests.get(&(owner, day)) {
            let gone = before.chunks.iter().filter(|old| !manifest.chunks.iter().any(|new| new.key == old.key));
            self.left.extend(gone.map(|old| (old.key.clone(), at)));
        }
        for consumed in &manifest.consumed {
            self.consumed.entry((owner, day, consumed.hash)).or_insert(at);
        }
        self.manifests.insert((owner, day), manifest);
        Ok(())
    }

    /// An object was deleted, or what was not there.
    pub fn deleted(&mut self, key: &str) -> Result<(), String> {
        if self.objects.remove(key).is_none() {
            return Ok(());
        }
        let Some((owner, tenant)) = self.owner(key) else { return Err("it belongs to no tenant".to_owned()) };
        let since = |at: &Duration| self.time.elapsed().saturating_sub(*at);
        let too_early = |at: &Duration| since(at) + 2 * MAX_SKEW < self.grace;
        if let Ok(chunk) = Level1Key::parse(&tenant, key) {
            if self.manifests.get(&(owner, chunk.day)).is_some_and(|manifest| manifest.chunks.iter().any(|entry| entry.key == chunk)) {
                return Err("a live chunk was deleted".to_owned());
            }
            return match self.left.get(&chunk) {
                Some(at) if too_early(at) => Err(format!("a replaced chunk was deleted {:?} after the commit that replaced it", since(at))),
                _ => Ok(()),
            };
        }
        let Ok(chunk) = ChunkKey::parse(&tenant, key) else { return Err("an object was deleted that is no chunk".to_owned()) };
        for day in self.days_of_level0.get(key).into_iter().flatten() {
            match self.consumed.get(&(owner, *day, chunk.hash)) {
                None => return Err(format!("a chunk was deleted that {day} has not consumed")),
                Some(at) if too_early(at) => return Err(format!("a chunk was deleted {:?} after {day} consumed it", since(at))),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn checksum_of(body: &Bytes) -> [u8; 16] {
    let mut checksum = [0; 16];
    blake3::Hasher::new().update(body).finalize_xof().fill(&mut checksum);
    checksum
}
