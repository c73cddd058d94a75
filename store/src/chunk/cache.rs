//! Opened chunks, kept while they are used. Chunks never change, so nothing here is ever stale; a chunk that was deleted meanwhile shows as
//! [`crate::ErrorKind::NotFound`] when its pages are fetched.
//! Owns: the bound on memory, and that concurrent opens of one chunk fetch once.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use schema::{ChunkManifest, DayManifest, DeleteRequests};
use tokio::sync::OnceCell;

use super::disk::DiskCache;
use super::footer::{ChunkFooter, manifest_bytes, read_manifest_frame};
use super::lru::Lru;
use crate::error::StoreError;
use crate::object::Version;

/// Footers, whole objects where they are small, and manifests, by key. Least recently used first out. Cheap to clone; clones share the contents.
#[derive(Clone, Debug)]
pub struct ChunkCache {
    footers: Arc<Mutex<Lru<FooterCell>>>,
    bodies: Arc<Mutex<Lru<Bytes>>>,
    days: Arc<Mutex<Lru<Versioned<DayManifest>>>>,
    labels: Arc<Mutex<Lru<Arc<ChunkManifest>>>>,
    deletes: Arc<Mutex<Lru<Versioned<DeleteRequests>>>>,
    disk: Option<DiskCache>,
}

/// What an object that is swapped held in a version.
type Versioned<T> = (Version, Arc<T>);

/// Empty while the first to ask fetches.
type FooterCell = Arc<OnceCell<Arc<ChunkFooter>>>;

/// What a cell weighs before it is filled: opens that were given up must not pile up.
const EMPTY_CELL_BYTES: usize = 256;

/// What an open brings: the footer, and the whole object if it was fetched.
pub(crate) struct Opened {
    pub(crate) footer: ChunkFooter,
    pub(crate) body: Option<Bytes>,
}

impl ChunkCache {
    /// A cache of at most about `max_bytes`: three eighths for footers, three for small objects, two for manifests. With 0 nothing is kept.
    pub fn new(max_bytes: usize) -> Self {
        let eighth = max_bytes / 8;
        Self {
            footers: Arc::new(Mutex::new(Lru::new(3 * eighth))),
            bodies: Arc::new(Mutex::new(Lru::new(3 * eighth))),
            days: Arc::new(Mutex::new(Lru::new(eighth))),
            labels: Arc::new(Mutex::new(Lru::new(eighth - eighth / 8))),
            deletes: Arc::new(Mutex::new(Lru::new(eighth / 8))),
            disk: None,
        }
    }

    /// The same, and behind it the disk: what is not in memory is looked for there, and what is fetched is kept there too.
    pub fn with_disk(self, disk: DiskCache) -> Self {
        Self { disk: Some(disk), ..self }
    }

    /// The part of the cache that outlives the process.
    pub(crate) fn disk(&self) -> Option<&DiskCache> {
        self.disk.as_ref()
    }

    /// The footer of `key`, opened with `open` unless it is at hand. While one caller opens, others of the same key wait for its result; if it
    /// fails or is cancelled, the next tries for itself.
    pub(crate) async fn footer<F>(&self, key: &str, open: impl FnOnce() -> F) -> Result<Arc<ChunkFooter>, StoreError>
    where
        F: Future<Output = Result<Opened, StoreError>>,
    {
        let cell = self.footers.lock().get_or_insert_with(key, EMPTY_CELL_BYTES, || Arc::new(OnceCell::new()));
        let opened = cell
            .get_or_try_init(|| async {
                let opened = open().await?;
                if let Some(body) = opened.body {
                    let weight = body.len();
                    self.bodies.lock().insert(key, body, weight);
                }
                self.footers.lock().set_weight(key, opened.footer.memory_bytes());
                Ok(Arc::new(opened.footer))
            })
            .await;
        if opened.is_err() {
            self.footers.lock().remove_if(key, |held| Arc::ptr_eq(held, &cell) && held.get().is_none());
        }
        opened.map(Arc::clone)
    }

    /// The day manifest `key` in this version, if it is at hand.
    pub(crate) fn day(&self, key: &str, version: &Version) -> Option<Arc<DayManifest>> {
        self.days.lock().get(key).filter(|(known, _)| known == version).map(|(_, manifest)| manifest)
    }

    pub(crate) fn keep_day(&self, key: &str, version: Version, manifest: Arc<DayManifest>) {
        let labels: usize = manifest.chunks.iter().map(|chunk| 512 + chunk.labels.as_ref().map_or(0, |labels| labels.len())).sum();
        let weight = 512 + labels + manifest.consumed.len() * 32 + manifest.replaced.len() * 256;
        self.days.lock().insert(key, (version, manifest), weight);
    }

    /// The delete requests `key` in this version, if they are at hand.
    pub(crate) fn deletes(&self, key: &str, version: &Version) -> Option<Arc<DeleteRequests>> {
        self.deletes.lock().get(key).filter(|(known, _)| known == version).map(|(_, requests)| requests)
    }

    pub(crate) fn keep_deletes(&self, key: &str, version: Version, requests: Arc<DeleteRequests>, weight: usize) {
        self.deletes.lock().insert(key, (version, requests), weight);
    }

    /// The label manifest of the compacted chunk `name`, from `frame`, its compressed form. CPU only.
    /// Errors: [`StoreError::Corrupt`], which names `name`.
    pub fn labels(&self, name: &str, frame: &[u8]) -> Result<Arc<ChunkManifest>, StoreError> {
        if let Some(known) = self.labels.lock().get(name) {
            return Ok(known);
        }
        let manifest = read_manifest_frame(frame).map_err(|error| StoreError::corrupt_by(name, "its labels in the day manifest cannot be read", error))?;
        let manifest = Arc::new(manifest);
        self.labels.lock().insert(name, Arc::clone(&manifest), manifest_bytes(&manifest));
        Ok(manifest)
    }

    /// The whole object `key`, if it is at hand.
    pub(crate) fn body(&self, key: &str) -> Option<Bytes> {
        self.bodies.lock().get(key)
    }
}
