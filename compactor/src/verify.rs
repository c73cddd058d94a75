//! Reads everything that is stored and checks that it is what it should be.
//! Owns: which objects are checked against what, what is damage and what only changed meanwhile.
//! Must not know: what is in a row (`chunk`), how findings are shown, how damage is repaired.

mod chunk;
mod rows;

use std::collections::HashSet;

use schema::key::{TENANT_FOLDER, deletes_key, level0_prefix, manifest_prefix, tenant_prefix};
use schema::level1::level1_prefix;
use schema::{ChunkEntry, ChunkKey, ChunkRef, Day, Level1Key, TenantId};
use serde::Serialize;
use store::object::ObjectInfo;
use store::{Env, ErrorKind, ObjectClient, StoreError, day, deletes};

/// Findings that are told; more are counted.
const MAX_FINDINGS: usize = 10_000;

/// Days between which a chunk may have none with rows.
const MANY_DAYS: u32 = 3;

/// What was read, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// When it began, nanoseconds since the epoch.
    pub at: i64,
    /// Tenants that were checked.
    pub tenants: u64,
    /// Day manifests that were read.
    pub manifests: u64,
    /// Chunks that were read.
    pub chunks: u64,
    /// Rows that were decoded.
    pub rows: u64,
    /// Bytes of the objects of these chunks.
    pub bytes: u64,
    /// Compacted objects that no manifest speaks of. No damage: garbage collection takes them.
    pub orphans: u64,
    /// How many things are wrong.
    pub problems: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The object's name, or that of a folder.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress<'a> {
    /// Whose objects are read.
    pub tenant: &'a TenantId,
    /// Objects of this tenant that are done.
    pub objects: u64,
    /// Objects that this tenant had when it was listed.
    pub total: u64,
    /// Bytes read of all tenants.
    pub bytes: u64,
}

/// Checks one tenant, or all. Reads each chunk twice: its bytes for the checksum, its rows for their sense. `progress` is called at least once per object.
///
/// Checked are: the names of all objects; that manifests and delete requests can be read, and name only objects of their tenant; of each compacted chunk its
/// existence, size, checksum, and that entry, inline labels and footer agree; of each chunk that it decodes, that its rows are in order, without duplicates, in the
/// day and hour of its name, UTF-8, and as many per stream and minute as its footer says; of a level-0 chunk of one push its content hash.
/// The bytes of a level-0 object have no checksum of their own: damage to what no row is read from (statistics for other engines, the stream number) is not found
/// there. Not checked is whether rows are missing that were never mentioned: only who pushed them knows.
///
/// The store may be in use: what a compactor replaces or deletes meanwhile is no finding. Memory: the names of one tenant's objects, the manifest of one day, one
/// chunk's footer and a few of its pages; all rows of a level-0 chunk of one push.
/// Errors: those of a store that does not answer. Damage is no error, but a finding.
pub async fn verify(
    client: &ObjectClient,
    env: &Env,
    tenant: Option<&TenantId>,
    progress: &mut (dyn FnMut(VerifyProgress<'_>) + Send),
) -> Result<VerifyReport, StoreError> {
    let mut report = VerifyReport { at: env.now().as_nanos(), ..VerifyReport::default() };
    let tenants = match tenant {
        Some(tenant) => vec![tenant.clone()],
        None => tenants(client, &mut report).await?,
    };
    for tenant in &tenants {
        report.tenants += 1;
        Verifier { client, tenant, report: &mut report, progress, objects: 0, total: 0 }.run().await?;
    }
    Ok(report)
}

async fn tenants(client: &ObjectClient, report: &mut VerifyReport) -> Result<Vec<TenantId>, StoreError> {
    let mut tenants = Vec::new();
    for folder in client.folders("").await? {
        match folder.strip_prefix(TENANT_FOLDER).map(TenantId::parse) {
            Some(Ok(tenant)) => tenants.push(tenant),
            Some(Err(error)) => report.add(&folder, format!("it is the folder of no tenant: {error}")),
            None => {}
        }
    }
    tenants.sort_unstable();
    Ok(tenants)
}

impl VerifyReport {
    fn add(&mut self, object: &str, problem: String) {
        self.problems += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { object: object.to_owned(), problem });
        }
    }
}

/// What is wrong with an object, if the error says that something is.
fn problem(error: StoreError) -> Result<String, StoreError> {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Precondition => Ok(error.chain()),
        _ => Err(error),
    }
}

/// The verification of one tenant.
struct Verifier<'a> {
    client: &'a ObjectClient,
    tenant: &'a TenantId,
    report: &'a mut VerifyReport,
    progress: &'a mut (dyn FnMut(VerifyProgress<'_>) + Send),
    objects: u64,
    total: u64,
}

/// The objects of a tenant by what they are.
#[derive(Default)]
struct Objects {
    level0: Vec<(ChunkKey, u64)>,
    level1: HashSet<String>,
    days: Vec<Day>,
}

