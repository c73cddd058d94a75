//! The snappy block format, bounded: the declared length is checked before anything is allocated.

use crate::error::{BodyPart, PushError};

/// No snappy element makes more than 64 bytes out of 3, so a larger declared length cannot be true.
const MAX_RATIO: usize = 22;

/// Decompresses one block of at most `limit` bytes.
pub(crate) fn decompress(block: &[u8], limit: usize) -> Result<Vec<u8>, PushError> {
    let declared = snap::raw::decompress_len(block).map_err(malformed)?;
    if declared > limit {
        return Err(PushError::TooLarge { part: BodyPart::Decompressed, limit });
    }
    if declared > block.len().saturating_mul(MAX_RATIO) {
        return Err(PushError::Malformed { format: "snappy", problem: "the declared length is more than the block can hold", offset: 0 });
    }
    snap::raw::Decoder::new().decompress_vec(block).map_err(malformed)
}

/// The length that the block declares, if it declares one.
pub(crate) fn declared_bytes(block: &[u8]) -> Option<usize> {
    snap::raw::decompress_len(block).ok()
}

#[expect(clippy::needless_pass_by_value, reason = "a map_err adapter")]
fn malformed(error: snap::Error) -> PushError {
    PushError::Compression { format: "snappy", detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_length_is_not_believed() {
        let block = snap::raw::Encoder::new().compress_vec(&[7; 1000]).unwrap();
        assert_eq!(decompress(&block, 1000).unwrap(), [7; 1000]);
        assert_eq!(decompress(&block, 999).unwrap_err().status(), 413);
        // 4 GiB declared by a block of six bytes: too large for the limit, or impossible below it.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
        assert_eq!(decompress(&bomb, 1 << 20).unwrap_err().status(), 413);
        assert!(decompress(&bomb, usize::MAX).unwrap_err().to_string().contains("more than the block can hold"));
        for garbage in [&b""[..], b"\x05\x10abc", b"hello world"] {
            assert_eq!(decompress(garbage, 1 << 20).unwrap_err().status(), 400, "{garbage:?}");
        }
    }
}
