//! Tokens of LogQL: kinds, their names in Loki's error texts, and where they stand.
//! Must not know: how characters become tokens, or which token may follow which.

use crate::ast::{RangeOp, VectorOp};

/// A part of a query, in bytes: `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// Where an error is, as Loki counts. Columns are characters from 1. The line is 0 for tokens that Loki's scanner reads character by
/// character (ranges, durations, sizes, flags and operators of two characters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Position {
    /// From 1, or 0: see above.
    pub line: u32,
    /// From 1; 0 only in an empty query.
    pub column: u32,
}

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) value: TokenValue,
    pub(crate) span: Span,
    pub(crate) position: Position,
}

/// What a token carries besides its kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenValue {
    None,
    /// The name of an identifier, the digits of a number, the content of a string.
    Text(String),
    /// Nanoseconds.
    Duration(i64),
    Bytes(u64),
}

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    End,
    Bytes,
    Identifier,
    Str,
    Number,
    StrictFlag,
    KeepEmptyFlag,
    Duration,
    Range,
    Equal,
    RegexMatch,
    RegexNotMatch,
    NotPattern,
    OpenBrace,
    CloseBrace,
    CloseBracket,
    Comma,
    Dot,
    PipeMatch,
    PipeExact,
    PipePattern,
    OpenParen,
    CloseParen,
    By,
    Without,
    RangeOp(RangeOp),
    VectorOp(VectorOp),
    Bool,
    Json,
    Regexp,
    Logfmt,
    Pipe,
    LineFormat,
    LabelFormat,
    Unwrap,
    BytesConversion,
    DurationConversion,
    DurationSecondsConversion,
    Vector,
    LabelReplace,
    Unpack,
    Offset,
    Pattern,
    Ip,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Decolorize,
    Drop,
    Keep,
    Or,
    And,
    Unless,
    CompareEqual,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
}

impl TokenKind {
    /// As Loki's error texts name it: words and operators as written, classes of tokens and functions in capitals.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::End => "$end",
            Self::Bytes => "BYTES",
            Self::Identifier => "IDENTIFIER",
            Self::Str => "STRING",
            Self::Number => "NUMBER",
            Self::StrictFlag | Self::KeepEmptyFlag => "FUNCTION_FLAG",
            Self::Duration => "DURATION",
            Self::Range => "RANGE",
            Self::RangeOp(op) => range_op_name(op),
            Self::VectorOp(op) => vector_op_name(op),
            Self::BytesConversion => "BYTES_CONV",
            Self::DurationConversion => "DURATION_CONV",
            Self::DurationSecondsConversion => "DURATION_SECONDS_CONV",
            Self::Vector => "VECTOR",
            other => other.text().unwrap_or("IDENTIFIER"),
        }
    }

    /// The one spelling of a keyword or an operator.
    fn text(self) -> Option<&'static str> {
        KEYWORDS.iter().chain(OPERATORS).find(|(_, kind)| *kind == self).map(|(text, _)| *text)
    }

    /// The keyword, reserved everywhere, that `word` (in lower case) is.
    pub(crate) fn keyword(word: &str) -> Option<Self> {
        KEYWORDS.iter().find(|(text, _)| *text == word).map(|(_, kind)| *kind)
    }

    /// The operator or punctuation that `text` is.
    pub(crate) fn operator(text: &str) -> Option<Self> {
        OPERATORS.iter().find(|(known, _)| *known == text).map(|(_, kind)| *kind)
    }

    /// The function that `word` (in lower case) is where a parenthesis or a grouping follows; elsewhere the word is an identifier.
    pub(crate) fn function(word: &str) -> Option<Self> {
        if let Some(op) = RangeOp::from_name(word) {
            return Some(Self::RangeOp(op));
        }
        if let Some(op) = VectorOp::from_name(word) {
            return Some(Self::VectorOp(op));
        }
        match word {
            "vector" => Some(Self::Vector),
            "label_replace" => Some(Self::LabelReplace),
            "bytes" => Some(Self::BytesConversion),
            "duration" => Some(Self::DurationConversion),
            "duration_seconds" => Some(Self::DurationSecondsConversion),
            "ip" => Some(Self::Ip),
            _ => None,
        }
    }
}

