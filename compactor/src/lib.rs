//! Snapshot in, better snapshot out: which chunks to merge, and into what.
//! Owns: the plan. Merging, retention, deletes and garbage collection read it.
//! Must not know: how a push is decoded, LogQL, HTTP. See DESIGN's commit protocol in ARCHITECTURE.md for what a merge may never do.

pub mod inspect;
pub mod plan;
pub mod verify;

#[cfg(test)]
mod fixture;

pub use plan::{ChunkSummary, CompactionJob, plan};
