//! Decompresses a stream that comes in pieces: gzip with any number of members, zstd with any number of frames, or neither.
//! What it is, its first bytes say; names and headers are often wrong. Memory is bounded by the output asked for and the format's window.
//! Must not know: what the bytes mean.

mod gzip;

use std::collections::VecDeque;

use bytes::Bytes;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use self::gzip::Gzip;

/// How gzip begins.
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Enough to tell.
const MAGIC_BYTES: usize = 4;
/// Most output of one call.
const OUTPUT_BYTES: usize = 128 << 10;
/// What `zstd --ultra` uses; a stream that wants more memory than 128 MiB for its window is refused.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// What a call of [`Expander::read`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Call again: there may be more.
    Some,
    /// All input is used up.
    NeedsInput,
    /// The stream has ended as it should.
    End,
}

/// Input on its way to being decompressed.
#[derive(Default)]
pub(super) struct Expander {
    input: VecDeque<Bytes>,
    ended: bool,
    kind: Kind,
}

#[derive(Default)]
enum Kind {
    #[default]
    Unknown,
    Plain,
    Gzip(Box<Gzip>),
    Zstd {
        decoder: Decoder<'static>,
        /// Bytes of a frame were read, not its last.
        inside: bool,
    },
}

impl std::fmt::Debug for Expander {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.kind {
            Kind::Unknown => "unknown",
            Kind::Plain => "plain",
            Kind::Gzip(_) => "gzip",
            Kind::Zstd { .. } => "zstd",
        };
        f.debug_struct("Expander").field("kind", &kind).field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Expander {
    /// Adds input.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.input.push_back(bytes);
        }
    }

    /// There is no more input.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Appends some output to `out`. An error says what is wrong with the stream; output before it is good.
    pub(super) fn read(&mut self, out: &mut Vec<u8>) -> Result<Progress, String> {
        if matches!(self.kind, Kind::Unknown) && !self.sniff()? {
            return Ok(Progress::NeedsInput);
        }
        let before = out.len();
        match &mut self.kind {
            Kind::Unknown => {}
            Kind::Plain => {
                if let Some(mut front) = self.input.pop_front() {
                    out.extend_from_slice(&front.split_to(front.len().min(OUTPUT_BYTES)));
                    self.unread(front);
                    return Ok(Progress::Some);
                }
            }
            Kind::Gzip(gzip) => {
                if gzip.read(&mut self.input, out, OUTPUT_BYTES)? {
                    return Ok(Progress::Some);
                }
                if self.ended && !gzip.is_complete() {
                    return Err("gzip: the stream ends too soon".to_owned());
                }
            }
            Kind::Zstd { decoder, inside } => {
                if read_zstd(decoder, inside, &mut self.input, out)? {
                    return Ok(Progress::Some);
                }
                if self.ended && *inside {
                    return Err("zstd: the stream ends too soon".to_owned());
                }
            }
        }
        debug_assert_eq!(before, out.len());
        Ok(if self.ended { Progress::End } else { Progress::NeedsInput })
    }

    fn unread(&mut self, front: Bytes) {
        if !front.is_empty() {
            self.input.push_front(front);
        }
    }

    /// Looks at the first bytes; false while there are too few.
    fn sniff(&mut self) -> Result<bool, String> {
        let start: Vec<u8> = self.input.iter().flat_map(|bytes| bytes.iter().copied()).take(MAGIC_BYTES).collect();
        if start.len() < MAGIC_BYTES && !self.ended {
            return Ok(false);
        }
        self.kind = if start.starts_with(&GZIP_MAGIC) {
            Kind::Gzip(Box::default())
        } else if start.starts_with(&ZSTD_MAGIC) {
            let failed = |error: std::io::Error| format!("zstd: {error}");
            let mut decoder = Decoder::new().map_err(failed)?;
            decoder.set_parameter(DParameter::WindowLogMax(MAX_ZSTD_WINDOW_LOG)).map_err(failed)?;
            Kind::Zstd { decoder, inside: false }
        } else {
            Kind::Plain
        };
        Ok(true)
    }
}

/// Whether anything was read or written.
fn read_zstd(decoder: &mut Decoder<'static>, inside: &mut bool, input: &mut VecDeque<Bytes>, out: &mut Vec<u8>) -> Result<bool, String> {
    let front = input.pop_front().unwrap_or_default();
    if front.is_empty() && !*inside {
        return Ok(false);
    }
    let mut buffer = vec![0; OUTPUT_BYTES];
    let mut from = InBuffer::around(&front);
    let mut to = OutBuffer::around(buffer.as_mut_slice());
    let hint = decoder.run(&mut from, &mut to).map_err(|error| format!("zstd: {error}"))?;
    let (read, written) = (from.pos(), to.pos());
    out.extend_from_slice(buffer.get(..written).unwrap_or_default());
    if read > 0 || written > 0 {
        *inside = hint != 0;
    }
    let rest = front.slice(read.min(front.len())..);
    if !rest.is_empty() {
        input.push_front(rest);
    }
    Ok(read > 0 || written > 0)
}

#[cfg(test)]
mod tests;
