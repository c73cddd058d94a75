use bytes::Bytes;
use http::{HeaderMap, Method};

use super::*;

const SECOND: i64 = NANOS_PER_SECOND;
/// 2026-11-01T00:00:00Z
const NOW: Timestamp = Timestamp(1_793_491_200 * SECOND);

fn form(query: &str) -> Form {
    Form::parse(&Method::GET, &HeaderMap::new(), query, &Bytes::new()).unwrap()
}

fn range(query: &str) -> Result<RangeParameters, String> {
    RangeParameters::parse(&form(query), NOW, &QueryLimits::default()).map_err(|error| error.to_string())
}

#[test]
fn times_have_four_spellings() {
    for (text, nanos) in [
        ("1793491200", NOW.0),
        ("-1", -SECOND),
        ("0", 0),
        ("1793491200000000000", NOW.0),
        ("17934912001", 17_934_912_001),
        ("1793491200.5", NOW.0 + 500_000_000),
        ("1793491200.1234", NOW.0 + 123_000_000),
        ("1793491200.9996", NOW.0 + SECOND),
        ("-1.5", -1_500_000_000),
        ("4000000000", 4_000_000_000 * SECOND),
        ("9999999999", i64::MAX),
        ("2026-11-01T00:00:00Z", NOW.0),
        ("2026-11-01T00:00:00.000Z", NOW.0),
        ("2026-11-01T00:00:00.000000001Z", NOW.0 + 1),
        ("2026-11-01T00:00:00.0000000019Z", NOW.0 + 1),
        ("2026-11-01T01:30:00+01:30", NOW.0),
        ("2026-10-31T19:00:00-05:00", NOW.0),
        ("1969-12-31T23:59:59Z", -SECOND),
        ("2400-01-01T00:00:00Z", i64::MAX),
    ] {
        assert_eq!(parse_time(text, Timestamp(7)), Ok(Timestamp(nanos)), "{text}");
    }
    assert_eq!(parse_time("", Timestamp(7)), Ok(Timestamp(7)));
}

#[test]
fn what_is_no_time_is_refused_with_the_text_of_an_integer() {
    for text in [
        "x",
        "1.2.3",
        "0x10",
        "1e9",
        " 5",
        "5 ",
        "now",
        "2026-11-01",
        "2026-11-01T00:00:00",
        "2026-11-01 00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-01T24:00:00Z",
        "2026-11-01T00:00:60Z",
        "2026-11-01T00:00:00.Z",
        "2026-11-01T00:00:00+0130",
        "2026-11-1T00:00:00Z",
        "26-11-01T00:00:00Z",
        "2026-11-01T00:00:00z",
    ] {
        assert_eq!(parse_time(text, NOW), Err(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax")), "{text}");
    }
    assert_eq!(parse_time("99999999999999999999", NOW), Err("strconv.ParseInt: parsing \"99999999999999999999\": value out of range".to_owned()));
}

#[test]
fn absent_parameters_have_defaults() {
    let defaults = range("query=q").unwrap();
    let hour = 3600 * SECOND;
    assert_eq!(
        defaults,
        RangeParameters {
            query: "q".to_owned(),
            range: TimeRange::new(Timestamp(NOW.0 - hour), NOW),
            limit: 100,
            direction: Direction::Backward,
            step: 14 * SECOND,
            interval: 0,
        }
    );
    assert_eq!(range("since=2h").unwrap().range.start, Timestamp(NOW.0 - 2 * hour));
    assert_eq!(range("since=2h&start=1793491000").unwrap().range.start, Timestamp(1_793_491_000 * SECOND));
    assert_eq!(range("end=1793487600").unwrap().range.start, Timestamp(NOW.0 - 2 * hour));
    assert_eq!(range("end=1793494800").unwrap().range.start, Timestamp(NOW.0 - hour), "an end in the future does not move the start");
    assert_eq!(range("start=10&end=10").unwrap().step, SECOND);
    assert_eq!(range("start=0&end=7200").unwrap().step, 28 * SECOND);
    assert_eq!(range("direction=FORWARD").unwrap().direction, Direction::Forward);
    assert_eq!(range("step=1m&interval=0.5").unwrap().interval, SECOND / 2);
}

#[test]
fn the_resolution_may_be_reached_but_not_passed() {
    assert!(range("start=0&end=11000&step=1").is_ok());
    assert!(range("start=0&end=11001&step=1").is_err());
    assert!(range("start=0&end=11000.5&step=1").is_ok(), "the division is rounded down");
}

#[test]
fn limits_are_those_of_the_tenant() {
    let limits = QueryLimits { max_entries_limit_per_query: 10, max_points_per_series: 50, ..QueryLimits::default() };
    let parse = |query: &str| RangeParameters::parse(&form(query), NOW, &limits);
    let over = parse("limit=11&step=100").unwrap();
    assert_eq!(
        over.check_limits(true, &limits).unwrap_err().to_string(),
        "max entries limit per query exceeded, limit > max_entries_limit_per_query (11 > 10)"
    );
    assert!(over.check_limits(false, &limits).is_ok(), "metric queries do not return entries");
    assert!(parse("start=0&end=100&step=1").unwrap_err().to_string().starts_with("exceeded maximum resolution of 50 points"));
    let unlimited = QueryLimits { max_query_length: None, ..QueryLimits::default() };
    assert!(range("start=0&step=1y").unwrap().check_limits(true, &unlimited).is_ok());
    assert!(range("start=1790895600&end=1793491200").unwrap().check_limits(true, &QueryLimits::default()).is_ok(), "721 hours are allowed");
}
