//! Pushing: bodies as clients make them, and the ways in which clients send them.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use prost::Message;
use reqwest::StatusCode;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::data::{Entry, Labels};
use crate::server::Server;

/// A push request's body with the headers that describe it.
#[derive(Clone, Debug)]
pub struct Body {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Content-Encoding`, if any.
    pub content_encoding: Option<&'static str>,
    /// The bytes.
    pub bytes: Bytes,
}

/// Snappy protobuf, as Alloy and Promtail send it.
pub fn protobuf(entries: &[Entry]) -> Result<Body> {
    let mut streams = Vec::new();
    for (labels, entries) in by_stream(entries) {
        let entries = entries.into_iter().map(EntryProto::of).collect::<Result<_>>()?;
        streams.push(StreamProto { labels: label_text(labels), entries });
    }
    let message = PushProto { streams }.encode_to_vec();
    let bytes = snap::raw::Encoder::new().compress_vec(&message)?.into();
    Ok(Body { content_type: "application/x-protobuf", content_encoding: None, bytes })
}

/// JSON, as Fluent Bit and Vector can send it.
pub fn json(entries: &[Entry]) -> Body {
    let streams: Vec<_> = by_stream(entries)
        .into_iter()
        .map(|(labels, entries)| {
            let values: Vec<_> = entries
                .into_iter()
                .map(|entry| {
                    let timestamp = entry.timestamp.to_string();
                    if entry.metadata.is_empty() { json!([timestamp, entry.line]) } else { json!([timestamp, entry.line, entry.metadata]) }
                })
                .collect();
            json!({ "stream": labels, "values": values })
        })
        .collect();
    Body { content_type: "application/json", content_encoding: None, bytes: json!({ "streams": streams }).to_string().into() }
}

/// Entries grouped by stream, streams and entries in the order in which they came.
fn by_stream(entries: &[Entry]) -> Vec<(&Labels, Vec<&Entry>)> {
    let mut place = std::collections::BTreeMap::new();
    let mut streams: Vec<(&Labels, Vec<&Entry>)> = Vec::new();
    for entry in entries {
        let at = *place.entry(&entry.labels).or_insert_with(|| {
            streams.push((&entry.labels, Vec::new()));
            streams.len() - 1
        });
        if let Some((_, of_stream)) = streams.get_mut(at) {
            of_stream.push(entry);
        }
    }
    streams
}

/// `{a="b", c="d"}` with Go's quoting, of which backslash, quote and newline suffice here.
fn label_text(labels: &Labels) -> String {
    let quote = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quote(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

impl Server {
    /// Sends a body once. The status and text of the answer; an error when there was no answer.
    pub async fn send(&self, tenant: Option<&str>, body: &Body) -> Result<(StatusCode, String)> {
        let mut request = self.http.post(format!("{}/loki/api/v1/push", self.url)).header("Content-Type", body.content_type).body(body.bytes.clone());
        if let Some(encoding) = body.content_encoding {
            request = request.header("Content-Encoding", encoding);
        }
        if let Some(tenant) = tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        let answer = request.send().await?;
        let status = answer.status();
        Ok((status, answer.text().await?))
    }

    /// Sends a body and expects it to be acknowledged.
    pub async fn push(&self, tenant: Option<&str>, body: &Body) -> Result<()> {
        let (status, text) = self.send(tenant, body).await?;
        ensure!(status == StatusCode::NO_CONTENT, "push was answered with {status}: {text}");
        Ok(())
    }

    /// Sends the first `share` (0 to 1) of a request for the default tenant and cuts the connection without waiting for an answer.
    pub async fn push_and_hang_up(&self, body: &Body, share: f64) -> Result<()> {
        let address = self.url.strip_prefix("http://").context("url")?;
        let mut connection = TcpStream::connect(address).await?;
        let mut request = format!(
            "POST /loki/api/v1/push HTTP/1.1\r\nHost: {address}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            body.content_type,
            body.bytes.len()
        )
        .into_bytes();
        request.extend_from_slice(&body.bytes);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a length needs no precision")]
        let sent = (request.len() as f64 * share) as usize;
        connection.write_all(request.get(..sent).unwrap_or(&request)).await?;
        connection.flush().await?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Message)]
struct PushProto {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<StreamProto>,
}

#[derive(Clone, PartialEq, Message)]
struct StreamProto {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct EntryProto {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<TimestampProto>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<PairProto>,
}

impl EntryProto {
    fn of(entry: &Entry) -> Result<Self> {
        let seconds = entry.timestamp.div_euclid(1_000_000_000);
        let nanos = i32::try_from(entry.timestamp.rem_euclid(1_000_000_000))?;
        let metadata = entry.metadata.iter().map(|(name, value)| PairProto { name: name.clone(), value: value.clone() }).collect();
        Ok(Self { timestamp: Some(TimestampProto { seconds, nanos }), line: entry.line.clone(), metadata })
    }
}

#[derive(Clone, PartialEq, Message)]
struct TimestampProto {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct PairProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}
