//! Who a request comes from, before any handler sees it: its token, whether that may do this, and for which tenant.
//! Owns: credentials in headers, what each route asks for, the answers 401 and 403. Must not know: what a route does.
//!
//! A handler finds the tenant in `X-Scope-OrgID` as without tokens: this middleware has put it there, and nobody else's gets past it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::RwLock;
use schema::TenantId;
use schema::quote::quote;

use crate::config::{AccessConfig, Right, SecretHashes, Tenants, Token, parse_tokens_file};
use crate::error::TarnError;
use crate::roles::LINES;
use crate::serve::hec;
use crate::serve::router::text;
use crate::serve::state::App;
use crate::serve::tenant::{self, TENANT_HEADER, TenantRefusal};
use crate::serve::watched::{self, Watched};

const SETTING: &str = "auth.tokens_file";
const MISSING: &str = "this server asks for a token: send it as 'Authorization: Bearer <token>', or with basic authentication and the token's name as user";
const WRONG: &str = "wrong token";
/// Its clients can only send their key, in a header of their own.
const FIREHOSE: &str = "/aws/firehose";
const FIREHOSE_KEY: &str = "x-amz-firehose-access-key";

/// The tokens in force.
#[derive(Debug)]
pub(crate) struct Access {
    config: AccessConfig,
    /// Firehose has an access key of its own, which its route checks.
    firehose_has_key: bool,
    file: Option<Watched>,
    tokens: RwLock<Arc<[Token]>>,
}

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    /// Any token, no tenant.
    Anyone,
    /// Any token of the tenant.
    Member,
    Read,
    Write,
    /// Reading and writing: a delete hides rows, and says which there are.
    Delete,
    Admin,
}

/// What the middleware of one route knows.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    pub(crate) app: Arc<App>,
    /// The pattern.
    pub(crate) route: &'static str,
}

impl Access {
    /// Errors: the tokens file.
    pub(crate) fn open(config: &AccessConfig, firehose_has_key: bool) -> Result<Self, TarnError> {
        let (file, more) = match &config.tokens_file {
            None => (None, Vec::new()),
            Some(path) => {
                let (file, text) = Watched::open(path, SETTING)?;
                (Some(file), read(config, path, &text)?)
            }
        };
        let tokens = config.tokens.iter().cloned().chain(more).collect();
        Ok(Self { config: config.clone(), firehose_has_key, file, tokens: RwLock::new(tokens) })
    }

    /// Reads the tokens file anew if it has changed; one that is wrong changes nothing.
    pub(crate) async fn reload(&self) {
        let Some(file) = &self.file else { return };
        let Some(changed) = file.changed().await else { return };
        match changed.and_then(|text| read(&self.config, file.path(), &text)) {
            Ok(more) => {
                let tokens: Arc<[Token]> = self.config.tokens.iter().cloned().chain(more).collect();
                tracing::info!(path = %file.path().display(), tokens = tokens.len(), "tokens read anew");
                *self.tokens.write() = tokens;
            }
            Err(error) => watched::refused(file.path(), &error),
        }
    }

    /// Checks a request and leaves in its headers only the tenant that it is for.
    fn admit(&self, route: &str, method: &Method, headers: &mut HeaderMap) -> Result<(), TenantRefusal> {
        // Also without tokens: of two tenants, a proxy might have checked the other one.
        let sent = tenant::header_value(headers)?.to_owned();
        if !self.config.needs_token() {
            return Ok(());
        }
        let is_open = self.config.open.iter().any(|open| open == route) || (route == FIREHOSE && self.firehose_has_key);
        let need = if is_open { Need::Nothing } else { need(route, method) };
        if need == Need::Nothing {
            headers.remove(header::AUTHORIZATION);
            headers.remove(TENANT_HEADER);
            return Ok(());
        }
        let tokens = Arc::clone(&self.tokens.read());
        let token = find(&tokens, route, headers)?;
        for right in need.rights() {
            if !token.rights.contains(right) {
                return Err(forbidden(format!("the token {} is not for this: it has no {} access", quote(&token.name), right.as_str())));
            }
        }
        headers.remove(header::AUTHORIZATION);
        headers.remove(TENANT_HEADER);
        if let Some(tenant) = tenant_of(token, &sent, need)? {
            let value = HeaderValue::from_str(&tenant).map_err(|_| refusal(StatusCode::BAD_REQUEST, "X-Scope-OrgID is not a tenant ID"))?;
            headers.insert(TENANT_HEADER, value);
        }
        Ok(())
    }
}

fn read(config: &AccessConfig, path: &std::path::Path, text: &str) -> Result<Vec<Token>, TarnError> {
    let tokens = parse_tokens_file(path, text, &|name| std::env::var(name).ok())?;
    match tokens.iter().find(|token| config.tokens.iter().any(|own| own.name == token.name)) {
        Some(twice) => {
            Err(TarnError::TokensFile { path: path.to_owned(), problem: format!("the token {} stands in the configuration file too", quote(&twice.name)) })
        }
        None => Ok(tokens),
    }
}

impl Need {
    fn rights(self) -> &'static [Right] {
        match self {
            Self::Nothing | Self::Anyone | Self::Member => &[],
            Self::Read => &[Right::Read],
            Self::Write => &[Right::Write],
            Self::Delete => &[Right::Read, Right::Write],
            Self::Admin => &[Right::Admin],
        }
    }
}

