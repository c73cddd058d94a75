use super::*;
use crate::fixture::{DAY, MINUTE, commit, compacted, consumed, overwrite, push, rows, store, tenant};
use bytes::Bytes;
use schema::{LabelBloom, LabelSet, Timestamp};
use store::chunk::BuiltChunk;

struct Filled {
    client: ObjectClient,
    env: Env,
    pushed: BuiltChunk,
    entry: ChunkEntry,
}

/// A chunk of two pushes, one of a single push that is compacted, and its compacted form.
async fn filled() -> Filled {
    let (client, env) = store();
    let tenant = tenant();
    let a = rows(r#"{app="a"}"#, &[(DAY + MINUTE, "first"), (DAY + MINUTE, "second"), (DAY + 3 * MINUTE, "third")]);
    let b = rows(r#"{app="b"}"#, &[(DAY + 30, "of b")]);
    push(&client, &tenant, &[a, b]).await;
    let mut single = rows(r#"{app="c"}"#, &[(DAY + 2 * MINUTE, "later"), (DAY + MINUTE, "earlier"), (DAY + MINUTE, "earlier")]);
    single.runs.push(schema::StreamRun { labels: LabelSet::parse(r#"{app="d"}"#).unwrap(), rows: 3..4 });
    single.timestamps.push(DAY + 4);
    single.lines.push("ü".as_bytes());
    single.metadata.finish_row();
    let pushed = push(&client, &tenant, &[single]).await;
    let entry = compacted(&client, &pushed, Some(0), 1, true).await;
    let filled = Filled { client, env, pushed, entry };
    filled.set(filled.entry.clone()).await;
    filled
}

impl Filled {
    async fn set(&self, entry: ChunkEntry) {
        let hash = consumed(self.pushed.key.hash, &self.env);
        commit(&self.client, &self.env, &tenant(), Day::of(Timestamp(DAY)), |manifest| {
            manifest.chunks = vec![entry];
            manifest.consumed = vec![hash];
        })
        .await;
    }

    async fn verify(&self) -> VerifyReport {
        verify(&self.client, &self.env, None, &mut |_| {}).await.unwrap()
    }

    /// The only thing that is found, which must be about `object`.
    async fn finding(&self, object: &str) -> String {
        let report = self.verify().await;
        assert_eq!(report.findings.iter().map(|finding| finding.object.as_str()).collect::<Vec<_>>(), [object], "{:?}", report.findings);
        report.findings[0].problem.clone()
    }
}

fn level0(filled: &Filled) -> String {
    filled.pushed.key.to_string()
}

#[tokio::test]
async fn a_sound_store_has_no_findings_and_tells_its_progress() {
    let filled = filled().await;
    let mut told = Vec::new();
    let report = verify(&filled.client, &filled.env, None, &mut |progress: VerifyProgress<'_>| told.push((progress.objects, progress.total))).await.unwrap();
    assert_eq!((report.problems, report.findings.as_slice()), (0, [].as_slice()));
    assert_eq!((report.tenants, report.manifests, report.chunks, report.rows, report.orphans), (1, 1, 3, 10, 0));
    assert!(told.is_sorted() && told.last() == Some(&(4, 4)), "{told:?}");
    compacted(&filled.client, &filled.pushed, None, 9, true).await;
    let report = filled.verify().await;
    assert_eq!((report.problems, report.orphans), (0, 1));
}

#[tokio::test]
async fn any_flipped_byte_of_a_compacted_chunk_is_found() {
    let filled = filled().await;
    let name = filled.entry.key.to_string();
    let size = usize::try_from(filled.entry.size).unwrap();
    for at in (0..size).step_by(37) {
        let flip = |mut bytes: Vec<u8>| {
            bytes[at] ^= 0x10;
            bytes
        };
        overwrite(&filled.client, &name, flip).await;
        let report = filled.verify().await;
        assert!(report.findings.iter().all(|finding| finding.object == name), "{:?}", report.findings);
        assert!(report.findings.iter().any(|finding| finding.problem.contains("checksum")), "byte {at}: {:?}", report.findings);
        overwrite(&filled.client, &name, flip).await;
    }
}

#[tokio::test]
async fn a_chunk_that_is_missing_or_cut_is_found() {
    let filled = filled().await;
    let name = filled.entry.key.to_string();
    overwrite(&filled.client, &name, |mut bytes| {
        bytes.pop();
        bytes
    })
    .await;
    assert!(filled.finding(&name).await.contains("bytes, and its manifest says"));
    filled.client.delete(&name).await.unwrap();
    assert!(filled.finding(&name).await.contains("is missing"));
}

#[tokio::test]
async fn an_entry_that_is_wrong_is_found() {
    let filled = filled().await;
    let (name, good) = (filled.entry.key.to_string(), filled.entry.clone());
    let other = LabelBloom::of_streams(&[LabelSet::parse(r#"{app="zzz"}"#).unwrap()]);
    let elsewhere = store::chunk::build(&tenant(), &[rows(r#"{app="c"}"#, &[(DAY + MINUTE, "earlier")])]).unwrap();
    let wrong_labels = crate::fixture::entry(&elsewhere, good.key.clone(), true).labels;
    for (wrong, problem) in [
        (ChunkEntry { checksum: [7; 16], ..good.clone() }, "checksum"),
        (ChunkEntry { size: good.size + 1, ..good.clone() }, "bytes, and its manifest says"),
        (ChunkEntry { rows: 5, ..good.clone() }, "number of rows"),
        (ChunkEntry { bytes: 5, ..good.clone() }, "says 5 line bytes, and its footer 14"),
        (ChunkEntry { streams: 7, ..good.clone() }, "says 7 streams, and its footer 2"),
        (ChunkEntry { max: Timestamp(DAY + 5 * MINUTE), ..good.clone() }, "time range"),
        (ChunkEntry { bloom: other, ..good.clone() }, "hides app="),
        (ChunkEntry { labels: wrong_labels, ..good.clone() }, "not those in its footer"),
        (ChunkEntry { labels: Some(Box::from([1, 2, 3])), ..good.clone() }, "cannot be read"),
    ] {
        filled.set(wrong).await;
        let found = filled.finding(&name).await;
        assert!(found.contains(problem), "{problem}: {found}");
    }
    filled.set(good).await;
    assert_eq!(filled.verify().await.problems, 0);
}

#[tokio::test]
async fn damage_of_what_was_pushed_is_found() {
    let filled = filled().await;
    let name = level0(&filled);
    let size = filled.pushed.bytes.len();
    let (mut found, mut flipped) = (0, 0);
    for at in (0..size).step_by(7) {
        let flip = |mut bytes: Vec<u8>| {
            bytes[at] ^= 0x10;
            bytes
        };
        overwrite(&filled.client, &name, flip).await;
        let report = filled.verify().await;
        assert!(report.findings.iter().all(|finding| finding.object == name), "{:?}", report.findings);
        // Nothing says what all the bytes of such an object were, but its name says what its rows were: what is not found is in no row.
        assert!(report.problems > 0 || report.rows == 10, "byte {at}");
        found += usize::from(report.problems > 0);
        flipped += 1;
        overwrite(&filled.client, &name, flip).await;
    }
    assert!(found * 2 > flipped, "{found} of {flipped}");
    // Another chunk's body under this name.
    let other = store::chunk::build(&tenant(), &[rows(r#"{app="c"}"#, &[(DAY + MINUTE, "earlier")])]).unwrap();
    overwrite(&filled.client, &name, |_| other.bytes.to_vec()).await;
    assert!(filled.finding(&name).await.contains("disagree"));
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_found_and_its_chunks_are_no_orphans() {
    let filled = filled().await;
    let key = schema::key::day_manifest_key(&tenant(), Day::of(Timestamp(DAY)));
    overwrite(&filled.client, &key, |mut bytes| {
        bytes.truncate(20);
        bytes
    })
    .await;
    assert!(!filled.finding(&key).await.is_empty());
    assert_eq!(filled.verify().await.orphans, 0);
}

#[tokio::test]
async fn objects_of_no_known_name_are_found() {
    let filled = filled().await;
    for name in ["t=team-a/l0/a/README", "t=team-a/l1/date=2026-11-01/x.parquet", "t=team-a/m/2026-13-01", "t=team-a/other", "t=team-a/l2/x"] {
        filled.client.create(name, Bytes::from_static(b"x")).await.unwrap();
        assert!(!filled.finding(name).await.is_empty());
        filled.client.delete(name).await.unwrap();
    }
    filled.client.create("t=team-a/m/deletes", Bytes::from_static(b"{")).await.unwrap();
    assert!(filled.finding("t=team-a/m/deletes").await.contains("delete requests"));
    filled.client.delete("t=team-a/m/deletes").await.unwrap();
    filled.client.create("t=a b/l0/x", Bytes::from_static(b"x")).await.unwrap();
    assert!(filled.finding("t=a b").await.contains("no tenant"));
}

/// Rows as a reader would hand them out, against a footer that says something else of them.
mod row_checks {
    use std::ops::Range;

    use futures::StreamExt as _;
    use schema::{ChunkHash, ChunkManifest, StreamManifest};
    use store::chunk::{ChunkCache, ChunkColumns, ChunkReader};

    use super::*;
    use crate::verify::rows::RowChecker;

    async fn problem_of(change: impl FnOnce(&mut ChunkManifest), hash: Option<ChunkHash>, selection: Range<u64>) -> Option<String> {
        let filled = filled().await;
        let reader = ChunkReader::open(&filled.client, &filled.pushed.reference(), &ChunkCache::new(0)).await.unwrap();
        let mut manifest = reader.manifest().clone();
        change(&mut manifest);
        let mut checker = RowChecker::new(&manifest, hash);
        let selection = std::iter::once(selection).collect();
        let mut batches = reader.read(&filled.client, selection, ChunkColumns::ALL);
        while let Some(batch) = batches.next().await {
            checker.add(&batch.unwrap());
        }
        checker.finish()
    }

    fn first(manifest: &mut ChunkManifest) -> &mut StreamManifest {
        &mut manifest.streams[0]
    }

    #[tokio::test]
    async fn rows_that_are_as_said_have_no_problem() {
        assert_eq!(problem_of(|_| {}, None, 0..3).await, None);
    }

    #[tokio::test]
    async fn rows_that_are_not_as_said_have_one() {
        let of = |text: Option<String>| text.unwrap_or_default();
        assert!(of(problem_of(|_| {}, Some(ChunkHash([3; 16])), 0..3).await).contains("content hash"));
        assert!(of(problem_of(|m| first(m).minutes[0].bytes += 1, None, 0..3).await).contains("per minute"));
        assert!(of(problem_of(|m| first(m).min = Timestamp(1), None, 0..3).await).contains("per minute"));
        assert!(of(problem_of(|m| drop(m.streams.pop()), None, 0..3).await).contains("more rows than its footer"));
        assert!(of(problem_of(|_| {}, None, 0..1).await).contains("and its footer says 3"));
        assert!(of(problem_of(|_| {}, None, 1..3).await).contains("came row 1"));
        // Both streams as one: the second begins earlier than the first ends.
        let merged = |m: &mut ChunkManifest| {
            first(m).rows = 3;
            m.streams.truncate(1);
        };
        assert!(of(problem_of(merged, None, 0..3).await).contains("older than the one before"));
    }
}
