//! What was printed last, so that a tail that is begun anew goes on where it stopped.
//! Pure: entries in, entries out.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use schema::Timestamp;

use crate::cli::output::Entry;

/// A tail that is begun anew asks for so much that was printed already: entries do not arrive in the order of their time.
const OVERLAP: i64 = 60 * schema::time::NANOS_PER_SECOND;

/// The entries of the last minute that were printed, and those of them that the present connection may bring again.
#[derive(Debug, Default)]
pub(super) struct Printed {
    /// The hashes of entries by their timestamp.
    recent: BTreeMap<i64, Vec<u64>>,
    /// The earliest entry that was ever printed; what is older was left out on purpose.
    first: Option<i64>,
    /// How often each entry is to be left out.
    again: HashMap<u64, u32>,
    /// How many entries the present connection brought before one that was printed already; `None` once it has brought one.
    ahead: Option<usize>,
}

impl Printed {
    /// Where a new connection has to begin; `None` when nothing was printed yet. What it brings again from there is left out.
    pub(super) fn resume(&mut self) -> Option<Timestamp> {
        let (first, oldest) = (self.first?, *self.recent.first_key_value()?.0);
        self.again.clear();
        for hash in self.recent.values().flatten() {
            *self.again.entry(*hash).or_default() += 1;
        }
        self.ahead = Some(0);
        Some(Timestamp(oldest.max(first)))
    }

    /// Whether the entry is to be printed; it counts as printed then. `now` tells an entry from the future, which moves nothing.
    pub(super) fn is_new(&mut self, entry: &Entry, now: Timestamp) -> bool {
        let mut hasher = DefaultHasher::new();
        entry.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(times) = self.again.get_mut(&hash).filter(|times| **times > 0) {
            *times -= 1;
            self.ahead = None;
            return false;
        }
        self.ahead = self.ahead.map(|count| count + 1);
        let at = entry.timestamp.as_nanos();
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.recent.entry(at).or_default().push(hash);
        let newest = self.recent.range(..=now.as_nanos()).next_back().map_or(at, |(at, _)| *at);
        // One entry stays, so that there is always a place to begin at.
        while self.recent.len() > 1 && self.recent.first_key_value().is_some_and(|(at, _)| *at < newest.saturating_sub(OVERLAP)) {
            self.recent.pop_first();
        }
        true
    }

    /// Whether the present connection has brought `most` entries, its whole history, without one that was printed already: then there were more.
    pub(super) fn has_gap(&mut self, most: usize) -> bool {
        self.ahead.take_if(|count| *count >= most).is_some()
    }
}

#[cfg(test)]
mod tests {
    use schema::LabelSet;

    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const NOW: Timestamp = Timestamp(1_000 * SECOND);

    fn entry(seconds: i64, line: &str) -> Entry {
        Entry { timestamp: Timestamp(seconds * SECOND), labels: LabelSet::default(), line: line.to_owned() }
    }

    fn print(printed: &mut Printed, entries: &[(i64, &str)]) -> Vec<String> {
        entries.iter().filter(|(at, line)| printed.is_new(&entry(*at, line), NOW)).map(|(_, line)| (*line).to_owned()).collect()
    }

    #[test]
    fn what_comes_again_is_left_out_once_for_each_time_it_was_printed() {
        let mut printed = Printed::default();
        assert_eq!(printed.resume(), None);
        assert_eq!(print(&mut printed, &[(900, "a"), (901, "b"), (901, "b")]), ["a", "b", "b"]);
        assert_eq!(printed.resume(), Some(Timestamp(900 * SECOND)));
        assert_eq!(print(&mut printed, &[(900, "a"), (900, "late"), (901, "b"), (901, "b"), (901, "b"), (902, "c")]), ["late", "b", "c"]);
        // Twice in a row.
        printed.resume();
        assert_eq!(print(&mut printed, &[(900, "a"), (900, "late"), (901, "b"), (901, "b"), (901, "b"), (902, "c"), (903, "d")]), ["d"]);
    }

    #[test]
    fn a_minute_is_asked_for_again_and_nothing_that_was_left_out_at_first() {
        let mut printed = Printed::default();
        print(&mut printed, &[(500, "a"), (950, "b"), (990, "c")]);
        assert_eq!(printed.resume(), Some(Timestamp(950 * SECOND)));
        let mut printed = Printed::default();
        print(&mut printed, &[(990, "c")]);
        assert_eq!(printed.resume(), Some(Timestamp(990 * SECOND)));
    }

    #[test]
    fn an_entry_from_the_future_does_not_make_the_others_forgotten() {
        let mut printed = Printed::default();
        print(&mut printed, &[(990, "a"), (5_000, "future"), (991, "b")]);
        assert_eq!(printed.resume(), Some(Timestamp(990 * SECOND)));
        assert_eq!(print(&mut printed, &[(990, "a"), (991, "b"), (5_000, "future")]), [""; 0]);
    }

    #[test]
    fn a_history_without_anything_known_has_a_gap_before_it() {
        let mut printed = Printed::default();
        print(&mut printed, &[(900, "a"), (901, "b")]);
        printed.resume();
        print(&mut printed, &[(910, "x"), (911, "y")]);
        assert!(!printed.has_gap(3));
        print(&mut printed, &[(912, "z")]);
        assert!(printed.has_gap(3));
        assert!(!printed.has_gap(3), "it is told once");
        printed.resume();
        print(&mut printed, &[(900, "a"), (920, "1"), (921, "2")]);
        assert!(!printed.has_gap(3));
    }
}
