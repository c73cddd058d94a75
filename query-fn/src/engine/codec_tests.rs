//! Every query of `golden/codec/queries.txt` is planned, written as bytes, read by a process that has nothing of the planner's
//! but the store, and run on both sides: the answers must be equal.
//!
//! A case is the query and one line of options as in the golden plans. `empty`, `error`: the answer is that; `literal`,
//! `unplanned`: there is no plan to ship.

use std::path::Path;

use datafusion::execution::SendableRecordBatchStream;
use datafusion_proto::physical_plan::{DefaultPhysicalProtoConverter, PhysicalExtensionCodec as _};
use proptest::prelude::*;
use schema::TenantId;
use schema::key::level0_prefix;

use super::golden_tests::parse;
use super::tests::{Pushed, SECOND, engine, logs, spec};
use super::*;
use crate::codec::PlanCodec;

fn rows(from: i64) -> Vec<Pushed> {
    let row = |labels, at: i64, line: &str| (labels, (from + at) * SECOND, line.to_owned(), Vec::new());
    let mut rows = vec![
        row(r#"{app="a", env="prod"}"#, 1, r#"level=info status=200 dur=12ms size=1KB ip=10.0.0.5 n=4 msg="all fine""#),
        row(r#"{app="a", env="prod"}"#, 4, r#"level=warn status=404 dur=3ms size=3KB ip=10.0.0.5 n=7 msg="not found" empty="#),
        row(r#"{app="a", env="prod"}"#, 9, r#"level=info status=200 dur=1.5s size=512B ip=10.0.1.9 n=9 msg=fine"#),
    ];
    let mut meta = row(r#"{app="b", env="dev"}"#, 2, r#"{"level":"error","status":500,"nested":{"x":"y"},"list":[1,2],"n":2.5}"#);
    meta.3 = vec![("trace", "t1".to_owned())];
    rows.push(meta);
    let mut meta = row(r#"{app="b", env="dev"}"#, 7, r#"{"level":"info","status":200,"nested":{"x":"z"},"list":[3]}"#);
    meta.3 = vec![("trace", "t2".to_owned())];
    rows.push(meta);
    rows.extend([
        row(r#"{app="c"}"#, 3, "GET /api/x 200 192.168.4.4"),
        row(r#"{app="c"}"#, 5, "\u{1b}[31mERROR\u{1b}[0m POST /api/y 500 10.1.1.1"),
        row(r#"{app="c"}"#, 6, r#"{"_entry":"inner line","pod":"p1"}"#),
    ]);
    rows
}

/// Four chunks. The third holds copies of rows of the second.
pub(super) fn chunks() -> Vec<Vec<Pushed>> {
    let copies = rows(11).into_iter().step_by(2).chain(rows(30).into_iter().take(4)).collect();
    vec![rows(0), rows(11), copies, rows(42)]
}

/// What both sides do with a plan. Series are put in order, and numbers cut to what does not depend on the order of addition.
async fn answer(engine: &Engine, spec: &QuerySpec, batches: datafusion::error::Result<SendableRecordBatchStream>) -> Result<String, String> {
    let batches = batches.map_err(|error| QueryError::from_datafusion(error).to_string())?;
    let (result, _) = answer::collect(spec, batches, &engine.limits, false).await.map_err(|error| error.to_string())?;
    Ok(match result {
        QueryResult::Streams(streams) => streams.into_iter().map(|stream| format!("{stream:?}\n")).collect(),
        QueryResult::Matrix(series) | QueryResult::Vector(series) => {
            let mut lines: Vec<String> = Vec::new();
            for series in series {
                let samples: Vec<String> = series.samples.iter().map(|(at, value)| format!("{at}={value:.9e}")).collect();
                lines.push(format!("{} {}\n", series.labels, samples.join(" ")));
            }
            if !spec.expr.to_string().starts_with("sort") {
                lines.sort();
            }
            lines.concat()
        }
        QueryResult::Scalar(at, value) => format!("{at}={value}"),
    })
}

async fn planned(engine: &Engine, spec: &QuerySpec) -> Result<(Arc<PlanContext>, SessionState, Arc<dyn ExecutionPlan>), QueryError> {
    let context = Arc::new(PlanContext::new(engine.client.clone(), engine.cache.clone(), engine.partitions, engine.env.now().as_nanos()));
    let session = engine.session(&context)?;
    let plan = session.optimize(&logical::build(spec)?).map_err(QueryError::from_datafusion)?;
    let plan = physical_plan(&session, &plan).await?;
    Ok((context, session, plan))
}

/// Another process: the same store, another cache, another clock.
fn receiver(engine: &Engine) -> (Arc<PlanContext>, SessionState) {
    let context = Arc::new(PlanContext::new(engine.client.clone(), ChunkCache::new(1 << 20), 1, 77 * SECOND));
    let session = engine.session(&context).unwrap();
    (context, session)
}

/// The plan's text, and the answer that it gives here and elsewhere.
pub(super) async fn shipped(engine: &Engine, spec: &QuerySpec) -> (String, Result<String, String>) {
    let (context, session, plan) = planned(engine, spec).await.unwrap();
    let bytes = PlanCodec::new(context).encode_plan(Arc::clone(&plan)).unwrap();
    let (there, session_there) = receiver(engine);
    let codec = PlanCodec::new(there);
    let read = codec.decode_plan(&bytes, &session_there.task_ctx()).unwrap();
    assert_eq!(codec.encode_plan(Arc::clone(&read)).unwrap(), bytes, "{}", spec.expr);
    let text = displayable(plan.as_ref()).indent(false).to_string();
    assert_eq!(text, displayable(read.as_ref()).indent(false).to_string());
    let here = answer(engine, spec, execute_stream(plan, session.task_ctx())).await;
    let elsewhere = answer(engine, spec, execute_stream(read, session_there.task_ctx())).await;
    assert_eq!(here, elsewhere, "{}\n{text}", spec.expr);
    (text, here)
}

fn golden(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/codec").join(file)).unwrap()
}

fn cases() -> Vec<(String, String)> {
    cases_of("queries.txt")
}

fn cases_of(file: &str) -> Vec<(String, String)> {
    let text = golden(file);
    let case = |case: &str| {
        let (query, options) = case.trim_end().split_once('\n').unwrap();
        (query.to_owned(), options.to_owned())
    };
    text.split("====\n").map(case).collect()
}

/// The options that say how an answer looks, and the others.
fn expectation(options: &str) -> (Option<&str>, String) {
    let (expected, others): (Vec<&str>, Vec<&str>) = options.split_whitespace().partition(|word| matches!(*word, "empty" | "error" | "literal" | "unplanned"));
    (expected.first().copied(), others.join(" "))
}

async fn ship_all(partitions: usize) -> String {
    let engine = engine(&chunks(), partitions).await;
    let mut plans = String::new();
    for (query, options) in cases() {
        let (expected, options) = expectation(&options);
        let spec = parse(&query, &options);
        match expected {
            Some("literal") => assert!(answer::of_literal(&spec).is_some(), "{query}"),
            Some("unplanned") => assert!(planned(&engine, &spec).await.is_err(), "{query}"),
            _ => {
                let (plan, answer) = shipped(&engine, &spec).await;
                let kind = answer.as_ref().map_or(Some("error"), |text| text.is_empty().then_some("empty"));
                assert_eq!(kind, expected, "{query}\n{answer:?}");
                plans.push_str(&plan);
            }
        }
    }
    plans
}

#[tokio::test]
async fn shipped_plans_answer_what_local_ones_do() {
    assert!(cases().len() >= 80);
    let plans = ship_all(1).await;
    let nodes = ["ChunkScanExec", "MinuteCountExec", "UnionExec", "PipelineExec", "UnwrapExec", "EntriesExec", "RangeAggregateExec", "VectorAggregateExec"];
    let nodes = nodes.into_iter().chain(["TenantLabelExec", "EmptyExec"]);
    let operations = ["Constant", "BinaryOperation", "ScalarOperation", "LabelReplace"].map(|name| format!("SampleOperationExec: {name}"));
    let range = "count_over_time rate rate_counter bytes_over_time bytes_rate avg_over_time sum_over_time min_over_time max_over_time stdvar_over_time \
                 stddev_over_time quantile_over_time first_over_time last_over_time absent_over_time";
    let range = range.split_whitespace().map(|name| format!("RangeAggregateExec: {name}"));
    let vector = "sum avg count max min stddev stdvar bottomk topk sort sort_desc";
    let vector = vector.split_whitespace().map(|name| format!("VectorAggregateExec: {name}"));
    let stages = "logfmt json regexp pattern unpack line_format label_format decolorize drop keep";
    let stages = stages.split_whitespace().map(|name| format!("| {name}"));
    let parts = ["filters=[", "dedupe", "stop=(", "labels=[", "line=none", "line=length", "line=text"];
    let filters = ["|= ", "!= ", "|~ ", "!~ ", "|> ", "!> ", "ip("];
    let binary = ["or", "and", "unless", "==", "!=", ">", ">=", "<", "<=", "+", "-", "*", "/", "%", "^"].map(|op| format!(" {op} "));
    let all = nodes.chain(parts).chain(filters).map(str::to_owned).chain(operations).chain(range).chain(vector).chain(stages);
    for wanted in all {
        assert!(plans.contains(&wanted), "no plan has {wanted}");
    }
    let operations: String = plans.lines().filter(|line| line.contains("SampleOperationExec")).map(|line| format!("{line} \n")).collect();
    for op in binary {
        assert!(operations.contains(&op), "no operation has{op}");
    }
}

#[tokio::test]
async fn shipped_plans_run_on_several_partitions() {
    ship_all(3).await;
}

/// A sample of the rows over which answers of Loki were recorded, in two chunks.
fn recorded_chunks() -> Vec<Vec<Pushed>> {
    let mut chunks = vec![Vec::new(), Vec::new()];
    for (n, line) in golden("recorded_rows.jsonl").lines().enumerate() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let stream: Vec<String> = row["stream"].as_object().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let pairs = row["metadata"].as_object().into_iter().flatten();
        let metadata = pairs.map(|(name, value)| (&*name.clone().leak(), value.as_str().unwrap().to_owned())).collect();
        let timestamp = row["ts"].as_str().unwrap().parse().unwrap();
        chunks[n % 2].push((&*format!("{{{}}}", stream.join(", ")).leak(), timestamp, row["line"].as_str().unwrap().to_owned(), metadata));
    }
    chunks
}

/// Every query that Loki answered when its answers were recorded (tests of the whole server compare the answers themselves).
#[tokio::test]
async fn recorded_queries_answer_the_same_when_shipped() {
    let engine = engine(&recorded_chunks(), 2).await;
    let (mut literals, mut with_rows, mut all) = (0, 0, 0);
    for (query, options) in cases_of("recorded_queries.txt") {
        let spec = parse(&query, &options);
        all += 1;
        if answer::of_literal(&spec).is_some() {
            literals += 1;
            continue;
        }
        let (_, answer) = shipped(&engine, &spec).await;
        with_rows += usize::from(answer.is_ok_and(|text| !text.is_empty()));
    }
    assert!(all >= 400 && literals < 20 && with_rows >= 240, "{all} queries, {literals} without a plan, {with_rows} with something in their answer");
}

/// The limit of the reader reaches the scan below it on the other side too.
#[tokio::test]
async fn a_shipped_scan_stops_early_and_opens_nothing_before_it_runs() {
    let engine = engine(&[rows(0), rows(1000), rows(2000), rows(3000)], 1).await;
    let mut query = logs(r#"{app=~".+"} |= "level""#, 0, 4000 * SECOND);
    query.limit = 3;
    let (context, session, plan) = planned(&engine, &query).await.unwrap();
    let bytes = PlanCodec::new(Arc::clone(&context)).encode_plan(Arc::clone(&plan)).unwrap();
    let requests = Arc::new(RequestStats::new());
    let client = engine.client.with_stats(Arc::clone(&requests));
    let there = Arc::new(PlanContext::new(client, ChunkCache::new(1 << 20), 1, 0));
    let session_there = engine.session(&there).unwrap();
    let read = PlanCodec::new(Arc::clone(&there)).decode_plan(&bytes, &session_there.task_ctx()).unwrap();
    let count = || {
        let mut statistics = QueryStatistics::default();
        answer::count_requests(&requests, &mut statistics);
        statistics.store_requests.iter().map(|(_, count)| count).sum::<u64>()
    };
    assert_eq!(count(), 0);
    let here = answer(&engine, &query, execute_stream(plan, session.task_ctx())).await.unwrap();
    assert_eq!(here, answer(&engine, &query, execute_stream(read, session_there.task_ctx())).await.unwrap());
    assert_eq!(count(), 1, "one chunk is small enough for one request, and the others are not looked at");
    let mut statistics = QueryStatistics::default();
    there.statistics.fill(&mut statistics);
    assert_eq!(statistics.chunks_read, 1);
}

/// The query must start over where it was planned, as it does for a plan that was not shipped.
#[tokio::test]
async fn a_chunk_that_vanished_is_an_error() {
    let engine = engine(&chunks(), 1).await;
    let query = logs(r#"{app="a"}"#, 0, 60 * SECOND);
    let (context, _, plan) = planned(&engine, &query).await.unwrap();
    let bytes = PlanCodec::new(context).encode_plan(plan).unwrap();
    for object in engine.client.list(&level0_prefix(&TenantId::default_tenant())).await.unwrap() {
        engine.client.delete(&object.key).await.unwrap();
    }
    let (there, session) = receiver(&engine);
    let read = PlanCodec::new(there).decode_plan(&bytes, &session.task_ctx()).unwrap();
    let batches = execute_stream(read, session.task_ctx()).unwrap();
    let error = answer::collect(&query, batches, &engine.limits, false).await.unwrap_err();
    assert!(matches!(&error, QueryError::Store { source } if source.kind() == ErrorKind::NotFound), "{error}");
}

#[tokio::test]
async fn a_plan_too_deep_to_be_read_is_not_written() {
    let engine = engine(&chunks(), 1).await;
    for (levels, fits) in [(40, true), (60, false)] {
        let query = format!("count_over_time({{app=\"a\"}}[1m]){}", " + 1".repeat(levels));
        let query = spec(&query, Evaluation::Instant { at: schema::Timestamp(60 * SECOND) });
        let (context, _, plan) = planned(&engine, &query).await.unwrap();
        let codec = PlanCodec::new(context);
        match codec.encode_plan(plan) {
            Ok(bytes) => {
                let (there, session) = receiver(&engine);
                PlanCodec::new(there).decode_plan(&bytes, &session.task_ctx()).unwrap();
                assert!(fits);
            }
            Err(error) => assert!(!fits && error.to_string().contains("fewer nested operations"), "{error}"),
        }
    }
}

/// Every operator of every query, its inputs and its bytes.
async fn operators(engine: &Engine) -> Vec<(Vec<Arc<dyn ExecutionPlan>>, Vec<u8>)> {
    let mut out = Vec::new();
    for (query, options) in cases() {
        let (expected, options) = expectation(&options);
        if matches!(expected, Some("literal" | "unplanned")) {
            continue;
        }
        let (context, _, plan) = planned(engine, &parse(&query, &options)).await.unwrap();
        let codec = PlanCodec::new(context);
        let mut waiting = vec![plan];
        while let Some(node) = waiting.pop() {
            let inputs: Vec<_> = node.children().into_iter().cloned().collect();
            waiting.extend(inputs.iter().cloned());
            let mut bytes = Vec::new();
            if codec.try_encode(node, &mut bytes, &DefaultPhysicalProtoConverter {}).is_ok() {
                out.push((inputs, bytes));
            }
        }
    }
    out
}

#[test]
fn damaged_operators_are_read_or_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let engine = runtime.block_on(engine(&chunks(), 2));
    let operators = runtime.block_on(operators(&engine));
    let (there, session) = receiver(&engine);
    let codec = PlanCodec::new(there);
    let task = session.task_ctx();
    proptest!(ProptestConfig::with_cases(4000), |(which: prop::sample::Index, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut: Option<prop::sample::Index>)| {
        let (inputs, bytes) = which.get(&operators);
        let mut damaged = bytes.clone();
        for (at, byte) in &changes {
            let at = at.index(damaged.len());
            damaged[at] = *byte;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(damaged.len()));
        }
        let read = codec.try_decode(&damaged, inputs, &task, &DefaultPhysicalProtoConverter {});
        if damaged == *bytes {
            prop_assert!(read.is_ok(), "{:?}", read.err());
        }
    });
}
