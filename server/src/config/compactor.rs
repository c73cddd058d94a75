//! The section `[compactor]`: when compaction runs, how rows are partitioned, how long they are kept.
//! Owns: its defaults, reading of selectors, which rules hold for which tenant. Must not know: what a compactor does with them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use compactor::{RetentionRule, Settings, TenantSettings};
use logql::SelectorError;
use schema::labels::is_label_name;
use schema::quote::quote;
use schema::{Matcher, TenantId};

use super::raw::{RawCompactor, RawLabels, RawRetention, Scalar};
use super::units::parse_duration;
use super::{DURATION, Lookup, SWITCH, parse_bool, parse_off_or_duration, show};
use crate::error::TarnError;

const LABELS: &str = "a list of label names such as [\"service_name\"] (in the environment: names with commas between)";
const INTERVAL: &str = "a duration such as 60s, longer than 0";

/// When and how this process compacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompactorConfig {
    /// Whether a process of role all or compactor compacts by itself.
    pub(crate) enabled: bool,
    /// From the end of one run to the begin of the next.
    pub(crate) interval: Duration,
    /// How long objects stay that nothing refers to any more.
    pub(crate) grace: Duration,
    /// How long a delete request can be taken back.
    pub(crate) delete_cancel_period: Duration,
    /// Of tenants that have nothing of their own.
    pub(crate) default: TenantSettings,
    /// Of tenants that do.
    pub(crate) tenants: BTreeMap<TenantId, TenantSettings>,
}

impl Default for CompactorConfig {
    fn default() -> Self {
        let library = Settings::default();
        Self {
            enabled: true,
            interval: Duration::from_secs(60),
            grace: library.grace,
            delete_cancel_period: library.delete_cancel_period,
            default: library.default,
            tenants: BTreeMap::new(),
        }
    }
}

impl CompactorConfig {
    /// As the library wants it.
    pub(crate) fn settings(&self) -> Settings {
        let tenants: HashMap<TenantId, TenantSettings> = self.tenants.iter().map(|(tenant, settings)| (tenant.clone(), settings.clone())).collect();
        Settings { default: self.default.clone(), tenants, grace: self.grace, delete_cancel_period: self.delete_cancel_period, ..Settings::default() }
    }

    /// What holds for `tenant`.
    pub(crate) fn of(&self, tenant: &TenantId) -> &TenantSettings {
        self.tenants.get(tenant).unwrap_or(&self.default)
    }

    /// How long a tenant's rows are kept that no rule is about, as Loki's `retention_period`: 0 for ever.
    pub(crate) fn retention_period(&self, tenant: &TenantId) -> Duration {
        self.of(tenant).retention.unwrap_or_default()
    }

    /// Whether rows are dropped for their age.
    pub(crate) fn has_retention(&self) -> bool {
        std::iter::once(&self.default).chain(self.tenants.values()).any(|settings| !settings.retains_for_ever())
    }
}

impl Lookup<'_> {
    pub(super) fn compactor(&self, raw: &RawCompactor) -> Result<CompactorConfig, TarnError> {
        let d = CompactorConfig::default();
        let duration = |key: &str, raw: &Option<Scalar>, default| self.get(key, None, raw.as_ref(), default, parse_duration, DURATION);
        let interval = |text: &str| parse_duration(text).filter(|interval| !interval.is_zero());
        let labels = raw.partition_labels.as_ref().map(RawLabels::to_scalar);
        let default = TenantSettings {
            partition_labels: self.get("compactor.partition_labels", None, labels.as_ref(), d.default.partition_labels, parse_labels, LABELS)?,
            retention: self.get("compactor.retention_period", None, raw.retention_period.as_ref(), d.default.retention, parse_off_or_duration, DURATION)?,
            retention_rules: Vec::new(),
        };
        let (default, tenants) = self.tenants(raw, default)?;
        Ok(CompactorConfig {
            enabled: self.get("compactor.enabled", None, raw.enabled.as_ref(), d.enabled, parse_bool, SWITCH)?,
            interval: self.get("compactor.interval", None, raw.interval.as_ref(), d.interval, interval, INTERVAL)?,
            grace: duration("compactor.grace", &raw.grace, d.grace)?,
            delete_cancel_period: duration("compactor.delete_cancel_period", &raw.delete_cancel_period, d.delete_cancel_period)?,
            default,
            tenants,
        })
    }

    /// The settings of all tenants without, and of those with something of their own. A rule without a tenant holds for all.
    fn tenants(&self, raw: &RawCompactor, mut default: TenantSettings) -> Result<(TenantSettings, BTreeMap<TenantId, TenantSettings>), TarnError> {
        let mut rules = Vec::new();
        for (index, raw) in raw.retention.iter().enumerate() {
            let rule = rule(raw).map_err(|problem| TarnError::Retention { rule: index + 1, problem })?;
            rules.push(rule);
        }
        let of_all = |tenant: &Option<TenantId>| tenant.is_none();
        let mut tenants: BTreeMap<TenantId, TenantSettings> = BTreeMap::new();
        for (name, own) in &raw.tenants {
            let key = format!("compactor.tenants.{name}");
            let tenant = TenantId::parse(name).map_err(|_| setting(&key, name, "a tenant id"))?;
            let mut settings = default.clone();
            if let Some(labels) = &own.partition_labels {
                let labels = labels.to_scalar().to_string();
                settings.partition_labels = parse_labels(&labels).ok_or_else(|| setting(&format!("{key}.partition_labels"), &labels, LABELS))?;
            }
            if let Some(period) = &own.retention_period {
                let period = period.to_string();
                settings.retention = parse_off_or_duration(&period).ok_or_else(|| setting(&format!("{key}.retention_period"), &period, DURATION))?;
            }
            tenants.insert(tenant, settings);
        }
        for tenant in rules.iter().filter_map(|(tenant, _)| tenant.clone()) {
            tenants.entry(tenant).or_insert_with(|| default.clone());
        }
        for (tenant, settings) in &mut tenants {
            let holds = rules.iter().filter(|(of, _)| of_all(of) || of.as_ref() == Some(tenant));
            settings.retention_rules = holds.map(|(_, rule)| rule.clone()).collect();
        }
        default.retention_rules = rules.iter().filter(|(of, _)| of_all(of)).map(|(_, rule)| rule.clone()).collect();
        Ok((default, tenants))
    }
}

