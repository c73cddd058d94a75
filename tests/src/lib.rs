//! Harness of the system tests: starts the real `tarn` binary on a store, pushes and queries over HTTP, kills and restarts it.
//! Must not know: how a chunk, a push or a query is handled inside. What it sends and expects is written here a second time, from
//! the API's description, so that no expected value comes from the code under test.
//!
//! [`data`] entries and what a query must return for them; [`store`] the object stores; [`server`] the process; [`push`] and
//! [`query`] its API; [`metrics`] its counters.

pub mod data;
pub mod metrics;
pub mod push;
pub mod query;
pub mod server;
pub mod sim;
pub mod store;
