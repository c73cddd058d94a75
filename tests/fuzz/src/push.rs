//! The push decoders: a body as sent, a protobuf message, a JSON document, a bulk request, events of Splunk's collector, OpenTelemetry's logs, lines.

use bytes::Bytes;
use ingest_fn::elastic::{ElasticSettings, decode_bulk};
use ingest_fn::hec::{HecRequest, decode_hec};
use ingest_fn::{LineOptions, PushFormat, PushRequest, decode_push};
use schema::{IngestLimits, TenantId, Timestamp};

/// The bytes are a protobuf message; they are wrapped as clients wrap it, so that the fuzzer does not have to learn snappy.
pub fn proto(data: &[u8]) {
    let Ok(body) = snap::raw::Encoder::new().compress_vec(data) else { return };
    check("application/x-protobuf", PushFormat::V1, Bytes::from(body));
}

/// The bytes are the body as sent.
pub fn snappy(data: &[u8]) {
    check("application/x-protobuf", PushFormat::V1, Bytes::copy_from_slice(data));
}

/// The bytes are a JSON body; the first one chooses which of the two forms.
pub fn json(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let format = if *first == b'L' { PushFormat::Legacy } else { PushFormat::V1 };
    check("application/json", format, Bytes::copy_from_slice(body));
}

/// The bytes are the body of a bulk request; the first one chooses tight limits. Every action has an item, every document is a row, a refusal or an error, and
/// a request cut after any of its documents stores what the whole one does.
pub fn bulk(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let mut limits = IngestLimits { max_decompressed_bytes: 1 << 20, ..IngestLimits::default() };
    if *first == b'T' {
        limits = IngestLimits { max_line_size: 64, max_label_names_per_series: 2, max_structured_metadata_entries_count: 4, ..limits };
    }
    let now = Timestamp(1_793_491_200_000_000_000);
    let settings = ElasticSettings::default();
    let decode = |body: &[u8]| decode_bulk(body, Some("i"), &settings, &limits, now);
    let bulk = match decode(body) {
        Ok(bulk) => bulk,
        Err(reason) => return assert!(!reason.is_empty()),
    };
    assert_eq!(decode(body).as_ref(), Ok(&bulk), "accepted once, accepted twice");
    let rows = bulk.decoded.batch.clone();
    assert_eq!(store::chunk::push_hash(&rows), store::chunk::push_hash(&bulk.decoded.batch));
    let refused = bulk.decoded.rejected.lines();
    let answer: serde_json::Value = serde_json::from_str(&bulk.answer(1)).expect("the answer is JSON");
    let items = answer.get("items").and_then(serde_json::Value::as_array).expect("an answer has items");
    let created = items
        .iter()
        .filter(|item| {
            item.as_object().and_then(|item| item.values().next()).is_some_and(|item| item.get("status").and_then(serde_json::Value::as_u64) == Some(201))
        })
        .count();
    assert_eq!((created, answer.get("errors").and_then(serde_json::Value::as_bool)), (rows.len(), Some(created < items.len())));
    assert!(refused <= (items.len() - created) as u64);
    // The lines of the first half, if that can stand alone.
    let ends: Vec<usize> = body.iter().enumerate().filter_map(|(at, byte)| (*byte == b'\n').then_some(at + 1)).collect();
    let Some((head, tail)) = ends.get(ends.len() / 2).and_then(|at| body.split_at_checked(*at)) else { return };
    if let (Ok(head), Ok(tail)) = (decode(head), decode(tail)) {
        assert_eq!(head.decoded.lines + tail.decoded.lines, rows.len() as u64, "the halves store what the whole does");
    }
}

/// The bytes are events; after an `R` raw lines whose parameters are in the first of them, after a `T` events with tight limits. Every event is a row or a refusal.
pub fn hec(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let mut limits = IngestLimits { max_decompressed_bytes: 1 << 20, ..IngestLimits::default() };
    if *first == b'T' {
        limits = IngestLimits { max_line_size: 64, max_label_value_length: 8, max_structured_metadata_entries_count: 2, ..limits };
    }
    let is_raw = *first == b'R';
    let (query, body) = match body.iter().position(|byte| *byte == b'\n') {
        Some(end) if is_raw => body.split_at(end),
        _ => (&b""[..], body),
    };
    let query = String::from_utf8_lossy(query).into_owned();
    let request = HecRequest { is_raw, query, content_encoding: None, body: Bytes::copy_from_slice(body), tenant: TenantId::default_tenant() };
    let now = Timestamp(1_793_491_200_000_000_000);
    let decoded = match decode_hec(&request, &limits, now) {
        Ok(decoded) => decoded,
        Err(reason) => return assert!(!reason.is_empty()),
    };
    assert_eq!(decode_hec(&request, &limits, now).as_ref(), Ok(&decoded), "accepted once, accepted twice");
    assert_eq!(store::chunk::push_hash(&decoded.batch), store::chunk::push_hash(&decoded.batch.clone()));
    // What serde reads as values one after the other; ours is more lenient.
    let events: Result<Vec<serde_json::Value>, _> = serde_json::Deserializer::from_slice(body).into_iter().collect();
    if let (false, Ok(events)) = (is_raw, events) {
        assert_eq!(decoded.lines + decoded.rejected.lines(), events.len() as u64);
    }
}

/// The first byte chooses: `J` is a body of JSON, an `L` lines whose parameters are in the first of them, a `Z` protobuf in LZ4, anything else protobuf.
pub fn otlp(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    match first {
        b'J' => check("application/json", PushFormat::Otlp, Bytes::copy_from_slice(body)),
        b'L' => {
            let end = body.iter().position(|byte| *byte == b'\n').unwrap_or(body.len());
            let (parameters, lines) = body.split_at(end);
            match LineOptions::parse(&String::from_utf8_lossy(parameters)) {
                Ok(options) => check("text/plain", PushFormat::Lines(options), Bytes::copy_from_slice(lines)),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        b'Z' => check_encoded("application/x-protobuf", Some("lz4"), PushFormat::Otlp, Bytes::copy_from_slice(body)),
        _ => check("application/x-protobuf", PushFormat::Otlp, Bytes::copy_from_slice(body)),
    }
}

fn check(content_type: &str, format: PushFormat, body: Bytes) {
    check_encoded(content_type, None, format, body);
}

/// What is accepted counts its lines right, can be hashed and is the same the second time.
fn check_encoded(content_type: &str, content_encoding: Option<&str>, format: PushFormat, body: Bytes) {
    let tenant = TenantId::default_tenant();
    let request = PushRequest { content_type: Some(content_type), content_encoding, backfill_shard: None, format, body, tenant };
    let limits = IngestLimits { max_decompressed_bytes: 1 << 20, ..IngestLimits::default() };
    let now = Timestamp(1_793_491_200_000_000_000);
    match decode_push(&request, &limits, now) {
        Ok(decoded) => {
            let again = decode_push(&request, &limits, now).expect("accepted once, accepted twice");
            assert_eq!(again, decoded);
            assert_eq!(store::chunk::push_hash(&again.batch), store::chunk::push_hash(&decoded.batch));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
