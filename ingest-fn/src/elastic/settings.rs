//! Which field of a document becomes what, decided once at start.
//! Owns: the defaults, the text form of a field list. Must not know: where settings come from, documents.

use std::collections::HashMap;
use std::fmt;

use schema::labels::is_label_name;

/// The index or data stream that a document was sent to, as if it were a field of it.
pub(super) const INDEX_FIELD: &str = "_index";

/// Fields that become labels: what names a service or a place in few values. Of fields for the same label the first one that a document has counts.
const DEFAULT_LABEL_FIELDS: &str = "_index=index,data_stream.dataset,data_stream.namespace,service.name=service_name,service=service_name,\
    service.environment=environment,app,kubernetes.namespace=namespace,kubernetes.namespace_name=namespace,kubernetes.container.name=container,\
    kubernetes.container_name=container,container.name=container,kubernetes.labels.app=app,kubernetes.labels.app_kubernetes_io/name=app";
const DEFAULT_LINE_FIELDS: &str = "message,log,event.original";
const DEFAULT_TIME_FIELDS: &str = "@timestamp";

/// What the fields of documents become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElasticSettings {
    label_fields: Vec<LabelField>,
    line_fields: Vec<String>,
    time_fields: Vec<String>,
    /// By path: index into the times, then the lines, then the labels.
    slots: HashMap<Box<[u8]>, usize>,
}

/// A field and the label that it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelField {
    /// Path with dots, such as `service.name`.
    pub field: String,
    /// A valid label name.
    pub label: String,
}

impl Default for ElasticSettings {
    fn default() -> Self {
        let labels = parse_label_fields(DEFAULT_LABEL_FIELDS).unwrap_or_default();
        Self::new(labels, parse_field_list(DEFAULT_LINE_FIELDS).unwrap_or_default(), parse_field_list(DEFAULT_TIME_FIELDS).unwrap_or_default())
    }
}

impl ElasticSettings {
    /// Settings of these fields, best first. A field that is named for two things is taken for the first of time, line and label.
    pub fn new(label_fields: Vec<LabelField>, line_fields: Vec<String>, time_fields: Vec<String>) -> Self {
        let mut slots = HashMap::new();
        let paths = time_fields.iter().chain(&line_fields).chain(label_fields.iter().map(|field| &field.field));
        for (slot, path) in paths.enumerate() {
            slots.entry(Box::from(path.as_bytes())).or_insert(slot);
        }
        Self { label_fields, line_fields, time_fields, slots }
    }

    /// Fields that become labels.
    pub fn label_fields(&self) -> &[LabelField] {
        &self.label_fields
    }

    /// Fields that become the line.
    pub fn line_fields(&self) -> &[String] {
        &self.line_fields
    }

    /// Fields that become the time.
    pub fn time_fields(&self) -> &[String] {
        &self.time_fields
    }

    /// Where the field `path` is put, if it is wanted.
    pub(super) fn slot(&self, path: &[u8]) -> Option<usize> {
        self.slots.get(path).copied()
    }

    /// Number of slots.
    pub(super) fn slots(&self) -> usize {
        self.time_fields.len() + self.line_fields.len() + self.label_fields.len()
    }
}

impl fmt::Display for LabelField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.field, self.label)
    }
}

/// Fields with commas between them; `None` for an empty name. An empty text is the empty list.
pub fn parse_field_list(text: &str) -> Option<Vec<String>> {
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    text.split(',').map(|field| Some(field.trim()).filter(|field| !field.is_empty()).map(str::to_owned)).collect()
}

/// `field` or `field=label` with commas between; without a label the field's name with `_` for what a label name cannot have. `None` for a name
/// that cannot be a label, or is reserved (`__...`).
pub fn parse_label_fields(text: &str) -> Option<Vec<LabelField>> {
    parse_field_list(text)?.into_iter().map(|entry| parse_label_field(&entry)).collect()
}

fn parse_label_field(entry: &str) -> Option<LabelField> {
    let (field, label) = match entry.rsplit_once('=') {
        Some((field, label)) => (field.trim(), label.trim().to_owned()),
        None => (entry, entry.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()),
    };
    (!field.is_empty() && is_label_name(&label) && !label.starts_with("__")).then(|| LabelField { field: field.to_owned(), label })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_lists() {
        assert_eq!(parse_field_list(" message , log.text "), Some(vec!["message".to_owned(), "log.text".to_owned()]));
        assert_eq!((parse_field_list(""), parse_field_list("a,,b")), (Some(Vec::new()), None));
    }

    #[test]
    fn label_fields() {
        let shown = |text: &str| parse_label_fields(text).map(|fields| fields.iter().map(LabelField::to_string).collect::<Vec<_>>().join(","));
        for (text, expected) in [
            ("service.name=service_name, host.name", Some("service.name=service_name,host.name=host_name")),
            ("a=b=c", Some("a=b=c")),
            ("", Some("")),
            ("=x", None),
            ("host.name=1x", None),
            ("9", None),
            ("a=__backfill__", None),
        ] {
            assert_eq!(shown(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_defaults_are_what_they_are_meant_to_be() {
        let settings = ElasticSettings::default();
        assert_eq!((settings.label_fields().len(), settings.line_fields().len(), settings.time_fields()), (14, 3, &["@timestamp".to_owned()][..]));
    }
}
