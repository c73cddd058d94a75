//! The section `[syslog]`: where messages are taken, whose they are, and what their parts become.
//! Must not know: messages.

use std::net::SocketAddr;
use std::sync::Arc;

use ingest_fn::elastic::{LabelField, parse_label_fields};
use ingest_fn::syslog::{SYSLOG_FIELDS, SyslogSettings};
use jiff::tz::TimeZone;
use schema::quote::quote;
use schema::{LabelSet, TenantId};

use super::raw::{RawLabels, RawSyslog, Scalar};
use super::{Lookup, parse_address};
use crate::error::TarnError;

const ADDRESS: &str = "an address such as 0.0.0.0:6514, or nothing for none";
const LABELS: &str = "labels such as {job=\"syslog\"}";
const FIELDS: &str = "a list of parts, each as 'part' or 'part=label', out of host, app_name, facility, severity, procid and msgid (in the environment: with commas between); a label is letters, digits and _";
const ZONE: &str = "a time zone such as UTC or Europe/Berlin";

/// Where syslog comes in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SyslogConfig {
    pub(crate) listen_tcp: Option<SocketAddr>,
    /// With the certificate of `[tls]`.
    pub(crate) listen_tls: Option<SocketAddr>,
    pub(crate) listen_udp: Option<SocketAddr>,
    /// Whose the messages are; `None`: the default tenant's.
    pub(crate) tenant: Option<TenantId>,
    /// What their parts become.
    pub(crate) settings: Arc<SyslogSettings>,
}

impl SyslogConfig {
    pub(crate) const TCP: &'static str = "syslog.listen_tcp";
    pub(crate) const TLS: &'static str = "syslog.listen_tls";
    pub(crate) const UDP: &'static str = "syslog.listen_udp";

    /// Whether there is an address.
    pub(crate) fn is_on(&self) -> bool {
        self.listen_tcp.is_some() || self.listen_tls.is_some() || self.listen_udp.is_some()
    }

    /// Errors: what does not go with other settings.
    pub(super) fn check(&self, has_certificate: bool, is_guarded: bool) -> Result<(), TarnError> {
        if self.listen_tls.is_some() && !has_certificate {
            return Err(TarnError::SyslogTls);
        }
        if self.is_on() && is_guarded && self.tenant.is_none() {
            return Err(TarnError::SyslogTenant);
        }
        Ok(())
    }
}

impl Lookup<'_> {
    pub(super) fn syslog(&self, raw: &RawSyslog) -> Result<SyslogConfig, TarnError> {
        let d = SyslogSettings::default();
        let address = |key: &str, raw: &Option<Scalar>| self.get(key, None, raw.as_ref(), None, parse_off_or_address, ADDRESS);
        let tenant = |text: &str| TenantId::parse(text).ok().map(Some);
        let fields = raw.label_fields.as_ref().map(RawLabels::to_scalar);
        Ok(SyslogConfig {
            listen_tcp: address(SyslogConfig::TCP, &raw.listen_tcp)?,
            listen_tls: address(SyslogConfig::TLS, &raw.listen_tls)?,
            listen_udp: address(SyslogConfig::UDP, &raw.listen_udp)?,
            tenant: self.get("syslog.tenant", None, raw.tenant.as_ref(), None, tenant, "a tenant id")?,
            settings: Arc::new(SyslogSettings {
                labels: self.get("syslog.labels", None, raw.labels.as_ref(), d.labels, parse_labels, LABELS)?,
                label_fields: self.get("syslog.label_fields", None, fields.as_ref(), d.label_fields, parse_fields, FIELDS)?,
                time_zone: self.get("syslog.time_zone", None, raw.time_zone.as_ref(), d.time_zone, |name| TimeZone::get(name).ok(), ZONE)?,
            }),
        })
    }
}

fn parse_off_or_address(text: &str) -> Option<Option<SocketAddr>> {
    if text.is_empty() { Some(None) } else { parse_address(text).map(Some) }
}

