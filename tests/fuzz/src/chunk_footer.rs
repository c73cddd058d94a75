//! The footer of a chunk file, as a reader meets it in a bucket that others can write to.

use bytes::Bytes;

/// Any bytes are a chunk or an error, never a panic.
pub fn run(data: &[u8]) {
    if let Err(error) = store::chunk::parse_footer(&Bytes::copy_from_slice(data)) {
        assert!(!error.to_string().is_empty());
    }
}