/// What a route asks for, by its pattern. One that is not known here takes data: agents speak to it.
fn need(route: &str, method: &Method) -> Need {
    const READ: [&str; 4] = ["/loki/api/v1/", "/api/prom/", "/tarn/api/v1/", "/prometheus/"];
    let is_read = READ.iter().any(|prefix| route.starts_with(prefix));
    let is_question = matches!(*method, Method::GET | Method::HEAD);
    match route {
        // The fallback, which has nothing to give.
        "other" => Need::Nothing,
        _ if hec::is_health(route) => Need::Nothing,
        "/ready" | "/loki/api/v1/status/buildinfo" | "/loki/api/v1/format_query" => Need::Anyone,
        "/metrics" | "/config" | "/log_level" | "/services" => Need::Admin,
        "/config/tenant/v1/limits" | "/loki/api/v1/drilldown-limits" => Need::Member,
        "/loki/api/v1/push" | "/api/prom/push" | LINES => Need::Write,
        "/loki/api/v1/delete" if !is_question => Need::Delete,
        // The role reads escapes in a path, so that this may be a delete too.
        _ if is_read && route.contains("{*") && !is_question => Need::Delete,
        _ if is_read => Need::Read,
        _ => Need::Write,
    }
}

/// The token that a request has. All of them are looked at, whichever it is.
fn find<'t>(tokens: &'t [Token], route: &str, headers: &HeaderMap) -> Result<&'t Token, TenantRefusal> {
    let unauthorized = |message: &str| refusal(StatusCode::UNAUTHORIZED, message);
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let credential = match (values.next(), headers.get(FIREHOSE_KEY).filter(|_| route == FIREHOSE)) {
        (Some(value), _) => Credential::parse(value.as_bytes()).ok_or_else(|| unauthorized(MISSING))?,
        (None, Some(key)) => Credential { name: None, secret: key.as_bytes().to_vec() },
        (None, None) => return Err(unauthorized(MISSING)),
    };
    if values.next().is_some() {
        return Err(unauthorized("there are two Authorization headers"));
    }
    let hashes = SecretHashes::of(&credential.secret);
    let mut found = None;
    for token in tokens {
        let is_it = token.secret.is_of(&hashes);
        let is_named = credential.name.as_ref().is_none_or(|name| *name == token.name.as_bytes());
        if is_it & is_named {
            found = Some(token);
        }
    }
    found.ok_or_else(|| unauthorized(WRONG))
}

/// What stands in an `Authorization` header.
#[derive(Debug)]
struct Credential {
    name: Option<Vec<u8>>,
    secret: Vec<u8>,
}

impl Credential {
    /// `Bearer <secret>`, or `Splunk <secret>` from clients of its collector; `Basic <base64 of name:secret>`, and the same as `ApiKey` from clients of Elasticsearch.
    fn parse(value: &[u8]) -> Option<Self> {
        let value = std::str::from_utf8(value).ok()?.trim();
        let (scheme, rest) = value.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("splunk") {
            return Some(Self { name: None, secret: rest.as_bytes().to_vec() });
        }
        if scheme.eq_ignore_ascii_case("basic") || scheme.eq_ignore_ascii_case("apikey") {
            let pair = STANDARD.decode(rest).ok()?;
            let colon = pair.iter().position(|byte| *byte == b':')?;
            let (name, secret) = pair.split_at_checked(colon)?;
            return Some(Self { name: Some(name.to_vec()), secret: secret.get(1..)?.to_vec() });
        }
        None
    }
}

/// The tenant that a request with `token` is for: what it names, or the only one that there is. `None`: the route has none, or the header may be missing.
fn tenant_of(token: &Token, sent: &str, need: Need) -> Result<Option<String>, TenantRefusal> {
    if matches!(need, Need::Nothing | Need::Anyone | Need::Admin) {
        return Ok(None);
    }
    if sent.is_empty() {
        let Tenants::These(tenants) = &token.tenants else { return Ok(None) };
        let mut tenants = tenants.iter();
        return match (tenants.next(), tenants.next()) {
            (Some(only), None) => Ok(Some(only.as_str().to_owned())),
            (Some(_), Some(_)) => {
                let message = format!("the token {} is for several tenants: name one with X-Scope-OrgID", quote(&token.name));
                Err(refusal(StatusCode::BAD_REQUEST, &message))
            }
            (None, _) => Err(forbidden(format!("the token {} is for no tenant", quote(&token.name)))),
        };
    }
    for id in sent.split('|') {
        let tenant = TenantId::parse(id).map_err(|error| refusal(StatusCode::BAD_REQUEST, &error.to_string()))?;
        let allowed = match &token.tenants {
            Tenants::All => true,
            Tenants::These(tenants) => tenants.contains(&tenant),
        };
        if !allowed {
            return Err(forbidden(format!("the token {} is not for tenant {}", quote(&token.name), quote(tenant.as_str()))));
        }
    }
    Ok(Some(sent.to_owned()))
}

fn forbidden(message: String) -> TenantRefusal {
    TenantRefusal { status: StatusCode::FORBIDDEN, message }
}

fn refusal(status: StatusCode, message: &str) -> TenantRefusal {
    TenantRefusal { status, message: message.to_owned() }
}

/// Middleware of each route, inside of what counts it.
pub(crate) async fn guard(State(Guarded { app, route }): State<Guarded>, mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    match app.access.admit(route, &method, request.headers_mut()) {
        Ok(()) => next.run(request).await,
        Err(refusal) if hec::is_collector(route) => hec::refused(refusal.status, refusal.message != MISSING, &refusal.message),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: TenantRefusal) -> Response {
    let mut response = text(refusal.status, refusal.message + "\n");
    if refusal.status == StatusCode::UNAUTHORIZED {
        response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tarn\""));
        response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"tarn\", charset=\"UTF-8\""));
    }
    response
}

#[cfg(test)]
mod tests;
