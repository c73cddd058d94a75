//! From a store's URL to a client.
//! Owns: the URL forms that `--store` takes.
//! Must not know: what each kind of store does with requests.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::client::ObjectClient;
use super::key::Root;
use super::retry::RetryPolicy;
use super::{local, memory, s3};
use crate::env::Env;
use crate::error::StoreError;

impl ObjectClient {
    /// Opens a store; makes no request and writes nothing.
    ///
    /// - `s3://bucket` or `s3://bucket/prefix`: settings from the process's `AWS_*` variables, see [`ObjectClient::open_with`].
    /// - `file:///absolute/directory` (percent-escapes are decoded), or a plain path, relative to the working directory. Created by the first write.
    /// - `memory:`: gone with the last clone of the client. Every call opens a new one.
    pub fn open(url: &str, env: &Env) -> Result<Self, StoreError> {
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::open_with(url, env, variables)
    }

    /// As [`ObjectClient::open`], with `variables` in place of the process's environment.
    ///
    /// Used for S3: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` (else web identity, container or instance credentials), `AWS_REGION` or
    /// `AWS_DEFAULT_REGION` (else us-east-1), `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or `AWS_ENDPOINT` (an `http://` address allows plain HTTP), and every other
    /// setting of object_store's S3 client, such as `AWS_VIRTUAL_HOSTED_STYLE_REQUEST=true` where path-style requests are not served.
    pub fn open_with(url: &str, env: &Env, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, StoreError> {
        let invalid = |reason: String| StoreError::Url { url: url.to_owned(), reason, source: None };
        match Place::parse(url).map_err(invalid)? {
            Place::Memory => Ok(Self::new(Arc::new(memory::MemoryBackend::default()), root("", url)?, url.to_owned(), env.clone(), RetryPolicy::DEFAULT)),
            Place::Directory(path) => {
                let backend = local::LocalBackend::open(path, env).map_err(|reason| invalid(reason.to_owned()))?;
                Ok(Self::new(Arc::new(backend), root("", url)?, url.to_owned(), env.clone(), RetryPolicy::DEFAULT))
            }
            Place::S3 { bucket, prefix } => {
                let variables: HashMap<String, String> = variables.into_iter().collect();
                let backend = s3::backend(&bucket, &variables).map_err(|source| StoreError::Url {
                    url: url.to_owned(),
                    reason: "the S3 settings (AWS_* variables) do not work".to_owned(),
                    source: Some(source.into()),
                })?;
                Ok(Self::new(Arc::new(backend), root(&prefix, url)?, url.to_owned(), env.clone(), RetryPolicy::DEFAULT))
            }
        }
    }
}

fn root(prefix: &str, url: &str) -> Result<Root, StoreError> {
    Root::new(prefix).map_err(|reason| StoreError::Url { url: url.to_owned(), reason: format!("its prefix is not a valid key: {reason}"), source: None })
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Memory,
    Directory(PathBuf),
    S3 { bucket: String, prefix: String },
}

impl Place {
    fn parse(url: &str) -> Result<Self, String> {
        const FORMS: &str = "use s3://bucket/prefix, file:///directory or memory:";
        if url.is_empty() {
            return Err(format!("it is empty; {FORMS}"));
        }
        if matches!(url, "memory:" | "memory://" | "memory:///") {
            return Ok(Self::Memory);
        }
        if let Some(rest) = url.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let valid = bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':'));
            if bucket.is_empty() || !valid {
                return Err(format!("'{bucket}' is not a bucket name; use s3://bucket/prefix"));
            }
            if prefix.contains(['?', '#']) {
                return Err("it has a query or fragment; settings of S3 are read from AWS_* variables".to_owned());
            }
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        }
        if let Some(rest) = url.strip_prefix("file://") {
            let path = rest.strip_prefix("localhost").unwrap_or(rest);
            if !path.starts_with('/') {
                return Err(format!("a file URL needs an absolute path: file:///{path}"));
            }
            return Ok(Self::Directory(PathBuf::from(percent_decode(path)?)));
        }
        if let Some((scheme, _)) = url.split_once("://") {
            return Err(format!("the scheme '{scheme}' is not supported; {FORMS}"));
        }
        if url.starts_with("file:") || url.starts_with("memory:") || url.starts_with("s3:") {
            return Err(FORMS.to_owned());
        }
        std::path::absolute(url).map(Self::Directory).map_err(|error| format!("not a path: {error}"))
    }
}

fn percent_decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push(high * 16 + low),
            _ => return Err("a '%' in a file URL must be followed by two hex digits; write '%25' for a percent sign".to_owned()),
        }
    }
    String::from_utf8(bytes).map_err(|_| "its path is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_url() {
        let s3 = |bucket: &str, prefix: &str| Place::S3 { bucket: bucket.into(), prefix: prefix.into() };
        let directory = |path: &str| Place::Directory(PathBuf::from(path));
        for (url, place) in [
            ("memory:", Place::Memory),
            ("memory://", Place::Memory),
            ("s3://bucket", s3("bucket", "")),
            ("s3://my.bucket-1/a/b/", s3("my.bucket-1", "a/b/")),
            ("file:///tmp/x", directory("/tmp/x")),
            ("file://localhost/tmp/x", directory("/tmp/x")),
            ("file:///tmp/my%20logs%2525", directory("/tmp/my logs%25")),
            ("/tmp/50%", directory("/tmp/50%")),
        ] {
            assert_eq!(Place::parse(url).unwrap(), place, "{url}");
        }
        let relative = Place::parse("./tarn-data").unwrap();
        assert_eq!(relative, Place::Directory(std::env::current_dir().unwrap().join("tarn-data")));
    }

    #[test]
    fn what_is_wrong_with_a_url() {
        for (url, part) in [
            ("", "empty"),
            ("s3://", "bucket name"),
            ("s3://bu cket/x", "bucket name"),
            ("s3://bucket/x?region=eu", "AWS_*"),
            ("file://tmp/x", "file:///tmp/x"),
            ("file:///tmp/%zz", "%25"),
            ("gs://bucket", "'gs' is not supported"),
            ("memory:x", "memory:"),
        ] {
            let error = ObjectClient::open_with(url, &Env::system(), []).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid);
            assert!(error.to_string().contains(part), "{url}: {error}");
        }
        assert!(ObjectClient::open_with("s3://bucket/a//b", &Env::system(), []).unwrap_err().to_string().contains("empty segment"));
    }
}
