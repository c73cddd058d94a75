//! What the whole binary promises, tried on real object stores over real HTTP. One test binary, to link once.
//!
//! Each check is a function of a store, run on each kind. On S3 a check is an ignored test, run with `--ignored` (or
//! `--include-ignored`) while tests/servers/seaweedfs, localstack and minio run; without them it fails and says so.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail by panicking, and its figures are small"
)]

use std::future::Future;
use std::time::Duration;

use tests::store::{Kind, Store};

/// Longest that one check may take on one store, unless `TARN_CHECK_LIMIT` says more seconds: for checks that were told to do more.
const LIMIT: Duration = Duration::from_secs(400);

/// One test per kind of store for `async fn check(store: Store) -> anyhow::Result<()>`.
macro_rules! on_each_store {
    ($check:ident) => {
        mod $check {
            #[test]
            fn memory() {
                crate::run(tests::store::Kind::Memory, super::$check);
            }
            crate::on_each_durable_store!(@tests $check);
        }
    };
}
pub(crate) use on_each_store;

/// The same for a check that restarts the process, which needs a store that outlives it.
macro_rules! on_each_durable_store {
    (@tests $check:ident) => {
        #[test]
        fn file() {
            crate::run(tests::store::Kind::File, super::$check);
        }
        #[test]
        #[ignore = "needs TARN_TEST_SEAWEEDFS_URL, printed by tests/servers/seaweedfs start"]
        fn seaweedfs() {
            crate::run(tests::store::Kind::Seaweedfs, super::$check);
        }
        #[test]
        #[ignore = "needs TARN_TEST_LOCALSTACK_URL, printed by tests/servers/localstack start"]
        fn localstack() {
            crate::run(tests::store::Kind::Localstack, super::$check);
        }
        #[test]
        #[ignore = "needs TARN_TEST_MINIO_URL, printed by tests/servers/minio start"]
        fn minio() {
            crate::run(tests::store::Kind::Minio, super::$check);
        }
    };
    ($check:ident) => {
        mod $check {
            crate::on_each_durable_store!(@tests $check);
        }
    };
}
pub(crate) use on_each_durable_store;

mod bad_requests;
mod compaction;
mod crash;
mod group_commit;
mod many_streams;
mod one_put;
mod query_memory;
mod read_after_write;
mod round_trip;
mod shutdown;
mod tenants;
mod writers;

fn run<F: Future<Output = anyhow::Result<()>>>(kind: Kind, check: impl FnOnce(Store) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let store = Store::fresh(kind).unwrap();
    // Its build is not what a check is about, and may take longer than one.
    tests::server::binary().unwrap();
    let limit = std::env::var("TARN_CHECK_LIMIT").map_or(LIMIT, |seconds| Duration::from_secs(seconds.parse().unwrap()));
    let outcome = runtime.block_on(async { tokio::time::timeout(limit, check(store.clone())).await? });
    if let Err(error) = outcome {
        // The last two servers: a crash test has many.
        let logs: Vec<String> = store.logs().split("-- ").map(str::to_owned).collect();
        panic!("on {kind:?}: {error:#}\nlogs: {}", logs[logs.len().saturating_sub(2)..].join("-- "));
    }
}

/// How much of a long check to do on a store: all of it on this machine's own, a tenth where each request takes milliseconds.
fn scaled(kind: Kind, count: usize) -> usize {
    match kind {
        Kind::Memory | Kind::File => count,
        Kind::Seaweedfs | Kind::Localstack | Kind::Minio => count.div_ceil(10),
    }
}
