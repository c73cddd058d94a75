//! Where a message ends in a stream of bytes (RFC 6587): after the number of bytes that stands before it, else at the end of the line. Each message is looked at anew, since
//! senders mix the two. Must not know: what a message is, but that it begins with `<`.

use bytes::{Bytes, BytesMut};

/// Digits of a length that are believed: more would be no message of a log.
const MAX_DIGITS: usize = 8;

/// A message, or a piece of one that is longer than may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its bytes, without what separates it from the next one. Never empty.
    pub bytes: Bytes,
    /// Which piece of its message it is, from 0.
    pub part: u32,
    /// Whether more pieces of the same message follow, or would have if the stream had not ended.
    pub is_cut: bool,
}

impl Frame {
    /// A datagram, which is a message.
    pub fn of_datagram(bytes: Bytes) -> Option<Self> {
        let length = trimmed(&bytes).len();
        (length > 0).then(|| Self { bytes: bytes.slice(..length), part: 0, is_cut: false })
    }
}

/// Takes a stream to pieces. Holds no more than a message of the largest size and what was pushed last.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    max_bytes: usize,
    /// Bytes before this have no end of line.
    searched: usize,
    /// What is missing of a message whose length was given.
    counted: Option<usize>,
    part: u32,
}

impl FrameReader {
    /// Pieces have at most `max_bytes`, which are 4 or more.
    pub fn new(max_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), max_bytes: max_bytes.max(4), searched: 0, counted: None, part: 0 }
    }

    /// Adds what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The stream has ended: what is left of it, if anything.
    pub fn finish(&mut self) -> Option<Frame> {
        if let Some(frame) = self.next() {
            return Some(frame);
        }
        let is_cut = self.counted.take().is_some();
        let rest = self.buffer.split().freeze();
        self.searched = 0;
        let length = if is_cut { rest.len() } else { trimmed(&rest).len() };
        let part = std::mem::take(&mut self.part);
        (length > 0).then(|| Frame { bytes: rest.slice(..length), part, is_cut })
    }

    fn counted_piece(&mut self, missing: usize) -> Option<Frame> {
        // One more than the largest piece, to see whether it ends inside a character.
        if self.buffer.len() < missing.min(self.max_bytes + 1) {
            return None;
        }
        let taken = if missing > self.max_bytes { self.whole_characters() } else { missing };
        let bytes = self.take(taken);
        self.counted = Some(missing - taken).filter(|rest| *rest > 0);
        Some(self.piece(bytes, self.counted.is_some()))
    }

    /// As much of the largest piece as does not end inside a character.
    fn whole_characters(&self) -> usize {
        let is_inside = |at: &usize| self.buffer.get(*at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
        (self.max_bytes - 3..=self.max_bytes).rev().find(|at| !is_inside(at)).unwrap_or(self.max_bytes)
    }

    fn take(&mut self, bytes: usize) -> Bytes {
        self.searched = 0;
        self.buffer.split_to(bytes.min(self.buffer.len())).freeze()
    }

    fn piece(&mut self, bytes: Bytes, is_cut: bool) -> Frame {
        let part = self.part;
        self.part = if is_cut { part.saturating_add(1) } else { 0 };
        let length = if is_cut { bytes.len() } else { trimmed(&bytes).len() };
        Frame { bytes: bytes.slice(..length), part, is_cut }
    }

    /// The length before a message, and how many bytes it takes itself.
    fn length(&self) -> Length {
        let digits = self.buffer.iter().take(MAX_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > MAX_DIGITS || self.buffer.first() == Some(&b'0') {
            return Length::None;
        }
        match (self.buffer.get(digits), self.buffer.get(digits + 1)) {
            (None, _) | (Some(b' '), None) => Length::Unknown,
            (Some(b' '), Some(b'<')) => {
                let number = self.buffer.iter().take(digits).fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
                Length::Is { number, own: digits + 1 }
            }
            _ => Length::None,
        }
    }
}

#[derive(Debug)]
enum Length {
    None,
    /// More bytes have to come.
    Unknown,
    Is {
        number: usize,
        own: usize,
    },
}

impl Iterator for FrameReader {
    type Item = Frame;

    /// The next message or piece that is there. After `None` it goes on when more was pushed.
    fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(missing) = self.counted {
                let piece = self.counted_piece(missing)?;
                // The last piece can be nothing but an end of line.
                if piece.bytes.is_empty() {
                    continue;
                }
                return Some(piece);
            }
            if self.part == 0 {
                let blank = self.buffer.iter().take_while(|byte| is_blank(**byte)).count();
                if blank > 0 {
                    self.take(blank);
                }
                match self.length() {
                    Length::Unknown => return None,
                    Length::Is { number, own } => {
                        self.take(own);
                        self.counted = Some(number);
                        continue;
                    }
                    Length::None => {}
                }
            }
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            match memchr::memchr(b'\n', unsearched).map(|at| at + self.searched) {
                Some(end) if end <= self.max_bytes => {
                    let line = self.take(end + 1);
                    let piece = self.piece(line, false);
                    if !piece.bytes.is_empty() {
                        return Some(piece);
                    }
                }
                found => {
                    if found.is_none() && self.buffer.len() <= self.max_bytes {
                        self.searched = self.buffer.len();
                        return None;
                    }
                    let bytes = self.take(self.whole_characters());
                    return Some(self.piece(bytes, true));
                }
            }
        }
    }
}

