//! A map that forgets what was not used for longest.
//! Must not know: what it holds.

use std::collections::{BTreeMap, HashMap};

/// A map that forgets the least recently used entries beyond a total weight.
#[derive(Debug)]
pub(crate) struct Lru<V> {
    entries: HashMap<Box<str>, Entry<V>>,
    by_use: BTreeMap<u64, Box<str>>,
    clock: u64,
    weight: usize,
    max_weight: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<V: Clone> Lru<V> {
    pub(crate) fn new(max_weight: usize) -> Self {
        Self { entries: HashMap::new(), by_use: BTreeMap::new(), clock: 0, weight: 0, max_weight }
    }

    /// The weight of all entries.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        self.clock += 1;
        if let Some(name) = self.by_use.remove(&entry.used) {
            self.by_use.insert(self.clock, name);
        }
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    /// Returns what had to go for it, which may be itself.
    pub(crate) fn insert(&mut self, key: &str, value: V, weight: usize) -> Vec<Box<str>> {
        self.remove_if(key, |_| true);
        self.clock += 1;
        self.entries.insert(key.into(), Entry { value, weight, used: self.clock });
        self.by_use.insert(self.clock, key.into());
        self.weight += weight;
        self.evict()
    }

    /// The value of `key`, or a new one that weighs `weight` until [`Self::set_weight`].
    pub(crate) fn get_or_insert_with(&mut self, key: &str, weight: usize, make: impl FnOnce() -> V) -> V {
        if let Some(found) = self.get(key) {
            return found;
        }
        let value = make();
        self.insert(key, value.clone(), weight);
        value
    }

    pub(crate) fn set_weight(&mut self, key: &str, weight: usize) {
        if let Some(entry) = self.entries.get_mut(key) {
            self.weight = self.weight - entry.weight + weight;
            entry.weight = weight;
        }
        self.evict();
    }

    pub(crate) fn remove_if(&mut self, key: &str, condition: impl FnOnce(&V) -> bool) {
        if self.entries.get(key).is_some_and(|entry| condition(&entry.value))
            && let Some(entry) = self.entries.remove(key)
        {
            self.by_use.remove(&entry.used);
            self.weight -= entry.weight;
        }
    }

    fn evict(&mut self) -> Vec<Box<str>> {
        let mut evicted = Vec::new();
        while self.weight > self.max_weight {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.weight -= entry.weight;
            }
            evicted.push(oldest);
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut lru = Lru::new(10);
        for key in ["a", "b"] {
            lru.insert(key, key.to_owned(), 4);
        }
        assert!(lru.get("a").is_some());
        lru.insert("c", "c".to_owned(), 4);
        assert_eq!((lru.get("a").is_some(), lru.get("b").is_some(), lru.get("c").is_some()), (true, false, true));
        lru.insert("huge", "huge".to_owned(), 11);
        assert_eq!((lru.entries.len(), lru.by_use.len(), lru.weight), (0, 0, 0));
    }

    #[test]
    fn weight_follows_replacement_and_late_weighing() {
        let mut lru = Lru::new(10);
        lru.insert("a", 1, 4);
        lru.insert("a", 2, 5);
        assert_eq!((lru.weight, lru.get("a")), (5, Some(2)));
        assert_eq!(lru.get_or_insert_with("b", 1, || 3), 3);
        lru.set_weight("b", 6);
        assert_eq!((lru.get("a"), lru.get("b"), lru.weight), (None, Some(3), 6));
        lru.remove_if("b", |value| *value == 0);
        assert_eq!(lru.get("b"), Some(3));
        lru.remove_if("b", |_| true);
        assert_eq!((lru.weight, lru.by_use.len()), (0, 0));
    }
}
