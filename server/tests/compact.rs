//! Compaction, on a schedule and by hand, and the commands that look at a store without a server.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use store::env::Env;

use crate::support::{Server, THEN, json_push, run, stderr, stdout};

const PATIENCE: Duration = Duration::from_secs(60);
/// A minute, in nanoseconds.
const MINUTE: i64 = 60_000_000_000;

/// All that the tenant `fake` has, as the server answers it.
async fn everything(server: &Server) -> Value {
    let path = format!("/loki/api/v1/query_range?query=%7Bapp%3D~%22.%2B%22%7D&limit=5000&start={}&end={}", THEN - MINUTE, THEN + 60 * MINUTE);
    let answer: Value = serde_json::from_str(&server.get(&path).await.text().await.unwrap()).unwrap();
    let mut streams: Vec<Value> = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
    streams.sort_by_key(|stream| stream["stream"].to_string());
    Value::Array(streams)
}

async fn metric(server: &Server, series: &str) -> u64 {
    let text = server.get("/metrics").await.text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series} in\n{text}"));
    line.trim().parse().unwrap()
}

/// Waits until `reached`, asking again and again.
macro_rules! wait_until {
    ($server:expr, $reached:expr) => {
        let clock = Env::system();
        while !$reached {
            assert!(clock.monotonic() < PATIENCE, "waited in vain for {}\n{}", stringify!($reached), $server.log.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
}

async fn push_some(server: &Server, pushes: i64) {
    for n in 0..pushes {
        for app in ["a", "b"] {
            let at = THEN + n * 1_000_000;
            let push = json_push(&[("app", app)], &[(at, &format!("line {n} of {app}")), (at + 1, "the same in all")]);
            assert_eq!(server.push(push).await.status(), 204);
        }
    }
}

#[tokio::test]
async fn the_schedule_compacts_and_no_answer_changes() {
    let server = Server::start(&[("TARN_COMPACTOR_INTERVAL", "1s"), ("TARN_COMPACTOR_GRACE", "2s"), ("TARN_INGEST_FLUSH_INTERVAL", "10ms")]).await;
    push_some(&server, 5).await;
    let before = everything(&server).await;
    assert_eq!(before.as_array().unwrap().iter().map(|stream| stream["values"].as_array().unwrap().len()).sum::<usize>(), 20);
    wait_until!(server, {
        assert_eq!(everything(&server).await, before);
        metric(&server, "tarn_compactor_jobs_total").await > 0 && metric(&server, "tarn_compactor_level0_backlog").await == 0
    });
    wait_until!(server, {
        assert_eq!(everything(&server).await, before);
        server.stored_rows("fake") == 0
    });
    assert_eq!(everything(&server).await, before);
    assert!(metric(&server, "tarn_compactor_rows_written_total").await >= 20);
    assert!(metric(&server, "tarn_compactor_objects_deleted_total").await > 0);
    assert!(metric(&server, "tarn_compactor_last_success_timestamp_seconds").await > 1_700_000_000);
    assert_eq!(metric(&server, r#"tarn_compactor_runs_total{result="error"}"#).await, 0);
    // A push after the compaction of its day is seen, and compacted too.
    assert_eq!(server.push(json_push(&[("app", "late")], &[(THEN, "late")])).await.status(), 204);
    let with_late = everything(&server).await;
    assert_eq!(with_late.as_array().unwrap().len(), 3);
    wait_until!(server, server.stored_rows("fake") == 0);
    assert_eq!(everything(&server).await, with_late);
    let verified = run(&["verify", "--store", server.store.to_str().unwrap()], &[], b"");
    assert!(verified.status.success() && stdout(&verified).contains("everything is as it should be"), "{}{}", stdout(&verified), stderr(&verified));
}

#[tokio::test]
async fn a_tenant_that_fails_is_counted_and_stops_nobody_else() {
    let server = Server::start(&[("TARN_COMPACTOR_INTERVAL", "1s"), ("TARN_INGEST_FLUSH_INTERVAL", "10ms")]).await;
    let foreign = server.store.join("t=aaa/l0/0");
    std::fs::create_dir_all(&foreign).unwrap();
    std::fs::write(foreign.join("README"), "no chunk").unwrap();
    push_some(&server, 2).await;
    wait_until!(server, metric(&server, r#"tarn_compactor_runs_total{result="error"}"#).await > 1 && metric(&server, "tarn_compactor_jobs_total").await > 0);
    assert_eq!(server.get("/ready").await.status(), 200);
    let log = server.log.lock().unwrap().clone();
    assert!(log.contains("compaction of a tenant failed") && log.contains("tenant=aaa") && log.contains("README"), "{log}");
    std::fs::remove_file(foreign.join("README")).unwrap();
    wait_until!(server, metric(&server, r#"tarn_compactor_runs_total{result="ok"}"#).await > 0);
}

#[tokio::test]
async fn a_compactor_alone_does_nothing_else() {
    let mut server = Server::start(&[("TARN_ROLE", "compactor"), ("TARN_COMPACTOR_INTERVAL", "200ms")]).await;
    assert_eq!(server.get("/services").await.text().await.unwrap(), "server => Running\ncompactor => Running\n");
    assert_eq!(server.push(json_push(&[("a", "b")], &[(1, "x")])).await.status(), 404);
    assert_eq!(server.get("/loki/api/v1/labels").await.status(), 404);
    wait_until!(server, metric(&server, r#"tarn_compactor_runs_total{result="ok"}"#).await > 1);
    server.signal("TERM");
    assert!(server.ended(Duration::from_secs(10)).await.success());
}

#[tokio::test]
async fn a_schedule_can_be_switched_off() {
    let server = Server::start(&[("TARN_COMPACTOR_ENABLED", "false"), ("TARN_COMPACTOR_INTERVAL", "100ms"), ("TARN_COMPACTOR_RETENTION_PERIOD", "48h")]).await;
    push_some(&server, 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(metric(&server, r#"tarn_compactor_runs_total{result="ok"}"#).await, 0);
    assert_eq!(server.stored_rows("fake"), 4);
    let told: Value = serde_json::from_str(&server.get("/loki/api/v1/drilldown-limits").await.text().await.unwrap()).unwrap();
    assert_eq!(told["limits"]["retention_period"], "48h");
    assert!(server.get("/config/tenant/v1/limits").await.text().await.unwrap().contains("\nretention_period: 48h\n"));
}

/// A store with lines of two streams and a third of another tenant, pushed by hand.
fn pushed(folder: &Path) -> PathBuf {
    let store = folder.join("store");
    let url = store.to_str().unwrap();
    for (tenant, label, line) in [("a", "app=web", "from web"), ("a", "app=db", "from db"), ("b", "app=web", "of another tenant")] {
        let output = run(
            &["push", "--store", url, "--tenant", tenant, "--label", label, "--timestamp", "rfc3339"],
            &[],
            format!("2023-11-14T22:13:20Z {line}\n").as_bytes(),
        );
        assert!(output.status.success(), "{}", stderr(&output));
    }
    store
}

fn command(arguments: &[&str], store: &Path) -> Output {
    run(&[arguments, &["--store", store.to_str().unwrap()]].concat(), &[], b"")
}

fn lines(store: &Path, tenant: &str) -> Vec<String> {
    let range = ["--from", "2023-11-14T00:00:00Z", "--to", "2023-11-15T00:00:00Z"];
    let output = command(&[&["query", r#"{app=~".+"}"#, "--tenant", tenant, "--output", "raw"], range.as_slice()].concat(), store);
    assert!(output.status.success(), "{}", stderr(&output));
    let mut lines: Vec<String> = stdout(&output).lines().map(|line| line.trim_start_matches("2023-11-14T22:13:20Z ").to_owned()).collect();
    lines.sort_unstable();
    lines
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

#[test]
fn a_store_is_compacted_looked_at_and_verified_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let store = pushed(folder.path());
    let before = json(&command(&["inspect", "--json"], &store));
    let tenants: Vec<(&str, u64)> =
        before["tenants"].as_array().unwrap().iter().map(|t| (t["tenant"].as_str().unwrap(), t["levels"]["level0"]["objects"].as_u64().unwrap())).collect();
    assert_eq!(tenants, [("a", 2), ("b", 1)]);

    let compacted = json(&command(&["compact", "--once", "--json", "--tenant", "a"], &store));
    assert_eq!((&compacted["total"]["rows_written"], &compacted["tenants"]["a"]["jobs"], &compacted["tenants"]["b"]), (&2.into(), &1.into(), &Value::Null));
    let all = command(&["compact", "--once"], &store);
    assert!(
        stdout(&all).contains("tenant a\n  nothing to merge\n") && stdout(&all).contains("tenant b\n  1 job merged 1 row ("),
        "{}{}",
        stdout(&all),
        stderr(&all)
    );

    let shown = command(&["inspect", "--tenant", "a"], &store);
    let text = stdout(&shown);
    assert!(
        text.starts_with("tenant a  2 streams, 1 compacted day from 2023-11-14 to 2023-11-14\n") && text.contains("\n  app  2 values: "),
        "{text}{}",
        stderr(&shown)
    );
    let after = json(&command(&["inspect", "--json", "--tenant", "a"], &store));
    let tenant = &after["tenants"][0];
    assert_eq!((&tenant["levels"]["level0"]["objects"], &tenant["consumed"]["objects"], &tenant["total"]["rows"]), (&0.into(), &2.into(), &2.into()));

    assert_eq!((lines(&store, "a"), lines(&store, "b")), (vec!["from db".to_owned(), "from web".to_owned()], vec!["of another tenant".to_owned()]));
    let verified = command(&["verify"], &store);
    assert!(verified.status.success() && stdout(&verified).ends_with("everything is as it should be\n"), "{}{}", stdout(&verified), stderr(&verified));
}

fn compacted_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).flat_map(|path| if path.is_dir() { compacted_files(&path) } else { vec![path] }).collect()
}

#[test]
fn damage_is_found_and_makes_the_command_fail() {
    let folder = tempfile::tempdir().unwrap();
    let store = pushed(folder.path());
    assert!(command(&["compact", "--once"], &store).status.success());
    let file = compacted_files(&store.join("t=a/l1")).pop().unwrap();
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 3] ^= 1;
    std::fs::write(&file, &bad).unwrap();
    let found = command(&["verify"], &store);
    let name = file.strip_prefix(&store).unwrap().to_str().unwrap();
    assert_eq!(found.status.code(), Some(1));
    assert!(stdout(&found).contains(name) && stdout(&found).contains("its checksum is not"), "{}", stdout(&found));
    std::fs::remove_file(&file).unwrap();
    let found = json(&command(&["verify", "--json"], &store));
    assert_eq!((&found["problems"], &found["findings"][0]["object"]), (&1.into(), &name.into()));
    assert!(command(&["verify", "--tenant", "b"], &store).status.success());
    std::fs::write(&file, &good).unwrap();
    assert!(command(&["verify"], &store).status.success());
}

#[test]
fn retention_drops_what_the_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = pushed(folder.path());
    let config = folder.path().join("tarn.toml");
    std::fs::write(&config, "[compactor]\ngrace = \"1s\"\n[[compactor.retention]]\ntenant = \"a\"\nselector = '{app=\"web\"}'\nperiod = \"24h\"\n").unwrap();
    let output = command(&["compact", "--once", "--config", config.to_str().unwrap()], &store);
    assert!(output.status.success() && stdout(&output).contains("1 row was too old"), "{}{}", stdout(&output), stderr(&output));
    assert_eq!((lines(&store, "a"), lines(&store, "b")), (vec!["from db".to_owned()], vec!["of another tenant".to_owned()]));
    std::fs::write(&config, "[[compactor.retention]]\nselector = '{app=}'\nperiod = \"24h\"\n").unwrap();
    let refused = run(&["serve", "--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()], &[], b"");
    assert_eq!(refused.status.code(), Some(1));
    let text = stderr(&refused);
    assert!(text.contains("rule 1 of [[compactor.retention]]") && text.contains("{app=}") && text.contains('^'), "{text}");
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("nothing");
    for arguments in [["inspect", "--json"].as_slice(), &["verify"], &["compact", "--once"]] {
        let output = command(arguments, &store);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("there is no store at") && stderr(&output).contains("nothing"), "{}", stderr(&output));
    }
    assert!(!store.exists());
    let without = run(&["compact"], &[], b"");
    assert!(!without.status.success() && stderr(&without).contains("--once"), "{}", stderr(&without));
}
