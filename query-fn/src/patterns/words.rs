//! Cuts a line into words and the gaps between them, and marks the words that look like values.
//!
//! Why a pattern made of this matches its lines. `|>` looks for each literal of a pattern at its first occurrence behind the capture before it, and does not
//! come back. So the literal behind a capture must not occur sooner, that is, not begin inside of the captured word:
//!
//! - A word holds no delimiter, and the gap behind it does. Up to its first delimiter a gap is made of `.` and `:`, which words may hold too. If the gap's
//!   text occurred sooner, its first delimiter would have to lie where the word, or the same run of `.` and `:`, still is. It does not.
//! - A word with a query string (`/x?a=1`) may hold the mild delimiters `= , ; & ? !`, but then runs up to a strict one, so the same holds for those.
//! - What follows the last word looked at is captured as a whole, so no literal comes after it.

use super::shape::{REST, SEPARATOR, TAIL, VALUE};
use super::{MOST_LINE_BYTES, MOST_WORDS};

/// What a byte is. The order matters: from [`MILD`] on, a byte ends a word.
type Class = u8;
const WORD: Class = 0;
/// Part of a word, but not at its ends: `.` and `:`.
const SOFT: Class = 1;
/// Ends a word, except in the query string of a URL.
const MILD: Class = 2;
/// Ends every word.
const STRICT: Class = 3;

const CLASSES: [Class; 256] = classes();

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated while compiling; the index is below 256")]
const fn classes() -> [Class; 256] {
    let mut classes = [WORD; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'.' | b':' => SOFT,
            b'=' | b',' | b';' | b'&' | b'?' | b'!' => MILD,
            0..=b' ' | 0x7f | b'"' | b'\'' | b'`' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b'|' | b'\\' => STRICT,
            _ => WORD,
        };
        byte += 1;
    }
    classes
}

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(STRICT)
}

/// A word with a digit in it that may yet turn out to be the same in all lines: its number in the line, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) word: usize,
    pub(super) text: &'a [u8],
}

/// Buffers of one line after the other.
#[derive(Debug, Default)]
pub(super) struct Words<'a> {
    /// The shape of the line, see `shape`.
    pub(super) key: Vec<u8>,
    /// The values that begin with a letter and have at least as many letters as digits, such as `HTTP/1.1` or `node-3`.
    pub(super) named: Vec<Named<'a>>,
}

impl<'a> Words<'a> {
    /// Reads `line` in place of what was read before.
    pub(super) fn read(&mut self, line: &'a [u8]) {
        self.key.clear();
        self.named.clear();
        let seen = line.get(..MOST_LINE_BYTES).unwrap_or(line);
        let is_cut = seen.len() < line.len();
        let mut at = 0;
        let mut words = 0;
        loop {
            let word = end_of_gap(seen, at);
            if word == seen.len() && is_cut {
                return self.key.push(TAIL);
            }
            self.key.extend_from_slice(seen.get(at..word).unwrap_or(&[]));
            if word == seen.len() {
                return;
            }
            self.key.push(SEPARATOR);
            let end = end_of_word(seen, word);
            if words == MOST_WORDS || (end == seen.len() && is_cut) {
                return self.key.push(REST);
            }
            self.push(words, seen.get(word..end).unwrap_or(&[]));
            self.key.push(SEPARATOR);
            words += 1;
            at = end;
        }
    }

    fn push(&mut self, number: usize, word: &'a [u8]) {
        let (mut digits, mut letters, mut is_ascii) = (0, 0, true);
        for byte in word {
            digits += usize::from(byte.is_ascii_digit());
            letters += usize::from(byte.is_ascii_alphabetic());
            is_ascii &= byte.is_ascii();
        }
        let is_text = is_ascii || std::str::from_utf8(word).is_ok();
        if digits == 0 && is_text {
            self.key.extend_from_slice(word);
            return;
        }
        self.key.push(VALUE);
        // What begins with a digit is a quantity or a time.
        let begins_with_letter = word.iter().find(|byte| byte.is_ascii_alphanumeric()).is_some_and(u8::is_ascii_alphabetic);
        if letters >= digits && begins_with_letter && is_text {
            self.named.push(Named { word: number, text: word });
        }
    }
}

/// How many bytes from `at` on are of a class that is wanted.
fn length(line: &[u8], at: usize, wanted: impl Fn(Class) -> bool) -> usize {
    let rest = line.get(at..).unwrap_or(&[]);
    rest.iter().position(|&byte| !wanted(class(byte))).unwrap_or(rest.len())
}

/// Where the gap that begins at `start` ends. A sequence that sets colours (`ESC [ 1;32 m`) is part of it.
fn end_of_gap(line: &[u8], start: usize) -> usize {
    let mut end = start;
    loop {
        end += length(line, end, |class| class != WORD);
        let Some(b"\x1b[") = line.get(start..end).and_then(|gap| gap.last_chunk::<2>()).map(|chunk| chunk.as_slice()) else { return end };
        let parameters = line.get(end..).unwrap_or(&[]);
        let length = parameters.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
        match parameters.get(length) {
            Some(b'm') => end += length + 1,
            _ => return end,
        }
    }
}

