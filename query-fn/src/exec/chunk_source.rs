//! A chunk that a scan reads.

use std::sync::Arc;

use schema::ChunkRef;
use store::StoreError;
use store::chunk::{ChunkCache, ChunkReader};
use store::object::ObjectClient;
use store::snapshot::SnapshotChunk;

/// A chunk as a planner has it, or as a process has it that was sent a plan. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum ChunkSource {
    /// Open.
    Open(ChunkReader),
    /// Opened when it is read.
    Named {
        /// The chunk.
        chunk: Arc<ChunkRef>,
        /// Opened chunks of this process.
        cache: ChunkCache,
    },
}

impl ChunkSource {
    /// A chunk of a snapshot; one that need not be opened for pruning is opened through `cache`.
    pub(crate) fn of(chunk: &SnapshotChunk, cache: &ChunkCache) -> Self {
        match &chunk.reader {
            Some(reader) => Self::Open(reader.clone()),
            None => Self::Named { chunk: Arc::new(chunk.chunk.clone()), cache: cache.clone() },
        }
    }

    /// Which chunk.
    pub(crate) fn chunk(&self) -> &ChunkRef {
        match self {
            Self::Open(reader) => reader.chunk(),
            Self::Named { chunk, .. } => chunk,
        }
    }

    /// The open chunk. Errors: those of [`ChunkReader::open`].
    pub(super) async fn open(&self, client: &ObjectClient) -> Result<ChunkReader, StoreError> {
        match self {
            Self::Open(reader) => Ok(reader.clone()),
            Self::Named { chunk, cache } => ChunkReader::open(client, chunk, cache).await,
        }
    }
}
