//! The leaf of every plan that reads data.

use std::collections::HashSet;
use std::fmt;

use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use logql::ast::LineFilter;
use schema::{Matcher, TenantId, TimeRange};

use super::columns::{LineColumn, counted_schema, entry_schema, plan_schema};
use super::node::plan_node_identity;
use super::{Direction, Windows, text};
use crate::pipeline::NeededLabels;

/// The reader above takes only the first rows in one direction of time, so a scan may leave out rows that cannot be among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EarlyStop {
    /// From which end of the range.
    pub direction: Direction,
    /// How many rows.
    pub limit: usize,
    /// Whether every row that leaves the scan counts towards the limit: nothing between drops rows.
    pub every_row_counts: bool,
}

/// Rows of the streams that match, in the time range, that pass the line filters. Without positions, exact
/// duplicates appear once; with them, the reader above keeps one of the copies.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamScan {
    /// Whose streams.
    pub tenant: TenantId,
    /// Which streams.
    pub matchers: Vec<Matcher>,
    /// Which rows: timestamps of `[start, end)`.
    pub range: TimeRange,
    /// Line filters that the scan itself applies, in the order written; all must pass.
    pub filters: Vec<LineFilter>,
    /// The labels it hands on.
    pub labels: NeededLabels,
    /// What it hands on of the line.
    pub line: LineColumn,
    /// Whether it hands on positions, and copies of rows with them.
    pub position: bool,
    /// Which rows may be left out.
    pub stop: Option<EarlyStop>,
    /// The rows are only counted, in these windows: a row that it hands on may stand for several, as its column `rows` says.
    pub counts: Option<Windows>,
    schema: DFSchemaRef,
}

impl StreamScan {
    /// A scan that hands on everything.
    pub fn new(tenant: TenantId, matchers: Vec<Matcher>, range: TimeRange, position: bool) -> Result<Self> {
        let line = LineColumn::Text;
        let schema = plan_schema(entry_schema(line, position))?;
        Ok(Self { tenant, matchers, range, filters: Vec::new(), labels: NeededLabels::All, line, position, stop: None, counts: None, schema })
    }

    /// The same scan that hands on less.
    pub fn with_columns(&self, labels: NeededLabels, line: LineColumn) -> Result<Self> {
        Self { labels, line, ..self.clone() }.with_its_schema()
    }

    /// The same scan for a function that counts rows, or their bytes, in `windows`.
    pub fn with_counts(&self, windows: Windows) -> Result<Self> {
        Self { counts: Some(windows), ..self.clone() }.with_its_schema()
    }

    fn with_its_schema(mut self) -> Result<Self> {
        let columns: SchemaRef = if self.counts.is_some() { counted_schema(self.line) } else { entry_schema(self.line, self.position) };
        self.schema = plan_schema(columns)?;
        Ok(self)
    }
}

impl fmt::Display for StreamScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matchers: Vec<String> = self.matchers.iter().map(ToString::to_string).collect();
        write!(f, "StreamScan: tenant={}, {{{}}}, time=[{}, {})", self.tenant, matchers.join(", "), self.range.start, self.range.end)?;
        if !self.filters.is_empty() {
            let filters: Vec<String> = self.filters.iter().map(text::line_filter).collect();
            write!(f, ", filters=[{}]", filters.join(" "))?;
        }
        write!(f, ", labels={}, line={}", text::needed(&self.labels), self.line)?;
        if let Some(stop) = &self.stop {
            let rows = if stop.every_row_counts { "first" } else { "matching" };
            write!(f, ", stop=({} {} {rows})", stop.limit, stop.direction.as_str())?;
        }
        if let Some(Windows { range, offset, steps }) = &self.counts {
            write!(f, ", counts=({range}ns offset {offset}ns at {}+{}ns x {})", steps.start, steps.step, steps.count)?;
        }
        Ok(())
    }
}

plan_node_identity!(StreamScan);

impl UserDefinedLogicalNodeCore for StreamScan {
    fn name(&self) -> &str {
        "StreamScan"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}
