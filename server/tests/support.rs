//! Starts `tarn` and encodes requests, independently of the code under test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Response};
use schema::{ChunkKey, TenantId};
use store::env::Env;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// 2023-11-14T22:13:20Z
pub(crate) const THEN: i64 = 1_700_000_000_000_000_000;
/// A machine that builds at the same time is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// The binary, with no setting of the machine it runs on.
pub(crate) fn tarn() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TARN_") || name == "PORT") {
        command.env_remove(name);
    }
    command
}

/// A running server with a store of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) log: Arc<Mutex<String>>,
    pub(crate) store: PathBuf,
    pub(crate) started_in: Duration,
    client: Client,
    _folder: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts in a fresh folder and waits until it is ready.
    pub(crate) async fn start(env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::start_on(&folder.path().join("store"), env).await;
        server._folder = Some(folder);
        server
    }

    /// Starts on a store and waits until it is ready.
    pub(crate) async fn start_on(store: &Path, env: &[(&str, &str)]) -> Self {
        Self::start_for(store, env, "http", client()).await
    }

    /// As [`Self::start_on`], for a client that asks in `scheme`.
    pub(crate) async fn start_for(store: &Path, env: &[(&str, &str)], scheme: &str, client: Client) -> Self {
        let clock = Env::system();
        let mut command = tarn();
        command.args(["serve", "--listen", "127.0.0.1:0", "--store"]).arg(store).envs(env.iter().copied()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let mut address = None;
        while address.is_none() {
            let line = lines.next().unwrap_or_else(|| panic!("no address in the log:\n{}", log.lock().unwrap())).unwrap();
            address = line.split_whitespace().find_map(|word| word.strip_prefix("address=")).map(str::to_owned);
            log.lock().unwrap().push_str(&format!("{line}\n"));
        }
        let copy = Arc::clone(&log);
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| copy.lock().unwrap().push_str(&format!("{line}\n"))));
        let url = format!("{scheme}://{}", address.unwrap());
        let mut server = Self { child, url, log, store: store.to_owned(), started_in: Duration::ZERO, client, _folder: None };
        while server.get("/ready").await.status() != 200 {
            assert!(clock.monotonic() < PATIENCE, "not ready:\n{}", server.log.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.started_in = clock.monotonic();
        server
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.at(path)).send().await.unwrap()
    }

    /// Pushes JSON as the tenant `fake`.
    pub(crate) async fn push(&self, body: String) -> Response {
        self.client.post(self.at("/loki/api/v1/push")).header("content-type", "application/json").body(body).send().await.unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// Most memory that the process ever held, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() << 10
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let clock = Env::system();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(clock.monotonic() < within, "still running after {within:?}:\n{}", self.log.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Rows of the tenant in the store, by the names of its objects.
    pub(crate) fn stored_rows(&self, tenant: &str) -> u64 {
        let tenant = TenantId::parse(tenant).unwrap();
        let prefix = self.store.join(format!("t={tenant}/l0"));
        files_below(&prefix)
            .iter()
            .map(|path| path.strip_prefix(&self.store).unwrap().to_str().unwrap().to_owned())
            .filter(|key| key.ends_with(".parquet"))
            .map(|key| ChunkKey::parse(&tenant, &key).unwrap().rows)
            .sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// A client that follows no redirect and knows no proxy.
pub(crate) fn client() -> Client {
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// Sends bytes as they are and reads until the server closes.
pub(crate) async fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = tokio::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Runs the binary to its end.
pub(crate) fn run(args: &[&str], env: &[(&str, &str)], input: &[u8]) -> Output {
    let mut command = tarn();
    command.args(args).envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The process may end without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A JSON push of one stream.
pub(crate) fn json_push(labels: &[(&str, &str)], lines: &[(i64, &str)]) -> String {
    let stream: serde_json::Map<String, serde_json::Value> = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).into())).collect();
    let values: Vec<serde_json::Value> = lines.iter().map(|(at, line)| serde_json::json!([at.to_string(), line])).collect();
    serde_json::json!({"streams": [{"stream": stream, "values": values}]}).to_string()
}

/// The same as protobuf, before compression.
pub(crate) fn protobuf_push(labels: &str, lines: &[(i64, &str)]) -> Vec<u8> {
    let mut stream = field(1, labels.as_bytes());
    for (at, line) in lines {
        let mut timestamp = vec![0x08];
        timestamp.extend(varint(u64::try_from(at / 1_000_000_000).unwrap()));
        timestamp.push(0x10);
        timestamp.extend(varint(u64::try_from(at % 1_000_000_000).unwrap()));
        stream.extend(field(2, &[field(1, &timestamp), field(2, line.as_bytes())].concat()));
    }
    field(1, &stream)
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    out.extend(varint(bytes.len() as u64));
    out.extend(bytes);
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return out;
        }
        out.push(low | 0x80);
    }
}
