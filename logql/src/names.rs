//! What LogQL calls its functions and operators.

use crate::ast::{BinaryOp, CompareOp, GroupingKind, LogExpr, RangeOp, Stage, UnwrapConversion, VectorOp};

impl RangeOp {
    /// Every function over a log range.
    pub const ALL: [Self; 15] = [
        Self::CountOverTime,
        Self::Rate,
        Self::RateCounter,
        Self::BytesOverTime,
        Self::BytesRate,
        Self::AvgOverTime,
        Self::SumOverTime,
        Self::MinOverTime,
        Self::MaxOverTime,
        Self::StdvarOverTime,
        Self::StddevOverTime,
        Self::QuantileOverTime,
        Self::FirstOverTime,
        Self::LastOverTime,
        Self::AbsentOverTime,
    ];

    /// As LogQL writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CountOverTime => "count_over_time",
            Self::Rate => "rate",
            Self::RateCounter => "rate_counter",
            Self::BytesOverTime => "bytes_over_time",
            Self::BytesRate => "bytes_rate",
            Self::AvgOverTime => "avg_over_time",
            Self::SumOverTime => "sum_over_time",
            Self::MinOverTime => "min_over_time",
            Self::MaxOverTime => "max_over_time",
            Self::StdvarOverTime => "stdvar_over_time",
            Self::StddevOverTime => "stddev_over_time",
            Self::QuantileOverTime => "quantile_over_time",
            Self::FirstOverTime => "first_over_time",
            Self::LastOverTime => "last_over_time",
            Self::AbsentOverTime => "absent_over_time",
        }
    }

    /// The function that LogQL writes as `name` (lower case).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == name)
    }

    /// Whether `by` and `without` may follow it.
    pub const fn allows_grouping(self) -> bool {
        matches!(
            self,
            Self::AvgOverTime
                | Self::StddevOverTime
                | Self::StdvarOverTime
                | Self::QuantileOverTime
                | Self::MaxOverTime
                | Self::MinOverTime
                | Self::FirstOverTime
                | Self::LastOverTime
        )
    }

    /// Whether it can read values of a label.
    pub const fn allows_unwrap(self) -> bool {
        !matches!(self, Self::CountOverTime | Self::BytesOverTime | Self::BytesRate)
    }

    /// Whether it can do without the values of a label.
    pub const fn allows_lines(self) -> bool {
        matches!(self, Self::CountOverTime | Self::BytesOverTime | Self::BytesRate | Self::Rate | Self::AbsentOverTime)
    }
}

impl VectorOp {
    /// Every aggregation over series.
    pub const ALL: [Self; 12] = [
        Self::Sum,
        Self::Avg,
        Self::Count,
        Self::Max,
        Self::Min,
        Self::Stddev,
        Self::Stdvar,
        Self::Bottomk,
        Self::Topk,
        Self::Sort,
        Self::SortDesc,
        Self::ApproxTopk,
    ];

    /// As LogQL writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Max => "max",
            Self::Min => "min",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Bottomk => "bottomk",
            Self::Topk => "topk",
            Self::Sort => "sort",
            Self::SortDesc => "sort_desc",
            Self::ApproxTopk => "approx_topk",
        }
    }

    /// The aggregation that LogQL writes as `name` (lower case).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == name)
    }

    /// Whether it needs a `k`; all others take no parameter.
    pub const fn needs_parameter(self) -> bool {
        matches!(self, Self::Topk | Self::Bottomk | Self::ApproxTopk)
    }
}

impl BinaryOp {
    /// As LogQL writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Unless => "unless",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "^",
        }
    }

    /// How tightly it binds: 1 for `or` to 6 for `^`.
    pub const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Equal | Self::NotEqual | Self::Greater | Self::GreaterOrEqual | Self::Less | Self::LessOrEqual => 3,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Modulo => 5,
            Self::Power => 6,
        }
    }

    /// `left op right`: a number for arithmetic (division and remainder by zero are NaN, as in Loki), whether it holds as 1 or 0
    /// for comparisons. NaN for set operations, which no two numbers have: the parser refuses them, plans never ask.
    #[expect(clippy::float_cmp, reason = "the query asks for exact equality")]
    pub fn apply(self, left: f64, right: f64) -> f64 {
        let truth = |holds: bool| f64::from(u8::from(holds));
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide | Self::Modulo if right == 0.0 => f64::NAN,
            Self::Divide => left / right,
            Self::Modulo => left % right,
            Self::Power => left.powf(right),
            Self::Equal => truth(left == right),
            Self::NotEqual => truth(left != right),
            Self::Greater => truth(left > right),
            Self::GreaterOrEqual => truth(left >= right),
            Self::Less => truth(left < right),
            Self::LessOrEqual => truth(left <= right),
            Self::And | Self::Or | Self::Unless => f64::NAN,
        }
    }

    /// `and`, `or`, `unless`.
    pub const fn is_set_operation(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// `== != > >= < <=`
    pub const fn is_comparison(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual | Self::Greater | Self::GreaterOrEqual | Self::Less | Self::LessOrEqual)
    }
}

impl CompareOp {
    /// As Loki prints it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }
}

impl GroupingKind {
    /// As LogQL writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::By => "by",
            Self::Without => "without",
        }
    }
}

impl UnwrapConversion {
    /// The function around the label; `None` when there is none.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bytes => Some("bytes"),
            Self::Duration => Some("duration"),
            Self::DurationSeconds => Some("duration_seconds"),
        }
    }
}

impl LogExpr {
    /// A log query.
    pub const fn new(matchers: Vec<schema::Matcher>, stages: Vec<Stage>) -> Self {
        Self { matchers, stages }
    }
}
