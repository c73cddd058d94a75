//! DELTA_BINARY_PACKED for 64-bit integers, blocks of 128 values in 4 miniblocks.

use super::{low_byte, put_varint};

const BLOCK: usize = 128;
const MINIBLOCK: usize = 32;

/// Appends `values` to `out`. Differences wrap, so every `i64` sequence round trips.
pub(crate) fn encode(values: impl ExactSizeIterator<Item = i64>, out: &mut Vec<u8>) {
    let mut values = values;
    put_varint(out, u64::try_from(BLOCK).unwrap_or(0));
    put_varint(out, u64::try_from(BLOCK / MINIBLOCK).unwrap_or(0));
    put_varint(out, u64::try_from(values.len()).unwrap_or(u64::MAX));
    let first = values.next().unwrap_or(0);
    put_varint(out, zigzag(first));
    let mut previous = first;
    let mut deltas = Vec::with_capacity(BLOCK);
    for value in values {
        deltas.push(value.wrapping_sub(previous));
        previous = value;
        if deltas.len() == BLOCK {
            put_block(&mut deltas, out);
        }
    }
    if !deltas.is_empty() {
        put_block(&mut deltas, out);
    }
}

fn put_block(deltas: &mut Vec<i64>, out: &mut Vec<u8>) {
    let smallest = deltas.iter().copied().min().unwrap_or(0);
    put_varint(out, zigzag(smallest));
    let widths_at = out.len();
    out.extend_from_slice(&[0; BLOCK / MINIBLOCK]);
    for (miniblock, chunk) in deltas.chunks(MINIBLOCK).enumerate() {
        let largest = chunk.iter().fold(0u64, |all, delta| all | delta.wrapping_sub(smallest).cast_unsigned());
        let width = 64 - largest.leading_zeros();
        if let Some(slot) = out.get_mut(widths_at + miniblock) {
            *slot = low_byte(u64::from(width));
        }
        pack(chunk.iter().map(|delta| delta.wrapping_sub(smallest).cast_unsigned()), width, out);
    }
    deltas.clear();
}

/// Appends one miniblock of `width`-bit values, least significant bit first, missing values as zeros.
fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let mut pending = 0u128;
    let mut bits = 0u32;
    let padded = values.chain(std::iter::repeat(0)).take(MINIBLOCK);
    for value in padded {
        pending |= u128::from(value) << bits;
        bits += width;
        if bits >= 64 {
            let [a, b, c, d, e, f, g, h, ..] = pending.to_le_bytes();
            out.extend_from_slice(&[a, b, c, d, e, f, g, h]);
            pending >>= 64;
            bits -= 64;
        }
    }
    // 32 values of any width fill whole 32-bit words.
    if bits > 0 {
        let [a, b, c, d, ..] = pending.to_le_bytes();
        out.extend_from_slice(&[a, b, c, d]);
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::decode::OnePage;
    use parquet::basic::Encoding;
    use parquet::column::page::Page;
    use parquet::column::reader::ColumnReaderImpl;
    use parquet::data_type::Int64Type;
    use parquet::schema::parser::parse_message_type;
    use parquet::schema::types::SchemaDescriptor;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn decode_with_parquet(bytes: Vec<u8>, count: usize) -> Vec<i64> {
        let schema = SchemaDescriptor::new(Arc::new(parse_message_type("message m { required int64 v; }").unwrap()));
        let page = Page::DataPageV2 {
            buf: bytes.into(),
            num_values: u32::try_from(count).unwrap(),
            encoding: Encoding::DELTA_BINARY_PACKED,
            num_nulls: 0,
            num_rows: u32::try_from(count).unwrap(),
            def_levels_byte_len: 0,
            rep_levels_byte_len: 0,
            is_compressed: false,
            statistics: None,
        };
        let mut reader = ColumnReaderImpl::<Int64Type>::new(schema.column(0), Box::new(OnePage(Some(page))));
        let mut values = Vec::new();
        reader.read_records(count, None, None, &mut values).unwrap();
        values
    }

    fn check(values: &[i64]) {
        let mut bytes = Vec::new();
        encode(values.iter().copied(), &mut bytes);
        assert_eq!(decode_with_parquet(bytes, values.len()), values);
    }

    #[test]
    fn block_borders_and_extremes_round_trip() {
        for count in [1usize, 2, 32, 33, 128, 129, 130, 257, 1000] {
            check(&(0..i64::try_from(count).unwrap()).map(|i| 1_700_000_000_000_000_000 + i * i * 977).collect::<Vec<_>>());
        }
        check(&[i64::MIN, i64::MAX, 0, -1, i64::MAX, i64::MIN]);
        check(&[7; 300]);
    }

    proptest! {
        #[test]
        fn any_sequence_round_trips(values in proptest::collection::vec(any::<i64>(), 1..400)) {
            check(&values);
        }
    }
}
