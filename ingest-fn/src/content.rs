//! What a body is, by its headers, and its decompression within limits.
//! Rules: media type `application/json` is JSON, every other one is a snappy block of protobuf; an encoding lies around that.
//! Must not know: what the decompressed bytes mean.

use std::borrow::Cow;

use schema::IngestLimits;

use crate::decode::inflate::{self, Encoding};
use crate::decode::snappy;
use crate::error::{BodyPart, PushError};
use crate::reject::shorten;

/// How to read a decompressed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    Protobuf,
    Json,
}

/// The format of `body` by its headers, and the body with every compression removed.
pub(crate) fn read_body<'a>(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &'a [u8],
    limits: &IngestLimits,
) -> Result<(BodyFormat, Cow<'a, [u8]>), PushError> {
    let format = body_format(content_type)?;
    if body.len() > limits.max_body_bytes {
        return Err(PushError::TooLarge { part: BodyPart::Compressed, limit: limits.max_body_bytes });
    }
    let encoding = content_encoding.unwrap_or("").trim();
    let decoded = match Encoding::of(encoding) {
        Some(kind) => Cow::Owned(inflate::decompress(kind, body, limits.max_decompressed_bytes)?),
        None if encoding.is_empty() || encoding.eq_ignore_ascii_case("snappy") => Cow::Borrowed(body),
        None => return Err(PushError::UnsupportedEncoding { encoding: encoding.to_owned() }),
    };
    let plain = match format {
        BodyFormat::Protobuf => Cow::Owned(snappy::decompress(&decoded, limits.max_decompressed_bytes)?),
        // Loki takes JSON that is only labelled snappy; some clients send it really compressed.
        BodyFormat::Json if encoding.eq_ignore_ascii_case("snappy") && !looks_like_json(&decoded) => {
            Cow::Owned(snappy::decompress(&decoded, limits.max_decompressed_bytes)?)
        }
        BodyFormat::Json => decoded,
    };
    Ok((format, plain))
}

/// How an OTLP request is written, by its headers, and the body with every compression removed.
pub(crate) fn read_otlp_body<'a>(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &'a [u8],
    limits: &IngestLimits,
) -> Result<(BodyFormat, Cow<'a, [u8]>), PushError> {
    let format = otlp_format(content_type).ok_or_else(|| PushError::UnsupportedType { content_type: shorten(content_type.unwrap_or("")) })?;
    let encoding = content_encoding.unwrap_or("").trim();
    let supported = "gzip, deflate, zlib, zstd, lz4, snappy and x-snappy-framed";
    let refusal = || PushError::UnsupportedOtlpEncoding { encoding: shorten(encoding), supported };
    Ok((format, read_encoded(encoding, body, limits)?.ok_or_else(refusal)?))
}

/// A body that may be labelled as anything, with every compression removed.
pub(crate) fn read_plain_body<'a>(content_encoding: Option<&str>, body: &'a [u8], limits: &IngestLimits) -> Result<Cow<'a, [u8]>, PushError> {
    let encoding = content_encoding.unwrap_or("").trim();
    read_encoded(encoding, body, limits)?.ok_or_else(|| PushError::UnsupportedEncoding { encoding: shorten(encoding) })
}

/// `application/x-protobuf` or `application/json`; `None` for anything else.
pub(crate) fn otlp_format(content_type: Option<&str>) -> Option<BodyFormat> {
    match &*media_type(content_type.unwrap_or(""))? {
        "application/x-protobuf" => Some(BodyFormat::Protobuf),
        "application/json" => Some(BodyFormat::Json),
        _ => None,
    }
}

/// `body` without the compression named `encoding`; `None` if there is no such one. Here snappy is like the others, a block or, from older
/// collectors, frames.
fn read_encoded<'a>(encoding: &str, body: &'a [u8], limits: &IngestLimits) -> Result<Option<Cow<'a, [u8]>>, PushError> {
    const FRAMES: &[u8] = b"\xff\x06\x00\x00sNaPpY";
    if body.len() > limits.max_body_bytes {
        return Err(PushError::TooLarge { part: BodyPart::Compressed, limit: limits.max_body_bytes });
    }
    let limit = limits.max_decompressed_bytes;
    Ok(match Encoding::of(encoding) {
        Some(kind) => Some(Cow::Owned(inflate::decompress(kind, body, limit)?)),
        None if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") || encoding.eq_ignore_ascii_case("none") => Some(Cow::Borrowed(body)),
        None if encoding.eq_ignore_ascii_case("snappy") && body.starts_with(FRAMES) => {
            Some(Cow::Owned(inflate::decompress(Encoding::SnappyFramed, body, limit)?))
        }
        None if encoding.eq_ignore_ascii_case("snappy") => Some(Cow::Owned(snappy::decompress(body, limit)?)),
        None => None,
    })
}