impl Verifier<'_> {
    async fn run(mut self) -> Result<(), StoreError> {
        // Objects before manifests: the other order would take what a job commits in between for orphans.
        let listed = self.client.list(&tenant_prefix(self.tenant)).await?;
        self.total = u64::try_from(listed.len()).unwrap_or(u64::MAX);
        let mut objects = self.sort(listed);
        for (key, size) in std::mem::take(&mut objects.level0) {
            self.level0(&key, size).await?;
            self.done();
        }
        for day in std::mem::take(&mut objects.days) {
            self.day(day, &mut objects.level1).await?;
            self.done();
        }
        self.report.orphans += u64::try_from(objects.level1.len()).unwrap_or(u64::MAX);
        if let Err(error) = deletes::load(self.client, self.tenant).await {
            let problem = problem(error)?;
            self.report.add(&deletes_key(self.tenant), problem);
        }
        self.objects = self.total;
        self.tell();
        Ok(())
    }

    fn done(&mut self) {
        self.objects += 1;
        self.tell();
    }

    fn tell(&mut self) {
        (self.progress)(VerifyProgress { tenant: self.tenant, objects: self.objects.min(self.total), total: self.total, bytes: self.report.bytes });
    }

    fn sort(&mut self, listed: Vec<ObjectInfo>) -> Objects {
        let (level0, level1, manifests) = (level0_prefix(self.tenant), level1_prefix(self.tenant), manifest_prefix(self.tenant));
        let mut objects = Objects::default();
        for ObjectInfo { key: name, size, .. } in listed {
            if name.starts_with(&level0) {
                match ChunkKey::parse(self.tenant, &name) {
                    Ok(key) => objects.level0.push((key, size)),
                    Err(error) => self.report.add(&name, error.to_string()),
                }
            } else if name.starts_with(&level1) {
                match Level1Key::parse(self.tenant, &name) {
                    Ok(_) => drop(objects.level1.insert(name)),
                    Err(error) => self.report.add(&name, error.to_string()),
                }
            } else if let Some(day) = name.strip_prefix(&manifests).and_then(Day::parse) {
                objects.days.push(day);
            } else if name != deletes_key(self.tenant) {
                self.report.add(&name, "this version of tarn knows no such object".to_owned());
            }
        }
        objects
    }

    async fn level0(&mut self, key: &ChunkKey, size: u64) -> Result<(), StoreError> {
        let chunk = ChunkRef::level0(key.clone(), size);
        match chunk::check_level0(self.client, &chunk, key).await {
            Ok(checked) => self.checked(&key.to_string(), checked),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if !is_consumed(self.client, self.tenant, key).await? {
                    self.report.add(&key.to_string(), "it vanished although no manifest has consumed it".to_owned());
                }
            }
            Err(error) => {
                let problem = problem(error)?;
                self.report.add(&key.to_string(), problem);
            }
        }
        Ok(())
    }

    /// Checks the chunks of a day, and takes what its manifest speaks of out of `level1`.
    async fn day(&mut self, day: Day, level1: &mut HashSet<String>) -> Result<(), StoreError> {
        let manifest = match day::load(self.client, self.tenant, day).await {
            Ok(state) => state.manifest,
            Err(error) => {
                let problem = problem(error)?;
                self.report.add(&schema::key::day_manifest_key(self.tenant, day), problem);
                // What it spoke of is not known, so nothing of the day is an orphan.
                let prefix = schema::level1::level1_day_prefix(self.tenant, day);
                level1.retain(|name| !name.starts_with(&prefix));
                return Ok(());
            }
        };
        self.report.manifests += 1;
        for key in manifest.objects() {
            level1.remove(&key.to_string());
        }
        for entry in &manifest.chunks {
            self.entry(day, entry).await?;
            self.done();
        }
        Ok(())
    }

    async fn entry(&mut self, day: Day, entry: &ChunkEntry) -> Result<(), StoreError> {
        let name = entry.key.to_string();
        match chunk::check_level1(self.client, entry).await {
            Ok(checked) => self.checked(&name, checked),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let now = day::load(self.client, self.tenant, day).await?.manifest;
                if now.chunks.iter().any(|chunk| chunk.key == entry.key) {
                    self.report.add(&name, format!("it is missing, and the manifest of {day} says that it is part of the day"));
                }
            }
            Err(error) => {
                let problem = problem(error)?;
                self.report.add(&name, problem);
            }
        }
        Ok(())
    }

    fn checked(&mut self, name: &str, checked: chunk::Checked) {
        self.report.chunks += 1;
        self.report.rows += checked.rows;
        self.report.bytes += checked.bytes;
        for problem in checked.problems {
            self.report.add(name, problem);
        }
    }
}

/// Whether all rows of a level-0 chunk lie in compacted chunks now.
async fn is_consumed(client: &ObjectClient, tenant: &TenantId, key: &ChunkKey) -> Result<bool, StoreError> {
    let listed = day::list(client, tenant).await?;
    let (first, last) = (Day::of(key.min), Day::of(key.max));
    let mut consumed = 0u32;
    for day in listed.days.range(first..=last).map(|(day, _)| *day) {
        consumed += u32::from(day::load(client, tenant, day).await?.manifest.has_consumed(&key.hash));
    }
    let spanned = last.number().abs_diff(first.number()).saturating_add(1);
    // Of a chunk that spans many days it is no longer known in which of them it had rows.
    Ok(consumed == spanned || (spanned > MANY_DAYS && consumed > 0))
}

#[cfg(test)]
mod tests;
