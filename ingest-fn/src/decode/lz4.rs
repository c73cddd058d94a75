//! LZ4 frames, bounded: what the OpenTelemetry collector sends with `compression: lz4`. Any number of frames, blocks linked or not; checksums are
//! verified. Written out here because the crate that DataFusion brings along is built without its checks of the input.
//! The format: github.com/lz4/lz4, `doc/lz4_Frame_format.md` and `doc/lz4_Block_format.md`.

use crate::error::{BodyPart, PushError};

const MAGIC: u32 = 0x184d_2204;
/// Frames of `0x184d2a50` to `..5f` hold no data.
const SKIPPABLE: u32 = 0x0184_d2a5;
/// Shortest match.
const MIN_MATCH: usize = 4;
/// How far back a match may lie.
const WINDOW: usize = 64 << 10;

/// Decompresses frames into at most `limit` bytes.
pub(super) fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, PushError> {
    let mut input = Input { rest: body, length: body.len() };
    let mut out = Vec::new();
    loop {
        let magic = input.u32()?;
        if magic == MAGIC {
            frame(&mut input, &mut out, limit)?;
        } else if magic >> 4 == SKIPPABLE {
            let length = input.size()?;
            input.take(length)?;
        } else {
            return Err(input.malformed("not an LZ4 frame"));
        }
        if input.rest.is_empty() {
            return Ok(out);
        }
    }
}

fn frame(input: &mut Input<'_>, out: &mut Vec<u8>, limit: usize) -> Result<(), PushError> {
    let descriptor = input.rest;
    let (flags, sizes) = (input.byte()?, input.byte()?);
    if flags >> 6 != 1 || flags & 2 != 0 || sizes & 0x8f != 0 || sizes >> 4 < 4 {
        return Err(input.malformed("unknown LZ4 frame version or flags"));
    }
    let max_block = 1_usize << (2 * (sizes >> 4) + 8);
    let (independent, block_checksums, has_size, checksum) = (flags & 0x20 != 0, flags & 0x10 != 0, flags & 8 != 0, flags & 4 != 0);
    if flags & 1 != 0 {
        return Err(input.malformed("LZ4 dictionaries are not supported"));
    }
    let mut described = 2;
    if has_size {
        input.take(8)?;
        described += 8;
    }
    let expected = (xxh32(descriptor.get(..described).unwrap_or_default()) >> 8) & 0xff;
    if u32::from(input.byte()?) != expected {
        return Err(input.malformed("wrong checksum of the LZ4 header"));
    }
    let start = out.len();
    loop {
        let word = input.u32()?;
        if word == 0 {
            break;
        }
        let stored = word >> 31 == 1;
        let length = usize::try_from(word & 0x7fff_ffff).unwrap_or(usize::MAX);
        if length > max_block {
            return Err(input.malformed("LZ4 block larger than its frame allows"));
        }
        let block = input.take(length)?;
        if block_checksums && input.u32()? != xxh32(block) {
            return Err(input.malformed("wrong checksum of an LZ4 block"));
        }
        let block_start = out.len();
        let most = limit.min(block_start.saturating_add(max_block));
        if stored {
            out.extend_from_slice(block);
        } else {
            // A match of a linked block may reach back into the blocks before.
            let oldest = if independent { block_start } else { start.max(block_start.saturating_sub(WINDOW)) };
            expand(block, out, oldest, most, input)?;
        }
        if out.len() > limit {
            return Err(PushError::TooLarge { part: BodyPart::Decompressed, limit });
        }
        if out.len() > most {
            return Err(input.malformed("LZ4 block larger than its frame allows"));
        }
    }
    if checksum && input.u32()? != xxh32(out.get(start..).unwrap_or_default()) {
        return Err(input.malformed("wrong checksum of the LZ4 content"));
    }
    Ok(())
}

/// Appends the content of one block; ends soon after `out` has more than `most` bytes, which the caller finds.
fn expand(block: &[u8], out: &mut Vec<u8>, oldest: usize, most: usize, input: &Input<'_>) -> Result<(), PushError> {
    let mut rest = Input { rest: block, length: 0 };
    let damaged = |_| input.malformed("damaged LZ4 block");
    while out.len() <= most {
        let token = rest.byte().map_err(damaged)?;
        let literals = rest.long_length(token >> 4).map_err(damaged)?;
        out.extend_from_slice(rest.take(literals).map_err(damaged)?);
        if rest.rest.is_empty() {
            return Ok(());
        }
        let offset = usize::from(rest.u16().map_err(damaged)?);
        let length = rest.long_length(token & 15).map_err(damaged)?.saturating_add(MIN_MATCH);
        let from = out.len().checked_sub(offset).filter(|from| offset > 0 && *from >= oldest);
        let from = from.ok_or_else(|| input.malformed("LZ4 match before the start of the data"))?;
        if out.len().saturating_add(length) > most {
            // One byte more than allowed, so that the caller sees it.
            out.resize(most.saturating_add(1), 0);
            return Ok(());
        }
        copy(out, from, length);
    }
    Ok(())
}

/// Repeats what starts at `from`; the copy may overlap what it makes.
fn copy(out: &mut Vec<u8>, from: usize, length: usize) {
    let mut left = length;
    while left > 0 {
        let piece = left.min(out.len() - from);
        out.extend_from_within(from..from + piece);
        left -= piece;
    }
}

