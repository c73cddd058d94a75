//! Metric queries.

use super::log::{LabelFilter, LogExpr};

/// An expression whose value is a vector of samples or a scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricExpr {
    /// `rate({app="x"}[5m])`
    Range(RangeAggregation),
    /// `sum by (app) (...)`
    Vector(VectorAggregation),
    /// `a / on (x) b`. Literal op literal is folded to a literal while parsing, as Loki does.
    Binary(Box<BinaryExpr>),
    /// `1.5`
    Literal(f64),
    /// `label_replace(v, "dst", "$1", "src", "re")`
    LabelReplace(Box<LabelReplace>),
    /// `vector(1)`
    VectorLiteral(f64),
}

/// `op(param, range) by (...)`
#[derive(Clone, Debug, PartialEq)]
pub struct RangeAggregation {
    /// The function.
    pub op: RangeOp,
    /// The quantile of `quantile_over_time`.
    pub parameter: Option<f64>,
    /// What it reads.
    pub range: LogRange,
    /// Only on the functions that allow it.
    pub grouping: Option<Grouping>,
}

/// `{app="x"} | json | unwrap y [5m] offset 1h`
#[derive(Clone, Debug, PartialEq)]
pub struct LogRange {
    /// Selector and pipeline.
    pub log: LogExpr,
    /// Width of the window in nanoseconds.
    pub range: i64,
    /// How far back the window lies, in nanoseconds; negative looks ahead. `None`: no `offset` was written.
    pub offset: Option<i64>,
    /// Where sample values come from; `None` counts lines or bytes.
    pub unwrap: Option<Unwrap>,
}

/// `| unwrap duration(latency) | latency > 1`
#[derive(Clone, Debug, PartialEq)]
pub struct Unwrap {
    /// The label that holds the value.
    pub label: String,
    /// How its text is read.
    pub conversion: UnwrapConversion,
    /// Label filters after the unwrap, in order.
    pub filters: Vec<LabelFilter>,
}

/// How `unwrap` reads a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnwrapConversion {
    /// As a number.
    Plain,
    /// `bytes(x)`
    Bytes,
    /// `duration(x)`: seconds.
    Duration,
    /// `duration_seconds(x)`: the same under its older name.
    DurationSeconds,
}

/// Functions over a log range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RangeOp {
    /// `count_over_time`
    CountOverTime,
    /// `rate`
    Rate,
    /// `rate_counter`
    RateCounter,
    /// `bytes_over_time`
    BytesOverTime,
    /// `bytes_rate`
    BytesRate,
    /// `avg_over_time`
    AvgOverTime,
    /// `sum_over_time`
    SumOverTime,
    /// `min_over_time`
    MinOverTime,
    /// `max_over_time`
    MaxOverTime,
    /// `stdvar_over_time`
    StdvarOverTime,
    /// `stddev_over_time`
    StddevOverTime,
    /// `quantile_over_time`
    QuantileOverTime,
    /// `first_over_time`
    FirstOverTime,
    /// `last_over_time`
    LastOverTime,
    /// `absent_over_time`
    AbsentOverTime,
}

/// `op by (a, b) (param, inner)`
#[derive(Clone, Debug, PartialEq)]
pub struct VectorAggregation {
    /// The function.
    pub op: VectorOp,
    /// `k` of topk, bottomk, approx_topk.
    pub parameter: Option<u64>,
    /// `None` is the same as `by ()`.
    pub grouping: Option<Grouping>,
    /// What it aggregates.
    pub inner: Box<MetricExpr>,
}

/// Functions over the series at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VectorOp {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `count`
    Count,
    /// `max`
    Max,
    /// `min`
    Min,
    /// `stddev`
    Stddev,
    /// `stdvar`
    Stdvar,
    /// `bottomk`
    Bottomk,
    /// `topk`
    Topk,
    /// `sort`
    Sort,
    /// `sort_desc`
    SortDesc,
    /// `approx_topk`
    ApproxTopk,
}

/// `by (a)` or `without (a)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grouping {
    /// Which of the two.
    pub kind: GroupingKind,
    /// Names in the order written; may be empty.
    pub labels: Vec<String>,
}

/// Whether the named labels are kept or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupingKind {
    /// `by`
    By,
    /// `without`
    Without,
}

/// `left op [bool] [on(...)] [group_left(...)] right`
#[derive(Clone, Debug, PartialEq)]
pub struct BinaryExpr {
    /// The operator.
    pub op: BinaryOp,
    /// `bool`: comparisons give 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How series pair up; `None`: by their whole label sets.
    pub matching: Option<VectorMatching>,
    /// Left operand.
    pub left: MetricExpr,
    /// Right operand.
    pub right: MetricExpr,
}

/// Operators, lowest precedence first: `or`, `and unless`, comparisons, `+ -`, `* / %`, `^`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `unless`
    Unless,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `^`, the only right-associative one
    Power,
}

/// `on (a) group_left (b)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorMatching {
    /// Which labels pair series up.
    pub on: MatchOn,
    /// Which side may have many series per match.
    pub group: Option<GroupSide>,
}

/// The labels that pair series up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchOn {
    /// `on (...)`: these labels.
    On(Vec<String>),
    /// `ignoring (...)`: all but these.
    Ignoring(Vec<String>),
}

/// The "many" side of a many-to-one match, and the labels taken from the "one" side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupSide {
    /// `group_left (...)`
    Left(Vec<String>),
    /// `group_right (...)`
    Right(Vec<String>),
}

/// `label_replace(inner, dst, replacement, src, regex)`
#[derive(Clone, Debug)]
pub struct LabelReplace {
    /// What it relabels.
    pub inner: MetricExpr,
    /// The label to set.
    pub destination: String,
    /// Text with `$1`, `${name}`.
    pub replacement: String,
    /// The label to read.
    pub source: String,
    /// The pattern as written; matched as `^(?:pattern)$`.
    pub pattern: String,
    /// The compiled pattern.
    pub regex: regex::Regex,
}

impl PartialEq for LabelReplace {
    fn eq(&self, other: &Self) -> bool {
        (&self.inner, &self.destination, &self.replacement, &self.source, &self.pattern)
            == (&other.inner, &other.destination, &other.replacement, &other.source, &other.pattern)
    }
}
