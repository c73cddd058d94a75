//! The rule file: how an installation changes what AWS sources become. TOML, documented in docs/aws-sources.md.
//! Owns: its grammar, its checks, how rules change labels. Every rule that matches is applied, in the order of the file.
//! Must not know: where the text comes from, events, line formats.

mod matching;

use std::collections::BTreeMap;

use regex::Regex;
use schema::TenantId;
use schema::labels::is_label_name;
use serde::Deserialize;

use self::matching::{Conditions, RawConditions};
use super::error::{RulesError, quoted};
use super::lines::Format;
use super::settings::Route;
use super::source::{LabelNames, Source};

/// Rules that are checked and ready. The default has none.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    names: LabelNames,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    /// For messages: `rule 2 "name"`.
    title: String,
    conditions: Conditions,
    skip: bool,
    tenant: Option<TenantId>,
    format: Option<Format>,
    extract: Vec<Extraction>,
    rename: Vec<(String, String)>,
    set: Vec<(String, String)>,
    drop: Vec<String>,
}

#[derive(Clone, Debug)]
struct Extraction {
    from: Field,
    regex: Regex,
}

/// What a regular expression of a rule is matched against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Field {
    Key,
    Bucket,
    LogGroup,
    LogStream,
}

impl Field {
    fn of(self, source: &Source) -> Option<&str> {
        match self {
            Self::Key => source.key.as_deref(),
            Self::Bucket => source.bucket.as_deref(),
            Self::LogGroup => source.log_group.as_deref(),
            Self::LogStream => source.log_stream.as_deref(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRules {
    #[serde(default)]
    label_names: RawLabelNames,
    #[serde(default)]
    rule: Vec<RawRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawLabelNames {
    #[default]
    Tarn,
    LambdaPromtail,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: Option<String>,
    #[serde(rename = "match", default)]
    conditions: RawConditions,
    #[serde(default)]
    skip: bool,
    tenant: Option<String>,
    format: Option<String>,
    #[serde(default)]
    extract: Vec<RawExtraction>,
    #[serde(default)]
    rename: BTreeMap<String, String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    drop: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExtraction {
    from: Field,
    regex: String,
}

/// What is wrong with a member of a rule, and what to write instead.
struct Fault {
    problem: String,
    fix: String,
}

impl Fault {
    fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { problem: problem.into(), fix: fix.into() }
    }
}

impl Rules {
    /// Reads and checks a rule file.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let raw: RawRules = toml::from_str(text).map_err(|error| RulesError::Syntax { detail: error.to_string().trim_end().to_owned() })?;
        let mut rules = Vec::with_capacity(raw.rule.len());
        for (number, rule) in (1..).zip(raw.rule) {
            let name = rule.name.clone();
            let title = name.as_deref().map_or_else(|| format!("rule {number}"), |name| format!("rule {number} {}", quoted(name)));
            let checked = Rule::check(rule, title).map_err(|Fault { problem, fix }| RulesError::Rule { number, name, problem, fix })?;
            rules.push(checked);
        }
        let names = match raw.label_names {
            RawLabelNames::Tarn => LabelNames::Tarn,
            RawLabelNames::LambdaPromtail => LabelNames::LambdaPromtail,
        };
        Ok(Self { names, rules })
    }

    /// Where lines of `source` go.
    pub(super) fn apply(&self, source: &Source, tenant: &TenantId) -> Route {
        let mut route = Route { tenant: tenant.clone(), labels: source.labels(self.names), format: Format::of(source.log_type), skipped_by: None };
        for rule in self.rules.iter().filter(|rule| rule.conditions.hold(source)) {
            rule.change(source, &mut route);
        }
        route
    }
}

impl Rule {
    fn check(raw: RawRule, title: String) -> Result<Self, Fault> {
        let changes = raw.skip
            || raw.tenant.is_some()
            || raw.format.is_some()
            || !(raw.extract.is_empty() && raw.rename.is_empty() && raw.set.is_empty() && raw.drop.is_empty());
        if !changes {
            return Err(Fault::new("it changes nothing", "add one of skip, tenant, format, extract, rename, set, drop, or remove the rule"));
        }
        let names = raw.rename.values().chain(raw.set.keys());
        if let Some(name) = names.into_iter().find(|name| !is_label_name(name)) {
            return Err(bad_name(name));
        }
        let tenant = raw.tenant.map(|tenant| {
            let fix = "write a tenant as in the X-Scope-OrgID header";
            TenantId::parse(&tenant).map_err(|error| Fault::new(format!("tenant {}: {error}", quoted(&tenant)), fix))
        });
        let format = raw.format.map(|name| {
            let known = Format::ALL.map(Format::as_str).join(", ");
            Format::parse(&name).ok_or_else(|| Fault::new(format!("there is no format {}", quoted(&name)), format!("use one of {known}")))
        });
        let mut extract = Vec::with_capacity(raw.extract.len());
        for RawExtraction { from, regex } in raw.extract {
            let regex = matching::regex("extract", &regex)?;
            let groups: Vec<&str> = regex.capture_names().flatten().collect();
            if groups.is_empty() {
                return Err(Fault::new(format!("extract has no named group in {}", quoted(regex.as_str())), "name what becomes a label, as in (?P<app>[^/]+)"));
            }
            if let Some(name) = groups.into_iter().find(|name| !is_label_name(name)) {
                return Err(bad_name(name));
            }
            extract.push(Extraction { from, regex });
        }
        Ok(Self {
            title,
            conditions: Conditions::check(raw.conditions)?,
            skip: raw.skip,
            tenant: tenant.transpose()?,
            format: format.transpose()?,
            extract,
            rename: raw.rename.into_iter().collect(),
            set: raw.set.into_iter().collect(),
            drop: raw.drop,
        })
    }

    /// Takes labels out of names first, then renames, sets and drops, so that each step sees what the ones before made.
    fn change(&self, source: &Source, route: &mut Route) {
        if self.skip && route.skipped_by.is_none() {
            route.skipped_by = Some(self.title.clone());
        }
        if let Some(tenant) = &self.tenant {
            route.tenant = tenant.clone();
        }
        if let Some(format) = self.format {
            route.format = format;
        }
        for Extraction { from, regex } in &self.extract {
            let Some(captures) = from.of(source).and_then(|text| regex.captures(text)) else { continue };
            for name in regex.capture_names().flatten() {
                if let Some(value) = captures.name(name).filter(|value| !value.is_empty()) {
                    route.labels.insert(name.to_owned(), value.as_str().to_owned());
                }
            }
        }
        for (from, to) in &self.rename {
            if let Some(value) = route.labels.remove(from) {
                route.labels.insert(to.clone(), value);
            }
        }
        for (name, value) in &self.set {
            if value.is_empty() {
                route.labels.remove(name)
            } else {
                route.labels.insert(name.clone(), value.clone())
            };
        }
        for name in &self.drop {
            route.labels.remove(name);
        }
    }
}

fn bad_name(name: &str) -> Fault {
    Fault::new(format!("{} is not a label name", quoted(name)), "use letters, digits and _, not a digit first")
}

#[cfg(test)]
mod tests;
