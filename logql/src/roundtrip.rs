//! Properties of reading and printing: what is printed reads back as the same tree, and no text makes the parser panic or overflow the stack.

use proptest::collection::vec;
use proptest::prelude::*;
use schema::{MatchOp, Matcher};

use crate::ast::{
    BinaryExpr, BinaryOp, CompareOp, Expr, Extraction, FieldMatch, GroupSide, Grouping, GroupingKind, LabelFilter, LabelFormat, LabelFormatValue, LabelReplace,
    LineFilter, LineFilterOp, LineOperand, LogExpr, LogRange, LogfmtFlags, MatchOn, MetricExpr, Number, RangeAggregation, RangeOp, Stage, Unwrap,
    UnwrapConversion, VectorAggregation, VectorMatching, VectorOp,
};

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_][a-z0-9_]{0,6}x_", Just("duration".to_owned()), Just("sum".to_owned()), Just("ünï".to_owned()), Just("bytes".to_owned())]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,12}", "\\PC{0,8}", Just("a\nb\t\"\\`\u{0}".to_owned())]
}

fn regex() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,4}", "[a-z]{1,3}\\.\\*", "[a-z]\\|[a-z]{2}", Just("a`b".to_owned()), Just(r"\d+[^x]".to_owned()), Just("(?i)foo|bar".to_owned())]
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let exact = (name(), prop_oneof![Just(MatchOp::Equal), Just(MatchOp::NotEqual)], text());
    let pattern = (name(), prop_oneof![Just(MatchOp::Regex), Just(MatchOp::NotRegex)], regex());
    prop_oneof![exact.prop_map(|(n, op, v)| Matcher::new(n, op, v).unwrap()), pattern.prop_map(|(n, op, v)| Matcher::new(n, op, v).unwrap())]
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        prop_oneof![Just(0.0), Just(-0.0), -1e6..1e6, Just(1e300), Just(-1.5e-9)].prop_map(Number::Plain),
        any::<i64>().prop_map(Number::Duration),
        (0_i64..100_000).prop_map(|seconds| Number::Duration(seconds * 1_000_000_000)),
        (0_u64..1 << 53).prop_map(Number::Bytes),
        (0_u64..1000).prop_map(|kilo| Number::Bytes(kilo * 1000)),
    ]
}

fn label_filter() -> impl Strategy<Value = LabelFilter> {
    let compare = prop_oneof![
        Just(CompareOp::Equal),
        Just(CompareOp::NotEqual),
        Just(CompareOp::Greater),
        Just(CompareOp::GreaterOrEqual),
        Just(CompareOp::Less),
        Just(CompareOp::LessOrEqual)
    ];
    let leaf = prop_oneof![
        matcher().prop_map(LabelFilter::Matcher),
        (name(), any::<bool>(), text()).prop_map(|(name, negated, pattern)| LabelFilter::Ip { name, negated, pattern }),
        (name(), compare, number()).prop_map(|(name, op, value)| LabelFilter::Compare { name, op, value }),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        (any::<bool>(), inner.clone(), inner).prop_map(|(both, left, right)| {
            let (left, right) = (Box::new(left), Box::new(right));
            if both { LabelFilter::And(left, right) } else { LabelFilter::Or(left, right) }
        })
    })
}

fn line_filter() -> impl Strategy<Value = Stage> {
    let operand = || prop_oneof![text().prop_map(LineOperand::Text), text().prop_map(LineOperand::Ip)];
    let positive = prop_oneof![Just(LineFilterOp::Contains), Just(LineFilterOp::Regex), Just(LineFilterOp::Pattern)];
    let negative = prop_oneof![Just(LineFilterOp::NotContains), Just(LineFilterOp::NotRegex), Just(LineFilterOp::NotPattern)];
    prop_oneof![
        (positive, vec(operand(), 1..4)).prop_map(|(op, operands)| Stage::LineFilter(LineFilter { op, operands })),
        (negative, operand()).prop_map(|(op, operand)| Stage::LineFilter(LineFilter { op, operands: vec![operand] })),
    ]
}

fn stage() -> impl Strategy<Value = Stage> {
    let extractions = || vec((name(), text()).prop_map(|(name, expression)| Extraction { name, expression }), 0..3);
    let field = || prop_oneof![name().prop_map(FieldMatch::Name), matcher().prop_map(FieldMatch::Matcher)];
    let format = (name(), prop_oneof![name().prop_map(LabelFormatValue::Rename), text().prop_map(LabelFormatValue::Template)])
        .prop_map(|(name, value)| LabelFormat { name, value });
    prop_oneof![
        line_filter(),
        (any::<bool>(), any::<bool>(), extractions())
            .prop_map(|(strict, keep_empty, extractions)| Stage::Logfmt { flags: LogfmtFlags { strict, keep_empty }, extractions }),
        extractions().prop_map(|extractions| Stage::Json { extractions }),
        Just(Stage::Regexp(r"(?P<a>\d+) (?P<b>.*)".to_owned())),
        Just(Stage::Pattern("<a> - <_> \"<b>\"".to_owned())),
        Just(Stage::Unpack),
        Just(Stage::Decolorize),
        label_filter().prop_map(Stage::LabelFilter),
        text().prop_map(Stage::LineFormat),
        vec(format, 1..3).prop_map(Stage::LabelFormat),
        vec(field(), 1..3).prop_map(Stage::Drop),
        vec(field(), 1..3).prop_map(Stage::Keep),
    ]
}

fn log() -> impl Strategy<Value = LogExpr> {
    (vec(matcher(), 0..3), vec(stage(), 0..4)).prop_map(|(mut matchers, mut stages)| {
        matchers.push(Matcher::new("app", MatchOp::Equal, "x").unwrap());
        // No text has this tree: `| drop a != "x"` is a matcher.
        stages.dedup_by(|later, earlier| ends_with_name(earlier) && may_continue_name(later));
        LogExpr { matchers, stages }
    })
}

fn ends_with_name(stage: &Stage) -> bool {
    matches!(stage, Stage::Drop(fields) | Stage::Keep(fields) if matches!(fields.last(), Some(FieldMatch::Name(_))))
}

fn may_continue_name(stage: &Stage) -> bool {
    matches!(stage, Stage::LineFilter(filter) if matches!(filter.op, LineFilterOp::NotContains | LineFilterOp::NotRegex))
}

fn grouping() -> impl Strategy<Value = Grouping> {
    prop_oneof![
        (Just(GroupingKind::By), vec(name(), 1..3)).prop_map(|(kind, labels)| Grouping { kind, labels }),
        (Just(GroupingKind::Without), vec(name(), 0..3)).prop_map(|(kind, labels)| Grouping { kind, labels }),
    ]
}

fn range() -> impl Strategy<Value = MetricExpr> {
    let conversion =
        prop_oneof![Just(UnwrapConversion::Plain), Just(UnwrapConversion::Bytes), Just(UnwrapConversion::Duration), Just(UnwrapConversion::DurationSeconds)];
    let unwrap = (name(), conversion, vec(label_filter(), 0..3)).prop_map(|(label, conversion, filters)| Unwrap { label, conversion, filters });
    let offset = proptest::option::of(prop_oneof![1_i64..i64::MAX, -100_000_i64..-1]);
    let op = proptest::sample::select(RangeOp::ALL.to_vec());
    (op, log(), 0_i64..1 << 40, offset, unwrap, proptest::option::of(grouping()), any::<bool>()).prop_map(
        |(op, log, millis, offset, unwrap, grouping, values)| {
            let unwrap = (op.allows_unwrap() && (values || !op.allows_lines())).then_some(unwrap);
            MetricExpr::Range(RangeAggregation {
                op,
                parameter: (op == RangeOp::QuantileOverTime).then_some(0.95),
                range: LogRange { log, range: millis * 1_000_000, offset, unwrap },
                grouping: grouping.filter(|_| op.allows_grouping()),
            })
        },
    )
}

fn matching() -> impl Strategy<Value = Option<VectorMatching>> {
    let on = prop_oneof![vec(name(), 0..3).prop_map(MatchOn::On), vec(name(), 0..3).prop_map(MatchOn::Ignoring)];
    let group = prop_oneof![Just(None), vec(name(), 0..3).prop_map(|n| Some(GroupSide::Left(n))), vec(name(), 0..3).prop_map(|n| Some(GroupSide::Right(n)))];
    proptest::option::of((on, group).prop_map(|(on, group)| VectorMatching { on, group }))
        .prop_map(|matching| matching.filter(|m| m.group.is_some() || m.on != MatchOn::Ignoring(Vec::new())))
}

fn binary_op() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::{Add, And, Divide, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Modulo, Multiply, NotEqual, Or, Power, Subtract, Unless};
    proptest::sample::select(vec![Or, And, Unless, Equal, NotEqual, Greater, GreaterOrEqual, Less, LessOrEqual, Add, Subtract, Multiply, Divide, Modulo, Power])
}

fn metric() -> impl Strategy<Value = MetricExpr> {
    let leaf = prop_oneof![
        4 => range(),
        1 => prop_oneof![Just(0.0), 0.0..1e6, Just(1e-9), Just(1e30)].prop_map(MetricExpr::VectorLiteral),
    ];
    leaf.prop_recursive(4, 10, 2, |inner| {
        prop_oneof![
            (proptest::sample::select(VectorOp::ALL.to_vec()), 1_u64..100, proptest::option::of(grouping()), inner.clone()).prop_map(
                |(op, k, grouping, inner)| {
                    let ungrouped = matches!(op, VectorOp::Sort | VectorOp::SortDesc | VectorOp::ApproxTopk);
                    let parameter = op.needs_parameter().then_some(k);
                    MetricExpr::Vector(VectorAggregation { op, parameter, grouping: grouping.filter(|_| !ungrouped), inner: Box::new(inner) })
                }
            ),
            (inner.clone(), text()).prop_map(|(inner, replacement)| {
                MetricExpr::LabelReplace(Box::new(LabelReplace {
                    inner,
                    destination: "d".to_owned(),
                    replacement,
                    source: "s".to_owned(),
                    pattern: "(.*)x".to_owned(),
                    regex: regex::Regex::new("^(?:(.*)x)$").unwrap(),
                }))
            }),
            (binary_op(), any::<bool>(), matching(), inner.clone(), inner.clone())
                .prop_map(|(op, return_bool, matching, left, right)| { MetricExpr::Binary(Box::new(BinaryExpr { op, return_bool, matching, left, right })) }),
            (prop_oneof![Just(-0.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY), -1e3..1e3, Just(1e21)], any::<bool>(), inner).prop_map(
                |(value, first, inner)| {
                    let literal = MetricExpr::Literal(value);
                    let (left, right) = if first { (literal, inner) } else { (inner, literal) };
                    MetricExpr::Binary(Box::new(BinaryExpr { op: BinaryOp::Divide, return_bool: false, matching: None, left, right }))
                }
            ),
        ]
    })
}

fn reads_back(expr: &Expr) -> Result<(), TestCaseError> {
    for printed in [expr.to_string(), crate::format_query(expr)] {
        let again = crate::parse(&printed).map_err(|error| TestCaseError::fail(format!("{error}\n{printed}")))?;
        prop_assert_eq!(&again, expr, "{}", printed);
        prop_assert_eq!(again.to_string(), expr.to_string());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn printed_log_queries_read_back(log in log()) {
        reads_back(&Expr::Log(log))?;
    }

    #[test]
    fn printed_metric_queries_read_back(metric in metric()) {
        reads_back(&Expr::Metric(metric))?;
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}|[{}()\\[\\]a-z0-9=~!|\"`,.<>+* \\n-]{0,60}") {
        let _ = crate::parse(&text).map(|expr| crate::format_query(&expr));
        let _ = crate::parse_selector(&text);
        let _ = crate::go_regex::compile(&text);
    }

    #[test]
    fn a_translated_pattern_compiles(pattern in "[a-c(){}\\[\\]|*+?.^$\\\\dwsbQE0-9,:<>P-]{0,12}") {
        if let Ok(translated) = crate::go_regex::translate(&pattern) {
            let parsed = regex_syntax::parse(&translated);
            let repeated_empty = |text: &str| text.contains("repetition operator missing expression");
            prop_assert!(parsed.is_ok() || repeated_empty(&parsed.unwrap_err().to_string()), "{pattern} -> {translated}");
        }
    }
}

