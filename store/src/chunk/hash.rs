//! Content hashes: what makes a retried push the same object.
//! Owns: the bytes that are hashed (RFC 0001, "Content hash"). They may never change: a push sent to two versions of Tarn must be one chunk.
//! Must not know: Parquet, how the rows came over the wire.

use schema::{ChunkHash, RowBatch};

use super::order::OrderedRows;

/// Domains of the two hashes, so that no push can spell a group.
const PUSH_DOMAIN: &str = "tarn 2026-11-22 rows of one push";
const GROUP_DOMAIN: &str = "tarn 2026-11-22 pushes of one chunk";

/// Bytes gathered before they are hashed: BLAKE3 is several times faster on long inputs than on single lines.
const BUFFER_BYTES: usize = 128 << 10;

/// The hash of the rows of one push: streams in label order, rows of a stream by timestamp, equal timestamps in the order they came, metadata
/// pairs by name, exact duplicates once. The order of streams and of pairs in the request, and its wire format, make no difference.
pub fn push_hash(batch: &RowBatch) -> ChunkHash {
    hash_rows(&OrderedRows::of(std::slice::from_ref(batch)))
}

pub(crate) fn hash_rows(ordered: &OrderedRows<'_>) -> ChunkHash {
    let mut out = Canonical::new(PUSH_DOMAIN);
    let mut pairs = Vec::new();
    out.length(ordered.streams.len());
    for stream in &ordered.streams {
        out.length(stream.labels.len());
        for (name, value) in stream.labels.iter() {
            out.text(name.as_bytes());
            out.text(value.as_bytes());
        }
        out.length(stream.rows.len());
        for row in ordered.rows.get(stream.rows.clone()).unwrap_or(&[]) {
            out.bytes(&row.timestamp.to_le_bytes());
            out.text(ordered.line(*row));
            let pairs = ordered.metadata(*row, &mut pairs);
            out.length(pairs.len());
            for (name, value) in pairs {
                out.text(name.as_bytes());
                out.text(value);
            }
        }
    }
    out.finish()
}

/// The hash in a chunk's name. A chunk of one push is named by that push, so that the push retried alone meets its own object.
pub(crate) fn chunk_hash(pushes: &[ChunkHash]) -> ChunkHash {
    if let [only] = pushes {
        return *only;
    }
    let mut sorted = pushes.to_vec();
    sorted.sort_unstable();
    let mut out = Canonical::new(GROUP_DOMAIN);
    sorted.iter().for_each(|push| out.bytes(&push.0));
    out.finish()
}

struct Canonical {
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
}

impl Canonical {
    fn new(domain: &str) -> Self {
        Self { hasher: blake3::Hasher::new_derive_key(domain), buffer: Vec::with_capacity(BUFFER_BYTES) }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
            if bytes.len() > BUFFER_BYTES {
                self.hasher.update(bytes);
                return;
            }
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// A length as LEB128: a prefix code, so what follows it cannot be taken for a part of it.
    fn length(&mut self, length: usize) {
        let mut rest = length;
        while rest >= 0x80 {
            let [low, ..] = rest.to_le_bytes();
            self.bytes(&[low | 0x80]);
            rest >>= 7;
        }
        let [low, ..] = rest.to_le_bytes();
        self.bytes(&[low]);
    }

    fn text(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.bytes(bytes);
    }

    fn finish(mut self) -> ChunkHash {
        self.hasher.update(&self.buffer);
        let mut hash = ChunkHash([0; 16]);
        self.hasher.finalize_xof().fill(&mut hash.0);
        hash
    }
}