fn setting(key: &str, value: &str, expected: &'static str) -> TarnError {
    TarnError::Setting { origin: format!("{key} in the configuration file"), value: value.to_owned(), expected }
}

/// A retention rule and the tenant that it is for. The error says what is wrong.
fn rule(raw: &RawRetention) -> Result<(Option<TenantId>, RetentionRule), String> {
    let tenant = raw.tenant.as_deref().map(TenantId::parse).transpose().map_err(|error| format!("tenant: {error}"))?;
    let Some(selector) = &raw.selector else {
        return Err("it has no selector, such as '{app=\"x\"}'; for all streams set retention_period, of one tenant in [compactor.tenants.<id>]".to_owned());
    };
    let matchers = logql::parse_selector(selector).map_err(|error| match error {
        SelectorError::Parse(error) => format!("its selector cannot be read:\n{}", logql::render_error(selector, &error)),
        SelectorError::NotASelector => format!("its selector {} is more than label matchers such as '{{app=\"x\"}}'", quote(selector)),
    })?;
    let period = raw.period.as_ref().ok_or("it has no period, such as \"24h\"")?.to_string();
    let parsed = parse_duration(&period).filter(|period| !period.is_zero());
    let period = parsed.ok_or_else(|| format!("its period {} is not a duration such as 24h or 7d, longer than 0", quote(&period)))?;
    let priority = raw.priority.as_ref().map_or_else(|| "1".to_owned(), Scalar::to_string);
    let priority = priority.parse().map_err(|_| format!("its priority {} is not a whole number from 0 on", quote(&priority)))?;
    Ok((tenant, RetentionRule { matchers, priority, period }))
}

/// Names with commas between.
fn parse_labels(text: &str) -> Option<Vec<String>> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    names.iter().all(|name| is_label_name(name)).then_some(names)
}

/// As YAML values of one line each, under the names of the configuration file.
pub(super) fn show_compactor(config: &CompactorConfig) -> Vec<(&'static str, String)> {
    let tenants: Vec<String> = config.tenants.iter().map(|(tenant, settings)| format!("{}: {{{}}}", quote(tenant.as_str()), tenant_yaml(settings))).collect();
    vec![
        ("enabled", config.enabled.to_string()),
        ("interval", show::duration(config.interval)),
        ("partition_labels", labels_yaml(&config.default.partition_labels)),
        ("grace", show::duration(config.grace)),
        ("delete_cancel_period", show::duration(config.delete_cancel_period)),
        ("retention_period", show::duration(config.default.retention.unwrap_or_default())),
        ("retention", rules_yaml(&config.default.retention_rules)),
        ("tenants", format!("{{{}}}", tenants.join(", "))),
    ]
}

/// What holds for `tenant`, as lines of YAML under Loki's names where Loki has them.
pub(super) fn tenant_limits_yaml(config: &CompactorConfig, tenant: &TenantId) -> String {
    let settings = config.of(tenant);
    format!("retention_period: {}\nretention_stream: {}\n", show::duration(settings.retention.unwrap_or_default()), rules_yaml(&settings.retention_rules))
}

fn tenant_yaml(settings: &TenantSettings) -> String {
    format!(
        "partition_labels: {}, retention_period: {}, retention: {}",
        labels_yaml(&settings.partition_labels),
        show::duration(settings.retention.unwrap_or_default()),
        rules_yaml(&settings.retention_rules)
    )
}

fn labels_yaml(labels: &[String]) -> String {
    format!("[{}]", labels.iter().map(|label| quote(label)).collect::<Vec<_>>().join(", "))
}

fn rules_yaml(rules: &[RetentionRule]) -> String {
    let rule = |rule: &RetentionRule| {
        let matchers: Vec<String> = rule.matchers.iter().map(Matcher::to_string).collect();
        format!("{{selector: {}, priority: {}, period: {}}}", quote(&format!("{{{}}}", matchers.join(", "))), rule.priority, show::duration(rule.period))
    };
    format!("[{}]", rules.iter().map(rule).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
