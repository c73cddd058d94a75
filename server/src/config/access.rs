//! The section `[auth]`: who may come in, as whom, and what for.
//! Owns: the form of a token in a file, hashes of secrets. Must not know: HTTP.
//!
//! Only hashes of secrets are kept; the plain text of one that stands in the environment is hashed while it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use schema::TenantId;
use schema::quote::quote;
use serde::Deserialize;

use super::raw::{RawAuth, RawLabels};
use super::{Lookup, PATH, parse_path};
use crate::error::TarnError;

/// Routes that can be left open to everybody, and the one that is unless told otherwise.
const OPENABLE: [&str; 2] = ["/ready", "/metrics"];
const OPEN: &str = "a list of routes without a token, out of /ready and /metrics (in the environment: with commas between; none is \"-\")";

/// Who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessConfig {
    /// Routes that need no token.
    pub(crate) open: Vec<String>,
    /// Tokens of the configuration file.
    pub(crate) tokens: Vec<Token>,
    /// A file with more of them, read anew when it changes.
    pub(crate) tokens_file: Option<PathBuf>,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self { open: vec!["/ready".to_owned()], tokens: Vec::new(), tokens_file: None }
    }
}

impl AccessConfig {
    /// Whether requests need a token. A file without any lets nobody in.
    pub(crate) fn needs_token(&self) -> bool {
        !self.tokens.is_empty() || self.tokens_file.is_some()
    }
}

/// One credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// For messages, and the user name of basic authentication.
    pub(crate) name: String,
    pub(crate) secret: SecretHash,
    pub(crate) tenants: Tenants,
    pub(crate) rights: BTreeSet<Right>,
}

/// Whose data a token reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tenants {
    /// Everybody's: `["*"]`.
    All,
    These(BTreeSet<TenantId>),
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// Queries.
    Read,
    /// Pushes. Deletes need both.
    Write,
    /// Metrics, settings, the log level.
    Admin,
}

impl Right {
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// What a secret is known by.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretHash {
    Sha256(blake3::Hash),
    Blake3(blake3::Hash),
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl SecretHash {
    /// Whether it is the hash of `secret`. The time it takes depends on the secret's length only: `blake3::Hash` compares in constant time, whatever it is the hash of.
    pub(crate) fn is_of(&self, secret: &SecretHashes) -> bool {
        match self {
            Self::Sha256(hash) => *hash == secret.sha256,
            Self::Blake3(hash) => *hash == secret.blake3,
        }
    }

    /// `sha256:<hex>`, `blake3:<hex>`, or `env:NAME` for the plain text in an environment variable. The error does not repeat the text, which may be a secret.
    fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let hash = |hex: &str| blake3::Hash::from_hex(hex).map_err(|_| "its secret is not a hash of 64 hexadecimal digits".to_owned());
        match text.split_once(':') {
            Some(("sha256", hex)) => hash(hex).map(Self::Sha256),
            Some(("blake3", hex)) => hash(hex).map(Self::Blake3),
            Some(("env", name)) => match env(name).filter(|secret| !secret.is_empty()) {
                Some(secret) => Ok(Self::Blake3(blake3::hash(secret.as_bytes()))),
                None => Err(format!("the environment variable {} that its secret is in is not set, or empty", quote(name))),
            },
            _ => Err("its secret is neither sha256:<hex>, blake3:<hex> nor env:<name of a variable>; 'printf %s SECRET | sha256sum' makes a hash".to_owned()),
        }
    }
}

/// The hashes of a secret that a client sent.
#[derive(Debug)]
pub(crate) struct SecretHashes {
    sha256: blake3::Hash,
    blake3: blake3::Hash,
}

impl SecretHashes {
    pub(crate) fn of(secret: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, secret);
        let sha256 = <[u8; 32]>::try_from(digest.as_ref()).unwrap_or_default();
        Self { sha256: blake3::Hash::from_bytes(sha256), blake3: blake3::hash(secret) }
    }
}

/// A token as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawToken {
    name: Option<String>,
    secret: Option<RawSecret>,
    tenants: Option<RawLabels>,
    access: Option<RawLabels>,
}

/// Text that is never printed.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
struct RawSecret(String);

impl fmt::Debug for RawSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `auth.tokens_file`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTokensFile {
    tokens: Vec<RawToken>,
}

/// The tokens of a file's text. Errors name `path` and the token.
pub(crate) fn parse_tokens_file(path: &Path, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Token>, TarnError> {
    let wrong = |problem: String| TarnError::TokensFile { path: path.to_owned(), problem };
    // The message of a TOML error only: its excerpt could show a secret.
    let raw: RawTokensFile = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        wrong(format!("{}{}", line.map_or_else(String::new, |line| format!("line {line}: ")), error.message()))
    })?;
    tokens(&raw.tokens, env).map_err(wrong)
}

