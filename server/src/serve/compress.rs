//! Compresses answers of the read routes for clients that read gzip.
//! Owns: which answers, and on which thread. Must not know: what they say.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::roles::RoleAnswer;

/// Shorter bodies fit into one packet as they are.
const MIN_BYTES: usize = 1400;
/// Longer bodies keep a thread busy for so long that others should not wait for it.
const MAX_INLINE_BYTES: usize = 64 << 10;

/// Whether the client reads gzip.
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepts = |value: &HeaderValue| {
        let Ok(text) = value.to_str() else { return false };
        text.split(',').any(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = matches!(parameters.trim().replace(' ', "").trim_end_matches(['0', '.']), "q=");
            name.trim().eq_ignore_ascii_case("gzip") && !refused
        })
    };
    headers.get_all(header::ACCEPT_ENCODING).iter().any(accepts)
}

/// `answer`, compressed if it is a long one with status 200 and the client takes that. Errors never are: clients show their bodies as they come.
pub(super) async fn for_client(takes_gzip: bool, mut answer: RoleAnswer) -> RoleAnswer {
    if answer.status != StatusCode::OK || answer.body.len() < MIN_BYTES || answer.headers.contains_key(header::CONTENT_ENCODING) {
        return answer;
    }
    answer.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if !takes_gzip {
        return answer;
    }
    let body = answer.body.clone();
    let compressed = match body.len() {
        0..=MAX_INLINE_BYTES => gzip(&body),
        _ => tokio::task::spawn_blocking(move || gzip(&body)).await.ok().flatten(),
    };
    if let Some(compressed) = compressed {
        answer.body = compressed;
        answer.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: StatusCode, bytes: usize) -> RoleAnswer {
        RoleAnswer { status, headers: HeaderMap::new(), body: Bytes::from(vec![b'x'; bytes]) }
    }

    #[test]
    fn what_a_client_accepts() {
        let takes = |value: &'static str| takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]));
        assert!(takes("gzip") && takes("deflate, GZIP;q=0.5") && takes("br,gzip"));
        assert!(!takes("identity") && !takes("gzip;q=0") && !takes("gzip; q=0.0, br") && !takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn only_long_answers_without_an_error_are_compressed() {
        for (status, bytes, takes, is_compressed, varies) in [
            (StatusCode::OK, 1399, true, false, false),
            (StatusCode::OK, 1400, true, true, true),
            (StatusCode::OK, 1400, false, false, true),
            (StatusCode::OK, 100_000, true, true, true),
            (StatusCode::BAD_REQUEST, 100_000, true, false, false),
        ] {
            let sent = for_client(takes, answer(status, bytes)).await;
            assert_eq!(sent.headers.contains_key(header::CONTENT_ENCODING), is_compressed, "{status} {bytes} {takes}");
            assert_eq!(sent.headers.contains_key(header::VARY), varies, "{status} {bytes} {takes}");
            assert_eq!(sent.body.len() < bytes, is_compressed, "{status} {bytes} {takes}");
        }
    }
}
