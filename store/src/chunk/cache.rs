//! Opened chunks, kept while they are used. Chunks never change, so nothing here is ever stale; a chunk that was deleted meanwhile shows as
//! [`crate::ErrorKind::NotFound`] when its pages are fetched.
//! Owns: the bound on memory, and that concurrent opens of one chunk fetch once.

use std::fmt::Write as _;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    lookups: Arc<Lookups>,
}

/// What is kept.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Footer,
    Object,
    DayManifest,
    Labels,
    Deletes,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Footer, Self::Object, Self::DayManifest, Self::Labels, Self::Deletes];

    /// The value of the metrics' label `kind`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Footer => "footer",
            Self::Object => "object",
            Self::DayManifest => "day_manifest",
            Self::Labels => "labels",
            Self::Deletes => "deletes",
        }
    }
}

/// How often something was looked for, and how often it was at hand.
#[derive(Debug, Default)]
struct Lookups {
    hits: [AtomicU64; Kind::ALL.len()],
    misses: [AtomicU64; Kind::ALL.len()],
}

impl Lookups {
    fn count(&self, kind: Kind, is_hit: bool) {
        let counters = if is_hit { &self.hits } else { &self.misses };
        if let Some(counter) = counters.get(kind as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts and passes on.
    fn found<T>(&self, kind: Kind, found: Option<T>) -> Option<T> {
        self.count(kind, found.is_some());
        found
    }
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
            lookups: Arc::default(),
        }
    }

    /// Appends what was looked for and what is kept in memory in Prometheus' text format: `tarn_cache_requests_total` and `tarn_cache_bytes`.
    pub fn render_prometheus(&self, out: &mut String) {
        out.push_str("# HELP tarn_cache_requests_total What queries looked for in the cache in memory, and whether it was there.\n# TYPE tarn_cache_requests_total counter\n");
        for ((kind, hits), misses) in Kind::ALL.iter().zip(&self.lookups.hits).zip(&self.lookups.misses) {
            for (result, count) in [("hit", hits), ("miss", misses)] {
                let _infallible =
                    writeln!(out, "tarn_cache_requests_total{{kind=\"{}\",result=\"{result}\"}} {}", kind.as_str(), count.load(Ordering::Relaxed));
            }
        }
        out.push_str("# HELP tarn_cache_bytes What the cache in memory holds.\n# TYPE tarn_cache_bytes gauge\n");
        for kind in Kind::ALL {
            let bytes = match kind {
                Kind::Footer => self.footers.lock().weight(),
                Kind::Object => self.bodies.lock().weight(),
                Kind::DayManifest => self.days.lock().weight(),
                Kind::Labels => self.labels.lock().weight(),
                Kind::Deletes => self.deletes.lock().weight(),
            };
            let _infallible = writeln!(out, "tarn_cache_bytes{{kind=\"{}\"}} {bytes}", kind.as_str());
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
        let mut is_hit = true;
        let opened = cell
            .get_or_try_init(|| async {
                is_hit = false;
                let opened = open().await?;
                if let Some(body) = opened.body {
                    let weight = body.len();
                    self.bodies.lock().insert(key, body, weight);
                }
                self.footers.lock().set_weight(key, opened.footer.memory_bytes());
                Ok(Arc::new(opened.footer))
            })
            .await;
        self.lookups.count(Kind::Footer, is_hit);
        if opened.is_err() {
            self.footers.lock().remove_if(key, |held| Arc::ptr_eq(held, &cell) && held.get().is_none());
        }
        opened.map(Arc::clone)
    }

    /// The day manifest `key` in this version, if it is at hand.
    pub(crate) fn day(&self, key: &str, version: &Version) -> Option<Arc<DayManifest>> {
        self.lookups.found(Kind::DayManifest, self.days.lock().get(key).filter(|(known, _)| known == version).map(|(_, manifest)| manifest))
    }

    pub(crate) fn keep_day(&self, key: &str, version: Version, manifest: Arc<DayManifest>) {
        let labels: usize = manifest.chunks.iter().map(|chunk| 512 + chunk.labels.as_ref().map_or(0, |labels| labels.len())).sum();
        let weight = 512 + labels + manifest.consumed.len() * 32 + manifest.replaced.len() * 256;
        self.days.lock().insert(key, (version, manifest), weight);
    }

    /// The delete requests `key` in this version, if they are at hand.
    pub(crate) fn deletes(&self, key: &str, version: &Version) -> Option<Arc<DeleteRequests>> {
        self.lookups.found(Kind::Deletes, self.deletes.lock().get(key).filter(|(known, _)| known == version).map(|(_, requests)| requests))
    }

    pub(crate) fn keep_deletes(&self, key: &str, version: Version, requests: Arc<DeleteRequests>, weight: usize) {
        self.deletes.lock().insert(key, (version, requests), weight);
    }

    /// The label manifest of the compacted chunk `name`, from `frame`, its compressed form. CPU only.
    /// Errors: [`StoreError::Corrupt`], which names `name`.
    pub fn labels(&self, name: &str, frame: &[u8]) -> Result<Arc<ChunkManifest>, StoreError> {
        let known = self.labels.lock().get(name);
        if let Some(known) = self.lookups.found(Kind::Labels, known) {
            return Ok(known);
        }
        let manifest = read_manifest_frame(frame).map_err(|error| StoreError::corrupt_by(name, "its labels in the day manifest cannot be read", error))?;
        let manifest = Arc::new(manifest);
        self.labels.lock().insert(name, Arc::clone(&manifest), manifest_bytes(&manifest));
        Ok(manifest)
    }

    /// The whole object `key`, if it is at hand.
    pub(crate) fn body(&self, key: &str) -> Option<Bytes> {
        self.lookups.found(Kind::Object, self.bodies.lock().get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_for_is_counted() {
        let cache = ChunkCache::new(8 << 20);
        assert_eq!(cache.body("a"), None);
        cache.bodies.lock().insert("a", Bytes::from_static(b"xyz"), 3);
        assert_eq!((cache.body("a").unwrap().len(), cache.clone().body("a").unwrap().len()), (3, 3));
        let mut text = String::new();
        cache.render_prometheus(&mut text);
        for line in [
            "tarn_cache_requests_total{kind=\"object\",result=\"hit\"} 2",
            "tarn_cache_requests_total{kind=\"object\",result=\"miss\"} 1",
            "tarn_cache_requests_total{kind=\"day_manifest\",result=\"miss\"} 0",
            "tarn_cache_bytes{kind=\"object\"} 3",
            "tarn_cache_bytes{kind=\"footer\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
