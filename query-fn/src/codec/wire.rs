//! The messages. A field number is never given another meaning; a change that an older reader would misread is a new version.

use prost::{Message, Oneof};

/// The first field of every [`Node`], whatever its version.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Version {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
}

/// One operator, without its inputs.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(oneof = "Kind", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10")]
    pub(super) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Kind {
    #[prost(message, tag = "2")]
    Scan(Scan),
    #[prost(message, tag = "3")]
    Pipeline(Pipeline),
    #[prost(message, tag = "4")]
    Unwrap(Unwrap),
    #[prost(message, tag = "5")]
    Entries(Entries),
    #[prost(message, tag = "6")]
    RangeAggregate(RangeAggregate),
    #[prost(message, tag = "7")]
    VectorAggregate(VectorAggregate),
    #[prost(message, tag = "8")]
    SampleOperation(SampleOperation),
    #[prost(message, tag = "9")]
    MinuteCount(MinuteCount),
    #[prost(message, tag = "10")]
    TenantLabel(TenantLabel),
}

impl Kind {
    /// The operator's name.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Scan(_) => "ChunkScanExec",
            Self::Pipeline(_) => "PipelineExec",
            Self::Unwrap(_) => "UnwrapExec",
            Self::Entries(_) => "EntriesExec",
            Self::RangeAggregate(_) => "RangeAggregateExec",
            Self::VectorAggregate(_) => "VectorAggregateExec",
            Self::SampleOperation(_) => "SampleOperationExec",
            Self::MinuteCount(_) => "MinuteCountExec",
            Self::TenantLabel(_) => "TenantLabelExec",
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Scan {
    /// Timestamps of `[start, end)`.
    #[prost(int64, tag = "1")]
    pub(super) start: i64,
    #[prost(int64, tag = "2")]
    pub(super) end: i64,
    /// LogQL.
    #[prost(string, repeated, tag = "3")]
    pub(super) filters: Vec<String>,
    #[prost(message, optional, tag = "4")]
    pub(super) labels: Option<NeededLabels>,
    #[prost(uint32, tag = "5")]
    pub(super) line: u32,
    #[prost(bool, tag = "6")]
    pub(super) position: bool,
    #[prost(message, optional, tag = "7")]
    pub(super) stop: Option<EarlyStop>,
    /// Empty when there are no chunks.
    #[prost(string, tag = "8")]
    pub(super) tenant: String,
    #[prost(message, repeated, tag = "9")]
    pub(super) chunks: Vec<Chunk>,
    #[prost(message, repeated, tag = "10")]
    pub(super) streams: Vec<Labels>,
    #[prost(message, repeated, tag = "11")]
    pub(super) partitions: Vec<Partition>,
    /// Whether it hands on that each row stands for one.
    #[prost(bool, tag = "12")]
    pub(super) rows: bool,
    /// Rows that pieces hold and that must not be shown.
    #[prost(message, repeated, tag = "13")]
    pub(super) hidden: Vec<HiddenRows>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TenantLabel {
    #[prost(string, tag = "1")]
    pub(super) tenant: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HiddenRows {
    /// LogQL.
    #[prost(string, tag = "1")]
    pub(super) query: String,
    /// First and last instant.
    #[prost(int64, tag = "2")]
    pub(super) start: i64,
    #[prost(int64, tag = "3")]
    pub(super) end: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Chunk {
    /// Object name.
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// Bytes of the object.
    #[prost(uint64, tag = "2")]
    pub(super) size: u64,
    /// Place among the chunks of the query.
    #[prost(uint64, tag = "3")]
    pub(super) ordinal: u64,
    /// Bytes at its end that hold the footer, where that is known.
    #[prost(uint64, optional, tag = "4")]
    pub(super) footer: Option<u64>,
    #[prost(uint64, tag = "5")]
    pub(super) rows: u64,
    /// First and last instant of its rows.
    #[prost(int64, tag = "6")]
    pub(super) min: i64,
    #[prost(int64, tag = "7")]
    pub(super) max: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Partition {
    #[prost(message, repeated, tag = "1")]
    pub(super) units: Vec<Unit>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Unit {
    /// Index into `chunks`.
    #[prost(uint64, tag = "1")]
    pub(super) chunk: u64,
    #[prost(message, repeated, tag = "2")]
    pub(super) pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Piece {
    /// Index into `streams`.
    #[prost(uint64, tag = "1")]
    pub(super) stream: u64,
    #[prost(uint64, tag = "2")]
    pub(super) first_row: u64,
    #[prost(uint64, tag = "3")]
    pub(super) rows: u64,
    #[prost(int64, tag = "4")]
    pub(super) min: i64,
    #[prost(int64, tag = "5")]
    pub(super) max: i64,
    /// First and last instant of each interval in turn.
    #[prost(int64, repeated, tag = "6")]
    pub(super) overlaps: Vec<i64>,
    /// Indices into `hidden`.
    #[prost(uint64, repeated, tag = "7")]
    pub(super) hidden: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EarlyStop {
    #[prost(uint32, tag = "1")]
    pub(super) direction: u32,
    #[prost(uint64, tag = "2")]
    pub(super) limit: u64,
    #[prost(bool, tag = "3")]
    pub(super) every_row_counts: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MinuteCount {
    #[prost(message, repeated, tag = "1")]
    pub(super) series: Vec<CountedSeries>,
    /// Whether it hands on bytes.
    #[prost(bool, tag = "2")]
    pub(super) bytes: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CountedSeries {
    #[prost(message, optional, tag = "1")]
    pub(super) labels: Option<Labels>,
    #[prost(int64, repeated, tag = "2")]
    pub(super) timestamps: Vec<i64>,
    #[prost(uint64, repeated, tag = "3")]
    pub(super) rows: Vec<u64>,
    #[prost(uint64, repeated, tag = "4")]
    pub(super) bytes: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Pipeline {
    #[prost(message, repeated, tag = "1")]
    pub(super) stages: Vec<Stage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Stage {
    /// LogQL.
    #[prost(string, tag = "1")]
    pub(super) text: String,
    #[prost(message, optional, tag = "2")]
    pub(super) needed: Option<NeededLabels>,
    /// What templates call now, in nanoseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub(super) now: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Unwrap {
    /// LogQL, from the pipe sign on.
    #[prost(string, tag = "1")]
    pub(super) text: String,
    #[prost(bool, tag = "2")]
    pub(super) keep: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Entries {
    #[prost(uint64, tag = "1")]
    pub(super) limit: u64,
    #[prost(uint32, tag = "2")]
    pub(super) direction: u32,
    #[prost(int64, tag = "3")]
    pub(super) interval: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RangeAggregate {
    #[prost(uint32, tag = "1")]
    pub(super) op: u32,
    #[prost(double, optional, tag = "2")]
    pub(super) parameter: Option<f64>,
    #[prost(int64, tag = "3")]
    pub(super) range: i64,
    #[prost(int64, tag = "4")]
    pub(super) offset: i64,
    #[prost(message, optional, tag = "5")]
    pub(super) steps: Option<Steps>,
    #[prost(bool, tag = "6")]
    pub(super) unwrapped: bool,
    #[prost(message, optional, tag = "7")]
    pub(super) grouping: Option<Grouping>,
    #[prost(message, optional, tag = "8")]
    pub(super) absent_labels: Option<Labels>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct VectorAggregate {
    #[prost(uint32, tag = "1")]
    pub(super) op: u32,
    #[prost(uint64, optional, tag = "2")]
    pub(super) parameter: Option<u64>,
    #[prost(message, optional, tag = "3")]
    pub(super) grouping: Option<Grouping>,
    #[prost(message, optional, tag = "4")]
    pub(super) steps: Option<Steps>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SampleOperation {
    #[prost(oneof = "Operation", tags = "1, 2, 3, 4")]
    pub(super) operation: Option<Operation>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Operation {
    #[prost(message, tag = "1")]
    Constant(Constant),
    #[prost(message, tag = "2")]
    Binary(Binary),
    #[prost(message, tag = "3")]
    Scalar(Scalar),
    #[prost(message, tag = "4")]
    LabelReplace(LabelReplace),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Constant {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(message, optional, tag = "2")]
    pub(super) steps: Option<Steps>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Binary {
    #[prost(uint32, tag = "1")]
    pub(super) op: u32,
    #[prost(bool, tag = "2")]
    pub(super) return_bool: bool,
    #[prost(message, optional, tag = "3")]
    pub(super) matching: Option<Matching>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Matching {
    /// `ignoring` instead of `on`.
    #[prost(bool, tag = "1")]
    pub(super) ignoring: bool,
    #[prost(string, repeated, tag = "2")]
    pub(super) labels: Vec<String>,
    #[prost(message, optional, tag = "3")]
    pub(super) group: Option<Group>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Group {
    /// `group_right` instead of `group_left`.
    #[prost(bool, tag = "1")]
    pub(super) right: bool,
    #[prost(string, repeated, tag = "2")]
    pub(super) labels: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Scalar {
    #[prost(uint32, tag = "1")]
    pub(super) op: u32,
    #[prost(bool, tag = "2")]
    pub(super) return_bool: bool,
    #[prost(double, tag = "3")]
    pub(super) scalar: f64,
    #[prost(bool, tag = "4")]
    pub(super) scalar_is_left: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelReplace {
    #[prost(string, tag = "1")]
    pub(super) destination: String,
    #[prost(string, tag = "2")]
    pub(super) replacement: String,
    #[prost(string, tag = "3")]
    pub(super) source: String,
    #[prost(string, tag = "4")]
    pub(super) pattern: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NeededLabels {
    #[prost(bool, tag = "1")]
    pub(super) all: bool,
    #[prost(string, repeated, tag = "2")]
    pub(super) names: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Labels {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Grouping {
    /// `without` instead of `by`.
    #[prost(bool, tag = "1")]
    pub(super) without: bool,
    #[prost(string, repeated, tag = "2")]
    pub(super) labels: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Steps {
    #[prost(int64, tag = "1")]
    pub(super) start: i64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(uint64, tag = "3")]
    pub(super) count: u64,
}
