//! What a scan reads, and which rows of which chunks. Chunks and streams are written once and named by their place in a list.

use std::collections::HashMap;
use std::sync::Arc;

use schema::{ChunkName, ChunkRef, LabelSet, TenantId, TimeRange, Timestamp};

use super::parts::{Numbered as _, count, decode_labels, decode_needed, encode_labels, encode_needed, size};
use super::{text, wire};
use crate::exec::{ChunkScanExec, ChunkSource, HiddenRows, Piece, ScanSpec, Unit};
use crate::logical::{Direction, EarlyStop, LineColumn};
use crate::physical::PlanContext;

/// Positions of rows have so many bits for the place of the chunk.
const ORDINAL_BITS: u32 = 24;

pub(super) fn encode(scan: &ChunkScanExec) -> Result<wire::Scan, String> {
    let spec = scan.spec();
    let mut lists = Lists::default();
    let partitions = scan.partitions().iter().map(|units| lists.partition(units)).collect::<Result<_, String>>()?;
    let stop = match &spec.stop {
        Some(stop) => Some(wire::EarlyStop { direction: stop.direction.number(), limit: count(stop.limit)?, every_row_counts: stop.every_row_counts }),
        None => None,
    };
    Ok(wire::Scan {
        start: spec.range.start.as_nanos(),
        end: spec.range.end.as_nanos(),
        filters: spec.filters.iter().map(text::write_line_filter).collect::<Result<_, _>>()?,
        labels: Some(encode_needed(&spec.labels)),
        line: spec.line.number(),
        position: spec.position,
        rows: spec.rows,
        stop,
        tenant: lists.tenant.map(|tenant| tenant.to_string()).unwrap_or_default(),
        chunks: lists.chunks,
        streams: lists.streams,
        hidden: lists.hidden,
        partitions,
    })
}

/// What was written so far.
#[derive(Default)]
struct Lists {
    tenant: Option<TenantId>,
    chunks: Vec<wire::Chunk>,
    chunk_places: HashMap<u64, u64>,
    streams: Vec<wire::Labels>,
    stream_places: HashMap<LabelSet, u64>,
    hidden: Vec<wire::HiddenRows>,
    hidden_places: HashMap<*const HiddenRows, u64>,
}

impl Lists {
    fn partition(&mut self, units: &[Unit]) -> Result<wire::Partition, String> {
        Ok(wire::Partition { units: units.iter().map(|unit| self.unit(unit)).collect::<Result<_, String>>()? })
    }

    fn unit(&mut self, unit: &Unit) -> Result<wire::Unit, String> {
        let chunk = self.chunk(unit)?;
        Ok(wire::Unit { chunk, pieces: unit.pieces.iter().map(|piece| self.piece(piece)).collect::<Result<_, String>>()? })
    }

    fn chunk(&mut self, unit: &Unit) -> Result<u64, String> {
        if let Some(&place) = self.chunk_places.get(&unit.ordinal) {
            return Ok(place);
        }
        let ChunkRef { name, size, footer, rows, min, max } = unit.chunk.chunk();
        let tenant = name.tenant();
        if self.tenant.get_or_insert_with(|| tenant.clone()) != tenant {
            return Err("it reads chunks of two tenants".to_owned());
        }
        let place = count(self.chunks.len())?;
        self.chunks.push(wire::Chunk {
            name: name.to_string(),
            size: *size,
            ordinal: unit.ordinal,
            footer: *footer,
            rows: *rows,
            min: min.as_nanos(),
            max: max.as_nanos(),
        });
        self.chunk_places.insert(unit.ordinal, place);
        Ok(place)
    }

    fn hidden(&mut self, rows: &Arc<HiddenRows>) -> Result<u64, String> {
        if let Some(&place) = self.hidden_places.get(&Arc::as_ptr(rows)) {
            return Ok(place);
        }
        let place = count(self.hidden.len())?;
        let (query, start, end) = rows.request();
        self.hidden.push(wire::HiddenRows { query: query.to_owned(), start, end });
        self.hidden_places.insert(Arc::as_ptr(rows), place);
        Ok(place)
    }

    fn piece(&mut self, piece: &Piece) -> Result<wire::Piece, String> {
        let stream = match self.stream_places.get(&piece.labels) {
            Some(&place) => place,
            None => {
                let place = count(self.streams.len())?;
                self.streams.push(encode_labels(&piece.labels));
                self.stream_places.insert(piece.labels.clone(), place);
                place
            }
        };
        Ok(wire::Piece {
            stream,
            first_row: piece.rows.start,
            rows: piece.rows.end.saturating_sub(piece.rows.start),
            min: piece.min,
            max: piece.max,
            overlaps: piece.overlaps.iter().flat_map(|&(from, to)| [from, to]).collect(),
            hidden: piece.hidden.iter().map(|rows| self.hidden(rows)).collect::<Result<_, _>>()?,
        })
    }
}

