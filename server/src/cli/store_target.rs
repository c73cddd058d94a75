//! What the commands share that work on a store without a server: opening it, colours, a sign of life on a terminal.
//! Must not know: what is done with the store.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use schema::TenantId;
use schema::key::FORMAT_KEY;
use serde::Serialize;
use store::{Env, ObjectClient};

use super::output::RESET;
use crate::args::StoreArgs;
use crate::config::Config;
use crate::error::TarnError;
use crate::roles::store_error;

/// A store that exists, and whose objects of it are meant.
#[derive(Debug)]
pub(super) struct StoreTarget {
    pub(super) client: ObjectClient,
    pub(super) env: Env,
    pub(super) config: Config,
    /// `None`: all tenants.
    pub(super) tenant: Option<TenantId>,
    /// For messages, without secrets.
    pub(super) name: String,
}

impl StoreTarget {
    /// Opens what the flags name. Creates nothing: a store that is not there is an error.
    pub(super) async fn open(args: &StoreArgs) -> Result<Self, TarnError> {
        let env = Env::system();
        let config = Config::for_store(args)?;
        let bad_tenant = |id: &str, error| TarnError::Argument { flag: "--tenant", value: id.to_owned(), expected: format!("a tenant id ({error})") };
        let tenant = args.tenant.as_deref().map(|id| TenantId::parse(id).map_err(|error| bad_tenant(id, error))).transpose()?;
        let name = config.redacted_store();
        let client = ObjectClient::open(&config.store, &env).map_err(|source| store_error(&name, source))?;
        if client.head(FORMAT_KEY).await.map_err(|source| store_error(&name, source))?.is_none() {
            return Err(TarnError::NoStore { store: name });
        }
        client.ensure_format().await.map_err(|source| store_error(&name, source))?;
        Ok(Self { client, env, config, tenant, name })
    }

    /// An error of the store, with its name.
    pub(super) fn failed(&self, source: store::StoreError) -> TarnError {
        store_error(&self.name, source)
    }
}

/// Shows on a terminal that something happens; elsewhere nothing.
pub(super) fn spinner(text: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style).with_message(text.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Colours for standard output, where a terminal wants them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    pub(super) fn stdout() -> Self {
        Self { on: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) }
    }

    pub(super) fn paint(self, colour: &str, text: &str) -> String {
        if self.on { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }
}

/// Prints a result.
pub(super) fn print(text: &str) -> Result<(), TarnError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(TarnError::io("write to standard output"))
}

/// Prints a result as JSON.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), TarnError> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::other).map_err(TarnError::io("write JSON"))?;
    print(&(text + "\n"))
}

/// `1 object`, `1,234 objects`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { one } else { many })
}
