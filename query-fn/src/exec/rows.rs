//! Rows of a chunk to a batch: time, line filters, deletes, copies, labels, in this order, so that a row that fails costs nothing more.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, BinaryViewBuilder, Int64Array, RecordBatch, RecordBatchOptions, TimestampNanosecondArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use schema::{LabelSet, TimeRange};
use store::chunk::{ChunkColumns, ChunkRows, MetadataRows, MetadataSet};
use store::testing::rules::{Rule, broken};

use super::dedupe::{Dedupe, RowIdentity, no_lines};
use super::labels_column::LabelsBuilder;
use super::pace::Pace;
use super::statistics::ScanStatistics;
use super::units::{Piece, Unit};
use crate::QueryError;
use crate::labels::encode_row;
use crate::line_filter::{LineMatcher, Lines};
use crate::logical::LineColumn;
use crate::logical::columns::{POSITION, ROWS};
use crate::pipeline::NeededLabels;

/// Makes batches out of the rows of one unit.
#[derive(Debug)]
pub(super) struct RowReader<'a> {
    pub(super) range: TimeRange,
    /// First and last instant that is still wanted.
    pub(super) open: (i64, i64),
    pub(super) filters: &'a LineMatcher,
    pub(super) labels: &'a NeededLabels,
    pub(super) line: LineColumn,
    pub(super) schema: &'a SchemaRef,
    pub(super) dedupe: Option<&'a Dedupe>,
    pub(super) statistics: &'a ScanStatistics,
}

/// Rows of a batch that belong to one piece.
struct Segment<'a> {
    piece: &'a Piece,
    rows: Range<usize>,
}

/// Lines of so many bytes are filtered at once. Enough for a search that runs over whole buffers, and few for a slow regular expression.
const RUN_BYTES: usize = 64 << 10;

/// The columns that the rows of `unit` must be read with.
pub(super) fn columns_for(unit: &Unit, filters: &LineMatcher, labels: &NeededLabels, line: LineColumn) -> ChunkColumns {
    let whole = unit.has_overlaps();
    let hidden = || unit.pieces.iter().flat_map(|piece| &piece.hidden);
    ChunkColumns {
        timestamps: true,
        lines: whole || line != LineColumn::None || !filters.passes_all() || hidden().any(|rows| rows.reads_lines()),
        metadata: whole || unit.pieces.iter().any(|piece| reads_metadata(&piece.labels, labels)) || hidden().any(|rows| rows.reads_metadata()),
    }
}

/// Whether some label that is needed can come from metadata: all but those that the stream itself has.
pub(super) fn reads_metadata(stream: &LabelSet, needed: &NeededLabels) -> bool {
    match needed {
        NeededLabels::All => true,
        NeededLabels::Only(names) => names.iter().any(|name| stream.get(name).is_none()),
    }
}

