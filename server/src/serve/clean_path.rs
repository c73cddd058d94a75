//! Redirects of unclean paths, as Go's routers do them: a client that joins URLs carelessly is sent to the clean path.

use http::{HeaderValue, Uri};

/// The `Location` for a path with `//`, `/./` or `/../` in it; `None` when the path is clean.
/// Source: gorilla/mux `cleanPath` (Go `path.Clean`, a trailing slash kept).
pub(crate) fn redirect(uri: &Uri) -> Option<HeaderValue> {
    let path = uri.path();
    let clean = clean(path);
    if clean == path {
        return None;
    }
    let location = uri.query().map_or_else(|| clean.clone(), |query| format!("{clean}?{query}"));
    HeaderValue::from_str(&location).ok()
}

fn clean(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    let trailing = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{trailing}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_like_gos_path_clean() {
        for (path, want) in [
            ("/", None),
            ("/ready", None),
            ("/a/", None),
            ("/a.b/..c", None),
            ("/loki/api/v1/label//values", Some("/loki/api/v1/label/values")),
            ("//a", Some("/a")),
            ("/a//", Some("/a/")),
            ("/a/./b", Some("/a/b")),
            ("/a/../../b", Some("/b")),
            ("/a/..", Some("/")),
            ("/a//b?x=//y", Some("/a/b?x=//y")),
        ] {
            let uri = Uri::builder().path_and_query(path).build().unwrap();
            assert_eq!(redirect(&uri).as_ref().map(|v| v.to_str().unwrap()), want, "{path}");
        }
    }
}
