//! Log queries: a stream selector and a pipeline.

use schema::Matcher;

/// `{app="x"} |= "y" | json`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogExpr {
    /// The selector's matchers in the order written.
    pub matchers: Vec<Matcher>,
    /// The pipeline in the order written.
    pub stages: Vec<Stage>,
}

/// One step of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// `|= "x" or "y"`
    LineFilter(LineFilter),
    /// `| logfmt [--strict] [--keep-empty] [a="k", b]`
    Logfmt {
        /// Which flags were given.
        flags: LogfmtFlags,
        /// Empty: every key becomes a label.
        extractions: Vec<Extraction>,
    },
    /// `| json [a="expr", b]`
    Json {
        /// Empty: every member becomes a label.
        extractions: Vec<Extraction>,
    },
    /// `| regexp "re"`
    Regexp(String),
    /// `| pattern "<a> <_>"`
    Pattern(String),
    /// `| unpack`
    Unpack,
    /// `| status >= 500 and level = "error"`
    LabelFilter(LabelFilter),
    /// `| line_format "template"`
    LineFormat(String),
    /// `| label_format a=b, c="template"`
    LabelFormat(Vec<LabelFormat>),
    /// `| decolorize`
    Decolorize,
    /// `| drop a, b="x"`
    Drop(Vec<FieldMatch>),
    /// `| keep a, b=~"x.*"`
    Keep(Vec<FieldMatch>),
}

/// Flags of the `logfmt` parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogfmtFlags {
    /// `--strict`: stop at the first bad token and set `__error__`.
    pub strict: bool,
    /// `--keep-empty`: keep keys without a value.
    pub keep_empty: bool,
}

/// `name="expression"`; a bare `name` means `name="name"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extraction {
    /// The label to set.
    pub name: String,
    /// A JSON path or a logfmt key.
    pub expression: String,
}

/// A line filter with its or-chain: `op first or second or ...`. All operands share the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFilter {
    /// The operator.
    pub op: LineFilterOp,
    /// At least one. The parser gives negative operators exactly one: `!= "a" or "b"` is neither a nor b, so it becomes two filters.
    pub operands: Vec<LineOperand>,
}

/// `|= != |~ !~ |> !>`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineFilterOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Regex,
    /// `!~`
    NotRegex,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

impl LineFilterOp {
    /// As LogQL writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "|=",
            Self::NotContains => "!=",
            Self::Regex => "|~",
            Self::NotRegex => "!~",
            Self::Pattern => "|>",
            Self::NotPattern => "!>",
        }
    }

    /// Whether matching lines are dropped.
    pub const fn is_negative(self) -> bool {
        matches!(self, Self::NotContains | Self::NotRegex | Self::NotPattern)
    }
}

/// What a line filter looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineOperand {
    /// A literal, regex or pattern, by the operator.
    Text(String),
    /// `ip("10.0.0.0/8")`
    Ip(String),
}

/// A predicate on labels inside a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelFilter {
    /// `name = "text"`, `!=`, `=~`, `!~`
    Matcher(schema::Matcher),
    /// `name = ip("...")` or, negated, `!=`
    Ip {
        /// The label.
        name: String,
        /// `!=` instead of `=`.
        negated: bool,
        /// An address, CIDR or range, as written.
        pattern: String,
    },
    /// `name >= 5s`, `name = 10KB`, `name < 1.5`
    Compare {
        /// The label.
        name: String,
        /// The operator.
        op: CompareOp,
        /// What it is compared with.
        value: Number,
    },
    /// Both.
    And(Box<LabelFilter>, Box<LabelFilter>),
    /// Either.
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// Comparison of a label with a number, duration or size. `=` and `==` are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `=` or `==`
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
}

/// A literal in a label filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A plain number.
    Plain(f64),
    /// Nanoseconds.
    Duration(i64),
    /// Bytes.
    Bytes(u64),
}

/// One assignment of `label_format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFormat {
    /// The label to set.
    pub name: String,
    /// Where its value comes from.
    pub value: LabelFormatValue,
}

/// The right-hand side of a `label_format` assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFormatValue {
    /// `a=b`: move `b` to `a`.
    Rename(String),
    /// `a="template"`
    Template(String),
}

/// An operand of `drop` and `keep`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldMatch {
    /// By name alone.
    Name(String),
    /// By name and value.
    Matcher(schema::Matcher),
}
