//! `detected_fields` and `detected_field/{name}/values`.

use std::collections::BTreeMap;

use logql::ast::{Expr, LogExpr, Stage};
use serde_json::{Value, json};

use super::params::{self, RangeParameters};
use super::{ApiResponse, Call};
use crate::engine::{Direction, Evaluation, QuerySpec};
use crate::metadata::detected_fields::{DetectedField, detect, type_of};
use crate::{QueryError, QueryResult};

const DEFAULT_LINE_LIMIT: usize = 100;
const DEFAULT_FIELD_LIMIT: usize = 1000;

impl Call<'_> {
    pub(super) async fn detected_fields(&self) -> Result<ApiResponse, QueryError> {
        let (fields, limit) = self.find_fields().await?;
        if fields.is_empty() {
            return Ok(json_response(&json!({})));
        }
        let fields: Vec<Value> = fields.iter().take(limit).map(|(name, field)| field_json(name, field)).collect();
        Ok(json_response(&json!({ "fields": fields, "limit": limit })))
    }

    pub(super) async fn detected_field_values(&self, name: &str) -> Result<ApiResponse, QueryError> {
        let (mut fields, limit) = self.find_fields().await?;
        let Some(field) = fields.remove(name) else { return Ok(json_response(&json!({}))) };
        let values: Vec<String> = field.values.into_iter().take(limit).collect();
        Ok(json_response(&json!({ "values": values, "limit": limit })))
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
        let spec = QuerySpec {
            tenant: self.tenant.clone(),
            expr: Expr::Log(expr),
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

fn field_json(name: &str, field: &DetectedField) -> Value {
    let parsers = if field.parsers.is_empty() { Value::Null } else { json!(field.parsers) };
    let mut out = json!({ "label": name, "type": type_of(&field.values), "cardinality": field.values.len(), "parsers": parsers });
    if let (false, Some(members)) = (field.json_path.is_empty(), out.as_object_mut()) {
        members.insert("jsonPath".to_owned(), json!(field.json_path));
    }
    out
}

fn json_response(body: &Value) -> ApiResponse {
    ApiResponse::json(format!("{body}\n").into_bytes())
}
