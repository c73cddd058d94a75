//! Readers of the wire formats. Each is handed bytes of unknown origin: memory is bounded, nothing panics, every fault is a
//! `PushError` that names the place. Rows go straight into the columns of a `RowWriter`.

pub(crate) mod inflate;
pub(crate) mod json;
pub(crate) mod lines;
mod lz4;
pub(crate) mod otlp;
pub(crate) mod proto;
pub(crate) mod snappy;
