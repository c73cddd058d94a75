//! Reads a request body within a size, a time and a share of memory, so that neither a large nor a slow nor a numerous client
//! can exhaust the process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;

use crate::config::{HttpConfig, format_duration};

/// What a declared length may reserve before a byte has arrived.
const MAX_RESERVED_BYTES: usize = 4 << 20;

/// Counts the bytes of bodies in memory.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    held: AtomicUsize,
    max_held: usize,
    timeout: Duration,
    stall_timeout: Duration,
}

/// A body and its share of the memory, which is given back on drop.
#[derive(Debug)]
pub(crate) struct HeldBody<'a> {
    pub(crate) bytes: Bytes,
    _share: Share<'a>,
}

#[derive(Debug)]
struct Share<'a> {
    memory: &'a BodyMemory,
    bytes: usize,
}

/// A body that was not read, with the text for the client.
#[derive(Debug)]
pub(crate) struct BodyRefusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// How large the body is, as far as is known, if it is too large.
    pub(crate) bytes: usize,
}

impl BodyMemory {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        Self { held: AtomicUsize::new(0), max_held: config.max_body_memory, timeout: config.body_timeout, stall_timeout: config.body_stall_timeout }
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Reads the body, at most `limit` bytes. A declared length beyond the limit is refused before a byte is read.
    pub(crate) async fn read(&self, headers: &HeaderMap, body: Body, limit: usize) -> Result<HeldBody<'_>, BodyRefusal> {
        let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
        let declared = declared.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if let Some(length) = declared.filter(|length| *length > limit) {
            return Err(too_large(limit, length));
        }
        match tokio::time::timeout(self.timeout, self.collect(body, declared.unwrap_or(0), limit)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(too_slow(format!("the request body did not arrive within {}", format_duration(self.timeout)))),
        }
    }

    async fn collect(&self, mut body: Body, declared: usize, limit: usize) -> Result<HeldBody<'_>, BodyRefusal> {
        let mut share = Share { memory: self, bytes: 0 };
        let mut whole = BytesMut::new();
        loop {
            let Ok(frame) = tokio::time::timeout(self.stall_timeout, body.frame()).await else {
                return Err(too_slow(format!("nothing of the request body arrived for {}", format_duration(self.stall_timeout))));
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| refusal(StatusCode::BAD_REQUEST, format!("the request body cannot be read: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            share.grow(data.len())?;
            if share.bytes > limit {
                return Err(too_large(limit, share.bytes));
            }
            if whole.is_empty() {
                whole.reserve(declared.min(MAX_RESERVED_BYTES).max(data.len()));
            }
            whole.extend_from_slice(&data);
        }
        Ok(HeldBody { bytes: whole.freeze(), _share: share })
    }
}

impl Share<'_> {
    fn grow(&mut self, bytes: usize) -> Result<(), BodyRefusal> {
        let before = self.memory.held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        let max = self.memory.max_held;
        if before.saturating_add(bytes) > max {
            let message = format!("request refused, retry it: request bodies of {max} bytes are already in memory");
            return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, message));
        }
        Ok(())
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn too_slow(message: String) -> BodyRefusal {
    refusal(StatusCode::REQUEST_TIMEOUT, message)
}

fn too_large(limit: usize, bytes: usize) -> BodyRefusal {
    let message = format!("request body too large: the limit is {limit} bytes; send smaller batches or raise limits.max_body_bytes");
    BodyRefusal { bytes, ..refusal(StatusCode::PAYLOAD_TOO_LARGE, message) }
}

fn refusal(status: StatusCode, message: String) -> BodyRefusal {
    BodyRefusal { status, message, bytes: 0 }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};

    use super::*;

    fn memory() -> BodyMemory {
        BodyMemory::new(&HttpConfig::default())
    }

    fn chunks(sizes: &'static [usize]) -> Body {
        Body::from_stream(stream::iter(sizes.iter().map(|size| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; *size])))))
    }

    #[tokio::test]
    async fn a_body_holds_its_share_until_it_is_dropped() {
        let memory = memory();
        let body = memory.read(&HeaderMap::new(), chunks(&[3, 4, 0, 5]), 12).await.unwrap();
        assert_eq!((body.bytes.len(), memory.held()), (12, 12));
        drop(body);
        assert_eq!(memory.held(), 0);
    }

    #[tokio::test]
    async fn too_large_is_refused_while_reading_and_before() {
        let memory = memory();
        let refusal = memory.read(&HeaderMap::new(), chunks(&[8, 5]), 12).await.unwrap_err();
        assert_eq!((refusal.status, refusal.bytes), (StatusCode::PAYLOAD_TOO_LARGE, 13));
        assert!(refusal.message.starts_with("request body too large: "), "{}", refusal.message);
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, http::HeaderValue::from_static("13"))]);
        assert_eq!(memory.read(&headers, chunks(&[]), 12).await.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(memory.held(), 0);
    }

    #[tokio::test]
    async fn bodies_of_many_requests_share_a_bound() {
        let memory = memory();
        let almost = HttpConfig::default().max_body_memory - 5;
        memory.held.store(almost, Ordering::Relaxed);
        assert_eq!(memory.read(&HeaderMap::new(), chunks(&[6]), 12).await.unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(memory.held(), almost);
    }

    #[tokio::test]
    async fn a_body_may_neither_pause_nor_dribble() {
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(3600));
        let memory = BodyMemory::new(&HttpConfig { body_timeout: long, body_stall_timeout: short, ..HttpConfig::default() });
        let pausing = Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]).chain(stream::pending()));
        let refusal = memory.read(&HeaderMap::new(), pausing, 1000).await.unwrap_err();
        assert_eq!((refusal.status, refusal.message.as_str()), (StatusCode::REQUEST_TIMEOUT, "nothing of the request body arrived for 20ms"));
        let memory = BodyMemory::new(&HttpConfig { body_timeout: short, body_stall_timeout: long, ..HttpConfig::default() });
        let dribbling = Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        }));
        let refusal = memory.read(&HeaderMap::new(), dribbling, 1000).await.unwrap_err();
        assert_eq!((refusal.status, refusal.message.as_str()), (StatusCode::REQUEST_TIMEOUT, "the request body did not arrive within 20ms"));
        assert_eq!(memory.held(), 0);
    }
}
