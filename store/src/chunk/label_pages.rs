//! The `labels` column of level-1 chunks: a map that is the same in every row of a stream.
//! Owns: spelling it in next to no time and bytes, however many rows the stream has.
//! Must not know: rows. Tarn itself never reads this column.

use parquet::basic::Encoding;
use parquet::errors::Result;
use schema::LabelSet;

use super::encoding::hybrid::PackedRun;
use super::encoding::low_byte;
use super::group::{TextDictionary, put_plain};
use super::pages::{ColumnPages, PageCompressor, RawDictionary, RawPage};

/// Names and values in one row group.
pub(super) struct LabelPages {
    names: LabelLeaf,
    values: LabelLeaf,
}

struct LabelLeaf {
    pages: ColumnPages,
    texts: TextDictionary,
}

/// The rows of one stream in a page: the ids of its labels.
struct StreamRun {
    names: Vec<u32>,
    values: Vec<u32>,
    rows: usize,
}

impl Default for LabelPages {
    fn default() -> Self {
        let leaf = || LabelLeaf { pages: ColumnPages::new(Encoding::RLE_DICTIONARY), texts: TextDictionary::default() };
        Self { names: leaf(), values: leaf() }
    }
}

impl LabelPages {
    pub(super) fn memory_bytes(&self) -> usize {
        [&self.names, &self.values].into_iter().map(|leaf| leaf.pages.memory_bytes() + leaf.texts.memory_bytes()).sum()
    }

    /// Appends a page: `streams` with their numbers of rows. `scratch` is overwritten.
    pub(super) fn push_page<'a>(
        &mut self,
        streams: impl Iterator<Item = (&'a LabelSet, usize)>,
        first_row: usize,
        scratch: &mut Vec<u8>,
        compressor: &mut PageCompressor,
    ) -> Result<()> {
        let mut runs = Vec::new();
        for (labels, rows) in streams {
            let names = labels.iter().map(|(name, _)| self.names.texts.id(name)).collect::<Result<Vec<u32>>>()?;
            let values = labels.iter().map(|(_, value)| self.values.texts.id(value)).collect::<Result<Vec<u32>>>()?;
            runs.push(StreamRun { names, values, rows });
        }
        // A row without labels has one entry, which says so.
        let entries = runs.iter().map(|run| run.rows * run.names.len().max(1)).sum();
        let levels = encode_levels(&runs, entries)?;
        self.names.push_page(&levels, &runs, |run| &run.names, RawPage { body: &[], entries, first_row }, scratch, compressor)?;
        self.values.push_page(&levels, &runs, |run| &run.values, RawPage { body: &[], entries, first_row }, scratch, compressor)
    }

    /// The columns in file order, each with its dictionary.
    pub(super) fn into_columns(self) -> impl Iterator<Item = (ColumnPages, RawDictionary)> {
        [self.names, self.values].into_iter().map(|leaf| (leaf.pages, leaf.texts.into_dictionary()))
    }
}

impl LabelLeaf {
    fn push_page(
        &mut self,
        levels: &[u8],
        runs: &[StreamRun],
        ids: impl Fn(&StreamRun) -> &Vec<u32>,
        page: RawPage<'_>,
        scratch: &mut Vec<u8>,
        compressor: &mut PageCompressor,
    ) -> Result<()> {
        scratch.clear();
        scratch.extend_from_slice(levels);
        let width = self.texts.width();
        scratch.push(low_byte(u64::from(width)));
        let mut packed = PackedRun::begin(runs.iter().map(|run| run.rows * ids(run).len()).sum(), width, scratch);
        runs.iter().for_each(|run| packed.repeat(ids(run), run.rows));
        packed.finish();
        self.pages.push(&RawPage { body: scratch, ..page }, compressor)
    }
}

/// Repetition and definition levels, each behind its length.
fn encode_levels(runs: &[StreamRun], entries: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let repetition = |labels: usize| std::iter::once(0).chain(std::iter::repeat_n(1, labels.saturating_sub(1))).collect::<Vec<u32>>();
    let definition = |labels: usize| if labels == 0 { vec![0] } else { vec![1; labels] };
    let patterns: [&dyn Fn(usize) -> Vec<u32>; 2] = [&repetition, &definition];
    for pattern in patterns {
        let mut encoded = Vec::new();
        let mut packed = PackedRun::begin(entries, 1, &mut encoded);
        runs.iter().for_each(|run| packed.repeat(&pattern(run.names.len()), run.rows));
        packed.finish();
        put_plain(&mut out, &encoded)?;
    }
    Ok(out)
}
