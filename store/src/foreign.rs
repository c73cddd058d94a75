//! Objects in buckets that are no stores of ours: log files that other services wrote, read once from beginning to end.
//! Owns: one client per bucket, the reading as a stream. Must not know: what is in an object, which events name it.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use schema::Timestamp;

use crate::error::StoreError;
use crate::object::{Failure, ForeignReader};

/// Reads objects of any bucket that the credentials allow. Clients are kept.
#[derive(Debug)]
pub struct ForeignBuckets {
    /// The `AWS_*` variables.
    variables: HashMap<String, String>,
    clients: Mutex<HashMap<(String, Option<String>), ForeignReader>>,
}

/// An object that is being read. Its bytes come in order; a broken connection is taken up where it broke, as long as the object is the same.
pub struct ForeignObject {
    /// Bytes.
    pub size: u64,
    /// When it was written.
    pub last_modified: Timestamp,
    /// `bucket/key`.
    name: String,
    body: BoxStream<'static, Result<Bytes, Failure>>,
}

impl ForeignBuckets {
    /// With the process's `AWS_*` variables, see [`crate::ObjectClient::open_with`].
    pub fn from_environment() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::new(variables)
    }

    /// With `variables` in place of the process's environment.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { variables: variables.into_iter().collect(), clients: Mutex::default() }
    }

    /// Begins to read `key`, in the version `version` if one is given. `region` is the bucket's, if it is known; else it is that of the variables.
    /// Errors: `NotFound`, `Denied` (also for a key that is gone, where listing is not allowed), `Unavailable` after retries, `Invalid` for a key that this client
    /// cannot ask for (one with an empty, `.` or `..` segment).
    pub async fn get(&self, bucket: &str, region: Option<&str>, key: &str, version: Option<&str>) -> Result<ForeignObject, StoreError> {
        let name = format!("{bucket}/{key}");
        let client = self.client(bucket, region)?;
        let (size, last_modified, body) = client.get(key, version).await.map_err(|failure| error(&name, failure))?;
        Ok(ForeignObject { size, last_modified, name, body })
    }

    fn client(&self, bucket: &str, region: Option<&str>) -> Result<ForeignReader, StoreError> {
        let place = (bucket.to_owned(), region.map(str::to_owned));
        if let Some(client) = self.clients.lock().get(&place) {
            return Ok(client.clone());
        }
        let client = ForeignReader::open(bucket, region, &self.variables).map_err(|source| StoreError::Url {
            url: format!("s3://{bucket}"),
            reason: "the S3 settings (AWS_* variables) do not work".to_owned(),
            source: Some(source),
        })?;
        self.clients.lock().insert(place, client.clone());
        Ok(client)
    }
}

impl ForeignObject {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        let part = self.body.next().await?;
        Some(part.map_err(|failure| error(&self.name, failure)))
    }
}

impl fmt::Debug for ForeignObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignObject").field("name", &self.name).field("size", &self.size).finish_non_exhaustive()
    }
}

fn error(name: &str, failure: Failure) -> StoreError {
    let key = name.to_owned();
    match failure {
        Failure::NotFound => StoreError::NotFound { key },
        Failure::Denied(source) => StoreError::Denied { op: "get", key, source },
        Failure::Key(reason) => StoreError::Key { key, reason },
        Failure::Transient(source) | Failure::Busy(source) => StoreError::Unavailable { op: "get", key, attempts: ForeignReader::ATTEMPTS, source },
        Failure::Mismatch => StoreError::Unavailable { op: "get", key, attempts: 1, source: "the object was replaced while it was read".into() },
        Failure::Exists | Failure::Range(_) => StoreError::internal(format!("{failure:?} as the answer to get of '{key}'")),
    }
}
