//! Whole runs over a store in memory: what is there before is there afterwards, in fewer objects, whatever is in the way.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use schema::day::{NANOS_PER_DAY, NANOS_PER_HOUR};
use schema::{DeleteRequest, LabelSet, MatchOp, Matcher, RowBatch, TimeRange, Timestamp};
use store::chunk::{ChunkColumns, MetadataSet};
use store::object::Op;
use store::snapshot::Snapshot;
use store::testing::rules::Rule;
use store::testing::{Fault, FaultyStore};

use super::*;
use crate::fixture::{DAY, MINUTE, push, rows, store, tenant};
use crate::predicate::{NoDeletes, RowPredicate};
use crate::settings::{PlanSettings, RetentionRule, TenantSettings};

const HOUR: i64 = NANOS_PER_HOUR;

fn settings() -> Settings {
    Settings { plan: PlanSettings::default().eager(), ..Settings::default() }
}

fn compactor(client: &ObjectClient, env: &Env, settings: Settings) -> Compactor {
    Compactor::new(client.clone(), env.clone(), settings, Arc::new(NoDeletes))
}

/// A row as a query would see it.
type Row = (String, i64, String);

/// Every row that a snapshot shows, sorted, copies included; rows of active deletes too.
async fn physical(client: &ObjectClient) -> Vec<Row> {
    let cache = ChunkCache::new(1 << 20);
    let all = TimeRange::new(Timestamp::MIN, Timestamp::MAX);
    let snapshot = Snapshot::load(client, &tenant(), &all, &[], &cache).await.unwrap();
    let mut found = Vec::new();
    for chunk in &snapshot.chunks {
        let reader = ChunkReader::open(client, &chunk.chunk, &cache).await.unwrap();
        for stream in &chunk.manifest().streams {
            let selection = std::iter::once(stream.first_row..stream.first_row + stream.rows).collect();
            let batches: Vec<_> = reader.read(client, selection, ChunkColumns::ALL).try_collect().await.unwrap();
            for batch in batches {
                let (times, lines) = (batch.timestamps.unwrap(), batch.lines.unwrap());
                for row in 0..batch.rows {
                    let at = times.value(row);
                    if chunk.ranges.iter().any(|range| range.contains(Timestamp(at))) {
                        found.push((stream.labels.to_string(), at, String::from_utf8(lines.value(row).to_vec()).unwrap()));
                    }
                }
            }
        }
    }
    found.sort();
    found
}

/// What is in a batch, as [`physical`] shows it.
fn rows_of(batches: &[RowBatch]) -> Vec<Row> {
    let mut all = BTreeSet::new();
    for batch in batches {
        for run in &batch.runs {
            for row in run.rows.clone() {
                all.insert((run.labels.to_string(), batch.timestamps[row], String::from_utf8(batch.lines.get(row).unwrap().to_vec()).unwrap()));
            }
        }
    }
    all.into_iter().collect()
}