/// An upper guess of the decompressed size from the first bytes, for admission before any work is done.
pub(crate) fn estimate_decoded_bytes(content_type: Option<&str>, content_encoding: Option<&str>, body: &[u8], limits: &IngestLimits) -> usize {
    const GUESSED_RATIO: usize = 10;
    let encoded = content_encoding.is_some_and(|encoding| Encoding::of(encoding.trim()).is_some());
    let guess = match body_format(content_type) {
        _ if encoded => body.len().saturating_mul(GUESSED_RATIO),
        Ok(BodyFormat::Protobuf) => snappy::declared_bytes(body).unwrap_or(0),
        _ => body.len(),
    };
    guess.min(limits.max_decompressed_bytes).max(body.len())
}

/// As [`estimate_decoded_bytes`], for the formats whose bodies are what they say: snappy is an encoding, and nothing else is taken for it.
pub(crate) fn estimate_encoded_bytes(content_encoding: Option<&str>, body: &[u8], limits: &IngestLimits) -> usize {
    let is_snappy = content_encoding.is_some_and(|encoding| encoding.trim().eq_ignore_ascii_case("snappy"));
    estimate_decoded_bytes(Some(if is_snappy { "application/x-protobuf" } else { "application/json" }), content_encoding, body, limits)
}

fn looks_like_json(body: &[u8]) -> bool {
    body.iter().find(|b| !b.is_ascii_whitespace()).is_some_and(|b| *b == b'{')
}

fn body_format(content_type: Option<&str>) -> Result<BodyFormat, PushError> {
    let media_type = media_type(content_type.unwrap_or("")).ok_or(PushError::NoMediaType)?;
    Ok(if media_type == "application/json" { BodyFormat::Json } else { BodyFormat::Protobuf })
}

/// The media type in lower case, without parameters; `None` where Go's `mime.ParseMediaType` fails.
fn media_type(header: &str) -> Option<String> {
    let (essence, parameters) = header.split_once(';').unwrap_or((header, ""));
    let essence = essence.trim().to_ascii_lowercase();
    let well_formed = match essence.split_once('/') {
        Some((kind, subtype)) => is_token(kind) && is_token(subtype),
        None => is_token(&essence),
    };
    (well_formed && parameters_are_well_formed(parameters)).then_some(essence)
}

/// Whether `text` is `name=value` pairs separated by semicolons; values may be quoted.
fn parameters_are_well_formed(text: &str) -> bool {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else { return false };
        let value_end = match after.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map(|end| end + 2),
            None => Some(after.find(';').unwrap_or(after.len())),
        };
        let Some((value, tail)) = value_end.and_then(|end| after.split_at_checked(end)) else { return false };
        let value_is_fine = value.starts_with('"') || is_token(value.trim());
        let tail = tail.trim();
        if !is_token(name.trim()) || !value_is_fine || !(tail.is_empty() || tail.starts_with(';')) {
            return false;
        }
        rest = tail.trim_start_matches(';').trim();
    }
    true
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !br#"()<>@,;:\"/[]?="#.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates() {
        let limits = IngestLimits { max_decompressed_bytes: 1000, ..IngestLimits::default() };
        // As the head of a snappy block, these bytes would promise 100,000,000 bytes.
        let looks_large: &[u8] = &[0x80, 0xc2, 0xd7, 0x2f, 0];
        assert_eq!(estimate_encoded_bytes(None, looks_large, &limits), 5);
        assert_eq!(estimate_encoded_bytes(Some("snappy"), looks_large, &limits), 1000);
        assert_eq!(estimate_encoded_bytes(Some("gzip"), looks_large, &limits), 50);
        assert_eq!(estimate_decoded_bytes(Some("application/x-protobuf"), None, looks_large, &limits), 1000);
    }

    #[test]
    fn media_types() {
        for (header, expected) in [
            ("application/json", Some(BodyFormat::Json)),
            ("Application/JSON; charset=utf-8", Some(BodyFormat::Json)),
            ("application/json;charset=\"utf-8\" ;", Some(BodyFormat::Json)),
            ("application/x-protobuf", Some(BodyFormat::Protobuf)),
            ("text/plain", Some(BodyFormat::Protobuf)),
            ("json", Some(BodyFormat::Protobuf)),
            ("", None),
            (" ; charset=utf-8", None),
            ("application/", None),
            ("a b", None),
            ("application/json; charset", None),
        ] {
            assert_eq!(body_format(Some(header)).ok(), expected, "{header:?}");
        }
        assert_eq!(body_format(None).unwrap_err().to_string(), "mime: no media type");
    }
}
