//! Which rows of which chunks a scan reads, in which order, and where the same stream lies in two chunks at the same time.
//! Pure: manifests in, work out.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use schema::time::bucket_bounds;
use schema::{LabelSet, StreamManifest, TimeRange};
use store::chunk::ChunkCache;
use store::snapshot::Snapshot;

use super::chunk_source::ChunkSource;
use super::hidden::{Deletes, HiddenRows};
use super::minute_counter::MinuteCounter;
use crate::logical::{Direction, EarlyStop};

/// A stream is cut into pieces of about so many rows, at minute boundaries.
const PIECE_ROWS: u64 = 32 << 10;
/// Pieces of a chunk are read together up to so many rows.
const UNIT_ROWS: u64 = 128 << 10;

/// Rows of one chunk that are read together.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// The chunk.
    pub(crate) chunk: ChunkSource,
    /// Place of the chunk among the chunks of the query: by earliest timestamp, then by name.
    pub(crate) ordinal: u64,
    /// In row order.
    pub(crate) pieces: Vec<Piece>,
}

/// Consecutive rows of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The stream.
    pub(crate) labels: LabelSet,
    /// Rows of the chunk.
    pub(crate) rows: Range<u64>,
    /// Rows that are earlier do not count.
    pub(crate) min: i64,
    /// Rows that are later do not count.
    pub(crate) max: i64,
    /// Closed time intervals in which another chunk may hold copies of these rows.
    pub(crate) overlaps: Vec<(i64, i64)>,
    /// Rows that must not be shown.
    pub(crate) hidden: Vec<Arc<HiddenRows>>,
}

impl Unit {
    pub(crate) fn min(&self) -> i64 {
        self.pieces.iter().map(|piece| piece.min).min().unwrap_or(i64::MAX)
    }

    pub(crate) fn max(&self) -> i64 {
        self.pieces.iter().map(|piece| piece.max).max().unwrap_or(i64::MIN)
    }

    pub(crate) fn rows(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.rows.end - piece.rows.start).sum()
    }

    /// The rows of the chunk, neighbouring pieces together.
    pub(super) fn selection(&self) -> Vec<Range<u64>> {
        let mut selection: Vec<Range<u64>> = Vec::new();
        for piece in &self.pieces {
            match selection.last_mut().filter(|range| range.end == piece.rows.start) {
                Some(range) => range.end = piece.rows.end,
                None => selection.push(piece.rows.clone()),
            }
        }
        selection
    }

    pub(crate) fn has_overlaps(&self) -> bool {
        self.pieces.iter().any(|piece| !piece.overlaps.is_empty())
    }
}

/// The work of a scan: what of `snapshot` may hold rows of its range that `deletes` do not hide, in the order in which it should be read.
/// Minutes that `counter` takes are counted there and not read.
pub(crate) fn units_of(
    snapshot: &Snapshot,
    deletes: &Deletes,
    cache: &ChunkCache,
    stop: Option<&EarlyStop>,
    mut counter: Option<&mut MinuteCounter>,
) -> Vec<Unit> {
    let overlaps = overlaps_of(snapshot);
    let mut units = Vec::new();
    for (ordinal, chunk) in (0u64..).zip(&snapshot.chunks) {
        let mut pieces = Vec::new();
        for stream in chunk.streams.iter().filter_map(|&index| chunk.manifest().streams.get(index)) {
            let shared = overlaps.get(&stream.labels).map_or(&[][..], Vec::as_slice);
            let hidden = deletes.in_stream(chunk, stream);
            let mut minutes = minutes_of(stream, &chunk.ranges);
            minutes.retain(|minute| !hidden.iter().any(|rows| rows.covers(minute.min, minute.max)));
            if let Some(mut counter) = counter.as_deref_mut().and_then(|counter| counter.of_stream(&stream.labels)) {
                minutes.retain(|minute| !counter.takes(minute, minute.touches(shared) || hidden.iter().any(|rows| rows.touches(minute.min, minute.max))));
            }
            pieces.extend(pieces_of(&stream.labels, minutes, stop, shared, &hidden));
        }
        let mut unit = Unit { chunk: ChunkSource::of(chunk, cache), ordinal, pieces: Vec::new() };
        for piece in pieces {
            if unit.rows() >= UNIT_ROWS {
                let next = Unit { pieces: Vec::new(), ..unit.clone() };
                units.push(std::mem::replace(&mut unit, next));
            }
            unit.pieces.push(piece);
        }
        if !unit.pieces.is_empty() {
            units.push(unit);
        }
    }
    match stop.map(|stop| stop.direction) {
        Some(Direction::Backward) => units.sort_by_key(|unit| std::cmp::Reverse(unit.max())),
        Some(Direction::Forward) => units.sort_by_key(Unit::min),
        None => {}
    }
    units
}

