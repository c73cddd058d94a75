//! Bodies and queries that are wrong: a 4xx that says why, bounded memory, and a server that goes on.

use std::io::Write as _;

use anyhow::{Result, ensure};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use tests::data::{self, Entry, T0};
use tests::push::{self, Body};
use tests::query::{PAGE, Range};
use tests::server::Server;
use tests::store::Store;

crate::on_each_store!(bad_bodies);
crate::on_each_store!(bad_queries);

/// What a decompressed body may have in this test.
const MAX_DECOMPRESSED: u64 = 16 << 20;
/// Bodies that are sent at the same time.
const AT_ONCE: usize = 4;

fn gzip(size: usize, byte: u8) -> Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let block = vec![byte; 1 << 20];
    for _ in 0..size >> 20 {
        encoder.write_all(&block)?;
    }
    Ok(encoder.finish()?.into())
}

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

fn bad(content_type: &'static str, content_encoding: Option<&'static str>, bytes: impl Into<Bytes>) -> Body {
    Body { content_type, content_encoding, bytes: bytes.into() }
}

/// Each with a name. None may be acknowledged.
fn bodies() -> Result<Vec<(String, Body)>> {
    let good = push::protobuf(&[Entry::of_app("a", T0, "x")])?;
    let truncated_message = snap::raw::Encoder::new().compress_vec(&[0x0a, 0x7f, 0x01])?;
    let mut list = vec![
        ("empty protobuf body".to_owned(), bad(PROTOBUF, None, "")),
        ("empty JSON body".to_owned(), bad(JSON, None, "")),
        ("no content type".to_owned(), bad("", None, good.bytes.clone())),
        ("JSON called protobuf".to_owned(), bad(PROTOBUF, None, r#"{"streams":[]}"#)),
        ("protobuf called JSON".to_owned(), bad(JSON, None, good.bytes.clone())),
        ("half a snappy block".to_owned(), bad(PROTOBUF, None, good.bytes.slice(..good.bytes.len() / 2))),
        ("a message that ends early".to_owned(), bad(PROTOBUF, None, truncated_message)),
        // A block that says it holds 4 GB.
        ("snappy that claims 4 GB".to_owned(), bad(PROTOBUF, None, vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x41])),
        ("gzip that is none".to_owned(), bad(JSON, Some("gzip"), "not gzip")),
        ("an unknown encoding".to_owned(), bad(JSON, Some("br"), r#"{"streams":[]}"#)),
        ("no streams".to_owned(), bad(JSON, None, r#"{"streams":[]}"#)),
        ("streams that are none".to_owned(), bad(JSON, None, r#"{"streams":[1,"a"]}"#)),
        ("a timestamp that is a number".to_owned(), bad(JSON, None, r#"{"streams":[{"stream":{"app":"a"},"values":[[1793491200000000000,"x"]]}]}"#)),
        ("a timestamp that is none".to_owned(), bad(JSON, None, r#"{"streams":[{"stream":{"app":"a"},"values":[["now","x"]]}]}"#)),
        ("a line that is a number".to_owned(), bad(JSON, None, r#"{"streams":[{"stream":{"app":"a"},"values":[["1793491200000000000",1]]}]}"#)),
        ("metadata that is a list".to_owned(), bad(JSON, None, r#"{"streams":[{"stream":{"app":"a"},"values":[["1793491200000000000","x",["m"]]]}]}"#)),
        ("JSON that ends early".to_owned(), bad(JSON, None, r#"{"streams":[{"stream":{"app":"a"},"values":[["1793491200000000000","#)),
        ("JSON nested 100,000 deep".to_owned(), bad(JSON, None, "[".repeat(100_000))),
        ("JSON nested 100,000 deep in an unknown key".to_owned(), bad(JSON, None, format!("{{\"x\":{}", "[".repeat(100_000)))),
        ("labels that are none".to_owned(), push::protobuf(&[Entry { labels: data::labels(&[("not a name", "x")]), ..Entry::of_app("a", T0, "x") }])?),
        ("a line that is too long".to_owned(), push::json(&[Entry::of_app("a", T0, "x".repeat((256 << 10) + 1))])),
        ("gzip that grows to 1 GB".to_owned(), bad(JSON, Some("gzip"), gzip(1 << 30, b' ')?)),
        ("protobuf in gzip that grows to 1 GB".to_owned(), bad(PROTOBUF, Some("gzip"), gzip(1 << 30, 0)?)),
    ];
    let mut rng = StdRng::seed_from_u64(3);
    for n in 0..50 {
        let mut noise = vec![0; rng.random_range(1..2000)];
        rng.fill_bytes(&mut noise);
        list.push((format!("noise {n}"), bad(if n % 2 == 0 { PROTOBUF } else { JSON }, None, noise)));
    }
    Ok(list)
}

async fn bad_bodies(store: Store) -> Result<()> {
    let mut server = Server::start_with(&store, &[("TARN_LIMITS_MAX_DECOMPRESSED_BYTES", &MAX_DECOMPRESSED.to_string())]).await?;
    server.push(None, &push::json(&[Entry::of_app("good", T0, "before")])).await?;
    let before = server.peak_memory()?;
    for (name, body) in bodies()? {
        let answers = futures::future::join_all((0..AT_ONCE).map(|_| server.send(None, &body))).await;
        for answer in answers {
            let (status, text) = answer.map_err(|error| error.context(name.clone()))?;
            ensure!(status.is_client_error(), "{name} was answered with {status}: {text}");
            ensure!(!text.trim().is_empty() && text.len() < 2000, "{name} was answered with {} bytes of text", text.len());
        }
    }
    ensure!(server.is_running()?, "the server ended");
    let grown = server.peak_memory()?.saturating_sub(before);
    // Each request may hold its body decompressed, and once more while it is decoded.
    let bound = AT_ONCE as u64 * 2 * MAX_DECOMPRESSED + (64 << 20);
    ensure!(grown <= bound, "memory grew by {} MB, at most {} MB was expected", grown >> 20, bound >> 20);
    server.push(None, &push::json(&[Entry::of_app("good", T0 + 1, "after")])).await?;
    let rows = server.read_all(None, r#"{app=~".+"}"#, Range::DAY, PAGE).await?;
    data::same_rows([Entry::of_app("good", T0, "before").row(), Entry::of_app("good", T0 + 1, "after").row()], rows)
}

async fn bad_queries(store: Store) -> Result<()> {
    let server = Server::start(&store).await?;
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    let queries = [
        "",
        "{",
        "{}",
        r#"{app="a"} |"#,
        r#"{app=~"("}"#,
        "sum(",
        r#"{app="a"} | no_such_stage"#,
        r#"{app="a"}[5m]"#,
        "rate({app=\"a\"})",
        "\u{0}",
        &deep[..30_000],
    ];
    for query in queries {
        // As a form in the body, since the longest would not fit into a URL.
        let form = [("query", query), ("start", "1793491200"), ("end", "1793494800")];
        let (status, text) = server.ask_by_form("/loki/api/v1/query_range", &form).await?;
        ensure!(status.is_client_error(), "query {:?} was answered with {status}: {text}", &query[..query.len().min(40)]);
        ensure!(!text.trim().is_empty(), "query {:?}: no text", &query[..query.len().min(40)]);
    }
    for (name, value) in [("start", "garbage"), ("end", "garbage"), ("limit", "-1"), ("limit", "x"), ("step", "x"), ("direction", "up")] {
        let (status, text) = server.ask(None, "/loki/api/v1/query_range", &[("query", r#"{app="a"}"#), (name, value)]).await?;
        ensure!(status.as_u16() == 400, "{name}={value} was answered with {status}: {text}");
    }
    Ok(())
}
