//! LogQL text.

/// Any text is a query or an error; what parses prints as text that parses to the same tree.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match logql::parse(text) {
        Ok(expression) => {
            let printed = expression.to_string();
            let again = logql::parse(&printed).unwrap_or_else(|error| panic!("{text:?} prints as {printed:?}, which does not parse: {error}"));
            // By their debug text: a folded 1/0 is NaN, which is not equal to itself.
            assert_eq!(format!("{again:?}"), format!("{expression:?}"), "{text:?} prints as {printed:?}");
            let pretty = logql::format_query(&expression);
            assert!(logql::parse(&pretty).is_ok(), "{text:?} is formatted as {pretty:?}, which does not parse");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
