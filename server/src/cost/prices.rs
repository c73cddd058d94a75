//! The file of prices and of what Tarn was measured to need.
//! Owns: its form, its default. Must not know: what the numbers are used for.

use serde::Deserialize;

/// The default file.
pub(crate) const TEMPLATE: &str = include_str!("../../../infra/cost/prices.toml");

/// A price file. Each member is described there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    pub(crate) as_of: String,
    pub(crate) region: String,
    pub(crate) s3: S3,
    pub(crate) lambda: Lambda,
    pub(crate) cloudwatch: CloudWatch,
    pub(crate) transfer: Transfer,
    pub(crate) pod: Pod,
    pub(crate) disk: Disk,
    pub(crate) machines: Vec<Machine>,
    pub(crate) tarn: Needs,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct S3 {
    pub(crate) put: f64,
    pub(crate) get: f64,
    pub(crate) gb_month: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lambda {
    pub(crate) request: f64,
    pub(crate) gb_second: f64,
    pub(crate) mb_per_vcpu: f64,
    pub(crate) network_mb_per_second: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloudWatch {
    pub(crate) gb_in: f64,
    pub(crate) gb_month: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transfer {
    pub(crate) internet_gb: f64,
    pub(crate) zone_gb: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pod {
    pub(crate) vcpu_hour: f64,
    pub(crate) gib_hour: f64,
    pub(crate) cluster_hour: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disk {
    pub(crate) gb_month: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) vcpus: f64,
    pub(crate) hour: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Needs {
    pub(crate) level0_ratio: f64,
    pub(crate) level1_ratio: f64,
    pub(crate) ingest_cpu_per_gb: f64,
    pub(crate) compact_cpu_per_gb: f64,
    pub(crate) query_cpu_per_gb: f64,
    pub(crate) push_bytes: f64,
    pub(crate) body_ratio: f64,
    pub(crate) flush_bytes: f64,
    pub(crate) answer_bytes: f64,
    pub(crate) grace_seconds: f64,
    pub(crate) put_seconds: f64,
    pub(crate) query_seconds: f64,
    pub(crate) run_seconds: f64,
    pub(crate) log_bytes: f64,
    pub(crate) run_lists: f64,
    pub(crate) run_gets: f64,
    pub(crate) peak: f64,
}

impl Prices {
    /// Reads a file. The error says what is wrong with it and where.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
        check(&toml::Value::Table(table), "")?;
        let prices: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let divisors = [
            ("lambda.mb_per_vcpu", prices.lambda.mb_per_vcpu),
            ("lambda.network_mb_per_second", prices.lambda.network_mb_per_second),
            ("tarn.push_bytes", prices.tarn.push_bytes),
            ("tarn.flush_bytes", prices.tarn.flush_bytes),
        ];
        if let Some((name, _)) = divisors.into_iter().find(|(_, value)| *value == 0.0) {
            return Err(format!("{name} must be above 0"));
        }
        if prices.machines.is_empty() || prices.machines.iter().any(|machine| machine.vcpus == 0.0) {
            return Err("machines: name at least one, each with vcpus above 0".to_owned());
        }
        Ok(prices)
    }
}

/// Every number is finite and not negative.
fn check(value: &toml::Value, path: &str) -> Result<(), String> {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        toml::Value::Table(table) => table.iter().try_for_each(|(name, value)| check(value, &below(name))),
        toml::Value::Array(values) => values.iter().enumerate().try_for_each(|(index, value)| check(value, &below(&(index + 1).to_string()))),
        toml::Value::Float(number) if !(number.is_finite() && *number >= 0.0) => Err(format!("{path} is {number}: it must be a number of at least 0")),
        toml::Value::Integer(number) if *number < 0 => Err(format!("{path} is {number}: it must be a number of at least 0")),
        _ => Ok(()),
    }
}
