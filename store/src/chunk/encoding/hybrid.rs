//! The RLE/bit-packing hybrid: levels and dictionary indices.

use super::{low_byte, put_varint};

/// Values in one bit-packed group.
const GROUP: usize = 8;

/// Bytes that are no hybrid sequence of the promised length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HybridError;

/// Bits that the largest of `count` indices needs.
pub(crate) fn index_width(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}

/// Appends `values`, each of at most `width` bits: stretches of 8 or more equal values as runs, the rest bit-packed.
pub(crate) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let mut packed_from = 0;
    let mut at = 0;
    while let Some(value) = values.get(at) {
        let run = values.iter().skip(at).take_while(|other| *other == value).count();
        // A packed stretch in the middle holds whole groups, so it takes what it lacks from the run.
        let fill = (GROUP - (at - packed_from) % GROUP) % GROUP;
        if run < GROUP + fill {
            at += run;
            continue;
        }
        put_packed(values.get(packed_from..at + fill).unwrap_or(&[]), width, out);
        put_run(*value, run - fill, width, out);
        at += run;
        packed_from = at;
    }
    put_packed(values.get(packed_from..).unwrap_or(&[]), width, out);
}

/// Appends `count` times `value`.
pub(crate) fn put_run(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    if count == 0 {
        return;
    }
    put_varint(out, u64::try_from(count).unwrap_or(u64::MAX) << 1);
    let bytes = usize::try_from(width.div_ceil(8)).unwrap_or(0);
    out.extend(value.to_le_bytes().into_iter().take(bytes));
}

fn put_packed(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    put_varint(out, u64::try_from(values.len().div_ceil(GROUP)).unwrap_or(u64::MAX) << 1 | 1);
    for group in values.chunks(GROUP) {
        let (mut pending, mut bits) = (0u64, 0u32);
        for value in group.iter().copied().chain(std::iter::repeat(0)).take(GROUP) {
            pending |= u64::from(value) << bits;
            bits += width;
            while bits >= 8 {
                out.push(low_byte(pending));
                pending >>= 8;
                bits -= 8;
            }
        }
    }
}

/// One bit-packed run of values that are patterns, each many times over, as the levels and indices of a map are that is the same in every row.
/// After eight repetitions a pattern has filled whole bytes, and the bytes repeat as the values do: they are copied, not computed.
pub(crate) struct PackedRun<'o> {
    out: &'o mut Vec<u8>,
    width: u32,
    end: usize,
    pending: u64,
    bits: u32,
}

impl<'o> PackedRun<'o> {
    /// Begins a run of `values` values of `width` bits (1 to 32) at the end of `out`.
    pub(crate) fn begin(values: usize, width: u32, out: &'o mut Vec<u8>) -> Self {
        let groups = values.div_ceil(GROUP);
        if groups > 0 {
            put_varint(out, u64::try_from(groups).unwrap_or(u64::MAX) << 1 | 1);
        }
        let end = out.len() + groups * usize::try_from(width).unwrap_or(0);
        Self { out, width, end, pending: 0, bits: 0 }
    }

    /// Appends `pattern` `count` times.
    pub(crate) fn repeat(&mut self, pattern: &[u32], count: usize) {
        // The first eight repetitions may begin with bits of another pattern; what the second eight appended is what every further eight append.
        let spelled_out = if count < 3 * GROUP { count } else { 2 * GROUP };
        self.spell_out(pattern, spelled_out);
        let period = pattern.len() * usize::try_from(self.width).unwrap_or(0);
        let left = count - spelled_out;
        for _ in 0..left / GROUP {
            self.out.extend_from_within(self.out.len() - period..);
        }
        self.spell_out(pattern, left % GROUP);
    }

    fn spell_out(&mut self, pattern: &[u32], count: usize) {
        for value in std::iter::repeat_n(pattern, count).flatten() {
            self.pending |= u64::from(*value) << self.bits;
            self.bits += self.width;
            while self.bits >= 8 {
                self.out.push(low_byte(self.pending));
                self.pending >>= 8;
                self.bits -= 8;
            }
        }
    }

    /// Fills the last group with zeros.
    pub(crate) fn finish(self) {
        if self.bits > 0 {
            self.out.push(low_byte(self.pending));
        }
        self.out.resize(self.end, 0);
    }
}

