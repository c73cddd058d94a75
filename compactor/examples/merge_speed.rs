//! Measures what a merge costs: CPU seconds per raw gigabyte for reading, merging and writing, stored bytes per raw byte, the share of the labels
//! column, peak memory.
//!
//! `cargo run --release -p compactor --example merge_speed -- FOLDER [MEGABYTES] [CHUNKS] [LEVEL]`: lines as in `chunk_speed`, six labels per stream,
//! spread at random over CHUNKS level-0 chunks that are merged into level-1 chunks of 64 MiB of lines and metadata, zstd level LEVEL.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, reason = "a measuring tool, run by hand")]

#[path = "../../store/examples/corpus/mod.rs"]
mod corpus;

use compactor::CompactError;
use compactor::merge::{MergeInput, RowSink, merge};
use corpus::{Random, cpu_seconds, peak_memory_mb};
use schema::{ChunkRef, LabelSet, RowBatch, StreamRun, TenantId, Timestamp};
use store::chunk::{self, ChunkCache, ChunkReader, ChunkWriter, MergeOptions, MetadataSet, WrittenChunk};
use store::{Env, ObjectClient};

const CHUNK_BYTES: u64 = 64 << 20;

#[derive(Default)]
struct Nothing(u64);

impl RowSink for Nothing {
    async fn row(&mut self, _: &LabelSet, _: Timestamp, line: &[u8], _: &MetadataSet) -> Result<(), CompactError> {
        self.0 += line.len() as u64;
        Ok(())
    }
}

struct Chunks {
    options: MergeOptions,
    writer: Option<ChunkWriter>,
    written: Vec<WrittenChunk>,
    peak: usize,
}

impl Chunks {
    fn finish(&mut self) -> Result<(), CompactError> {
        if let Some(mut writer) = self.writer.take() {
            self.peak = self.peak.max(writer.memory_bytes());
            self.written.extend(writer.finish()?);
        }
        Ok(())
    }
}

impl RowSink for Chunks {
    async fn row(&mut self, labels: &LabelSet, timestamp: Timestamp, line: &[u8], metadata: &MetadataSet) -> Result<(), CompactError> {
        if self.writer.as_ref().is_some_and(|writer| writer.raw_bytes() >= CHUNK_BYTES) {
            self.finish()?;
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(ChunkWriter::new(&self.options)?),
        };
        Ok(writer.push(labels, timestamp.as_nanos(), line, metadata)?)
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "logs".to_owned());
    let megabytes: usize = arguments.next().map_or(64, |text| text.parse().unwrap());
    let chunks: usize = arguments.next().map_or(32, |text| text.parse().unwrap());
    let mut options = MergeOptions::default();
    if let Some(level) = arguments.next() {
        options.zstd_level = level.parse().unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = ObjectClient::open("memory:", &Env::system()).unwrap();
        let (mut keys, mut raw, mut stored) = (Vec::new(), 0, 0);
        for batch in deal(&corpus::corpus(&folder, megabytes << 20), chunks) {
            raw += batch.raw_bytes();
            let built = chunk::build(&TenantId::default_tenant(), std::slice::from_ref(&batch)).unwrap();
            stored += built.bytes.len();
            chunk::commit(&client, &built).await.unwrap();
            keys.push(ChunkRef::level0(built.key, built.bytes.len() as u64));
        }
        let gigabytes = raw as f64 / 1e9;
        let report = |what: &str, cpu: f64| println!("{what:<28} {cpu:6.3} CPU-s  {:6.2} CPU-s/GB", cpu / gigabytes);
        println!("{} chunks of level 0, {:.1} MB of lines and metadata values, stored {:.2} %", keys.len(), raw as f64 / 1e6, percent(stored, raw));
        for round in 1..=2 {
            println!("-- round {round}; peak memory so far {} MB", peak_memory_mb());
            let start = cpu_seconds();
            let inputs = open(&client, &keys).await;
            report("open", cpu_seconds() - start);
            let start = cpu_seconds();
            merge(&client, inputs.clone(), &mut Nothing::default()).await.unwrap();
            report("read and merge", cpu_seconds() - start);
            let start = cpu_seconds();
            let mut sink = Chunks { options, writer: None, written: Vec::new(), peak: 0 };
            let stats = merge(&client, inputs, &mut sink).await.unwrap();
            sink.finish().unwrap();
            report("read, merge and write", cpu_seconds() - start);
            let written: usize = sink.written.iter().map(|chunk| chunk.bytes.len()).sum();
            println!("{stats:?}");
            println!(
                "{} chunks of level 1, stored {:.2} %, {:.2} times less than level 0; labels {:.2} % of it; writer at most {} MB, peak memory {} MB",
                sink.written.len(),
                percent(written, raw),
                stored as f64 / written as f64,
                percent(sink.written.iter().map(labels_bytes).sum(), written),
                sink.peak >> 20,
                peak_memory_mb()
            );
        }
    });
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64 * 100.0
}

async fn open(client: &ObjectClient, chunks: &[ChunkRef]) -> Vec<MergeInput> {
    let mut inputs = Vec::new();
    for chunk in chunks {
        inputs.push(MergeInput::whole(ChunkReader::open(client, chunk, &ChunkCache::new(0)).await.unwrap()));
    }
    inputs
}

/// Stored bytes of the columns behind those that Tarn reads.
fn labels_bytes(chunk: &WrittenChunk) -> usize {
    let file = parquet::file::reader::SerializedFileReader::new(chunk.bytes.clone()).unwrap();
    let metadata = parquet::file::reader::FileReader::metadata(&file);
    metadata.row_groups().iter().flat_map(|group| group.columns().iter().skip(5)).map(|column| usize::try_from(column.compressed_size()).unwrap()).sum()
}

/// The runs of `all` at random over `chunks` batches, with three labels more.
fn deal(all: &RowBatch, chunks: usize) -> Vec<RowBatch> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut batches = vec![RowBatch::default(); chunks];
    for run in &all.runs {
        let batch = &mut batches[usize::try_from(random.next() >> 1).unwrap() % chunks];
        let pod = run.labels.get("pod").unwrap_or("").to_owned();
        let labels = run.labels.with("cluster", "eu-central-1").with("container", "main").with("node", &format!("ip-10-0-{}", pod.len() * 7));
        let first = batch.len();
        for row in run.rows.clone() {
            batch.timestamps.push(all.timestamps[row]);
            batch.lines.push(all.lines.get(row).unwrap());
            for (name, value) in all.metadata.row(row) {
                let id = batch.metadata.intern(name);
                batch.metadata.push_pair(id, value);
            }
            batch.metadata.finish_row();
        }
        batch.runs.push(StreamRun { labels, rows: first..batch.len() });
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}
