use super::*;

/// Answers like a server: at most `limit` entries of `[start, end)` in direction order.
fn answer(all: &[(i64, u32)], pager: &Pager, limit: usize) -> Vec<Entry> {
    let mut inside: Vec<Entry> = all
        .iter()
        .filter(|(at, _)| pager.range.contains(Timestamp(*at)))
        .map(|(at, n)| Entry { timestamp: Timestamp(*at), labels: LabelSet::default(), line: n.to_string() })
        .collect();
    match pager.direction {
        Direction::Forward => inside.sort_by_key(|e| e.timestamp),
        Direction::Backward => inside.sort_by_key(|e| std::cmp::Reverse(e.timestamp)),
    }
    inside.truncate(limit);
    inside
}

fn walk(all: &[(i64, u32)], direction: Direction, left: usize, page: usize) -> Result<Vec<String>, TarnError> {
    let mut pager = Pager { range: TimeRange::new(Timestamp(0), Timestamp(1000)), direction, left, page, edge: HashSet::new() };
    let mut lines = Vec::new();
    while let Some(limit) = pager.next_limit() {
        let entries = answer(all, &pager, limit);
        lines.extend(pager.accept(entries, limit)?.into_iter().map(|e| e.line));
    }
    Ok(lines)
}

#[test]
fn every_entry_comes_once_in_both_directions_whatever_the_page() {
    // Timestamps 0, 0, 1, 1, 2, 2, ...: every page border falls inside a pair or between two.
    let all: Vec<(i64, u32)> = (0..50).map(|n| (i64::from(n / 2), n)).collect();
    for page in 3..12 {
        let forward = walk(&all, Direction::Forward, usize::MAX, page).unwrap();
        assert_eq!(forward, (0..50).map(|n| n.to_string()).collect::<Vec<_>>(), "page {page}");
        let mut backward = walk(&all, Direction::Backward, usize::MAX, page).unwrap();
        backward.sort_by_key(|n| n.parse::<u32>().unwrap());
        assert_eq!(backward, forward, "page {page}");
        assert_eq!(walk(&all, Direction::Forward, 7, page).unwrap(), ["0", "1", "2", "3", "4", "5", "6"], "page {page}");
    }
}

#[test]
fn a_timestamp_with_more_entries_than_a_page_grows_the_page() {
    let all: Vec<(i64, u32)> = (0..4000).map(|n| (5, n)).chain([(6, 4000)]).collect();
    assert_eq!(walk(&all, Direction::Forward, usize::MAX, 1000).unwrap().len(), 4001);
    let too_many: Vec<(i64, u32)> = (0..6000).map(|n| (5, n)).collect();
    assert!(matches!(walk(&too_many, Direction::Forward, usize::MAX, 1000), Err(TarnError::Paging { limit: LARGEST_PAGE, timestamp: 5 })));
}

#[test]
fn answers_of_every_type_are_read() {
    let streams =
        r#"{"status":"success","data":{"resultType":"streams","result":[{"stream":{"a":"b"},"values":[["1","x"]]}],"stats":{"summary":{}}},"warnings":["w"]}"#;
    let answer: Answer = serde_json::from_str(streams).unwrap();
    assert!(matches!(&answer.data.result, QueryData::Streams(s) if s[0].values[0] == ("1".to_owned(), "x".to_owned())));
    assert_eq!(answer.warnings, ["w"]);
    for text in [
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1.5,"2"]]}],"stats":{}}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"NaN"]}]}}"#,
        r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#,
    ] {
        assert!(serde_json::from_str::<Answer>(text).is_ok(), "{text}");
    }
}
