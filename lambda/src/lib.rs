//! Tarn's roles as AWS Lambda functions: each program takes events, calls a role, and answers in the event's own form.
//! Owns: events and their answers, deadlines, what a function may leave behind when it is frozen. Must not know: what a push or a query means, routes.
//!
//! In reading order: `runtime` waits for events; `ingest`, `query` and `compact` are the three functions; `front` turns the events of HTTP front ends into requests and
//! answers into what they want; `sources` is what ingest does with the events of AWS services; `settings` are the variables that only functions have.

mod compact;
mod deadline;
mod front;
mod ingest;
mod query;
mod runtime;
mod settings;
mod sources;

pub use compact::run as run_compactor;
pub use ingest::run as run_ingest;
pub use query::run as run_query;
