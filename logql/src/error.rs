//! Why a text is not a query. Clients of Loki see these texts, so they are Loki's, column rules included.
//! Must not know: HTTP. Every parse error is the client's fault.

use std::fmt;

use crate::duration::DurationError;
use crate::go_regex::GoRegexError;
use crate::number::FloatError;
use crate::token::{Position, Span};

/// A query that cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// The part of the query that is wrong; `None` when Loki does not say where, as for errors found after parsing.
    pub span: Option<Span>,
    /// What the text prints as line and column; `None` prints none.
    pub position: Option<Position>,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(at) if at != Position::default() => write!(f, "parse error at line {}, col {}: {}", at.line, at.column, self.kind),
            _ => write!(f, "parse error : {}", self.kind),
        }
    }
}

impl std::error::Error for ParseError {}

impl From<ParseErrorKind> for ParseError {
    fn from(kind: ParseErrorKind) -> Self {
        Self { kind, span: None, position: None }
    }
}

/// What can be wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// A token that the grammar does not have at this place.
    #[error("syntax error: unexpected {found}{}", Expecting(expected))]
    Syntax {
        /// The token's name in the grammar, `$end` at the end.
        found: &'static str,
        /// What could stand here; empty when that is more than four tokens.
        expected: &'static [&'static str],
    },
    /// Text that is no token.
    #[error(transparent)]
    Lexical(#[from] LexicalError),
    /// Queries are limited in length.
    #[error("input size too long ({bytes} > {})", crate::MAX_QUERY_BYTES)]
    TooLong {
        /// Length of the query.
        bytes: usize,
    },
    /// Parentheses, operators or label filters nest deeper than any query needs. Loki has no such limit; without one a hostile query could overflow
    /// the stack.
    #[error("query nests deeper than {} levels", crate::MAX_DEPTH)]
    TooDeep,
    /// A selector that could match every stream.
    #[error(
        "queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will"
    )]
    EmptyCompatible,
    /// A pattern of a matcher.
    #[error(transparent)]
    Regex(#[from] GoRegexError),
    /// A pattern of `regexp`.
    #[error("invalid regexp parser: {0}")]
    RegexpStage(#[source] RegexpStageError),
    /// A pattern of `pattern`.
    #[error("invalid pattern parser: {0}")]
    PatternStage(#[source] PatternError),
    /// A pattern of `label_replace`.
    #[error("invalid regex in label_replace: {0}")]
    LabelReplace(#[source] GoRegexError),
    /// A number that is not a float.
    #[error("unable to parse literal as a float: {0}")]
    Literal(#[source] FloatError),
    /// The argument of `vector`.
    #[error("unable to parse vectorExpr as a float: {0}")]
    Vector(#[source] FloatError),
    /// A parameter of a function that takes none.
    #[error("parameter {parameter} not supported for operation {op}")]
    RangeParameter {
        /// As written.
        parameter: String,
        /// The function.
        op: &'static str,
    },
    /// The quantile is not a float.
    #[error("invalid parameter for operation {op}: {source}")]
    Quantile {
        /// The function.
        op: &'static str,
        /// Why not.
        #[source]
        source: FloatError,
    },
    /// A function that needs a parameter.
    #[error("parameter required for operation {op}")]
    ParameterRequired {
        /// The function.
        op: &'static str,
    },
    /// `k` is not an integer.
    #[error("invalid parameter {op}({parameter},")]
    VectorParameter {
        /// The function.
        op: &'static str,
        /// As written.
        parameter: String,
    },
    /// `k` is 0.
    #[error("invalid parameter (must be greater than 0) {op}({parameter}")]
    VectorParameterZero {
        /// The function.
        op: &'static str,
        /// As written.
        parameter: String,
    },
    /// A parameter of an aggregation that takes none.
    #[error("unsupported parameter for operation {op}({parameter},")]
    VectorParameterUnsupported {
        /// The function.
        op: &'static str,
        /// As written.
        parameter: String,
    },
    /// `by` or `without` on a function that does not group.
    #[error("grouping not allowed for {op} aggregation")]
    Grouping {
        /// The function.
        op: &'static str,
    },
    /// `by` or `without` on `sort` or `sort_desc`.
    #[error("sort and sort_desc doesn't allow grouping by ")]
    SortGrouping,
    /// `unwrap` under a function that counts lines or bytes.
    #[error("invalid aggregation {op} with unwrap")]
    WithUnwrap {
        /// The function.
        op: &'static str,
    },
    /// No `unwrap` under a function that needs values.
    #[error("invalid aggregation {op} without unwrap")]
    WithoutUnwrap {
        /// The function.
        op: &'static str,
    },
    /// A log query as an operand.
    #[error("unexpected type for {side} leg of binary operation ({op}): *syntax.{}", if *pipeline { "PipelineExpr" } else { "MatchersExpr" })]
    OperandType {
        /// Which operand.
        side: Side,
        /// The operator.
        op: &'static str,
        /// Whether the log query has a pipeline.
        pipeline: bool,
    },
    /// A number as an operand of `and`, `or`, `unless`.
    #[error("unexpected literal for {side} leg of logical/set binary operation ({op}): {value:.6}")]
    SetLiteral {
        /// Which operand.
        side: Side,
        /// The operator.
        op: &'static str,
        /// The number.
        value: Shown,
    },
}

/// Characters that form no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LexicalError {
    /// A string or character without its closing quote.
    #[error("literal not terminated")]
    OpenLiteral,
    /// `/*` without `*/`.
    #[error("comment not terminated")]
    OpenComment,
    /// `\q` and the like.
    #[error("invalid char escape")]
    Escape,
    /// `'ab'`
    #[error("invalid char literal")]
    Character,
    /// U+0000.
    #[error("invalid character NUL")]
    Nul,
    /// Escapes that spell no string.
    #[error("invalid syntax")]
    StringSyntax,
    /// Escapes that spell bytes outside UTF-8.
    #[error("invalid UTF-8 rune")]
    StringUtf8,
    /// A digit of another radix.
    #[error("invalid digit '{digit}' in {literal}")]
    Digit {
        /// The digit.
        digit: char,
        /// Which kind of number.
        literal: &'static str,
    },
    /// A number without digits.
    #[error("{literal} has no digits")]
    NoDigits {
        /// Which kind of number.
        literal: &'static str,
    },
    /// A point in a number of a radix that has none.
    #[error("invalid radix point in {literal}")]
    RadixPoint {
        /// Which kind of number.
        literal: &'static str,
    },
    /// A decimal exponent on another radix.
    #[error("'{letter}' exponent requires decimal mantissa")]
    Exponent {
        /// `e` or `E`.
        letter: char,
    },
    /// `1e`
    #[error("exponent has no digits")]
    EmptyExponent,
    /// A hexadecimal fraction without `p`.
    #[error("hexadecimal mantissa requires a 'p' exponent")]
    HexadecimalMantissa,
    /// A `_` that does not stand between digits.
    #[error("'_' must separate successive digits")]
    Separator,
    /// The text between brackets.
    #[error(transparent)]
    Range(#[from] DurationError),
    /// `[5m` without `]`.
    #[error("missing closing ']' in duration")]
    OpenRange,
}

/// Why a pattern of the `regexp` stage is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexpStageError {
    /// Not a regular expression.
    #[error(transparent)]
    Syntax(#[from] GoRegexError),
    /// Nothing to extract.
    #[error("at least one named capture must be supplied")]
    NoCapture,
    /// Two groups of one name.
    #[error("duplicate extracted label name '{name}'")]
    Duplicate {
        /// The name.
        name: String,
    },
}

/// Why a pattern of the `pattern` stage or of `|>` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing to extract.
    #[error("at least one capture is required")]
    NoCapture,
    /// Two captures without text between them.
    #[error("found consecutive capture '{captures}': invalid expression")]
    Consecutive {
        /// Both, as written.
        captures: String,
    },
    /// Two captures of one name.
    #[error("duplicate capture name ({name}): invalid expression")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A line filter has no use for names.
    #[error("named captures are not allowed: found '{capture}'")]
    Named {
        /// The capture, as written.
        capture: String,
    },
    /// The empty pattern, which the `pattern` stage does not accept.
    #[error("parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL")]
    Empty,
}

/// An operand of a binary operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before the operator.
    Left,
    /// After the operator.
    Right,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "left",
            Self::Right => "right",
        })
    }
}

