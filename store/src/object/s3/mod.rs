//! Objects in S3 and what speaks its protocol.
//! Owns: the settings of object_store's S3 client.
//! Must not know: retries; the client above makes and counts every attempt itself.

mod foreign;
mod requests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::ClientConfigKey;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::{BackoffConfig, RetryConfig};

use super::backend::{Backend, Condition, Failure, FolderPage, KEYS_PER_LIST, Page, Part, Read};
use super::{ObjectInfo, Version};

pub(crate) use foreign::ForeignReader;

const CONNECT_TIMEOUT: &str = "5 seconds";
const REQUEST_TIMEOUT: &str = "30 seconds";
/// For bodies larger than [`LARGE`], which a slow line does not carry in [`REQUEST_TIMEOUT`].
const LARGE_REQUEST_TIMEOUT: &str = "300 seconds";
const LARGE: u64 = 8 * 1024 * 1024;
const DEFAULT_REGION: &str = "us-east-1";

/// The backend for a bucket, set up by `AWS_*` variables.
pub(crate) fn backend(bucket: &str, variables: &HashMap<String, String>) -> Result<impl Backend + use<>, object_store::Error> {
    let small = build(bucket, variables, REQUEST_TIMEOUT)?;
    let large = builder(bucket, variables, LARGE_REQUEST_TIMEOUT).with_credentials(Arc::clone(small.credentials())).build()?;
    Ok(S3Backend { small: Arc::new(small), large: Arc::new(large) })
}

fn build(bucket: &str, variables: &HashMap<String, String>, timeout: &str) -> Result<AmazonS3, object_store::Error> {
    builder(bucket, variables, timeout).build()
}

fn builder(bucket: &str, variables: &HashMap<String, String>, timeout: &str) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new()
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT_TIMEOUT)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), timeout);
    let mut names: Vec<_> = variables.keys().filter(|name| name.starts_with("AWS_")).collect();
    names.sort_unstable();
    for name in names {
        if let (Ok(key), Some(value)) = (name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>(), variables.get(name)) {
            builder = builder.with_config(key, value);
        }
    }
    // AWS_REGION is the more specific of the two, whatever their order.
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| variables.get(name).filter(|value| !value.is_empty()));
    builder = builder.with_region(region.map_or(DEFAULT_REGION, String::as_str));
    let endpoint =
        ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].into_iter().find_map(|name| variables.get(name).filter(|value| !value.is_empty()));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        if endpoint.to_ascii_lowercase().starts_with("http://") {
            builder = builder.with_allow_http(true);
        }
    }
    builder.with_bucket_name(bucket).with_conditional_put(S3ConditionalPut::ETagMatch).with_retry(no_retry())
}

/// object_store repeats even conditional puts, and then reports its own success as a lost race. So it repeats nothing.
fn no_retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::from_secs(1) }
}

#[derive(Debug)]
struct S3Backend {
    small: Arc<AmazonS3>,
    large: Arc<AmazonS3>,
}

impl S3Backend {
    fn for_bytes(&self, bytes: u64) -> &AmazonS3 {
        if bytes > LARGE { &self.large } else { &self.small }
    }
}

#[async_trait]
impl Backend for S3Backend {
    async fn put(&self, key: &str, body: Bytes, condition: &Condition) -> Result<Version, Failure> {
        let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
        requests::put(self.for_bytes(size), key, body, condition).await
    }

    async fn get(&self, key: &str, part: &Part) -> Result<Read, Failure> {
        let bytes = match part {
            Part::All => 0,
            Part::Range(range) => range.end.saturating_sub(range.start),
            Part::Suffix(bytes) => *bytes,
        };
        requests::get(self.for_bytes(bytes), key, part).await
    }

    async fn head(&self, key: &str) -> Result<ObjectInfo, Failure> {
        requests::head(self.small.as_ref(), key).await
    }

    async fn list(&self, prefix: &str, page: Option<&str>) -> Result<Page, Failure> {
        let options = PaginatedListOptions { max_keys: Some(KEYS_PER_LIST), page_token: page.map(str::to_owned), ..PaginatedListOptions::default() };
        let prefix = (!prefix.is_empty()).then_some(prefix);
        let answer = self.small.list_paginated(prefix, options).await.map_err(requests::failure)?;
        let objects = answer.result.objects.iter().map(requests::info).collect::<Result<Vec<_>, _>>()?;
        Ok(Page { objects, next: answer.page_token, requests: 1 })
    }

    async fn folders(&self, prefix: &str, page: Option<&str>) -> Result<FolderPage, Failure> {
        let options = PaginatedListOptions {
            delimiter: Some("/".into()),
            max_keys: Some(KEYS_PER_LIST),
            page_token: page.map(str::to_owned),
            ..PaginatedListOptions::default()
        };
        let listed = (!prefix.is_empty()).then_some(prefix);
        let answer = self.small.list_paginated(listed, options).await.map_err(requests::failure)?;
        let folders = answer.result.common_prefixes.iter().map(|folder| requests::folder_name(prefix, folder));
        Ok(FolderPage { names: folders.collect::<Result<_, _>>()?, next: answer.page_token, requests: 1 })
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        requests::delete(self.small.as_ref(), key).await
    }
}
