//! The client that every other part reads and writes objects with.
//! Owns: reading, listing, deleting, their retries, and the counting of every request.
//! Must not know: how a conditional write's outcome is found (`commit`), how a store is opened (`open`).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};

use super::backend::{Backend, Condition, Failure, FolderPage, Page, Part, Read};
use super::key::Root;
use super::retry::{Attempts, RetryPolicy};
use super::stats::{Op, OpResult, RequestStats};
use super::{ObjectInfo, Version};
use crate::env::Env;
use crate::error::StoreError;

/// Ranges of one call that are fetched at the same time.
const CONCURRENT_RANGES: usize = 32;

/// A store of objects below one root. A cheap clone.
///
/// Keys are relative to the root: UTF-8 segments joined by `/`, without empty segments, `.`, `..`, backslashes and control characters; any other character is fine. Whatever
/// the URL, the guarantees are those of S3: a write is durable when it is acknowledged, it is seen by every request that starts later (LIST too), readers see whole
/// objects only, and conditions hold in a race. Every future may be dropped at any time; a write that was under way may then still happen.
#[derive(Clone)]
pub struct ObjectClient {
    pub(super) shared: Arc<Shared>,
    scopes: Vec<Arc<RequestStats>>,
}

pub(super) struct Shared {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) root: Root,
    pub(super) url: String,
    pub(super) env: Env,
    pub(super) retry: RetryPolicy,
    stats: RequestStats,
}

impl ObjectClient {
    pub(super) fn new(backend: Arc<dyn Backend>, root: Root, url: String, env: Env, retry: RetryPolicy) -> Self {
        Self { shared: Arc::new(Shared { backend, root, url, env, retry, stats: RequestStats::new() }), scopes: Vec::new() }
    }

    /// The same place behind another backend that wraps it, with statistics of its own.
    pub(crate) fn wrapped(&self, wrap: impl FnOnce(Arc<dyn Backend>) -> Arc<dyn Backend>, retry: RetryPolicy) -> Self {
        let shared = &self.shared;
        Self::new(wrap(Arc::clone(&shared.backend)), shared.root.clone(), shared.url.clone(), shared.env.clone(), retry)
    }

    /// As [`Self::wrapped`], for a process with another clock.
    pub(crate) fn wrapped_for(&self, env: &Env, wrap: impl FnOnce(Arc<dyn Backend>) -> Arc<dyn Backend>) -> Self {
        let shared = &self.shared;
        Self::new(wrap(Arc::clone(&shared.backend)), shared.root.clone(), shared.url.clone(), env.clone(), RetryPolicy::DEFAULT)
    }

    /// The URL that the store was opened with. Holds no credentials.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// The time, by the clock that the store was opened with.
    pub(crate) fn now(&self) -> schema::Timestamp {
        self.shared.env.now()
    }

    /// The same store; requests of the returned client are counted in `stats` too, besides where they were counted already.
    pub fn with_stats(&self, stats: Arc<RequestStats>) -> Self {
        let mut scopes = self.scopes.clone();
        scopes.push(stats);
        Self { shared: Arc::clone(&self.shared), scopes }
    }

    /// Totals of this client and all its clones since it was opened.
    pub fn stats(&self) -> &RequestStats {
        &self.shared.stats
    }

