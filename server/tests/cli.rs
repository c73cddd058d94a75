//! The command line against a server and against a store.

use std::path::Path;

use crate::support::{Server, run, stderr, stdout};

const LOG: &str =
    "2023-11-14T22:13:20Z level=info first\n2023-11-14T22:13:21.5Z level=error second <tag>\n\tat Trace.line(1)\n2023-11-14T22:13:22Z level=info third\n";
const RANGE: [&str; 4] = ["--from", "2023-11-14T22:00:00Z", "--to", "2023-11-14T23:00:00Z"];

fn with_range<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [args, &RANGE].concat()
}

async fn round_trip(target: [&str; 2], file: &Path) {
    for encoding in ["snappy", "gzip"] {
        let pushed = run(&["push", target[0], target[1], "--label", "app=demo", "--encoding", encoding, file.to_str().unwrap()], &[], b"");
        assert!(pushed.status.success(), "{}", stderr(&pushed));
        assert!(stderr(&pushed).starts_with("sent 4 lines ("), "{}", stderr(&pushed));
        assert!(stderr(&pushed).contains("1 line had no timestamp and took that of the line before"), "{}", stderr(&pushed));
    }
    let query = |extra: &[&'static str]| run(&[&with_range(&["query", target[0], target[1], r#"{app="demo"}"#])[..], extra].concat(), &[], b"");

    let raw = query(&["--direction", "forward", "--output", "raw"]);
    assert_eq!(stdout(&raw), LOG, "{}", stderr(&raw));
    let last = query(&["--limit", "1", "--output", "raw"]);
    assert_eq!(stdout(&last), "2023-11-14T22:13:22Z level=info third\n", "{}", stderr(&last));

    let text = stdout(&query(&["--limit", "1"]));
    assert!(text.starts_with("2023-11-14T22:13:22Z {app=\"demo\"") && text.ends_with(" 2023-11-14T22:13:22Z level=info third\n"), "{text}");
    let json: Vec<serde_json::Value> = stdout(&query(&["--output", "json"])).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(json.len(), 4);
    assert_eq!((json[3]["timestamp"].as_str(), json[3]["labels"]["app"].as_str()), (Some("2023-11-14T22:13:20Z"), Some("demo")));

    assert_eq!(stdout(&run(&with_range(&["labels", target[0], target[1]]), &[], b"")), "app\nservice_name\n");
    assert_eq!(stdout(&run(&with_range(&["labels", target[0], target[1], "app"]), &[], b"")), "demo\n");
    assert_eq!(stdout(&run(&with_range(&["series", target[0], target[1]]), &[], b"")), "{app=\"demo\", service_name=\"demo\"}\n");
    let count = run(&["query", target[0], target[1], "--instant", "--to", "2023-11-14T22:14:00Z", r#"sum(count_over_time({app="demo"}[1h]))"#], &[], b"");
    assert_eq!(stdout(&count), "4  {}\n", "{}", stderr(&count));
}

#[tokio::test]
async fn lines_that_go_in_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.log");
    std::fs::write(&file, LOG).unwrap();
    let server = Server::start(&[]).await;
    round_trip(["--url", &server.url], &file).await;
    let store = folder.path().join("direct");
    round_trip(["--store", store.to_str().unwrap()], &file).await;
}

#[tokio::test]
async fn paging_prints_every_line_once() {
    let server = Server::start(&[]).await;
    // Four lines share each timestamp, so that pages of a thousand end inside a timestamp.
    let lines: String = (0..2500).map(|n| format!("{} line {n}\n", 1_700_000_000 + n / 3)).collect();
    let pushed = run(&["push", "--url", &server.url, "--label", "app=many"], &[], lines.as_bytes());
    assert!(pushed.status.success(), "{}", stderr(&pushed));
    for direction in ["forward", "backward"] {
        let all = run(&with_range(&["query", "--url", &server.url, r#"{app="many"}"#, "--limit", "0", "--output", "raw", "--direction", direction]), &[], b"");
        let mut got: Vec<String> = stdout(&all).lines().map(str::to_owned).collect();
        let mut want: Vec<String> = lines.lines().map(str::to_owned).collect();
        got.sort_unstable();
        want.sort_unstable();
        assert_eq!(got.len(), 2500, "{direction}: {}", stderr(&all));
        assert_eq!(got, want, "{direction}");
    }
    let some = run(&with_range(&["query", "--url", &server.url, r#"{app="many"}"#, "--limit", "1234", "--output", "raw"]), &[], b"");
    assert_eq!(stdout(&some).lines().count(), 1234);
}

#[tokio::test]
async fn a_query_may_be_longer_than_a_url() {
    let server = Server::start(&[]).await;
    assert_eq!(server.push(crate::support::json_push(&[("app", "x")], &[(crate::support::THEN, "line 7")])).await.status(), 204);
    let query = format!(r#"{{app="x"}} |~ "{}line 7""#, "nothing|".repeat(12_000));
    let output = run(&with_range(&["query", "--url", &server.url, &query, "--output", "raw"]), &[], b"");
    assert_eq!(stdout(&output), "line 7\n", "{}", stderr(&output));
}

#[tokio::test]
async fn a_wrong_query_is_shown_with_a_caret() {
    let server = Server::start(&[]).await;
    let output = run(&["query", "--url", &server.url, r#"{app="demo"} | line_formt "x""#], &[], b"");
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("parse error") && text.contains(r#"{app="demo"} | line_formt "x""#), "{text}");
    assert!(text.lines().any(|line| line.contains('^')), "{text}");
}

#[tokio::test]
async fn lines_of_a_slow_pipe_are_sent_while_it_is_open() {
    use std::io::Write as _;
    let server = Server::start(&[]).await;
    let mut push = crate::support::tarn().args(["push", "--url", &server.url, "--label", "app=live"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut pipe = push.stdin.take().unwrap();
    pipe.write_all(b"one\ntwo\n").unwrap();
    let clock = store::env::Env::system();
    while server.stored_rows("fake") < 2 {
        assert!(clock.monotonic() < std::time::Duration::from_secs(20), "nothing arrived");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    pipe.write_all(b"three").unwrap();
    drop(pipe);
    assert!(push.wait().unwrap().success());
    assert_eq!(server.stored_rows("fake"), 3);
}

#[test]
fn a_file_that_is_not_there_is_told_before_anything_is_sent() {
    let output = run(&["push", "--label", "a=b", "-", "/nonexistent.log"], &[("TARN_URL", "http://127.0.0.1:9")], b"line\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot open '/nonexistent.log'"), "{}", stderr(&output));
}

#[tokio::test]
async fn plans_are_printed_as_text() {
    let server = Server::start(&[]).await;
    let output = run(&with_range(&["explain", "--url", &server.url, r#"sum(rate({app="demo"} |= "x" [5m]))"#]), &[], b"");
    let text = stdout(&output);
    for title in ["query:\n  sum(", "\nlogical plan:\n  ", "\noptimized plan:\n  ", "\nphysical plan:\n  ", "\npruned:\n  "] {
        assert!(text.contains(title), "{title:?} is not in\n{text}{}", stderr(&output));
    }
}

#[tokio::test]
async fn refused_lines_make_the_command_fail_and_the_others_are_stored() {
    let server = Server::start(&[("TARN_LIMITS_MAX_LINE_SIZE", "100")]).await;
    let input = format!("short\n{}\n", "x".repeat(200));
    let output = run(&["push", "--url", &server.url, "--label", "app=demo"], &[], input.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("max entry size '100' bytes exceeded"), "{}", stderr(&output));
    assert_eq!(server.stored_rows("fake"), 1);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let output = run(&["labels", "--url", "http://127.0.0.1:9"], &[], b"");
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("no answer from http://127.0.0.1:9") && text.contains("tarn serve") && text.contains("--url"), "{text}");
    let output = run(&["push", "--label", "a=b", "--retries", "1"], &[("TARN_URL", "http://127.0.0.1:9")], b"line\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("1 of 1 lines were not stored"), "{}", stderr(&output));
}

#[test]
fn help_explains_with_examples() {
    for command in ["serve", "push", "query", "tail", "labels", "series", "explain"] {
        let output = run(&[command, "--help"], &[], b"");
        assert!(output.status.success());
        assert!(stdout(&output).contains("Examples:\n  "), "{command}");
    }
}
