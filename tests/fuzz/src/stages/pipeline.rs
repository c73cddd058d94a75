//! Whole pipelines: the stages as LogQL writes them, and a line.

use std::sync::Arc;

use logql::Expr;
use logql::ast::Stage as StageAst;
use query_fn::line_filter::{LineFilterStage, LineMatcher};
use query_fn::pipeline::{NeededLabels, Stage};

use super::{base, compile, parts, run, text};

/// Any pipeline has an outcome for any line; a stage that says it reads only labels leaves the line alone and does not depend on it.
pub fn run_pipeline(data: &[u8]) {
    let [stages, line] = parts(data);
    let Some(stages) = text(stages) else { return };
    let Ok(Expr::Log(log)) = logql::parse(&format!("{{app=\"x\"}} {stages}")) else { return };
    let mut compiled: Vec<Arc<dyn Stage>> = Vec::new();
    for stage in log.stages.iter().take(16) {
        let next: Option<Arc<dyn Stage>> = match stage {
            StageAst::LineFilter(filter) => LineMatcher::compile(std::slice::from_ref(filter)).ok().map(|matcher| Arc::new(LineFilterStage(matcher)) as _),
            other => compile(other, &NeededLabels::All),
        };
        compiled.extend(next);
    }
    let before = run(&compiled, &base(), line);
    let mut labels = base();
    let mut so_far = line.to_vec();
    for stage in &compiled {
        let outcome = run(std::slice::from_ref(stage), &labels, &so_far);
        if stage.reads_only_labels() {
            assert_eq!(outcome.line, so_far, "{stage:?}");
            let elsewhere = run(std::slice::from_ref(stage), &labels, b"another line");
            assert_eq!((elsewhere.kept, &elsewhere.labels), (outcome.kept, &outcome.labels), "{stage:?}");
        }
        if !outcome.kept {
            assert!(!before.kept);
            return;
        }
        (labels, so_far) = (outcome.labels, outcome.line);
    }
    assert!(before.kept);
}
