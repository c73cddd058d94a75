//! What tests of this and other crates need of a store: faults, broken guarantees, and the suite that every store must pass.
//! Owns: the injection of faults into a client, the network of a simulation, a processor that takes no time, rules to break, the conformance suite, chunks whose borders fall inside a test's few rows.
//! Must not know: what the code under test does with objects.

pub mod chunks;
pub mod counter;
pub mod faults;
pub mod network;
pub mod rules;
pub mod still;
pub mod suite;

pub use chunks::build_in_pages;
pub use counter::swap_counter;
pub use faults::{Fault, FaultyStore, Weakness};
pub use network::{HeldFlag, Network, NetworkEvent, Observer, Weather, What};
pub use still::{Still, stand_still};
pub use suite::{object_suite, object_suite_with};
