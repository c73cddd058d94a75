//! The guarantees that a store must give, as checks that run against any store.
//! Owns: what is checked; it is the definition of "works like S3" in this crate.
//! Must not know: which store it is.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::single_range_in_vec_init, reason = "a failed check ends the test that runs it")]

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;

use super::counter::swap_counter;
use crate::error::ErrorKind;
use crate::object::{CreateOutcome, ObjectClient, Op, OpResult, PutOutcome, RequestStats, SwapOutcome, Version};

/// Runs every check; panics in the first that fails. `open` opens a client whose root is new and empty for every name it is given. About 6000 requests.
pub async fn object_suite(open: &(dyn Fn(&str) -> ObjectClient + Send + Sync)) {
    object_suite_with(open, 100).await;
}

/// As [`object_suite`], with this many rounds of the race of creates, for servers that take seconds for a round.
pub async fn object_suite_with(open: &(dyn Fn(&str) -> ObjectClient + Send + Sync), race_rounds: usize) {
    open("probe").probe().await.unwrap();
    whole_objects(&open("whole")).await;
    ranges(&open("ranges")).await;
    weird_keys(&open("keys")).await;
    refused_keys(&open("refused")).await;
    folders(&open("folders")).await;
    many_keys(&open("many")).await;
    creates_race(&open("race"), 16, race_rounds).await;
    swaps(&open("swaps")).await;
    swap_counter(&open("counter"), "counter", 8, 12).await;
    deletes(&open("deletes")).await;
    request_counts(&open("counts")).await;
    format(&open("format")).await;
}

