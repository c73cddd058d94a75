//! What can go wrong with stored data, said once for the whole crate.
//! Owns: the kinds that callers decide by, and the words that people read.
//! Must not know: HTTP status codes or exit codes; the edges map [`ErrorKind`] to theirs.

use std::error::Error as StdError;

/// A foreign error kept as the cause of ours.
pub type Cause = Box<dyn StdError + Send + Sync + 'static>;

/// What a caller can decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The object is not there.
    NotFound,
    /// A condition of the request does not hold: the byte range lies outside the object, or the object was replaced meanwhile.
    Precondition,
    /// The store did not answer, or not with success, after bounded retries. Trying again later is right.
    Unavailable,
    /// The store refuses these credentials.
    Denied,
    /// The input (key, URL, setting) can never work; the message says which and why.
    Invalid,
    /// Stored bytes are not what they should be.
    Corrupt,
    /// The store lacks a guarantee that the commit protocol stands on, has a newer format, or is not a Tarn store.
    Unsupported,
    /// A bug in Tarn: an invariant was broken.
    Internal,
}

/// An error of the store crate. Expected outcomes (already exists, lost race) are values, not errors.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object is not there.
    #[error("object '{key}' does not exist")]
    NotFound {
        /// Name of the object.
        key: String,
    },
    /// The requested bytes are not all inside the object.
    #[error("bytes {start}..{end} of object '{key}' lie outside its {size} bytes")]
    Range {
        /// Name of the object.
        key: String,
        /// First byte asked for.
        start: u64,
        /// First byte after those asked for.
        end: u64,
        /// Size of the object.
        size: u64,
    },
    /// The store failed every attempt. For `create` this means: whether the object was written is not known; creating it again is safe.
    #[error("{op} of '{key}' failed after {attempts} attempts")]
    Unavailable {
        /// The request: put, get, head, list or delete.
        op: &'static str,
        /// Name or prefix of the objects.
        key: String,
        /// Number of requests of this kind that were made.
        attempts: u32,
        /// The last failure.
        #[source]
        source: Cause,
    },
    /// The credentials do not allow the request.
    #[error("{op} of '{key}' was refused: the credentials lack the permission, are wrong or have expired")]
    Denied {
        /// The request: put, get, head, list or delete.
        op: &'static str,
        /// Name or prefix of the objects.
        key: String,
        /// The store's answer.
        #[source]
        source: Cause,
    },
    /// Not a name that an object of this store can have.
    #[error("invalid object key '{key}': {reason}")]
    Key {
        /// The name.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a store that can be opened.
    #[error("cannot open store '{url}': {reason}")]
    Url {
        /// The URL as given.
        url: String,
        /// What is wrong with it, and what would be right.
        reason: String,
        /// The failure below, if there is one.
        #[source]
        source: Option<Cause>,
    },
    /// A call with arguments that do not fit together.
    #[error("invalid argument: {reason}")]
    Argument {
        /// What is wrong with it.
        reason: String,
    },
    /// Stored bytes are not what they should be.
    #[error("object '{key}' is corrupt: {reason}")]
    Corrupt {
        /// Name of the object.
        key: String,
        /// What was found, and what was expected.
        reason: String,
        /// The decoder's error, if there is one.
        #[source]
        source: Option<Cause>,
    },
    /// The store does not do what the commit protocol needs.
    #[error("the object store at {store} does not guarantee {guarantee}: {observed}; {remedy}")]
    Guarantee {
        /// The store.
        store: String,
        /// What it should guarantee.
        guarantee: &'static str,
        /// What was seen instead.
        observed: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The store was written by a newer Tarn.
    #[error("the store at {store} has format version {found}, this tarn knows versions up to {supported}: upgrade tarn")]
    NewerFormat {
        /// The store.
        store: String,
        /// Its version.
        found: u64,
        /// The newest version known here.
        supported: u64,
    },
    /// The directory holds something else than a store.
    #[error("{store} has no tarn.json but holds '{found}', so it is not a Tarn store: choose an empty directory")]
    Foreign {
        /// The directory.
        store: String,
        /// An entry that Tarn never wrote.
        found: String,
    },
    /// A bug in Tarn.
    #[error("internal error, please report it: {invariant}")]
    Internal {
        /// The invariant that does not hold.
        invariant: String,
    },
}

impl StoreError {
    /// Stored bytes are not what they should be, found without a decoder's error.
    pub fn corrupt(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Corrupt { key: key.into(), reason: reason.into(), source: None }
    }

    /// Stored bytes are not what they should be, found by a decoder.
    pub fn corrupt_by(key: impl Into<String>, reason: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Corrupt { key: key.into(), reason: reason.into(), source: Some(source.into()) }
    }

    /// A broken invariant of Tarn itself.
    pub fn internal(invariant: impl Into<String>) -> Self {
        Self::Internal { invariant: invariant.into() }
    }

    /// Arguments that do not fit together.
    pub fn argument(reason: impl Into<String>) -> Self {
        Self::Argument { reason: reason.into() }
    }

    /// Whether a write happened is not known, and asking again did not tell.
    pub(crate) fn unclear(key: &str, attempts: u32) -> Self {
        Self::Unavailable { op: "put", key: key.to_owned(), attempts, source: "the store did not say whether the object was written".into() }
    }

    /// What a caller can decide by.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Range { .. } => ErrorKind::Precondition,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Denied { .. } => ErrorKind::Denied,
            Self::Key { .. } | Self::Url { .. } | Self::Argument { .. } => ErrorKind::Invalid,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Guarantee { .. } | Self::NewerFormat { .. } | Self::Foreign { .. } => ErrorKind::Unsupported,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Unavailable
    }

    /// The object or prefix that the error is about.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::NotFound { key }
            | Self::Range { key, .. }
            | Self::Unavailable { key, .. }
            | Self::Denied { key, .. }
            | Self::Key { key, .. }
            | Self::Corrupt { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The error and its causes in one line, for a log or an answer that has no room for a chain.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unavailable_store_is_worth_a_retry() {
        let timeout = StoreError::Unavailable { op: "put", key: "a/b".into(), attempts: 4, source: "operation timed out".into() };
        assert!(timeout.is_retryable());
        assert_eq!(timeout.key(), Some("a/b"));
        assert_eq!(timeout.chain(), "put of 'a/b' failed after 4 attempts: operation timed out");
        for other in [StoreError::NotFound { key: "a".into() }, StoreError::corrupt("a", "no magic"), StoreError::internal("x"), StoreError::argument("y")] {
            assert!(!other.is_retryable(), "{other}");
        }
    }
}
