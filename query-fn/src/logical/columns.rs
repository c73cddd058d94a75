//! The columns of the batches that operators pass on.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::{DFSchema, DFSchemaRef};

/// When a row was logged, in nanoseconds (entries); the evaluation instant in milliseconds (samples).
pub const TIMESTAMP: &str = "timestamp";
/// Encoded label sets ([`crate::labels`]).
pub const LABELS: &str = "labels";
/// The line.
pub const LINE: &str = "line";
/// Bytes of the line, where nothing reads the line itself.
pub const LINE_LENGTH: &str = "line_length";
/// Where a row stands among rows of the same timestamp: rows that arrived earlier have lower positions.
pub const POSITION: &str = "position";
/// Rows that are copies of each other have the same number; 0: the row has no copy.
pub const IDENTITY: &str = "identity";
/// How many rows this one stands for: they have its labels and lie in the same windows, and the length is that of all their lines.
pub const ROWS: &str = "rows";
/// The value of a sample, or of an unwrapped label.
pub const VALUE: &str = "value";

/// How much of the line a scan hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LineColumn {
    /// Nothing.
    None,
    /// Its length in bytes.
    Length,
    /// All of it.
    Text,
}

impl fmt::Display for LineColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Length => "length",
            Self::Text => "text",
        })
    }
}

/// The type of the labels column.
pub fn labels_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Binary))
}

/// The type of an entry's timestamp.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, None)
}

/// Columns of rows that a scan hands on. With positions it hands on copies too, for the reader to choose between.
pub fn entry_schema(line: LineColumn, position: bool) -> SchemaRef {
    let mut fields = vec![Field::new(TIMESTAMP, timestamp_type(), false), Field::new(LABELS, labels_type(), false)];
    match line {
        LineColumn::None => {}
        LineColumn::Length => fields.push(Field::new(LINE_LENGTH, DataType::Int64, false)),
        LineColumn::Text => fields.push(Field::new(LINE, DataType::BinaryView, false)),
    }
    if position {
        fields.push(Field::new(POSITION, DataType::UInt64, false));
        fields.push(Field::new(IDENTITY, DataType::UInt64, false));
    }
    Arc::new(Schema::new(fields))
}

/// Columns of rows of which some stand for several.
pub fn counted_schema(line: LineColumn) -> SchemaRef {
    let entries = entry_schema(line, false);
    let fields = entries.fields().iter().cloned().chain([Arc::new(Field::new(ROWS, DataType::Int64, false))]);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// `input` with the value of an unwrapped label.
pub fn unwrapped_schema(input: &Schema) -> SchemaRef {
    let mut fields: Vec<_> = input.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(VALUE, DataType::Float64, false)));
    Arc::new(Schema::new(fields))
}

/// Columns of samples.
pub fn sample_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(TIMESTAMP, DataType::Int64, false),
        Field::new(LABELS, labels_type(), false),
        Field::new(VALUE, DataType::Float64, false),
    ]))
}

/// A plan's form of `schema`.
pub(crate) fn plan_schema(schema: SchemaRef) -> datafusion::error::Result<DFSchemaRef> {
    Ok(Arc::new(DFSchema::try_from(schema)?))
}
