//! Finds the places where so many different words follow the same beginning that they must be values of a variable.
//!
//! Shapes are taken as paths of a tree, a token a step. Where more than `most` words lead on from a node, they become one: [`ANY`]. Where more than
//! `most` gaps do, the paths end there: [`CUT`]. Then what follows is looked at, in the node that came of it. Once such a node, always one: a mark
//! that is already there makes its place one. So it does not matter in how many parts the shapes come: taking a part first, and then what
//! became of it together with the others, gives what all at once give.

use hashbrown::HashSet;

use super::shape::{ANY, CUT, REST, VALUE};

/// The tokens of a shape, with something that goes along.
pub(super) type Path<'a, T> = (Vec<&'a [u8]>, T);

/// Makes marks of tokens as described. `shapes` are then in another order, and several may be equal.
pub(super) fn spread<T>(shapes: &mut [Path<'_, T>], most: usize) {
    let mut nodes = vec![(0..shapes.len(), 0)];
    while let Some((range, at)) = nodes.pop() {
        let Some(node) = shapes.get_mut(range.clone()).filter(|node| node.len() > 1) else { continue };
        if is_variable(node, at, most) {
            for (shape, _) in node.iter_mut() {
                give_way(shape, at);
            }
        }
        node.sort_unstable_by(|(a, _), (b, _)| a.get(at).cmp(&b.get(at)));
        let mut start = range.start;
        for group in node.chunk_by(|(a, _), (b, _)| a.get(at) == b.get(at)) {
            let end = start + group.len();
            if group.iter().any(|(shape, _)| shape.len() > at + 1) {
                nodes.push((start..end, at + 1));
            }
            start = end;
        }
    }
}

/// Whether the tokens at `at` are too many. Looks at all of them only where they are not.
fn is_variable<T>(node: &[Path<'_, T>], at: usize, most: usize) -> bool {
    let mark: &[u8] = if is_word(at) { &[ANY] } else { &[CUT] };
    let mut alternatives = HashSet::new();
    let mut last = None;
    for (shape, _) in node {
        let Some(&token) = shape.get(at) else { continue };
        if token == mark {
            return true;
        }
        if last == Some(token) || !counts(shape, at) {
            continue;
        }
        last = Some(token);
        if alternatives.insert(token) && alternatives.len() > most {
            return true;
        }
    }
    false
}

/// Words and gaps stand alternately, a gap first.
const fn is_word(at: usize) -> bool {
    at % 2 == 1
}

/// Whether the token is one of those that may be too many: words that have a text, and gaps other than the end of the line.
fn counts(shape: &[&[u8]], at: usize) -> bool {
    match shape.get(at) {
        Some([VALUE | REST]) if is_word(at) => false,
        Some([]) if at + 1 == shape.len() => false,
        token => token.is_some(),
    }
}

fn give_way(shape: &mut Vec<&[u8]>, at: usize) {
    if is_word(at) {
        if let Some(token) = shape.get_mut(at).filter(|token| **token != [REST]) {
            *token = &[ANY];
        }
    } else if counts(shape, at) {
        shape.truncate(at);
        shape.push(&[CUT]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::shape::{self, SEPARATOR};
    use super::*;

    /// Shapes as text, `|` between tokens, `#` for a value, `*` for any word, `~` for a rest, `$` for a cut; sorted and each once.
    fn spread_texts(shapes: &[&str], most: usize) -> Vec<String> {
        let keys: Vec<Vec<u8>> = shapes.iter().map(|text| coded(text)).collect();
        let mut paths: Vec<Path<'_, ()>> = keys.iter().map(|key| (shape::tokens(key), ())).collect();
        spread(&mut paths, most);
        let mut texts: Vec<String> = paths.iter().map(|(tokens, ())| shown(tokens)).collect();
        texts.sort();
        texts.dedup();
        texts
    }

    const CODES: [(u8, u8); 5] = [(b'|', SEPARATOR), (b'#', VALUE), (b'*', ANY), (b'~', REST), (b'$', CUT)];

    fn coded(text: &str) -> Vec<u8> {
        text.bytes().map(|byte| CODES.iter().find(|code| code.0 == byte).map_or(byte, |code| code.1)).collect()
    }

    fn shown(tokens: &[&[u8]]) -> String {
        let mut key = Vec::new();
        shape::write(tokens, &mut key);
        let back = |byte: u8| CODES.iter().find(|code| code.1 == byte).map_or(byte, |code| code.0);
        String::from_utf8(key.into_iter().map(back).collect()).unwrap()
    }

    #[test]
    fn many_words_at_one_place_are_one() {
        let shapes = ["|user| |ann| |in|", "|user| |bob| |in|", "|user| |cyd| |out|", "|user| |#| |in|", "|disk| |full|"];
        assert_eq!(spread_texts(&shapes, 2), ["|disk| |full|", "|user| |*| |in|", "|user| |*| |out|"]);
        assert_eq!(spread_texts(&shapes, 3).len(), 5);
        assert_eq!(spread_texts(&shapes, 0), ["$"]);
        assert_eq!(spread_texts(&["", "|a|", "|b|"], 1), ["", "|*|"]);
    }

    #[test]
    fn many_gaps_at_one_place_end_the_shape() {
        let shapes = ["|a| |x|", "|a|=|y|", "|a|", "|a|, |z|"];
        assert_eq!(spread_texts(&shapes, 2), ["|a|", "|a|$"]);
        assert_eq!(spread_texts(&["", "|a|", " |a|", "  |a|"], 2), ["", "$"]);
        assert_eq!(spread_texts(&["  |a|", " |a|", "|a|", ""], 2), ["", "$"]);
        assert_eq!(spread_texts(&["|a| |x|", "|a| |~", "|a| |y|", "|a| |z|"], 2), ["|a| |*|", "|a| |~"]);
    }

    fn shape_text() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec!["a", "b", "c", "d", "#"]);
        let gap = prop::sample::select(vec![" ", "=", "; "]);
        prop::collection::vec((word, gap), 1..5).prop_map(|pairs| {
            let mut text: String = pairs.iter().map(|(word, gap)| format!("|{word}|{gap}")).collect();
            text.pop();
            text.trim_end_matches(';').to_owned()
        })
    }

    proptest! {
        /// In one go, or a part first and the rest with what became of it.
        #[test]
        fn parts_give_what_the_whole_gives(shapes in prop::collection::vec(shape_text(), 1..40), split in 0..40usize, most in 0..4usize) {
            let all: Vec<&str> = shapes.iter().map(String::as_str).collect();
            let (first, second) = all.split_at(split.min(all.len()));
            let whole = spread_texts(&all, most);
            let part = spread_texts(first, most);
            let rest: Vec<&str> = second.iter().copied().chain(part.iter().map(String::as_str)).collect();
            prop_assert_eq!(&spread_texts(&rest, most), &whole);
            let again: Vec<&str> = whole.iter().map(String::as_str).collect();
            prop_assert_eq!(spread_texts(&again, most), whole);
        }
    }
}
