use clap::Parser as _;

use super::*;
use crate::args::{Args, Command};

/// 2023-11-14T22:13:20Z
const THEN: i64 = 1_700_000_000_000_000_000;
const SECOND: i64 = 1_000_000_000;
/// 2024-01-05T00:00:00Z
const NOW: Timestamp = Timestamp(1_704_412_800 * SECOND);

fn source(flags: &[&str]) -> Result<TimeSource, TarnError> {
    match Args::parse_from(["tarn", "push", "--label", "a=b"].iter().chain(flags)).command {
        Command::Push(args) => TimeSource::new(&args, Env::fixed(NOW)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn auto_knows_the_usual_formats() {
    for (line, want) in [
        ("2023-11-14T22:13:20Z hello", THEN),
        ("2023-11-14T22:13:20.123456789Z hello", THEN + 123_456_789),
        ("2023-11-14T23:13:20+01:00 hello", THEN),
        ("2023-11-14T23:13:20+0100 hello", THEN),
        ("2023-11-14 22:13:20,5 INFO main - started", THEN + SECOND / 2),
        ("[2023-11-14 22:13:20] INFO", THEN),
        (r#"{"level":"info","time":"2023-11-14T22:13:20Z","msg":"x"}"#, THEN),
        (r#"level=info ts=2023-11-14T22:13:20.5Z msg=x"#, THEN + SECOND / 2),
        (r#"{"ts":1700000000.25,"msg":"x"}"#, THEN + SECOND / 4),
        ("ts=1700000000123 msg=x", THEN + 123_000_000),
        ("1700000000 hello", THEN),
        ("1700000000.5 hello", THEN + SECOND / 2),
        ("[1700000000123456789] hello", THEN + 123_456_789),
        (r#"1.2.3.4 - - [14/Nov/2023:23:13:20 +0100] "GET / HTTP/1.1" 200 5"#, THEN),
        ("Nov 14 22:13:20 host sshd[1]: x", THEN),
        ("<34>Jan  4 22:13:20 host su: x", NOW.0 - 6400 * SECOND),
    ] {
        let found = source(&[]).unwrap().of_line(line).unwrap();
        assert_eq!(found, Found { at: Timestamp(want), inherited: false }, "{line}");
    }
}

#[test]
fn a_line_without_a_time_belongs_to_the_line_before() {
    let mut source = source(&[]).unwrap();
    assert_eq!(source.of_line("no time, id 17000000001234").unwrap(), Found { at: NOW, inherited: false });
    assert_eq!(source.of_line("still none: each line has its own moment").unwrap(), Found { at: Timestamp(NOW.0 + 1), inherited: false });
    assert_eq!(source.of_line("2023-11-14T22:13:20Z x").unwrap().at, Timestamp(THEN));
    assert_eq!(source.of_line("\tat Foo.bar(Foo.java:12)").unwrap(), Found { at: Timestamp(THEN), inherited: true });
}

#[test]
fn now_keeps_the_order_of_lines() {
    let mut source = source(&["--timestamp", "now"]).unwrap();
    let times: Vec<i64> = (0..3).map(|_| source.of_line("2023-11-14T22:13:20Z x").unwrap().at.0 - NOW.0).collect();
    assert_eq!(times, [0, 1, 2]);
}

#[test]
fn a_format_is_read_where_it_is_said_to_be() {
    for (flags, line, want) in [
        (vec!["--timestamp", "%Y-%m-%d %H:%M:%S%.f"], "2023-11-14 22:13:20.25 x", THEN + SECOND / 4),
        (vec!["--timestamp", "%d/%b/%Y:%H:%M:%S %z", "--timestamp-regex", r"\[([^]]+)\]"], "x [14/Nov/2023:23:13:20 +0100] y", THEN),
        (vec!["--timestamp", "epoch", "--timestamp-regex", r"t=(\S+)"], "a t=1700000000.5 b", THEN + SECOND / 2),
        (vec!["--timestamp", "epoch", "--timestamp-at", "2"], "a 1700000000 b", THEN),
        (vec!["--timestamp", "rfc3339"], "2023-11-14T22:13:20Z 2023", THEN),
        (vec!["--timestamp", "rfc3339", "--timestamp-at", "5"], "INFO 2023-11-14T22:13:20.5+00:00: x", THEN + SECOND / 2),
        (vec!["--timestamp", "%s"], "1700000000 x", THEN),
    ] {
        assert_eq!(source(&flags).unwrap().of_line(line).unwrap().at, Timestamp(want), "{flags:?} {line}");
    }
}

#[test]
fn a_promise_that_the_first_line_breaks_is_an_error() {
    let error = source(&["--timestamp", "rfc3339"]).unwrap().of_line("hello").unwrap_err().to_string();
    assert!(error.starts_with("--timestamp 'rfc3339' is not how the first line writes its time: 'hello'"), "{error}");
    assert!(source(&["--timestamp", "iso"]).unwrap_err().to_string().contains("a format with %"));
    assert!(source(&["--timestamp", "epoch", "--timestamp-regex", "("]).unwrap_err().to_string().contains("regex"));
    assert!(source(&["--timestamp-at", "3"]).is_err());
}
