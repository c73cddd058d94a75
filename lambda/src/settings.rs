//! The settings that only functions have: `TARN_LAMBDA_*`. Everything else is a setting of the server.
//! Owns: their names, defaults and errors. Must not know: what they do.

use std::path::PathBuf;

use ingest_fn::aws::Passed;
use schema::TenantId;
use server::{TarnError, parse_size};

/// Half of what a function has in /tmp without asking for more.
const CACHE_BYTES: usize = 256 << 20;
const CACHE_FOLDER: &str = "/tmp/tarn";

/// The variables, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `TARN_LAMBDA_TENANT`: whose the rows of events are that name no tenant.
    pub(crate) tenant: TenantId,
    /// `TARN_LAMBDA_RULES`: TOML, or where it is.
    pub(crate) rules: Option<String>,
    /// `TARN_LAMBDA_FIREHOSE`: what becomes of records that Firehose lends for a transformation, once they are stored.
    pub(crate) firehose: Passed,
    /// `TARN_LAMBDA_RESPONSE`: how answers are given.
    pub(crate) response: ResponseMode,
    /// `TARN_LAMBDA_PATH_PREFIX`: what front ends put before Tarn's paths; empty or `/prefix`.
    pub(crate) path_prefix: String,
    /// `TARN_LAMBDA_CACHE`: folder of the cache that outlives a process in the same environment; none if the variable is empty.
    pub(crate) cache: Option<PathBuf>,
    /// `TARN_LAMBDA_CACHE_BYTES`.
    pub(crate) cache_bytes: usize,
}

/// How answers to HTTP requests are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseMode {
    /// As one JSON document of at most 6 MB.
    Buffered,
    /// As a stream of up to 200 MB; the Function URL must have the invoke mode RESPONSE_STREAM.
    Stream,
}

impl Settings {
    /// Reads the environment.
    pub(crate) fn load() -> Result<Self, TarnError> {
        Self::resolve(&|name| std::env::var(name).ok())
    }

    fn resolve(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, TarnError> {
        let look = Lookup { env };
        Ok(Self {
            tenant: look.get("TARN_LAMBDA_TENANT", TenantId::default_tenant(), |text| TenantId::parse(text).ok(), "a tenant id")?,
            rules: env("TARN_LAMBDA_RULES").filter(|rules| !rules.trim().is_empty()),
            firehose: look.get("TARN_LAMBDA_FIREHOSE", Passed::On, parse_passed, "pass or drop")?,
            response: look.get("TARN_LAMBDA_RESPONSE", ResponseMode::Buffered, ResponseMode::parse, "buffered or stream")?,
            path_prefix: look.get("TARN_LAMBDA_PATH_PREFIX", String::new(), parse_prefix, "a path such as /logs")?,
            cache: match env("TARN_LAMBDA_CACHE") {
                None => Some(PathBuf::from(CACHE_FOLDER)),
                Some(folder) if folder.trim().is_empty() => None,
                Some(folder) => Some(PathBuf::from(folder)),
            },
            cache_bytes: look.get("TARN_LAMBDA_CACHE_BYTES", CACHE_BYTES, parse_size, "a size such as 256MB")?,
        })
    }
}

impl ResponseMode {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "buffered" => Some(Self::Buffered),
            "stream" => Some(Self::Stream),
            _ => None,
        }
    }
}

fn parse_passed(text: &str) -> Option<Passed> {
    match text {
        "pass" => Some(Passed::On),
        "drop" => Some(Passed::Dropped),
        _ => None,
    }
}

/// `logs`, `/logs` and `/logs/` are the same.
fn parse_prefix(text: &str) -> Option<String> {
    let path = text.trim_matches('/');
    let valid = !path.is_empty() && path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
    valid.then(|| format!("/{path}"))
}

struct Lookup<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Lookup<'_> {
    /// The variable, or `default` where it is not set or empty.
    fn get<T>(&self, name: &str, default: T, parse: impl Fn(&str) -> Option<T>, expected: &'static str) -> Result<T, TarnError> {
        match (self.env)(name).filter(|value| !value.trim().is_empty()) {
            None => Ok(default),
            Some(value) => parse(value.trim()).ok_or(TarnError::Setting { origin: name.to_owned(), value, expected }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(env: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::resolve(&|name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        let settings = resolve(&[]).unwrap();
        assert_eq!((settings.tenant.as_str(), settings.response, settings.path_prefix.as_str()), ("fake", ResponseMode::Buffered, ""));
        assert_eq!((settings.cache, settings.cache_bytes), (Some("/tmp/tarn".into()), 268_435_456));
    }

    #[test]
    fn what_is_set_holds() {
        let env = [("TARN_LAMBDA_TENANT", "team-a"), ("TARN_LAMBDA_RESPONSE", "stream"), ("TARN_LAMBDA_PATH_PREFIX", "logs/"), ("TARN_LAMBDA_CACHE", "")];
        let settings = resolve(&env).unwrap();
        assert_eq!((settings.tenant.as_str(), settings.response, settings.path_prefix.as_str()), ("team-a", ResponseMode::Stream, "/logs"));
        assert_eq!(settings.cache, None);
    }

    #[test]
    fn an_error_names_the_variable_and_what_would_be_right() {
        for (env, message) in [
            (("TARN_LAMBDA_RESPONSE", "streaming"), "TARN_LAMBDA_RESPONSE: 'streaming' is not buffered or stream"),
            (("TARN_LAMBDA_FIREHOSE", "keep"), "TARN_LAMBDA_FIREHOSE: 'keep' is not pass or drop"),
            (("TARN_LAMBDA_TENANT", "a/b"), "TARN_LAMBDA_TENANT: 'a/b' is not a tenant id"),
            (("TARN_LAMBDA_CACHE_BYTES", "lots"), "TARN_LAMBDA_CACHE_BYTES: 'lots' is not a size such as 256MB"),
        ] {
            assert_eq!(resolve(&[env]).unwrap_err(), message);
        }
    }
}
