//! The frames of a tail, in today's form and in that of the older `/api/prom` route.

use super::json::{Escape, comma, write_string, write_string_map};
use super::legacy;
use super::query::{LabelEncoding, label_text, write_streams};
use crate::engine::Direction;
use crate::result::{CategorizedLabels, StreamResult};

/// `{"streams":[{"stream":{},"values":[["ns","line"]]}]}`; with the flag also `encodingFlags`, with dropped lines also `dropped_entries`.
pub(crate) fn write_frame(streams: &[StreamResult], dropped: &[(i64, &CategorizedLabels)], encoding: LabelEncoding) -> Vec<u8> {
    let mut out = br#"{"streams":"#.to_vec();
    write_streams(&mut out, streams, encoding, Direction::Forward);
    for (i, (timestamp, labels)) in dropped.iter().enumerate() {
        out.extend_from_slice(if i == 0 { br#","dropped_entries":["# } else { b"," });
        out.extend_from_slice(br#"{"timestamp":"#);
        write_string(&mut out, &timestamp.to_string(), Escape::Json);
        out.extend_from_slice(br#","labels":"#);
        write_string_map(&mut out, labels.merged());
        out.push(b'}');
    }
    if !dropped.is_empty() {
        out.push(b']');
    }
    if encoding == LabelEncoding::Categorized {
        out.extend_from_slice(br#","encodingFlags":["categorize-labels"]"#);
    }
    out.push(b'}');
    out
}

/// `{"streams":[{"labels":"{a=\"b\"}","entries":[{"ts":"...","line":"..."}]}]}`; with dropped lines also `dropped_entries`.
pub(crate) fn write_legacy_frame(streams: &[StreamResult], dropped: &[(i64, &CategorizedLabels)]) -> Vec<u8> {
    let mut out = b"{".to_vec();
    legacy::write_stream_list(&mut out, streams, Direction::Forward);
    if !dropped.is_empty() {
        out.extend_from_slice(br#","dropped_entries":["#);
        for (i, (timestamp, labels)) in dropped.iter().enumerate() {
            comma(&mut out, i);
            out.extend_from_slice(br#"{"timestamp":"#);
            write_string(&mut out, &legacy::rfc3339(schema::Timestamp(*timestamp)), Escape::Json);
            out.extend_from_slice(br#","labels":"#);
            write_string(&mut out, &label_text(&labels.merged()), Escape::Json);
            out.push(b'}');
        }
        out.push(b']');
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Entry;

    fn stream() -> StreamResult {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let labels = CategorizedLabels { stream: pair("app", "x"), metadata: pair("trace", "t1"), parsed: pair("level", "warn") };
        StreamResult { labels, entries: vec![Entry { timestamp: 7, line: b"<a>".to_vec() }] }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    /// The shapes are those of spec/http-api.md section 5.
    #[test]
    fn frames_are_as_loki_writes_them() {
        let merged = text(write_frame(&[stream()], &[], LabelEncoding::Merged));
        assert_eq!(merged, r#"{"streams":[{"stream":{"app":"x","level":"warn","trace":"t1"},"values":[["7","\u003ca\u003e"]]}]}"#);
        let categorized = text(write_frame(&[stream()], &[], LabelEncoding::Categorized));
        assert_eq!(
            categorized,
            r#"{"streams":[{"stream":{"app":"x"},"values":[["7","\u003ca\u003e",{"structuredMetadata":{"trace":"t1"},"parsed":{"level":"warn"}}]]}],"encodingFlags":["categorize-labels"]}"#
        );
    }

    #[test]
    fn dropped_lines_are_named() {
        let labels = stream().labels;
        let frame = text(write_frame(&[], &[(7, &labels), (8, &labels)], LabelEncoding::Merged));
        let named = r#"{"timestamp":"7","labels":{"app":"x","level":"warn","trace":"t1"}},{"timestamp":"8","labels":{"app":"x","level":"warn","trace":"t1"}}"#;
        assert_eq!(frame, format!(r#"{{"streams":[],"dropped_entries":[{named}]}}"#));
    }

    #[test]
    fn the_older_route_has_the_older_form() {
        let frame = text(write_legacy_frame(&[stream()], &[]));
        let labels = r#"{app=\"x\", level=\"warn\", trace=\"t1\"}"#;
        assert_eq!(frame, format!(r#"{{"streams":[{{"labels":"{labels}","entries":[{{"ts":"1970-01-01T00:00:00.000000007Z","line":"\u003ca\u003e"}}]}}]}}"#));
    }
}
