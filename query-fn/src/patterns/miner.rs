//! Counts lines by shape, within bounds.

use hashbrown::HashMap;

use super::shape::{Counted, tokens, write};
use super::spread::{Path, spread};
use super::tree::{Shape, Templates};
use super::words::Words;
use super::{MOST_ALTERNATIVES, MOST_SHAPES, MinedPatterns};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// What an entry of a table takes beside its key and what is counted.
const ENTRY_BYTES: usize = 32;
const SAMPLE_BYTES: usize = size_of::<(i64, u64)>();

/// Takes lines and counts them.
#[derive(Debug)]
pub struct Miner {
    step: i64,
    levels: Vec<Level>,
    numbers: HashMap<Box<str>, usize>,
    /// The shapes of all levels.
    shapes: usize,
    /// How many there may be before variables are looked for.
    most_shapes: usize,
    /// Words that may follow the same beginning: [`MOST_ALTERNATIVES`], or less once there were too many shapes.
    alternatives: usize,
    bytes: usize,
    key: Vec<u8>,
}

#[derive(Debug)]
struct Level {
    name: Box<str>,
    shapes: HashMap<Box<[u8]>, Counted>,
}

impl Miner {
    /// A miner that counts lines by steps of `step` nanoseconds, at least a second, each beginning at a multiple of the step since the epoch.
    pub fn new(step: i64) -> Self {
        Self::with_most_shapes(step, MOST_SHAPES)
    }

    /// As [`Self::new`], with another bound than [`MOST_SHAPES`].
    pub fn with_most_shapes(step: i64, most_shapes: usize) -> Self {
        Self {
            step: step.max(NANOS_PER_SECOND),
            levels: Vec::new(),
            numbers: HashMap::new(),
            shapes: 0,
            most_shapes,
            alternatives: MOST_ALTERNATIVES,
            bytes: 0,
            key: Vec::new(),
        }
    }

    /// The number of a level, for [`Self::add`].
    pub fn level(&mut self, name: &str) -> usize {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.levels.len();
        self.numbers.insert(name.into(), number);
        self.levels.push(Level { name: name.into(), shapes: HashMap::new() });
        self.bytes += level_bytes(name);
        number
    }

    /// Counts a line logged at `timestamp`, in nanoseconds since the epoch. `level` is a number that [`Self::level`] gave; for any other, nothing is counted.
    pub fn add(&mut self, level: usize, timestamp: i64, line: &[u8]) {
        let second = timestamp.div_euclid(self.step).saturating_mul(self.step).div_euclid(NANOS_PER_SECOND);
        let mut words = Words { key: std::mem::take(&mut self.key), named: Vec::new() };
        words.read(line);
        if let Some(level) = self.levels.get_mut(level) {
            match level.shapes.get_mut(words.key.as_slice()) {
                Some(counted) => {
                    let before = counted.samples.capacity();
                    counted.add(second, &words.named);
                    self.bytes += (counted.samples.capacity() - before) * SAMPLE_BYTES;
                }
                None => {
                    let counted = Counted::first(second, &words.named);
                    self.bytes += ENTRY_BYTES + words.key.len() + counted.bytes();
                    self.shapes += 1;
                    level.shapes.insert(words.key.as_slice().into(), counted);
                }
            }
        }
        self.key = words.key;
        self.bound();
    }

    /// Adds what `other` has counted, by the same step.
    pub fn absorb(&mut self, other: Self) {
        self.alternatives = self.alternatives.min(other.alternatives);
        for Level { name, shapes } in other.levels {
            let number = self.level(&name);
            for (key, counted) in shapes {
                if let Some(level) = self.levels.get_mut(number) {
                    self.shapes += level.take(key, counted);
                }
                self.bound();
            }
        }
        self.weigh();
    }

    /// Bytes that it holds, about.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds to the bound on shapes: finds variables; where that does not halve the shapes, sooner and sooner.
    fn bound(&mut self) {
        if self.shapes <= self.most_shapes {
            return;
        }
        self.spread();
        while self.shapes > self.most_shapes / 2 && self.alternatives > 0 {
            self.alternatives /= 2;
            self.spread();
        }
        // Each level has a shape or two in any case. What is left of them is not looked through again for each line.
        self.most_shapes = self.most_shapes.max(self.shapes * 2);
    }

    fn spread(&mut self) {
        for level in &mut self.levels {
            level.spread(self.alternatives);
        }
        self.weigh();
    }

    fn weigh(&mut self) {
        self.shapes = self.levels.iter().map(|level| level.shapes.len()).sum();
        self.bytes = self.levels.iter().map(Level::bytes).sum();
    }

    /// What was counted, the most frequent shape of each level first, and what makes templates of it when it is given them in this order.
    pub fn finish(mut self) -> (Vec<Shape>, Templates) {
        self.spread();
        self.levels.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut names = Vec::with_capacity(self.levels.len());
        let mut shapes = Vec::with_capacity(self.shapes);
        for (number, level) in self.levels.into_iter().enumerate() {
            names.push(level.name);
            shapes.extend(level.shapes.into_iter().map(|(key, counted)| Shape { level: number, key, counted }));
        }
        shapes.sort_unstable_by(|a, b| (a.level, b.counted.lines, &a.key).cmp(&(b.level, a.counted.lines, &b.key)));
        (shapes, Templates::new(names))
    }

    /// The patterns of all lines.
    pub fn mine(self) -> MinedPatterns {
        let (shapes, mut templates) = self.finish();
        for shape in shapes {
            templates.add(shape);
        }
        templates.finish()
    }
}

impl Level {
    /// Counts what was counted elsewhere. Returns how many shapes are new.
    fn take(&mut self, key: Box<[u8]>, counted: Counted) -> usize {
        match self.shapes.get_mut(&key) {
            Some(known) => {
                known.merge(counted);
                0
            }
            None => {
                self.shapes.insert(key, counted);
                1
            }
        }
    }

    fn spread(&mut self, alternatives: usize) {
        let known: Vec<(Box<[u8]>, Counted)> = self.shapes.drain().collect();
        let (keys, counted): (Vec<Box<[u8]>>, Vec<Counted>) = known.into_iter().unzip();
        let mut paths: Vec<Path<'_, Counted>> = keys.iter().map(|key| tokens(key)).zip(counted).collect();
        spread(&mut paths, alternatives);
        for (path, counted) in paths {
            let mut key = Vec::new();
            write(&path, &mut key);
            self.take(key.into(), counted);
        }
    }

    fn bytes(&self) -> usize {
        let shapes: usize = self.shapes.iter().map(|(key, counted)| ENTRY_BYTES + key.len() + counted.bytes()).sum();
        level_bytes(&self.name) + shapes
    }
}

const fn level_bytes(name: &str) -> usize {
    size_of::<Level>() + ENTRY_BYTES + 2 * name.len()
}
