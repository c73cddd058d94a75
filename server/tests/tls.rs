//! The listener with TLS: who is let in, which protocols, what happens when the files change. The certificates are those of `tls/make`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, Identity, StatusCode, Version};
use store::env::Env;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Server, THEN, json_push, run, stderr};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// A client that trusts the certificate `name` alone, and follows `more`.
fn trusting(name: &str, more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> Client {
    let certificate = Certificate::from_pem(&std::fs::read(file(name)).unwrap()).unwrap();
    more(Client::builder().no_proxy().tls_built_in_root_certs(false).add_root_certificate(certificate)).build().unwrap()
}

/// A server with a certificate and key of its own folder: `one`'s.
async fn start(more: &[(&str, &str)], client: Client) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let copied = |name: &str| {
        let path = folder.path().join(name.replace("one", "tls"));
        std::fs::copy(file(name), &path).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (cert, key) = (copied("one.crt"), copied("one.key"));
    let env = [&[("TARN_TLS_CERT_FILE", cert.as_str()), ("TARN_TLS_KEY_FILE", key.as_str())], more].concat();
    (Server::start_for(&folder.path().join("store"), &env, "https", client).await, folder)
}

fn address(server: &Server) -> &str {
    server.url.strip_prefix("https://").unwrap()
}

#[tokio::test]
async fn both_versions_of_http_over_tls() {
    let (server, _folder) = start(&[], trusting("one.crt", |client| client)).await;
    assert_eq!(server.push(json_push(&[("app", "x")], &[(THEN, "hidden from the wire")])).await.status(), 204);
    let query = format!("/loki/api/v1/query_range?query=%7Bapp%3D%22x%22%7D&start={}&end={}", THEN - 1, THEN + 1);
    let found = server.get(&query).await;
    assert_eq!(found.version(), Version::HTTP_2, "what both sides can");
    assert!(found.text().await.unwrap().contains("hidden from the wire"));
    let old = trusting("one.crt", |client| client.http1_only().max_tls_version(reqwest::tls::Version::TLS_1_2)).get(server.at("/ready")).send().await.unwrap();
    assert_eq!((old.status(), old.version()), (StatusCode::OK, Version::HTTP_11));
    assert!(trusting("two.crt", |client| client).get(server.at("/ready")).send().await.is_err(), "the client would notice another server");
    assert!(server.log.lock().unwrap().contains("tls=true"));
}

/// Whoever connects and says nothing, or nothing that can be understood, holds nobody up, nor the end of the process.
#[tokio::test]
async fn silent_and_wrong_clients_hurt_nobody() {
    let (mut server, _folder) = start(&[], trusting("one.crt", |client| client)).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(address(&server)).await.unwrap());
    }
    let mut half = TcpStream::connect(address(&server)).await.unwrap();
    half.write_all(&[22, 3, 1, 2]).await.unwrap();
    let mut garbage = TcpStream::connect(address(&server)).await.unwrap();
    garbage.write_all(&[0xff; 64]).await.unwrap();
    assert_eq!(server.get("/ready").await.status(), 200);
    let mut plain = TcpStream::connect(address(&server)).await.unwrap();
    plain.write_all(b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut told = String::new();
    plain.read_to_string(&mut told).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 400 ") && told.ends_with("this address speaks HTTPS: use https:// in URL\n"), "{told}");
    let clock = Env::system();
    // The garbage and the plain request.
    while !server.get("/metrics").await.text().await.unwrap().lines().any(|line| line == "tarn_tls_handshakes_failed_total 2") {
        assert!(clock.monotonic() < Duration::from_secs(9), "failures are counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.signal("TERM");
    assert!(server.ended(Duration::from_secs(10)).await.success());
}

/// A renewed certificate is taken without a restart; files that do not fit are not.
#[tokio::test]
async fn changed_files_are_read_anew() {
    let (server, folder) = start(&[], trusting("one.crt", |client| client.pool_max_idle_per_host(0))).await;
    let reaches = async |certificate: &str| trusting(certificate, |client| client).get(server.at("/ready")).send().await.is_ok();
    std::fs::copy(file("two.crt"), folder.path().join("tls.crt")).unwrap();
    let clock = Env::system();
    while !server.log.lock().unwrap().contains("tls.key of tls.key_file is wrong: it is not the key of the certificate in ") {
        assert!(clock.monotonic() < Duration::from_secs(30), "{}", server.log.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(reaches("one.crt").await, "the old one stays in force");
    std::fs::copy(file("two.key"), folder.path().join("tls.key")).unwrap();
    while !reaches("two.crt").await {
        assert!(clock.monotonic() < Duration::from_secs(60), "{}", server.log.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!reaches("one.crt").await);
}

#[tokio::test]
async fn clients_need_a_certificate_where_an_authority_is_named() {
    let ca = file("ca.crt");
    let identity = [std::fs::read(file("agent.crt")).unwrap(), std::fs::read(file("agent.key")).unwrap()].concat();
    let agent = trusting("one.crt", |client| client.identity(Identity::from_pem(&identity).unwrap()));
    let (server, _folder) = start(&[("TARN_TLS_CLIENT_CA_FILE", ca.to_str().unwrap())], agent).await;
    assert_eq!(server.get("/ready").await.status(), 200);
    assert!(trusting("one.crt", |client| client).get(server.at("/ready")).send().await.is_err(), "without a certificate");
    let wrong = [std::fs::read(file("two.crt")).unwrap(), std::fs::read(file("two.key")).unwrap()].concat();
    let stranger = trusting("one.crt", |client| client.identity(Identity::from_pem(&wrong).unwrap()));
    assert!(stranger.get(server.at("/ready")).send().await.is_err(), "with one of nobody");
}

/// At start a wrong file ends the process, with the file and the fix.
#[test]
fn wrong_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two, key) = (file("one.crt"), file("two.crt"), file("one.key"));
    let garbage = folder.path().join("garbage");
    std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "hello").unwrap();
    let missing = folder.path().join("missing");
    for (cert, key, ca, told) in [
        (&missing, &key, None, "missing: check tls.cert_file"),
        (&empty, &key, None, "empty of tls.cert_file is wrong: it has no certificate: PEM with BEGIN CERTIFICATE is expected"),
        (&garbage, &key, None, "garbage of tls.cert_file is wrong: its first certificate cannot be read"),
        (&one, &empty, None, "empty of tls.key_file is wrong: it has no private key: PEM with BEGIN PRIVATE KEY, without a passphrase, is expected"),
        (&two, &key, None, "one.key of tls.key_file is wrong: it is not the key of the certificate in "),
        (&one, &key, Some(&garbage), "garbage of tls.client_ca_file is wrong: it has no certificate of an authority that can be used"),
    ] {
        let mut env = vec![("TARN_TLS_CERT_FILE", cert.to_str().unwrap()), ("TARN_TLS_KEY_FILE", key.to_str().unwrap())];
        env.extend(ca.map(|ca: &PathBuf| ("TARN_TLS_CLIENT_CA_FILE", ca.to_str().unwrap())));
        let output = run(&["serve", "--listen", "127.0.0.1:0", "--store", "memory:"], &env, b"");
        assert!(output.status.code() == Some(1) && stderr(&output).contains(told), "{told}: {}", stderr(&output));
    }
    let half = run(&["serve", "--store", "memory:"], &[("TARN_TLS_CERT_FILE", "x")], b"");
    assert!(stderr(&half).contains("tls.cert_file is set and tls.key_file is not"), "{}", stderr(&half));
}
