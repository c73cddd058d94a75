//! What can go wrong while chunks are compacted.
//! Owns: the words, and the kinds that the server decides by.

use store::{ErrorKind, StoreError};

/// An error of the compactor. A lost race is a value, not an error.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The store failed, or a chunk is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A chunk whose streams or rows are not in canonical order: its merge would leave others out of order, or copies of rows apart.
    #[error("chunk '{key}' is not in order: {what}")]
    Unordered {
        /// Name of the chunk.
        key: String,
        /// What stands before what it should follow.
        what: String,
    },
    /// A bug in Tarn: an invariant was broken.
    #[error("internal error, please report it: {invariant}")]
    Internal {
        /// The invariant that does not hold.
        invariant: String,
    },
}

impl CompactError {
    /// A broken invariant of Tarn itself.
    pub fn internal(invariant: impl Into<String>) -> Self {
        Self::Internal { invariant: invariant.into() }
    }

    /// What a caller can decide by.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Unordered { .. } => ErrorKind::Corrupt,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }
}
