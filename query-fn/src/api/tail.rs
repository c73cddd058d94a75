//! The parameters of a tail, with Loki's order of checks and texts (spec/http-api.md section 5).

use std::time::Duration;

use http::HeaderMap;
use logql::Expr;
use logql::ast::{LineFilter, LineFilterOp, LineOperand, Stage};
use schema::{TenantSet, TimeRange};

use super::form::Form;
use super::params::{self, RangeParameters};
use super::query::label_encoding;
use super::{Api, limits, only_tenant};
use crate::QueryError;
use crate::engine::{Direction, before};
use crate::tail::{Tail, TailRequest};

/// Seconds (Loki's `maxDelayForInTailing`).
const MAX_DELAY: i64 = 5;

impl Api {
    /// Reads what a tail is asked for: `path`, `query` and `headers` as they were sent. What Loki refuses with 400 before the connection becomes a WebSocket is refused
    /// here; what it says on the WebSocket, in its close frame, is an error of [`Self::tail`].
    pub fn tail_request(&self, path: &str, query: &str, headers: &HeaderMap, tenants: &TenantSet) -> Result<TailRequest, QueryError> {
        let tenant = only_tenant(tenants, "a tail")?.clone();
        let form = Form::of_url(query)?;
        let mut expr = logql::parse(form.get("query"))?;
        let pattern = form.get("regexp");
        if let Expr::Log(log) = &mut expr
            && !pattern.is_empty()
        {
            log.stages.push(Stage::LineFilter(LineFilter { op: LineFilterOp::Regex, operands: vec![LineOperand::Text(pattern.to_owned())] }));
        }
        let limit = params::limit(&form)?;
        let range = params::bounds(&form, self.shared.env.now())?;
        let delay = params::integer(form.get("delay_for"))?.unwrap_or(0);
        if !(0..=MAX_DELAY).contains(&delay) {
            return Err(QueryError::Parameter { message: format!("delay_for can't be greater than {MAX_DELAY}") });
        }
        Ok(TailRequest {
            expr,
            start: range.start,
            limit,
            delay: Duration::from_secs(delay.unsigned_abs()),
            encoding: label_encoding(headers),
            legacy: path.starts_with("/api/prom/"),
            most: self.shared.limits.limits_of(&tenant).max_concurrent_tail_requests,
            tenant,
        })
    }

    /// Begins a tail. Errors: more lines or a longer history than a query may ask for, and those of [`crate::tail::Tails::open`].
    pub async fn tail(&self, request: TailRequest) -> Result<Tail, QueryError> {
        self.shared.refusals.counted(self.open_tail(request).await)
    }

    async fn open_tail(&self, mut request: TailRequest) -> Result<Tail, QueryError> {
        let now = self.shared.env.now();
        let limits = self.shared.limits.limits_of(&request.tenant);
        limits::check_expression(&request.expr, &limits)?;
        if let Some(lookback) = limits.max_query_lookback {
            request.start = request.start.max(before(now, lookback));
        }
        let history = RangeParameters {
            query: String::new(),
            range: TimeRange::new(request.start, now.max(request.start)),
            limit: request.limit,
            direction: Direction::Backward,
            step: 1,
            interval: 0,
        };
        history.check_limits(true, &limits)?;
        self.shared.tails.open(request).await
    }
}

#[cfg(test)]
mod tests {
    use schema::{QueryLimits, TenantId, Timestamp};
    use store::{Env, ObjectClient};

    use super::*;

    fn request(query: &str) -> Result<TailRequest, QueryError> {
        let env = Env::fixed(Timestamp(7_200_000_000_000));
        let api = Api::new(ObjectClient::open("memory:", &env).unwrap(), env, QueryLimits::default(), 1 << 20);
        api.tail_request("/loki/api/v1/tail", query, &HeaderMap::new(), &TenantId::default_tenant().into())
    }

    #[test]
    fn defaults_are_lokis() {
        let tail = request("query=%7Ba%3D%22b%22%7D").unwrap();
        assert_eq!((tail.limit, tail.start, tail.delay), (100, Timestamp(3_600_000_000_000), Duration::ZERO));
    }

    #[test]
    fn what_is_wrong_is_told_before_the_connection_is_a_websocket() {
        let told = |query: &str| request(query).unwrap_err().to_string();
        assert!(told("").starts_with("parse error"), "{}", told(""));
        assert!(told("query=%7Ba%3D").starts_with("parse error at line 1"), "{}", told("query=%7Ba%3D"));
        for (query, text) in [
            ("&limit=0", "limit must be a positive value"),
            ("&limit=x", r#"strconv.Atoi: parsing "x": invalid syntax"#),
            ("&start=x", r#"could not parse 'start' parameter: strconv.ParseInt: parsing "x": invalid syntax"#),
            ("&delay_for=6", "delay_for can't be greater than 5"),
            ("&delay_for=-1", "delay_for can't be greater than 5"),
            ("&delay_for=x", r#"strconv.Atoi: parsing "x": invalid syntax"#),
        ] {
            assert_eq!(told(&format!("query=%7Ba%3D%22b%22%7D{query}")), text);
        }
        assert_eq!(request("query=%7Ba%3D%22b%22%7D&delay_for=5").unwrap().delay, Duration::from_secs(5));
    }

    #[test]
    fn a_metric_query_is_let_through_to_the_websocket() {
        assert!(request("query=rate(%7Ba%3D%22b%22%7D%5B1m%5D)").is_ok());
    }
}
