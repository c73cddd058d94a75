use super::*;
use crate::time::NANOS_PER_MINUTE;
use proptest::prelude::*;

/// `chunk-manifest-v1.bin` was written once by format version 1 and must be readable for ever. It is the encoding of [`fixture`].
const FIXTURE_V1: &[u8] = include_bytes!("../../tests/compat/chunk-manifest-v1.bin");

fn minute(minute: i64, rows: u64, bytes: u64) -> MinuteCount {
    MinuteCount { minute, rows, bytes }
}

fn fixture() -> ChunkManifest {
    const T: i64 = 1_763_784_000_000_000_000; // 2025-11-22T04:00:00Z, the last instant of bucket 29396399
    let stream = |labels: &str, first_row, rows, min, max, bytes, minutes| StreamManifest {
        labels: LabelSet::parse(labels).unwrap(),
        first_row,
        rows,
        min: Timestamp(min),
        max: Timestamp(max),
        bytes,
        minutes,
    };
    ChunkManifest {
        streams: vec![
            stream(r#"{pod="api-1", service_name="api"}"#, 0, 3, T, T + 59_999_999_999, 300, vec![minute(29_396_399, 1, 100), minute(29_396_400, 2, 200)]),
            stream(
                r#"{pod="api-2", service_name="api"}"#,
                3,
                10,
                T + 1,
                T + 600_000_000_000,
                1234,
                vec![minute(29_396_400, 4, 0), minute(29_396_403, 5, 1000), minute(29_396_409, 1, 234)],
            ),
            stream(r#"{service_name="ünïcode \"x\""}"#, 13, 1, -1, -1, 0, vec![minute(-1, 1, 0)]),
        ],
        pushes: vec![ChunkHash(*b"0123456789abcdef"), ChunkHash([0xff; 16])],
    }
}

#[test]
fn version_1_can_be_read_for_ever() {
    assert_eq!(ChunkManifest::decode(FIXTURE_V1).unwrap(), fixture());
}

#[test]
fn encoding_is_that_of_the_fixture() {
    assert_eq!(fixture().encode(), FIXTURE_V1);
}

#[test]
fn every_cut_and_a_newer_version_are_errors() {
    for end in 0..FIXTURE_V1.len() {
        assert!(ChunkManifest::decode(&FIXTURE_V1[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(ChunkManifest::decode(&[&[2], &FIXTURE_V1[1..]].concat()), Err(ManifestError::Version { version: 2 }));
    assert!(matches!(ChunkManifest::decode(&[FIXTURE_V1, &[0]].concat()), Err(ManifestError::Invalid { what: "bytes after the end", .. })));
}

#[test]
fn a_huge_count_in_few_bytes_allocates_nothing() {
    for at in 1..FIXTURE_V1.len() {
        let mut bytes = FIXTURE_V1[..at].to_vec();
        bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert!(ChunkManifest::decode(&bytes).is_err());
    }
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    type Breakage = (&'static str, fn(&mut ChunkManifest));
    let broken: [Breakage; 9] = [
        ("gap between streams", |m| m.streams[1].first_row += 1),
        ("no rows", |m| m.streams[2].rows = 0),
        ("time order", |m| m.streams[0].max = Timestamp(0)),
        ("row counts", |m| m.streams[1].minutes[0].rows += 1),
        ("byte counts", |m| m.streams[1].bytes -= 1),
        ("minute order", |m| m.streams[1].minutes[1].minute = 29_396_409),
        ("a row on a whole minute that counts to the minute after", |m| m.streams[0].minutes[0].minute = 29_396_400),
        ("an empty minute", |m| m.streams[1].minutes[0].rows = 0),
        ("a stream twice", |m| m.streams[1].labels = m.streams[0].labels.clone()),
    ];
    fixture().validate().unwrap();
    for (what, break_it) in broken {
        let mut manifest = fixture();
        break_it(&mut manifest);
        assert!(manifest.validate().is_err(), "{what}");
    }
}

fn arbitrary_manifest() -> impl Strategy<Value = ChunkManifest> {
    let rows = proptest::collection::vec(
        (prop_oneof![any::<i64>(), 0i64..400_000_000_000, (-3i64..7).prop_map(|minute| minute * NANOS_PER_MINUTE)], 0u64..1000),
        1..20,
    );
    let labels = proptest::collection::btree_map("[a-c]{1,2}", "\\PC{1,4}", 0..4);
    let streams = proptest::collection::vec((labels, rows), 0..8);
    (streams, proptest::collection::vec(any::<[u8; 16]>(), 0..4)).prop_map(|(streams, pushes)| {
        let mut manifest = ChunkManifest { streams: Vec::new(), pushes: pushes.into_iter().map(ChunkHash).collect() };
        for (labels, mut rows) in streams {
            let labels = LabelSet::from_pairs(labels).unwrap();
            if manifest.streams.iter().any(|s| s.labels == labels) {
                continue;
            }
            rows.sort_unstable();
            let mut minutes: Vec<MinuteCount> = Vec::new();
            for (t, bytes) in &rows {
                let at = Timestamp(*t).minute_bucket();
                match minutes.last_mut().filter(|m| m.minute == at) {
                    Some(m) => (m.rows, m.bytes) = (m.rows + 1, m.bytes + bytes),
                    None => minutes.push(minute(at, 1, *bytes)),
                }
            }
            let first_row = manifest.rows();
            manifest.streams.push(StreamManifest {
                labels,
                first_row,
                rows: u64::try_from(rows.len()).unwrap(),
                min: Timestamp(rows[0].0),
                max: Timestamp(rows[rows.len() - 1].0),
                bytes: rows.iter().map(|r| r.1).sum(),
                minutes,
            });
        }
        manifest
    })
}

proptest! {
    #[test]
    fn round_trip(manifest in arbitrary_manifest()) {
        prop_assert_eq!(manifest.validate(), Ok(()));
        prop_assert_eq!(ChunkManifest::decode(&manifest.encode()), Ok(manifest));
    }

    #[test]
    fn arbitrary_bytes_are_an_error_or_a_valid_manifest(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(manifest) = ChunkManifest::decode(&[&[1], tail.as_slice()].concat()) {
            prop_assert_eq!(manifest.validate(), Ok(()));
        }
    }

    #[test]
    fn flipped_bytes_are_an_error_or_a_valid_manifest(manifest in arbitrary_manifest(), at: proptest::sample::Index, to: u8) {
        let mut bytes = manifest.encode();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(manifest) = ChunkManifest::decode(&bytes) {
            prop_assert_eq!(manifest.validate(), Ok(()));
        }
    }
}

/// Sizes for RFC 0001. Run with `cargo test -p schema manifest_sizes -- --nocapture --ignored`.
#[test]
#[ignore = "prints the figures of RFC 0001"]
fn manifest_sizes() {
    for streams in [10usize, 500, 5000] {
        for minutes in [1usize, 10] {
            let manifest = typical(streams, minutes);
            let raw = manifest.encode();
            let zstd = zstd::bulk::compress(&raw, 6).unwrap();
            println!("{streams} streams x {minutes} minutes: {} B raw, {} B zstd, {} B base64", raw.len(), zstd.len(), zstd.len().div_ceil(3) * 4);
            assert!(zstd.len().div_ceil(3) * 4 < streams * 100 + 1000);
        }
    }
}

/// Streams as Kubernetes agents name them: 6 labels, a random pod suffix, random nanosecond times.
fn typical(streams: usize, minutes: usize) -> ChunkManifest {
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut manifest =
        ChunkManifest { streams: Vec::new(), pushes: (0..4).map(|_| ChunkHash((u128::from(next()) << 64 | u128::from(next())).to_be_bytes())).collect() };
    for i in 0..streams {
        let service = format!("service-{}", i / 10);
        let pod = format!("{service}-{:010x}-{:05x}", next() >> 24, next() >> 44);
        let pairs = [
            ("cluster", "prod-eu-1".to_owned()),
            ("container", service.clone()),
            ("namespace", format!("team-{}", i / 50)),
            ("pod", pod),
            ("service_name", service),
            ("stream", if i % 2 == 0 { "stdout" } else { "stderr" }.to_owned()),
        ];
        let base = 1_763_784_000_000_000_000;
        let step = 60_000_000_000i64;
        let counts: Vec<MinuteCount> = (0..minutes).map(|m| minute(29_396_400 + i64::try_from(m).unwrap(), 1 + next() % 50, next() % 8000)).collect();
        let first_row = manifest.rows();
        manifest.streams.push(StreamManifest {
            labels: LabelSet::from_pairs(pairs).unwrap(),
            first_row,
            rows: counts.iter().map(|m| m.rows).sum(),
            min: Timestamp(base + 1 + i64::try_from(next() % 30_000_000_000).unwrap()),
            max: Timestamp(base + i64::try_from(minutes - 1).unwrap() * step + 30_000_000_000 + i64::try_from(next() % 29_000_000_000).unwrap()),
            bytes: counts.iter().map(|m| m.bytes).sum(),
            minutes: counts,
        });
    }
    manifest.validate().unwrap();
    manifest
}
