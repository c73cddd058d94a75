//! The limits of each tenant: those of the configuration, and what `limits.overrides_file` says instead, which can change while the server runs.
//! Owns: which limits hold now. Must not know: what a limit does.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use schema::{IngestLimits, LimitsOf, QueryLimits, TenantId};

use crate::config::{Config, Overrides, parse_overrides};
use crate::error::TarnError;
use crate::serve::watched::{self, Watched};

const SETTING: &str = "limits.overrides_file";

/// Limits by tenant.
#[derive(Debug)]
pub(crate) struct TenantLimits {
    ingest: Arc<IngestLimits>,
    query: Arc<QueryLimits>,
    file: Option<Watched>,
    own: RwLock<Arc<Overrides>>,
}

impl TenantLimits {
    /// Errors: the file.
    pub(crate) fn open(config: &Config) -> Result<Self, TarnError> {
        let (ingest, query) = (Arc::new(config.ingest_limits.clone()), Arc::new(config.query_limits.clone()));
        let (file, own) = match &config.overrides_file {
            None => (None, HashMap::new()),
            Some(path) => {
                let (file, text) = Watched::open(path, SETTING)?;
                (Some(file), parse_overrides(path, &text, &ingest, &query)?)
            }
        };
        Ok(Self { ingest, query, file, own: RwLock::new(Arc::new(own)) })
    }

    /// Reads the file anew if it has changed; one that is wrong changes nothing.
    pub(crate) async fn reload(&self) {
        let Some(file) = &self.file else { return };
        let Some(changed) = file.changed().await else { return };
        let path: &Path = file.path();
        match changed.and_then(|text| parse_overrides(path, &text, &self.ingest, &self.query)) {
            Ok(own) => {
                tracing::info!(path = %path.display(), tenants = own.len(), "limits read anew");
                *self.own.write() = Arc::new(own);
            }
            Err(error) => watched::refused(path, &error),
        }
    }

    /// Both kinds of limits of `tenant`.
    pub(crate) fn of(&self, tenant: &TenantId) -> (Arc<IngestLimits>, Arc<QueryLimits>) {
        match self.own.read().get(tenant) {
            Some((ingest, query)) => (Arc::clone(ingest), Arc::clone(query)),
            None => (Arc::clone(&self.ingest), Arc::clone(&self.query)),
        }
    }
}

impl LimitsOf<IngestLimits> for TenantLimits {
    fn limits_of(&self, tenant: &TenantId) -> Arc<IngestLimits> {
        self.of(tenant).0
    }
}

impl LimitsOf<QueryLimits> for TenantLimits {
    fn limits_of(&self, tenant: &TenantId) -> Arc<QueryLimits> {
        self.of(tenant).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::resolve;

    #[tokio::test]
    async fn a_tenants_limits_change_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("overrides.toml");
        std::fs::write(&path, "[overrides.team-a]\nmax_line_size = \"1KB\"\nmax_query_series = 7\n").unwrap();
        let config = resolve(&[], "[limits]\nmax_query_series = 20\n", &[("TARN_LIMITS_OVERRIDES_FILE", path.to_str().unwrap())]).unwrap();
        let limits = TenantLimits::open(&config).unwrap();
        let (a, b) = (TenantId::parse("team-a").unwrap(), TenantId::parse("team-b").unwrap());
        let seen = |tenant: &TenantId| (limits.of(tenant).0.max_line_size, limits.of(tenant).1.max_query_series);
        assert_eq!((seen(&a), seen(&b)), ((1024, 7), (262_144, 20)));
        std::fs::write(&path, "[overrides.team-a]\nmax_line_sise = 1\n").unwrap();
        limits.reload().await;
        assert_eq!(seen(&a), (1024, 7), "a wrong file changes nothing");
        std::fs::write(&path, "[overrides.team-b]\nmax_line_size = 1\n").unwrap();
        limits.reload().await;
        assert_eq!((seen(&a), seen(&b)), ((262_144, 20), (1, 20)));
    }
}
