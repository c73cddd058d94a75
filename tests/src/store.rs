//! The object stores that the system tests run on. Owns: how each is named on the command line and in the environment.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tempfile::TempDir;

/// Which kind of store a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In the memory of the process: gone when it ends.
    Memory,
    /// A folder of this machine.
    File,
    /// SeaweedFS at `TARN_TEST_SEAWEEDFS_URL` (tests/servers/seaweedfs).
    Seaweedfs,
    /// LocalStack at `TARN_TEST_LOCALSTACK_URL` (tests/servers/localstack).
    Localstack,
    /// MinIO at `TARN_TEST_MINIO_URL` (tests/servers/minio).
    Minio,
}

/// An empty store, as the binary is told about it.
#[derive(Clone, Debug)]
pub struct Store {
    /// Which kind it is.
    pub kind: Kind,
    /// The value of `--store`.
    pub url: String,
    /// What the process finds in its environment.
    pub env: Vec<(String, String)>,
    folder: Option<Arc<TempDir>>,
    logs: Arc<Mutex<String>>,
}

impl Store {
    /// A new, empty store. For S3: a prefix that nobody else has, in the bucket of the URL in the environment.
    pub fn fresh(kind: Kind) -> Result<Self> {
        match kind {
            Kind::Memory => Ok(Self { kind, url: "memory:".to_owned(), env: Vec::new(), folder: None, logs: Arc::default() }),
            Kind::File => {
                let folder = TempDir::with_prefix("tarn-store-")?;
                Ok(Self {
                    kind,
                    url: format!("file://{}", folder.path().join("data").display()),
                    env: Vec::new(),
                    folder: Some(Arc::new(folder)),
                    logs: Arc::default(),
                })
            }
            Kind::Seaweedfs => s3(kind, "TARN_TEST_SEAWEEDFS_URL"),
            Kind::Localstack => s3(kind, "TARN_TEST_LOCALSTACK_URL"),
            Kind::Minio => s3(kind, "TARN_TEST_MINIO_URL"),
        }
    }

    /// Whether what was stored outlives the process.
    pub fn is_durable(&self) -> bool {
        self.kind != Kind::Memory
    }

    /// The ends of the logs of the servers that ran on it, for the report of a failed test.
    pub fn logs(&self) -> String {
        self.logs.lock().map(|logs| logs.clone()).unwrap_or_default()
    }

    pub(crate) fn keep_log(&self, log: &str) {
        if let Ok(mut logs) = self.logs.lock() {
            logs.push_str(log);
            logs.push('\n');
        }
    }

    /// The store's folder, for a store that is one.
    pub fn folder(&self) -> Option<std::path::PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().join("data"))
    }
}

/// Reads `http://key:secret@host:port/bucket`.
fn s3(kind: Kind, variable: &str) -> Result<Store> {
    let url = std::env::var(variable)
        .with_context(|| format!("{variable} must hold http://key:secret@host:port/bucket, as the scripts in tests/servers print it"))?;
    let parts = url.strip_prefix("http://").and_then(|rest| {
        let (credentials, place) = rest.split_once('@')?;
        let (key, secret) = credentials.split_once(':')?;
        let (host, bucket) = place.split_once('/')?;
        Some((key, secret, host, bucket))
    });
    let Some((key, secret, host, bucket)) = parts else {
        bail!("{variable} should be http://key:secret@host:port/bucket");
    };
    let env = [
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", &format!("http://{host}")),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    Ok(Store {
        kind,
        url: format!("s3://{bucket}/{}", unique()?),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        folder: None,
        logs: Arc::default(),
    })
}

#[expect(clippy::disallowed_methods, reason = "a prefix must differ from those of earlier runs; nothing is replayed from it")]
fn unique() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(format!("test-{}-{}-{:x}", now.as_secs(), std::process::id(), StdRng::from_os_rng().next_u64()))
}
