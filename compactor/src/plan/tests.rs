//! What is planned, and that planning comes to an end.

use std::collections::BTreeSet;

use proptest::prelude::*;
use schema::day::{NANOS_PER_DAY, NANOS_PER_HOUR};
use schema::{ChunkHash, Consumed, LabelBloom, Partition, TenantId};
use ulid::Ulid;

use super::*;

const MINUTE: i64 = schema::time::NANOS_PER_MINUTE;
const MIB: u64 = 1 << 20;

fn tenant() -> TenantId {
    TenantId::parse("a").unwrap()
}

fn day() -> Day {
    Day::from_number(0).unwrap()
}

fn level0(n: u8, min: i64, max: i64) -> (ChunkKey, u64) {
    let key = ChunkKey { tenant: tenant(), min: Timestamp(min), max: Timestamp(max), rows: 1, bloom: LabelBloom::default(), hash: ChunkHash([n; 16]) };
    (key, 10_000)
}

fn chunk(run: u64, part: u64, hour: Option<u8>, span: (i64, i64), bytes: u64) -> ChunkEntry {
    let key = Level1Key { tenant: tenant(), day: day(), hour, partition: Partition::shared(), id: Ulid((u128::from(run) << RUN_BITS) | u128::from(part)) };
    ChunkEntry {
        key,
        size: bytes / 8,
        checksum: [0; 16],
        rows: 1,
        bytes,
        min: Timestamp(span.0),
        max: Timestamp(span.1),
        streams: 10,
        footer: 0,
        bloom: LabelBloom::default(),
        labels: None,
    }
}

fn hour(run: u64, hour: u8, bytes: u64) -> ChunkEntry {
    let start = i64::from(hour) * NANOS_PER_HOUR;
    chunk(run, 0, Some(hour), (start, start + NANOS_PER_HOUR - 1), bytes)
}

fn manifest(chunks: Vec<ChunkEntry>, consumed: &[u8]) -> DayManifest {
    let mut manifest = DayManifest { chunks, ..DayManifest::empty(day()) };
    manifest.chunks.sort_by(|a, b| a.key.cmp(&b.key));
    manifest.consumed = consumed.iter().map(|n| Consumed { hash: ChunkHash([*n; 16]), at: Timestamp(0) }).collect();
    manifest
}

fn job(manifest: &DayManifest, level0: &[(ChunkKey, u64)], now: i64) -> Option<CompactionJob> {
    next_job(&DaySnapshot { manifest, level0 }, Timestamp(now), &PlanSettings::default())
}

fn runs(job: Option<CompactionJob>) -> Option<(Vec<u128>, Target)> {
    job.map(|job| (job.chunks.iter().map(|key| key.id.0 >> RUN_BITS).collect(), job.target))
}

#[test]
fn level_0_waits_until_there_is_enough_or_it_rests() {
    let manifest = manifest(Vec::new(), &[3]);
    let few: Vec<_> = (0..5).map(|n| level0(n, i64::from(n), MINUTE)).collect();
    assert_eq!(job(&manifest, &few, 2 * MINUTE), None);
    // Number 3 is consumed, so it is no input.
    let rested = job(&manifest, &few, 7 * MINUTE).unwrap();
    assert_eq!((rested.level0.len(), rested.target), (4, Target::Hours));
    let many: Vec<_> = (0..20).map(|n| level0(n, 0, MINUTE)).collect();
    assert_eq!(job(&manifest, &many, 2 * MINUTE).unwrap().level0.len(), 19);
    assert_eq!(drain_level0(&DaySnapshot { manifest: &manifest, level0: &few }, Timestamp(MINUTE), &PlanSettings::default()).unwrap().level0.len(), 4);
}

#[test]
fn level_0_of_another_day_is_no_input() {
    let manifest = manifest(Vec::new(), &[]);
    let other = [level0(1, NANOS_PER_DAY, NANOS_PER_DAY + 5), level0(2, -9, -1)];
    assert_eq!(job(&manifest, &other, 9 * NANOS_PER_DAY), None);
    // One that reaches into the day is, and goes into the closed day at once.
    let job = job(&manifest, &[level0(1, -5, 5)], 9 * NANOS_PER_DAY).unwrap();
    assert_eq!((job.level0.len(), job.target), (1, Target::Day));
}

#[test]
fn a_job_takes_what_memory_allows() {
    let manifest = manifest(Vec::new(), &[]);
    let large: Vec<_> = (0..100).map(|n| (level0(n, i64::from(n), MINUTE).0, 2 * MIB)).collect();
    let job = job(&manifest, &large, 9 * MINUTE).unwrap();
    assert!((2..20).contains(&job.level0.len()), "{}", job.level0.len());
    assert!(job.level0.is_sorted_by_key(|input| input.min));
}

