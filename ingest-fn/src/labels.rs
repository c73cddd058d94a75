//! Streams of one push: label text becomes a `LabelSet` once per distinct text, with service name, level and limits settled.
//! The rules and texts are Loki's (`pkg/loghttp/push`, `pkg/distributor/validator.go`).
//! Must not know: entries.

use std::collections::HashMap;
use std::sync::Arc;

use schema::labels::{LabelParseError, is_label_name};
use schema::quote::quote;
use schema::{IngestLimits, LabelSet};

use crate::detect_level::{LEVEL_FIELDS, normalize};
use crate::error::{BodyPart, PushError};
use crate::reject::{DiscardReason, shorten};

/// The label that every stream gets.
const SERVICE_NAME: &str = "service_name";
/// Its value when no label names a service.
const UNKNOWN_SERVICE: &str = "unknown_service";
/// Labels that name a service, best first.
const SERVICE_LABELS: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];
/// Labels of streams that a Loki derives from others; they get no service name and no label checks.
const INTERNAL_LABELS: [&str; 2] = ["__aggregated_metric__", "__pattern__"];
const BACKFILL: &str = "__backfill__";
const BACKFILL_SHARD: &str = "__backfill_shard__";
/// Longest `X-Loki-Backfill-Shard` header.
const MAX_BACKFILL_SHARD_BYTES: usize = 128;
/// More labels than this are counted but not read: no limit that makes sense allows them.
const MAX_READ_LABELS: usize = 4096;
/// Longer label texts are not remembered for the rest of the push.
const MAX_REMEMBERED_BYTES: usize = 16 << 10;

/// A stream of the push.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Its labels, `service_name` included.
    pub(crate) labels: LabelSet,
    /// The level that its labels give to every entry.
    pub(crate) level: Option<Box<str>>,
    /// Why no entry of it is accepted.
    pub(crate) refusal: Option<Refusal>,
}

/// Why a whole stream is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: DiscardReason,
    pub(crate) message: String,
}

/// Resolves label texts, each distinct one once.
#[derive(Debug)]
pub(crate) struct StreamTable<'a> {
    limits: &'a IngestLimits,
    backfill_shard: Option<&'a str>,
    known: HashMap<Box<[u8]>, Arc<Stream>>,
}

impl<'a> StreamTable<'a> {
    pub(crate) fn new(limits: &'a IngestLimits, backfill_shard: Option<&'a str>) -> Result<Self, PushError> {
        let backfill_shard = backfill_shard.filter(|shard| !shard.is_empty());
        if backfill_shard.is_some_and(|shard| shard.len() > MAX_BACKFILL_SHARD_BYTES) {
            return Err(PushError::BackfillShardTooLong { limit: MAX_BACKFILL_SHARD_BYTES });
        }
        Ok(Self { limits, backfill_shard, known: HashMap::new() })
    }

    /// Whether the push carries backfilled data, which the age limit does not apply to.
    pub(crate) fn is_backfill(&self) -> bool {
        self.backfill_shard.is_some()
    }

    /// The stream of the Prometheus label text `text`.
    pub(crate) fn by_text(&mut self, text: &[u8]) -> Result<Arc<Stream>, PushError> {
        if let Some(stream) = self.known.get(text) {
            return Ok(Arc::clone(stream));
        }
        self.check_length(text)?;
        let text_str = simdutf8::basic::from_utf8(text).map_err(|_| PushError::Labels { detail: "the label text is not UTF-8".to_owned() })?;
        let count = count_values(text);
        let stream = if count > MAX_READ_LABELS {
            self.too_many(text_str, count)
        } else {
            match LabelSet::parse(text_str) {
                Ok(labels) => self.settle(labels)?,
                Err(LabelParseError::Duplicate(error)) => duplicate(text_str, &error.name),
                Err(error) => return Err(PushError::Labels { detail: error.to_string() }),
            }
        };
        Ok(self.remember(text, stream))
    }

