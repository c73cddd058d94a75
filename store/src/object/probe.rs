//! Does this store do what the commit protocol stands on? Asked once at start, before anything is acknowledged.
//! Owns: one check per guarantee, and what to do when one does not hold.
//! Must not know: the commit protocol itself.

use std::fmt::Display;

use bytes::Bytes;
use futures::future::join_all;
use schema::key::PROBE_PREFIX;

use super::backend::{Condition, Failure};
use super::client::ObjectClient;
use super::{PutOutcome, SwapOutcome, Version};
use crate::error::StoreError;

const WRITERS: u32 = 8;
const ROUNDS: u32 = 3;

const CREATE: &str = "create-if-absent (a PUT with If-None-Match: *)";
const RACE: &str = "create-if-absent when writers race";
const SWAP: &str = "compare-and-swap (a PUT with If-Match)";
const READ: &str = "read-after-write";
const LIST: &str = "list-after-write";
const DELETE: &str = "read-after-delete";
const NAMES: &str = "names that differ in upper and lower case";

impl ObjectClient {
    /// Checks the guarantees on scratch objects under `probe/`, about 60 requests, and removes them. Tarn would lose or duplicate lines without any one of them.
    /// A race that a store loses rarely may pass here.
    /// Errors: `Unsupported` names the guarantee, what was seen, and what to do; others mean that the store could not be asked.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let folder = format!("{PROBE_PREFIX}{:016x}{:016x}", self.shared.env.random_u64(), self.shared.env.random_u64());
        let checked = self.probe_in(&folder).await;
        let cleaned = self.probe_clean(&folder).await;
        checked.and(cleaned)
    }

    async fn probe_in(&self, folder: &str) -> Result<(), StoreError> {
        self.probe_create(folder).await?;
        for round in 0..ROUNDS {
            self.probe_race(&format!("{folder}/race-{round}")).await?;
        }
        self.probe_swap(folder).await?;
        self.probe_list_and_delete(folder).await
    }

    async fn probe_create(&self, folder: &str) -> Result<(), StoreError> {
        let key = format!("{folder}/create");
        let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"the second"));
        // Nobody else uses this name, so "already exists" means a lost acknowledgement here; the body tells.
        self.create(&key, first.clone()).await?;
        self.expect_body(&key, &first).await?;
        if self.create(&key, second).await? == PutOutcome::Created {
            return Err(self.lacks(CREATE, "the second write of a key was accepted"));
        }
        if self.get(&key).await? != first {
            return Err(self.lacks(CREATE, "a refused write replaced the object"));
        }
        if self.head(&format!("{folder}/CREATE")).await?.is_some() {
            return Err(self.lacks(NAMES, "'create' is found as 'CREATE'"));
        }
        Ok(())
    }

    async fn probe_race(&self, key: &str) -> Result<(), StoreError> {
        let bodies: Vec<Bytes> = (0..WRITERS).map(|writer| Bytes::from(format!("writer {writer}"))).collect();
        let outcomes = join_all(bodies.iter().map(|body| self.create(key, body.clone()))).await;
        let mut winners = Vec::new();
        for (body, outcome) in bodies.iter().zip(outcomes) {
            if outcome? == PutOutcome::Created {
                winners.push(body);
            }
        }
        let held = self.get(key).await?;
        match winners.as_slice() {
            [winner] if held == **winner => Ok(()),
            // Every acknowledgement may have been lost; then the object tells that one writer won.
            [] if bodies.contains(&held) => Ok(()),
            [_] => Err(self.lacks(RACE, "the object is not that of the one writer whose write was accepted")),
            winners => Err(self.lacks(RACE, format!("{} of {WRITERS} writers of one key were told that they wrote it", winners.len()))),
        }
    }

    async fn probe_swap(&self, folder: &str) -> Result<(), StoreError> {
        let key = format!("{folder}/swap");
        let body = |text: &'static str| Bytes::from_static(text.as_bytes());
        let first = self.expect_commit(&key, body("one"), None, "a write of a new key").await?;
        let second = self.expect_commit(&key, body("two"), Some(&first), "a write that names the current version").await?;
        self.expect_body(&key, &body("two")).await?;
        if second == first {
            return Err(self.lacks(SWAP, "another content got the same version (ETag)"));
        }
        self.expect_refusal(&key, body("three"), &Condition::Is(first.clone()), "a write that names an old version").await?;
        self.expect_refusal(&format!("{folder}/missing"), body("four"), &Condition::Is(second), "a write that names a version of a missing object").await?;
        self.expect_body(&key, &body("two")).await
    }

    async fn expect_commit(&self, key: &str, body: Bytes, expected: Option<&Version>, what: &str) -> Result<Version, StoreError> {
        match self.swap(key, body, expected).await? {
            SwapOutcome::Committed(version) => Ok(version),
            SwapOutcome::Conflict => Err(self.lacks(SWAP, format!("{what} was refused"))),
            SwapOutcome::Unknown => {
                Err(StoreError::Unavailable { op: "put", key: key.to_owned(), attempts: 1, source: "the outcome of a swap is not known".into() })
            }
        }
    }

    /// The store itself must refuse; `swap` would find the right outcome of some wrong answers.
    async fn expect_refusal(&self, key: &str, body: Bytes, condition: &Condition, what: &str) -> Result<(), StoreError> {
        let full = self.shared.root.full_key(key)?;
        let mut attempts = self.attempts(super::Op::Put, key);
        loop {
            match self.put_once(&full, body.clone(), condition).await {
                Ok(_) => return Err(self.lacks(SWAP, format!("{what} was accepted"))),
                Err(Failure::Mismatch | Failure::NotFound | Failure::Exists) => return Ok(()),
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    async fn expect_body(&self, key: &str, body: &Bytes) -> Result<(), StoreError> {
        match self.get_versioned(key).await? {
            Some((found, _)) if found == *body => Ok(()),
            Some(_) => Err(self.lacks(READ, "a read returned another content than the one just written")),
            None => Err(self.lacks(READ, "an object just written was not found")),
        }
    }

    async fn probe_list_and_delete(&self, folder: &str) -> Result<(), StoreError> {
        let key = format!("{folder}/list");
        self.create(&key, Bytes::from_static(b"listed")).await?;
        if !self.list(folder).await?.iter().any(|info| info.key == key && info.size == 6) {
            return Err(self.lacks(LIST, "an object just written was not listed"));
        }
        self.delete(&key).await?;
        if self.head(&key).await?.is_some() {
            return Err(self.lacks(DELETE, "an object just deleted was found"));
        }
        if self.list(folder).await?.iter().any(|info| info.key == key) {
            return Err(self.lacks(DELETE, "an object just deleted was listed"));
        }
        Ok(())
    }

    /// By name, not only by LIST: the LIST may be what does not hold.
    async fn probe_clean(&self, folder: &str) -> Result<(), StoreError> {
        let names = ["create", "swap", "missing", "list"].into_iter().map(str::to_owned).chain((0..ROUNDS).map(|round| format!("race-{round}")));
        for name in names {
            self.delete(&format!("{folder}/{name}")).await?;
        }
        Ok(())
    }

    fn lacks(&self, guarantee: &'static str, observed: impl Display) -> StoreError {
        let remedy = if guarantee == NAMES {
            "use a directory on a case-sensitive file system, or an object store"
        } else {
            "use a store that has it: AWS S3, MinIO, Cloudflare R2, SeaweedFS, LocalStack or a directory (file:///path) do; S3 mounted by a proxy or cache often does not"
        };
        StoreError::Guarantee { store: self.url().to_owned(), guarantee, observed: observed.to_string(), remedy }
    }
}
