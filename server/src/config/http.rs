//! The section `[http]`: what clients may take of the server's time, memory and connections.
//! Owns: the defaults. Must not know: how they are kept.

use std::time::Duration;

use super::raw::{RawHttp, Scalar};
use super::show::duration;
use super::units::{parse_duration, parse_size};
use super::{Lookup, SIZE, parse_count};
use crate::error::TarnError;

const SOME_TIME: &str = "a duration above zero such as 500ms or 30s";
const SOME: &str = "a whole number above zero";

/// Limits on connections, and on what is held for them in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpConfig {
    /// Connections that may be open; beyond it the one that has been idle for longest is closed for a new one.
    pub(crate) max_connections: usize,
    /// From the first byte of a request's head to its last.
    pub(crate) head_timeout: Duration,
    /// How long a connection may have nothing to do: before its first request, and between two.
    pub(crate) idle_timeout: Duration,
    /// How long a whole request body may take.
    pub(crate) body_timeout: Duration,
    /// How long a request body may pause.
    pub(crate) body_stall_timeout: Duration,
    /// How long a client may leave an answer unread.
    pub(crate) write_timeout: Duration,
    /// Bytes of request bodies in memory, over all requests.
    pub(crate) max_body_memory: usize,
    /// Bytes of answers in memory that clients have not read, over all requests, before queries are refused.
    pub(crate) max_answer_memory: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            head_timeout: Duration::from_secs(15),
            // Longer than load balancers keep a connection that they may still use (60 s in AWS): else they use one that is being closed, and answer 502.
            idle_timeout: Duration::from_secs(120),
            body_timeout: Duration::from_secs(60),
            body_stall_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            max_body_memory: 256 << 20,
            max_answer_memory: 256 << 20,
        }
    }
}

impl Lookup<'_> {
    pub(super) fn http(&self, raw: &RawHttp) -> Result<HttpConfig, TarnError> {
        let d = HttpConfig::default();
        let time = |key: &str, raw: &Option<Scalar>, default| {
            self.get(key, None, raw.as_ref(), default, |text| parse_duration(text).filter(|time| !time.is_zero()), SOME_TIME)
        };
        let size = |key: &str, raw: &Option<Scalar>, default| self.get(key, None, raw.as_ref(), default, parse_size, SIZE);
        let count = |text: &str| parse_count(text).filter(|count| *count > 0);
        Ok(HttpConfig {
            max_connections: self.get("http.max_connections", None, raw.max_connections.as_ref(), d.max_connections, count, SOME)?,
            head_timeout: time("http.head_timeout", &raw.head_timeout, d.head_timeout)?,
            idle_timeout: time("http.idle_timeout", &raw.idle_timeout, d.idle_timeout)?,
            body_timeout: time("http.body_timeout", &raw.body_timeout, d.body_timeout)?,
            body_stall_timeout: time("http.body_stall_timeout", &raw.body_stall_timeout, d.body_stall_timeout)?,
            write_timeout: time("http.write_timeout", &raw.write_timeout, d.write_timeout)?,
            max_body_memory: size("http.max_body_memory", &raw.max_body_memory, d.max_body_memory)?,
            max_answer_memory: size("http.max_answer_memory", &raw.max_answer_memory, d.max_answer_memory)?,
        })
    }
}

/// As YAML values of one line each, under the names of the configuration file.
pub(super) fn show_http(config: &HttpConfig) -> Vec<(&'static str, String)> {
    vec![
        ("max_connections", config.max_connections.to_string()),
        ("head_timeout", duration(config.head_timeout)),
        ("idle_timeout", duration(config.idle_timeout)),
        ("body_timeout", duration(config.body_timeout)),
        ("body_stall_timeout", duration(config.body_stall_timeout)),
        ("write_timeout", duration(config.write_timeout)),
        ("max_body_memory", config.max_body_memory.to_string()),
        ("max_answer_memory", config.max_answer_memory.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::resolve;

    #[test]
    fn from_the_file_and_the_environment() {
        let config = resolve(&[], "[http]\nmax_connections = 7\nmax_body_memory = \"1MB\"\n", &[("TARN_HTTP_HEAD_TIMEOUT", "2s")]).unwrap();
        let section = "http:\n  max_connections: 7\n  head_timeout: 2s\n  idle_timeout: 2m\n  body_timeout: 1m\n  body_stall_timeout: 15s\n  write_timeout: 30s\n  max_body_memory: 1048576\n  max_answer_memory: 268435456\n";
        assert!(config.to_yaml().contains(section), "{}", config.to_yaml());
    }

    #[test]
    fn no_time_at_all_is_refused() {
        let error = resolve(&[], "[http]\nidle_timeout = 0\n", &[]).unwrap_err().to_string();
        assert_eq!(error, "http.idle_timeout in the configuration file: '0' is not a duration above zero such as 500ms or 30s");
        let error = resolve(&[], "", &[("TARN_HTTP_MAX_CONNECTIONS", "0")]).unwrap_err().to_string();
        assert_eq!(error, "TARN_HTTP_MAX_CONNECTIONS: '0' is not a whole number above zero");
    }
}
