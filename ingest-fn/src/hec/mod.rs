//! Splunk's HTTP Event Collector: events as JSON objects one after the other, or raw lines (`event`), and the answers that its clients read (`answer`).
//! Must not know: any HTTP server, tokens.

mod answer;
mod event;
mod handler;
#[cfg(test)]
mod tests;

pub use answer::{hec_health, hec_no_acknowledgements, hec_refusal};
pub use handler::{HecRequest, decode_hec, handle_hec};
