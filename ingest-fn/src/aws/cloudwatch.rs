//! CloudWatch Logs data as its subscriptions send it: JSON, mostly compressed with gzip, one log stream at a time.
//! Must not know: by which way it came, batches.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::error::{AwsError, quoted};
use super::expand::GZIP_MAGIC;
use super::source::{LogType, Source};
use crate::decode::inflate::{Encoding, decompress};
use crate::error::PushError;

/// `data` without its compression, which may not come to more than `room` bytes, what is left of `limit`.
pub(super) fn expanded<'d>(data: &'d [u8], room: usize, limit: usize) -> Result<Cow<'d, [u8]>, AwsError> {
    if !data.starts_with(&GZIP_MAGIC) {
        return Ok(Cow::Borrowed(data));
    }
    let failed = |error: PushError| match error {
        PushError::TooLarge { .. } => AwsError::TooLarge { limit },
        error => AwsError::Compressed { place: "compressed record".to_owned(), detail: error.to_string() },
    };
    decompress(Encoding::Gzip, data, room).map(Cow::Owned).map_err(failed)
}

/// One entry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogEvent<'d> {
    #[serde(borrow, default)]
    id: Cow<'d, str>,
    /// Milliseconds.
    timestamp: i64,
    #[serde(borrow, default)]
    message: Cow<'d, str>,
    extracted_fields: Option<Map<String, Value>>,
}

impl LogEvent<'_> {
    /// Nanoseconds; the ends of time for what does not fit.
    pub(super) fn nanos(&self) -> i64 {
        self.timestamp.saturating_mul(1_000_000)
    }

    /// The message without the newline that Lambda and others end it with.
    pub(super) fn line(&self) -> &str {
        self.message.trim_end_matches(['\n', '\r'])
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMessage<'d> {
    message_type: String,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    log_group: Option<String>,
    #[serde(default)]
    log_stream: Option<String>,
    #[serde(borrow, default)]
    log_events: Option<Vec<LogEvent<'d>>>,
}

/// Whether `json` looks like a message at all.
pub(super) fn is_message(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Probe {
        #[serde(rename = "messageType")]
        _message_type: IgnoredAny,
        #[serde(rename = "logEvents")]
        _log_events: IgnoredAny,
    }
    serde_json::from_slice::<Probe>(json).is_ok()
}

/// Reads one message: entries of one log stream, or `None` for CloudWatch's own question whether anybody listens. An entry that has the id of an earlier one is the same entry and left out.
pub(super) fn read<'d>(json: &'d [u8], region: Option<&str>) -> Result<Option<(Source, Vec<LogEvent<'d>>)>, AwsError> {
    let raw: RawMessage<'d> = serde_json::from_slice(json).map_err(|error| AwsError::CloudWatch { detail: error.to_string() })?;
    match raw.message_type.as_str() {
        "DATA_MESSAGE" => {}
        "CONTROL_MESSAGE" => return Ok(None),
        other => return Err(AwsError::CloudWatch { detail: format!("messageType {} is neither DATA_MESSAGE nor CONTROL_MESSAGE", quoted(other)) }),
    }
    let mut events = raw.log_events.unwrap_or_default();
    let mut seen: HashSet<String> = HashSet::with_capacity(events.len());
    events.retain(|event| event.id.is_empty() || seen.insert(event.id.clone().into_owned()));
    // Account-wide subscriptions can be told to add these to each event.
    let extracted = |name: &str| {
        let fields = events.iter().find_map(|event| event.extracted_fields.as_ref())?;
        fields.get(name).and_then(Value::as_str).map(str::to_owned)
    };
    let mut source = Source::new(LogType::CloudWatch);
    source.region = extracted("@aws.region").or_else(|| region.map(str::to_owned));
    source.account_id = raw.owner.or_else(|| extracted("@aws.account"));
    source.log_group = raw.log_group;
    source.log_stream = raw.log_stream;
    Ok(Some((source, events)))
}
