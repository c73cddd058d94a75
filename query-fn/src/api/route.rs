//! Which path is which operation. Pure: no request is looked at beyond its path.

use http::Method;

use super::form::unescape;
use crate::QueryError;

/// An operation of the read API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    QueryRange,
    Query,
    Labels,
    LabelValues { name: String },
    Series,
    FormatQuery,
    IndexStats,
    Volume,
    VolumeRange,
    DetectedLabels,
    DetectedFields,
    DetectedFieldValues { name: String },
    Patterns,
    Delete,
    Explain,
    LegacyQuery,
    LegacyLabels,
    LegacyLabelValues { name: String },
}

impl Route {
    /// What it can be asked with.
    pub(super) const fn methods(&self) -> &'static [Method] {
        match self {
            Self::Delete => &[Method::GET, Method::POST, Method::PUT, Method::DELETE],
            _ => &[Method::GET, Method::POST],
        }
    }

    /// Whether answering it takes chunks of the tenant.
    pub(super) const fn reads_chunks(&self) -> bool {
        !matches!(self, Self::FormatQuery | Self::Delete)
    }
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Route(Route),
    /// The same path without doubled slashes.
    Moved {
        path: String,
    },
    Nothing,
}

const LOKI: &str = "/loki/api/v1/";
const LEGACY: &str = "/api/prom/";
const TARN: &str = "/tarn/api/v1/";

/// What `path`, as sent, leads to. A slash inside a label name is taken as it comes or as `%2F`.
/// Errors: a bad percent escape in a path of ours.
pub(super) fn find(path: &str) -> Result<Found, QueryError> {
    let ours = [LOKI, LEGACY, TARN].into_iter().find_map(|prefix| path.strip_prefix(prefix).map(|rest| (prefix, rest)));
    let Some((prefix, rest)) = ours else { return Ok(Found::Nothing) };
    if rest.contains("//") {
        let kept: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        return Ok(Found::Moved { path: format!("{prefix}{}", kept.join("/")) });
    }
    let rest = unescape(rest, false)?;
    let route = match prefix {
        LOKI => loki(&rest),
        LEGACY => legacy(&rest),
        _ => (rest == "explain").then_some(Route::Explain),
    };
    Ok(route.map_or(Found::Nothing, Found::Route))
}

fn loki(rest: &str) -> Option<Route> {
    match rest {
        "query_range" => Some(Route::QueryRange),
        "query" => Some(Route::Query),
        "labels" | "label" => Some(Route::Labels),
        "series" => Some(Route::Series),
        "format_query" => Some(Route::FormatQuery),
        "index/stats" => Some(Route::IndexStats),
        "index/volume" => Some(Route::Volume),
        "index/volume_range" => Some(Route::VolumeRange),
        "detected_labels" => Some(Route::DetectedLabels),
        "detected_fields" => Some(Route::DetectedFields),
        "patterns" => Some(Route::Patterns),
        "delete" => Some(Route::Delete),
        other => values_of(other, "label/")
            .map(|name| Route::LabelValues { name })
            .or_else(|| values_of(other, "detected_field/").map(|name| Route::DetectedFieldValues { name })),
    }
}

fn legacy(rest: &str) -> Option<Route> {
    match rest {
        "query" => Some(Route::LegacyQuery),
        "label" => Some(Route::LegacyLabels),
        "series" => Some(Route::Series),
        other => values_of(other, "label/").map(|name| Route::LegacyLabelValues { name }),
    }
}

fn values_of(rest: &str, before: &str) -> Option<String> {
    let name = rest.strip_prefix(before)?.strip_suffix("/values")?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_routes() {
        for (path, route) in [
            ("/loki/api/v1/query_range", Route::QueryRange),
            ("/loki/api/v1/label", Route::Labels),
            ("/loki/api/v1/label/app/values", Route::LabelValues { name: "app".to_owned() }),
            ("/loki/api/v1/label/a%2Fb/values", Route::LabelValues { name: "a/b".to_owned() }),
            ("/loki/api/v1/label/a/b/values", Route::LabelValues { name: "a/b".to_owned() }),
            ("/loki/api/v1/detected_field/x/values", Route::DetectedFieldValues { name: "x".to_owned() }),
            ("/loki/api/v1/patterns", Route::Patterns),
            ("/api/prom/label/app/values", Route::LegacyLabelValues { name: "app".to_owned() }),
            ("/loki/api/v1/delete", Route::Delete),
            ("/tarn/api/v1/explain", Route::Explain),
        ] {
            assert_eq!(find(path).unwrap(), Found::Route(route), "{path}");
        }
        for path in
            ["/", "/loki/api/v1/", "/loki/api/v1/nope", "/loki/api/v1/label/values", "/loki/api/v1/push", "/api/prom/labels", "/tarn/api/v1/x", "/ready"]
        {
            assert_eq!(find(path).unwrap(), Found::Nothing, "{path}");
        }
        assert_eq!(find("/loki/api/v1/label//values").unwrap(), Found::Moved { path: "/loki/api/v1/label/values".to_owned() });
        assert!(find("/loki/api/v1/label/%zz/values").is_err());
    }
}
