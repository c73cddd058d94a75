//! Syntax of a line filter to what searches for it.

use logql::ast::{LineFilter, LineFilterOp, LineOperand};
use schema::quote::quote;

use super::ip::IpMatcher;
use super::operand::Operand;
use super::pattern::LinePattern;
use super::{CompiledFilter, regex};
use crate::QueryError;
use crate::logical::line_filter_text;

/// Compiles one filter.
pub(super) fn filter(filter: &LineFilter) -> Result<CompiledFilter, QueryError> {
    let negative = filter.op.is_negative();
    let mut any = filter.operands.iter().map(|operand| compile_operand(filter, operand)).collect::<Result<Vec<_>, _>>()?;
    // As in Loki, an operand that matches everything says nothing beside others: `|= "" or "a"` is `|= "a"`.
    if !negative && any.iter().any(|operand| !operand.matches_all()) {
        any.retain(|operand| !operand.matches_all());
    }
    Ok(CompiledFilter { negative, any })
}

fn compile_operand(filter: &LineFilter, operand: &LineOperand) -> Result<Operand, QueryError> {
    match (operand, filter.op) {
        (LineOperand::Text(text), LineFilterOp::Contains | LineFilterOp::NotContains) => Ok(Operand::literal(text.as_bytes())),
        (LineOperand::Text(text), LineFilterOp::Regex | LineFilterOp::NotRegex) => regex::compile(text),
        (LineOperand::Text(text), LineFilterOp::Pattern | LineFilterOp::NotPattern) => LinePattern::parse(text).map(Operand::Pattern),
        (LineOperand::Ip(pattern), LineFilterOp::Contains | LineFilterOp::NotContains) => {
            IpMatcher::parse(pattern).map(Operand::Ip).ok_or_else(|| invalid(filter, &format!("ip: invalid pattern: {}", quote(pattern))))
        }
        (LineOperand::Ip(_), _) => Err(invalid(filter, "ip: invalid operation")),
    }
}

fn invalid(filter: &LineFilter, why: &str) -> QueryError {
    QueryError::Invalid { message: format!("stage '{}' : {why}", line_filter_text(filter)) }
}