/// Create, read, create again, sizes from nothing to some megabytes.
pub async fn whole_objects(client: &ObjectClient) {
    for size in [0usize, 1, 4096, 3 << 20] {
        let key = format!("whole/{size}");
        let body = pattern(size);
        assert_eq!(client.head(&key).await.unwrap(), None);
        assert_eq!(client.get(&key).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(client.create(&key, body.clone()).await.unwrap(), PutOutcome::Created);
        assert_eq!(client.get(&key).await.unwrap(), body);
        let info = client.head(&key).await.unwrap().unwrap();
        assert_eq!((info.key.as_str(), info.size), (key.as_str(), u64::try_from(size).unwrap()));
        assert_eq!(client.create_or_head(&key, Bytes::from_static(b"other")).await.unwrap(), CreateOutcome::Existing(info.clone()));
        let (found, version) = client.get_versioned(&key).await.unwrap().unwrap();
        assert_eq!((found, version), (body, info.version.clone()));
        assert_eq!(client.list("whole").await.unwrap().iter().find(|listed| listed.key == key), Some(&info), "LIST and HEAD agree");
    }
}

/// Ranges, suffixes, and what lies outside.
pub async fn ranges(client: &ObjectClient) {
    let body = pattern(100_000);
    client.create("object", body.clone()).await.unwrap();
    client.create("empty", Bytes::new()).await.unwrap();
    let wanted = [0..1u64, 99_999..100_000, 5..5, 10..20, 0..100_000, 20..30, 7..50_007];
    let found = client.get_ranges("object", &wanted).await.unwrap();
    let expected: Vec<Bytes> = wanted.iter().map(|range| body.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap())).collect();
    assert_eq!(found, expected);
    assert_eq!(client.get_ranges("object", &[]).await.unwrap(), Vec::<Bytes>::new());
    for (bytes, start) in [(1u64, 99_999usize), (1000, 99_000), (100_000, 0), (200_000, 0)] {
        assert_eq!(client.get_suffix("object", bytes).await.unwrap(), (body.slice(start..), 100_000));
    }
    assert_eq!(client.get_suffix("empty", 8).await.unwrap(), (Bytes::new(), 0));
    for outside in [99_999..100_001, 100_000..100_001, 500_000..500_001, 0..u64::MAX] {
        let error = client.get_ranges("object", &[0..1, outside.clone()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Precondition, "{outside:?}: {}", error.chain());
        assert!(error.to_string().contains("100000 bytes"), "{error}");
    }
    assert_eq!(client.get_ranges("empty", &[0..1]).await.unwrap_err().kind(), ErrorKind::Precondition);
    #[expect(clippy::reversed_empty_ranges, reason = "the check is that it is refused")]
    let reversed = client.get_ranges("object", &[10..5]).await.unwrap_err();
    assert_eq!(reversed.kind(), ErrorKind::Invalid);
    assert_eq!(client.get_suffix("object", 0).await.unwrap_err().kind(), ErrorKind::Invalid);
    for error in [client.get_ranges("missing", &[0..1]).await.unwrap_err(), client.get_suffix("missing", 1).await.map(|_| ()).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

const WEIRD: [&str; 14] = [
    "t=fake/l0/a/x-1.parquet",
    "t=it's/(a)/!b/*c",
    "date=2026-01-01/hour=03/p=a b",
    "plus+and&and=and?and#",
    "percent%41%2F%",
    "tilde~at@colon:comma,semi;",
    "brackets[]{}<>|^`\"",
    "dots/..a/b..c/.hidden",
    "umlaut-ü-ß",
    "日本/ログ",
    "emoji-🦀",
    "UPPER/lower",
    "upper/lower",
    "-dash/--x",
];

/// Every character that a key may have survives create, read, LIST, swap and delete, and keys do not run into each other.
pub async fn weird_keys(client: &ObjectClient) {
    for key in WEIRD {
        assert_eq!(client.create(key, Bytes::from(key)).await.unwrap(), PutOutcome::Created, "{key}");
    }
    let mut expected: Vec<String> = WEIRD.iter().map(|key| (*key).to_owned()).collect();
    expected.sort_unstable();
    assert_eq!(keys(client, "").await, expected);
    for key in WEIRD {
        let (body, version) = client.get_versioned(key).await.unwrap().unwrap();
        assert_eq!(body, Bytes::from(key));
        assert!(matches!(client.swap(key, Bytes::from(format!("{key} 2")), Some(&version)).await.unwrap(), SwapOutcome::Committed(_)), "{key}");
        assert_eq!(client.get_ranges(key, &[0..1]).await.unwrap()[0], Bytes::from(key).slice(0..1));
        if let Some((folder, _)) = key.rsplit_once('/') {
            assert!(keys(client, folder).await.contains(&key.to_owned()), "{folder} lists {key}");
        }
        client.delete(key).await.unwrap();
        assert_eq!(client.head(key).await.unwrap(), None);
    }
    assert!(keys(client, "").await.is_empty());
}

/// No request is made for a key that could leave the store.
pub async fn refused_keys(client: &ObjectClient) {
    let body = Bytes::from_static(b"x");
    for key in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".tarn/lock", "a\nb", "a\\b", "a\0b"] {
        let kinds = [
            client.create(key, body.clone()).await.unwrap_err().kind(),
            client.swap(key, body.clone(), None).await.unwrap_err().kind(),
            client.get(key).await.unwrap_err().kind(),
            client.head(key).await.unwrap_err().kind(),
            client.delete(key).await.unwrap_err().kind(),
        ];
        assert_eq!(kinds, [ErrorKind::Invalid; 5], "{key:?}");
    }
    assert_eq!(client.list("../").await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(client.stats().snapshot().total(), 0, "a refused key costs no request");
}

/// A prefix is whole segments.
pub async fn folders(client: &ObjectClient) {
    for key in ["a", "b/c", "b/c2/d", "b/c/d", "bc/d", "b-/d", "b0/d"].into_iter().filter(|key| *key != "b/c") {
        client.create(key, Bytes::from_static(b"1")).await.unwrap();
    }
    assert_eq!(keys(client, "").await, ["a", "b-/d", "b/c/d", "b/c2/d", "b0/d", "bc/d"]);
    for prefix in ["b", "b/"] {
        assert_eq!(keys(client, prefix).await, ["b/c/d", "b/c2/d"], "{prefix}");
    }
    assert_eq!(keys(client, "b/c").await, ["b/c/d"]);
    for nothing in ["b/c/d", "a", "zzz", "b/c/d/e/f"] {
        assert!(keys(client, nothing).await.is_empty(), "{nothing} is no folder with objects");
    }
    for (prefix, names) in [("", ["b", "b-", "b0", "bc"].as_slice()), ("b", &["c", "c2"]), ("b/", &["c", "c2"]), ("b/c", &[]), ("a", &[]), ("zzz", &[])] {
        assert_eq!(client.folders(prefix).await.unwrap(), names, "folders of '{prefix}'");
    }
    assert_eq!(client.folders("../").await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(client.head("b").await.unwrap(), None, "a folder is no object");
    assert_eq!(client.get("b/c").await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// LIST is complete and ordered beyond one page, and each create is in it at once.
pub async fn many_keys(client: &ObjectClient) {
    let expected: BTreeSet<String> = (0..1203u32).map(|number| format!("l0/{:x}/{:08x}-{number}", number % 7, number.wrapping_mul(2_654_435_761))).collect();
    let outcomes: Vec<PutOutcome> = futures::stream::iter(&expected)
        .map(|key| async move { client.create(key, Bytes::from(key.clone())).await.unwrap() })
        .buffer_unordered(24)
        .collect()
        .await;
    assert!(outcomes.iter().all(|outcome| *outcome == PutOutcome::Created));
    client.create("l1/other", Bytes::new()).await.unwrap();
    let before = client.stats().snapshot();
    let listed = client.list("l0/").await.unwrap();
    assert!(listed.iter().map(|info| &info.key).eq(&expected), "LIST shows all {} objects in order, got {}", expected.len(), listed.len());
    assert!(listed.iter().all(|info| info.size == u64::try_from(info.key.len()).unwrap()));
    assert_eq!(client.stats().snapshot().since(&before).requests(Op::List, OpResult::Ok), 2, "a LIST of 1203 keys is two requests");
    let before = client.stats().snapshot();
    assert_eq!(client.folders("").await.unwrap(), ["l0", "l1"]);
    assert_eq!(client.folders("l0").await.unwrap(), ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(client.stats().snapshot().since(&before).of(Op::List), 2, "folders are listed without the objects in them");
    for number in 0..10u32 {
        let key = format!("l0/new/{number}");
        client.create(&key, Bytes::new()).await.unwrap();
        assert!(keys(client, "l0/new").await.contains(&key));
    }
}

/// Of `writers` that create one key at once exactly one wins, and the object is the winner's; `rounds` times.
pub async fn creates_race(client: &ObjectClient, writers: usize, rounds: usize) {
    for round in 0..rounds {
        let key = format!("race/{round}");
        let bodies: Vec<Bytes> = (0..writers).map(|writer| Bytes::from(vec![u8::try_from(writer).unwrap(); 1000 + writer])).collect();
        let tasks: Vec<_> = bodies
            .iter()
            .map(|body| {
                let (client, key, body) = (client.clone(), key.clone(), body.clone());
                tokio::spawn(async move { client.create(&key, body).await })
            })
            .collect();
        let outcomes: Vec<PutOutcome> = join_all(tasks).await.into_iter().map(|joined| joined.unwrap().unwrap()).collect();
        let winners: Vec<usize> = (0..writers).filter(|writer| outcomes[*writer] == PutOutcome::Created).collect();
        assert_eq!(winners.len(), 1, "round {round}: writers {winners:?} were told that they created the object");
        assert_eq!(client.get(&key).await.unwrap(), bodies[winners[0]], "round {round}");
    }
}

/// Compare-and-swap in sequence.
pub async fn swaps(client: &ObjectClient) {
    let (one, two, three) = (Bytes::from_static(b"one"), Bytes::from_static(b"two"), Bytes::from_static(b"3"));
    let first = committed(client.swap("m/day", one.clone(), None).await.unwrap());
    assert_eq!(client.swap("m/day", two.clone(), None).await.unwrap(), SwapOutcome::Conflict, "None expects no object");
    let second = committed(client.swap("m/day", two.clone(), Some(&first)).await.unwrap());
    assert_ne!(first, second);
    assert_eq!(client.swap("m/day", three.clone(), Some(&first)).await.unwrap(), SwapOutcome::Conflict, "an old version");
    assert_eq!(client.get_versioned("m/day").await.unwrap(), Some((two.clone(), second.clone())));
    assert_eq!(client.head("m/day").await.unwrap().unwrap().version, second);
    assert_eq!(client.swap("m/missing", three.clone(), Some(&second)).await.unwrap(), SwapOutcome::Conflict, "a missing object");
    assert_eq!(client.head("m/missing").await.unwrap(), None);
    assert_eq!(client.swap("m/day", three.clone(), Some(&Version::new("\"never\""))).await.unwrap(), SwapOutcome::Conflict);
    let third = committed(client.swap("m/day", three.clone(), Some(&second)).await.unwrap());
    assert_eq!(client.get_versioned("m/day").await.unwrap(), Some((three.clone(), third.clone())));
    client.delete("m/day").await.unwrap();
    assert_eq!(client.swap("m/day", one.clone(), Some(&third)).await.unwrap(), SwapOutcome::Conflict, "a deleted object");
    committed(client.swap("m/day", one, None).await.unwrap());
    // A created object can be swapped by the version that HEAD and LIST give.
    client.create("m/created", two).await.unwrap();
    let listed = client.list("m").await.unwrap().into_iter().find(|info| info.key == "m/created").unwrap();
    committed(client.swap("m/created", three, Some(&listed.version)).await.unwrap());
}

/// Deletes are idempotent, seen at once, and free the key.
pub async fn deletes(client: &ObjectClient) {
    client.delete("never/there").await.unwrap();
    for _ in 0..5 {
        assert_eq!(client.create("d/x", Bytes::from_static(b"1")).await.unwrap(), PutOutcome::Created);
        client.create("d/y", Bytes::from_static(b"2")).await.unwrap();
        client.delete("d/x").await.unwrap();
        client.delete("d/x").await.unwrap();
        assert_eq!(client.head("d/x").await.unwrap(), None);
        assert_eq!(keys(client, "d").await, ["d/y"]);
    }
}

/// The bill is what was asked for: a create is one request.
pub async fn request_counts(client: &ObjectClient) {
    let scope = Arc::new(RequestStats::new());
    let counted = client.with_stats(Arc::clone(&scope));
    counted.create("c/1", pattern(1000)).await.unwrap();
    let after_create = scope.snapshot();
    assert_eq!((after_create.total(), after_create.requests(Op::Put, OpResult::Ok), after_create.bytes_sent), (1, 1, 1000), "a create is one request");
    counted.create("c/1", pattern(1000)).await.unwrap();
    let again = scope.snapshot().since(&after_create);
    assert_eq!((again.total(), again.requests(Op::Put, OpResult::Exists), again.requests(Op::Head, OpResult::Ok), again.bytes_sent), (2, 1, 1, 0));
    let before = scope.snapshot();
    counted.get_ranges("c/1", &[0..10, 500..600]).await.unwrap();
    counted.get_suffix("c/1", 50).await.unwrap();
    assert_eq!(counted.head("c/2").await.unwrap(), None);
    counted.list("c").await.unwrap();
    counted.list("nothing").await.unwrap();
    counted.delete("c/1").await.unwrap();
    let rest = scope.snapshot().since(&before);
    assert_eq!((rest.requests(Op::Get, OpResult::Ok), rest.bytes_received), (3, 160));
    assert_eq!((rest.requests(Op::Head, OpResult::NotFound), rest.requests(Op::List, OpResult::Ok), rest.requests(Op::Delete, OpResult::Ok)), (1, 2, 1));
    assert_eq!(rest.total(), 7);
    client.head("c/1").await.unwrap();
    assert_eq!(client.stats().snapshot().total(), scope.snapshot().total() + 1, "the client's totals hold the scope's");
}

/// A new store gets its format once, and is recognised after.
pub async fn format(client: &ObjectClient) {
    let (first, second) = tokio::join!(client.ensure_format(), client.ensure_format());
    first.unwrap();
    second.unwrap();
    let body = client.get("tarn.json").await.unwrap();
    assert!(body.starts_with(b"{\"format_version\":1,"), "{body:?}");
    client.ensure_format().await.unwrap();
    assert_eq!(client.get("tarn.json").await.unwrap(), body, "an existing store keeps its tarn.json");
}

fn committed(outcome: SwapOutcome) -> Version {
    match outcome {
        SwapOutcome::Committed(version) => Some(version),
        SwapOutcome::Conflict | SwapOutcome::Unknown => None,
    }
    .unwrap()
}

async fn keys(client: &ObjectClient, prefix: &str) -> Vec<String> {
    client.list(prefix).await.unwrap().into_iter().map(|info| info.key).collect()
}

/// Bytes that differ from place to place.
fn pattern(size: usize) -> Bytes {
    (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 11).to_le_bytes()[0]).collect::<Vec<u8>>().into()
}
