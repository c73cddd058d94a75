//! Go's text/template as far as `line_format` and `label_format` can reach it (spec/logql.md 3.9).
//! lex: text to tokens; parse: tokens to a tree; eval: a tree and a row's labels to text; value: what expressions yield;
//! functions: what templates may call; printf and layout: Go's formatting verbs and reference-time layouts.
//! Must not know: stages, label sets, Arrow.
//! Bounded: nesting, steps and output of one evaluation have limits, so that no template can hang or fill the memory.

mod lex;
mod parse;
mod value;
mod compare;
mod printf;
mod layout;
mod functions;
mod eval;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub(crate) use functions::expand;
use parse::Node;

/// Why a template cannot be used. The text is Go's where Go has the error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}: {message}")]
pub(crate) struct TemplateError {
    pub(crate) name: &'static str,
    /// 1-based line inside the template.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// What a template reads of a row.
pub(crate) trait Fields {
    /// The value of a label; `None` where the row has none, which prints as nothing.
    fn get(&self, name: &str) -> Option<Cow<'_, str>>;
    /// All labels in name order, for `{{.}}`.
    fn all(&self) -> Vec<(String, String)>;
    /// `__line__`
    fn line(&self) -> Cow<'_, str>;
    /// `__timestamp__`, nanoseconds since the epoch.
    fn timestamp(&self) -> i64;
    /// `now`, nanoseconds since the epoch.
    fn now(&self) -> i64;
}

/// A parsed template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    name: &'static str,
    nodes: Vec<Node>,
}

impl Template {
    /// Parses `text`; `name` is what error texts call it: `line` or `label`.
    pub(crate) fn parse(name: &'static str, text: &str) -> Result<Self, TemplateError> {
        Ok(Self { name, nodes: parse::parse(name, text)? })
    }

    /// Appends the template's output for one row. On an error `out` holds what was written before it.
    pub(crate) fn render(&self, fields: &dyn Fields, out: &mut String) -> Result<(), String> {
        eval::render(self.name, &self.nodes, fields, out)
    }

    /// The labels that the template names.
    pub(crate) fn field_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        parse::field_names(&self.nodes, &mut names);
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The label that the whole template stands for, if it is nothing but `{{.label}}`.
    pub(crate) fn single_field(&self) -> Option<&str> {
        parse::single_field(&self.nodes)
    }

    /// Whether the outcome depends on the line or the clock, not on labels alone.
    pub(crate) fn reads_more_than_labels(&self) -> bool {
        parse::calls_any(&self.nodes, &["__line__", "__timestamp__", "now"])
    }
}