    /// The whole object. One request.
    pub async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        Ok(self.read(key, Part::All).await?.bytes)
    }

    /// The whole object and its version, for a later [`ObjectClient::swap`]. `None` when there is no object. One request.
    pub async fn get_versioned(&self, key: &str) -> Result<Option<(Bytes, Version)>, StoreError> {
        match self.read(key, Part::All).await {
            Ok(read) => Ok(Some((read.bytes, read.version))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The bytes of each range, in the order of `ranges`. One request per non-empty range, up to 32 at a time: coalesce ranges that lie close together before.
    /// Errors: [`StoreError::Range`] when a range is not wholly inside the object.
    pub async fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        if let [range] = ranges {
            return Ok(vec![self.get_range(key, range.clone()).await?]);
        }
        futures::stream::iter(ranges.iter().cloned().map(|range| self.get_range(key, range))).buffered(CONCURRENT_RANGES).try_collect().await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.start > range.end {
            return Err(StoreError::argument(format!("range {}..{} of object '{key}' ends before it starts", range.start, range.end)));
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        Ok(self.read(key, Part::Range(range)).await?.bytes)
    }

    /// The last `bytes` bytes, or the whole object when it is shorter, and the size of the object. One request.
    pub async fn get_suffix(&self, key: &str, bytes: u64) -> Result<(Bytes, u64), StoreError> {
        if bytes == 0 {
            return Err(StoreError::argument(format!("a suffix of 0 bytes of object '{key}'")));
        }
        let read = self.read(key, Part::Suffix(bytes)).await?;
        Ok((read.bytes, read.size))
    }

    pub(super) async fn read(&self, key: &str, part: Part) -> Result<Read, StoreError> {
        let full = self.shared.root.full_key(key)?;
        let mut attempts = self.attempts(Op::Get, key);
        loop {
            let answer = self.shared.backend.get(&full, &part).await;
            self.count(Op::Get, &answer);
            match answer {
                Ok(read) => {
                    self.count_received(&read);
                    return Ok(read);
                }
                Err(Failure::Range(size)) => return Err(outside(key, &part, size)),
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    /// Size and version; `None` when there is no such object. One request.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        let full = self.shared.root.full_key(key)?;
        let mut attempts = self.attempts(Op::Head, key);
        loop {
            let answer = self.shared.backend.head(&full).await;
            self.count(Op::Head, &answer);
            match answer {
                Ok(info) => return Ok(Some(ObjectInfo { key: key.to_owned(), ..info })),
                Err(Failure::NotFound) => return Ok(None),
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    /// All objects below the folder `prefix` (with or without a slash at its end; empty: all), ascending by the bytes of their keys. One request per 1000 objects.
    /// Every object that was acknowledged before the call and not deleted is in it. A prefix is whole segments: `a/b` holds `a/b/c`, but not `a/bc` and not `a/b`.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let full = self.shared.root.full_prefix(prefix)?;
        let mut objects: Vec<ObjectInfo> = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page = self.list_page(prefix, &full, next.as_deref()).await?;
            for info in page.objects {
                let key = self.shared.root.relative(&info.key).ok_or_else(|| StoreError::internal(format!("LIST of '{full}' answered '{}'", info.key)))?;
                objects.push(ObjectInfo { key: key.to_owned(), ..info });
            }
            match page.next {
                Some(token) => next = Some(token),
                None => break,
            }
        }
        objects.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        Ok(objects)
    }

    async fn list_page(&self, prefix: &str, full: &str, page: Option<&str>) -> Result<Page, StoreError> {
        let mut attempts = self.attempts(Op::List, prefix);
        loop {
            let answer = self.shared.backend.list(full, page).await;
            self.count_list(answer.as_ref().ok().map(|page| page.requests));
            match answer {
                Ok(page) => return Ok(page),
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    /// The names of the folders right below the folder `prefix` (as in [`Self::list`]), ascending, without slashes: what the keys below it have before their next
    /// slash. One LIST request per 1000 folders, however many objects are in them. A directory store shows a folder also after its last object was deleted.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let full = self.shared.root.full_prefix(prefix)?;
        let mut names = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page = self.folder_page(prefix, &full, next.as_deref()).await?;
            names.extend(page.names);
            match page.next {
                Some(token) => next = Some(token),
                None => break,
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn folder_page(&self, prefix: &str, full: &str, page: Option<&str>) -> Result<FolderPage, StoreError> {
        let mut attempts = self.attempts(Op::List, prefix);
        loop {
            let answer = self.shared.backend.folders(full, page).await;
            self.count_list(answer.as_ref().ok().map(|page| page.requests));
            match answer {
                Ok(page) => return Ok(page),
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    /// A page that was answered in so many requests, or one request that failed.
    fn count_list(&self, answered: Option<u64>) {
        let (result, requests) = answered.map_or((OpResult::Error, 1), |requests| (OpResult::Ok, requests));
        self.each_stats(|stats| stats.count(Op::List, result, requests));
    }

    /// Removes the object; success when it is not there afterwards, also if it never was. One request.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let full = self.shared.root.full_key(key)?;
        let mut attempts = self.attempts(Op::Delete, key);
        loop {
            let answer = self.shared.backend.delete(&full).await;
            self.count(Op::Delete, &answer);
            match answer {
                Ok(()) | Err(Failure::NotFound) => return Ok(()),
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    /// One conditional put, tried once and counted.
    pub(super) async fn put_once(&self, full: &str, body: Bytes, condition: &Condition) -> Result<Version, Failure> {
        let size = len_u64(&body);
        let answer = self.shared.backend.put(full, body, condition).await;
        self.count(Op::Put, &answer);
        if answer.is_ok() {
            self.each_stats(|stats| stats.sent(size));
        }
        answer
    }

    pub(super) fn attempts<'a>(&'a self, op: Op, key: &'a str) -> Attempts<'a> {
        Attempts::new(self.shared.retry, &self.shared.env, op, key)
    }

    fn count<T>(&self, op: Op, answer: &Result<T, Failure>) {
        let result = match answer {
            Ok(_) => OpResult::Ok,
            Err(Failure::NotFound) => OpResult::NotFound,
            Err(Failure::Exists) => OpResult::Exists,
            Err(Failure::Mismatch | Failure::Busy(_)) => OpResult::Conflict,
            Err(Failure::Range(_) | Failure::Denied(_) | Failure::Key(_) | Failure::Transient(_)) => OpResult::Error,
        };
        self.each_stats(|stats| stats.count(op, result, 1));
    }

    fn count_received(&self, read: &Read) {
        let received = len_u64(&read.bytes);
        self.each_stats(|stats| stats.received(received));
    }

    fn each_stats(&self, add: impl Fn(&RequestStats)) {
        add(&self.shared.stats);
        for scope in &self.scopes {
            add(scope);
        }
    }
}

impl fmt::Debug for ObjectClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectClient").field("url", &self.shared.url).finish_non_exhaustive()
    }
}

fn outside(key: &str, part: &Part, size: u64) -> StoreError {
    let (start, end) = match part {
        Part::Range(range) => (range.start, range.end),
        Part::All => (0, u64::MAX),
        Part::Suffix(bytes) => (0, *bytes),
    };
    StoreError::Range { key: key.to_owned(), start, end, size }
}

pub(super) fn len_u64(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
