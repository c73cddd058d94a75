//! What the parts of a message become, decided once at start. Must not know: where settings come from.

use jiff::tz::TimeZone;
use schema::LabelSet;

use crate::elastic::LabelField;

/// The parts of a message that can become labels, by their names in the settings.
pub const SYSLOG_FIELDS: [&str; 6] = ["host", "app_name", "facility", "severity", "procid", "msgid"];

/// What the parts of a message become.
#[derive(Clone, Debug, PartialEq)]
pub struct SyslogSettings {
    /// Labels that every message gets.
    pub labels: LabelSet,
    /// Parts that become labels, and which; the others are structured metadata. Fields out of [`SYSLOG_FIELDS`].
    pub label_fields: Vec<LabelField>,
    /// The zone of times that name none, which are those of RFC 3164.
    pub time_zone: TimeZone,
}

impl Default for SyslogSettings {
    /// Names of few values: the host, the program, the facility.
    fn default() -> Self {
        let field = |field: &str, label: &str| LabelField { field: field.to_owned(), label: label.to_owned() };
        Self {
            labels: LabelSet::from_pairs([("job", "syslog")]).unwrap_or_default(),
            label_fields: vec![field("host", "host"), field("app_name", "app"), field("facility", "facility")],
            time_zone: TimeZone::UTC,
        }
    }
}

impl SyslogSettings {
    /// The label that `field` becomes.
    pub(super) fn label_of(&self, field: &str) -> Option<&str> {
        self.label_fields.iter().find(|known| known.field == field).map(|known| known.label.as_str())
    }
}
