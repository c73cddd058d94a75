//! A counter kept by compare-and-swap: the smallest user of `swap` that resolves every outcome, and so the measure of whether a store loses or doubles a write.
//! Owns: the counter's body, a line per increment.
//! Must not know: faults; they are in the client that it is given.
#![expect(clippy::panic, clippy::expect_used, reason = "a failed check ends the test that runs it")]

use bytes::Bytes;
use futures::future::join_all;

use crate::object::{ObjectClient, SwapOutcome};

/// Lets `writers` tasks append `increments` lines each to the object `key` by compare-and-swap, all at once, and checks that the object then holds every line once.
/// A writer whose swap ended as unknown reads the object: its line is there, or it tries again.
pub async fn swap_counter(client: &ObjectClient, key: &str, writers: usize, increments: usize) {
    join_all((0..writers).map(|writer| async move {
        for increment in 0..increments {
            append(client, key, &format!("{writer}.{increment}")).await;
        }
    }))
    .await;
    let body = read(client, key).await.map(|(body, _)| body).unwrap_or_default();
    let mut lines: Vec<&str> = body.lines().collect();
    assert_eq!(lines.len(), writers * increments, "the swapped object holds each increment once: {body}");
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), writers * increments, "an increment was written twice: {body}");
}

async fn append(client: &ObjectClient, key: &str, line: &str) {
    for _ in 0..10_000 {
        let current = read(client, key).await;
        let (old, version) = match &current {
            Some((body, version)) => (body.as_str(), Some(version)),
            None => ("", None),
        };
        if old.lines().any(|found| found == line) {
            return;
        }
        match client.swap(key, Bytes::from(format!("{old}{line}\n")), version).await {
            Ok(SwapOutcome::Committed(_)) => return,
            Ok(SwapOutcome::Conflict | SwapOutcome::Unknown) => {}
            Err(error) => panic!("swap of '{key}': {}", error.chain()),
        }
    }
    panic!("no swap of '{key}' was committed in 10000 tries");
}

async fn read(client: &ObjectClient, key: &str) -> Option<(String, crate::object::Version)> {
    for _ in 0..100 {
        match client.get_versioned(key).await {
            Ok(found) => return found.map(|(body, version)| (String::from_utf8(body.to_vec()).expect("the counter's body is text"), version)),
            Err(error) if error.is_retryable() => {}
            Err(error) => panic!("read of '{key}': {}", error.chain()),
        }
    }
    panic!("'{key}' could not be read in 100 tries");
}