#[test]
fn deep_nesting_is_an_error() {
    let parentheses = |depth: usize| format!("{}vector(1){}", "(".repeat(depth), ")".repeat(depth));
    assert!(crate::parse(&parentheses(crate::MAX_DEPTH)).is_ok());
    let chain = vec!["vector(1)"; crate::MAX_DEPTH].join("+");
    let expr = crate::parse(&chain).unwrap();
    assert_eq!(crate::parse(&crate::format_query(&expr)).unwrap(), expr);
    assert_eq!(crate::parse(&expr.to_string()).unwrap(), expr);
    let filters = format!("{{a=\"b\"}} | {}", vec!["a=1"; crate::MAX_DEPTH].join(","));
    let expr = crate::parse(&filters).unwrap();
    assert_eq!(crate::parse(&expr.to_string()).unwrap(), expr);
    let sums = "sum(".repeat(30_000);
    for query in [
        parentheses(60_000),
        parentheses(crate::MAX_DEPTH + 1),
        vec!["vector(1)"; 10_000].join("+"),
        vec!["vector(1)"; 10_000].join("^"),
        format!("{{a=\"b\"}} | {}", vec!["a=1"; 20_000].join(",")),
        format!("{{a=\"b\"}} | {}", vec!["a=1"; 10_000].join(" and ")),
        format!("{{a=\"b\"}} | {}a=1", "(".repeat(90_000)),
        format!("rate({}", "(".repeat(90_000)),
        sums,
    ] {
        let error = crate::parse(&query).unwrap_err();
        assert!(error.to_string().ends_with("query nests deeper than 128 levels"), "{error}");
    }
}

#[test]
fn long_queries_are_refused() {
    let query = format!("{{a=\"{}\"}}", "x".repeat(crate::MAX_QUERY_BYTES));
    assert_eq!(crate::parse(&query).unwrap_err().to_string(), format!("parse error : input size too long ({} > 131072)", query.len()));
}

#[test]
fn selectors_are_told_from_queries() {
    assert_eq!(crate::parse_selector("{}").unwrap(), []);
    assert_eq!(crate::parse_selector("({a!=\"b\"})").unwrap().len(), 1);
    for query in ["{a=\"b\"} |= \"x\"", "vector(1)", "topk(rate({a=\"b\"}[1m]))"] {
        assert_eq!(crate::parse_selector(query).unwrap_err().to_string(), "only label matchers are supported", "{query}");
    }
    assert!(crate::parse_without_validation("{a=~\".*\"} |= \"x\"").is_ok());
    assert!(crate::parse_without_validation("sum_over_time({a=~\".*\"}[5m])").is_err());
}
