//! Reading of objects that others wrote, with object_store's own retries: a read may be repeated, and is taken up where it broke.
//! Owns: the settings of that client.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3;
use object_store::{BackoffConfig, GetOptions, ObjectStore as _, RetryConfig};
use schema::Timestamp;

use super::{builder, requests};
use crate::error::Cause;
use crate::object::Failure;

/// Log files may have gigabytes, and are decoded while they are read.
const TIMEOUT: &str = "900 seconds";
/// How long retries of one request may go on.
const RETRY_WITHIN: Duration = Duration::from_secs(30);
const RETRIES: usize = 3;

/// A client of one bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ForeignReader(Arc<AmazonS3>);

impl ForeignReader {
    /// Attempts of one request.
    pub(crate) const ATTEMPTS: u32 = 4;

    pub(crate) fn open(bucket: &str, region: Option<&str>, variables: &HashMap<String, String>) -> Result<Self, Cause> {
        let mut builder = builder(bucket, variables, TIMEOUT);
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: RETRY_WITHIN };
        Ok(Self(Arc::new(builder.with_retry(retry).build()?)))
    }

    /// Size, time of writing and bytes of `key`.
    pub(crate) async fn get(&self, key: &str, version: Option<&str>) -> Result<(u64, Timestamp, BoxStream<'static, Result<Bytes, Failure>>), Failure> {
        let options = GetOptions { version: version.map(str::to_owned), ..GetOptions::default() };
        let result = self.0.get_opts(&requests::path(key)?, options).await.map_err(requests::failure)?;
        let written = Timestamp(result.meta.last_modified.timestamp_nanos_opt().unwrap_or(i64::MAX));
        Ok((result.meta.size, written, result.into_stream().map_err(requests::failure).boxed()))
    }
}
