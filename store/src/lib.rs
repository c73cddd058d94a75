#![doc = include_str!("../README.md")]

pub mod chunk;
pub mod day;
pub mod deletes;
pub mod env;
pub mod error;
pub mod foreign;
pub mod object;
pub mod snapshot;
pub mod tenants;
pub mod testing;

pub use env::Env;
pub use error::{ErrorKind, StoreError};
pub use foreign::{ForeignBuckets, ForeignObject};
pub use object::{CreateOutcome, ObjectClient, ObjectInfo, PutOutcome, RequestStats, SwapOutcome, Version};
