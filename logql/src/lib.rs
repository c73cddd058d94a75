//! LogQL text to syntax tree and back.
//! Owns: the grammar of spec/logql.md sections 1 and 2, Loki's parse-time errors, the printed form that `format_query` answers.
//! Must not know: how a query is executed, storage, HTTP, async.
//!
//! ```text
//! text -> scanner (characters, lines) -> lexer (tokens) -> parse (recursive descent) -> ast
//! ast  -> display (one line) -> pretty (lines of at most 100 characters)
//! ```

pub mod ast;
pub mod duration;
pub mod bytes;
pub mod number;
pub mod go_regex;
pub mod pattern;
pub mod error;
mod token;
mod scanner;
mod lexer;
mod parse;
mod display;
mod pretty;
mod printed_regex;
mod names;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod roundtrip;

pub use ast::{Expr, LogExpr, MetricExpr};
pub use error::{ParseError, ParseErrorKind, SelectorError, render_error};
pub use parse::{parse, parse_selector, parse_without_validation};
pub use pretty::format_query;
pub use token::{Position, Span};

/// Longer queries are refused, as by Loki: the limit is the last accepted length plus one.
pub const MAX_QUERY_BYTES: usize = 131_072;

/// How deep parentheses, functions, operators and label filters may nest, chains such as `a + b + c` included, so that neither reading a query nor
/// a walk over its tree can overflow the stack (checked for stacks of 2 MiB in unoptimised builds).
pub const MAX_DEPTH: usize = 128;