#[test]
fn a_closed_hour_becomes_one_run() {
    let manifest = manifest(vec![hour(1, 3, 10 * MIB), hour(2, 3, 10 * MIB), hour(3, 4, 10 * MIB), hour(4, 4, 10 * MIB)], &[]);
    assert_eq!(job(&manifest, &[], 4 * NANOS_PER_HOUR), None);
    assert_eq!(runs(job(&manifest, &[], 4 * NANOS_PER_HOUR + 11 * MINUTE)), Some((vec![1, 2], Target::Hours)));
}

#[test]
fn an_open_hour_is_merged_when_it_has_many_runs() {
    let chunks = |n| (0..n).map(|run| hour(run, 3, MIB)).collect();
    let now = 3 * NANOS_PER_HOUR + 30 * MINUTE;
    assert_eq!(job(&manifest(chunks(7), &[]), &[], now), None);
    assert_eq!(runs(job(&manifest(chunks(8), &[]), &[], now)), Some(((0..8).collect(), Target::Hours)));
}

#[test]
fn a_closed_day_merges_small_hours_and_leaves_large_ones() {
    let now = NANOS_PER_DAY + 2 * NANOS_PER_HOUR;
    let small = manifest((0..24).map(|h| hour(u64::from(h), h, 10 * MIB)).collect(), &[]);
    assert_eq!(job(&small, &[], NANOS_PER_DAY + MINUTE), None);
    // As many as memory allows, from the first hour on.
    let (merged, target) = runs(job(&small, &[], now)).unwrap();
    assert!(merged.len() >= 6 && merged.iter().copied().eq(0..24u128.min(merged.len() as u128)), "{merged:?}");
    assert_eq!(target, Target::Day);
    let large = manifest((0..24).map(|h| hour(u64::from(h), h, 200 * MIB)).collect(), &[]);
    assert_eq!(job(&large, &[], now), None);
}

#[test]
fn runs_that_overlap_are_merged_with_their_like() {
    let now = 3 * NANOS_PER_DAY;
    let slices: Vec<ChunkEntry> = (0..3).map(|n| chunk(u64::try_from(n).unwrap(), 0, None, (n * 100, n * 100 + 100), 100 * MIB)).collect();
    assert_eq!(runs(job(&manifest(slices, &[]), &[], now)), Some((vec![0, 1, 2], Target::Day)));
    // Chunks of one run share no stream.
    let one_run = vec![chunk(1, 0, None, (0, 100), 200 * MIB), chunk(1, 1, None, (0, 100), 200 * MIB)];
    assert_eq!(job(&manifest(one_run.clone(), &[]), &[], now), None);
    // A late line does not rewrite a day; two of them are merged with each other.
    let late = chunk(2, 0, None, (50, 51), 1000);
    let mut day = one_run;
    day.push(late);
    assert_eq!(job(&manifest(day.clone(), &[]), &[], now), None);
    day.push(chunk(3, 0, None, (70, 71), 1000));
    assert_eq!(runs(job(&manifest(day.clone(), &[]), &[], now)), Some((vec![2, 3], Target::Day)));
    // A small run does not keep large ones from each other.
    day.pop();
    day.push(chunk(4, 0, None, (60, 200), 400 * MIB));
    assert_eq!(runs(job(&manifest(day, &[]), &[], now)), Some((vec![1, 1, 4], Target::Day)));
}

proptest! {
    /// As if each job wrote one run of what it read: sooner or later nothing is left to do, and no job takes a single run.
    #[test]
    fn planning_comes_to_an_end(spans in proptest::collection::vec((0i64..1000, 0i64..300, 1u64..2000), 0..30)) {
        let mut chunks: Vec<ChunkEntry> =
            spans.iter().zip(1u64..).map(|((min, length, mib), run)| chunk(run, 0, None, (*min, min + length), mib * MIB / 4)).collect();
        let mut jobs = 0;
        while let Some(job) = job(&manifest(chunks.clone(), &[]), &[], 9 * NANOS_PER_DAY) {
            let inputs: BTreeSet<_> = job.chunks.iter().cloned().collect();
            let read: Vec<ChunkEntry> = chunks.iter().filter(|chunk| inputs.contains(&chunk.key)).cloned().collect();
            prop_assert!(read.len() == inputs.len() && read.len() >= 2);
            chunks.retain(|chunk| !inputs.contains(&chunk.key));
            let span = (read.iter().map(|c| c.min.0).min().unwrap(), read.iter().map(|c| c.max.0).max().unwrap());
            jobs += 1;
            chunks.push(chunk(1000 + jobs, 0, None, span, read.iter().map(|c| c.bytes).sum()));
            prop_assert!(jobs <= 30);
        }
    }
}
