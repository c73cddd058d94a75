//! Which labels, and how much of the line, each part of a plan reads; told to the parsers and to the scan.

use std::collections::BTreeSet;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use logql::ast::{FieldMatch, Grouping, GroupingKind, LabelFormatValue, RangeOp, Stage};

use crate::labels::{ERROR_DETAILS_LABEL, ERROR_LABEL};
use crate::logical::{Entries, LineColumn, LineFilter, PipelineStage, RangeAggregate, StreamScan, TenantUnion, Unwrap, node_of, plan};
use crate::pipeline::{NeededLabels, filter_labels, required_labels};
use crate::tenants::{ORIGINAL_TENANT_LABEL, TENANT_LABEL};

/// Walks from the answer to the scans and narrows what they hand on.
#[derive(Debug)]
pub(super) struct FindNeededLabels;

impl OptimizerRule for FindNeededLabels {
    fn name(&self) -> &str {
        "needed_labels"
    }

    fn rewrite(&self, node: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let narrowed = narrow(&node, &Needs::everything())?;
        Ok(if narrowed == node { Transformed::no(node) } else { Transformed::yes(narrowed) })
    }
}

/// What the operators above read.
#[derive(Clone, Debug)]
struct Needs {
    /// Labels that must be there if a row has them.
    labels: NeededLabels,
    /// Labels that parsers are asked for: what Loki would ask for. Less than `labels` where a template may read any label;
    /// Loki then asks for those that it names.
    parsed: NeededLabels,
    line: LineColumn,
}

impl Needs {
    fn everything() -> Self {
        Self { labels: NeededLabels::All, parsed: NeededLabels::All, line: LineColumn::Text }
    }
}

fn narrow(node: &LogicalPlan, needs: &Needs) -> Result<LogicalPlan> {
    if let Some(scan) = node_of::<StreamScan>(node) {
        return Ok(plan(scan.with_columns(needs.labels.clone(), needs.line)?));
    }
    if let Some(entries) = node_of::<Entries>(node) {
        let input = narrow(&entries.input, &Needs::everything())?;
        return Ok(plan(Entries { input, ..entries.clone() }));
    }
    if let Some(range) = node_of::<RangeAggregate>(node) {
        let labels = if range.function.op == RangeOp::AbsentOverTime { only([]) } else { grouped(range.function.grouping.as_ref()) };
        let line = match range.function.op {
            RangeOp::BytesOverTime | RangeOp::BytesRate => LineColumn::Length,
            _ => LineColumn::None,
        };
        return Ok(plan(RangeAggregate::new(narrow(&range.input, &Needs { parsed: labels.clone(), labels, line })?, range.function.clone())?));
    }
    if let Some(unwrap) = node_of::<Unwrap>(node) {
        let mut below = needs.clone();
        let read = unwrap.unwrap.filters.iter().flat_map(filter_labels).chain([unwrap.unwrap.label.clone()]);
        for name in read {
            add(&mut below.labels, [name.clone()]);
            add(&mut below.parsed, [name]);
        }
        return Ok(plan(Unwrap::new(narrow(&unwrap.input, &below)?, unwrap.unwrap.clone(), unwrap.keep)?));
    }
    if let Some(union) = node_of::<TenantUnion>(node) {
        let below = below_tenants(needs);
        return Ok(plan(union.with_inputs(union.inputs.iter().map(|input| narrow(input, &below)).collect::<Result<_>>()?)));
    }
    if let Some(filter) = node_of::<LineFilter>(node) {
        let below = Needs { line: LineColumn::Text, ..needs.clone() };
        return Ok(plan(LineFilter { input: narrow(&filter.input, &below)?, ..filter.clone() }));
    }
    if let Some(stage) = node_of::<PipelineStage>(node) {
        return narrow_stage(stage, needs);
    }
    let inputs = node.inputs().into_iter().map(|input| narrow(input, needs)).collect::<Result<Vec<_>>>()?;
    node.with_new_exprs(node.expressions(), inputs)
}

/// The union sets the tenant's label itself, and gives a row's own of that name another name. Parsers are still asked for both, as in Loki:
/// what they are asked for decides whether a line that they cannot read is an error.
fn below_tenants(needs: &Needs) -> Needs {
    let mut below = needs.clone();
    if let NeededLabels::Only(names) = &mut below.labels {
        names.remove(TENANT_LABEL);
    }
    if needs.labels.contains(ORIGINAL_TENANT_LABEL) {
        add(&mut below.labels, [TENANT_LABEL.to_owned()]);
        add(&mut below.parsed, [TENANT_LABEL.to_owned()]);
    }
    below
}

