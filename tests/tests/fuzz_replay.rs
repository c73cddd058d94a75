//! Replays the seeds of the fuzz targets and every input that ever made one fail, without a fuzzer.

#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a target fails by panicking")]

use std::path::Path;

#[expect(unreachable_pub, reason = "the fuzz targets use it as a library")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Runs `target` on each file of seeds/NAME and regressions/NAME.
fn replay(name: &str, target: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut inputs = 0;
    for folder in ["seeds", "regressions"] {
        // There are regressions only for some targets.
        let Ok(files) = std::fs::read_dir(fuzz.join(folder).join(name)) else { continue };
        for file in files {
            target(&std::fs::read(file.unwrap().path()).unwrap());
            inputs += 1;
        }
    }
    assert!(inputs > 0, "no seed for {name}");
}

#[test]
fn logql_parse() {
    replay("logql_parse", targets::logql_parse::run);
}

#[test]
fn push_proto() {
    replay("push_proto", targets::push::proto);
}

#[test]
fn push_bulk() {
    replay("push_bulk", targets::push::bulk);
}

#[test]
fn push_hec() {
    replay("push_hec", targets::push::hec);
}

#[test]
fn push_json() {
    replay("push_json", targets::push::json);
}

#[test]
fn push_otlp() {
    replay("push_otlp", targets::push::otlp);
}

#[test]
fn push_snappy() {
    replay("push_snappy", targets::push::snappy);
}

#[test]
fn aws_event() {
    replay("aws_event", targets::aws::event);
}

#[test]
fn s3_object() {
    replay("s3_object", targets::aws::object);
}

#[test]
fn syslog() {
    replay("syslog", targets::syslog::run);
}

#[test]
fn chunk_footer() {
    replay("chunk_footer", targets::chunk_footer::run);
}

#[test]
fn manifest_decode() {
    replay("manifest_decode", targets::manifest_decode::run);
}

#[test]
fn patterns() {
    replay("patterns", targets::stages::patterns::run_patterns);
}

#[test]
fn template() {
    replay("template", targets::stages::template::run_template);
}

#[test]
fn json_stage() {
    replay("json_stage", targets::stages::json::run_json);
}

#[test]
fn logfmt_stage() {
    replay("logfmt_stage", targets::stages::logfmt::run_logfmt);
}

#[test]
fn pattern_stage() {
    replay("pattern_stage", targets::stages::pattern::run_pattern);
}

#[test]
fn regexp_stage() {
    replay("regexp_stage", targets::stages::regexp::run_regexp);
}

#[test]
fn line_filters() {
    replay("line_filters", targets::stages::line_filters::run_line_filters);
}

#[test]
fn label_filter() {
    replay("label_filter", targets::stages::label_filter::run_label_filter);
}

#[test]
fn row_labels() {
    replay("row_labels", targets::stages::labels::run_labels);
}

#[test]
fn pipeline() {
    replay("pipeline", targets::stages::pipeline::run_pipeline);
}

/// Real files as seeds lead the fuzzer past the first checks; they must stay readable for as long as their format is.
#[test]
fn real_files_among_the_seeds_are_accepted() {
    for name in ["one-row", "streams"] {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        let chunk = std::fs::read(seeds.join("chunk_footer").join(name)).unwrap();
        store::chunk::parse_footer(&chunk.into()).unwrap();
        let manifest = std::fs::read(seeds.join("manifest_decode").join(name)).unwrap();
        schema::ChunkManifest::decode(&manifest).unwrap();
    }
}

/// Writes them in the present format; to be called when a format that was never released changes.
#[test]
#[ignore = "writes files"]
fn write_real_files() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (name, streams, rows) in [("one-row", 1_i64, 1_i64), ("streams", 12, 90)] {
        let mut batch = schema::RowBatch::default();
        for stream in 0..streams {
            let labels = schema::LabelSet::from_pairs([("app", format!("app-{}", stream % 3)), ("service_name", format!("s-{stream}"))]).unwrap();
            let start = batch.len();
            for row in 0..rows {
                batch.timestamps.push(1_793_491_200_000_000_000 + row * 7_000_000_000 + stream);
                batch.lines.push(format!("line {row} of stream {stream}").as_bytes());
                let name = batch.metadata.intern("trace_id");
                batch.metadata.push_pair(name, row.to_string().as_bytes());
                batch.metadata.finish_row();
            }
            batch.runs.push(schema::StreamRun { labels, rows: start..batch.len() });
        }
        let chunk = store::chunk::build(&schema::TenantId::default_tenant(), &[batch]).unwrap();
        std::fs::write(seeds.join("chunk_footer").join(name), &chunk.bytes).unwrap();
        std::fs::write(seeds.join("manifest_decode").join(name), chunk.manifest.encode()).unwrap();
    }
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/tests/compat/chunk-manifest-v1.bin");
    std::fs::copy(kept, seeds.join("manifest_decode/version-1")).unwrap();
}