/// Spreads units over at most `partitions` lists of about equal rows, each in the order of `units`.
pub(crate) fn partition(units: Vec<Unit>, partitions: usize) -> Vec<Vec<Unit>> {
    let count = partitions.min(units.len()).max(1);
    let mut lists: Vec<(u64, Vec<Unit>)> = (0..count).map(|_| (0, Vec::new())).collect();
    for unit in units {
        if let Some((load, list)) = lists.iter_mut().min_by_key(|(load, _)| *load) {
            *load += unit.rows().max(1);
            list.push(unit);
        }
    }
    lists.into_iter().map(|(_, list)| list).collect()
}

/// Rows of a stream in one minute.
#[derive(Clone, Debug)]
pub(super) struct Minute {
    /// Rows of the chunk.
    pub(super) rows: Range<u64>,
    /// Bytes of their lines.
    pub(super) bytes: u64,
    /// Rows that are earlier do not count.
    pub(super) min: i64,
    /// Rows that are later do not count.
    pub(super) max: i64,
    /// Whether every row counts.
    pub(super) whole: bool,
    /// Whether rows of the minute may be too early to count.
    cut_before: bool,
    /// Whether rows of the minute may be too late to count.
    cut_after: bool,
}

impl Minute {
    /// Whether a row that counts may lie in one of these closed intervals.
    fn touches(&self, intervals: &[(i64, i64)]) -> bool {
        intervals.iter().any(|(from, to)| *from <= self.max && self.min <= *to)
    }
}

/// The minutes of a stream that may hold rows of `ranges`, which are ascending and leave at least a minute between each other.
fn minutes_of(stream: &StreamManifest, ranges: &[TimeRange]) -> Vec<Minute> {
    let mut minutes = Vec::new();
    let mut row = stream.first_row;
    for count in &stream.minutes {
        let rows = row..row.saturating_add(count.rows);
        row = rows.end;
        let (first, last) = bucket_bounds(count.minute);
        let (first, last) = (first.max(stream.min), last.min(stream.max));
        if let Some(range) = ranges.iter().find(|range| range.overlaps_closed(first, last)) {
            let (min, max) = (first.max(range.start).as_nanos(), last.as_nanos().min(range.end.as_nanos().saturating_sub(1)));
            let cut_after = max < last.as_nanos();
            minutes.push(Minute { rows, bytes: count.bytes, min, max, whole: range.covers_closed(first, last), cut_before: min > first.as_nanos(), cut_after });
        }
    }
    minutes
}

