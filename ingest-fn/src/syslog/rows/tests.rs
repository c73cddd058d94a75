//! Messages in, rows out; times are worked out by hand (1795910400 is 2026-11-29T00:00:00Z).

use bytes::Bytes;

use super::*;
use crate::elastic::parse_label_fields;
use crate::syslog::frame::FrameReader;
use crate::testkit::show;

const NOW: Timestamp = Timestamp(1_795_910_400_000_000_000);

fn rows_of(settings: SyslogSettings, limits: &IngestLimits, stream: &[u8]) -> SyslogRows {
    let mut frames = FrameReader::new(limits.max_line_size);
    frames.push(stream);
    let mut whole: Vec<Frame> = frames.by_ref().collect();
    whole.extend(std::iter::from_fn(|| frames.finish()));
    SyslogDecoder::new(Arc::new(settings)).decode(whole.iter().map(|frame| ("10.1.2.3", frame)), limits, NOW).unwrap()
}

fn shown(stream: &[u8]) -> String {
    show(&rows_of(SyslogSettings::default(), &IngestLimits::default(), stream).decoded.batch)
}

#[test]
fn what_the_parts_become() {
    let stream = "<165>1 2026-11-29T00:00:00.5Z web-1 nginx 8710 ID47 [req@32473 id=\"7\" path=\"/a\"] GET /a\n\
                  <11>Nov 28 23:59:59 web-2 sshd[42]: failed\n\
                  <13>Nov 28 23:59:59 cron: tick\n\
                  no message\n\
                  <14>1 - - - - - -\n";
    let expected = r#"{app="nginx", facility="local4", host="web-1", job="syslog", service_name="nginx"} 1795910400500000000 "GET /a" {severity="notice", procid="8710", msgid="ID47", detected_level="info", sd_req_32473_id="7", sd_req_32473_path="/a"}
{app="sshd", facility="user", host="web-2", job="syslog", service_name="sshd"} 1795910399000000000 "failed" {severity="err", procid="42", detected_level="error"}
{app="cron", facility="user", host="10.1.2.3", job="syslog", service_name="cron"} 1795910399000000001 "tick" {severity="notice", detected_level="info"}
{host="10.1.2.3", job="syslog", service_name="syslog"} 1795910400000000000 "no message" {syslog_error="unparseable", detected_level="unknown"}
{facility="user", host="10.1.2.3", job="syslog", service_name="syslog"} 1795910400000000001 "<14>1 - - - - - -" {severity="info", detected_level="info"}
"#;
    assert_eq!(shown(stream.as_bytes()), expected);
    let counts = rows_of(SyslogSettings::default(), &IngestLimits::default(), stream.as_bytes()).counts;
    assert_eq!(counts, SyslogCounts { rfc5424: 2, rfc3164: 2, unparseable: 1, ..SyslogCounts::default() });
}

/// With seconds alone, equal lines would be one entry.
#[test]
fn equal_lines_of_one_second_are_all_kept() {
    let line = "<13>Nov 28 23:59:59 h app: again\n";
    let rows = rows_of(SyslogSettings::default(), &IngestLimits::default(), line.repeat(3).as_bytes());
    assert_eq!(rows.decoded.batch.timestamps, [1_795_910_399_000_000_000, 1_795_910_399_000_000_001, 1_795_910_399_000_000_002]);
    // Also where those of another clock come in between, and where a time says what was made up for another.
    let mut times = Times::default();
    let given: Vec<i64> = [5, 9, 5, 9, 6, 5, 7].into_iter().map(|nanos| times.unused(nanos)).collect();
    assert_eq!(given, [5, 9, 6, 10, 7, 8, 11]);
    for nanos in 0..100_000 {
        times.unused(nanos * 1_000_000_000);
    }
    assert!(times.given.len() <= REMEMBERED_RUNS);
}

/// A hundred thousand lines of one second were once 16,384: so many times were remembered, and then all forgotten.
#[test]
fn a_flood_of_equal_lines_is_kept() {
    let mut times = Times::default();
    for number in 0..100_000 {
        assert_eq!(times.unused(7_000_000_000), 7_000_000_000 + number);
        // Of another sender, whose clock is a second behind.
        assert_eq!(times.unused(6_000_000_000), 6_000_000_000 + number);
    }
    assert_eq!(times.given.len(), 2);
}

