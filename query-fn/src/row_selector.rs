//! Which rows a delete request means: a log query as a predicate on one row.
//! Owns: which log queries may say what is deleted, the answer for one row.
//! Must not know: when a request counts, where rows are, Arrow, plans, HTTP.

use logql::Expr;
use logql::ast;
use schema::{LabelSet, Matcher, Timestamp};
use store::chunk::MetadataSet;

use crate::QueryError;
use crate::labels::{LabelsView, encode_row};
use crate::pipeline::NeededLabels;
use crate::row_pipeline::RowPipeline;

/// A compiled log query that says of a row whether the query would answer with it.
#[derive(Debug)]
pub struct RowSelector {
    matchers: Vec<Matcher>,
    pipeline: RowPipeline,
}

impl RowSelector {
    /// Reads a log query. Its selector may match every stream.
    /// Errors: what is no log query; a stage that is wrong in itself; `line_format` and `label_format`, whose templates may depend on the clock, so that the same
    /// row would be hidden at one time and not at another.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let Expr::Log(log) = logql::parse_without_validation(query)? else {
            return Err(QueryError::Invalid { message: "a metric query selects no rows: write a log query".to_owned() });
        };
        if let Some(stage) = log.stages.iter().find(|stage| matches!(stage, ast::Stage::LineFormat(_) | ast::Stage::LabelFormat(_))) {
            return Err(refused(stage));
        }
        Ok(Self { matchers: log.matchers, pipeline: RowPipeline::compile(log.stages, 0)? })
    }

    /// Whether rows of the stream with these labels may be meant.
    pub fn matches_stream(&self, labels: &LabelSet) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches_labels(labels))
    }

    /// Whether this row of the stream `labels` is meant.
    pub fn matches(&self, labels: &LabelSet, at: Timestamp, line: &[u8], metadata: &MetadataSet) -> bool {
        self.matches_stream(labels) && self.keeps(labels, at, line, metadata)
    }

    /// Whether every row of a stream that [`Self::matches_stream`] accepts is meant.
    pub fn is_stream_only(&self) -> bool {
        self.pipeline.lines().passes_all() && self.pipeline.stages().is_empty()
    }

    /// Whether a row's line says whether it is meant.
    pub(crate) fn reads_lines(&self) -> bool {
        !self.pipeline.lines().passes_all() || self.pipeline.stages().iter().any(|stage| !stage.reads_only_labels())
    }

    /// Whether a row's structured metadata may say whether it is meant.
    pub(crate) fn reads_metadata(&self) -> bool {
        !self.pipeline.stages().is_empty()
    }

    /// Whether this row of a stream that [`Self::matches_stream`] accepts is meant.
    pub(crate) fn keeps(&self, labels: &LabelSet, at: Timestamp, line: &[u8], metadata: &MetadataSet) -> bool {
        if !self.pipeline.lines().matches(line) {
            return false;
        }
        if self.pipeline.stages().is_empty() {
            return true;
        }
        let mut encoded = Vec::new();
        encode_row(labels, metadata, &NeededLabels::All, &mut encoded);
        // What was just encoded can be decoded.
        let view = LabelsView::decode(&encoded).unwrap_or_default();
        self.pipeline.run_stages(at.as_nanos(), line, &view).is_some()
    }
}

fn refused(stage: &ast::Stage) -> QueryError {
    QueryError::Invalid { message: format!("a delete request may hold line filters, label filters and parsers, but no formatting: {stage}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = r#"{app="api", env="prod", level="x"}"#;

    fn selector(query: &str) -> RowSelector {
        RowSelector::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    fn matches(query: &str, line: &str, metadata: &[(&str, &str)]) -> bool {
        let metadata: MetadataSet = metadata.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        selector(query).matches(&LabelSet::parse(STREAM).unwrap(), Timestamp(7), line.as_bytes(), &metadata)
    }

    #[test]
    fn rows_are_meant_as_the_query_would_answer_with_them() {
        let metadata = [("level", "warn"), ("trace", "t1")];
        for query in [
            r#"{app="api"}"#,
            r#"{a=~".*"}"#,
            r#"{env!="dev"} |= "status" != "nope""#,
            r#"{app="api"} | level="x""#,
            r#"{app="api"} | level_extracted="warn" | trace="t1""#,
            r#"{app="api"} | json | status>=500"#,
            r#"{app="api"} | json | status_extracted="" |= "500""#,
            r#"{app="api"} |= "" | json | drop status | status="""#,
            r#"{app="api"} | decolorize | json | user=ip("10.0.0.0/8") or status=500"#,
        ] {
            assert!(matches(query, r#"{"status":500,"user":"bo"}"#, &metadata), "{query}");
        }
        for query in [
            r#"{app="web"}"#,
            r#"{app="api"} |= "nope""#,
            r#"{app="api"} | level="warn""#,
            r#"{app="api"} | level_extracted="x""#,
            r#"{app="api"} | json | status<500"#,
            r#"{app="api"} | json | status>=500 != "bo""#,
            r#"{app="api"} | trace="t2""#,
        ] {
            assert!(!matches(query, r#"{"status":500,"user":"bo"}"#, &metadata), "{query}");
        }
    }

    #[test]
    fn a_line_filter_sees_the_line_where_it_stands() {
        assert!(matches(r#"{app="api"} | decolorize |~ "^red$""#, "\u{1b}[31mred\u{1b}[0m", &[]));
        assert!(!matches(r#"{app="api"} |~ "^red$" | decolorize"#, "\u{1b}[31mred\u{1b}[0m", &[]));
        assert!(matches(r#"{app="api"} | unpack |= "inner" | pod="p""#, r#"{"_entry":"inner","pod":"p"}"#, &[]));
        assert!(!matches(r#"{app="api"} | unpack |= "_entry""#, r#"{"_entry":"inner","pod":"p"}"#, &[]));
    }

    #[test]
    fn what_must_be_read_of_a_row() {
        for (query, stream_only, lines, metadata) in [
            (r#"{app="api"}"#, true, false, false),
            (r#"{app="api"} |= """#, true, false, false),
            (r#"{app="api"} |= "x""#, false, true, false),
            (r#"{app="api"} | trace="x""#, false, false, true),
            (r#"{app="api"} | json"#, false, true, true),
        ] {
            let selector = selector(query);
            assert_eq!((selector.is_stream_only(), selector.reads_lines(), selector.reads_metadata()), (stream_only, lines, metadata), "{query}");
        }
    }

    #[test]
    fn what_selects_no_rows_is_refused() {
        for query in [
            "",
            "{",
            r#"rate({app="api"}[1m])"#,
            "vector(1)",
            r#"{app="api"} |~ "(""#,
            r#"{app="api"} | line_format "x""#,
            r#"{app="api"} | json | label_format a=b"#,
            r#"{app="api"} | addr=ip("x")"#,
        ] {
            assert!(RowSelector::parse(query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_selector_can_be_shared() {
        fn shared<T: Send + Sync>() {}
        shared::<RowSelector>();
    }
}
