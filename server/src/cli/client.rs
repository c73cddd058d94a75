//! Whom a command talks to: a server over HTTP, or a store through the roles in this process. Both answer in Loki's format.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use reqwest::Url;
use schema::TenantId;
use store::env::Env;

use crate::args::TargetArgs;
use crate::cli::tail::{TailSource, websocket};
use crate::config::Config;
use crate::error::TarnError;
use crate::roles::{ReadRequest, RoleAnswer, Roles};
use crate::serve::TENANT_HEADER;

const DEFAULT_URL: &str = "http://127.0.0.1:3100";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than any server lets a query run, so that the server's own text arrives.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
const TAIL_PATH: &str = "/loki/api/v1/tail";

/// Longer parameters travel as a form, since servers and proxies bound the length of a URL.
const MAX_URL_PARAMETERS: usize = 4096;

/// A server or a store.
#[derive(Debug)]
pub(crate) enum Client {
    Server(Server),
    Store(Box<Store>),
}

#[derive(Debug)]
pub(crate) struct Server {
    http: reqwest::Client,
    base: Url,
}

#[derive(Debug)]
pub(crate) struct Store {
    roles: Roles,
    tenant: TenantId,
    env: Env,
}

/// Which versions of HTTP a server may be asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Any,
    /// A connection of HTTP/2 does not become a WebSocket.
    Http1,
}

/// A push as it travels.
#[derive(Clone, Debug)]
pub(crate) struct PushBody {
    pub(crate) content_type: &'static str,
    /// `None` for snappy, which needs no header.
    pub(crate) content_encoding: Option<&'static str>,
    pub(crate) body: Bytes,
}

/// What came back, before it is judged.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

impl Client {
    /// Connects to what the flags name. A store is checked at once; a server when it is first asked.
    pub(crate) async fn open(target: &TargetArgs, env: &Env) -> Result<Self, TarnError> {
        match &target.store {
            Some(url) => Ok(Self::Store(Box::new(Store::open(url, target, env).await?))),
            None => Ok(Self::Server(Server::open(target, Version::Any)?)),
        }
    }

    /// As [`Self::open`], for [`Self::tail`].
    pub(crate) async fn open_for_tail(target: &TargetArgs, env: &Env) -> Result<Self, TarnError> {
        match &target.store {
            Some(url) => Ok(Self::Store(Box::new(Store::open(url, target, env).await?))),
            None => Ok(Self::Server(Server::open(target, Version::Http1)?)),
        }
    }

    /// Begins a tail. Errors: it was refused before it began, or there was no answer.
    pub(crate) async fn tail(&self, parameters: &[(&str, String)]) -> Result<TailSource, TarnError> {
        match self {
            Self::Server(server) => {
                let key = websocket::generate_key();
                let request = server.http.get(server.url(TAIL_PATH)?).query(parameters).headers(websocket::upgrade_headers(&key));
                websocket::open(request, &key, server.base.as_str()).await
            }
            Self::Store(store) => store.tail(parameters).await,
        }
    }

    /// Asks a read route. Errors: [`TarnError::Refused`] for anything but success.
    pub(crate) async fn read(&self, path: &str, parameters: &[(&str, String)]) -> Result<Bytes, TarnError> {
        let reply = match self {
            Self::Server(server) => server.read(path, parameters).await?,
            Self::Store(store) => store.read(path, parameters).await?,
        };
        if reply.status.is_success() {
            return Ok(reply.body);
        }
        Err(TarnError::Refused { status: reply.status, message: error_text(reply.status, &reply.body) })
    }

    /// Sends one push and returns the answer, whatever it is. Errors: no answer.
    pub(crate) async fn push(&self, push: &PushBody) -> Result<Reply, TarnError> {
        match self {
            Self::Server(server) => server.push(push).await,
            Self::Store(store) => store.push(push).await,
        }
    }

    /// The name for messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Server(server) => server.base.to_string(),
            Self::Store(_) => "the store".to_owned(),
        }
    }
}

/// The text of an error answer: the bare message, or what a JSON error holds.
pub(crate) fn error_text(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).trim().to_owned();
    let from_json = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|value| ["message", "error"].iter().find_map(|key| value.get(key).and_then(|v| v.as_str()).map(str::to_owned)));
    match from_json {
        Some(message) => message,
        None if text.is_empty() => format!("the server answered {status}"),
        None => text,
    }
}

