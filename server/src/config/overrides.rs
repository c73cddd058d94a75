//! `limits.overrides_file`: what single tenants may do instead of `[limits]`, under the same names.
//! Owns: its form. Must not know: when it is read.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use schema::quote::quote;
use schema::{IngestLimits, QueryLimits, TenantId};
use serde::Deserialize;

use super::Lookup;
use super::raw::RawLimits;
use crate::error::TarnError;

/// The limits of tenants that have some of their own.
pub(crate) type Overrides = HashMap<TenantId, (Arc<IngestLimits>, Arc<QueryLimits>)>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawOverrides {
    overrides: BTreeMap<String, RawLimits>,
}

/// Reads the file's text; what a tenant does not set is as in `ingest` and `query`. Errors name `path`, the tenant and the limit.
pub(crate) fn parse_overrides(path: &Path, text: &str, ingest: &IngestLimits, query: &QueryLimits) -> Result<Overrides, TarnError> {
    let wrong = |problem: String| TarnError::Overrides { path: path.to_owned(), problem };
    let raw: RawOverrides = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    // The environment sets what holds for all.
    let look = Lookup { env: &|_| None };
    let mut overrides = HashMap::with_capacity(raw.overrides.len());
    for (name, raw) in &raw.overrides {
        let of_tenant = |problem: String| wrong(format!("tenant {}: {problem}", quote(name)));
        let tenant = TenantId::parse(name).map_err(|error| of_tenant(error.to_string()))?;
        if raw.overrides_file.is_some() {
            return Err(of_tenant("overrides_file is no limit".to_owned()));
        }
        let setting = |error: TarnError| match error {
            TarnError::Setting { origin, value, expected } => {
                let key = origin.strip_prefix("limits.").and_then(|rest| rest.split(' ').next()).unwrap_or(&origin);
                of_tenant(format!("{key}: '{value}' is not {expected}"))
            }
            other => other,
        };
        let limits = (look.ingest_limits(raw, ingest.clone()).map_err(setting)?, look.query_limits(raw, query.clone()).map_err(setting)?);
        overrides.insert(tenant, (Arc::new(limits.0), Arc::new(limits.1)));
    }
    Ok(overrides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Overrides, String> {
        parse_overrides(Path::new("/etc/overrides.toml"), text, &IngestLimits::default(), &QueryLimits::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_tenant_does_not_set_is_as_for_all() {
        let overrides = parse("[overrides.\"a.b\"]\nmax_line_size = \"1KB\"\ningestion_rate_mb = 1.5\ningestion_burst_size_mb = 2\n").unwrap();
        let (ingest, query) = &overrides[&TenantId::parse("a.b").unwrap()];
        assert_eq!((ingest.ingestion_rate.map(std::num::NonZeroU64::get), ingest.ingestion_burst), (Some(1_572_864), 2_097_152));
        assert_eq!((ingest.max_line_size, ingest.max_label_names_per_series, &**query), (1024, 15, &QueryLimits::default()));
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn a_wrong_file_names_tenant_and_limit() {
        for (text, expected) in [
            ("[overrides.a]\nmax_line_size = \"big\"\n", "tenant \"a\": max_line_size: 'big' is not a size"),
            ("[overrides.a]\nmax_line_sise = 1\n", "max_line_sise"),
            ("[overrides.\"../b\"]\nmax_line_size = 1\n", "tenant \"../b\": tenant ID '../b' contains unsupported character '/'"),
            ("[overrides.a]\ningestion_rate_mb = -1\n", "tenant \"a\": ingestion_rate_mb: '-1' is not a number of megabytes"),
            ("[overrides.a]\noverrides_file = \"x\"\n", "overrides_file is no limit"),
            ("[override.a]\n", "unknown field `override`"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains("/etc/overrides.toml") && message.contains(expected), "{text}: {message}");
        }
    }
}
