//! The Parquet encodings that a chunk's pages use, straight between column slices and page bytes.
//! Owns: DELTA_BINARY_PACKED and the RLE/bit-packing hybrid (<https://parquet.apache.org/docs/file-format/data-pages/encodings/>).
//! Must not know: what a column means. Written out here because the general writers take one value object per row, which costs more
//! than compressing the row does; the tests decode with the general readers.

pub(crate) mod delta;
pub(crate) mod hybrid;

/// Appends `value` as ULEB128.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

/// The lowest 8 bits of `value`.
pub(crate) fn low_byte(value: u64) -> u8 {
    let [byte, ..] = value.to_le_bytes();
    byte
}
