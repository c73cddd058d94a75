//! Messages in, their parts out. The first ones are the examples of the RFCs; times are those of `date -u -d ... +%s`. It is 2026-11-29T00:00:00Z.

use super::*;

const NOW: Timestamp = Timestamp(1_795_910_400_000_000_000);

/// `form facility.severity time host app procid msgid {element.parameter="value"} text`
fn show(text: &str) -> String {
    let message = read(text, &TimeZone::UTC, NOW);
    let or_dash = |field: Option<&str>| field.unwrap_or("-").to_owned();
    let data: Vec<String> = message.structured_data.iter().map(|(id, name, value)| format!("{id}.{name}={value:?}")).collect();
    format!(
        "{:?} {}.{} {} {} {} {} {} {{{}}} {:?}",
        message.form,
        or_dash(message.facility),
        or_dash(message.severity.map(|(name, _)| name)),
        message.timestamp.map_or("-".to_owned(), |nanos| nanos.to_string()),
        or_dash(message.host),
        or_dash(message.app_name),
        or_dash(message.procid),
        or_dash(message.msgid),
        data.join(","),
        message.text
    )
}

#[test]
fn examples_of_rfc_5424() {
    for (text, expected) in [
        (
            "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8",
            r#"Rfc5424 auth.crit 1065910455003000000 mymachine.example.com su - ID47 {} "'su root' failed for lonvick on /dev/pts/8""#,
        ),
        (
            "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
            r#"Rfc5424 local4.notice 1061727255000003000 192.0.2.1 myproc 8710 - {} "%% It's time to make the do-nuts.""#,
        ),
        (
            "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"] \u{feff}An application event log entry...",
            r#"Rfc5424 local4.notice 1065910455003000000 mymachine.example.com evntslog - ID47 {exampleSDID@32473.iut="3",exampleSDID@32473.eventSource="Application",exampleSDID@32473.eventID="1011"} "An application event log entry...""#,
        ),
        (
            "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\"][examplePriority@32473 class=\"high\"]",
            r#"Rfc5424 local4.notice 1065910455003000000 mymachine.example.com evntslog - ID47 {exampleSDID@32473.iut="3",examplePriority@32473.class="high"} """#,
        ),
    ] {
        assert_eq!(show(text), expected, "{text}");
    }
}

#[test]
fn rfc_5424_at_its_edges() {
    for (text, expected) in [
        ("<0>1 - - - - - -", r#"Rfc5424 kern.emerg - - - - - {} """#),
        ("<191>1 - - - - - - -", r#"Rfc5424 local7.debug - - - - - {} "-""#),
        ("<13>1 - h a p m -text", r#"Rfc5424 user.notice - h a p m {} "-text""#),
        ("<13>1 - h a p m", r#"Rfc5424 user.notice - h a p m {} """#),
        (r#"<13>1 - h a p m [x a="1 \" \\ \] \n"][y] t  t"#, r#"Rfc5424 user.notice - h a p m {x.a="1 \" \\ ] \\n",y.=""} "t  t""#),
        // What is no structured data is text.
        ("<13>1 - h a p m [not closed", r#"Rfc5424 user.notice - h a p m {} "[not closed""#),
        ("<13>1 - h a p m [x a=1] t", r#"Rfc5424 user.notice - h a p m {} "[x a=1] t""#),
        ("<13>1 - h a p m [x a=\"1\"]t", r#"Rfc5424 user.notice - h a p m {} "[x a=\"1\"]t""#),
        ("<13>1 - h a p m []", r#"Rfc5424 user.notice - h a p m {} "[]""#),
        ("<13>1 - h a p m text", r#"Rfc5424 user.notice - h a p m {} "text""#),
        // Not of this form, so of the other one.
        ("<13>1 yesterday h a p m - t", r#"Rfc3164 user.notice - - - - - {} "1 yesterday h a p m - t""#),
        ("<13>1 - h", r#"Rfc3164 user.notice - - - - - {} "1 - h""#),
        ("<13>2 - h a p m - t", r#"Rfc3164 user.notice - - - - - {} "2 - h a p m - t""#),
    ] {
        assert_eq!(show(text), expected, "{text}");
    }
}

#[test]
fn rfc_3164_as_it_is_met() {
    for (text, expected) in [
        // The examples of the RFC.
        (
            "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
            r#"Rfc3164 auth.crit 1791756855000000000 mymachine su - - {} "'su root' failed for lonvick on /dev/pts/8""#,
        ),
        ("<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!", r#"Rfc3164 user.notice 1770312738000000000 10.0.0.99 - - - {} "Use the BFG!""#),
        ("<0>Use the BFG!", r#"Rfc3164 kern.emerg - - - - - {} "Use the BFG!""#),
        // A local one, without a host; with a process id.
        ("<86>Nov 29 00:00:00 sshd[4242]: Accepted", r#"Rfc3164 authpriv.info 1795910400000000000 - sshd 4242 - {} "Accepted""#),
        ("<30>Nov 29 00:00:00 web-1 systemd[1]: Started x.", r#"Rfc3164 daemon.info 1795910400000000000 web-1 systemd 1 - {} "Started x.""#),
        // rsyslog's RSYSLOG_ForwardFormat, and a router with a year.
        ("<189>2026-11-28T23:59:59.123456+00:00 web-1 app/sub[x-1]: a  b", r#"Rfc3164 local7.notice 1795910399123456000 web-1 app/sub x-1 - {} "a  b""#),
        ("<189>Nov 28 2026 23:59:59: %LINK-3-UPDOWN: Interface up", r#"Rfc3164 local7.notice 1795910399000000000 - %LINK-3-UPDOWN - - {} "Interface up""#),
        // Words that are no host and no program.
        ("<13>Nov 29 00:00:00 h http://x is down", r#"Rfc3164 user.notice 1795910400000000000 h - - - {} "http://x is down""#),
        ("<13>Nov 29 00:00:00 {\"a\":1} x", r#"Rfc3164 user.notice 1795910400000000000 - - - - {} "{\"a\":1} x""#),
        ("<13>kernel: oops", r#"Rfc3164 user.notice - - kernel - - {} "oops""#),
        ("<13>one two: three", r#"Rfc3164 user.notice - - - - - {} "one two: three""#),
        ("<13>", r#"Rfc3164 user.notice - - - - - {} """#),
        ("<13>a[b c]: d", r#"Rfc3164 user.notice - - - - - {} "a[b c]: d""#),
    ] {
        assert_eq!(show(text), expected, "{text}");
    }
}

#[test]
fn without_a_priority_it_is_a_text() {
    for text in ["hello", "", "<", "<>x", "<192>x", "<1234>x", "<+3>x", "<a>x", "< 3>x", "Nov 29 00:00:00 h app: x"] {
        assert_eq!(show(text), format!("Unknown -.- - - - - - {{}} {text:?}"));
    }
}