/// Reads exactly `count` values of `width` bits from the front of `input` into `out`.
pub(crate) fn decode(input: &[u8], width: u32, count: usize, out: &mut Vec<u32>) -> Result<(), HybridError> {
    if width > 32 {
        return Err(HybridError);
    }
    let value_bytes = usize::try_from(width.div_ceil(8)).map_err(|_| HybridError)?;
    let goal = out.len() + count;
    let mut rest = input;
    while out.len() < goal {
        let header = take_varint(&mut rest)?;
        let length = usize::try_from(header >> 1).map_err(|_| HybridError)?;
        let wanted = goal - out.len();
        if header & 1 == 0 {
            let (bytes, tail) = rest.split_at_checked(value_bytes).ok_or(HybridError)?;
            let value = bytes.iter().rev().fold(0u32, |value, byte| value << 8 | u32::from(*byte));
            if length == 0 {
                return Err(HybridError);
            }
            out.resize(out.len() + length.min(wanted), value);
            rest = tail;
        } else {
            let bytes = length.checked_mul(usize::try_from(width).map_err(|_| HybridError)?).ok_or(HybridError)?;
            let (packed, tail) = rest.split_at_checked(bytes).ok_or(HybridError)?;
            if length == 0 {
                return Err(HybridError);
            }
            unpack(packed, width, length.saturating_mul(GROUP).min(wanted), out);
            rest = tail;
        }
    }
    Ok(())
}

fn unpack(packed: &[u8], width: u32, count: usize, out: &mut Vec<u32>) {
    let mask = (1u64 << width) - 1;
    let mut bytes = packed.iter();
    let (mut pending, mut bits) = (0u64, 0u32);
    for _ in 0..count {
        while bits < width {
            pending |= u64::from(bytes.next().copied().unwrap_or(0)) << bits;
            bits += 8;
        }
        out.push(u32::try_from(pending & mask).unwrap_or(u32::MAX));
        pending >>= width;
        bits -= width;
    }
}

fn take_varint(input: &mut &[u8]) -> Result<u64, HybridError> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = input.split_first().ok_or(HybridError)?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Ok(value);
        }
    }
    Err(HybridError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[u32], width: u32) -> Vec<u32> {
        let mut bytes = Vec::new();
        encode(values, width, &mut bytes);
        let mut decoded = Vec::new();
        decode(&bytes, width, values.len(), &mut decoded).unwrap();
        decoded
    }

    #[test]
    fn spells_the_bytes_of_the_format_description() {
        // The example of the Parquet format: 0 to 7 at width 3 is 10001000 11000110 11111010.
        let mut bytes = Vec::new();
        encode(&[0, 1, 2, 3, 4, 5, 6, 7], 3, &mut bytes);
        assert_eq!(bytes, [0b11, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
        bytes.clear();
        encode(&[4; 100], 3, &mut bytes);
        assert_eq!(bytes, [200, 1, 4]);
    }

    #[test]
    fn widths_of_indices() {
        assert_eq!([0, 1, 2, 3, 4, 5, 256, 257].map(index_width), [0, 0, 1, 2, 2, 3, 8, 9]);
    }

    #[test]
    fn refuses_what_ends_early() {
        assert_eq!(decode(&[], 1, 1, &mut Vec::new()), Err(HybridError));
        assert_eq!(decode(&[0b11], 3, 1, &mut Vec::new()), Err(HybridError));
        assert_eq!(decode(&[0], 1, 1, &mut Vec::new()), Err(HybridError));
        assert_eq!(decode(&[0xff; 20], 1, 1, &mut Vec::new()), Err(HybridError));
        assert_eq!(decode(&[2, 0, 0, 0, 0, 0], 33, 1, &mut Vec::new()), Err(HybridError));
    }

    proptest! {
        #[test]
        fn runs_and_noise_round_trip(runs in proptest::collection::vec((0u32..5, 1usize..30), 0..40), width in 3u32..=32) {
            let values: Vec<u32> = runs.iter().flat_map(|(value, count)| std::iter::repeat_n(*value, *count)).collect();
            prop_assert_eq!(round_trip(&values, width), values);
        }

        #[test]
        fn patterns_are_what_they_spell(patterns in proptest::collection::vec((proptest::collection::vec(0u32..8, 1..8), 0usize..60), 0..6), width in 3u32..=32) {
            let values: Vec<u32> = patterns.iter().flat_map(|(pattern, count)| pattern.repeat(*count)).collect();
            let mut bytes = Vec::new();
            let mut run = PackedRun::begin(values.len(), width, &mut bytes);
            patterns.iter().for_each(|(pattern, count)| run.repeat(pattern, *count));
            run.finish();
            let mut packed = Vec::new();
            put_packed(&values, width, &mut packed);
            prop_assert_eq!(bytes, packed);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), width in 0u32..40, count in 0usize..500) {
            let _ = decode(&bytes, width, count, &mut Vec::new());
        }
    }
}
