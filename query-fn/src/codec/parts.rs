//! What several operators are made of.

use logql::ast::{BinaryOp, Grouping, GroupingKind, RangeOp, VectorOp};
use schema::LabelSet;

use super::wire;
use crate::logical::{Direction, LineColumn, Steps};
use crate::pipeline::NeededLabels;

/// More steps are not read. The HTTP API refuses queries of more than 11,000.
const MAX_STEPS: u64 = 1 << 20;

/// A choice as a number that stays the same for ever. 0 is never one, so that a field that is not there is noticed.
pub(super) trait Numbered: Sized {
    fn number(self) -> u32;
    fn of_number(number: u32) -> Result<Self, String>;
}

macro_rules! numbered {
    ($choice:ty: $($variant:ident = $number:literal),+ $(,)?) => {
        impl Numbered for $choice {
            fn number(self) -> u32 {
                match self {
                    $(Self::$variant => $number,)+
                }
            }

            fn of_number(number: u32) -> Result<Self, String> {
                match number {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(format!("{} {number} is not known to this version of Tarn", stringify!($choice))),
                }
            }
        }
    };
}

numbered!(Direction: Forward = 1, Backward = 2);
numbered!(LineColumn: None = 1, Length = 2, Text = 3);
numbered!(RangeOp:
    CountOverTime = 1, Rate = 2, RateCounter = 3, BytesOverTime = 4, BytesRate = 5, AvgOverTime = 6, SumOverTime = 7, MinOverTime = 8,
    MaxOverTime = 9, StdvarOverTime = 10, StddevOverTime = 11, QuantileOverTime = 12, FirstOverTime = 13, LastOverTime = 14, AbsentOverTime = 15,
);
numbered!(VectorOp:
    Sum = 1, Avg = 2, Count = 3, Max = 4, Min = 5, Stddev = 6, Stdvar = 7, Bottomk = 8, Topk = 9, Sort = 10, SortDesc = 11, ApproxTopk = 12,
);
numbered!(BinaryOp:
    Or = 1, And = 2, Unless = 3, Equal = 4, NotEqual = 5, Greater = 6, GreaterOrEqual = 7, Less = 8, LessOrEqual = 9, Add = 10, Subtract = 11,
    Multiply = 12, Divide = 13, Modulo = 14, Power = 15,
);

pub(super) fn count(count: usize) -> Result<u64, String> {
    u64::try_from(count).map_err(|_| format!("{count} is too large to be written"))
}

pub(super) fn size(count: u64) -> Result<usize, String> {
    usize::try_from(count).map_err(|_| format!("{count} is too large for this machine"))
}

/// A message that must be there.
pub(super) fn required<T>(part: Option<T>, what: &str) -> Result<T, String> {
    part.ok_or_else(|| format!("{what} is missing"))
}

pub(super) fn encode_needed(labels: &NeededLabels) -> wire::NeededLabels {
    match labels {
        NeededLabels::All => wire::NeededLabels { all: true, names: Vec::new() },
        NeededLabels::Only(names) => wire::NeededLabels { all: false, names: names.iter().cloned().collect() },
    }
}

pub(super) fn decode_needed(labels: Option<wire::NeededLabels>) -> Result<NeededLabels, String> {
    let wire::NeededLabels { all, names } = required(labels, "which labels are needed")?;
    Ok(if all { NeededLabels::All } else { NeededLabels::Only(names.into_iter().collect()) })
}

pub(super) fn encode_labels(labels: &LabelSet) -> wire::Labels {
    wire::Labels { labels: labels.iter().map(|(name, value)| wire::Label { name: name.to_owned(), value: value.to_owned() }).collect() }
}

pub(super) fn decode_labels(labels: wire::Labels) -> Result<LabelSet, String> {
    LabelSet::from_pairs(labels.labels.into_iter().map(|label| (label.name, label.value))).map_err(|error| error.to_string())
}

pub(super) fn encode_grouping(grouping: &Grouping) -> wire::Grouping {
    wire::Grouping { without: grouping.kind == GroupingKind::Without, labels: grouping.labels.clone() }
}

pub(super) fn decode_grouping(grouping: wire::Grouping) -> Grouping {
    Grouping { kind: if grouping.without { GroupingKind::Without } else { GroupingKind::By }, labels: grouping.labels }
}

pub(super) fn encode_steps(steps: Steps) -> Result<wire::Steps, String> {
    checked_steps(wire::Steps { start: steps.start, step: steps.step, count: count(steps.count)? })
}

pub(super) fn decode_steps(steps: Option<wire::Steps>) -> Result<Steps, String> {
    let wire::Steps { start, step, count } = checked_steps(required(steps, "when it is evaluated")?)?;
    Ok(Steps { start, step, count: size(count)? })
}

fn checked_steps(steps: wire::Steps) -> Result<wire::Steps, String> {
    if steps.step < 1 || steps.count < 1 || steps.count > MAX_STEPS {
        return Err(format!("{} steps of {} ns: there are 1 to {MAX_STEPS} steps, of at least 1 ns", steps.count, steps.step));
    }
    Ok(steps)
}