/// What may stand between messages and at their ends.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | 0)
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let blank = bytes.iter().rev().take_while(|byte| is_blank(**byte)).count();
    bytes.get(..bytes.len() - blank).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text`, with `+N` for the N-th further piece and `~` where a piece is cut.
    fn frames(max: usize, stream: &[u8], step: usize) -> Vec<String> {
        let mut reader = FrameReader::new(max);
        let mut out = Vec::new();
        let mut show = |frame: Frame| {
            let part = if frame.part > 0 { format!("+{} ", frame.part) } else { String::new() };
            out.push(format!("{part}{}{}", String::from_utf8_lossy(&frame.bytes), if frame.is_cut { "~" } else { "" }));
        };
        for piece in stream.chunks(step) {
            reader.push(piece);
            reader.by_ref().for_each(&mut show);
        }
        while let Some(frame) = reader.finish() {
            show(frame);
        }
        out
    }

    #[test]
    fn lengths_and_lines_in_one_stream() {
        for (stream, expected) in [
            (&b"<13>a\n<13>b\r\n<13>c\0\n\n\r\n<13>d"[..], &["<13>a", "<13>b", "<13>c", "<13>d"][..]),
            (b"7 <13>a\nb5 <13>c<13>d\n12 <13>", &["<13>a\nb", "<13>c", "<13>d", "<13>~"]),
            (b"6 <13>a\n\n7 <13>b\r\n5 <13>c", &["<13>a", "<13>b", "<13>c"]),
            (b"2026-01-01 x\n12 monkeys\n007 <1>\n123456789 <1>\n5\n", &["2026-01-01 x", "12 monkeys", "007 <1>", "123456789 <1>", "5"]),
            (b"", &[]),
            (b"\n\n\0", &[]),
            (b"9", &["9"]),
            (b"9 ", &["9 "]),
        ] {
            for step in [1, 2, 3, 7, 1000] {
                assert_eq!(frames(100, stream, step), expected, "{:?} by {step}", String::from_utf8_lossy(stream));
            }
        }
    }

    #[test]
    fn what_is_too_long_comes_in_pieces() {
        for (stream, expected) in [
            (&b"<13>abcdefgh\n<13>x\n"[..], &["<13>~", "+1 abcd~", "+2 efgh", "<13>~", "+1 x"][..]),
            (b"10 <13>abcdef5 <13>x", &["<13>~", "+1 abcd~", "+2 ef", "<13>~", "+1 x"]),
            // The piece ends before a character of two bytes, which would be divided.
            ("<1>ü\n".as_bytes(), &["<1>~", "+1 ü"]),
            // A line of exactly the size is whole, and so is one whose end comes later.
            (b"<13>\n<1>x\n", &["<13>", "<1>x"]),
            (b"99 <13>abc", &["<13>~", "+1 abc~"]),
        ] {
            for step in [1, 2, 3, 1000] {
                assert_eq!(frames(4, stream, step), expected, "{:?} by {step}", String::from_utf8_lossy(stream));
            }
        }
    }

    #[test]
    fn a_datagram_is_a_message() {
        assert_eq!(Frame::of_datagram(Bytes::from_static(b"<13>a\nb\n\0")).unwrap().bytes, &b"<13>a\nb"[..]);
        assert_eq!(Frame::of_datagram(Bytes::from_static(b"12 <13>")).unwrap().bytes, &b"12 <13>"[..]);
        assert_eq!(Frame::of_datagram(Bytes::from_static(b"\n")), None);
    }
}
