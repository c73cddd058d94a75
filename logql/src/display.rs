//! The tree as one line of LogQL: what Loki prints for a query, wherever that text reads back as the same query.
//! Where it does not, this prints what does: sizes that Loki rounds (`1.0kB` for `1KiB`), `vector` arguments with more than six decimals,
//! literals that are not numbers, `group_left` after `ignoring ()`, labels outside ASCII.
//! Must not know: line breaks (see `pretty`).

use std::fmt::{self, Display, Formatter};

use schema::Matcher;
use schema::quote::quote;

use crate::ast::{
    BinaryExpr, Expr, Extraction, FieldMatch, GroupSide, Grouping, LabelFilter, LabelFormatValue, LabelReplace, LineFilter, LineOperand, LogExpr, LogRange,
    LogfmtFlags, MatchOn, MetricExpr, Number, RangeAggregation, Stage, Unwrap, VectorAggregation, VectorMatching,
};
use crate::bytes::{format_bytes, parse_bytes};
use crate::duration::{format_go, format_prometheus};
use crate::number::format_float;
use crate::printed_regex::prints_raw;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(log) => log.fmt(f),
            Self::Metric(metric) => metric.fmt(f),
        }
    }
}

impl Display for LogExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, matcher) in self.matchers.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            write_matcher(f, matcher)?;
        }
        f.write_str("}")?;
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineFilter(filter) => filter.fmt(f),
            Self::Logfmt { flags, extractions } => {
                let LogfmtFlags { strict, keep_empty } = flags;
                f.write_str("| logfmt")?;
                f.write_str(if *strict { " --strict" } else { "" })?;
                f.write_str(if *keep_empty { " --keep-empty" } else { "" })?;
                write_extractions(f, extractions)
            }
            Self::Json { extractions } => {
                f.write_str("| json")?;
                write_extractions(f, extractions)
            }
            Self::Regexp(pattern) => write!(f, "| regexp {}", quote(pattern)),
            Self::Pattern(pattern) => write!(f, "| pattern {}", quote(pattern)),
            Self::Unpack => f.write_str("| unpack"),
            Self::LabelFilter(filter) => write!(f, "| {filter}"),
            Self::LineFormat(template) => write!(f, "| line_format {}", quote(template)),
            Self::LabelFormat(formats) => {
                f.write_str("| label_format ")?;
                for (index, format) in formats.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    match &format.value {
                        LabelFormatValue::Rename(source) => write!(f, "{comma}{}={source}", Name(&format.name))?,
                        LabelFormatValue::Template(template) => write!(f, "{comma}{}={}", Name(&format.name), quote(template))?,
                    }
                }
                Ok(())
            }
            Self::Decolorize => f.write_str("| decolorize"),
            Self::Drop(fields) => {
                f.write_str("| drop ")?;
                write_list(f, ",", fields)
            }
            Self::Keep(fields) => {
                f.write_str("| keep ")?;
                write_list(f, ",", fields)
            }
        }
    }
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.op.as_str())?;
        write_list(f, " or ", &self.operands)
    }
}

impl Display for LineOperand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quote(text)),
            Self::Ip(pattern) => write!(f, "ip({})", quote(pattern)),
        }
    }
}

impl Display for FieldMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Matcher(matcher) => write_matcher(f, matcher),
        }
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matcher(matcher) if matcher.op() == schema::MatchOp::Regex && prints_raw(matcher.value()) => {
                write!(f, "{}=~`{}`", Name(matcher.name()), matcher.value())
            }
            Self::Matcher(matcher) => write_matcher(f, matcher),
            Self::Ip { name, negated, pattern } => write!(f, "{}{}ip({})", Name(name), if *negated { "!=" } else { "=" }, quote(pattern)),
            Self::Compare { name, op, value } => write!(f, "{}{}{value}", Name(name), op.as_str()),
            Self::And(left, right) => write!(f, "( {left} , {right} )"),
            Self::Or(left, right) => write!(f, "( {left} or {right} )"),
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            // `-0` would read back as a duration.
            Self::Plain(value) if *value == 0.0 && value.is_sign_negative() => f.write_str("-0.0"),
            Self::Plain(value) => write!(f, "{value}"),
            Self::Duration(nanos) => f.write_str(&format_go(*nanos)),
            // `0B` would read as the start of a binary number.
            Self::Bytes(0) => f.write_str("0kB"),
            Self::Bytes(bytes) => {
                let rounded = format_bytes(*bytes).replace(' ', "");
                // Loki reads no exabytes.
                let reads_back = parse_bytes(&rounded) == Ok(*bytes) && !rounded.ends_with("EB");
                if reads_back { f.write_str(&rounded) } else { write!(f, "{bytes}B") }
            }
        }
    }
}

