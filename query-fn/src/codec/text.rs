//! Parts of a query as LogQL.
//! What does not read back as it was is refused when it is written, so that it never means something else elsewhere.

use logql::Expr;
use logql::ast::{LineFilter, MetricExpr, Stage, Unwrap};

/// A part is read inside a whole query. This selector stands for the one that it had.
const SELECTOR: &str = r#"{_=~".+"}"#;

pub(super) fn write_stage(stage: &Stage) -> Result<String, String> {
    let text = stage.to_string();
    if read_stage(&text)? == *stage { Ok(text) } else { Err(reads_otherwise(&text)) }
}

pub(super) fn read_stage(text: &str) -> Result<Stage, String> {
    let Expr::Log(log) = logql::parse(&format!("{SELECTOR} {text}")).map_err(|error| format!("'{text}' is not LogQL: {error}"))? else {
        return Err(format!("'{text}' is not a stage"));
    };
    match <[Stage; 1]>::try_from(log.stages) {
        Ok([stage]) => Ok(stage),
        Err(stages) => Err(format!("'{text}' is {} stages where there should be one", stages.len())),
    }
}

pub(super) fn write_line_filter(filter: &LineFilter) -> Result<String, String> {
    write_stage(&Stage::LineFilter(filter.clone()))
}

pub(super) fn read_line_filter(text: &str) -> Result<LineFilter, String> {
    match read_stage(text)? {
        Stage::LineFilter(filter) => Ok(filter),
        _ => Err(format!("'{text}' is not a line filter")),
    }
}

pub(super) fn write_unwrap(unwrap: &Unwrap) -> Result<String, String> {
    let text = unwrap.to_string();
    if read_unwrap(&text)? == *unwrap { Ok(text) } else { Err(reads_otherwise(&text)) }
}

pub(super) fn read_unwrap(text: &str) -> Result<Unwrap, String> {
    match logql::parse(&format!("sum_over_time({SELECTOR} {text} [1s])")).map_err(|error| format!("'{text}' is not LogQL: {error}"))? {
        Expr::Metric(MetricExpr::Range(range)) if range.range.log.stages.is_empty() => range.range.unwrap.ok_or_else(|| format!("'{text}' is not an unwrap")),
        _ => Err(format!("'{text}' is not an unwrap alone")),
    }
}

fn reads_otherwise(text: &str) -> String {
    format!("'{text}' does not read back as it was; this is a bug in Tarn")
}