pub(super) fn decode(scan: wire::Scan, context: &PlanContext) -> Result<ChunkScanExec, String> {
    let chunks = decode_chunks(&scan, context)?;
    let streams = scan.streams.into_iter().map(decode_labels).collect::<Result<Vec<_>, _>>()?;
    let hidden = scan.hidden.iter().map(decode_hidden).collect::<Result<Vec<_>, _>>()?;
    let lists = ReadLists { chunks, streams, hidden };
    if scan.partitions.is_empty() {
        return Err("it has no partition".to_owned());
    }
    let units = |partition: wire::Partition| partition.units.into_iter().map(|unit| decode_unit(unit, &lists)).collect::<Result<Vec<_>, _>>();
    let partitions = scan.partitions.into_iter().map(units).collect::<Result<Vec<_>, _>>()?;
    let spec = ScanSpec {
        range: TimeRange::new(Timestamp(scan.start), Timestamp(scan.end)),
        filters: scan.filters.iter().map(|filter| text::read_line_filter(filter)).collect::<Result<_, _>>()?,
        labels: decode_needed(scan.labels)?,
        line: LineColumn::of_number(scan.line)?,
        position: scan.position,
        rows: scan.rows,
        stop: scan.stop.map(decode_stop).transpose()?,
    };
    ChunkScanExec::new(spec, partitions, context.client.clone(), Arc::clone(&context.statistics)).map_err(|error| error.to_string())
}

fn decode_stop(stop: wire::EarlyStop) -> Result<EarlyStop, String> {
    Ok(EarlyStop { direction: Direction::of_number(stop.direction)?, limit: size(stop.limit)?, every_row_counts: stop.every_row_counts })
}

/// What pieces name by their places.
struct ReadLists {
    chunks: Vec<Chunk>,
    streams: Vec<LabelSet>,
    hidden: Vec<Arc<HiddenRows>>,
}

fn decode_hidden(rows: &wire::HiddenRows) -> Result<Arc<HiddenRows>, String> {
    HiddenRows::new(&rows.query, rows.start, rows.end).map(Arc::new).map_err(|error| error.to_string())
}

/// A chunk of the scan and its place among the chunks of the query.
struct Chunk {
    source: ChunkSource,
    rows: u64,
    ordinal: u64,
}

/// Every name must be one of the scan's tenant: a plan cannot reach into another one's chunks by a name in a list.
fn decode_chunks(scan: &wire::Scan, context: &PlanContext) -> Result<Vec<Chunk>, String> {
    if scan.chunks.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = TenantId::parse(&scan.tenant).map_err(|error| error.to_string())?;
    let decode = |chunk: &wire::Chunk| {
        let name = ChunkName::parse(&tenant, &chunk.name).map_err(|error| error.to_string())?;
        if chunk.ordinal >> ORDINAL_BITS != 0 {
            return Err(format!("chunk number {} is beyond what row positions can count", chunk.ordinal));
        }
        let wire::Chunk { size, footer, rows, min, max, ordinal, .. } = *chunk;
        let chunk = ChunkRef { name, size, footer, rows, min: Timestamp(min), max: Timestamp(max) };
        Ok(Chunk { source: ChunkSource::Named { chunk: Arc::new(chunk), cache: context.cache.clone() }, rows, ordinal })
    };
    scan.chunks.iter().map(decode).collect()
}

fn decode_unit(unit: wire::Unit, lists: &ReadLists) -> Result<Unit, String> {
    let chunk = at(&lists.chunks, unit.chunk).ok_or_else(|| format!("it reads chunk {} of {}", unit.chunk, lists.chunks.len()))?;
    let mut pieces = Vec::with_capacity(unit.pieces.len());
    let mut next_row = 0;
    for piece in unit.pieces {
        let piece = decode_piece(piece, lists)?;
        if piece.rows.start < next_row || piece.rows.end > chunk.rows {
            return Err(format!("rows {}..{} are not among rows {next_row}..{} of the chunk", piece.rows.start, piece.rows.end, chunk.rows));
        }
        next_row = piece.rows.end;
        pieces.push(piece);
    }
    Ok(Unit { chunk: chunk.source.clone(), ordinal: chunk.ordinal, pieces })
}

fn decode_piece(piece: wire::Piece, lists: &ReadLists) -> Result<Piece, String> {
    let labels = at(&lists.streams, piece.stream).ok_or_else(|| format!("it reads stream {} of {}", piece.stream, lists.streams.len()))?.clone();
    let hidden = |&place: &u64| at(&lists.hidden, place).cloned().ok_or_else(|| format!("it hides rows {place} of {}", lists.hidden.len()));
    let hidden = piece.hidden.iter().map(hidden).collect::<Result<_, _>>()?;
    let end = piece.first_row.checked_add(piece.rows).filter(|end| *end > piece.first_row).ok_or_else(|| "it reads a piece without rows".to_owned())?;
    let (intervals, rest) = piece.overlaps.as_chunks::<2>();
    let overlaps: Vec<(i64, i64)> = intervals.iter().map(|&[from, to]| (from, to)).collect();
    if piece.min > piece.max || !rest.is_empty() || overlaps.iter().any(|(from, to)| from > to) {
        return Err("times of a piece are not in order".to_owned());
    }
    Ok(Piece { labels, rows: piece.first_row..end, min: piece.min, max: piece.max, overlaps, hidden })
}

fn at<T>(list: &[T], place: u64) -> Option<&T> {
    usize::try_from(place).ok().and_then(|place| list.get(place))
}
