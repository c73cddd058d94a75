//! The process under test: a `tarn` on a free port. Owns: finding the binary, starting, waiting, ending, its log.

use std::env;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::store::Store;

/// How long a start may take. A start on S3 asks the store a dozen times whether it can be trusted.
const START: Duration = Duration::from_secs(60);

/// Beginnings of the names of variables that cargo sets for the package whose test it runs.
const OF_THE_PACKAGE: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME"];

/// A running server. Dropping it kills it (SIGKILL); the end of its log stays with the store.
#[derive(Debug)]
pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// HTTP client with a timeout, for this server only.
    pub http: reqwest::Client,
    store: Store,
    settings: Vec<(String, String)>,
    child: Child,
    log: TempDir,
}

impl Server {
    /// Starts on `store` with default settings and waits until it is ready.
    pub async fn start(store: &Store) -> Result<Self> {
        Self::start_with(store, &[]).await
    }

    /// Starts with settings from the environment, such as `("TARN_INGEST_FLUSH_INTERVAL", "50ms")`.
    pub async fn start_with(store: &Store, settings: &[(&str, &str)]) -> Result<Self> {
        let settings: Vec<(String, String)> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        // Somebody else may take the free port before the server does.
        let mut attempt = 0;
        loop {
            attempt += 1;
            match Self::spawn(store, &settings)?.ready().await {
                Ok(server) => return Ok(server),
                Err(error) if attempt < 4 && format!("{error:#}").to_lowercase().contains("in use") => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn spawn(store: &Store, settings: &[(String, String)]) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = TempDir::with_prefix("tarn-log-")?;
        let output = File::create(log.path().join("log"))?;
        let child = Command::new(binary()?)
            .args(["serve", "--listen", &address.to_string(), "--store", &store.url])
            .current_dir(log.path())
            .envs(store.env.iter().chain(settings).map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("starting tarn")?;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
        Ok(Self { url: format!("http://{address}"), http, store: store.clone(), settings: settings.to_vec(), child, log })
    }

    async fn ready(mut self) -> Result<Self> {
        let give_up = now() + START;
        while now() < give_up {
            if let Ok(answer) = self.http.get(format!("{}/ready", self.url)).send().await
                && answer.status().is_success()
            {
                return Ok(self);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("tarn ended at start with {status}:\n{}", self.log_end());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("tarn was not ready after {START:?}:\n{}", self.log_end())
    }

    /// Ends it with SIGKILL, as a power cut would end the process.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end with SIGTERM and waits at most `limit`; how it ended, and after how long.
    pub async fn terminate(&mut self, limit: Duration) -> Result<(ExitStatus, Duration)> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "kill -TERM failed");
        let started = now();
        while started.elapsed() < limit {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, started.elapsed()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("tarn still ran {limit:?} after SIGTERM")
    }

    /// A new process on the same store with the same settings; the old one is killed if it still runs.
    pub async fn restart(mut self) -> Result<Self> {
        self.kill()?;
        let settings: Vec<(&str, &str)> = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Self::start_with(&self.store, &settings).await
    }

    /// Most memory that the process ever held, in bytes (`VmHWM`).
    pub fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes << 10)
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    fn log_end(&self) -> String {
        let text = fs::read(self.log.path().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.store.keep_log(&format!("-- {}\n{}", self.url, self.log_end()));
    }
}

/// The clock of the tests, which are about a real process and real time.
#[expect(clippy::disallowed_methods, reason = "real processes are waited for")]
pub fn now() -> Instant {
    Instant::now()
}

/// The binary that `TARN_BIN` names, else the one beside this test, built if need be. That can take long: before a check's time begins.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(path) = env::var_os("TARN_BIN") {
        return Ok(PathBuf::from(path));
    }
    BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(anyhow::Error::msg)
}

/// `cargo test` does not build the binary of another package, so the first test that needs it does. Cargo decides whether it is fresh.
fn build() -> Result<PathBuf> {
    let this = env::current_exe()?;
    let folder = this.parent().and_then(Path::parent).context("test binary outside of a target folder")?;
    let mut cargo = Command::new(env!("CARGO"));
    // The whole workspace, so that no dependency is built a second time with other features.
    cargo
        .args(["build", "--workspace", "--bin", "tarn", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", folder.parent().context("target folder")?);
    // What cargo tells a test about its package. Build scripts of dependencies watch some of these, so cargo would build those
    // and all that stands on them again, DataFusion included.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| OF_THE_PACKAGE.iter().any(|start| name.starts_with(start))) {
            cargo.env_remove(name);
        }
    }
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.output()?;
    ensure!(output.status.success(), "building tarn: {}", String::from_utf8_lossy(&output.stderr));
    Ok(folder.join("tarn"))
}
