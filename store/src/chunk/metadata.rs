//! Structured metadata pages to interned sets.
//! Owns: the two leaf columns of the map, and that a repeated set costs a comparison, not an allocation.

use std::ops::Range;

use hashbrown::HashMap;
use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::errors::Result;
use parquet::file::serialized_reader::SerializedPageReader;

use super::decode::{PlainCursor, malformed, next_page};
use super::encoding::hybrid::{self, HybridError};
use super::fetch::FileParts;
use super::pages::external;
use super::rows::MetadataRows;

/// The metadata names of a row group, out of the dictionary page of the key column.
pub(super) fn read_names(pages: &mut SerializedPageReader<FileParts>) -> Result<Vec<Box<str>>> {
    let page = next_page(pages)?;
    if !page.is_dictionary_page() {
        return Err(malformed("a dictionary page was expected"));
    }
    let mut cursor = PlainCursor { bytes: page.buffer(), row: 0 };
    let mut names = Vec::new();
    while !cursor.bytes.is_empty() {
        names.push(std::str::from_utf8(cursor.next_value()?).map_err(external)?.into());
    }
    Ok(names)
}

/// A page of keys and the page of values beside it.
pub(super) struct MetadataPage<'a> {
    repetition: Vec<u32>,
    definition: Vec<u32>,
    key_ids: Vec<u32>,
    values: &'a [u8],
}

struct Parts<'a> {
    repetition: &'a [u8],
    definition: &'a [u8],
    values: &'a [u8],
    entries: usize,
}

impl<'a> MetadataPage<'a> {
    pub(super) fn open(keys: &'a Page, values: &'a Page, page_rows: usize) -> Result<Self> {
        let (keys, values) = (take_apart(keys, Encoding::RLE_DICTIONARY)?, take_apart(values, Encoding::PLAIN)?);
        // Every pair has at least the length of its value, which bounds what the run lengths of a damaged page can ask for.
        if keys.entries != values.entries || keys.entries > page_rows.saturating_add(values.values.len() / 4) {
            return Err(malformed("metadata pages that do not belong together"));
        }
        let mut page = Self { repetition: Vec::new(), definition: Vec::new(), key_ids: Vec::new(), values: values.values };
        hybrid::decode(keys.repetition, 1, keys.entries, &mut page.repetition).map_err(broken_levels)?;
        hybrid::decode(keys.definition, 1, keys.entries, &mut page.definition).map_err(broken_levels)?;
        let pairs = page.definition.iter().filter(|level| **level == 1).count();
        let rows = page.repetition.iter().filter(|level| **level == 0).count();
        if rows != page_rows {
            return Err(malformed("a metadata page with another number of rows"));
        }
        if pairs > 0 {
            let (width, ids) = keys.values.split_first().ok_or_else(|| malformed("a page of indices without a width"))?;
            hybrid::decode(ids, u32::from(*width), pairs, &mut page.key_ids).map_err(broken_levels)?;
        }
        Ok(page)
    }

    /// The sets of the rows in `ranges` (ascending), one result per range.
    pub(super) fn decode(&self, names: &[Box<str>], ranges: &[Range<usize>]) -> Result<Vec<MetadataRows>> {
        let mut walk = RowWalk { page: self, entry: 0, pair: 0, row: 0, values: PlainCursor { bytes: self.values, row: 0 } };
        let mut out = Vec::with_capacity(ranges.len());
        for range in ranges {
            let mut interner = Interner::new(names, range.len());
            while walk.row < range.start {
                walk.next_row(|_, _| {})?;
            }
            while walk.row < range.end {
                interner.begin_row();
                walk.next_row(|key, value| interner.push_pair(key, value))?;
                interner.finish_row()?;
            }
            out.push(interner.rows);
        }
        Ok(out)
    }
}

fn take_apart(page: &Page, encoding: Encoding) -> Result<Parts<'_>> {
    let Page::DataPage { buf, num_values, encoding: found, .. } = page else {
        return Err(malformed("a data page of another version"));
    };
    if *found != encoding {
        return Err(malformed("a metadata page of another encoding"));
    }
    // Levels stand behind their length, just as PLAIN values do.
    let mut cursor = PlainCursor { bytes: buf, row: 0 };
    let (repetition, definition) = (cursor.next_value()?, cursor.next_value()?);
    Ok(Parts { repetition, definition, values: cursor.bytes, entries: usize::try_from(*num_values).map_err(external)? })
}

fn broken_levels(_: HybridError) -> parquet::errors::ParquetError {
    malformed("levels or indices that end early")
}

/// Position in a page while rows are read one after the other.
struct RowWalk<'p, 'a> {
    page: &'p MetadataPage<'a>,
    entry: usize,
    pair: usize,
    row: usize,
    values: PlainCursor<'a>,
}

impl<'a> RowWalk<'_, 'a> {
    fn next_row(&mut self, mut take_pair: impl FnMut(u32, &'a [u8])) -> Result<()> {
        let short = || malformed("a metadata page that ends inside a row");
        loop {
            if *self.page.definition.get(self.entry).ok_or_else(short)? == 1 {
                let key = *self.page.key_ids.get(self.pair).ok_or_else(short)?;
                take_pair(key, self.values.next_value()?);
                self.pair += 1;
            }
            self.entry += 1;
            if self.page.repetition.get(self.entry).is_none_or(|level| *level == 0) {
                break;
            }
        }
        self.row += 1;
        Ok(())
    }
}

/// Gives equal sets one id. A row is spelled as key ids and values; most rows spell the same as the row before.
struct Interner<'n> {
    names: &'n [Box<str>],
    rows: MetadataRows,
    known: HashMap<Box<[u8]>, u32>,
    current: Vec<u8>,
    previous: Vec<u8>,
}

impl<'n> Interner<'n> {
    fn new(names: &'n [Box<str>], rows: usize) -> Self {
        let rows = MetadataRows { sets: Vec::new(), ids: Vec::with_capacity(rows) };
        Self { names, rows, known: HashMap::new(), current: Vec::new(), previous: Vec::new() }
    }

    fn begin_row(&mut self) {
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.clear();
    }

    fn push_pair(&mut self, key: u32, value: &[u8]) {
        self.current.extend_from_slice(&key.to_le_bytes());
        // Values came out of a page, whose length fits 32 bits.
        self.current.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.current.extend_from_slice(value);
    }

    fn finish_row(&mut self) -> Result<()> {
        if let Some(last) = self.rows.ids.last()
            && self.current == self.previous
        {
            self.rows.ids.push(*last);
            return Ok(());
        }
        let id = match self.known.get(self.current.as_slice()) {
            Some(id) => *id,
            None => {
                let id = u32::try_from(self.rows.sets.len()).map_err(external)?;
                self.rows.sets.push(self.spell_out()?.into());
                self.known.insert(self.current.as_slice().into(), id);
                id
            }
        };
        self.rows.ids.push(id);
        Ok(())
    }

    fn spell_out(&self) -> Result<Vec<(Box<str>, Box<str>)>> {
        let mut pairs = Vec::new();
        let mut rest = self.current.as_slice();
        while let Some((key, tail)) = rest.split_first_chunk::<4>() {
            let mut cursor = PlainCursor { bytes: tail, row: 0 };
            let value = std::str::from_utf8(cursor.next_value()?).map_err(external)?;
            let name = usize::try_from(u32::from_le_bytes(*key)).ok().and_then(|key| self.names.get(key));
            pairs.push((name.ok_or_else(|| malformed("a metadata name beyond the dictionary"))?.clone(), value.into()));
            rest = cursor.bytes;
        }
        Ok(pairs)
    }
}