impl Server {
    fn open(target: &TargetArgs, version: Version) -> Result<Self, TarnError> {
        let text = target.url.clone().or_else(|| std::env::var("TARN_URL").ok().filter(|v| !v.is_empty())).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let bad_url = || TarnError::Argument { flag: "--url (or TARN_URL)", value: text.clone(), expected: "a URL such as http://127.0.0.1:3100".to_owned() };
        let mut base = Url::parse(&text).map_err(|_| bad_url())?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad_url());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let mut headers = HeaderMap::new();
        if let Some(tenant) = &target.tenant {
            headers.insert(HeaderName::from_static(TENANT_HEADER), header_value("--tenant", tenant)?);
        }
        if let Some(token) = &target.token {
            let mut value = header_value("--token", &format!("Bearer {token}"))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("tarn/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT);
        if matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        if version == Version::Http1 {
            builder = builder.http1_only();
        }
        let http = builder.build().map_err(|source| TarnError::Unreachable { url: text.clone(), source: Box::new(source) })?;
        Ok(Self { http, base })
    }

    fn url(&self, path: &str) -> Result<Url, TarnError> {
        self.base.join(path.trim_start_matches('/')).map_err(|_| TarnError::Argument {
            flag: "--url",
            value: self.base.to_string(),
            expected: "a URL that paths can follow".to_owned(),
        })
    }

    async fn read(&self, path: &str, parameters: &[(&str, String)]) -> Result<Reply, TarnError> {
        let length: usize = parameters.iter().map(|(name, value)| name.len() + value.len()).sum();
        let url = self.url(path)?;
        let request = if length > MAX_URL_PARAMETERS { self.http.post(url).form(parameters) } else { self.http.get(url).query(parameters) };
        self.send(request).await
    }

    async fn push(&self, push: &PushBody) -> Result<Reply, TarnError> {
        let mut request = self.http.post(self.url("/loki/api/v1/push")?).header(header::CONTENT_TYPE, push.content_type).body(push.body.clone());
        if let Some(encoding) = push.content_encoding {
            request = request.header(header::CONTENT_ENCODING, encoding);
        }
        self.send(request).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Reply, TarnError> {
        let unreachable = |source| TarnError::Unreachable { url: self.base.to_string(), source: Box::new(source) };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let body = response.bytes().await.map_err(unreachable)?;
        Ok(Reply { status, retry_after, body })
    }
}

impl Store {
    async fn open(url: &str, target: &TargetArgs, env: &Env) -> Result<Self, TarnError> {
        let tenant = match &target.tenant {
            None => TenantId::default_tenant(),
            Some(id) => TenantId::parse(id).map_err(|e| TarnError::Argument { flag: "--tenant", value: id.clone(), expected: format!("a tenant id ({e})") })?,
        };
        let mut config = Config { store: url.to_owned(), ..Config::default() };
        // Nobody else pushes through this process, so there is nothing to wait for.
        config.ingest.flush_interval = Duration::ZERO;
        let roles = Roles::open(&config, env)?;
        roles.check_format().await?;
        Ok(Self { roles, tenant, env: env.clone() })
    }

    async fn read(&self, path: &str, parameters: &[(&str, String)]) -> Result<Reply, TarnError> {
        let started = self.env.monotonic();
        let answer = self.roles.read(self.request(path, parameters)).await;
        tracing::debug!(path, milliseconds = self.env.monotonic().saturating_sub(started).as_millis(), "read");
        Ok(Reply { status: answer.status, retry_after: None, body: answer.body })
    }

    async fn tail(&self, parameters: &[(&str, String)]) -> Result<TailSource, TarnError> {
        let refused = |answer: Box<RoleAnswer>| TarnError::Refused { status: answer.status, message: error_text(answer.status, &answer.body) };
        let start = self.roles.tail(self.request(TAIL_PATH, parameters)).map_err(refused)?;
        start.await.map(TailSource::Local).map_err(|reason| TarnError::TailEnded { reason })
    }

    fn request(&self, path: &str, parameters: &[(&str, String)]) -> ReadRequest {
        let query = Url::parse_with_params("http://store/", parameters).ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default();
        ReadRequest { method: Method::GET, path: path.to_owned(), query, form: Bytes::new(), headers: HeaderMap::new(), tenants: self.tenant.clone().into() }
    }

    async fn push(&self, push: &PushBody) -> Result<Reply, TarnError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(push.content_type));
        if let Some(encoding) = push.content_encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        let answer = self.roles.push(&Uri::from_static("/loki/api/v1/push"), &headers, push.body.clone(), self.tenant.clone()).await;
        Ok(Reply { status: answer.status, retry_after: retry_after(&answer.headers), body: answer.body })
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn header_value(flag: &'static str, text: &str) -> Result<HeaderValue, TarnError> {
    HeaderValue::from_str(text).map_err(|_| TarnError::Argument { flag, value: text.to_owned(), expected: "text that fits a header".to_owned() })
}