/// Tokens that can be told apart. The error names the one that is wrong.
pub(crate) fn tokens(raw: &[RawToken], env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Token>, String> {
    let mut names = BTreeMap::new();
    let mut all: Vec<Token> = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        let number = index + 1;
        let token = token(raw, env).map_err(|problem| match raw.name.as_deref() {
            Some(name) => format!("token {number}, {}: {problem}", quote(name)),
            None => format!("token {number}: {problem}"),
        })?;
        if let Some(first) = names.insert(token.name.clone(), number) {
            return Err(format!("tokens {first} and {number} have the same name {}", quote(&token.name)));
        }
        if let Some(other) = all.iter().find(|other| other.secret == token.secret) {
            return Err(format!("the tokens {} and {} have the same secret", quote(&other.name), quote(&token.name)));
        }
        all.push(token);
    }
    Ok(all)
}

fn token(raw: &RawToken, env: &dyn Fn(&str) -> Option<String>) -> Result<Token, String> {
    let name = raw.name.clone().filter(|name| !name.is_empty()).ok_or("it has no name, which messages and basic authentication know it by")?;
    if name.chars().any(|c| c == ':' || c.is_control()) {
        return Err("its name has a colon or a control character in it, which the user name of basic authentication cannot have".to_owned());
    }
    let secret = raw.secret.as_ref().ok_or("it has no secret, such as \"sha256:<hex>\"")?;
    let secret = SecretHash::parse(&secret.0, env)?;
    let access = raw.access.as_ref().ok_or("it has no access, such as [\"read\"], [\"write\"] or [\"admin\"]")?;
    let mut rights = BTreeSet::new();
    for word in list(access) {
        let right = Right::ALL.into_iter().find(|right| right.as_str() == word);
        rights.insert(right.ok_or_else(|| format!("its access {} is not read, write or admin", quote(&word)))?);
    }
    let tenants = match &raw.tenants {
        None if rights.iter().all(|right| *right == Right::Admin) => Tenants::These(BTreeSet::new()),
        None => return Err("it has no tenants, such as [\"team-a\"], or [\"*\"] for all".to_owned()),
        Some(names) => tenants(&list(names))?,
    };
    Ok(Token { name, secret, tenants, rights })
}

fn tenants(names: &[String]) -> Result<Tenants, String> {
    if names == ["*"] {
        return Ok(Tenants::All);
    }
    let mut tenants = BTreeSet::new();
    for name in names {
        tenants.insert(TenantId::parse(name).map_err(|error| format!("its tenants: {error}"))?);
    }
    match tenants.is_empty() {
        true => Err("its list of tenants is empty".to_owned()),
        false => Ok(Tenants::These(tenants)),
    }
}

fn list(raw: &RawLabels) -> Vec<String> {
    match raw {
        RawLabels::List(names) => names.clone(),
        RawLabels::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
    }
}

impl Lookup<'_> {
    pub(super) fn access(&self, raw: &RawAuth) -> Result<AccessConfig, TarnError> {
        let d = AccessConfig::default();
        let open = raw.open.as_ref().map(RawLabels::to_scalar);
        Ok(AccessConfig {
            open: self.get("auth.open", None, open.as_ref(), d.open, parse_open, OPEN)?,
            tokens: tokens(&raw.tokens, self.env).map_err(|problem| TarnError::Tokens { problem })?,
            tokens_file: self.get("auth.tokens_file", None, raw.tokens_file.as_ref(), d.tokens_file, parse_path, PATH)?,
        })
    }
}

fn parse_open(text: &str) -> Option<Vec<String>> {
    if text.is_empty() || text == "-" {
        return Some(Vec::new());
    }
    let routes: Vec<String> = text.split(',').map(|route| route.trim().to_owned()).collect();
    routes.iter().all(|route| OPENABLE.contains(&route.as_str())).then_some(routes)
}

/// As YAML values of one line each, without secrets.
pub(super) fn show_access(config: &AccessConfig) -> Vec<(&'static str, String)> {
    let texts = |texts: &[String]| format!("[{}]", texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(", "));
    let names: Vec<String> = config.tokens.iter().map(|token| token.name.clone()).collect();
    let file = config.tokens_file.as_ref().map_or_else(String::new, |path| path.display().to_string());
    vec![("open", texts(&config.open)), ("tokens_file", quote(&file)), ("tokens", texts(&names))]
}

#[cfg(test)]
mod tests;