/// Batches of two services over `hours` hours of the day, one a minute.
fn some_batches(hours: i64) -> Vec<RowBatch> {
    (0..hours * 4)
        .map(|n| {
            let at = DAY + n * 15 * MINUTE;
            let lines: Vec<(i64, String)> = (0..20).map(|k| (at + k * 1000, format!("line {n} {k}"))).collect();
            let lines: Vec<(i64, &str)> = lines.iter().map(|(at, line)| (*at, line.as_str())).collect();
            rows(if n % 2 == 0 { r#"{app="a", service_name="a"}"# } else { r#"{app="b", service_name="b"}"# }, &lines)
        })
        .collect()
}

async fn push_all(client: &ObjectClient, batches: &[RowBatch]) {
    for batch in batches {
        push(client, &tenant(), std::slice::from_ref(batch)).await;
    }
}

/// Objects of the tenant by kind: level 0, hours, days.
async fn objects(client: &ObjectClient) -> (usize, usize, usize) {
    let keys: Vec<String> = client.list("t=team-a").await.unwrap().into_iter().map(|info| info.key).collect();
    let count = |matches: fn(&str) -> bool| keys.iter().filter(|key| matches(key)).count();
    (count(|k| k.contains("/l0/")), count(|k| k.contains("/l1/") && k.contains("/hour=")), count(|k| k.contains("/l1/") && !k.contains("/hour=")))
}

async fn verified(client: &ObjectClient, env: &Env) {
    let report = crate::verify::verify(client, env, None, &mut |_| {}).await.unwrap();
    assert_eq!(report.findings, []);
    assert!(report.chunks > 0);
}

#[tokio::test]
async fn small_chunks_become_hours_then_a_day_and_then_go() {
    let (client, env) = store();
    let batches = some_batches(3);
    push_all(&client, &batches).await;
    let compactor = compactor(&client, &env, settings());
    let report = compactor.run(None, None).await.unwrap();
    assert_eq!((report.rows_read, report.rows_written, report.level0_backlog, report.conflicts), (240, 240, 0, 0));
    assert_eq!(physical(&client).await, rows_of(&batches));
    assert_eq!(objects(&client).await, (12, 3, 0));
    // Nothing to do, nothing done, and hardly anything asked.
    let before = client.stats().snapshot();
    assert_eq!(compactor.run(None, None).await.unwrap(), RunReport { tenants: 1, ..RunReport::default() });
    let idle = client.stats().snapshot().since(&before).total();
    assert!(idle <= 12, "{idle} requests of an idle run");
    // After the grace the inputs go.
    env.advance(Duration::from_secs(16 * 60));
    assert_eq!(compactor.run(None, None).await.unwrap().objects_deleted, 12);
    assert_eq!(objects(&client).await, (0, 3, 0));
    // The day is over: its hours become one chunk.
    env.advance(Duration::from_secs(25 * 3600));
    let report = compactor.run(None, None).await.unwrap();
    assert_eq!((report.jobs, report.objects_written), (1, 1));
    env.advance(Duration::from_secs(16 * 60));
    assert_eq!(compactor.run(None, None).await.unwrap().objects_deleted, 3);
    assert_eq!(objects(&client).await, (0, 0, 1));
    assert_eq!(physical(&client).await, rows_of(&batches));
    verified(&client, &env).await;
}

#[tokio::test]
async fn a_push_that_spans_days_is_consumed_day_by_day_and_goes_with_the_last() {
    let (client, env) = store();
    let times: Vec<(i64, &str)> = [-1, 0, 1, NANOS_PER_DAY - 1, NANOS_PER_DAY, NANOS_PER_DAY + 1, 40 * NANOS_PER_DAY].map(|at| (DAY + at, "x")).to_vec();
    let batch = rows(r#"{app="a", service_name="a"}"#, &times);
    push_all(&client, std::slice::from_ref(&batch)).await;
    let compactor = compactor(&client, &env, settings());
    let report = compactor.run(None, None).await.unwrap();
    // 40 days apart, of which four have rows. In which day the minute lies that ends with the 40th, only its rows could tell.
    assert_eq!((report.jobs, report.rows_written, report.level0_consumed), (5, 7, 5));
    assert_eq!(physical(&client).await, rows_of(std::slice::from_ref(&batch)));
    env.advance(Duration::from_secs(16 * 60));
    compactor.run(None, None).await.unwrap();
    assert_eq!(objects(&client).await.0, 0);
    assert_eq!(physical(&client).await, rows_of(&[batch]));
    verified(&client, &env).await;
}

/// A client that repeats a push in another group, after the first was compacted.
#[tokio::test]
async fn copies_collapse_when_they_meet() {
    let (client, env) = store();
    let batches = some_batches(1);
    push_all(&client, &batches).await;
    let compactor = compactor(&client, &env, settings());
    compactor.run(None, None).await.unwrap();
    push(&client, &tenant(), &batches[..2]).await;
    push(&client, &tenant(), &batches[1..]).await;
    assert_eq!(physical(&client).await.len(), 80 + 40 + 60);
    // The hour is closed, so its two runs are merged.
    let report = compactor.run(None, None).await.unwrap();
    assert_eq!(report.duplicates, 20 + 80);
    assert_eq!(physical(&client).await, rows_of(&batches));
    verified(&client, &env).await;
}

#[tokio::test]
async fn large_partitions_have_files_of_their_own() {
    let (client, env) = store();
    let mut batches = some_batches(1);
    batches.push(rows(r#"{app="c", env="p", service_name="c"}"#, &[(DAY, "small")]));
    push_all(&client, &batches).await;
    let plan = PlanSettings { partition_bytes: 100, small_bytes: 50, file_bytes: 200, ..PlanSettings::default().eager() };
    compactor(&client, &env, Settings { plan, ..Settings::default() }).run(None, None).await.unwrap();
    let keys: Vec<String> = client.list("t=team-a/l1").await.unwrap().into_iter().map(|info| info.key).collect();
    let partitions: BTreeMap<&str, usize> = keys.iter().map(|key| key.split('/').nth(4).unwrap()).fold(BTreeMap::new(), |mut counts, partition| {
        *counts.entry(partition).or_default() += 1;
        counts
    });
    assert!(partitions["p=a"] > 1 && partitions["p=b"] > 1 && partitions["p=_"] == 1 && partitions.len() == 3, "{keys:#?}");
    assert_eq!(physical(&client).await, rows_of(&batches));
    verified(&client, &env).await;
}

#[tokio::test]
async fn partition_labels_are_the_tenants_choice() {
    let (client, env) = store();
    let batches = some_batches(1);
    push_all(&client, &batches).await;
    let of_tenant = TenantSettings { partition_labels: vec!["app".to_owned(), "zone".to_owned()], ..TenantSettings::default() };
    let plan = PlanSettings { partition_bytes: 100, ..PlanSettings::default().eager() };
    let settings = Settings { plan, tenants: [(tenant(), of_tenant)].into(), ..Settings::default() };
    compactor(&client, &env, settings).run(None, None).await.unwrap();
    let keys: Vec<String> = client.list("t=team-a/l1").await.unwrap().into_iter().map(|info| info.key).collect();
    assert!(keys.iter().any(|key| key.contains("/p=a%2C/")) && keys.len() == 2, "{keys:#?}");
    assert_eq!(physical(&client).await, rows_of(&batches));
}

fn app(value: &str) -> Matcher {
    Matcher::new("app", MatchOp::Equal, value).unwrap()
}

#[tokio::test]
async fn what_is_too_old_goes_whole_or_by_stream() {
    let (client, env) = store();
    let batches = some_batches(2);
    push_all(&client, &batches).await;
    let rule = RetentionRule { matchers: vec![app("b")], priority: 1, period: Duration::from_secs(30 * 3600) };
    let of_tenant = TenantSettings { retention: Some(Duration::from_secs(100 * 3600)), retention_rules: vec![rule], ..TenantSettings::default() };
    let compactor = compactor(&client, &env, Settings { default: of_tenant, ..settings() });
    assert_eq!(compactor.run(None, None).await.unwrap().rows_expired, 0);
    // Both streams are in one file; it is written anew when all of the day is too old for one of them.
    env.advance(Duration::from_secs(40 * 3600));
    compactor.run(None, None).await.unwrap();
    env.advance(Duration::from_secs(12 * 3600));
    compactor.run(None, None).await.unwrap();
    let kept: Vec<Row> = rows_of(&batches).into_iter().filter(|row| row.0.contains(r#"app="a""#)).collect();
    assert_eq!(physical(&client).await, kept);
    let report = compactor.run(None, None).await.unwrap();
    assert_eq!((report.jobs, report.objects_expired), (0, 0));
    env.advance(Duration::from_secs(60 * 3600));
    let report = compactor.run(None, None).await.unwrap();
    assert_eq!((report.jobs, report.objects_expired), (0, 1));
    env.advance(Duration::from_secs(16 * 60));
    compactor.run(None, None).await.unwrap();
    assert_eq!((physical(&client).await, objects(&client).await), (Vec::new(), (0, 0, 0)));
}

/// Selects the rows of one app by the app's name.
#[derive(Debug)]
struct ByApp;

impl CompileDelete for ByApp {
    fn compile(&self, query: &str) -> Result<Arc<dyn RowPredicate>, String> {
        if query == "unreadable" { Err("no query".to_owned()) } else { Ok(Arc::new(OfApp(query.to_owned()))) }
    }
}

struct OfApp(String);

impl RowPredicate for OfApp {
    fn matches_stream(&self, labels: &LabelSet) -> bool {
        labels.get("app") == Some(&self.0)
    }

    fn matches(&self, labels: &LabelSet, _: Timestamp, line: &[u8], _: &MetadataSet) -> bool {
        self.matches_stream(labels) && line.ends_with(b"7")
    }
}

async fn ask_delete(client: &ObjectClient, env: &Env, id: &str, query: &str, start: i64, end: i64) {
    let request = DeleteRequest { id: id.into(), query: query.to_owned(), start, end, created: env.now().as_nanos(), processed: None, receipt: Vec::new() };
    deletes::update(client, env, &tenant(), |list| {
        list.requests.push(request.clone());
        Some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn deleted_rows_are_written_away_once_nobody_can_take_it_back() {
    let (client, env) = store();
    let batches = some_batches(2);
    let (compacted, fresh) = batches.split_at(5);
    push_all(&client, compacted).await;
    let compactor = Compactor::new(client.clone(), env.clone(), settings(), Arc::new(ByApp));
    compactor.run(None, None).await.unwrap();
    push_all(&client, fresh).await;
    let (start, end) = (DAY + 30 * MINUTE, DAY + 90 * MINUTE + 7000);
    ask_delete(&client, &env, "0a", "a", start, end).await;
    ask_delete(&client, &env, "0b", "unreadable", start, end).await;
    let report = compactor.run(None, None).await.unwrap();
    assert_eq!((report.rows_deleted, report.deletes_pending), (0, 2));
    assert_eq!(physical(&client).await, rows_of(&batches));
    env.advance(Duration::from_secs(25 * 3600));
    let report = compactor.run(None, None).await.unwrap();
    let meant = |row: &Row| row.0.contains(r#"app="a""#) && row.2.ends_with('7') && (start..=end).contains(&row.1);
    let left: Vec<Row> = rows_of(&batches).into_iter().filter(|row| !meant(row)).collect();
    assert!(left.len() < 160);
    assert_eq!(physical(&client).await, left);
    assert_eq!((report.rows_deleted, report.deletes_processed, report.deletes_pending), (160 - u64::try_from(left.len()).unwrap(), 1, 1));
    let (list, _) = deletes::load(&client, &tenant()).await.unwrap();
    let done = list.requests.iter().find(|request| &*request.id == "0a").unwrap();
    assert!(done.processed.is_some());
    // Rewritten only once, whatever else is merged.
    while compactor.run(None, None).await.unwrap().jobs > 0 {
        assert_eq!(physical(&client).await, left);
    }
    verified(&client, &env).await;
}

#[tokio::test]
async fn a_delete_in_compacted_chunks_leaves_a_receipt_and_other_files_alone() {
    let (client, env) = store();
    let batches = some_batches(3);
    push_all(&client, &batches).await;
    let compactor = Compactor::new(client.clone(), env.clone(), Settings { delete_cancel_period: Duration::ZERO, ..settings() }, Arc::new(ByApp));
    compactor.run(None, None).await.unwrap();
    let before: BTreeSet<String> = client.list("t=team-a/l1").await.unwrap().into_iter().map(|info| info.key).collect();
    // Only in the second hour.
    ask_delete(&client, &env, "0c", "b", DAY + HOUR, DAY + 2 * HOUR - 1).await;
    env.advance(Duration::from_secs(1));
    let report = compactor.run(None, None).await.unwrap();
    assert_eq!((report.jobs, report.rows_deleted, report.deletes_processed), (1, 4, 1));
    let (list, _) = deletes::load(&client, &tenant()).await.unwrap();
    let receipt = &list.requests[0].receipt;
    assert_eq!((receipt.len(), receipt[0].rows, receipt[0].removed.len(), receipt[0].written.len()), (1, 4, 1, 1));
    assert!(before.contains(&receipt[0].removed[0]) && receipt[0].removed[0].contains("hour=01") && receipt[0].written[0].contains("hour=01"));
    env.advance(Duration::from_secs(16 * 60));
    compactor.run(None, None).await.unwrap();
    assert!(client.head(&receipt[0].removed[0]).await.unwrap().is_none() && client.head(&receipt[0].written[0]).await.unwrap().is_some());
}

#[tokio::test]
async fn a_crash_after_any_request_loses_and_doubles_nothing() {
    let batches = some_batches(2);
    let mut crashes = 0;
    for after in 0.. {
        let (plain, env) = store();
        push_all(&plain, &batches).await;
        let (client, faults) = FaultyStore::wrap(&plain);
        faults.halt_after(Some(after));
        let crashed = compactor(&client, &env, settings()).run(None, None).await.is_err();
        crashes += u32::from(crashed);
        assert_eq!(physical(&plain).await, rows_of(&batches), "after {after} requests");
        // Another one takes over, and sooner or later nothing is left of the first.
        let next = compactor(&plain, &env, settings());
        next.run(None, None).await.unwrap();
        env.advance(Duration::from_secs(7 * 3600));
        next.run(None, None).await.unwrap();
        env.advance(Duration::from_secs(3600));
        next.run(None, None).await.unwrap();
        assert_eq!(physical(&plain).await, rows_of(&batches), "after {after} requests, taken over");
        assert_eq!(objects(&plain).await, (0, 2, 0), "after {after} requests");
        if !crashed {
            break;
        }
    }
    assert!(crashes > 10, "{crashes}");
}

#[tokio::test]
async fn lost_acknowledgements_are_not_lost_jobs() {
    for fault in [Fault::FailAfter, Fault::RefusedAfter, Fault::FailBefore, Fault::SlowDown503, Fault::Conflict409] {
        let (plain, env) = store();
        let batches = some_batches(1);
        push_all(&plain, &batches).await;
        let (client, faults) = FaultyStore::wrap(&plain);
        // The output, and the manifest.
        faults.script([(Op::Put, fault), (Op::Put, fault)]);
        let report = compactor(&client, &env, settings()).run(None, None).await.unwrap();
        assert_eq!((report.jobs, report.conflicts), (1, 0), "{fault:?}");
        assert!(faults.script_is_done());
        assert_eq!(physical(&plain).await, rows_of(&batches), "{fault:?}");
        verified(&plain, &env).await;
    }
}

/// What a commit comes to of a compactor that wrote a file and slept until others had collected it.
async fn commit_of_a_zombie(rule: Option<Rule>) -> CommitOutcome {
    let _guard = rule.map(store::testing::rules::break_rule);
    let (client, env) = store();
    let batches = some_batches(1);
    push_all(&client, &batches).await;
    let compactor = compactor(&client, &env, settings());
    compactor.run(None, None).await.unwrap();
    env.advance(Duration::from_secs(16 * 60));
    assert_eq!(compactor.run(None, None).await.unwrap().objects_deleted, 4);
    // The day rests: from here on only the collection of orphans can change its manifest.
    let base = day::load(&client, &tenant(), Day::of(Timestamp(DAY))).await.unwrap();
    let built = store::chunk::build(&tenant(), &batches).unwrap();
    let entry = crate::fixture::compacted(&client, &built, None, 5 << 80, true).await;
    env.advance(Duration::from_secs(7 * 3600));
    compactor.run(None, None).await.unwrap();
    env.advance(Duration::from_secs(16 * 60));
    compactor.run(None, None).await.unwrap();
    assert!(client.head(&entry.key.to_string()).await.unwrap().is_none());
    assert_eq!(physical(&client).await, rows_of(&batches));
    let mut edit = Edit::of(&base.manifest, env.now());
    edit.add(&[entry]);
    day::commit(&client, &env, &tenant(), &base, edit.manifest).await.unwrap()
}

#[tokio::test]
async fn a_zombie_cannot_commit_outputs_that_were_collected() {
    assert_eq!(commit_of_a_zombie(None).await, CommitOutcome::Conflict);
    let broken = commit_of_a_zombie(Some(Rule::OrphansDeletedWithoutCommit)).await;
    assert!(matches!(broken, CommitOutcome::Committed(_)), "the broken rule changes nothing: {broken:?}");
}

/// Somebody restored a store without its manifests: nothing makes the loss final.
#[tokio::test]
async fn chunks_of_a_day_without_a_manifest_are_not_garbage() {
    let (client, env) = store();
    push_all(&client, &some_batches(1)).await;
    let compactor = compactor(&client, &env, settings());
    compactor.run(None, None).await.unwrap();
    let day = Day::of(Timestamp(DAY));
    client.delete(&schema::key::day_manifest_key(&tenant(), day)).await.unwrap();
    for chunk in client.list("t=team-a/l0").await.unwrap() {
        client.delete(&chunk.key).await.unwrap();
    }
    env.advance(Duration::from_secs(100 * 3600));
    for _ in 0..2 {
        compactor.run(None, None).await.unwrap();
        env.advance(Duration::from_secs(3600));
    }
    assert_eq!(objects(&client).await, (0, 1, 0));
}

#[tokio::test]
async fn two_compactors_at_once_lose_races_and_no_rows() {
    let (client, env) = store();
    let batches = some_batches(4);
    push_all(&client, &batches).await;
    let (one, two) = (compactor(&client, &env, settings()), compactor(&client, &env, settings()));
    let (a, b) = tokio::join!(one.run(None, None), two.run(None, None));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.level0_backlog + b.level0_backlog, 0);
    assert_eq!(physical(&client).await, rows_of(&batches));
    env.advance(Duration::from_secs(16 * 60));
    let (a, b) = tokio::join!(one.run(None, None), two.run(None, None));
    assert!(a.unwrap().objects_deleted + b.unwrap().objects_deleted >= 16);
    assert_eq!(physical(&client).await, rows_of(&batches));
    verified(&client, &env).await;
}

#[tokio::test]
async fn a_budget_ends_a_run_between_jobs() {
    let (client, env) = store();
    push_all(&client, &some_batches(2)).await;
    let compactor = compactor(&client, &env, settings());
    let report = compactor.run(None, Some(Duration::ZERO)).await.unwrap();
    assert!(report.out_of_time && report.jobs == 0);
    assert!(!compactor.run(None, Some(Duration::from_secs(60))).await.unwrap().out_of_time);
}

#[tokio::test]
async fn other_tenants_are_not_touched() {
    let (client, env) = store();
    let other = TenantId::parse("team-b").unwrap();
    push(&client, &other, &some_batches(1)).await;
    push_all(&client, &some_batches(1)).await;
    let before = client.list("t=team-b").await.unwrap();
    let report = compactor(&client, &env, settings()).run(Some(&tenant()), None).await.unwrap();
    assert_eq!(report.tenants, 1);
    assert_eq!(client.list("t=team-b").await.unwrap(), before);
    assert_eq!(compactor(&client, &env, settings()).run(None, None).await.unwrap().tenants, 2);
}

/// The hashes that the day has consumed and still knows after a compactor that was away for long has deleted the chunks and then committed other rows.
async fn consumed_before_and_after_a_late_deletion(rule: Option<Rule>) -> (Vec<schema::ChunkHash>, Vec<schema::ChunkHash>) {
    let _guard = rule.map(store::testing::rules::break_rule);
    let (client, env) = store();
    let day = schema::Day::of(Timestamp(DAY + HOUR));
    let known = async || day::load(&client, &tenant(), day).await.unwrap().manifest.consumed.iter().map(|consumed| consumed.hash).collect::<Vec<_>>();
    push_all(&client, &some_batches(1)).await;
    let compactor = compactor(&client, &env, settings());
    compactor.run(None, None).await.unwrap();
    let before = known().await;
    env.advance(2 * store::snapshot::DEDUPE_WINDOW);
    // A reader lists the chunks at this moment; it reads the manifest of the day later.
    assert_eq!(objects(&client).await.0, 4);
    assert_eq!(compactor.run(None, None).await.unwrap().objects_deleted, 4);
    push_all(&client, &[rows(r#"{app="a", service_name="a"}"#, &[(DAY + 2 * HOUR, "later")])]).await;
    env.advance(Duration::from_secs(60));
    compactor.run(None, None).await.unwrap();
    (before, known().await)
}

#[tokio::test]
async fn chunks_that_are_deleted_late_stay_consumed_for_readers_that_listed_them() {
    let (before, after) = consumed_before_and_after_a_late_deletion(None).await;
    assert_eq!(before.len(), 4);
    assert!(before.iter().all(|hash| after.contains(hash)), "{before:?} in {after:?}");
    let (before, after) = consumed_before_and_after_a_late_deletion(Some(Rule::ForgottenWithTheObject)).await;
    assert!(!before.iter().any(|hash| after.contains(hash)), "the broken rule changes nothing");
}
