//! Prints the CPU time that each step of ingest takes per gigabyte of log lines, on a file of pushes.
//! `cargo run --release -p ingest-fn --example measure -- push.bin`; the file holds, for each push, a little-endian `u32` length and
//! a body as an agent sends it (snappy block of protobuf).
#![expect(clippy::print_stdout, reason = "a command line tool")]

use std::error::Error;
use std::hint::black_box;

use bytes::Bytes;
use ingest_fn::detect_level::detect;
use ingest_fn::{PushFormat, PushRequest, decode_push};
use schema::{IngestLimits, RowBatch, TenantId, Timestamp};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: measure push.bin")?;
    let bodies = read_bodies(&std::fs::read(&path)?)?;
    let tenant = TenantId::default_tenant();
    let plain = IngestLimits { discover: false, ..IngestLimits::default() };
    let full = IngestLimits::default();

    let batches: Vec<RowBatch> = bodies.iter().map(|body| decode_one(body, &full, &tenant)).collect::<Result<_, _>>()?;
    let lines: usize = batches.iter().map(RowBatch::len).sum();
    let bytes: usize = batches.iter().map(|batch| batch.lines.total_bytes()).sum();
    println!("{} pushes, {lines} lines, {bytes} bytes of lines", bodies.len());

    let snappy = best(|| {
        for body in &bodies {
            black_box(snap::raw::Decoder::new().decompress_vec(body)?);
        }
        Ok(())
    })?;
    let decode = best(|| bodies.iter().try_for_each(|body| decode_one(body, &plain, &tenant).map(|batch| drop(black_box(batch)))))?;
    let discover = best(|| bodies.iter().try_for_each(|body| decode_one(body, &full, &tenant).map(|batch| drop(black_box(batch)))))?;
    let levels = best(|| {
        for line in batches.iter().flat_map(|batch| batch.lines.iter()) {
            black_box(detect(line));
        }
        Ok(())
    })?;
    let hash = best(|| {
        for batch in &batches {
            black_box(store::chunk::push_hash(batch));
        }
        Ok(())
    })?;
    let build = best(|| {
        for group in batches.chunks(8) {
            black_box(store::chunk::build(&tenant, group)?);
        }
        Ok(())
    })?;

    for (step, nanos) in [
        ("snappy alone", snappy),
        ("snappy + decode + validate", decode),
        ("... + levels and services", discover),
        ("detect_level alone", levels),
        ("push_hash", hash),
        ("build, 8 pushes a chunk", build),
        ("sum of decode and build", discover + build),
    ] {
        let per_gb = nanos as f64 / bytes as f64;
        println!("{step:<28} {per_gb:>7.3} CPU-s/GB {:>8.1} ns/line", nanos as f64 / lines as f64);
    }
    Ok(())
}

fn decode_one(body: &Bytes, limits: &IngestLimits, tenant: &TenantId) -> Result<RowBatch, Box<dyn Error>> {
    let request = PushRequest {
        content_type: Some("application/x-protobuf"),
        content_encoding: None,
        backfill_shard: None,
        format: PushFormat::V1,
        body: body.clone(),
        tenant: tenant.clone(),
    };
    Ok(decode_push(&request, limits, Timestamp(0))?.batch)
}

/// CPU nanoseconds of the fastest of five runs.
fn best(mut run: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<u64, Box<dyn Error>> {
    let mut fastest = u64::MAX;
    for _ in 0..5 {
        let before = cpu_nanos()?;
        run()?;
        fastest = fastest.min(cpu_nanos()? - before);
    }
    Ok(fastest)
}

/// CPU time of this thread, as Linux counts it.
fn cpu_nanos() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("empty schedstat")?.parse()?)
}

fn read_bodies(file: &[u8]) -> Result<Vec<Bytes>, Box<dyn Error>> {
    let mut bodies = Vec::new();
    let mut rest = file;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length))?;
        let (body, after) = after.split_at_checked(length).ok_or("the file ends within a push")?;
        // Compressed anew: a file made without a snappy library holds blocks that are only framed.
        let message = snap::raw::Decoder::new().decompress_vec(body)?;
        bodies.push(Bytes::from(snap::raw::Encoder::new().compress_vec(&message)?));
        rest = after;
    }
    Ok(bodies)
}
