//! The pure planner: what is stored of one day in, the next job out. No I/O, no clock.
//! Owns: which chunks are merged, when, and into what.
//! Must not know: how a merge runs, what a commit is.
//!
//! Three rules, in this order:
//! 1. **Level 0** is merged as soon as there is enough of it, or it rests: into hours while the day is open, into the day once it is closed.
//! 2. **Hours** of an open day: of the small runs, when there are many, or two once the hour is closed.
//! 3. **Days** that are closed: runs that are small, or overlap in time, become one.
//!
//! A *run* is what one job wrote: chunks that share no stream at the same time. Runs are merged with others of about their size, so a late line does not rewrite a day.

use std::collections::BTreeMap;
use std::time::Duration;

use schema::{ChunkEntry, ChunkKey, ChunkRef, Day, DayManifest, Level1Key, Timestamp};

use crate::merge::input_memory;
use crate::settings::PlanSettings;

/// A run is merged with others up to so many times its size.
const TIER: u64 = 8;
/// Raw bytes of one job, at most, unless a single pair of runs is larger: what is lost when it fails.
const MAX_JOB_BYTES: u64 = 4 << 30;

/// What is stored of one day of one tenant.
#[derive(Clone, Debug)]
pub struct DaySnapshot<'a> {
    /// The day's manifest.
    pub manifest: &'a DayManifest,
    /// Level-0 chunks that may have rows in the day, with the bytes of their objects. Those that the manifest has consumed are passed over.
    pub level0: &'a [(ChunkKey, u64)],
}

/// Where the rows of a job go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into files of the hour that each row lies in.
    Hours,
    /// Into files of the day.
    Day,
}

/// Chunks to be merged into fewer, larger, sorted ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionJob {
    /// The day whose rows are merged.
    pub day: Day,
    /// Level-0 inputs; only their rows of the day count. They stay readable until a grace period after they are consumed for all their days.
    pub level0: Vec<ChunkRef>,
    /// Level-1 inputs, all of their rows. They stay readable until a grace period after the commit that replaces them.
    pub chunks: Vec<Level1Key>,
    /// Where to.
    pub target: Target,
}

impl DaySnapshot<'_> {
    /// Level-0 chunks that have rows in the day which no compacted chunk holds, by earliest timestamp.
    pub fn pending(&self) -> Vec<&(ChunkKey, u64)> {
        let day = self.manifest.day;
        let in_day = |key: &ChunkKey| Day::of(key.min) <= day && day <= Day::of(key.max);
        let mut pending: Vec<&(ChunkKey, u64)> = self.level0.iter().filter(|(key, _)| in_day(key) && !self.manifest.has_consumed(&key.hash)).collect();
        pending.sort_by_key(|(key, _)| (key.min, key.max, key.hash));
        pending
    }
}

/// The job that improves the day most, if any is worth it at `now`.
pub fn next_job(snapshot: &DaySnapshot<'_>, now: Timestamp, settings: &PlanSettings) -> Option<CompactionJob> {
    let closed = is_past(snapshot.manifest.day.last(), settings.day_rest, now);
    level0_job(snapshot, closed, now, settings).or_else(|| {
        let runs = runs_of(&snapshot.manifest.chunks);
        if closed { day_job(snapshot, &runs, settings) } else { hour_job(snapshot, &runs, now, settings) }
    })
}

/// A job that merges every pending level-0 chunk of the day, however few, up to the limits of a job.
pub fn drain_level0(snapshot: &DaySnapshot<'_>, now: Timestamp, settings: &PlanSettings) -> Option<CompactionJob> {
    let closed = is_past(snapshot.manifest.day.last(), settings.day_rest, now);
    level0_job(snapshot, closed, now, &settings.eager())
}

/// Whether `rest` has gone by since `at`.
fn is_past(at: Timestamp, rest: Duration, now: Timestamp) -> bool {
    at.as_nanos().saturating_add(i64::try_from(rest.as_nanos()).unwrap_or(i64::MAX)) < now.as_nanos()
}

fn level0_job(snapshot: &DaySnapshot<'_>, closed: bool, now: Timestamp, settings: &PlanSettings) -> Option<CompactionJob> {
    let pending = snapshot.pending();
    let rests = pending.iter().any(|(key, _)| is_past(key.max, settings.level0_rest, now));
    if pending.is_empty() || (pending.len() < settings.min_level0 && !rests) {
        return None;
    }
    let mut inputs = Vec::new();
    let mut memory = 0;
    for (key, size) in pending.into_iter().take(settings.max_inputs) {
        let input = ChunkRef::level0(key.clone(), *size);
        memory += input_memory(&input);
        if memory > settings.input_memory && !inputs.is_empty() {
            break;
        }
        inputs.push(input);
    }
    Some(CompactionJob { day: snapshot.manifest.day, level0: inputs, chunks: Vec::new(), target: if closed { Target::Day } else { Target::Hours } })
}

/// Chunks of one job, which is what the upper bits of their ids say.
#[derive(Clone, Debug)]
struct Run<'a> {
    chunks: Vec<&'a ChunkEntry>,
    min: Timestamp,
    max: Timestamp,
    bytes: u64,
    memory: u64,
}