const KEYWORDS: &[(&str, TokenKind)] = &[
    ("by", TokenKind::By),
    ("without", TokenKind::Without),
    ("bool", TokenKind::Bool),
    ("unwrap", TokenKind::Unwrap),
    ("offset", TokenKind::Offset),
    ("on", TokenKind::On),
    ("ignoring", TokenKind::Ignoring),
    ("group_left", TokenKind::GroupLeft),
    ("group_right", TokenKind::GroupRight),
    ("or", TokenKind::Or),
    ("and", TokenKind::And),
    ("unless", TokenKind::Unless),
    ("json", TokenKind::Json),
    ("regexp", TokenKind::Regexp),
    ("logfmt", TokenKind::Logfmt),
    ("unpack", TokenKind::Unpack),
    ("pattern", TokenKind::Pattern),
    ("label_format", TokenKind::LabelFormat),
    ("line_format", TokenKind::LineFormat),
    ("decolorize", TokenKind::Decolorize),
    ("drop", TokenKind::Drop),
    ("keep", TokenKind::Keep),
];

const OPERATORS: &[(&str, TokenKind)] = &[
    (",", TokenKind::Comma),
    (".", TokenKind::Dot),
    ("{", TokenKind::OpenBrace),
    ("}", TokenKind::CloseBrace),
    ("=", TokenKind::Equal),
    ("!=", TokenKind::NotEqual),
    ("=~", TokenKind::RegexMatch),
    ("!~", TokenKind::RegexNotMatch),
    ("!>", TokenKind::NotPattern),
    ("|=", TokenKind::PipeExact),
    ("|~", TokenKind::PipeMatch),
    ("|>", TokenKind::PipePattern),
    ("|", TokenKind::Pipe),
    ("(", TokenKind::OpenParen),
    (")", TokenKind::CloseParen),
    ("]", TokenKind::CloseBracket),
    ("+", TokenKind::Add),
    ("-", TokenKind::Subtract),
    ("*", TokenKind::Multiply),
    ("/", TokenKind::Divide),
    ("%", TokenKind::Modulo),
    ("^", TokenKind::Power),
    ("==", TokenKind::CompareEqual),
    (">", TokenKind::Greater),
    (">=", TokenKind::GreaterOrEqual),
    ("<", TokenKind::Less),
    ("<=", TokenKind::LessOrEqual),
    // Functions that error texts show as written.
    ("label_replace", TokenKind::LabelReplace),
    ("ip", TokenKind::Ip),
];

fn range_op_name(op: RangeOp) -> &'static str {
    match op {
        RangeOp::CountOverTime => "COUNT_OVER_TIME",
        RangeOp::Rate => "RATE",
        RangeOp::RateCounter => "RATE_COUNTER",
        RangeOp::BytesOverTime => "BYTES_OVER_TIME",
        RangeOp::BytesRate => "BYTES_RATE",
        RangeOp::AvgOverTime => "AVG_OVER_TIME",
        RangeOp::SumOverTime => "SUM_OVER_TIME",
        RangeOp::MinOverTime => "MIN_OVER_TIME",
        RangeOp::MaxOverTime => "MAX_OVER_TIME",
        RangeOp::StdvarOverTime => "STDVAR_OVER_TIME",
        RangeOp::StddevOverTime => "STDDEV_OVER_TIME",
        RangeOp::QuantileOverTime => "QUANTILE_OVER_TIME",
        RangeOp::FirstOverTime => "FIRST_OVER_TIME",
        RangeOp::LastOverTime => "LAST_OVER_TIME",
        RangeOp::AbsentOverTime => "ABSENT_OVER_TIME",
    }
}

fn vector_op_name(op: VectorOp) -> &'static str {
    match op {
        VectorOp::Sum => "SUM",
        VectorOp::Avg => "AVG",
        VectorOp::Count => "COUNT",
        VectorOp::Max => "MAX",
        VectorOp::Min => "MIN",
        VectorOp::Stddev => "STDDEV",
        VectorOp::Stdvar => "STDVAR",
        VectorOp::Bottomk => "BOTTOMK",
        VectorOp::Topk => "TOPK",
        VectorOp::Sort => "SORT",
        VectorOp::SortDesc => "SORT_DESC",
        VectorOp::ApproxTopk => "APPROX_TOPK",
    }
}