/// The rows of some minutes of a stream, and under a limit that every row counts towards, at most as many as the limit asks for beyond
/// those that may not count.
fn pieces_of(labels: &LabelSet, mut minutes: Vec<Minute>, stop: Option<&EarlyStop>, overlaps: &[(i64, i64)], hidden: &[Arc<HiddenRows>]) -> Vec<Piece> {
    // Rows that have copies elsewhere do not all count, nor do hidden ones.
    if let Some(stop) = stop.filter(|stop| stop.every_row_counts && overlaps.is_empty() && hidden.is_empty()) {
        keep_first(&mut minutes, stop);
    }
    let mut pieces: Vec<Piece> = Vec::new();
    // A minute that reaches beyond what counts is the last or first of its piece: else its rows beyond would count again.
    let mut closed = false;
    for Minute { rows, min, max, cut_before, cut_after, .. } in minutes {
        let follows = !closed && !cut_before;
        closed = cut_after;
        match pieces.last_mut().filter(|piece| follows && piece.rows.end - piece.rows.start < PIECE_ROWS && piece.rows.end == rows.start) {
            Some(piece) => (piece.rows.end, piece.max) = (rows.end, max),
            None => pieces.push(Piece { labels: labels.clone(), rows, min, max, overlaps: Vec::new(), hidden: Vec::new() }),
        }
    }
    for piece in &mut pieces {
        piece.overlaps = overlaps.iter().filter(|(from, to)| *from <= piece.max && piece.min <= *to).copied().collect();
        piece.hidden = hidden.iter().filter(|rows| rows.touches(piece.min, piece.max)).cloned().collect();
    }
    pieces
}

/// Leaves out rows that have at least `limit` rows of the same stream before them in the direction of the query. Only
/// minutes that count as a whole are sure to have so many.
fn keep_first(minutes: &mut Vec<Minute>, stop: &EarlyStop) {
    let mut left = u64::try_from(stop.limit).unwrap_or(u64::MAX);
    let mut keep = |minute: &mut Minute| {
        if left == 0 {
            return false;
        }
        if minute.whole {
            let taken = left.min(minute.rows.end - minute.rows.start);
            left -= taken;
            match stop.direction {
                Direction::Forward => minute.rows.end = minute.rows.start + taken,
                Direction::Backward => minute.rows.start = minute.rows.end - taken,
            }
        }
        true
    };
    if stop.direction == Direction::Backward {
        minutes.reverse();
    }
    minutes.retain_mut(&mut keep);
    if stop.direction == Direction::Backward {
        minutes.reverse();
    }
}

/// For each stream that lies in several chunks: the disjoint closed intervals that at least two of them cover.
fn overlaps_of(snapshot: &Snapshot) -> HashMap<LabelSet, Vec<(i64, i64)>> {
    let mut spans: HashMap<LabelSet, Vec<(i64, i64)>> = HashMap::new();
    for chunk in &snapshot.chunks {
        for stream in chunk.streams.iter().filter_map(|&index| chunk.manifest().streams.get(index)) {
            for range in chunk.ranges.iter().filter(|range| range.overlaps_closed(stream.min, stream.max)) {
                let span = (stream.min.max(range.start).as_nanos(), stream.max.as_nanos().min(range.end.as_nanos().saturating_sub(1)));
                spans.entry(stream.labels.clone()).or_default().push(span);
            }
        }
    }
    spans.retain(|_, spans| {
        *spans = covered_twice(std::mem::take(spans));
        !spans.is_empty()
    });
    spans
}