#[test]
fn labels_are_a_choice() {
    let settings = SyslogSettings {
        labels: LabelSet::parse("{env=\"prod\", host=\"x\"}").unwrap(),
        label_fields: parse_label_fields("severity=level,msgid").unwrap(),
        time_zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
    };
    let rows = rows_of(settings, &IngestLimits::default(), b"<13>1 - h a p m - t\n<13>Nov 29 00:59:59 h a: t");
    let expected = r#"{env="prod", host="x", level="notice", msgid="m", service_name="unknown_service"} 1795910400000000000 "t" {host="h", app_name="a", facility="user", procid="p", detected_level="info"}
{env="prod", host="x", level="notice", service_name="unknown_service"} 1795910399000000000 "t" {host="h", app_name="a", facility="user", detected_level="info"}
"#;
    assert_eq!(show(&rows.decoded.batch), expected);
}

#[test]
fn what_is_no_proper_message_is_stored_with_a_mark() {
    // Bytes that are no UTF-8.
    let broken = shown(b"<13>1 - h a - - - caf\xe9\n");
    assert!(broken.contains("\"caf\u{fffd}\" {syslog_error=\"not_utf8\", severity=\"notice\""), "{broken}");
    // Names that mean the same, and names without a letter.
    let names = shown(b"<13>1 - h a - - [x.y a=\"1\" a=\"2\"][x-y a=\"3\"][_ _=\"4\"][z] t\n");
    assert!(names.contains("sd_x_y_a=\"1\", sd_x_y_a_2=\"2\", sd_x_y_a_3=\"3\", sd_=\"4\", sd_z=\"\"}"), "{names}");
    // More structured data than an entry may have.
    let limits = IngestLimits { max_structured_metadata_entries_count: 5, ..IngestLimits::default() };
    let rows = rows_of(SyslogSettings::default(), &limits, b"<13>1 - h a p m [x a=\"1\" b=\"2\"] t\n");
    assert_eq!((rows.counts.not_taken_apart, rows.decoded.lines), (1, 1));
    let text = show(&rows.decoded.batch);
    assert!(text.contains(r#""<13>1 - h a p m [x a=\"1\" b=\"2\"] t" {syslog_error="structured_data_too_large""#), "{text}");
    // A label that is longer than one may be.
    let long = "h".repeat(3000);
    let rows = rows_of(SyslogSettings::default(), &IngestLimits::default(), format!("<13>1 - {long} a - - - t").as_bytes());
    assert!(show(&rows.decoded.batch).contains(&format!("\"t\" {{host=\"{long}\"")));
}

#[test]
fn a_message_that_is_too_long_is_stored_in_pieces() {
    let limits = IngestLimits { max_line_size: 30, ..IngestLimits::default() };
    let rows = rows_of(SyslogSettings::default(), &limits, b"<13>1 - h a - - - 0123456789 and much more than fits\n<13>1 - h a - - - short\n");
    let expected = r#"{app="a", facility="user", host="h", job="syslog", service_name="a"} 1795910400000000000 "0123456789 a" {syslog_error="too_long", syslog_part="0", severity="notice", detected_level="info"}
{app="a", facility="user", host="h", job="syslog", service_name="a"} 1795910400000000001 "nd much more than fits" {syslog_error="too_long", syslog_part="1", detected_level="unknown"}
{app="a", facility="user", host="h", job="syslog", service_name="a"} 1795910400000000002 "short" {severity="notice", detected_level="info"}
"#;
    assert_eq!(show(&rows.decoded.batch), expected);
    assert_eq!(rows.counts, SyslogCounts { rfc5424: 2, pieces: 1, ..SyslogCounts::default() });
}

/// Bytes that are no UTF-8, as long as a line may be: their replacement must not make it longer than that.
#[test]
fn repaired_lines_are_no_longer_than_a_line_may_be() {
    let limits = IngestLimits { max_line_size: 20, ..IngestLimits::default() };
    let rows = rows_of(SyslogSettings::default(), &limits, &[b'\xff'; 20]);
    assert_eq!((rows.decoded.lines, rows.counts.repaired), (1, 1));
    let frame = Frame { bytes: Bytes::from_static(b"\xff\xff"), part: 0, is_cut: false };
    assert_eq!(text_of(&frame.bytes, 20), (Cow::Owned::<str>("\u{fffd}\u{fffd}".to_owned()), true));
}