struct Input<'b> {
    rest: &'b [u8],
    /// Of the whole body.
    length: usize,
}

impl<'b> Input<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], PushError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.malformed("the LZ4 frame ends too soon"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, PushError> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn u16(&mut self) -> Result<u16, PushError> {
        Ok(self.take(2)?.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes)))
    }

    fn u32(&mut self) -> Result<u32, PushError> {
        Ok(self.take(4)?.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)))
    }

    fn size(&mut self) -> Result<usize, PushError> {
        Ok(usize::try_from(self.u32()?).unwrap_or(usize::MAX))
    }

    /// A length whose first four bits were in the token.
    fn long_length(&mut self, start: u8) -> Result<usize, PushError> {
        let mut length = usize::from(start);
        if start == 15 {
            loop {
                let more = self.byte()?;
                length = length.saturating_add(usize::from(more));
                if more < 255 {
                    break;
                }
            }
        }
        Ok(length)
    }

    #[cold]
    fn malformed(&self, problem: &'static str) -> PushError {
        PushError::Malformed { format: "lz4", problem, offset: self.length.saturating_sub(self.rest.len()) }
    }
}

/// The checksum of the format, with seed 0: github.com/Cyan4973/xxHash, `doc/xxhash_spec.md`.
fn xxh32(data: &[u8]) -> u32 {
    const P1: u32 = 0x9e37_79b1;
    const P2: u32 = 0x85eb_ca77;
    const P3: u32 = 0xc2b2_ae3d;
    const P4: u32 = 0x27d4_eb2f;
    const P5: u32 = 0x1656_67b1;
    let (stripes, tail) = data.as_chunks::<16>();
    let mut hash = P5;
    if !stripes.is_empty() {
        let mut lanes = [P1.wrapping_add(P2), P2, 0, 0_u32.wrapping_sub(P1)];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<4>().0) {
                *lane = lane.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(P2)).rotate_left(13).wrapping_mul(P1);
            }
        }
        let [a, b, c, d] = lanes;
        hash = a.rotate_left(1).wrapping_add(b.rotate_left(7)).wrapping_add(c.rotate_left(12)).wrapping_add(d.rotate_left(18));
    }
    // The format takes the length modulo 2^32.
    hash = hash.wrapping_add(u32::try_from(data.len() & 0xffff_ffff).unwrap_or_default());
    let (words, bytes) = tail.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(P3)).rotate_left(17).wrapping_mul(P4);
    }
    for byte in bytes {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(P2);
    hash = (hash ^ hash >> 13).wrapping_mul(P3);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification of the hash's reference implementation: known answers with seed 0.
    #[test]
    fn known_hashes() {
        assert_eq!(xxh32(b""), 0x02cc_5d05);
        assert_eq!(xxh32(b"a"), 0x550d_7456);
        assert_eq!(xxh32(b"abc"), 0x32d1_53ff);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition"), 0xe229_3b2f);
    }

    fn encode(data: &[u8], linked: bool, checksums: bool) -> Vec<u8> {
        use std::io::Write as _;
        let mode = if linked { lz4_flex::frame::BlockMode::Linked } else { lz4_flex::frame::BlockMode::Independent };
        let info = lz4_flex::frame::FrameInfo::new()
            .block_mode(mode)
            .block_size(lz4_flex::frame::BlockSize::Max64KB)
            .block_checksums(checksums)
            .content_checksum(checksums);
        let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// Text that compresses some, of several blocks.
    fn text() -> Vec<u8> {
        (0..9_000_u32).flat_map(|n| format!("line {} of {}\n", n.wrapping_mul(2_654_435_761) % 977, n % 13).into_bytes()).collect()
    }

    #[test]
    fn frames_of_another_encoder_are_read() {
        let long = text();
        for data in [&b""[..], b"x", b"hello hello hello hello hello", &long] {
            for (linked, checksums) in [(true, true), (true, false), (false, true), (false, false)] {
                let frame = encode(data, linked, checksums);
                assert_eq!(decompress(&frame, data.len()).unwrap(), data, "{linked} {checksums}");
                let twice = [&frame[..], &[0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7], &frame].concat();
                assert_eq!(decompress(&twice, 2 * data.len()).unwrap(), [data, data].concat());
            }
        }
        assert_eq!(decompress(&encode(&long, true, true), long.len() - 1).unwrap_err().status(), 413);
        assert_eq!(decompress(&encode(&vec![0; 8 << 20], true, true), 1 << 20).unwrap_err().status(), 413);
    }

    #[test]
    fn damage_is_seen() {
        let frame = encode(&text(), true, true);
        for at in (0..frame.len()).step_by(397) {
            assert!(decompress(&frame[..at], 1 << 24).is_err(), "cut at {at}");
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            assert!(decompress(&damaged, 1 << 24).is_err(), "flipped at {at}");
        }
        for (body, problem) in [
            (&b"hello"[..], "malformed lz4: not an LZ4 frame at byte 4"),
            (b"\x04\x22\x4d\x18\x60\x40\x00", "malformed lz4: wrong checksum of the LZ4 header at byte 7"),
            (b"", "malformed lz4: the LZ4 frame ends too soon at byte 0"),
        ] {
            assert_eq!(decompress(body, 100).unwrap_err().to_string(), problem);
        }
    }
}
