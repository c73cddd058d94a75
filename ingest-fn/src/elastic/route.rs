//! What a method and a path ask for. Pure. Must not know: bodies, answers.

use http::Method;

/// Where the API lies besides the root of the server.
pub const PREFIX: &str = "/elasticsearch";

/// A request, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `/_bulk`, `/{index}/_bulk`.
    Bulk { index: Option<&'a str> },
    /// `/{index}/_doc`, `/{index}/_create/{id}` and their kin.
    Document { index: &'a str, id: Option<&'a str> },
    /// Beats and Logstash report on themselves; nobody here wants to know.
    Monitoring,
    /// Anything else, as segments of the path.
    Question(Vec<&'a str>),
}

/// The route of `path`, with or without [`PREFIX`].
pub(super) fn of<'a>(method: &Method, path: &'a str) -> Route<'a> {
    let path = path.strip_prefix(PREFIX).filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path);
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let writes = *method == Method::POST || *method == Method::PUT;
    let posts = *method == Method::POST;
    match segments.as_slice() {
        ["_bulk"] if writes => Route::Bulk { index: None },
        ["_monitoring", "bulk"] | ["_xpack", "monitoring", "_bulk"] if writes => Route::Monitoring,
        [index, "_bulk"] if writes && is_index(index) => Route::Bulk { index: Some(index) },
        [index, "_doc"] if posts && is_index(index) => Route::Document { index, id: None },
        [index, "_doc", id] if writes && is_index(index) => Route::Document { index, id: Some(id) },
        [index, "_create", id] if writes && is_index(index) => Route::Document { index, id: Some(id) },
        _ => Route::Question(segments),
    }
}

/// Whether a segment can name an index, a data stream or an alias.
pub(super) fn is_index(segment: &str) -> bool {
    !segment.starts_with('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_and_without_the_prefix() {
        for prefix in ["", PREFIX] {
            let route = |method: Method, path: &str| format!("{:?}", of(&method, &format!("{prefix}{path}")));
            assert_eq!(route(Method::POST, "/_bulk"), "Bulk { index: None }");
            assert_eq!(route(Method::PUT, "/_bulk/"), "Bulk { index: None }");
            assert_eq!(route(Method::POST, "/logs-app/_bulk"), "Bulk { index: Some(\"logs-app\") }");
            assert_eq!(route(Method::POST, "/i/_doc"), "Document { index: \"i\", id: None }");
            assert_eq!(route(Method::PUT, "/i/_create/7"), "Document { index: \"i\", id: Some(\"7\") }");
            assert_eq!(route(Method::POST, "/_monitoring/bulk"), "Monitoring");
            assert_eq!(route(Method::GET, "/_bulk"), "Question([\"_bulk\"])");
            assert_eq!(route(Method::GET, "/"), "Question([])");
        }
        assert_eq!(of(&Method::GET, "/elasticsearchy"), Route::Question(vec!["elasticsearchy"]));
    }
}
