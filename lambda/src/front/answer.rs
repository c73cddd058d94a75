//! From an answer to the document, or stream, that the front end takes.
//! Owns: text or base64, how large an answer may be, compression of those that would not fit otherwise.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use lambda_runtime::MetadataPrelude;
use serde_json::{Map, Value, json};

use super::event::FrontEnd;
use super::{FullResponse, text};
use crate::runtime::{Reply, buffered, streamed};
use crate::settings::ResponseMode;

/// Most bytes of a buffered answer, the whole JSON document.
const MAX_BUFFERED: usize = 6 << 20;
/// Most bytes that a load balancer takes.
const MAX_LOAD_BALANCER: usize = 1 << 20;
/// Most bytes of a streamed answer.
const MAX_STREAMED: usize = 200 << 20;

/// `response` in the form that `front` wants.
pub(super) fn reply(front: &FrontEnd, response: FullResponse, takes_gzip: bool, mode: ResponseMode) -> Reply {
    let can_stream = matches!(front, FrontEnd::FunctionUrl | FrontEnd::RestApi);
    match mode {
        ResponseMode::Stream if can_stream => stream(response),
        ResponseMode::Stream | ResponseMode::Buffered => buffered(document(front, response, takes_gzip)),
    }
}

fn stream(response: FullResponse) -> Reply {
    let length = response.body().len();
    let response = if length > MAX_STREAMED { too_large("a streamed answer", length, MAX_STREAMED, "") } else { response };
    let (head, body) = response.into_parts();
    let (headers, cookies) = split_cookies(head.headers);
    streamed(MetadataPrelude { status_code: head.status, headers: joined(&headers), cookies }, body)
}

/// As [`as_document`]; if that is too large, compressed for a client that reads gzip; if that does not help, an error.
fn document(front: &FrontEnd, response: FullResponse, takes_gzip: bool) -> Value {
    let (limit, advice) = match front {
        FrontEnd::LoadBalancer { .. } => (MAX_LOAD_BALANCER, ", or call the function by a Function URL, which takes 6 MiB, or 200 MB as a stream"),
        _ => (MAX_BUFFERED, ", or set TARN_LAMBDA_RESPONSE=stream on a function whose Function URL has the invoke mode RESPONSE_STREAM"),
    };
    let length = response.body().len();
    let encoded = encode(&response);
    if fits(front, &response, &encoded, limit) {
        return as_document(front, &response, encoded);
    }
    if takes_gzip
        && !response.headers().contains_key(CONTENT_ENCODING)
        && let Some(compressed) = compress(&response)
    {
        let encoded = encode(&compressed);
        if fits(front, &compressed, &encoded, limit) {
            return as_document(front, &compressed, encoded);
        }
    }
    let refusal = too_large(&format!("a {}", front.name()), length, limit, advice);
    let encoded = encode(&refusal);
    as_document(front, &refusal, encoded)
}

/// A client that asks for less is answered, so the client is told; asking again would not help.
fn too_large(whose: &str, length: usize, limit: usize, advice: &str) -> FullResponse {
    let message = format!(
        "the answer has {length} bytes, which is more than the {limit} bytes that {whose} passes on (JSON and base64 included): lower 'limit', narrow the time range or the selector{advice}\n"
    );
    text(StatusCode::BAD_REQUEST, message)
}

/// A body as a JSON string.
struct Encoded {
    text: String,
    is_base64: bool,
}

fn encode(response: &FullResponse) -> Encoded {
    let body = response.body();
    let compressed = response.headers().contains_key(CONTENT_ENCODING);
    match std::str::from_utf8(body) {
        Ok(text) if !compressed => Encoded { text: text.to_owned(), is_base64: false },
        _ => Encoded { text: STANDARD.encode(body), is_base64: true },
    }
}

/// Whether the document is within `limit`.
fn fits(front: &FrontEnd, response: &FullResponse, encoded: &Encoded, limit: usize) -> bool {
    // JSON makes at most six bytes of one.
    const ROOM: usize = 64 << 10;
    if encoded.text.len().saturating_mul(6) < limit.saturating_sub(ROOM) {
        return true;
    }
    let frame = as_document(front, response, Encoded { text: String::new(), is_base64: encoded.is_base64 }).to_string().len();
    frame.saturating_add(json_length(&encoded.text)) <= limit
}

/// How many bytes JSON needs for what stands between the quotes.
fn json_length(text: &str) -> usize {
    let bytes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..=0x1f => 6,
        _ => 1,
    });
    bytes.sum()
}

fn compress(response: &FullResponse) -> Option<FullResponse> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(response.body().len() / 4), Compression::fast());
    encoder.write_all(response.body()).ok()?;
    let mut compressed = response.clone().map(|_| Bytes::new());
    *compressed.body_mut() = Bytes::from(encoder.finish().ok()?);
    compressed.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    compressed.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    Some(compressed)
}

fn as_document(front: &FrontEnd, response: &FullResponse, encoded: Encoded) -> Value {
    let status = response.status();
    let mut document = Map::new();
    document.insert("statusCode".to_owned(), json!(status.as_u16()));
    match front {
        FrontEnd::FunctionUrl | FrontEnd::HttpApi => {
            let (headers, cookies) = split_cookies(response.headers().clone());
            document.insert("headers".to_owned(), single(&headers));
            if !cookies.is_empty() {
                document.insert("cookies".to_owned(), json!(cookies));
            }
        }
        // Where a name is in both maps, API Gateway answers its values once.
        FrontEnd::RestApi => {
            document.insert("headers".to_owned(), single(response.headers()));
            document.insert("multiValueHeaders".to_owned(), multi(response.headers()));
        }
        FrontEnd::LoadBalancer { multi_value } => {
            document.insert("statusDescription".to_owned(), json!(format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Unknown"))));
            let (name, headers) = if *multi_value { ("multiValueHeaders", multi(response.headers())) } else { ("headers", single(response.headers())) };
            document.insert(name.to_owned(), headers);
        }
    }
    document.insert("isBase64Encoded".to_owned(), json!(encoded.is_base64));
    document.insert("body".to_owned(), Value::String(encoded.text));
    Value::Object(document)
}

/// The front end counts for itself.
fn names(headers: &HeaderMap) -> impl Iterator<Item = &http::HeaderName> {
    headers.keys().filter(|name| **name != CONTENT_LENGTH)
}

fn values(headers: &HeaderMap, name: &http::HeaderName) -> Vec<String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

fn single(headers: &HeaderMap) -> Value {
    names(headers).map(|name| (name.as_str().to_owned(), Value::String(values(headers, name).join(", ")))).collect::<Map<_, _>>().into()
}

fn multi(headers: &HeaderMap) -> Value {
    names(headers).map(|name| (name.as_str().to_owned(), json!(values(headers, name)))).collect::<Map<_, _>>().into()
}

/// One value a name: a stream's prelude has no place for more.
fn joined(headers: &HeaderMap) -> HeaderMap {
    let joined = names(headers).filter_map(|name| Some((name.clone(), HeaderValue::from_str(&values(headers, name).join(", ")).ok()?)));
    joined.collect()
}

fn split_cookies(mut headers: HeaderMap) -> (HeaderMap, Vec<String>) {
    let cookies = values(&headers, &SET_COOKIE);
    headers.remove(SET_COOKIE);
    (headers, cookies)
}

#[cfg(test)]
mod tests;
