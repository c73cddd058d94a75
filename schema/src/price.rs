//! What requests to an object store cost at list price: S3 Standard in us-east-1, as `infra/cost/prices.toml` has it too.
//! Must not know: who makes requests.

/// US dollars per PUT, COPY, POST or LIST request.
pub const DOLLARS_PER_WRITE_REQUEST: f64 = 5e-6;
/// US dollars per GET, HEAD or other request. DELETE is free.
pub const DOLLARS_PER_READ_REQUEST: f64 = 4e-7;