/// With or without braces.
fn parse_labels(text: &str) -> Option<LabelSet> {
    if text.starts_with('{') { LabelSet::parse(text).ok() } else { LabelSet::parse(&format!("{{{text}}}")).ok() }
}

fn parse_fields(text: &str) -> Option<Vec<LabelField>> {
    parse_label_fields(text).filter(|fields| fields.iter().all(|field| SYSLOG_FIELDS.contains(&field.field.as_str())))
}

/// As YAML values of one line each, under the names of the configuration file.
pub(super) fn show_syslog(config: &SyslogConfig) -> Vec<(&'static str, String)> {
    let address = |address: Option<SocketAddr>| quote(&address.map_or_else(String::new, |address| address.to_string()));
    let fields: Vec<String> = config.settings.label_fields.iter().map(|field| quote(&field.to_string())).collect();
    vec![
        ("listen_tcp", address(config.listen_tcp)),
        ("listen_tls", address(config.listen_tls)),
        ("listen_udp", address(config.listen_udp)),
        ("tenant", quote(config.tenant.as_ref().map_or("", |tenant| tenant.as_str()))),
        ("labels", quote(&config.settings.labels.to_string())),
        ("label_fields", format!("[{}]", fields.join(", "))),
        ("time_zone", quote(config.settings.time_zone.iana_name().unwrap_or("UTC"))),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::resolve;

    #[test]
    fn addresses_and_parts_from_the_file_and_the_environment() {
        let file = "[syslog]\nlisten_tcp = \":6514\"\nlabels = 'job=\"net\", site=\"x\"'\nlabel_fields = [\"host\", \"severity=level\"]\ntime_zone = \"Europe/Berlin\"\n";
        let config = resolve(&[], file, &[("TARN_SYSLOG_LISTEN_UDP", "127.0.0.1:514"), ("TARN_SYSLOG_TENANT", "ops")]).unwrap();
        let yaml = config.to_yaml();
        let section = "syslog:\n  listen_tcp: \"0.0.0.0:6514\"\n  listen_tls: \"\"\n  listen_udp: \"127.0.0.1:514\"\n  tenant: \"ops\"\n  labels: \"{job=\\\"net\\\", site=\\\"x\\\"}\"\n  label_fields: [\"host=host\", \"severity=level\"]\n  time_zone: \"Europe/Berlin\"\n";
        assert!(yaml.contains(section), "{yaml}");
        assert!(!resolve(&[], "[syslog]\nlisten_tcp = \"\"\n", &[]).unwrap().syslog.is_on());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (variable, value, told) in [
            ("TARN_SYSLOG_LISTEN_TCP", "here", "TARN_SYSLOG_LISTEN_TCP: 'here' is not an address such as 0.0.0.0:6514"),
            ("TARN_SYSLOG_LABELS", "job", "TARN_SYSLOG_LABELS: 'job' is not labels such as {job=\"syslog\"}"),
            ("TARN_SYSLOG_LABEL_FIELDS", "hostname", "TARN_SYSLOG_LABEL_FIELDS: 'hostname' is not a list of parts"),
            ("TARN_SYSLOG_TIME_ZONE", "Mars/Base", "TARN_SYSLOG_TIME_ZONE: 'Mars/Base' is not a time zone such as UTC"),
            ("TARN_SYSLOG_LISTEN_TLS", "127.0.0.1:6514", "syslog.listen_tls is set, and there is no certificate: set tls.cert_file and tls.key_file"),
        ] {
            let error = resolve(&[], "", &[(variable, value)]).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
        let guarded = resolve(&[], "[auth]\nenabled = true\n[syslog]\nlisten_udp = \":514\"\n", &[]).unwrap_err().to_string();
        assert!(guarded.contains("set syslog.tenant"), "{guarded}");
    }
}
