//! Writing and reading the labels column (`crate::labels`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, BinaryBuilder, DictionaryArray, Int32Array, RecordBatch};
use arrow::datatypes::Int32Type;
use datafusion::error::{DataFusionError, Result};
use hashbrown::HashMap;

/// Builds a labels column; equal sets share a dictionary value.
#[derive(Debug, Default)]
pub(crate) struct LabelsBuilder {
    keys: Vec<i32>,
    known: HashMap<Box<[u8]>, i32>,
    values: BinaryBuilder,
}

impl LabelsBuilder {
    /// The dictionary key of an encoded set.
    pub(crate) fn intern(&mut self, encoded: &[u8]) -> i32 {
        if let Some(&key) = self.known.get(encoded) {
            return key;
        }
        let key = i32::try_from(self.known.len()).unwrap_or(i32::MAX);
        self.known.insert(encoded.into(), key);
        self.values.append_value(encoded);
        key
    }

    /// Appends a row.
    pub(crate) fn push(&mut self, key: i32) {
        self.keys.push(key);
    }

    /// The column.
    pub(crate) fn finish(mut self) -> Result<ArrayRef> {
        let keys = Int32Array::from(self.keys);
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(self.values.finish()))?))
    }
}

/// A labels column of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelsColumn<'a> {
    keys: &'a [i32],
    values: &'a BinaryArray,
}

impl<'a> LabelsColumn<'a> {
    /// The column `labels` of `batch`.
    pub(crate) fn of(batch: &'a RecordBatch) -> Result<Self> {
        let dictionary: &DictionaryArray<Int32Type> = column(batch, crate::logical::columns::LABELS)?;
        let values = dictionary.values().as_any().downcast_ref::<BinaryArray>().ok_or_else(|| wrong_type(crate::logical::columns::LABELS))?;
        Ok(Self { keys: dictionary.keys().values(), values })
    }

    /// Number of distinct sets that rows may have.
    pub(crate) fn distinct(&self) -> usize {
        self.values.len()
    }

    /// The set of row `row`, as an index below [`Self::distinct`].
    pub(crate) fn key(&self, row: usize) -> usize {
        self.keys.get(row).and_then(|&key| usize::try_from(key).ok()).unwrap_or(usize::MAX)
    }

    /// The set of every row.
    pub(crate) fn keys(&self) -> &'a [i32] {
        self.keys
    }

    /// The encoded set with this index; empty past the end.
    pub(crate) fn encoded(&self, key: usize) -> &'a [u8] {
        if key < self.values.len() { self.values.value(key) } else { &[] }
    }
}

/// A column of `batch` by name and type.
pub(crate) fn column<'a, T: Array + 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T> {
    batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref::<T>()).ok_or_else(|| wrong_type(name))
}

fn wrong_type(name: &str) -> DataFusionError {
    DataFusionError::Internal(format!("the column '{name}' is missing or has another type"))
}