    /// The stream that the text of a label object or the bytes of a resource stand for, if they were seen before in this push.
    pub(crate) fn known(&self, text: &[u8]) -> Option<Arc<Stream>> {
        self.known.get(text).map(Arc::clone)
    }

    /// The stream of a label object or resource that reads `text`. Of equal names the last one counts, as in Go's maps.
    /// `pairs` may be shorter than `count` when that is past [`MAX_READ_LABELS`].
    pub(crate) fn by_pairs(&mut self, text: &[u8], pairs: Vec<(String, String)>, count: usize) -> Result<Arc<Stream>, PushError> {
        self.check_length(text)?;
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !is_label_name(name)) {
            return Err(PushError::Labels { detail: format!("invalid label name {}", quote(&shorten(name))) });
        }
        let stream = if count > MAX_READ_LABELS {
            self.too_many(&String::from_utf8_lossy(text), count)
        } else {
            let by_name: std::collections::BTreeMap<String, String> = pairs.into_iter().collect();
            self.settle(LabelSet::from_pairs(by_name).map_err(|error| PushError::Labels { detail: error.to_string() })?)?
        };
        Ok(self.remember(text, stream))
    }

    /// The stream of labels that are not text; the caller asks once for each.
    pub(crate) fn by_labels(&self, labels: LabelSet) -> Result<Arc<Stream>, PushError> {
        Ok(Arc::new(self.settle(labels)?))
    }

    fn check_length(&self, text: &[u8]) -> Result<(), PushError> {
        let limit = self.limits.max_stream_labels_bytes;
        if text.len() > limit { Err(PushError::TooLarge { part: BodyPart::StreamLabels, limit }) } else { Ok(()) }
    }

    fn remember(&mut self, text: &[u8], stream: Stream) -> Arc<Stream> {
        let stream = Arc::new(stream);
        if text.len() <= MAX_REMEMBERED_BYTES {
            self.known.insert(text.into(), Arc::clone(&stream));
        }
        stream
    }

    fn too_many(&self, text: &str, count: usize) -> Stream {
        let message = format!("entry for stream '{}' has {count} label names; limit {}", shorten(text), self.limits.max_label_names_per_series);
        Stream { labels: LabelSet::default(), level: None, refusal: Some(Refusal { reason: DiscardReason::TooManyLabels, message }) }
    }

    /// Adds what Loki adds to `sent` and checks the result.
    fn settle(&self, sent: LabelSet) -> Result<Stream, PushError> {
        if sent.get(BACKFILL).is_some() || sent.get(BACKFILL_SHARD).is_some() {
            return Err(PushError::ReservedLabels);
        }
        let internal = INTERNAL_LABELS.iter().any(|name| sent.get(name).is_some());
        let level = if self.limits.discover { level_of(&sent) } else { None };
        let mut labels = sent;
        if self.limits.discover && !internal && labels.get(SERVICE_NAME).is_none() {
            let service: Box<str> = SERVICE_LABELS.iter().find_map(|name| labels.get(name)).unwrap_or(UNKNOWN_SERVICE).into();
            labels = labels.with(SERVICE_NAME, &service);
        }
        let refusal = if internal { None } else { refusal(&labels, self.limits) };
        if let Some(shard) = self.backfill_shard {
            labels = labels.with(BACKFILL, "true").with(BACKFILL_SHARD, shard);
        }
        Ok(Stream { labels, level, refusal })
    }
}

fn level_of(labels: &LabelSet) -> Option<Box<str>> {
    let value = LEVEL_FIELDS.iter().find_map(|name| labels.get(name))?;
    Some(normalize(value.as_bytes()).unwrap_or(value).into())
}

