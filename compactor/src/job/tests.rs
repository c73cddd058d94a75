//! What of a stream lies in a day, what an edit does, and how large a day manifest gets.

use schema::day::{NANOS_PER_DAY, NANOS_PER_HOUR};
use schema::{ChunkManifest, LabelBloom, LabelSet, MinuteCount, Partition};
use ulid::Ulid;

use super::*;

const MINUTE: i64 = schema::time::NANOS_PER_MINUTE;

fn day(number: i32) -> Day {
    Day::from_number(number).unwrap()
}

/// A stream with one row at each of `times`.
fn stream(times: &[i64]) -> StreamManifest {
    let mut minutes: Vec<MinuteCount> = Vec::new();
    for at in times {
        let minute = Timestamp(*at).minute_bucket();
        match minutes.last_mut().filter(|last| last.minute == minute) {
            Some(last) => last.rows += 1,
            None => minutes.push(MinuteCount { minute, rows: 1, bytes: 10 }),
        }
    }
    let rows = u64::try_from(times.len()).unwrap();
    StreamManifest { labels: LabelSet::default(), first_row: 100, rows, min: Timestamp(times[0]), max: Timestamp(*times.last().unwrap()), bytes: 0, minutes }
}

#[test]
fn rows_of_a_minute_that_ends_at_midnight_are_near_both_days() {
    let stream = stream(&[5, NANOS_PER_DAY - 1, NANOS_PER_DAY, NANOS_PER_DAY + 1, 2 * NANOS_PER_DAY + MINUTE]);
    assert_eq!(rows_near(&stream, day(0)), Some(100..103));
    // The two rows up to midnight are in one minute.
    assert_eq!(rows_near(&stream, day(1)), Some(101..104));
    assert_eq!(rows_near(&stream, day(2)), Some(104..105));
    assert_eq!(rows_near(&stream, day(3)), None);
}

fn entry(id: u128, labels: usize) -> ChunkEntry {
    let tenant = TenantId::default_tenant();
    let key = Level1Key { tenant, day: day(0), hour: None, partition: Partition::shared(), id: Ulid(id) };
    ChunkEntry {
        key,
        size: 1,
        checksum: [0; 16],
        rows: 1,
        bytes: 1,
        min: Timestamp(0),
        max: Timestamp(0),
        streams: 1,
        footer: 0,
        bloom: LabelBloom::default(),
        labels: Some(vec![0; labels].into()),
    }
}

#[test]
fn an_edit_keeps_the_rules_of_a_manifest() {
    let now = Timestamp(4 * NANOS_PER_HOUR);
    let mut edit = Edit::of(&DayManifest::empty(day(0)), Timestamp(0));
    edit.add(&[entry(2, 9), entry(1, 9)]);
    edit.consume([ChunkHash([9; 16]), ChunkHash([3; 16]), ChunkHash([9; 16])].into_iter());
    assert_eq!(edit.manifest.validate(), Ok(()));
    let mut edit = Edit::of(&edit.manifest, now);
    edit.remove(&[entry(1, 0).key]);
    edit.doom(&[entry(7, 0).key, entry(1, 0).key]);
    edit.finish_deletes(["b", "a", "b"].into_iter());
    assert_eq!(edit.manifest.validate(), Ok(()));
    assert_eq!((edit.manifest.chunks.len(), edit.manifest.replaced.len(), edit.manifest.deletes_done.len()), (1, 2, 2));
    // A LIST of a moment at which they were not consumed yet says nothing, however long ago that is by now.
    edit.forget_consumed(&Listed { at: Timestamp(0), hashes: HashSet::new() });
    assert_eq!(edit.manifest.consumed.len(), 2);
    // The window is over: only what is still listed is remembered.
    edit.forget_consumed(&Listed { at: now, hashes: HashSet::from([ChunkHash([3; 16])]) });
    assert_eq!(edit.manifest.consumed.iter().map(|c| c.hash).collect::<Vec<_>>(), [ChunkHash([3; 16])]);
}

#[test]
fn labels_beyond_the_bound_stay_in_the_footers() {
    let mut edit = Edit::of(&DayManifest::empty(day(0)), Timestamp(0));
    edit.add(&(0..100).map(|id| entry(id, 60 << 10)).collect::<Vec<_>>());
    let inline: usize = edit.manifest.chunks.iter().filter_map(|entry| entry.labels.as_ref()).map(|labels| labels.len()).sum();
    assert!((3 << 20..=4 << 20).contains(&inline), "{inline}");
}

/// Figures for RFC 0002.
#[test]
#[ignore = "prints figures"]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn manifest_sizes() {
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    println!("| streams | day manifest | of it labels | label manifest in the footer |\n|---|---|---|---|");
    for streams in [10u64, 1_000, 100_000] {
        let mut first_row = 0;
        let manifests = (0..streams).map(|n| {
            let app = n / 10;
            let pairs = [
                ("app", format!("app-{app}")),
                ("cluster", format!("c{}", app % 3)),
                ("container", format!("app-{app}")),
                ("namespace", format!("ns-{}", app % 20)),
                ("pod", format!("app-{app}-{:x}-{:x}", random() & 0xffff_ffff, random() & 0xfffff)),
                ("service_name", format!("app-{app}")),
            ];
            let minutes: Vec<MinuteCount> =
                (0..1440).filter(|minute| minute % 60 < 10).map(|minute| MinuteCount { minute, rows: random() % 50 + 1, bytes: random() % 5000 }).collect();
            let (rows, bytes) = (minutes.iter().map(|m| m.rows).sum(), minutes.iter().map(|m| m.bytes).sum());
            let (min, max) = (i64::try_from(random() % 59_999_999_999).unwrap() + 1, 1389 * MINUTE + i64::try_from(random() % 59_999_999_999).unwrap() + 1);
            let stream =
                StreamManifest { labels: LabelSet::from_pairs(pairs).unwrap(), first_row, rows, min: Timestamp(min), max: Timestamp(max), bytes, minutes };
            first_row += rows;
            stream
        });
        let manifest = ChunkManifest { streams: manifests.collect(), pushes: Vec::new() };
        assert_eq!(manifest.validate(), Ok(()));
        let frame = zstd::bulk::compress(&manifest.encode(), 6).unwrap();
        let mut described = entry(1, 0);
        described.labels = (frame.len() <= 64 << 10).then(|| frame.clone().into());
        let inline = described.labels.as_ref().map_or(0, |labels| labels.len());
        let mut edit = Edit::of(&DayManifest::empty(day(0)), Timestamp(0));
        edit.add(&[described]);
        let whole = zstd::bulk::compress(&edit.manifest.encode(), 3).unwrap().len();
        println!("| {streams} | {:.1} KB | {:.1} KB | {:.1} KB |", whole as f64 / 1e3, inline as f64 / 1e3, frame.len() as f64 * 4.0 / 3.0 / 1e3);
    }
}
