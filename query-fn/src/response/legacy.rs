//! The bodies of the older `/api/prom` routes.

use std::collections::BTreeSet;

use schema::Timestamp;

use super::json::{Escape, comma, write_bytes, write_string, write_string_array};
use super::query::{LabelEncoding, group, label_text};
use super::stats::write_stats;
use crate::engine::Direction;
use crate::result::{QueryStatistics, StreamResult};

/// `{"streams":[{"labels":"{a=\"b\"}","entries":[{"ts":"...","line":"..."}]}],"stats":{...}}`, ending with a newline.
pub(crate) fn write_streams(streams: &[StreamResult], statistics: &QueryStatistics, direction: Direction) -> Vec<u8> {
    let mut out = b"{".to_vec();
    write_stream_list(&mut out, streams, direction);
    out.extend_from_slice(br#","stats":"#);
    write_stats(&mut out, statistics);
    out.extend_from_slice(b"}\n");
    out
}

/// The member `streams`.
pub(super) fn write_stream_list(out: &mut Vec<u8>, streams: &[StreamResult], direction: Direction) {
    out.extend_from_slice(br#""streams":["#);
    for (i, stream) in group(streams, LabelEncoding::Merged, direction).into_values().enumerate() {
        comma(out, i);
        out.extend_from_slice(br#"{"labels":"#);
        write_string(out, &label_text(&stream.labels), Escape::Json);
        out.extend_from_slice(br#","entries":["#);
        for (j, (entry, _)) in stream.entries.into_iter().enumerate() {
            comma(out, j);
            out.extend_from_slice(br#"{"ts":"#);
            write_string(out, &rfc3339(Timestamp(entry.timestamp)), Escape::Json);
            out.extend_from_slice(br#","line":"#);
            write_bytes(out, &entry.line, Escape::Html);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
    out.push(b']');
}

/// `{"values":["a","b"]}`; the member is left out when there are none.
pub(crate) fn write_values(values: &BTreeSet<String>) -> Vec<u8> {
    if values.is_empty() {
        return b"{}\n".to_vec();
    }
    let mut out = br#"{"values":"#.to_vec();
    write_string_array(&mut out, values.iter().map(String::as_str));
    out.extend_from_slice(b"}\n");
    out
}

/// `2026-11-01T00:00:00.000000001Z`, decimals only as many as needed.
pub(super) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).map_or_else(|_| at.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{CategorizedLabels, Entry};

    #[test]
    fn streams_have_label_text_and_calendar_times() {
        let streams = [StreamResult {
            labels: CategorizedLabels {
                stream: vec![("app".to_owned(), "x".to_owned())],
                metadata: vec![("level".to_owned(), "info".to_owned())],
                parsed: Vec::new(),
            },
            entries: vec![
                Entry { timestamp: 1_793_491_200_000_000_001, line: b"<a>".to_vec() },
                Entry { timestamp: 1_793_491_200_500_000_000, line: b"b".to_vec() },
                Entry { timestamp: 1_793_491_201_000_000_000, line: b"c".to_vec() },
            ],
        }];
        let body = String::from_utf8(write_streams(&streams, &QueryStatistics::default(), Direction::Forward)).unwrap();
        let (streams, _) = body.split_once(r#","stats""#).unwrap();
        assert_eq!(
            streams,
            r#"{"streams":[{"labels":"{app=\"x\", level=\"info\"}","entries":[{"ts":"2026-11-01T00:00:00.000000001Z","line":"\u003ca\u003e"},{"ts":"2026-11-01T00:00:00.5Z","line":"b"},{"ts":"2026-11-01T00:00:01Z","line":"c"}]}]"#
        );
    }

    #[test]
    fn no_values_are_left_out() {
        assert_eq!(write_values(&BTreeSet::new()), b"{}\n");
        assert_eq!(write_values(&BTreeSet::from(["b".to_owned(), "a".to_owned()])), b"{\"values\":[\"a\",\"b\"]}\n");
    }
}