/// A stage that nothing above can notice is left out: a parser whose labels nobody reads (so its errors are not seen
/// either, as in Loki), a label stage below which no label is read.
fn narrow_stage(stage: &PipelineStage, needs: &Needs) -> Result<LogicalPlan> {
    if is_unnoticed(&stage.stage, needs) {
        return narrow(&stage.input, needs);
    }
    let line = if reads_line(&stage.stage) { LineColumn::Text } else { needs.line };
    let mut parsed = needs.parsed.clone();
    add(&mut parsed, required_labels(&stage.stage));
    let input = narrow(&stage.input, &Needs { labels: labels_below(&stage.stage, &needs.labels), parsed, line })?;
    Ok(plan(PipelineStage { input, stage: stage.stage.clone(), needed: needs.parsed.clone() }))
}

fn is_unnoticed(stage: &Stage, needs: &Needs) -> bool {
    match stage {
        Stage::Json { .. } | Stage::Logfmt { .. } | Stage::Regexp(_) | Stage::Pattern(_) => needs.parsed.is_empty(),
        Stage::Unpack => needs.parsed.is_empty() && needs.line == LineColumn::None,
        // An error fails the query even if nothing else reads it, so taking one away is always noticed.
        Stage::Drop(fields) => fields.iter().map(field_name).all(|name| !needs.labels.contains(&name) && name != ERROR_LABEL && name != ERROR_DETAILS_LABEL),
        Stage::Keep(_) => needs.labels.is_empty(),
        Stage::Decolorize | Stage::LineFormat(_) => needs.line == LineColumn::None,
        Stage::LineFilter(_) | Stage::LabelFilter(_) | Stage::LabelFormat(_) => false,
    }
}

const fn reads_line(stage: &Stage) -> bool {
    match stage {
        Stage::LineFilter(_) | Stage::Json { .. } | Stage::Logfmt { .. } | Stage::Regexp(_) | Stage::Pattern(_) | Stage::Unpack => true,
        Stage::Decolorize | Stage::LineFormat(_) | Stage::LabelFormat(_) => true,
        Stage::LabelFilter(_) | Stage::Drop(_) | Stage::Keep(_) => false,
    }
}

/// The labels that must go into `stage` so that `above` can come out of it.
fn labels_below(stage: &Stage, above: &NeededLabels) -> NeededLabels {
    let mut labels = above.clone();
    match stage {
        Stage::Json { .. } | Stage::Logfmt { .. } | Stage::Regexp(_) | Stage::Pattern(_) | Stage::Unpack => add(&mut labels, collisions(above)),
        Stage::LabelFilter(filter) => add(&mut labels, filter_labels(filter)),
        Stage::Drop(fields) | Stage::Keep(fields) => add(&mut labels, fields.iter().filter(|field| matches!(field, FieldMatch::Matcher(_))).map(field_name)),
        Stage::LabelFormat(formats) => {
            for format in formats {
                match &format.value {
                    LabelFormatValue::Rename(source) => add(&mut labels, [source.clone()]),
                    LabelFormatValue::Template(_) => return NeededLabels::All,
                }
            }
        }
        Stage::LineFormat(_) => return NeededLabels::All,
        Stage::LineFilter(_) | Stage::Decolorize => {}
    }
    labels
}

/// A parser calls a label `x_extracted` where the row has an `x` already, so it must see whether there is one.
fn collisions(above: &NeededLabels) -> Vec<String> {
    match above {
        NeededLabels::All => Vec::new(),
        NeededLabels::Only(names) => names.iter().filter_map(|name| name.strip_suffix("_extracted")).map(ToOwned::to_owned).collect(),
    }
}

fn field_name(field: &FieldMatch) -> String {
    match field {
        FieldMatch::Name(name) => name.clone(),
        FieldMatch::Matcher(matcher) => matcher.name().to_owned(),
    }
}

/// The labels that form the series of a range aggregation.
fn grouped(grouping: Option<&Grouping>) -> NeededLabels {
    match grouping {
        Some(Grouping { kind: GroupingKind::By, labels }) => only(labels.iter().cloned()),
        Some(Grouping { kind: GroupingKind::Without, .. }) | None => NeededLabels::All,
    }
}

fn only(names: impl IntoIterator<Item = String>) -> NeededLabels {
    NeededLabels::Only(names.into_iter().collect::<BTreeSet<_>>())
}

fn add(labels: &mut NeededLabels, names: impl IntoIterator<Item = String>) {
    if let NeededLabels::Only(known) = labels {
        known.extend(names);
    }
}
