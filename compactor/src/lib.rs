//! Snapshot in, better snapshot out: small chunks become few large ones, what is too old or deleted goes, garbage is collected.
//! Owns: what is merged and when, retention, deletes, garbage collection. Whatever fails when, no acknowledged row is lost, doubled or shown again (RFC 0002).
//! Must not know: how a push is decoded, LogQL, HTTP; when it is called.
//!
//! In reading order: `compact` is called and goes through the tenants; `plan` says which chunks of a day are merged next; `job` opens them, `merge`s their
//! rows through the `filter` into the files of `output`, and commits the edit of the day; `expire` and `erase` find chunks that hold what must go; `gc`
//! deletes what nothing refers to any more.

pub mod compact;
mod erase;
pub mod error;
mod expire;
mod filter;
mod gc;
pub mod inspect;
mod job;
pub mod merge;
mod output;
pub mod plan;
pub mod predicate;
pub mod settings;
pub mod verify;

#[cfg(test)]
mod fixture;

pub use compact::{Compactor, RunReport};
pub use error::CompactError;
pub use plan::{CompactionJob, DaySnapshot, Target, next_job};
pub use predicate::{CompileDelete, NoDeletes, RowPredicate};
pub use settings::{PlanSettings, RetentionRule, Settings, TenantSettings};
