//! Pipeline stages: one file a stage, each a pure function from row to row that knows no async, no Arrow, no plan.
//! [`Stage`] is what they share; [`build()`] makes one from its syntax.
//! Source of the behaviour: spec/logql.md section 3. Stages run in the order written and label regexes are anchored, as
//! Loki's documentation says, also where Loki itself does otherwise (docs/deviations.md).

mod names;
mod json_text;
mod logfmt_text;
mod json;
mod json_expression;
mod logfmt;
mod regexp;
mod pattern;
mod unpack;
mod label_filter;
mod fields;
mod decolorize;
mod format;
pub(crate) mod values;
#[cfg(test)]
mod testing;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use logql::ast;

use crate::QueryError;
use crate::labels::{Category, RowLabels};

/// Values of `__error__`.
pub mod errors {
    /// A line that is not JSON.
    pub const JSON_PARSER: &str = "JSONParserErr";
    /// A line that is not logfmt, under `--strict`.
    pub const LOGFMT_PARSER: &str = "LogfmtParserErr";
    /// A label that is no number, duration or size.
    pub const LABEL_FILTER: &str = "LabelFilterErr";
    /// A template that failed on a row.
    pub const TEMPLATE_FORMAT: &str = "TemplateFormatErr";
    /// An unwrapped label that is no number, duration or size.
    pub const SAMPLE_EXTRACTION: &str = "SampleExtractionErr";
}

/// One row on its way through a pipeline.
#[derive(Debug)]
pub struct Row<'a> {
    /// Nanoseconds since the epoch.
    pub timestamp: i64,
    /// The line as it is now. UTF-8 as far as the writer kept its promise.
    pub line: Cow<'a, [u8]>,
    /// The labels as they are now.
    pub labels: RowLabels<'a>,
}

/// Whether a row goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Keep,
    /// It is dropped.
    Drop,
}

impl From<bool> for Verdict {
    fn from(keep: bool) -> Self {
        if keep { Self::Keep } else { Self::Drop }
    }
}

/// Which labels a metric query needs its parsers to extract. A parser leaves every other label out, and stops reading a
/// line once it has set all of these, so that errors behind that point are not seen, as in Loki.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NeededLabels {
    /// All of them.
    All,
    /// These, and no others. Empty: parsers do nothing.
    Only(BTreeSet<String>),
}

impl NeededLabels {
    /// Whether `name` is read.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    /// Whether some name that is read starts with `prefix`.
    pub fn contains_prefix(&self, prefix: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => {
                names.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded)).next().is_some_and(|name| name.starts_with(prefix))
            }
        }
    }

    /// Whether nothing is read.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Only(names) if names.is_empty())
    }

    /// Whether the pipeline has already set every label that is read. A stream label of the same name does not count.
    pub(crate) fn all_parsed(&self, labels: &RowLabels<'_>) -> bool {
        match self {
            Self::All => false,
            Self::Only(names) => names.iter().all(|name| labels.was_parsed(name)),
        }
    }
}

/// One step of a pipeline, compiled.
pub trait Stage: fmt::Debug + Send + Sync {
    /// Runs the step on one row.
    fn apply(&self, row: &mut Row<'_>) -> Verdict;

    /// Whether the outcome depends on nothing but the labels, so that it can be found once per distinct label set.
    fn reads_only_labels(&self) -> bool;
}

/// Compiles one stage. Line filters are not built here: they run over whole buffers (`line_filter`).
/// Errors: a pattern, path, template or address that is wrong in itself.
/// `now` is what templates call now, in nanoseconds since the epoch.
pub fn build(stage: &ast::Stage, needed: &NeededLabels, now: i64) -> Result<Arc<dyn Stage>, QueryError> {
    Ok(match stage {
        ast::Stage::Json { extractions } if extractions.is_empty() => Arc::new(json::Json::new(needed.clone())),
        ast::Stage::Json { extractions } => Arc::new(json_expression::JsonExpression::new(extractions, needed)?),
        ast::Stage::Logfmt { flags, extractions } if extractions.is_empty() => Arc::new(logfmt::Logfmt::new(*flags, needed.clone())),
        ast::Stage::Logfmt { flags, extractions } => Arc::new(logfmt::LogfmtExpression::new(*flags, extractions, needed)?),
        ast::Stage::Regexp(pattern) => Arc::new(regexp::Regexp::new(pattern, needed.clone())?),
        ast::Stage::Pattern(pattern) => Arc::new(pattern::PatternParser::new(pattern, needed.clone())?),
        ast::Stage::Unpack => Arc::new(unpack::Unpack::new(needed.clone())),
        ast::Stage::LabelFilter(filter) => label_filter(filter)?,
        ast::Stage::Drop(fields) => Arc::new(fields::DropLabels::new(fields)),
        ast::Stage::Keep(fields) => Arc::new(fields::KeepLabels::new(fields)),
        ast::Stage::Decolorize => Arc::new(decolorize::Decolorize::new()?),
        ast::Stage::LineFilter(_) => return Err(QueryError::Internal { invariant: "line filters are planned apart from pipeline stages".to_owned() }),
        ast::Stage::LineFormat(text) => Arc::new(format::LineFormat::new(text, now)?),
        ast::Stage::LabelFormat(assignments) => Arc::new(format::LabelFormat::new(assignments, now)?),
    })
}

/// Compiles a label filter. Errors: an address or a regex that is wrong.
pub fn label_filter(filter: &ast::LabelFilter) -> Result<Arc<dyn Stage>, QueryError> {
    Ok(Arc::new(label_filter::CompiledLabelFilter::new(filter)?))
}

/// Sets a parsed label, renamed where it collides, unless it is not needed or an earlier value stands: the first one wins.
fn set_parsed(needed: &NeededLabels, labels: &mut RowLabels<'_>, name: &str, value: &str) {
    let renamed;
    let name = if names::collides(labels, name) {
        renamed = format!("{name}{}", names::COLLISION_SUFFIX);
        &renamed
    } else {
        name
    };
    if needed.contains(name) && !labels.was_parsed(name) {
        labels.set(Category::Parsed, name, value);
    }
}

/// The labels that Loki counts as needed by this stage when it tells parsers what to extract: those that label filters and
/// formats read.
pub fn required_labels(stage: &ast::Stage) -> Vec<String> {
    match stage {
        ast::Stage::LabelFilter(filter) => filter_labels(filter),
        other => format::required_labels(other),
    }
}

/// The labels that a label filter reads.
pub fn filter_labels(filter: &ast::LabelFilter) -> Vec<String> {
    match filter {
        ast::LabelFilter::Matcher(matcher) => vec![matcher.name().to_owned()],
        ast::LabelFilter::Ip { name, .. } | ast::LabelFilter::Compare { name, .. } => vec![name.clone()],
        ast::LabelFilter::And(left, right) | ast::LabelFilter::Or(left, right) => {
            let mut names = filter_labels(left);
            names.extend(filter_labels(right));
            names
        }
    }
}
