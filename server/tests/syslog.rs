//! Syslog over real sockets: what was sent is there, also when the process ends right after, or the store does not work at first.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use store::env::Env;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::support::{Server, client, run, stderr};

const ANY: &str = "127.0.0.1:0";
const PATIENCE: Duration = Duration::from_secs(30);

/// Where syslog of `transport` is taken.
fn address(server: &Server, transport: &str) -> String {
    let log = server.log.lock().unwrap();
    let line = log.lines().find(|line| line.contains(&format!("transport=\"{transport}\""))).unwrap_or_else(|| panic!("{log}"));
    line.split_whitespace().find_map(|word| word.strip_prefix("listening=")).unwrap().to_owned()
}

async fn metric(server: &Server, name: &str) -> u64 {
    let metrics = server.get("/metrics").await.text().await.unwrap();
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("no {name}:\n{metrics}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// Waits until the tenant has so many rows.
async fn stored(server: &Server, tenant: &str, rows: u64) {
    let clock = Env::system();
    while server.stored_rows(tenant) < rows {
        assert!(clock.monotonic() < PATIENCE, "{} of {rows} rows:\n{}", server.stored_rows(tenant), server.log.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.stored_rows(tenant), rows);
}

/// All that the tenant has.
async fn found(server: &Server, tenant: &str) -> String {
    let path = "/loki/api/v1/query_range?query=%7Bjob%3D%22syslog%22%7D&limit=1000&start=0&end=4000000000000000000";
    client().get(server.at(path)).header("x-scope-orgid", tenant).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn both_transports_and_both_framings() {
    let server = Server::start(&[
        ("TARN_SYSLOG_LISTEN_TCP", ANY),
        ("TARN_SYSLOG_LISTEN_UDP", ANY),
        ("TARN_SYSLOG_TENANT", "ops"),
        ("TARN_LIMITS_MAX_QUERY_LENGTH", "0"),
    ])
    .await;
    let mut tcp = TcpStream::connect(address(&server, "tcp")).await.unwrap();
    tcp.write_all(b"<34>1 2026-11-29T00:00:00Z web-1 su 7 ID47 [x@1 a=\"b\"] by line\n<13>Nov 28 23:59:59 web-2 cron[1]: old\n").await.unwrap();
    tcp.write_all(b"29 <14>1 - h a - - - two\nlines!!no message at all\n").await.unwrap();
    let udp = UdpSocket::bind(ANY).await.unwrap();
    let to = address(&server, "udp");
    udp.send_to(b"<14>1 - h a - - - one datagram\n", &to).await.unwrap();
    udp.send_to(b"\n", &to).await.unwrap();
    udp.send_to(b"29 is no length here", &to).await.unwrap();
    stored(&server, "ops", 6).await;
    let lines = found(&server, "ops").await;
    for part in [
        r#""app":"su""#,
        r#""facility":"auth""#,
        r#""sd_x_1_a":"b""#,
        r#""msgid":"ID47""#,
        r#""host":"web-2""#,
        r#""host":"127.0.0.1""#,
        r#""detected_level":"critical""#,
        r#""by line""#,
        r#""old""#,
        r#""two\nlines!!""#,
        r#""no message at all""#,
        r#""one datagram""#,
        r#""29 is no length here""#,
    ] {
        assert!(lines.contains(part), "{part} is missing in {lines}");
    }
    assert_eq!(server.stored_rows("fake"), 0);
    assert_eq!(metric(&server, "tarn_syslog_messages_total{form=\"rfc5424\"}").await, 3);
    assert_eq!(metric(&server, "tarn_syslog_messages_total{form=\"rfc3164\"}").await, 1);
    assert_eq!(metric(&server, "tarn_syslog_messages_total{form=\"unparseable\"}").await, 2);
    assert_eq!(metric(&server, "tarn_syslog_connections").await, 1);
}

/// What was received before the end is stored: also what waits for company, and the line that nobody ended.
#[tokio::test]
async fn nothing_received_is_lost_at_the_end() {
    let mut server = Server::start(&[("TARN_SYSLOG_LISTEN_TCP", ANY), ("TARN_SYSLOG_LISTEN_UDP", ANY), ("TARN_INGEST_FLUSH_INTERVAL", "1h")]).await;
    let mut tcp = TcpStream::connect(address(&server, "tcp")).await.unwrap();
    tcp.write_all(b"<14>1 - h a - - - first\n").await.unwrap();
    stored(&server, "fake", 1).await;
    tcp.write_all(b"<14>1 - h a - - - waits\n<14>1 - h a - - - has no end").await.unwrap();
    let udp = UdpSocket::bind(ANY).await.unwrap();
    udp.send_to(b"<14>1 - h a - - - datagram", address(&server, "udp")).await.unwrap();
    let clock = Env::system();
    while metric(&server, "tarn_syslog_messages_total{form=\"rfc5424\"}").await < 3 {
        assert!(clock.monotonic() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.stored_rows("fake"), 1);
    server.signal("TERM");
    assert!(server.ended(Duration::from_secs(10)).await.success());
    assert_eq!(server.stored_rows("fake"), 4);
}

/// There is no acknowledgement that could be withheld, so what was read is kept and tried again.
#[tokio::test]
async fn a_store_that_fails_is_tried_until_it_does_not() {
    let server = Server::start(&[("TARN_SYSLOG_LISTEN_TCP", ANY)]).await;
    // Where the tenant's folder would be.
    let obstacle = server.store.join("t=fake");
    std::fs::write(&obstacle, "").unwrap();
    let mut tcp = TcpStream::connect(address(&server, "tcp")).await.unwrap();
    for number in 0..20 {
        tcp.write_all(format!("<14>1 - h a - - - line {number}\n").as_bytes()).await.unwrap();
    }
    drop(tcp);
    let clock = Env::system();
    while metric(&server, "tarn_syslog_retries_total").await == 0 {
        assert!(clock.monotonic() < PATIENCE, "{}", server.log.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::remove_file(&obstacle).unwrap();
    stored(&server, "fake", 20).await;
}

#[tokio::test]
async fn over_tls() {
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let (cert, key) = (certificates.join("one.crt"), certificates.join("one.key"));
    let folder = tempfile::tempdir().unwrap();
    let env = [("TARN_SYSLOG_LISTEN_TLS", ANY), ("TARN_TLS_CERT_FILE", cert.to_str().unwrap()), ("TARN_TLS_KEY_FILE", key.to_str().unwrap())];
    let trusting = reqwest::Client::builder().no_proxy().add_root_certificate(reqwest::Certificate::from_pem(&std::fs::read(&cert).unwrap()).unwrap());
    let server = Server::start_for(&folder.path().join("store"), &env, "https", trusting.build().unwrap()).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&std::fs::read(&cert).unwrap()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider())).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let tcp = TcpStream::connect(address(&server, "tls")).await.unwrap();
    let mut tls = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
    tls.write_all(b"26 <14>1 - h a - - - secretly").await.unwrap();
    tls.shutdown().await.unwrap();
    stored(&server, "fake", 1).await;
    // Plain text is not taken there.
    let mut plain = TcpStream::connect(address(&server, "tls")).await.unwrap();
    plain.write_all(b"<14>1 - h a - - - in the clear\n").await.unwrap();
    let clock = Env::system();
    while metric(&server, "tarn_tls_handshakes_failed_total").await == 0 {
        assert!(clock.monotonic() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.stored_rows("fake"), 1);
}

/// `logger` of util-linux in each of its ways, where there is one.
#[tokio::test]
async fn logger_sends_what_it_is_told() {
    if Command::new("logger").arg("--version").output().is_err() {
        return;
    }
    let server = Server::start(&[("TARN_SYSLOG_LISTEN_TCP", ANY), ("TARN_SYSLOG_LISTEN_UDP", ANY), ("TARN_LIMITS_MAX_QUERY_LENGTH", "0")]).await;
    let mut sent = 0;
    for (transport, flag) in [("tcp", "--tcp"), ("udp", "--udp")] {
        let to = address(&server, transport);
        let (host, port) = to.rsplit_once(':').unwrap();
        for form in [&["--rfc3164"][..], &["--rfc5424"], &["--rfc5424=notime,notq"], &["--rfc5424", "--octet-count", "--msgid", "M7"]] {
            let octets = form.contains(&"--octet-count");
            if octets && transport == "udp" {
                continue;
            }
            sent += 1;
            let line = format!("through {transport} as {}", form.join(" "));
            let status =
                Command::new("logger").args([flag, "-n", host, "-P", port, "-p", "local3.warning", "-t", "tagged", "--id=42"]).args(form).arg(&line).status();
            assert!(status.unwrap().success());
        }
    }
    stored(&server, "fake", sent).await;
    let lines = found(&server, "fake").await;
    let json: serde_json::Value = serde_json::from_str(&lines).unwrap();
    let streams = json["data"]["result"].as_array().unwrap();
    for stream in streams {
        let labels = &stream["stream"];
        assert_eq!((&labels["app"], &labels["facility"], &labels["severity"]), (&"tagged".into(), &"local3".into(), &"warning".into()), "{stream}");
        assert_eq!((&labels["procid"], &labels["detected_level"]), (&"42".into(), &"warn".into()), "{stream}");
        assert_eq!(labels.get("syslog_error"), None, "{stream}");
    }
    for part in ["through tcp as --rfc3164\"", "through udp as --rfc5424\"", "as --rfc5424 --octet-count --msgid M7\"", "\"msgid\":\"M7\""] {
        assert!(lines.contains(part), "{part} is missing in {lines}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["serve", "--listen", ANY, "--store", "memory:"], &[("TARN_SYSLOG_LISTEN_TCP", &address)], b"");
    assert!(output.status.code() == Some(1) && stderr(&output).contains(&format!("cannot listen on {address}")), "{}", stderr(&output));
    assert!(stderr(&output).contains("choose another address with syslog.listen_tcp"), "{}", stderr(&output));
}