/// A float inside an error, equal when it has the same bits.
#[derive(Clone, Copy, Debug)]
pub struct Shown(pub f64);

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Shown {}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_finite() { write!(f, "{:.6}", self.0) } else { f.write_str(&crate::number::format_float(self.0)) }
    }
}

struct Expecting<'a>(&'a [&'static str]);

impl fmt::Display for Expecting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, token) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { ", expecting " } else { " or " })?;
            f.write_str(token)?;
        }
        Ok(())
    }
}

/// Why a text is not a selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Not a query at all.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A query with a pipeline, or a metric query.
    #[error("only label matchers are supported")]
    NotASelector,
}

/// The line of `query` that `error` is in, with a caret under the place and the text of the error below, for terminals.
pub fn render_error(query: &str, error: &ParseError) -> String {
    let Some(span) = error.span else { return error.to_string() };
    let start = span.start.min(query.len());
    let before = query.get(..start).unwrap_or(query);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = query.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    // A tab stays a tab, so that the caret lines up whatever the terminal makes of tabs.
    let indent: String = before.get(line_start..).unwrap_or_default().chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let width = query.get(start..span.end).map_or(1, |text| text.lines().next().unwrap_or_default().chars().count().max(1));
    format!("{line}\n{indent}{}\n{error}", "^".repeat(width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_token() {
        let query = "{app=\"x\"}\n\t| ünï > nope";
        let error = crate::parse(query).unwrap_err();
        assert_eq!(render_error(query, &error), "\t| ünï > nope\n\t        ^^^^\nparse error at line 2, col 10: syntax error: unexpected IDENTIFIER");
        let error = crate::parse("{}").unwrap_err();
        assert_eq!(render_error("{}", &error), error.to_string());
        let error = crate::parse("{a=\"b\"} |").unwrap_err();
        assert_eq!(render_error("{a=\"b\"} |", &error), "{a=\"b\"} |\n         ^\nparse error at line 1, col 10: syntax error: unexpected $end");
    }
}