/// Where the word that begins at `start` ends. At the end of the line, and nowhere else, a word ends in whatever it ends in.
fn end_of_word(line: &[u8], start: usize) -> usize {
    let mut end = start + length(line, start, |class| class < MILD);
    let mut trimmed: fn(Class) -> bool = |class| class == SOFT;
    if line.get(end) == Some(&b'?') && line.get(start..end).is_some_and(|word| word.contains(&b'/')) {
        end += length(line, end, |class| class < STRICT);
        trimmed = |class| class != WORD;
    }
    if end == line.len() {
        return end;
    }
    let word = line.get(start..end).unwrap_or(&[]);
    start + word.iter().rposition(|&byte| !trimmed(class(byte))).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key with `|` for separators, `#` for values and `~` for what is not looked at.
    fn shape(line: &str) -> String {
        let mut words = Words::default();
        words.read(line.as_bytes());
        let shown = words.key.iter().map(|&byte| match byte {
            SEPARATOR => b'|',
            VALUE => b'#',
            REST | TAIL => b'~',
            other => other,
        });
        String::from_utf8(shown.collect()).unwrap()
    }

    #[test]
    fn lines_become_gaps_and_words() {
        for (line, expected) in [
            ("", ""),
            ("one", "|one|"),
            ("user bob logged in", "|user| |bob| |logged| |in|"),
            ("took 35ms for id=7", "|took| |#| |for| |id|=|#|"),
            ("2026-11-01T10:00:00.123Z INFO db: ready.", "|#| |INFO| |db|: |ready.|"),
            ("at 10:20:30: done", "|at| |#|: |done|"),
            (r#"{"status":200,"msg":"a b"}"#, r#"{"|status|":|#|,"|msg|":"|a| |b|"}"#),
            (r#"level=info msg="x y" dur=1.5s"#, r#"|level|=|info| |msg|="|x| |y|" |dur|=|#|"#),
            ("--- ...", "|---| ..."),
            ("... .", "... ."),
            ("  (x)", "  (|x|)"),
            ("a - b", "|a| |-| |b|"),
            ("\x1b[1;32mINFO\x1b[0m x\x1b[m", "\x1b[1;32m|INFO|\x1b[0m |x|\x1b[m"),
            ("\x1b[3A \x1b[3", "\x1b[|#| \x1b[|#|"),
        ] {
            assert_eq!(shape(line), expected, "{line}");
        }
    }

    /// A query string is one word with its path, so that lines with more or fewer parameters are alike.
    #[test]
    fn a_query_string_belongs_to_its_path() {
        for (line, expected) in [
            ("GET /a/b?x=1&y=2 HTTP/1.1", "|GET| |#| |#|"),
            ("GET /a/b?x=y, then", "|GET| |/a/b?x=y|, |then|"),
            ("see a/b? yes", "|see| |a/b|? |yes|"),
            ("really? yes", "|really|? |yes|"),
            ("a=/x,b=/y", "|a|=|/x|,|b|=|/y|"),
            (r#""https://h/p?q=r!""#, r#""|https://h/p?q=r|!""#),
        ] {
            assert_eq!(shape(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_text_is_a_value() {
        let mut words = Words::default();
        words.read(b"a \xff\xfe b");
        assert_eq!(words.key, [b"\xfca\xfc \xfc".as_slice(), b"\xff\xfc \xfcb\xfc"].concat());
        assert_eq!(words.named, []);
        assert_eq!(shape("grüße an ünï"), "|grüße| |an| |ünï|");
    }

    #[test]
    fn values_with_letters_are_named() {
        let mut words = Words::default();
        words.read(b"node-3 is 10.0.0.1 HTTP/1.1 2026-11-01T10:00:00Z v2 5ms sha256");
        let named: Vec<(usize, &str)> = words.named.iter().map(|named| (named.word, std::str::from_utf8(named.text).unwrap())).collect();
        assert_eq!(named, [(0, "node-3"), (3, "HTTP/1.1"), (5, "v2"), (7, "sha256")]);
    }

    #[test]
    fn long_lines_are_looked_at_up_to_a_point() {
        let words = vec!["w"; MOST_WORDS + 2].join(" ");
        assert_eq!(shape(&words), format!("{}|~", vec!["|w| "; MOST_WORDS].concat()));
        assert_eq!(shape(&words[..2 * MOST_WORDS - 1]), format!("{}|w|", vec!["|w| "; MOST_WORDS - 1].concat()));
        let exact = format!("a {}", "b".repeat(MOST_LINE_BYTES - 2));
        assert_eq!(shape(&exact), format!("|a| |{}|", &exact[2..]));
        assert_eq!(shape(&format!("{exact}b")), "|a| |~");
        assert_eq!(shape(&format!("{exact} b")), "|a| |~");
        assert_eq!(shape(&format!("a{}", " ".repeat(MOST_LINE_BYTES))), "|a|~");
        // A character that is cut in two is in no word.
        assert_eq!(shape(&format!("a {}", "ü".repeat(MOST_LINE_BYTES))), "|a| |~");
    }
}
