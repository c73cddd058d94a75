//! `query_range`, `query`, their older form, `format_query` and `explain`.

use http::{HeaderMap, StatusCode};
use logql::ast::{Expr, LineFilter, LineFilterOp, LineOperand, Stage};
use serde_json::json;

use super::limits::check_expression;
use super::params::{InstantParameters, RangeParameters};
use super::{ApiResponse, Call};
use crate::engine::{Evaluation, QuerySpec};
use crate::response::json::{Escape, write_string};
use crate::response::legacy;
use crate::response::query::{Answer, LabelEncoding, write_answer};
use crate::{QueryError, QueryResult};

const ENCODING_FLAGS_HEADER: &str = "X-Loki-Response-Encoding-Flags";
const CATEGORIZE_LABELS: &str = "categorize-labels";
const QUERY_TAGS_HEADER: &str = "X-Query-Tags";
/// What Grafana's Logs Drilldown tags its queries with.
const LOGS_DRILLDOWN: (&str, &str) = ("source", "grafana-lokiexplore-app");

impl Call<'_> {
    pub(super) async fn query_range(&self) -> Result<ApiResponse, QueryError> {
        let spec = self.range_spec()?;
        self.run(&spec).await
    }

    pub(super) async fn query(&self) -> Result<ApiResponse, QueryError> {
        let spec = self.instant_spec()?;
        self.run(&spec).await
    }

    /// The plans of a query. With `time` it is planned as an instant query, else as a range query.
    pub(super) async fn explain(&self) -> Result<ApiResponse, QueryError> {
        let spec = if self.form.get("time").is_empty() { self.range_spec()? } else { self.instant_spec()? };
        let plans = self.engine.explain(&spec).await?;
        let body = json!({
            "status": "success",
            "data": {
                "query": self.form.get("query"),
                "logical": plans.logical,
                "optimized": plans.optimized,
                "physical": plans.physical,
                "pruned": plans.pruned,
                "estimate": plans.estimate,
            },
        });
        Ok(ApiResponse::json(format!("{body}\n").into_bytes()))
    }

    /// Only log queries, and `regexp` as one more line filter.
    pub(super) async fn legacy_query(&self) -> Result<ApiResponse, QueryError> {
        let mut spec = self.range_spec()?;
        let Expr::Log(log) = &mut spec.expr else {
            return Err(QueryError::Invalid { message: "legacy endpoints only support streams result type".to_owned() });
        };
        let pattern = self.form.get("regexp");
        if !pattern.is_empty() {
            log.stages.push(Stage::LineFilter(LineFilter { op: LineFilterOp::Regex, operands: vec![LineOperand::Text(pattern.to_owned())] }));
        }
        let (result, statistics, _) = self.engine.run(&spec).await?;
        let QueryResult::Streams(streams) = result else {
            return Err(QueryError::Internal { invariant: "a log query answers with streams".to_owned() });
        };
        Ok(ApiResponse::json(legacy::write_streams(&streams, &statistics, spec.direction)))
    }

    pub(super) fn format_query(&self) -> ApiResponse {
        let mut body = Vec::new();
        let status = match logql::parse(self.form.get("query")) {
            Ok(expr) => {
                body.extend_from_slice(br#"{"status":"success","data":"#);
                write_string(&mut body, &logql::format_query(&expr), Escape::Html);
                StatusCode::OK
            }
            Err(error) => {
                body.extend_from_slice(br#"{"status":"invalid-query","error":"#);
                write_string(&mut body, &error.to_string(), Escape::Html);
                StatusCode::BAD_REQUEST
            }
        };
        body.extend_from_slice(b"}\n");
        ApiResponse::json_with(status, body)
    }

    fn range_spec(&self) -> Result<QuerySpec, QueryError> {
        let limits = self.limits;
        let parameters = RangeParameters::parse(&self.form, self.shared.env.now(), limits)?;
        let expr = logql::parse(&parameters.query)?;
        parameters.check_limits(matches!(expr, Expr::Log(_)), limits)?;
        check_expression(&expr, limits)?;
        Ok(QuerySpec {
            tenants: self.tenants.clone(),
            expr,
            evaluation: Evaluation::Range { start: parameters.range.start, end: parameters.range.end, step_ns: parameters.step },
            limit: parameters.limit,
            direction: parameters.direction,
            interval_ns: parameters.interval,
        })
    }

    fn instant_spec(&self) -> Result<QuerySpec, QueryError> {
        let parameters = InstantParameters::parse(&self.form, self.shared.env.now())?;
        let expr = logql::parse(&parameters.query)?;
        if matches!(expr, Expr::Log(_)) {
            let message = "log queries are not supported as an instant query type, please change your query to a range query type".to_owned();
            return Err(QueryError::Invalid { message });
        }
        check_expression(&expr, self.limits)?;
        Ok(QuerySpec {
            tenants: self.tenants.clone(),
            expr,
            evaluation: Evaluation::Instant { at: parameters.time },
            limit: parameters.limit,
            direction: parameters.direction,
            interval_ns: 0,
        })
    }

    async fn run(&self, spec: &QuerySpec) -> Result<ApiResponse, QueryError> {
        let (result, statistics, warnings) = self.engine.run(spec).await?;
        let answer =
            Answer { result: &result, statistics: &statistics, warnings: &warnings, encoding: label_encoding(self.headers), direction: spec.direction };
        Ok(ApiResponse::json(write_answer(&answer)))
    }
}

/// Whether Logs Drilldown asks: of too many series it shows those that it gets, with a warning, where others show an error.
/// The header holds `name=value` pairs with commas between.
pub(super) fn is_logs_drilldown(headers: &HeaderMap) -> bool {
    let (source, app) = LOGS_DRILLDOWN;
    let tags = headers.get_all(QUERY_TAGS_HEADER).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    tags.filter_map(|tag| tag.split_once('=')).any(|(name, value)| name.trim().eq_ignore_ascii_case(source) && value.trim().eq_ignore_ascii_case(app))
}

/// The header holds a comma-separated list of flags.
pub(super) fn label_encoding(headers: &HeaderMap) -> LabelEncoding {
    let values = headers.get_all(ENCODING_FLAGS_HEADER).into_iter().filter_map(|value| value.to_str().ok());
    let is_asked_for = values.flat_map(|value| value.split(',')).any(|flag| flag.trim() == CATEGORIZE_LABELS);
    if is_asked_for { LabelEncoding::Categorized } else { LabelEncoding::Merged }
}
