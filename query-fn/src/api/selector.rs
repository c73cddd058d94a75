//! Selectors in parameters: matchers alone, no pipeline.

use logql::{Expr, SelectorError};
use schema::Matcher;

use crate::QueryError;

/// An optional selector: none where the parameter is empty. It must have a matcher that no absent label passes.
pub(super) fn optional(text: &str) -> Result<Vec<Matcher>, QueryError> {
    if text.is_empty() { Ok(Vec::new()) } else { required(text) }
}

/// A selector that must be there and must have a matcher that no absent label passes.
pub(super) fn required(text: &str) -> Result<Vec<Matcher>, QueryError> {
    match logql::parse(text)? {
        Expr::Log(log) if log.stages.is_empty() => Ok(log.matchers),
        _ => Err(refused(SelectorError::NotASelector)),
    }
}

fn refused(error: SelectorError) -> QueryError {
    match error {
        SelectorError::Parse(error) => QueryError::Parse(error),
        SelectorError::NotASelector => QueryError::Invalid { message: error.to_string() },
    }
}

/// The selectors of `series`: any number, none meaning every stream. `{}` is allowed only alone.
/// Selectors that absent labels pass are allowed.
pub(super) fn groups<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<Vec<Matcher>>, QueryError> {
    let mut texts: Vec<&str> = texts.collect();
    texts.sort_unstable();
    texts.dedup();
    if texts.iter().all(|text| matches!(*text, "" | "{}")) && texts.len() <= 1 {
        return Ok(Vec::new());
    }
    let mut groups = Vec::with_capacity(texts.len());
    for text in texts {
        let matchers = logql::parse_selector(text).map_err(refused)?;
        if matchers.is_empty() {
            return Err(QueryError::Parameter { message: format!("0 matchers in group: {text}") });
        }
        groups.push(matchers);
    }
    Ok(groups)
}
