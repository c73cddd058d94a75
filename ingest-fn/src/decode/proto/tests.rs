//! Bodies come from prost, an encoder of its own; malformed ones are spelled byte by byte.

use proptest::prelude::*;
use prost::Message as _;
use schema::{IngestLimits, Timestamp};

use crate::PushError;
use crate::request::Decoded;
use crate::rows::RowWriter;
use crate::testkit::{Entry, Pair, Push, Stream, Time, decode_proto, entry, show, stream};

fn decode_raw(body: &[u8]) -> Result<Decoded, PushError> {
    let limits = IngestLimits { discover: false, ..IngestLimits::default() };
    let mut rows = RowWriter::new(&limits, Timestamp(0), None, body.len())?;
    super::decode(body, &mut rows)?;
    rows.finish()
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

fn one_entry(entry_fields: &[u8]) -> Vec<u8> {
    field(1, &[field(1, b"{a=\"b\"}"), field(2, entry_fields)].concat())
}

#[test]
fn rows_levels_and_services() {
    let decoded = decode_proto(vec![
        stream(r#"{app="x", env="p"}"#, vec![entry(5, "level=warn a", &[("trace.id", "t")]), entry(-1_500_000_000, "b", &[])]),
        stream(r#"{level="ERR"}"#, vec![entry(1_700_000_000_000_000_001, "", &[("detected_level", "INFO")]), entry(7, "c", &[])]),
    ])
    .unwrap();
    let expected = r#"{app="x", env="p", service_name="x"} 5 "level=warn a" {trace_id="t", detected_level="warn"}
{app="x", env="p", service_name="x"} -1500000000 "b" {detected_level="unknown"}
{level="ERR", service_name="unknown_service"} 1700000000000000001 "" {detected_level="info"}
{level="ERR", service_name="unknown_service"} 7 "c" {detected_level="error"}
"#;
    assert_eq!(show(&decoded.batch), expected);
    assert_eq!((decoded.lines, decoded.bytes, decoded.rejected.is_empty()), (4, 12 + 9 + 1 + 18 + 1, true));
}

#[test]
fn unknown_fields_are_skipped_and_labels_may_come_last() {
    let timestamp = field(1, &[8, 1]);
    let entry_fields =
        [&timestamp[..], &field(2, b"line"), &field(4, b"parsed"), &[9 << 3, 0x96, 0x01], &[10 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8], &[11 << 3 | 5, 1, 2, 3, 4]]
            .concat();
    let body = [field(1, &[field(2, &entry_fields), field(9, b"?"), field(1, b"{a=\"b\"}")].concat()), field(2, b"loki")].concat();
    assert_eq!(show(&decode_raw(&body).unwrap().batch), "{a=\"b\"} 1000000000 \"line\" {}\n");
}

#[test]
fn malformed_bodies_say_what_and_where() {
    let max_varint = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    for (body, problem) in [
        (vec![0x0a], "truncated varint at byte 1"),
        (vec![0x0a, 0x05, 0x00], "length past the end at byte 2"),
        ([&[0x0a][..], &max_varint, &[0x01]].concat(), "length past the end at byte 11"),
        ([&[0x0a][..], &max_varint, &[0x02]].concat(), "varint longer than 64 bits at byte 10"),
        ([&[0x10][..], &max_varint, &[0x80, 0x00]].concat(), "varint longer than 64 bits at byte 10"),
        (vec![0x08, 0x01], "wrong wire type, expected a length at byte 1"),
        (vec![0x02, 0x00], "field number 0 at byte 1"),
        (vec![0x13], "unsupported wire type at byte 1"),
        (vec![0x17], "unsupported wire type at byte 1"),
        ([&max_varint[..], &[0x01]].concat(), "field number too large at byte 10"),
        (one_entry(&field(2, b"x")), "an entry without a timestamp at byte 13"),
        (one_entry(&field(1, &[8, 1, 16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])), "timestamp nanos outside [0, 1e9) at byte 28"),
        (one_entry(&field(1, &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f])), "timestamp outside the years 1677 to 2262 at byte 22"),
        (one_entry(&field(1, &[10, 0])), "wrong wire type, expected a varint at byte 16"),
    ] {
        let error = decode_raw(&body).unwrap_err();
        assert_eq!((error.status().as_u16(), error.to_string()), (400, format!("malformed protobuf: {problem}")), "{body:x?}");
    }
}

#[test]
fn text_that_is_not_utf8() {
    let mut bad = entry(1, "", &[]);
    bad.line = b"caf\xe9".to_vec();
    let mut value = entry(2, "good", &[]);
    value.metadata.push(Pair { name: b"k".to_vec(), value: b"a\xffb".to_vec() });
    let decoded = decode_proto(vec![stream("{app=\"x\"}", vec![bad, value])]).unwrap();
    assert_eq!(decoded.rejected.text(), r#"entry for stream '{app="x", service_name="x"}' at 1 has a line that is not UTF-8"#);
    assert_eq!(show(&decoded.batch), "{app=\"x\", service_name=\"x\"} 2 \"good\" {k=\"a b\", detected_level=\"unknown\"}\n");

    let mut name = entry(1, "x", &[]);
    name.metadata.push(Pair { name: b"\xff".to_vec(), value: vec![] });
    assert_eq!(decode_proto(vec![stream("{app=\"x\"}", vec![name])]).unwrap_err().status(), 400);
    assert_eq!(decode_raw(&field(1, &field(1, b"{a=\"\xff\"}"))).unwrap_err().to_string(), "couldn't parse labels: the label text is not UTF-8");
}

/// An odd body must not be much larger in memory than on the wire.
#[test]
fn too_many_pairs_are_counted_and_not_kept() {
    let pairs = vec![Pair::default(); 1_000_000];
    let huge = Entry { timestamp: Some(Time { seconds: 1, nanos: 0 }), line: b"x".to_vec(), metadata: pairs };
    let decoded = decode_proto(vec![stream("{app=\"x\"}", vec![huge, entry(1, "ok", &[])])]).unwrap();
    assert_eq!(decoded.lines, 1);
    assert!(decoded.rejected.text().contains("has too many structured metadata labels: '1000000', limit: '128'"), "{}", decoded.rejected.text());
}

fn any_push() -> impl Strategy<Value = Push> {
    let pair = ("[a-z][a-z0-9]{0,6}", "\\PC{0,8}").prop_map(|(name, value)| Pair { name: name.into_bytes(), value: value.into_bytes() });
    let entry = (-9_000_000_000_i64..9_000_000_000, 0..1_000_000_000_i32, "\\PC{0,40}", prop::collection::btree_map("[a-z][a-z0-9]{0,6}", pair, 0..4))
        .prop_map(|(seconds, nanos, line, pairs)| Entry {
            timestamp: Some(Time { seconds, nanos }),
            line: line.into_bytes(),
            metadata: pairs.into_iter().map(|(name, pair)| Pair { name: name.into_bytes(), ..pair }).collect(),
        });
    let stream = ("[a-z]{1,5}", prop::collection::vec(entry, 0..5), any::<u64>()).prop_map(|(value, entries, hash)| Stream {
        labels: format!("{{app=\"{value}\"}}"),
        entries,
        hash,
    });
    prop::collection::vec(stream, 1..5).prop_map(|streams| Push { streams })
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(push in any_push()) {
        let decoded = decode_raw(&push.encode_to_vec()).unwrap();
        let mut expected = String::new();
        for stream in &push.streams {
            for entry in &stream.entries {
                let time = entry.timestamp.as_ref().unwrap();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let pairs: Vec<String> = entry.metadata.iter().map(|pair| format!("{}={:?}", text(&pair.name), text(&pair.value))).collect();
                let nanos = time.seconds * 1_000_000_000 + i64::from(time.nanos);
                expected.push_str(&format!("{} {nanos} {:?} {{{}}}\n", stream.labels, text(&entry.line), pairs.join(", ")));
            }
        }
        prop_assert_eq!(show(&decoded.batch), expected);
    }

    #[test]
    fn damage_never_panics(push in any_push(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = push.encode_to_vec();
        let at = at.index(body.len());
        let _ = decode_raw(&body[..at]);
        body[at] = byte;
        if let Ok(decoded) = decode_raw(&body) {
            prop_assert_eq!(decoded.batch.runs.iter().map(|run| run.rows.len()).sum::<usize>(), decoded.batch.len());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_raw(&body);
    }
}