impl RowReader<'_> {
    /// The batch of the wanted rows; `None` where no row is left.
    pub(super) async fn batch(&self, unit: &Unit, rows: &ChunkRows, pace: &mut Pace) -> Result<Option<RecordBatch>> {
        let timestamps = rows.timestamps.as_ref().map(|column| -> &[i64] { column.values() }).unwrap_or(&[]);
        let segments = self.segments(unit, rows, timestamps);
        let mut selected = self.pass_filters(&segments, rows.lines.as_ref(), pace).await?;
        self.leave_out_hidden(&segments, rows, timestamps, &mut selected, pace).await?;
        self.count(rows, selected.len());
        let positions = self.schema.index_of(POSITION).is_ok();
        let identities = match self.dedupe.filter(|_| unit.has_overlaps()) {
            Some(dedupe) => self.find_copies(dedupe, &segments, rows, timestamps, positions, &mut selected)?,
            None => Vec::new(),
        };
        if selected.is_empty() {
            return Ok(None);
        }
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampNanosecondArray::from_iter_values(selected.iter().map(|&row| timestamps.get(row).copied().unwrap_or(0)))),
            self.labels_of(&segments, rows.metadata.as_ref(), &selected)?,
        ];
        match (self.line, &rows.lines) {
            (LineColumn::None, _) => {}
            (LineColumn::Length, Some(lines)) => {
                columns.push(Arc::new(Int64Array::from_iter_values(
                    selected.iter().map(|&row| i64::from(if row < lines.len() { lines.value_length(row) } else { 0 })),
                )));
            }
            (LineColumn::Text, Some(lines)) => columns.push(lines_of(lines, &selected)?),
            (_, None) => return Err(no_lines().into()),
        }
        if positions {
            let position = |&row: &usize| unit.ordinal << 40 | (rows.first_row + u64::try_from(row).unwrap_or(0));
            columns.push(Arc::new(UInt64Array::from_iter_values(selected.iter().map(position))));
            let unique = selected.len() - identities.len().min(selected.len());
            columns.push(Arc::new(UInt64Array::from_iter_values(identities.into_iter().chain(std::iter::repeat_n(0, unique)))));
        }
        if self.schema.index_of(ROWS).is_ok() {
            columns.push(Arc::new(Int64Array::from_value(1, selected.len())));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(selected.len()));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(self.schema), columns, &options)?))
    }

    /// The rows in time of every piece that the batch holds rows of. Timestamps ascend within a piece.
    fn segments<'a>(&self, unit: &'a Unit, rows: &ChunkRows, timestamps: &[i64]) -> Vec<Segment<'a>> {
        let first = self.range.start.as_nanos().max(self.open.0);
        let last = self.range.end.as_nanos().saturating_sub(1).min(self.open.1);
        let batch = rows.first_row..rows.first_row + u64::try_from(rows.rows).unwrap_or(0);
        let in_batch = |row: u64| usize::try_from(row.clamp(batch.start, batch.end) - batch.start).unwrap_or(0);
        let mut segments = Vec::new();
        let skipped = unit.pieces.partition_point(|piece| piece.rows.end <= batch.start);
        for piece in unit.pieces.iter().skip(skipped).take_while(|piece| piece.rows.start < batch.end) {
            let mut rows = in_batch(piece.rows.start)..in_batch(piece.rows.end);
            let times = timestamps.get(rows.clone()).unwrap_or(&[]);
            let (from, to) = (first.max(piece.min), last.min(piece.max));
            rows.end = rows.start + times.partition_point(|&time| time <= to);
            rows.start += times.partition_point(|&time| time < from);
            if rows.start < rows.end {
                segments.push(Segment { piece, rows });
            }
        }
        segments
    }

    /// Rows that pass the line filters, ascending. Segments side by side are searched as one buffer, in runs after which it may yield.
    async fn pass_filters(&self, segments: &[Segment<'_>], lines: Option<&BinaryArray>, pace: &mut Pace) -> Result<Vec<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for segment in segments {
            match runs.last_mut().filter(|run| run.end == segment.rows.start) {
                Some(run) => run.end = segment.rows.end,
                None => runs.push(segment.rows.clone()),
            }
        }
        let mut selected = Vec::new();
        if self.filters.passes_all() {
            runs.into_iter().for_each(|run| selected.extend(run));
            return Ok(selected);
        }
        let lines = lines.ok_or_else(no_lines)?;
        let lines = Lines::new(lines.value_offsets(), lines.value_data());
        for mut run in runs {
            while run.start < run.end {
                let next = lines.run_of(run.clone(), RUN_BYTES);
                run.start = next.end;
                self.filters.select(&lines, next, &mut selected);
                pace.worked().await;
            }
        }
        Ok(selected)
    }

    /// Drops from the selected rows those that delete requests mean.
    async fn leave_out_hidden(&self, segments: &[Segment<'_>], rows: &ChunkRows, timestamps: &[i64], selected: &mut Vec<usize>, pace: &mut Pace) -> Result<()> {
        let hidden = || segments.iter().flat_map(|segment| &segment.piece.hidden);
        if hidden().next().is_none() {
            return Ok(());
        }
        if hidden().any(|rows| rows.reads_lines()) && rows.lines.is_none() || hidden().any(|rows| rows.reads_metadata()) && rows.metadata.is_none() {
            return Err(no_lines().into());
        }
        let no_metadata = MetadataSet::from([]);
        let mut shown = Vec::with_capacity(selected.len());
        let mut at = 0;
        for &row in selected.iter() {
            while segments.get(at).is_some_and(|segment| segment.rows.end <= row) {
                at += 1;
            }
            let (Some(segment), Some(&timestamp)) = (segments.get(at), timestamps.get(row)) else { continue };
            let line = rows.lines.as_ref().filter(|lines| row < lines.len()).map_or(&[][..], |lines| lines.value(row));
            let metadata = rows.metadata.as_ref().and_then(|metadata| metadata.get(row)).unwrap_or(&no_metadata);
            let piece = segment.piece;
            if !piece.hidden.iter().any(|rows| rows.contains(&piece.labels, timestamp, line, metadata)) {
                shown.push(row);
            }
            pace.worked().await;
        }
        *selected = shown;
        Ok(())
    }

    fn count(&self, rows: &ChunkRows, selected: usize) {
        ScanStatistics::add(&self.statistics.rows, rows.rows);
        ScanStatistics::add(&self.statistics.rows_after_filters, selected);
        if let Some(lines) = &rows.lines {
            let (first, last) = (lines.value_offsets().first(), lines.value_offsets().last());
            let bytes = last.copied().unwrap_or(0) - first.copied().unwrap_or(0);
            ScanStatistics::add(&self.statistics.line_bytes, usize::try_from(bytes).unwrap_or(0));
        }
        if let Some(metadata) = &rows.metadata {
            let sizes: Vec<usize> = metadata.sets.iter().map(|set| set.iter().map(|(name, value)| name.len() + value.len()).sum()).collect();
            let bytes = metadata.ids.iter().filter_map(|&id| sizes.get(usize::try_from(id).ok()?)).sum();
            ScanStatistics::add(&self.statistics.metadata_bytes, bytes);
        }
    }

    /// With `keep`: the identities of the selected rows. Else drops copies of rows seen before.
    fn find_copies(
        &self,
        dedupe: &Dedupe,
        segments: &[Segment<'_>],
        rows: &ChunkRows,
        timestamps: &[i64],
        keep: bool,
        selected: &mut Vec<usize>,
    ) -> Result<Vec<u64>> {
        if broken(Rule::ReaderKeepsCopies) {
            return Ok(if keep { vec![0; selected.len()] } else { Vec::new() });
        }
        let (Some(lines), Some(metadata)) = (&rows.lines, &rows.metadata) else { return Err(no_lines().into()) };
        let streams: Vec<u128> =
            segments.iter().map(|segment| if segment.piece.overlaps.is_empty() { 0 } else { dedupe.stream(&segment.piece.labels) }).collect();
        let identity = |row: usize| {
            let at = segments.partition_point(|segment| segment.rows.end <= row);
            let timestamp = *timestamps.get(row)?;
            let shared = segments.get(at)?.piece.overlaps.iter().any(|(from, to)| *from <= timestamp && timestamp <= *to);
            let line = if row < lines.len() { lines.value(row) } else { &[] };
            shared.then_some(RowIdentity { stream: *streams.get(at)?, timestamp, line, metadata: metadata.get(row) })
        };
        if keep {
            return Ok(selected.iter().map(|&row| identity(row).map_or(0, |row| dedupe.identity(&row))).collect());
        }
        let before = selected.len();
        dedupe.retain(selected, identity)?;
        ScanStatistics::add(&self.statistics.duplicates, before - selected.len());
        Ok(Vec::new())
    }

    fn labels_of(&self, segments: &[Segment<'_>], metadata: Option<&MetadataRows>, selected: &[usize]) -> Result<ArrayRef> {
        let mut builder = LabelsBuilder::default();
        let mut known: HashMap<(usize, u32), i32> = HashMap::new();
        let mut encoded = Vec::new();
        let (mut at, mut last) = (0, None);
        for &row in selected {
            while segments.get(at).is_some_and(|segment| segment.rows.end <= row) {
                at += 1;
            }
            let set = metadata.and_then(|metadata| metadata.ids.get(row)).copied();
            let pair = (at, set.unwrap_or(u32::MAX));
            let key = match last {
                Some((pair_before, key)) if pair_before == pair => key,
                _ => *known.entry(pair).or_insert_with(|| {
                    encoded.clear();
                    if let Some(segment) = segments.get(at) {
                        let pairs = metadata.and_then(|metadata| metadata.get(row)).map_or(&[][..], |set| set);
                        encode_row(&segment.piece.labels, pairs, self.labels, &mut encoded);
                    }
                    builder.intern(&encoded)
                }),
            };
            last = Some((pair, key));
            builder.push(key);
        }
        builder.finish()
    }
}

/// The selected lines. Where most of a buffer is selected it is shared, else the lines are copied, so that a few lines do
/// not hold a whole buffer.
fn lines_of(lines: &BinaryArray, selected: &[usize]) -> Result<ArrayRef> {
    let mut builder = BinaryViewBuilder::with_capacity(selected.len());
    let share = selected.len() * 2 >= lines.len() && u32::try_from(lines.values().len()).is_ok();
    let block = share.then(|| builder.append_block(lines.values().clone()));
    for &row in selected.iter().filter(|&&row| row < lines.len()) {
        match block {
            Some(block) => {
                let bounds = lines.value_offsets().get(row).and_then(|&start| Some((u32::try_from(start).ok()?, u32::try_from(lines.value_length(row)).ok()?)));
                let (start, length) = bounds.ok_or_else(|| QueryError::Internal { invariant: "offsets of lines are not negative".to_owned() })?;
                builder.try_append_view(block, start, length)?;
            }
            None => builder.append_value(lines.value(row)),
        }
    }
    Ok(Arc::new(builder.finish()))
}
