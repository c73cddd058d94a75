//! Day manifests to bytes and back.

use proptest::prelude::*;
use ulid::Ulid;

use super::*;
use crate::key::{ChunkHash, LabelBloom};
use crate::labels::LabelSet;
use crate::level1::{Level1Key, Partition};
use crate::manifest::ManifestError;
use crate::tenant::TenantId;

fn tenant() -> TenantId {
    TenantId::parse("team").unwrap()
}

fn day() -> Day {
    Day::parse("2026-11-01").unwrap()
}

fn entry(id: u128, hour: Option<u8>, partition: &str, labels: Option<Vec<u8>>) -> ChunkEntry {
    let key = Level1Key { tenant: tenant(), day: day(), hour, partition: Partition::of_value(partition), id: Ulid(id) };
    let start = day().start().as_nanos() + i64::from(hour.unwrap_or(0)) * NANOS_PER_HOUR;
    let set = LabelSet::from_pairs([("app", "x")]).unwrap();
    ChunkEntry {
        key,
        size: 1000,
        checksum: [7; 16],
        rows: 10,
        bytes: 100,
        min: Timestamp(start),
        max: Timestamp(start + NANOS_PER_HOUR - 1),
        streams: 1,
        footer: 100,
        bloom: LabelBloom::of_streams([&set]),
        labels: labels.map(Into::into),
    }
}

fn manifest() -> DayManifest {
    let replaced = entry(9, Some(3), "web", None).key;
    DayManifest {
        generation: 3,
        commits: vec![CommitId([1; 16]), CommitId([2; 16])],
        chunks: vec![entry(1, None, "api", Some(vec![1, 2, 3])), entry(2, Some(0), "web", None), entry(3, Some(23), "web", Some(Vec::new()))],
        consumed: vec![Consumed { hash: ChunkHash([3; 16]), at: Timestamp(5) }, Consumed { hash: ChunkHash([4; 16]), at: Timestamp(-5) }],
        replaced: vec![Replaced { key: replaced, at: Timestamp(77) }],
        deletes_done: vec!["a".into(), "b".into()],
        ..DayManifest::empty(day())
    }
}

#[test]
fn a_manifest_survives_the_way_through_bytes() {
    for manifest in [DayManifest::empty(day()), manifest()] {
        assert_eq!(DayManifest::decode(&tenant(), day(), &manifest.encode()), Ok(manifest));
    }
    let found = manifest();
    assert!(found.has_consumed(&ChunkHash([4; 16])) && !found.has_consumed(&ChunkHash([5; 16])));
    assert!(found.has_commit(&CommitId([2; 16])) && !found.has_commit(&CommitId([3; 16])));
    assert_eq!(found.objects().len(), 4);
}

#[test]
fn the_first_version_loads_for_ever() {
    let kept = include_bytes!("../../tests/compat/day-manifest-v1.bin");
    assert_eq!(DayManifest::decode(&tenant(), day(), kept), Ok(manifest()));
}

#[test]
fn other_days_versions_and_rests_are_refused() {
    let bytes = manifest().encode();
    let other = Day::parse("2026-11-02").unwrap();
    assert!(DayManifest::decode(&tenant(), other, &bytes).is_err());
    let mut newer = bytes.clone();
    newer[0] = 2;
    assert_eq!(DayManifest::decode(&tenant(), day(), &newer), Err(ManifestError::Version { version: 2 }));
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(DayManifest::decode(&tenant(), day(), &longer).is_err());
    for cut in 0..bytes.len() {
        assert!(DayManifest::decode(&tenant(), day(), &bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn contradictions_are_refused() {
    type Change = fn(&mut DayManifest);
    let broken: [(&str, Change); 7] = [
        ("order of chunks", |m| m.chunks.reverse()),
        ("a chunk twice", |m| m.chunks.push(m.chunks[2].clone())),
        ("order of consumed chunks", |m| m.consumed.reverse()),
        ("live and replaced", |m| m.replaced[0].key = m.chunks[0].key.clone()),
        ("no rows", |m| m.chunks[0].rows = 0),
        ("rows of another day", |m| m.chunks[0].max = Timestamp(m.chunks[0].max.as_nanos() + NANOS_PER_DAY)),
        ("rows of another hour", |m| m.chunks[1].max = Timestamp(m.chunks[1].max.as_nanos() + 1)),
    ];
    for (what, change) in broken {
        let mut changed = manifest();
        change(&mut changed);
        assert!(changed.validate().is_err(), "{what}");
        assert!(DayManifest::decode(&tenant(), day(), &changed.encode()).is_err(), "{what}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..400, flip in 0usize..400, bit in 0u8..8) {
        let _ = DayManifest::decode(&tenant(), day(), &bytes);
        bytes = manifest().encode();
        bytes.truncate(cut.max(1));
        if let Some(byte) = bytes.get_mut(flip) {
            *byte ^= 1 << bit;
        }
        if let Ok(read) = DayManifest::decode(&tenant(), day(), &bytes) {
            prop_assert_eq!(read.validate(), Ok(()));
        }
    }
}

/// Writes the fixture of the current version; kept fixtures are never rewritten.
#[test]
#[ignore = "writes a file"]
fn write_fixture() {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compat/day-manifest-v1.bin"), manifest().encode()).unwrap();
}
