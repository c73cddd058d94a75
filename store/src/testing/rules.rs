//! Rules of the commit protocol that a test may break on purpose, to show that another test notices.
//! Owns: their names, and which one the current thread breaks. Outside of such a test none is ever broken.
//! Must not know: how a rule is kept.

use std::cell::Cell;
use std::fmt;

/// A rule of RFC 0002, named after what happens when it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A snapshot reads the manifests before it lists level 0.
    ManifestsBeforeList,
    /// A chunk that vanished is left out of the snapshot.
    VanishedChunkSkipped,
    /// A chunk that one day has consumed counts for no day any more.
    ConsumedForAllDays,
    /// A reader answers every copy of a row.
    ReaderKeepsCopies,
    /// A push is acknowledged although it is not known whether it was stored.
    AcknowledgedWhenUnknown,
    /// A commit does not say which level-0 chunks it consumed.
    ConsumedNotRecorded,
    /// Consumed chunks are forgotten at the next commit.
    ConsumedForgottenAtOnce,
    /// A consumed chunk may be forgotten as soon as its object is deleted.
    ForgottenWithTheObject,
    /// A job deletes its inputs before it commits.
    DeleteInputsBeforeCommit,
    /// A commit overwrites the manifest, whatever it is by then.
    CommitWithoutCondition,
    /// After a conflict the outputs are committed on top of the manifest as it is by then.
    OutputsReusedAfterConflict,
    /// The chunks that a job replaced stay part of the day.
    ReplacedStayLive,
    /// A level-0 chunk is deleted once one of its days has consumed it.
    CollectAfterOneDay,
    /// Garbage is deleted as soon as it is garbage.
    CollectWithoutGrace,
    /// The grace of what a job replaces begins with the job, not with its commit.
    GraceFromTheStart,
    /// Orphans are deleted without a commit.
    OrphansDeletedWithoutCommit,
    /// A merge leaves out rows only for the delete requests that were due when it was planned, not for those that the day was marked with since.
    DoneDeletesForgotten,
    /// A day is marked as done with a delete request, though its chunks still hold the rows.
    DeletesMarkedDoneWithoutRewrite,
}

thread_local! {
    static BROKEN: Cell<Option<Rule>> = const { Cell::new(None) };
}

/// Whether the current thread breaks `rule`.
pub fn broken(rule: Rule) -> bool {
    BROKEN.get() == Some(rule)
}

/// Breaks `rule` on the current thread until the guard is dropped. For tests.
#[must_use]
pub fn break_rule(rule: Rule) -> Guard {
    BROKEN.set(Some(rule));
    Guard(())
}

/// See [`break_rule`].
pub struct Guard(());

impl Drop for Guard {
    fn drop(&mut self) {
        BROKEN.set(None);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "breaks {:?}", BROKEN.get())
    }
}
