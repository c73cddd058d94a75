//! A batch as Loki's push API takes it: protobuf in a snappy block, or JSON under gzip.

use std::io::Write as _;

use bytes::Bytes;
use prost::Message;
use schema::{LabelSet, Timestamp};

use crate::args::PushEncoding;
use crate::cli::client::PushBody;

/// `logproto.PushRequest`, the fields that a client sends.
#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<WireTimestamp>,
    #[prost(string, tag = "2")]
    line: String,
}

#[derive(Clone, PartialEq, Message)]
struct WireTimestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Encodes the entries of one stream.
pub(super) fn encode(encoding: PushEncoding, labels: &LabelSet, entries: &[(Timestamp, String)]) -> std::io::Result<PushBody> {
    match encoding {
        PushEncoding::Snappy => {
            let plain = protobuf(labels, entries).encode_to_vec();
            let body = snap::raw::Encoder::new().compress_vec(&plain).map_err(std::io::Error::other)?;
            Ok(PushBody { content_type: "application/x-protobuf", content_encoding: None, body: body.into() })
        }
        PushEncoding::Gzip => Ok(PushBody { content_type: "application/json", content_encoding: Some("gzip"), body: gzip(&json(labels, entries))? }),
    }
}

fn protobuf(labels: &LabelSet, entries: &[(Timestamp, String)]) -> PushRequest {
    let entries = entries
        .iter()
        .map(|(at, line)| {
            let nanos = i32::try_from(at.0.rem_euclid(schema::time::NANOS_PER_SECOND)).unwrap_or_default();
            let timestamp = WireTimestamp { seconds: at.0.div_euclid(schema::time::NANOS_PER_SECOND), nanos };
            Entry { timestamp: Some(timestamp), line: line.clone() }
        })
        .collect();
    PushRequest { streams: vec![Stream { labels: labels.to_string(), entries }] }
}

fn json(labels: &LabelSet, entries: &[(Timestamp, String)]) -> serde_json::Value {
    let stream: serde_json::Map<String, serde_json::Value> = labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let values: Vec<serde_json::Value> = entries.iter().map(|(at, line)| serde_json::json!([at.to_string(), line])).collect();
    serde_json::json!({"streams": [{"stream": stream, "values": values}]})
}

fn gzip(value: &serde_json::Value) -> std::io::Result<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    write!(encoder, "{value}")?;
    encoder.finish().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn both_encodings_carry_labels_times_and_lines() {
        let labels = LabelSet::parse(r#"{app="x"}"#).unwrap();
        let entries = [(Timestamp(1_700_000_000_000_000_001), "a \"b\"".to_owned()), (Timestamp(-1), "c".to_owned())];

        let push = encode(PushEncoding::Gzip, &labels, &entries).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*push.body).read_to_string(&mut text).unwrap();
        assert_eq!(text, r#"{"streams":[{"stream":{"app":"x"},"values":[["1700000000000000001","a \"b\""],["-1","c"]]}]}"#);
        assert_eq!((push.content_type, push.content_encoding), ("application/json", Some("gzip")));

        let push = encode(PushEncoding::Snappy, &labels, &entries).unwrap();
        let plain = snap::raw::Decoder::new().decompress_vec(&push.body).unwrap();
        // Written out by hand: stream 1 { labels 1 = {app="x"}, entries 2 { timestamp 1 { seconds 1, nanos 2 }, line 2 } ... }.
        let first = [&[0x0a, 8, 0x08, 0x80, 0xe2, 0xcf, 0xaa, 0x06, 0x10, 1][..], &[0x12, 5], b"a \"b\""].concat();
        let second =
            [&[0x0a, 17, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0x10, 0xff, 0x93, 0xeb, 0xdc, 3][..], &[0x12, 1], b"c"].concat();
        let stream =
            [&[0x0a, 9][..], br#"{app="x"}"#, &[0x12, u8::try_from(first.len()).unwrap()], &first, &[0x12, u8::try_from(second.len()).unwrap()], &second]
                .concat();
        assert_eq!(plain, [&[0x0a, u8::try_from(stream.len()).unwrap()][..], &stream].concat());
    }
}
