//! What a function returns for an event: which records are to be delivered again.
//! Must not know: why a record failed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::event::{Event, EventKind};

/// What becomes of the records that Firehose lends for a transformation, once they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// They go on to the stream's destination.
    On,
    /// They are only stored here.
    Dropped,
}

/// How to end the invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Return this JSON.
    Json(String),
    /// Fail with this text, so that the whole event is delivered again.
    Fail(String),
}

impl Event {
    /// The answer when the items `failed` were not stored, and all others were. Asks that of `ReportBatchItemFailures` for SQS and Kinesis:
    /// without it in the event source mapping Lambda ignores the list and counts all records as done.
    pub fn answer(&self, failed: &BTreeSet<usize>, passed: Passed) -> Answer {
        let lowest = failed.first().copied();
        match (self.kind, lowest) {
            (EventKind::FirehoseTransform, _) => self.firehose_answer(failed, passed),
            (EventKind::Sqs | EventKind::Kinesis, None) => Answer::Json(json!({ "batchItemFailures": [] }).to_string()),
            // The same to Lambda, whether or not the mapping asks for the list.
            (EventKind::Sqs, _) if failed.len() == self.items.len() => Answer::Fail("no message was stored".to_owned()),
            (EventKind::Kinesis, Some(0)) => Answer::Fail("no record was stored".to_owned()),
            // Lambda delivers the lowest and everything behind it again.
            (EventKind::Kinesis, Some(lowest)) => self.item_failures([lowest]),
            (EventKind::Sqs, Some(lowest)) if self.ordered => self.item_failures(lowest..self.items.len()),
            (EventKind::Sqs, _) => self.item_failures(failed.iter().copied()),
            (_, Some(_)) => Answer::Fail(format!("{} of {} records were not stored", failed.len(), self.items.len())),
            (_, None) => Answer::Json("{}".to_owned()),
        }
    }

    fn item_failures(&self, indices: impl IntoIterator<Item = usize>) -> Answer {
        let failures: Vec<Value> = indices.into_iter().filter_map(|index| self.items.get(index)).map(|item| json!({ "itemIdentifier": item.id })).collect();
        Answer::Json(json!({ "batchItemFailures": failures }).to_string())
    }

    /// Each record once, with the data it came with.
    fn firehose_answer(&self, failed: &BTreeSet<usize>, passed: Passed) -> Answer {
        let records = self.items.iter().enumerate().map(|(index, item)| {
            let result = match passed {
                _ if failed.contains(&index) => "ProcessingFailed",
                Passed::On => "Ok",
                Passed::Dropped => "Dropped",
            };
            json!({ "recordId": item.id, "result": result, "data": item.data.as_deref().unwrap_or_default() })
        });
        Answer::Json(json!({ "records": records.collect::<Vec<_>>() }).to_string())
    }
}
