//! The connections that are open, and which of them is closed for another when there are too many.
//! Must not know: sockets, HTTP.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::progress::{Ended, Progress};
use crate::serve::state::App;

/// File descriptors that are left to the store and to everything else.
const RESERVED_FILES: usize = 256;

/// Open connections.
#[derive(Debug)]
pub(super) struct Registry {
    app: Arc<App>,
    max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, Arc<Progress>>,
    next: u64,
}

impl Registry {
    pub(super) fn new(app: Arc<App>) -> Arc<Self> {
        let wanted = app.config.http.max_connections;
        let max = allowed_files().map_or(wanted, |files| wanted.min(files.saturating_sub(RESERVED_FILES).max(1)));
        if max < wanted {
            tracing::warn!(
                connections = max,
                wanted,
                "the process may open too few files for http.max_connections: raise 'ulimit -n' (LimitNOFILE of systemd, --ulimit nofile of Docker)"
            );
        }
        Arc::new(Self { app, max, open: Mutex::default() })
    }

    /// Takes up a connection, if necessary for another that is idle. `None`: there are too many, and none is idle.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Registered> {
        let progress = Arc::new(Progress::new(&self.app.env, &self.app.config.http, &self.app.client_memory));
        let mut open = self.open.lock();
        if open.connections.len() >= self.max {
            let idle = open.connections.iter().filter_map(|(id, progress)| progress.idle_since().map(|since| (since, *id)));
            let Some((_, longest)) = idle.min() else {
                drop(open);
                self.ended(Ended::Refused);
                return None;
            };
            if let Some(evicted) = open.connections.remove(&longest) {
                evicted.evict();
            }
        }
        let id = open.next;
        open.next += 1;
        open.connections.insert(id, Arc::clone(&progress));
        drop(open);
        self.app.metrics.connections.fetch_add(1, Ordering::Relaxed);
        Some(Registered { registry: Arc::clone(self), id, progress })
    }

    pub(super) fn ended(&self, reason: Ended) {
        self.app.metrics.ended(reason);
    }
}

/// A connection that is open until this is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    registry: Arc<Registry>,
    id: u64,
    progress: Arc<Progress>,
}

impl Registered {
    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Counts that the server ends it.
    pub(super) fn ended(&self, reason: Ended) {
        self.registry.ended(reason);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.open.lock().connections.remove(&self.id);
        self.registry.app.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many files the process may have open; `None` where there is no procfs, or no bound.
fn allowed_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_files_is_known() {
        assert!(allowed_files().unwrap() >= 64);
    }
}
