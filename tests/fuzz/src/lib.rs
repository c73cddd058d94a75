//! What each fuzz target does with its bytes. Also compiled into the ordinary tests, which replay the seeds and the regressions.
//! Owns: the properties. A target fails by panicking; an error from the code under test is an answer like any other.

pub mod aws;
pub mod chunk_footer;
pub mod logql_parse;
pub mod manifest_decode;
pub mod push;
pub mod stages;
pub mod syslog;
