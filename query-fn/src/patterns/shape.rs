//! The shape of a line as bytes, and what is counted of the lines that have it.
//!
//! A shape is a list of tokens, alternately gaps and words, with [`SEPARATOR`] between them. It begins with a gap, which may be empty, and ends with one, or with a
//! mark for text that was not looked at. The marks are bytes that no UTF-8 text holds, so a token is a mark or text, never both.

use super::words::Named;

/// Stands between two tokens.
pub(super) const SEPARATOR: u8 = 0xfc;
/// In the place of a word: some word with a digit in it, or one that is not UTF-8.
pub(super) const VALUE: u8 = 0xff;
/// In the place of a word: any word, since there are many here.
pub(super) const ANY: u8 = 0xfe;
/// In the place of a word, the last token: more of the line than was looked at. Never nothing.
pub(super) const REST: u8 = 0xfd;
/// In the place of a gap, the last token: the same.
pub(super) const TAIL: u8 = 0xfb;
/// In the place of a gap, the last token: some gap and whatever follows, since there are many here. Never nothing.
pub(super) const CUT: u8 = 0xfa;

/// Whether this is a mark for a word whose text is not part of the shape.
pub(super) const fn is_variable(token: &[u8]) -> bool {
    matches!(token, [VALUE | ANY])
}

/// The tokens of a shape.
pub(super) fn tokens(key: &[u8]) -> Vec<&[u8]> {
    key.split(|&byte| byte == SEPARATOR).collect()
}

/// Appends tokens as a shape.
pub(super) fn write(tokens: &[&[u8]], key: &mut Vec<u8>) {
    for (i, token) in tokens.iter().enumerate() {
        if i > 0 {
            key.push(SEPARATOR);
        }
        key.extend_from_slice(token);
    }
}

/// What is known of the lines of one shape, or of one template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Lines by time, ascending: the beginning of the step in seconds, and how many.
    pub(super) samples: Vec<(i64, u64)>,
    pub(super) lines: u64,
    /// The values that all lines have in common: number of the word and its text, ascending.
    pub(super) common: Vec<(usize, Box<[u8]>)>,
}

impl Counted {
    /// What takes memory beside the key.
    pub(super) fn bytes(&self) -> usize {
        let common: usize = self.common.iter().map(|(_, text)| size_of::<(usize, Box<[u8]>)>() + text.len()).sum();
        size_of::<Self>() + self.samples.capacity() * size_of::<(i64, u64)>() + common
    }

    /// The first line of a shape.
    pub(super) fn first(second: i64, named: &[Named<'_>]) -> Self {
        Self { samples: vec![(second, 1)], lines: 1, common: named.iter().map(|named| (named.word, named.text.into())).collect() }
    }

    /// One more line.
    pub(super) fn add(&mut self, second: i64, named: &[Named<'_>]) {
        self.count(second);
        if self.common.is_empty() {
            return;
        }
        let mut named = named.iter().peekable();
        self.common.retain(|(word, text)| {
            while named.next_if(|named| named.word < *word).is_some() {}
            named.peek().is_some_and(|named| named.word == *word && *named.text == **text)
        });
    }

    /// The lines of `other` too.
    pub(super) fn merge(&mut self, other: Self) {
        self.lines += other.lines;
        self.samples = sums(std::mem::take(&mut self.samples), other.samples);
        self.common.retain(|known| other.common.binary_search_by_key(&known.0, |(word, _)| *word).is_ok_and(|at| other.common.get(at) == Some(known)));
    }

    fn count(&mut self, second: i64) {
        self.lines += 1;
        // Rows of a stream come in order of time.
        if let Some(last) = self.samples.last_mut().filter(|last| last.0 == second) {
            last.1 += 1;
            return;
        }
        match self.samples.binary_search_by_key(&second, |sample| sample.0) {
            Ok(at) => self.samples.get_mut(at).into_iter().for_each(|sample| sample.1 += 1),
            Err(at) => self.samples.insert(at, (second, 1)),
        }
    }
}

/// The samples of both, by time.
fn sums(a: Vec<(i64, u64)>, b: Vec<(i64, u64)>) -> Vec<(i64, u64)> {
    let mut out: Vec<(i64, u64)> = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    while let Some((second, lines)) = match (a.peek(), b.peek()) {
        (Some(first), Some(other)) if first.0 > other.0 => b.next(),
        (Some(_), _) => a.next(),
        (None, _) => b.next(),
    } {
        match out.last_mut().filter(|last| last.0 == second) {
            Some(last) => last.1 += lines,
            None => out.push((second, lines)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<'a>(words: &[(usize, &'a str)]) -> Vec<Named<'a>> {
        words.iter().map(|&(word, text)| Named { word, text: text.as_bytes() }).collect()
    }

    fn common(counted: &Counted) -> Vec<(usize, &str)> {
        counted.common.iter().map(|(word, text)| (*word, std::str::from_utf8(text).unwrap())).collect()
    }

    #[test]
    fn lines_are_counted_by_time_and_keep_what_is_common() {
        let mut counted = Counted::first(10, &named(&[(1, "a1"), (4, "b2"), (6, "c3")]));
        counted.add(20, &named(&[(1, "a1"), (2, "x9"), (4, "b3"), (6, "c3")]));
        counted.add(0, &named(&[(1, "a1"), (6, "c3")]));
        counted.add(10, &named(&[(0, "y8"), (1, "a1")]));
        assert_eq!((counted.lines, counted.samples.as_slice(), common(&counted)), (4, &[(0, 1), (10, 2), (20, 1)][..], vec![(1, "a1")]));
        let mut other = Counted::first(15, &named(&[(0, "y8"), (1, "a1"), (7, "z7")]));
        other.add(20, &named(&[(0, "y8"), (1, "a1"), (7, "z7")]));
        let mut both = counted.clone();
        both.merge(other.clone());
        assert_eq!((both.lines, both.samples.as_slice(), common(&both)), (6, &[(0, 1), (10, 2), (15, 1), (20, 2)][..], vec![(1, "a1")]));
        other.merge(counted);
        assert_eq!(other, both);
    }
}