/// Which run a chunk belongs to. The lower 16 bits count the chunks of a run.
pub(crate) const RUN_BITS: u32 = 16;

fn runs_of(chunks: &[ChunkEntry]) -> Vec<Run<'_>> {
    let mut runs: BTreeMap<(u128, Option<u8>), Run<'_>> = BTreeMap::new();
    for chunk in chunks {
        // One job writes several hours; their files are runs of their own, so that an hour can be merged without the others.
        let run = runs.entry((chunk.key.id.0 >> RUN_BITS, chunk.key.hour)).or_insert_with(|| Run {
            chunks: Vec::new(),
            min: Timestamp::MAX,
            max: Timestamp::MIN,
            bytes: 0,
            memory: 0,
        });
        run.min = run.min.min(chunk.min);
        run.max = run.max.max(chunk.max);
        run.bytes += chunk.bytes;
        run.memory += input_memory(&ChunkRef::level1(chunk));
        run.chunks.push(chunk);
    }
    runs.into_values().collect()
}

fn hour_job(snapshot: &DaySnapshot<'_>, runs: &[Run<'_>], now: Timestamp, settings: &PlanSettings) -> Option<CompactionJob> {
    (0..24u8).find_map(|hour| {
        let end = snapshot.manifest.day.start().as_nanos().saturating_add(schema::day::NANOS_PER_HOUR.saturating_mul(i64::from(hour) + 1));
        let closed = is_past(Timestamp(end.saturating_sub(1)), settings.hour_rest, now);
        let of_hour: Vec<&Run<'_>> = runs.iter().filter(|run| run.chunks.iter().all(|chunk| chunk.key.hour == Some(hour))).collect();
        if closed {
            return cluster(of_hour, settings).map(|runs| job_of(snapshot, &runs, Target::Hours));
        }
        let small: Vec<&Run<'_>> = of_hour.into_iter().filter(|run| run.bytes < settings.small_bytes).collect();
        if small.len() < settings.min_merge { None } else { trim(small, settings).map(|runs| job_of(snapshot, &runs, Target::Hours)) }
    })
}

fn day_job(snapshot: &DaySnapshot<'_>, runs: &[Run<'_>], settings: &PlanSettings) -> Option<CompactionJob> {
    cluster(runs.iter().collect(), settings).map(|runs| job_of(snapshot, &runs, Target::Day))
}

fn job_of(snapshot: &DaySnapshot<'_>, runs: &[&Run<'_>], target: Target) -> CompactionJob {
    let mut chunks: Vec<Level1Key> = runs.iter().flat_map(|run| &run.chunks).map(|chunk| chunk.key.clone()).collect();
    chunks.sort();
    CompactionJob { day: snapshot.manifest.day, level0: Vec::new(), chunks, target }
}

/// Two or more runs of about the same size that overlap in time or are small, smallest first.
fn cluster<'a, 'b>(mut runs: Vec<&'a Run<'b>>, settings: &PlanSettings) -> Option<Vec<&'a Run<'b>>> {
    runs.sort_by_key(|run| run.bytes);
    (0..runs.len()).find_map(|start| {
        let mut sum = 0u64;
        let mut tier: Vec<&Run<'_>> = Vec::new();
        for run in runs.iter().skip(start) {
            if !tier.is_empty() && run.bytes > sum.saturating_mul(TIER) && sum + run.bytes > settings.file_bytes {
                break;
            }
            sum += run.bytes;
            tier.push(run);
        }
        tier.sort_by_key(|run| (run.min, run.max));
        let mut found: Vec<&Run<'_>> = Vec::new();
        let (mut reach, mut bytes) = (Timestamp::MIN, 0);
        for run in tier {
            let connected = run.min <= reach || (bytes < settings.small_bytes && run.bytes < settings.small_bytes);
            if !found.is_empty() && !connected {
                if let Some(trimmed) = trim(std::mem::take(&mut found), settings) {
                    return Some(trimmed);
                }
                (reach, bytes) = (Timestamp::MIN, 0);
            }
            reach = reach.max(run.max);
            bytes += run.bytes;
            found.push(run);
        }
        trim(found, settings)
    })
}

/// The first of `runs` that one job can take; `None` if that is fewer than two.
fn trim<'a, 'b>(runs: Vec<&'a Run<'b>>, settings: &PlanSettings) -> Option<Vec<&'a Run<'b>>> {
    let (mut bytes, mut memory, mut inputs) = (0u64, 0u64, 0usize);
    let mut taken = Vec::new();
    for run in runs {
        bytes += run.bytes;
        memory += run.memory;
        inputs += run.chunks.len();
        let full = bytes > MAX_JOB_BYTES || memory > settings.input_memory || inputs > settings.max_inputs;
        if full && taken.len() >= 2 {
            break;
        }
        // Two runs are always taken while they fit into twice the memory: else nothing would ever become of them.
        if full && memory > 2 * settings.input_memory {
            break;
        }
        taken.push(run);
    }
    (taken.len() >= 2).then_some(taken)
}

#[cfg(test)]
mod tests;
