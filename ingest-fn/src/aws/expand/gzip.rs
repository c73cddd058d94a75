//! gzip (RFC 1952) in pieces: members one after the other, each with its checksum, perhaps zeros behind the last.
//! Must not know: where input comes from.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};
use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::GZIP_MAGIC;

const TRAILER_BYTES: usize = 8;
/// How much of the input is looked at to find the end of a header.
const HEADER_STEP: usize = 256;
/// More than any real header has; the format itself sets no bound.
const MAX_HEADER_BYTES: usize = 128 << 10;
const FLAG_HEADER_CRC: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;

/// Where in the stream the reader is.
pub(super) struct Gzip {
    state: State,
    inflate: Decompress,
    crc: Crc,
    members: u64,
}

enum State {
    /// Bytes of a header that is not complete.
    Header(BytesMut),
    Body,
    Trailer(Vec<u8>),
    /// Behind a member there are zeros: tape blocks are filled so.
    Padding,
}

impl Default for Gzip {
    fn default() -> Self {
        Self { state: State::Header(BytesMut::new()), inflate: Decompress::new(false), crc: Crc::new(), members: 0 }
    }
}

impl Gzip {
    /// Whether the input so far is whole members.
    pub(super) fn is_complete(&self) -> bool {
        match &self.state {
            State::Header(bytes) => bytes.is_empty() && self.members > 0,
            State::Padding => true,
            State::Body | State::Trailer(_) => false,
        }
    }

    /// Appends at most `most` bytes to `out`; whether it got anywhere.
    pub(super) fn read(&mut self, input: &mut VecDeque<Bytes>, out: &mut Vec<u8>, most: usize) -> Result<bool, String> {
        match &mut self.state {
            State::Header(bytes) => {
                let Some(mut front) = input.pop_front() else { return Ok(false) };
                if self.members > 0 && bytes.is_empty() && front.first() == Some(&0) {
                    self.state = State::Padding;
                    input.push_front(front);
                    return Ok(true);
                }
                bytes.extend_from_slice(&front.split_to(front.len().min(HEADER_STEP)));
                if !front.is_empty() {
                    input.push_front(front);
                }
                if let Some(length) = header_length(bytes)? {
                    let rest = bytes.split_off(length).freeze();
                    if !rest.is_empty() {
                        input.push_front(rest);
                    }
                    self.inflate.reset(false);
                    self.crc.reset();
                    self.state = State::Body;
                }
                Ok(true)
            }
            State::Body => self.inflate(input, out, most),
            State::Trailer(bytes) => {
                let Some(mut front) = input.pop_front() else { return Ok(false) };
                let missing = TRAILER_BYTES.saturating_sub(bytes.len()).min(front.len());
                bytes.extend_from_slice(&front.split_to(missing));
                if !front.is_empty() {
                    input.push_front(front);
                }
                if bytes.len() == TRAILER_BYTES {
                    let mut trailer = bytes.as_slice();
                    if (trailer.get_u32_le(), trailer.get_u32_le()) != (self.crc.sum(), self.crc.amount()) {
                        return Err("gzip: the checksum is wrong".to_owned());
                    }
                    self.members += 1;
                    self.state = State::Header(BytesMut::new());
                }
                Ok(true)
            }
            State::Padding => {
                let Some(front) = input.pop_front() else { return Ok(false) };
                if front.iter().any(|byte| *byte != 0) {
                    return Err("gzip: something else follows the compressed data".to_owned());
                }
                Ok(true)
            }
        }
    }

    fn inflate(&mut self, input: &mut VecDeque<Bytes>, out: &mut Vec<u8>, most: usize) -> Result<bool, String> {
        let mut front = input.pop_front().unwrap_or_default();
        let (read_before, written_before) = (self.inflate.total_in(), self.inflate.total_out());
        let mut buffer = vec![0; most];
        let status = self.inflate.decompress(&front, &mut buffer, FlushDecompress::None);
        let count = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        let read = count(self.inflate.total_in(), read_before);
        let written = count(self.inflate.total_out(), written_before);
        // What was written before an error is good.
        let output = buffer.get(..written).unwrap_or_default();
        self.crc.update(output);
        out.extend_from_slice(output);
        front.advance(read.min(front.len()));
        let used_up = front.is_empty();
        if !used_up {
            input.push_front(front);
        }
        match status.map_err(|error| format!("gzip: {error}"))? {
            Status::StreamEnd => {
                self.state = State::Trailer(Vec::with_capacity(TRAILER_BYTES));
                Ok(true)
            }
            _ if read > 0 || written > 0 => Ok(true),
            _ if used_up => Ok(false),
            _ => Err("gzip: the compressed data makes no progress".to_owned()),
        }
    }
}

/// The length of the header that `bytes` begins with; `None` if it is not all there.
fn header_length(bytes: &[u8]) -> Result<Option<usize>, String> {
    let magic = bytes.get(..GZIP_MAGIC.len()).unwrap_or(bytes);
    if !GZIP_MAGIC.starts_with(magic) {
        return Err("gzip: something else follows the compressed data".to_owned());
    }
    if bytes.len() > MAX_HEADER_BYTES {
        return Err(format!("gzip: a header longer than {MAX_HEADER_BYTES} bytes"));
    }
    let Some(fixed) = bytes.get(..10) else { return Ok(None) };
    let &[_, _, method, flags, ..] = fixed else { return Ok(None) };
    if method != 8 || flags & 0xe0 != 0 {
        return Err(format!("gzip: unknown method {method} or flags {flags:#x}"));
    }
    let mut length = 10;
    if flags & FLAG_EXTRA != 0 {
        let Some(mut size) = bytes.get(length..length + 2) else { return Ok(None) };
        length += 2 + usize::from(size.get_u16_le());
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            let Some(end) = bytes.get(length..).and_then(|rest| memchr::memchr(0, rest)) else { return Ok(None) };
            length += end + 1;
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        length += 2;
    }
    Ok((length <= bytes.len()).then_some(length))
}
