//! `detected_fields` and `detected_field/{name}/values`.

use std::collections::BTreeMap;

use logql::ast::{Expr, LogExpr, Stage};
use serde::Serialize;

use super::limits::check_expression;
use super::params::{self, RangeParameters};
use super::{ApiResponse, Call};
use crate::engine::{Direction, Evaluation, QuerySpec};
use crate::metadata::detected_fields::{DetectedField, detect, type_of};
use crate::{QueryError, QueryResult};

const DEFAULT_LINE_LIMIT: usize = 100;
const DEFAULT_FIELD_LIMIT: usize = 1000;

/// `{}`
#[derive(Debug, Serialize)]
struct NothingFound {}

/// `detected_fields`, in Loki's order of members, as every body here.
#[derive(Debug, Serialize)]
struct FieldsBody<'a> {
    fields: Vec<FieldBody<'a>>,
    limit: usize,
}

#[derive(Debug, Serialize)]
struct FieldBody<'a> {
    label: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    cardinality: usize,
    /// `null` for structured metadata.
    parsers: Option<Vec<&'a str>>,
    #[serde(rename = "jsonPath", skip_serializing_if = "<[_]>::is_empty")]
    json_path: &'a [String],
}

impl<'a> FieldBody<'a> {
    fn of(label: &'a str, field: &'a DetectedField) -> Self {
        let parsers = (!field.parsers.is_empty()).then(|| field.parsers.iter().copied().collect());
        Self { label, kind: type_of(&field.values), cardinality: field.values.len(), parsers, json_path: &field.json_path }
    }
}

#[derive(Debug, Serialize)]
struct ValuesBody {
    limit: usize,
    values: Vec<String>,
}

impl Call<'_> {
    pub(super) async fn detected_fields(&self) -> Result<ApiResponse, QueryError> {
        let (fields, limit) = self.find_fields().await?;
        if fields.is_empty() {
            return ApiResponse::of(&NothingFound {});
        }
        ApiResponse::of(&FieldsBody { fields: fields.iter().take(limit).map(|(name, field)| FieldBody::of(name, field)).collect(), limit })
    }

    pub(super) async fn detected_field_values(&self, name: &str) -> Result<ApiResponse, QueryError> {
        let (mut fields, limit) = self.find_fields().await?;
        let Some(field) = fields.remove(name) else { return ApiResponse::of(&NothingFound {}) };
        ApiResponse::of(&ValuesBody { limit, values: field.values.into_iter().take(limit).collect() })
    }

    /// The fields of the newest lines, and how many of them (or of their values) were asked for.
    async fn find_fields(&self) -> Result<(BTreeMap<String, DetectedField>, usize), QueryError> {
        let limits = self.limits;
        let parameters = RangeParameters::parse(&self.form, self.shared.env.now(), limits)?;
        let line_limit = self.positive("line_limit", DEFAULT_LINE_LIMIT)?;
        let field_limit = match self.form.get("limit") {
            "" => self.positive("field_limit", DEFAULT_FIELD_LIMIT)?,
            _ => parameters.limit,
        };
        let Expr::Log(expr) = logql::parse(&parameters.query)? else {
            return Err(QueryError::Invalid { message: "only log selector is supported".to_owned() });
        };
        params::check_max_entries(line_limit, limits)?;
        parameters.check_limits(false, limits)?;
        let parsers = parsers_of(&expr);
        let expr = Expr::Log(expr);
        check_expression(&expr, limits)?;
        let spec = QuerySpec {
            tenants: self.tenants.clone(),
            expr,
            evaluation: Evaluation::Range { start: parameters.range.start, end: parameters.range.end, step_ns: parameters.step },
            limit: line_limit,
            direction: Direction::Backward,
            interval_ns: 0,
        };
        let (result, _, _) = self.engine.run(&spec).await?;
        let QueryResult::Streams(streams) = result else {
            return Err(QueryError::Internal { invariant: "a log query answers with streams".to_owned() });
        };
        Ok((detect(&streams, &parsers)?, field_limit))
    }

    fn positive(&self, name: &str, default: usize) -> Result<usize, QueryError> {
        match params::integer(self.form.get(name))? {
            None => Ok(default),
            Some(value) => usize::try_from(value)
                .ok()
                .filter(|value| *value > 0)
                .ok_or_else(|| QueryError::Parameter { message: "limit must be a positive value".to_owned() }),
        }
    }
}

/// Names of the parsers that a query runs, in its order.
fn parsers_of(expr: &LogExpr) -> Vec<&'static str> {
    let name = |stage: &Stage| match stage {
        Stage::Json { .. } => Some("json"),
        Stage::Logfmt { .. } => Some("logfmt"),
        Stage::Regexp(_) => Some("regexp"),
        Stage::Pattern(_) => Some("pattern"),
        Stage::Unpack => Some("unpack"),
        _ => None,
    };
    expr.stages.iter().filter_map(name).collect()
}