fn refusal(labels: &LabelSet, limits: &IngestLimits) -> Option<Refusal> {
    let text = || shorten(&labels.to_string());
    if labels.is_empty() {
        return Some(Refusal { reason: DiscardReason::MissingLabels, message: "error at least one label pair is required per stream".to_owned() });
    }
    let count = labels.len() - usize::from(labels.get(SERVICE_NAME).is_some());
    if count > limits.max_label_names_per_series {
        let message = format!("entry for stream '{}' has {count} label names; limit {}", text(), limits.max_label_names_per_series);
        return Some(Refusal { reason: DiscardReason::TooManyLabels, message });
    }
    labels.iter().find_map(|(name, value)| {
        if name.len() > limits.max_label_name_length {
            let message = format!("stream '{}' has label name too long: '{}'", text(), shorten(name));
            Some(Refusal { reason: DiscardReason::LabelNameTooLong, message })
        } else if value.len() > limits.max_label_value_length {
            let message = format!("stream '{}' has label value too long: '{}'", text(), shorten(value));
            Some(Refusal { reason: DiscardReason::LabelValueTooLong, message })
        } else {
            None
        }
    })
}

fn duplicate(text: &str, name: &str) -> Stream {
    let message = format!("stream '{}' has duplicate label name: '{}'", shorten(text), shorten(name));
    Stream { labels: LabelSet::default(), level: None, refusal: Some(Refusal { reason: DiscardReason::DuplicateLabelNames, message }) }
}

/// The number of `=` outside quotes: the number of labels in a label text, found without storing any.
fn count_values(text: &[u8]) -> usize {
    let mut count = 0;
    let mut quote = None;
    let mut escaped = false;
    for &byte in text {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(b'"'), b'\\') => escaped = true,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'`') => quote = Some(byte),
            (None, b'=') => count += 1,
            (None, _) => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Arc<Stream>, PushError> {
        StreamTable::new(&IngestLimits::default(), None)?.by_text(text.as_bytes())
    }

    #[test]
    fn service_name_is_found_in_order() {
        for (text, service) in [
            (r#"{service_name="a", service="b"}"#, "a"),
            (r#"{app="b", service="a"}"#, "a"),
            (r#"{job="a", service=""}"#, "a"),
            (r#"{container="b", application="a"}"#, "a"),
            (r#"{env="prod"}"#, "unknown_service"),
            ("{}", "unknown_service"),
        ] {
            assert_eq!(resolve(text).unwrap().labels.get("service_name"), Some(service), "{text}");
        }
        assert_eq!(resolve(r#"{__aggregated_metric__="x"}"#).unwrap().labels.get("service_name"), None);
    }

    #[test]
    fn a_label_gives_the_level() {
        for (text, level) in [(r#"{level="WARNING"}"#, Some("warn")), (r#"{lvl="info", severity="7"}"#, Some("7")), (r#"{a="b"}"#, None)] {
            assert_eq!(resolve(text).unwrap().level.as_deref(), level, "{text}");
        }
    }

    #[test]
    fn millions_of_labels_cost_no_memory() {
        let mut text = String::from("{");
        for i in 0..1_000_000 {
            text.push_str(&format!("a{i}=\"=\","));
        }
        text.push('}');
        let message = resolve(&text).unwrap().refusal.as_ref().map(|r| r.message.clone()).unwrap();
        assert!(message.starts_with("entry for stream '{a0=\"=\",a1=") && message.ends_with("...' has 1000000 label names; limit 15"), "{message}");
        assert!(message.len() < 5000);
    }

    #[test]
    fn backfill_labels_come_from_the_header_only() {
        for text in [r#"{__backfill__="true"}"#, r#"{__backfill_shard__="1"}"#] {
            assert!(matches!(resolve(text), Err(PushError::ReservedLabels)));
        }
        let limits = IngestLimits::default();
        let mut table = StreamTable::new(&limits, Some("7")).unwrap();
        let labels = table.by_text(br#"{app="x"}"#).unwrap().labels.to_string();
        assert_eq!(labels, r#"{__backfill__="true", __backfill_shard__="7", app="x", service_name="x"}"#);
        assert_eq!(StreamTable::new(&limits, Some(&"x".repeat(129))).unwrap_err().status(), 400);
    }
}
