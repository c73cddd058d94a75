//! The pure modules of the query function: labels, line filters, pipeline stages, templates, and what mines patterns.
//! They may use nothing of their crate but each other and what stands here; where that changes, this crate does not compile.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "what only plans use is unused here")]

#[path = "../../../../query-fn/src/labels.rs"]
pub mod labels;
#[path = "../../../../query-fn/src/line_filter/mod.rs"]
pub mod line_filter;
#[path = "../../../../query-fn/src/patterns/mod.rs"]
pub mod patterns;
#[path = "../../../../query-fn/src/pipeline/mod.rs"]
pub mod pipeline;
#[path = "../../../../query-fn/src/template/mod.rs"]
mod template;

/// The kinds of error that the stages have.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A stage that is wrong in itself.
    #[error("{message}")]
    Invalid {
        /// The whole text for the client.
        message: String,
    },
    /// Valid LogQL that cannot be run.
    #[error("not supported by this version of Tarn: {what}")]
    Unsupported {
        /// The stage, function or form, as the query writes it.
        what: String,
    },
    /// A broken invariant.
    #[error("internal error: {invariant}")]
    Internal {
        /// What should have held.
        invariant: String,
    },
}

/// What of the plans' texts is used in errors of stages.
mod logical {
    pub(crate) fn line_filter_text(filter: &logql::ast::LineFilter) -> String {
        filter.to_string()
    }
}