/// The parts of the line that at least two of `spans` cover, as disjoint ascending intervals. All intervals are closed.
fn covered_twice(mut spans: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    spans.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::new();
    let mut reach: Option<i64> = None;
    for (from, to) in spans {
        if let Some(reach) = reach.filter(|reach| from <= *reach) {
            let to = to.min(reach);
            match out.last_mut().filter(|last| from <= last.1) {
                Some(last) => last.1 = last.1.max(to),
                None => out.push((from, to)),
            }
        }
        reach = Some(reach.map_or(to, |reach| reach.max(to)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::{Steps, Windows};
    use crate::pipeline::NeededLabels;
    use schema::{MinuteCount, Timestamp};

    const MINUTE: i64 = schema::time::NANOS_PER_MINUTE;

    #[test]
    fn what_two_chunks_share() {
        assert_eq!(covered_twice(vec![(0, 10), (11, 20)]), []);
        assert_eq!(covered_twice(vec![(0, 10), (10, 20)]), [(10, 10)]);
        assert_eq!(covered_twice(vec![(5, 6), (0, 10), (7, 8)]), [(5, 6), (7, 8)]);
        assert_eq!(covered_twice(vec![(0, 10), (2, 20), (4, 6), (15, 30)]), [(2, 10), (15, 20)]);
    }

    fn stream() -> StreamManifest {
        let minutes = [(1, 10, 70), (2, 20, 80), (4, 5, 90)].map(|(minute, rows, bytes)| MinuteCount { minute, rows, bytes }).to_vec();
        StreamManifest {
            labels: LabelSet::default(),
            first_row: 100,
            rows: 35,
            min: Timestamp(MINUTE + 7),
            max: Timestamp(4 * MINUTE + 9),
            bytes: 240,
            minutes,
        }
    }

    fn pieces(start: i64, end: i64, stop: Option<(Direction, usize)>) -> Vec<(Range<u64>, i64, i64)> {
        let stop = stop.map(|(direction, limit)| EarlyStop { direction, limit, every_row_counts: true });
        let range = TimeRange::new(Timestamp(start), Timestamp(end));
        pieces_of(&LabelSet::default(), minutes_of(&stream(), &[range]), stop.as_ref(), &[], &[])
            .into_iter()
            .map(|piece| (piece.rows, piece.min, piece.max))
            .collect()
    }

    #[test]
    fn minutes_bound_the_rows() {
        assert_eq!(pieces(0, 10 * MINUTE, None), [(100..135, MINUTE + 7, 4 * MINUTE + 9)]);
        assert_eq!(pieces(2 * MINUTE + 1, 3 * MINUTE + 1, None), [(110..130, 2 * MINUTE + 1, 3 * MINUTE)]);
        assert_eq!(pieces(2 * MINUTE + 5, 4 * MINUTE + 2, None), [(110..135, 2 * MINUTE + 5, 4 * MINUTE + 1)]);
        assert_eq!(pieces(3 * MINUTE + 1, 4 * MINUTE + 1, None), []);
        // A row on the whole minute lies in the bucket that it ends.
        assert_eq!(pieces(2 * MINUTE, 2 * MINUTE + 1, None), [(100..110, 2 * MINUTE, 2 * MINUTE)]);
        assert_eq!(pieces(2 * MINUTE, 3 * MINUTE, None), [(100..130, 2 * MINUTE, 3 * MINUTE - 1)]);
    }

    #[test]
    fn a_chunk_counts_in_several_ranges() {
        let ranges = [TimeRange::new(Timestamp(0), Timestamp(2 * MINUTE)), TimeRange::new(Timestamp(4 * MINUTE), Timestamp(9 * MINUTE))];
        let minutes: Vec<_> = minutes_of(&stream(), &ranges).into_iter().map(|minute| (minute.rows, minute.min, minute.max, minute.whole)).collect();
        assert_eq!(minutes, [(100..110, MINUTE + 7, 2 * MINUTE - 1, false), (130..135, 4 * MINUTE + 1, 4 * MINUTE + 9, true)]);
        assert!(minutes_of(&stream(), &[TimeRange::new(Timestamp(4 * MINUTE + 10), Timestamp(9 * MINUTE))]).is_empty());
    }

    /// The chunk counts for the first day and the third; of the second, which other chunks have, it has one row, right at its beginning.
    #[test]
    fn a_row_of_a_day_that_others_have_does_not_come_back_between_two_that_count() {
        const DAY: i64 = schema::day::NANOS_PER_DAY;
        let minutes = [(DAY / MINUTE - 1, 2), (2 * DAY / MINUTE, 3)].map(|(minute, rows)| MinuteCount { minute, rows, bytes: 0 }).to_vec();
        let stream =
            StreamManifest { labels: LabelSet::default(), first_row: 0, rows: 5, min: Timestamp(DAY - 5), max: Timestamp(2 * DAY + 9), bytes: 0, minutes };
        let ranges = [TimeRange::new(Timestamp(0), Timestamp(DAY)), TimeRange::new(Timestamp(2 * DAY), Timestamp(3 * DAY))];
        let pieces: Vec<_> =
            pieces_of(&stream.labels, minutes_of(&stream, &ranges), None, &[], &[]).into_iter().map(|piece| (piece.rows, piece.min, piece.max)).collect();
        assert_eq!(pieces, [(0..2, DAY - 5, DAY - 1), (2..5, 2 * DAY + 1, 2 * DAY + 9)]);
    }

    #[test]
    fn whole_minutes_are_counted_and_the_others_read() {
        let windows = |start: i64, range: i64| Windows { range, offset: 0, steps: Steps { start, step: MINUTE, count: 4 } };
        let read = |windows, shared: &[(i64, i64)]| {
            let mut counter = MinuteCounter::new(windows, NeededLabels::Only(std::collections::BTreeSet::new()));
            let mut of_stream = counter.of_stream(&LabelSet::default()).unwrap();
            let everything = [TimeRange::new(Timestamp::MIN, Timestamp::MAX)];
            let mut left = minutes_of(&stream(), &everything);
            left.retain(|minute| !of_stream.takes(minute, minute.touches(shared)));
            let left: Vec<(u64, u64)> = left.into_iter().map(|minute| (minute.rows.start, minute.rows.end)).collect();
            let counted: Vec<_> = counter.finish().into_iter().flat_map(|series| series.samples).map(|sum| (sum.timestamp, sum.rows, sum.bytes)).collect();
            (left, counted)
        };
        // (0, 2], (1, 3], (2, 4], (3, 5] minutes.
        let (left, counted) = read(windows(2 * MINUTE, 2 * MINUTE), &[]);
        assert_eq!((left, counted), (vec![], vec![(2 * MINUTE, 10, 70), (3 * MINUTE, 20, 80), (4 * MINUTE + 9, 5, 90)]));
        // The second minute is shared at its last instant alone.
        let (left, counted) = read(windows(2 * MINUTE, 2 * MINUTE), &[(3 * MINUTE, 3 * MINUTE + 5)]);
        assert_eq!((left, counted), (vec![(110, 130)], vec![(2 * MINUTE, 10, 70), (4 * MINUTE + 9, 5, 90)]));
        // Every window holds everything.
        let (left, counted) = read(Windows { range: 60 * MINUTE, ..windows(9 * MINUTE, 0) }, &[]);
        assert_eq!((left, counted), (vec![], vec![(2 * MINUTE, 35, 240)]));
        // Windows end half past: the stream's last rows come before that.
        let (left, counted) = read(windows(MINUTE + MINUTE / 2, MINUTE), &[]);
        assert_eq!((left, counted), (vec![(100, 110), (110, 130)], vec![(4 * MINUTE + 9, 5, 90)]));
        // Only (0, 1] and so on to (3, 4]: the last minute is in none.
        let (left, counted) = read(windows(MINUTE, MINUTE), &[(0, 9 * MINUTE)]);
        assert_eq!((left, counted), (vec![(100, 110), (110, 130)], vec![]));
    }

    #[test]
    fn a_limit_bounds_the_rows() {
        assert_eq!(pieces(0, 10 * MINUTE, Some((Direction::Backward, 7))), [(128..135, 2 * MINUTE + 1, 4 * MINUTE + 9)]);
        assert_eq!(pieces(0, 10 * MINUTE, Some((Direction::Forward, 7))), [(100..107, MINUTE + 7, 2 * MINUTE)]);
        // The last minute lies across the end: its rows may be outside, so they do not count.
        assert_eq!(pieces(0, 4 * MINUTE + 5, Some((Direction::Backward, 7))), [(123..135, 2 * MINUTE + 1, 4 * MINUTE + 4)]);
    }
}
