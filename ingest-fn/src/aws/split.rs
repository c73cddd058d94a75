//! Cuts decoded bytes into entries: lines, or the elements of one JSON list.
//! Owns: memory of one entry, which is bounded by the longest accepted line; a longer one is counted to its end and refused.
//! Must not know: compression, times, labels.

/// Enough to see what a file is.
pub(super) const SNIFFED_BYTES: usize = 512;
/// How files begin that hold no text. Others are known by a zero byte, which text has none of.
const FOREIGN: [(&[u8], &str); 6] = [
    (b"PAR1", "Parquet"),
    (b"Obj\x01", "Avro"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh91AY&SY", "compressed with bzip2"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4"),
];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The length of the byte order mark that `start` begins with: some Windows programs write one.
pub(super) fn byte_order_mark(start: &[u8]) -> usize {
    if start.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
}

/// What the first bytes of a file show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Lines.
    Lines,
    /// `{"Records":[...]}`, or a list of JSON objects.
    List,
    /// Something without lines, as a text says it.
    Foreign(&'static str),
}

/// The shape of a file that begins with `start`: the first [`SNIFFED_BYTES`], or all of it.
pub(super) fn shape_of(start: &[u8]) -> Shape {
    if let Some((_, format)) = FOREIGN.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Shape::Foreign(format);
    }
    if start.contains(&0) {
        return Shape::Foreign("not text");
    }
    let mut rest = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start).trim_ascii_start();
    let mut take = |token: &[u8]| match rest.strip_prefix(token) {
        Some(after) => {
            rest = after.trim_ascii_start();
            true
        }
        None => false,
    };
    let is_list = if take(b"{") { take(b"\"Records\"") && take(b":") && take(b"[") } else { take(b"[") && take(b"{") };
    if is_list { Shape::List } else { Shape::Lines }
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Its bytes, without the line's end.
    Whole(&'a [u8]),
    /// Longer than is accepted: its length.
    TooLong(usize),
}

/// Cuts pieces of input, whatever their size, into the same entries.
#[derive(Clone, Debug)]
pub(super) enum Splitter {
    Lines(Carry),
    List(List),
}

impl Splitter {
    pub(super) fn new(shape: Shape, max_bytes: usize) -> Self {
        let carry = Carry { bytes: Vec::new(), length: 0, max_bytes, complete: false, last: 0 };
        match shape {
            Shape::List => Self::List(List { carry, place: Place::Before, in_object: false, depth: 0, string: false, escaped: false }),
            Shape::Lines | Shape::Foreign(_) => Self::Lines(carry),
        }
    }

    /// The next entry that ends within `input`, which is consumed up to there; `None` once all of it is consumed.
    pub(super) fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Piece<'s>> {
        match self {
            Self::Lines(carry) => carry.next_line(input),
            Self::List(list) => list.next(input),
        }
    }

    /// What is left at the end of the file: a line without an end, or an element that was cut.
    pub(super) fn rest(&mut self) -> Option<Piece<'_>> {
        let (Self::Lines(carry) | Self::List(List { carry, .. })) = self;
        carry.begin();
        if carry.length == 0 {
            return None;
        }
        carry.complete = true;
        Some(carry.piece())
    }
}

/// An entry that began in an earlier piece of input.
#[derive(Clone, Debug)]
pub(super) struct Carry {
    bytes: Vec<u8>,
    /// Bytes of the entry so far, those that are not kept included.
    length: usize,
    max_bytes: usize,
    /// The entry was handed out.
    complete: bool,
    /// Its last byte.
    last: u8,
}

impl Carry {
    /// Forgets an entry that was handed out.
    fn begin(&mut self) {
        if std::mem::take(&mut self.complete) {
            self.bytes.clear();
            self.length = 0;
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        self.last = bytes.last().copied().unwrap_or(self.last);
        // One byte past the limit is kept, so that the end of a line does not count.
        let room = (self.max_bytes + 1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn piece(&self) -> Piece<'_> {
        whole(&self.bytes, self.length, self.last, self.max_bytes)
    }

    fn next_line<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Piece<'s>> {
        self.begin();
        let all = *input;
        let Some(end) = memchr::memchr(b'\n', all) else {
            self.add(all);
            *input = &[];
            return None;
        };
        let (line, rest) = all.split_at_checked(end)?;
        *input = rest.get(1..).unwrap_or_default();
        if self.length == 0 {
            return Some(whole(line, line.len(), line.last().copied().unwrap_or_default(), self.max_bytes));
        }
        self.add(line);
        self.complete = true;
        Some(self.piece())
    }
}

/// An entry of `length` bytes that ends with `last`, of which `bytes` are the first: all of them if it is not longer than `max_bytes`.
fn whole(bytes: &[u8], length: usize, last: u8, max_bytes: usize) -> Piece<'_> {
    let length = length - usize::from(last == b'\r' && length > 0);
    match bytes.get(..length) {
        Some(line) if length <= max_bytes => Piece::Whole(line),
        _ => Piece::TooLong(length),
    }
}

