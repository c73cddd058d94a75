//! Content encodings around a body, as bounded streams: a bomb costs no more memory than the limit.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::decode::lz4;
use crate::error::{BodyPart, PushError};

/// The largest window (log2) that a zstd frame may ask for: 8 MiB, what its format asks decoders to support.
const MAX_ZSTD_WINDOW_LOG: u32 = 23;

/// A `Content-Encoding` that is removed before the body is read. Snappy is not one: it is part of the protobuf format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    /// Raw deflate as Loki takes it, or with the zlib wrapper that the HTTP standard asks for and Vector sends.
    Deflate,
    /// Not known to Loki's push route; Vector and Fluent Bit can send it.
    Zstd,
    /// Frames.
    Lz4,
    /// Snappy's framing format, which is a stream of blocks.
    SnappyFramed,
}

impl Encoding {
    pub(crate) fn of(header: &str) -> Option<Self> {
        const NAMES: [(&str, Encoding); 6] = [
            ("gzip", Encoding::Gzip),
            ("deflate", Encoding::Deflate),
            ("zlib", Encoding::Deflate),
            ("zstd", Encoding::Zstd),
            ("lz4", Encoding::Lz4),
            ("x-snappy-framed", Encoding::SnappyFramed),
        ];
        NAMES.into_iter().find_map(|(name, encoding)| header.eq_ignore_ascii_case(name).then_some(encoding))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::SnappyFramed => "x-snappy-framed",
        }
    }
}

/// Decompresses `body` into at most `limit` bytes.
pub(crate) fn decompress(encoding: Encoding, body: &[u8], limit: usize) -> Result<Vec<u8>, PushError> {
    match encoding {
        Encoding::Gzip => read_bounded(encoding, MultiGzDecoder::new(body), body.len(), limit),
        Encoding::Deflate if has_zlib_header(body) => read_bounded(encoding, ZlibDecoder::new(body), body.len(), limit),
        Encoding::Deflate => read_bounded(encoding, DeflateDecoder::new(body), body.len(), limit),
        Encoding::Lz4 => lz4::decompress(body, limit),
        Encoding::SnappyFramed => read_bounded(encoding, snap::read::FrameDecoder::new(body), body.len(), limit),
        Encoding::Zstd => {
            let failed = |error: std::io::Error| PushError::Compression { format: encoding.name(), detail: error.to_string() };
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(failed)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(failed)?;
            read_bounded(encoding, decoder, body.len(), limit)
        }
    }
}

fn read_bounded(encoding: Encoding, decoder: impl Read, compressed: usize, limit: usize) -> Result<Vec<u8>, PushError> {
    const USUAL_RATIO: usize = 4;
    let mut out = Vec::with_capacity(compressed.saturating_mul(USUAL_RATIO).min(limit));
    let past_limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let result = decoder.take(past_limit).read_to_end(&mut out);
    if out.len() > limit {
        return Err(PushError::TooLarge { part: BodyPart::Decompressed, limit });
    }
    match result {
        Ok(_) => Ok(out),
        Err(error) => Err(PushError::Compression { format: encoding.name(), detail: error.to_string() }),
    }
}

/// Whether `body` starts as RFC 1950 says: method 8 and a header divisible by 31. Raw deflate cannot start so unless its
/// first stored block has padding bits set, which no encoder does.
fn has_zlib_header(body: &[u8]) -> bool {
    let [first, second, ..] = body else { return false };
    first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn encodings(data: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
        let level = flate2::Compression::default();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        gzip.write_all(data).unwrap();
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), level);
        raw.write_all(data).unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
        zlib.write_all(data).unwrap();
        let mut framed = snap::write::FrameEncoder::new(Vec::new());
        framed.write_all(data).unwrap();
        vec![
            (Encoding::Gzip, gzip.finish().unwrap()),
            (Encoding::Deflate, raw.finish().unwrap()),
            (Encoding::Deflate, zlib.finish().unwrap()),
            (Encoding::SnappyFramed, framed.into_inner().unwrap()),
            (Encoding::Zstd, zstd::encode_all(data, 1).unwrap()),
        ]
    }

    #[test]
    fn reads_each_encoding_and_refuses_damage() {
        for (encoding, body) in encodings(b"hello hello hello") {
            assert_eq!(decompress(encoding, &body, 17).unwrap(), b"hello hello hello", "{encoding:?}");
            let cut = decompress(encoding, &body[..body.len() - 1], 17);
            assert_eq!(cut.unwrap_err().status(), 400, "{encoding:?}");
            assert_eq!(decompress(encoding, b"\xff\xfe\xfd garbage", 100).unwrap_err().status(), 400, "{encoding:?}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        for (encoding, body) in encodings(&vec![0; 64 << 20]) {
            let error = decompress(encoding, &body, 1 << 20).unwrap_err();
            assert_eq!(error.status(), 413);
            assert_eq!(error.to_string(), "request body too large: the decompressed body exceeds the limit of 1048576 bytes", "{encoding:?}");
        }
    }
}