impl Display for MetricExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::Vector(vector) => vector.fmt(f),
            Self::Binary(binary) => binary.fmt(f),
            Self::Literal(value) => f.write_str(&literal_text(*value)),
            Self::LabelReplace(replace) => replace.fmt(f),
            Self::VectorLiteral(value) => {
                let fixed = format!("{value:.6}");
                if fixed.parse() == Ok(*value) { write!(f, "vector({fixed})") } else { write!(f, "vector({value})") }
            }
        }
    }
}

/// A literal that reads back: infinities and NaN, which only folding makes, as the arithmetic that folds to them.
pub(crate) fn literal_text(value: f64) -> String {
    if value.is_nan() {
        return "(0 / 0)".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "(1e+308 * 10)" } else { "(-1e+308 * 10)" }.to_owned();
    }
    // `-0` would read back as a duration.
    if value == 0.0 && value.is_sign_negative() { "-0.0".to_owned() } else { format_float(value) }
}

impl Display for RangeAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.op.as_str())?;
        if let Some(parameter) = self.parameter {
            write!(f, "{parameter},")?;
        }
        write!(f, "{})", self.range)?;
        match &self.grouping {
            Some(grouping) => write!(f, " {grouping}"),
            None => Ok(()),
        }
    }
}

impl Display for LogRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.log.fmt(f)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
        }
        write!(f, "[{}]", format_prometheus(self.range))?;
        match self.offset {
            Some(offset) => write!(f, " offset {}", format_go(offset)),
            None => Ok(()),
        }
    }
}

impl Display for Unwrap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.conversion.as_str() {
            Some(conversion) => write!(f, "| unwrap {conversion}({})", self.label)?,
            None => write!(f, "| unwrap {}", self.label)?,
        }
        self.filters.iter().try_for_each(|filter| write!(f, " | {filter}"))
    }
}

impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind.as_str(), self.labels.join(","))
    }
}

impl Display for VectorAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.as_str())?;
        if let Some(grouping) = &self.grouping {
            write!(f, " {grouping}")?;
        }
        f.write_str("(")?;
        if let Some(parameter) = self.parameter {
            write!(f, "{parameter},")?;
        }
        write!(f, "{})", self.inner)
    }
}

impl Display for BinaryExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({} {} {})", self.left, operator_text(self, ","), self.right)
    }
}

/// The operator with its modifiers, labels joined by `separator`. As Loki prints it: a blank ends it when labels are given without a group.
pub(crate) fn operator_text(binary: &BinaryExpr, separator: &str) -> String {
    let mut text = binary.op.as_str().to_owned();
    if binary.return_bool {
        text.push_str(" bool");
    }
    if let Some(VectorMatching { on, group }) = &binary.matching {
        let (word, labels) = match on {
            MatchOn::On(labels) => ("on", labels),
            MatchOn::Ignoring(labels) => ("ignoring", labels),
        };
        text.push_str(&format!(" {word} ({}) ", labels.join(separator)));
        let (side, include) = match group {
            None => return text,
            Some(GroupSide::Left(include)) => ("group_left", include),
            Some(GroupSide::Right(include)) => ("group_right", include),
        };
        text.push_str(side);
        // Without the empty list, a parenthesis that opens the right operand would be read as the list.
        if include.is_empty() && starts_with_parenthesis(&binary.right) {
            text.push_str(" ()");
        } else if !include.is_empty() {
            text.push_str(&format!(" ({})", include.join(separator)));
        }
    }
    text
}

fn starts_with_parenthesis(expr: &MetricExpr) -> bool {
    match expr {
        MetricExpr::Binary(_) => true,
        MetricExpr::Literal(value) => !value.is_finite(),
        MetricExpr::Range(_) | MetricExpr::Vector(_) | MetricExpr::LabelReplace(_) | MetricExpr::VectorLiteral(_) => false,
    }
}

impl Display for LabelReplace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { inner, destination, replacement, source, pattern, regex: _ } = self;
        write!(f, "label_replace({inner},{},{},{},{})", quote(destination), quote(replacement), quote(source), quote(pattern))
    }
}

fn write_extractions(f: &mut Formatter<'_>, extractions: &[Extraction]) -> fmt::Result {
    for (index, extraction) in extractions.iter().enumerate() {
        write!(f, "{}{}={}", if index == 0 { " " } else { "," }, Name(&extraction.name), quote(&extraction.expression))?;
    }
    Ok(())
}

/// A name before an operator. As in Loki, a character that means nothing is a name, so `!` can be one: what follows must not become
/// an operator with it.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        f.write_str(if self.0.ends_with('!') { " " } else { "" })
    }
}

fn write_matcher(f: &mut Formatter<'_>, matcher: &Matcher) -> fmt::Result {
    write!(f, "{}{}{}", Name(matcher.name()), matcher.op().as_str(), quote(matcher.value()))
}

fn write_list<T: Display>(f: &mut Formatter<'_>, separator: &str, items: &[T]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}
