//! A chunk that a scan reads.

use std::sync::Arc;

use schema::ChunkKey;
use store::StoreError;
use store::chunk::{ChunkCache, ChunkReader};
use store::object::ObjectClient;

/// A chunk as a planner has it, or as a process has it that was sent a plan. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum ChunkSource {
    /// Open.
    Open(ChunkReader),
    /// Known by name, opened when it is read.
    Named {
        /// The chunk.
        key: Arc<ChunkKey>,
        /// About how many bytes the object has: decides whether it is fetched whole, not what is read.
        size_hint: u64,
        /// Opened chunks of this process.
        cache: ChunkCache,
    },
}

impl ChunkSource {
    /// Which chunk.
    pub(crate) fn key(&self) -> &ChunkKey {
        match self {
            Self::Open(reader) => reader.key(),
            Self::Named { key, .. } => key,
        }
    }

    /// About how many bytes the object has.
    pub(crate) fn size_hint(&self) -> u64 {
        match self {
            // Compressed lines take less than this, and so in all but odd cases does the object.
            Self::Open(reader) => reader.manifest().bytes(),
            Self::Named { size_hint, .. } => *size_hint,
        }
    }

    /// The open chunk. Errors: those of [`ChunkReader::open`].
    pub(super) async fn open(&self, client: &ObjectClient) -> Result<ChunkReader, StoreError> {
        match self {
            Self::Open(reader) => Ok(reader.clone()),
            Self::Named { key, size_hint, cache } => ChunkReader::open(client, key, *size_hint, cache).await,
        }
    }
}
