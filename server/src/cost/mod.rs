//! What Tarn costs: a bill computed from a plan and from prices, what would make it smaller, and the same from what a server has measured.
//! Owns: the arithmetic. Must not know: the command line, sockets, how the answer is printed.

pub(crate) mod prices;
pub(crate) mod plan;
pub(crate) mod traffic;
pub(crate) mod model;
pub(crate) mod knobs;
pub(crate) mod measured;

#[cfg(test)]
mod tests;
