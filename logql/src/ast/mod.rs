//! The syntax tree. Nothing is desugared here, so that printing a tree gives the query back, but for what Loki itself folds while parsing: literal
//! arithmetic, negative or-chains (one filter per operand), `by ()` of vector aggregations, `ignoring ()` and `offset 0s`.

mod log;
mod metric;

pub use log::{
    CompareOp, Extraction, FieldMatch, LabelFilter, LabelFormat, LabelFormatValue, LineFilter, LineFilterOp, LineOperand, LogExpr, LogfmtFlags, Number, Stage,
};
pub use metric::{
    BinaryExpr, BinaryOp, GroupSide, Grouping, GroupingKind, LabelReplace, LogRange, MatchOn, MetricExpr, RangeAggregation, RangeOp, Unwrap, UnwrapConversion,
    VectorAggregation, VectorMatching, VectorOp,
};

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A query for lines.
    Log(LogExpr),
    /// A query for samples.
    Metric(MetricExpr),
}
