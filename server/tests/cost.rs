//! `tarn cost`: the tables of the manual, and a bill that a running server makes up.

use std::path::PathBuf;

use crate::support::{Server, THEN, json_push, run, stderr, stdout};

/// What the manual shows is what the command prints. `BLESS=1` rewrites the manual; the diff is reviewed.
#[test]
fn the_manual_shows_what_the_command_prints() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/cost.md");
    let manual = std::fs::read_to_string(&path).unwrap();
    let (mut shown, mut commands) = (String::new(), 0);
    let mut lines = manual.lines();
    while let Some(line) = lines.next() {
        shown.push_str(line);
        shown.push('\n');
        let Some(command) = line.strip_prefix("$ tarn ") else { continue };
        let output = run(&command.split(' ').collect::<Vec<_>>(), &[], b"");
        assert!(output.status.success(), "{command}: {}", stderr(&output));
        shown.push_str(&stdout(&output));
        let end = lines.by_ref().find(|line| *line == "```");
        shown.push_str(end.expect("a block ends"));
        shown.push('\n');
        commands += 1;
    }
    assert!(commands >= 6, "{commands} commands in the manual");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &shown).unwrap();
    } else {
        assert_eq!(manual, shown, "docs/cost.md is not what the command prints; BLESS=1 rewrites it");
    }
}

#[tokio::test]
async fn a_server_is_billed_for_what_it_did() {
    let server = Server::start(&[("TARN_COMPACTOR_ENABLED", "false")]).await;
    for n in 0..3 {
        assert_eq!(server.push(json_push(&[("app", "x")], &[(THEN + n, "ten bytes.")])).await.status(), 204);
    }
    assert_eq!(server.get("/loki/api/v1/query_range?query=%7Bapp%3D%22x%22%7D").await.status(), 200);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;

    let output = run(&["cost", "--measured", &server.url, "--json"], &[], b"");
    assert!(output.status.success(), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let measured = |name: &str| report["measured"][name].as_f64().unwrap();
    assert_eq!((measured("pushes"), measured("queries"), measured("errors")), (3.0, 1.0, 0.0));
    assert!((1.0..=3.0).contains(&measured("level0_objects")), "{report:#}");
    assert!(measured("raw_bytes") >= 30.0 && measured("bytes_sent") > 0.0 && measured("cpu_seconds") >= 0.0, "{report:#}");
    assert!(measured("puts") >= measured("level0_objects") && measured("lists") >= 2.0, "{report:#}");
    let a_month = 2_592_000.0 / measured("uptime_seconds");
    let puts: f64 = report["bill"]["items"].as_array().unwrap()[..2].iter().map(|item| item["dollars"].as_f64().unwrap()).sum();
    assert!((puts - measured("puts") * a_month * 5e-6).abs() < puts * 1e-9, "{report:#}");

    // The same from a saved page.
    let page = server.get("/metrics").await.text().await.unwrap();
    let text = stdout(&run(&["cost", "--from-metrics", "-"], &[], page.as_bytes()));
    assert!(text.starts_with("measured over ") && text.contains(" 3 pushes in ") && text.contains("note: the server runs for "), "{text}");
}

#[test]
fn prices_can_be_changed_and_wrong_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.toml");
    let template = stdout(&run(&["cost", "--prices-template"], &[], b""));
    let total = |prices: &str| {
        std::fs::write(&file, prices).unwrap();
        let output = run(&["cost", "--gb-per-day", "5", "--json", "--prices", file.to_str().unwrap()], &[], b"");
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str::<serde_json::Value>(&stdout(&output)).unwrap()["total"].as_f64().unwrap()
    };
    let (now, free) = (total(&template), total(&template.replace("put = 5.0e-6", "put = 0.0")));
    assert!(now - free > 25.92, "{now} and {free}: 5,184,000 PUTs of pushes alone are $25.92");

    std::fs::write(&file, template.replace("put = 5.0e-6", "put = -5.0e-6")).unwrap();
    let refused = run(&["cost", "--gb-per-day", "5", "--prices", file.to_str().unwrap()], &[], b"");
    assert!(!refused.status.success() && stderr(&refused).contains("s3.put is -0.000005"), "{}", stderr(&refused));
    let refused = run(&["cost", "--measured", "localhost:3100"], &[], b"");
    assert!(!refused.status.success() && stderr(&refused).contains("--measured 'localhost:3100' is not a URL such as"), "{}", stderr(&refused));
    let nothing = run(&["cost", "--measured", "http://127.0.0.1:1"], &[], b"");
    assert!(!nothing.status.success() && stderr(&nothing).contains("no answer from http://127.0.0.1:1/metrics"), "{}", stderr(&nothing));
}
