//! Logs and the last words of a failed command, both on standard error. Standard output belongs to results.

use std::error::Error;
use std::fmt;
use std::io::Write as _;

use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Changes the filter of the running process.
pub struct LogControl {
    filter: Mutex<String>,
    reload: Box<dyn Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error> + Send + Sync>,
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogControl").field("filter", &self.filter()).finish_non_exhaustive()
    }
}

impl LogControl {
    /// The filter in force.
    pub(crate) fn filter(&self) -> String {
        self.filter.lock().clone()
    }

    /// Sets the filter; `false` when it cannot be read.
    pub(crate) fn set(&self, filter: &str) -> bool {
        let Ok(parsed) = EnvFilter::builder().parse(filter) else { return false };
        let set = (self.reload)(parsed).is_ok();
        if set {
            filter.clone_into(&mut self.filter.lock());
        }
        set
    }
}

/// Starts logging. The filter was checked when the configuration was read.
pub fn init(config: &LogConfig) -> LogControl {
    let filter = EnvFilter::builder().parse_lossy(&config.filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let reload: Box<dyn Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error> + Send + Sync> = match config.format {
        LogFormat::Text => {
            let builder = builder.with_ansi(colours_wanted()).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.init();
            Box::new(move |filter| handle.reload(filter))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.init();
            Box::new(move |filter| handle.reload(filter))
        }
    };
    LogControl { filter: Mutex::new(config.filter.clone()), reload }
}

/// Whether standard error is a terminal whose user has not set `NO_COLOR`.
fn colours_wanted() -> bool {
    use std::io::IsTerminal as _;
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stderr().is_terminal()
}

/// Prints `error` and what caused it, leaving out a cause that the text above it already tells.
pub fn report(error: &dyn Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    // Nobody is left to tell if standard error is gone.
    let _ = writeln!(std::io::stderr(), "tarn: {text}");
}

/// Tells the user something that is no result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
