//! Measures what a chunk costs: CPU seconds per raw gigabyte for ordering and hashing, building, opening and reading, stored bytes per raw byte, peak memory.
//!
//! `cargo run --release -p store --example chunk_speed -- FOLDER [MEGABYTES]`: FOLDER holds log files (*.log), MEGABYTES of lines are made from them by varying their
//! numbers, spread over ten pods per file; every row has `detected_level`, every tenth a random `trace_id`.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, reason = "a measuring tool, run by hand")]

mod corpus;

use corpus::{corpus, cpu_seconds, peak_memory_mb};
use futures::TryStreamExt as _;
use schema::{RowBatch, TenantId};
use store::chunk::{self, ChunkCache, ChunkColumns, ChunkReader};
use store::{Env, ObjectClient};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "logs".to_owned());
    let megabytes: usize = arguments.next().map_or(64, |text| text.parse().unwrap());
    let env = Env::system();
    let batch = corpus(&folder, megabytes << 20);
    let raw = batch.lines.total_bytes();
    let gigabytes = raw as f64 / 1e9;
    println!("{} rows, {:.1} MB of lines, {} runs", batch.len(), raw as f64 / 1e6, batch.runs.len());
    let tenant = TenantId::default_tenant();
    let report = |what: &str, cpu: f64| println!("{what:<28} {cpu:6.3} CPU-s  {:6.2} CPU-s/GB", cpu / gigabytes);

    for round in 1..=3 {
        println!("-- round {round}");
        let start = cpu_seconds();
        let hash = chunk::push_hash(&batch);
        report("order and hash", cpu_seconds() - start);
        let start = cpu_seconds();
        let compressed = zstd_alone(&batch);
        report("zstd-1 alone, lines only", cpu_seconds() - start);
        println!("zstd-1 alone: {:.2} % of raw", compressed as f64 / raw as f64 * 100.0);
        let start = cpu_seconds();
        let stored = arrow_writer(&batch);
        report("ArrowWriter, lines + time", cpu_seconds() - start);
        println!("ArrowWriter: {:.2} % of raw", stored as f64 / raw as f64 * 100.0);
        let memory = peak_memory_mb();
        let start = cpu_seconds();
        let built = chunk::build(&tenant, std::slice::from_ref(&batch)).unwrap();
        report("build", cpu_seconds() - start);
        assert_eq!(built.key.hash, hash);
        println!(
            "stored {:.2} % of raw ({} bytes); peak memory before {memory} MB, after {} MB",
            built.bytes.len() as f64 / raw as f64 * 100.0,
            built.bytes.len(),
            peak_memory_mb()
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = ObjectClient::open("memory:", &env).unwrap();
            chunk::commit(&client, &built).await.unwrap();
            let start = cpu_seconds();
            let wall = env.monotonic();
            let reader = ChunkReader::open(&client, &built.reference(), &ChunkCache::new(0)).await.unwrap();
            println!("open: {:.2} ms", (env.monotonic() - wall).as_secs_f64() * 1e3);
            report("open", cpu_seconds() - start);
            let only = |timestamps, lines, metadata| ChunkColumns { timestamps, lines, metadata };
            for (what, columns) in [
                ("read timestamps", only(true, false, false)),
                ("read lines", only(false, true, false)),
                ("read metadata", only(false, false, true)),
                ("read all", ChunkColumns::ALL),
            ] {
                let start = cpu_seconds();
                let mut rows = reader.read(&client, std::iter::once(0..built.key.rows).collect(), columns);
                let mut count = 0;
                while let Some(batch) = rows.try_next().await.unwrap() {
                    count += batch.rows;
                }
                assert_eq!(count as u64, built.key.rows);
                report(what, cpu_seconds() - start);
            }
        });
        if round == 1 {
            std::fs::write(std::env::temp_dir().join("tarn-chunk-speed.parquet"), &built.bytes).unwrap();
        }
    }
}

/// The floor: lines in the order they came, compressed a megabyte at a time.
fn zstd_alone(batch: &RowBatch) -> usize {
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    let mut total = 0;
    let mut page = Vec::with_capacity(2 << 20);
    let mut out = Vec::with_capacity(3 << 20);
    for line in batch.lines.iter() {
        page.extend_from_slice(line);
        if page.len() > 1 << 20 {
            out.clear();
            total += compressor.compress_to_buffer(&page, &mut out).unwrap();
            page.clear();
        }
    }
    total
}

/// The general writer on two of the columns, in the order they came.
fn arrow_writer(batch: &RowBatch) -> usize {
    use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
    use parquet::basic::{Compression, Encoding, ZstdLevel};
    use parquet::file::properties::{EnabledStatistics, WriterProperties};
    let lines: ArrayRef = std::sync::Arc::new(BinaryArray::from_iter_values(batch.lines.iter()));
    let times: ArrayRef = std::sync::Arc::new(Int64Array::from(batch.timestamps.clone()));
    let rows = RecordBatch::try_from_iter([("time", times), ("line", lines)]).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_encoding("time".into(), Encoding::DELTA_BINARY_PACKED)
        .set_data_page_size_limit(1 << 20)
        .build();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap().len()
}
