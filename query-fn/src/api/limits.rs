//! What a query may say at all, before it is planned, with Loki's texts.

use logql::Expr;
use logql::ast::MetricExpr;
use logql::duration::format_prometheus;
use schema::{Matcher, QueryLimits};

use crate::QueryError;

/// Checks every selector and every range in brackets.
pub(super) fn check_expression(expr: &Expr, limits: &QueryLimits) -> Result<(), QueryError> {
    match expr {
        Expr::Log(log) => check_selector(&log.matchers, limits),
        Expr::Metric(metric) => check_metric(metric, limits),
    }
}

fn check_metric(metric: &MetricExpr, limits: &QueryLimits) -> Result<(), QueryError> {
    match metric {
        MetricExpr::Range(aggregation) => {
            check_selector(&aggregation.range.log.matchers, limits)?;
            check_range(aggregation.range.range, limits)
        }
        MetricExpr::Vector(vector) => check_metric(&vector.inner, limits),
        MetricExpr::Binary(binary) => {
            check_metric(&binary.left, limits)?;
            check_metric(&binary.right, limits)
        }
        MetricExpr::LabelReplace(replace) => check_metric(&replace.inner, limits),
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => Ok(()),
    }
}

fn check_range(range: i64, limits: &QueryLimits) -> Result<(), QueryError> {
    let Some(most) = limits.max_query_range else { return Ok(()) };
    let most = i64::try_from(most.as_nanos()).unwrap_or(i64::MAX);
    if range <= most {
        return Ok(());
    }
    let message = format!("[interval] value exceeds limit: [{}] > [{}]", format_prometheus(range), format_prometheus(most));
    Err(QueryError::Limit { limit: "max_query_range", message })
}

fn check_selector(matchers: &[Matcher], limits: &QueryLimits) -> Result<(), QueryError> {
    let most = limits.max_streams_matchers_per_query;
    if most > 0 && matchers.len() > most {
        let message = format!("max streams matchers per query exceeded, matchers-count > limit ({} > {most})", matchers.len());
        return Err(QueryError::Limit { limit: "max_streams_matchers_per_query", message });
    }
    let present: Vec<&str> = matchers.iter().map(Matcher::name).collect();
    let missing: Vec<&str> = limits.required_labels.iter().map(String::as_str).filter(|name| !present.contains(name)).collect();
    if !missing.is_empty() {
        let (missing, present) = (missing.join(", "), present.join(", "));
        let message = format!("stream selector is missing required matchers [{missing}], labels present in the query were [{present}]");
        return Err(QueryError::Limit { limit: "required_labels", message });
    }
    let least = limits.required_number_label_matchers;
    if present.len() < least {
        let message = format!(
            "stream selector has less label matchers than required: (present: [{}], number_present: {}, required_number_label_matchers: {least})",
            present.join(", "),
            present.len()
        );
        return Err(QueryError::Limit { limit: "required_number_label_matchers", message });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(query: &str, limits: &QueryLimits) -> Option<(&'static str, String)> {
        check_expression(&logql::parse(query).unwrap(), limits).err().map(|error| (error.limit().unwrap(), error.to_string()))
    }

    #[test]
    fn ranges_in_brackets_have_a_longest() {
        let limits = QueryLimits { max_query_range: Some(Duration::from_secs(3600)), ..QueryLimits::default() };
        let text = "[interval] value exceeds limit: [2h] > [1h]";
        for query in [
            r#"rate({a="b"}[2h])"#,
            r#"sum(rate({a="b"}[1h])) / sum(rate({a="b"}[2h]))"#,
            r#"label_replace(topk(1, rate({a="b"}[2h])), "x", "$1", "a", "(.*)")"#,
        ] {
            assert_eq!(refused(query, &limits), Some(("max_query_range", text.to_owned())), "{query}");
        }
        assert_eq!(refused(r#"rate({a="b"}[1h])"#, &limits), None);
        assert_eq!(refused(r#"rate({a="b"}[99h])"#, &QueryLimits::default()), None);
    }

    #[test]
    fn selectors_can_be_asked_for_labels() {
        let limits = QueryLimits { required_labels: vec!["app".to_owned(), "env".to_owned()], ..QueryLimits::default() };
        let text = "stream selector is missing required matchers [env], labels present in the query were [app, pod]";
        assert_eq!(refused(r#"{app="x", pod="1"}"#, &limits), Some(("required_labels", text.to_owned())));
        assert_eq!(refused(r#"sum(rate({env="x", app="1"}[1m]))"#, &limits), None);
        assert!(refused(r#"sum(rate({env="x", app="1"}[1m])) + sum(rate({env="x"}[1m]))"#, &limits).is_some());
        let limits = QueryLimits { required_number_label_matchers: 2, ..QueryLimits::default() };
        let text = "stream selector has less label matchers than required: (present: [app], number_present: 1, required_number_label_matchers: 2)";
        assert_eq!(refused(r#"{app="x"}"#, &limits), Some(("required_number_label_matchers", text.to_owned())));
        assert_eq!(refused(r#"{app="x", env="y"}"#, &limits), None);
    }

    #[test]
    fn selectors_have_a_most() {
        let limits = QueryLimits { max_streams_matchers_per_query: 1, ..QueryLimits::default() };
        let text = "max streams matchers per query exceeded, matchers-count > limit (2 > 1)";
        assert_eq!(refused(r#"{app="x", env="y"}"#, &limits), Some(("max_streams_matchers_per_query", text.to_owned())));
    }
}
