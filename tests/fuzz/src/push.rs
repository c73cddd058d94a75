//! The push decoders: a body as sent, a protobuf message, a JSON document.

use bytes::Bytes;
use ingest_fn::{PushFormat, PushRequest, decode_push};
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

/// What is accepted counts its lines right, can be hashed and is the same the second time.
fn check(content_type: &str, format: PushFormat, body: Bytes) {
    let tenant = TenantId::default_tenant();
    let request = PushRequest { content_type: Some(content_type), content_encoding: None, backfill_shard: None, format, body, tenant };
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