/// The elements of a JSON list: of a document that is one, or of the first one in an object. Documents may follow one another.
#[derive(Clone, Debug)]
pub(super) struct List {
    carry: Carry,
    place: Place,
    /// The document is an object, which goes on behind the list.
    in_object: bool,
    /// Brackets that are open: inside the element, or behind the list inside the object.
    depth: usize,
    string: bool,
    escaped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    Inside,
    Behind,
}

impl List {
    fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Piece<'s>> {
        self.carry.begin();
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            if self.take(*byte) {
                self.carry.complete = true;
                return Some(self.carry.piece());
            }
        }
        None
    }

    /// Takes the next byte; whether it completes an element.
    fn take(&mut self, byte: u8) -> bool {
        if self.string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.string = false,
                _ => {}
            }
            self.keep(byte);
            return false;
        }
        match (self.place, byte) {
            (Place::Before, b'[') => self.place = Place::Inside,
            (Place::Before, b'{') => self.in_object = true,
            (Place::Inside, b',') if self.depth == 0 => return self.carry.length > 0,
            (Place::Inside, b']') if self.depth == 0 => {
                self.place = if self.in_object { Place::Behind } else { Place::Before };
                return self.carry.length > 0;
            }
            (Place::Behind, b'}') if self.depth == 0 => {
                self.place = Place::Before;
                self.in_object = false;
            }
            (_, b' ' | b'\t' | b'\r' | b'\n') => {}
            _ => {
                match byte {
                    b'"' => self.string = true,
                    b'{' | b'[' if self.place != Place::Before => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                self.keep(byte);
            }
        }
        false
    }

    /// White space between tokens is left out, so that each element is one line.
    fn keep(&mut self, byte: u8) {
        if self.place == Place::Inside {
            self.carry.add(&[byte]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(shape: Shape, max: usize, input: &[u8], step: usize) -> Vec<String> {
        let mut splitter = Splitter::new(shape, max);
        let mut out = Vec::new();
        let show = |piece: Piece<'_>| match piece {
            Piece::Whole(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Piece::TooLong(length) => format!("too long: {length}"),
        };
        for mut part in input.chunks(step) {
            while let Some(piece) = splitter.next(&mut part) {
                out.push(show(piece));
            }
        }
        out.extend(splitter.rest().map(show));
        out
    }

    #[test]
    fn the_same_entries_from_pieces_of_every_size() {
        for step in 1..40 {
            let lines = pieces(Shape::Lines, 5, b"a\r\n\nbcdef\nbcdef\r\nbcdefg\nbcdefghij\r\nlast", step);
            assert_eq!(lines, ["a", "", "bcdef", "bcdef", "too long: 6", "too long: 9", "last"], "{step}");
            let list = pieces(
                Shape::List,
                21,
                br#" {"Records": [ {"a": "x,] }", "b": [1]}, {"c":"\"}"},{"long":"0123456789abcdef"}] , "more": [1, {}]} {"Records":[2]}"#,
                step,
            );
            assert_eq!(list, [r#"{"a":"x,] }","b":[1]}"#, r#"{"c":"\"}"}"#, "too long: 27", "2"], "{step}");
        }
    }

    #[test]
    fn shapes() {
        for (start, shape) in [
            ("{\"Records\":[{", Shape::List),
            ("\u{feff}{ \"Records\" : [", Shape::List),
            ("[\n  {\"a\":1}", Shape::List),
            ("{\"a\":1}\n", Shape::Lines),
            ("[2025-07-01 10:15:00,123] INFO x", Shape::Lines),
            ("[1,2]", Shape::Lines),
            ("PAR1", Shape::Foreign("Parquet")),
            ("BZh91AY&SY", Shape::Foreign("compressed with bzip2")),
            ("a\0b", Shape::Foreign("not text")),
            ("", Shape::Lines),
        ] {
            assert_eq!(shape_of(start.as_bytes()), shape, "{start}");
        }
    }
}
