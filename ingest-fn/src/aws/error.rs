//! Why an event, one of its records, an object or a rule file cannot be used, each with what to do about it.
//! Must not know: how an adapter reports it.

use schema::quote::quote;

use crate::reject::shorten;

/// What is wrong with an event or with what it carries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// The event is not JSON.
    #[error("the event is not JSON: {detail}")]
    NotJson {
        /// What the parser says.
        detail: String,
    },
    /// JSON of a shape that no known source sends.
    #[error(
        "unknown event: {seen}; expected an HTTP request, CloudWatch Logs, Kinesis, Firehose, SQS, SNS, S3 or EventBridge (`Object Created`, `Scheduled Event`)"
    )]
    UnknownEvent {
        /// The members that would have told what it is.
        seen: String,
    },
    /// A known event without something it must have.
    #[error("{event} event: {place} is missing or not a {kind}")]
    Shape {
        /// `S3`, `SQS`, ...
        event: &'static str,
        /// The path of the member.
        place: String,
        /// What it should be.
        kind: &'static str,
    },
    /// Data that is not base64.
    #[error("{place} is not base64: {detail}")]
    Base64 {
        /// Which data.
        place: String,
        /// What the decoder says.
        detail: String,
    },
    /// Compressed data that does not decompress, or to more than is allowed.
    #[error("{place}: {detail}")]
    Compressed {
        /// Which data.
        place: String,
        /// What the decoder says.
        detail: String,
    },
    /// More lines than may be in memory at once.
    #[error("the records so far and this one come to more than {limit} bytes (max_decompressed_bytes); let the source send smaller batches")]
    TooLarge {
        /// The limit on all records of an event or request.
        limit: usize,
    },
    /// CloudWatch Logs data that is not what CloudWatch Logs sends.
    #[error("CloudWatch Logs data: {detail}")]
    CloudWatch {
        /// What is wrong.
        detail: String,
    },
    /// Records that the Kinesis Producer Library has packed together and that are damaged.
    #[error("aggregated Kinesis record: {detail}")]
    Aggregated {
        /// What is wrong.
        detail: String,
    },
    /// An object in a format without lines.
    #[error("s3://{bucket}/{key} is {format}, which has no lines; let the service write text or JSON, or leave the object out with a rule (`skip = true`)")]
    Format {
        /// The object's bucket.
        bucket: String,
        /// Its key.
        key: String,
        /// What its first bytes say.
        format: &'static str,
    },
    /// An object that ends too soon or is not what its first bytes say.
    #[error("s3://{bucket}/{key} is damaged after {decoded} decompressed bytes: {detail}")]
    Damaged {
        /// The object's bucket.
        bucket: String,
        /// Its key.
        key: String,
        /// What was read before.
        decoded: u64,
        /// What the decoder says.
        detail: String,
    },
    /// Accepted lines that break a rule of the push path, such as a metadata name without a letter.
    #[error("{detail}")]
    Rows {
        /// The push path's words.
        detail: String,
    },
}

/// What is wrong with a rule file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Not TOML, or a member that there is not.
    #[error("rule file: {detail}")]
    Syntax {
        /// What the parser says, with the place.
        detail: String,
    },
    /// A rule that cannot work.
    #[error("rule file, rule {number}{}: {problem}; {fix}", named(name.as_deref()))]
    Rule {
        /// Counted from 1.
        number: usize,
        /// Its name, if it has one.
        name: Option<String>,
        /// What is wrong.
        problem: String,
        /// What to write instead.
        fix: String,
    },
}

fn named(name: Option<&str>) -> String {
    name.map(|name| format!(" {}", quote(name))).unwrap_or_default()
}

/// `text` as part of a message: quoted, and not endless.
pub(super) fn quoted(text: &str) -> String {
    quote(&shorten(text))
}
