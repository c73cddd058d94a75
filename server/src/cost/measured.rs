//! The bill of a running server: what its `/metrics` have counted since it started, scaled to a month.
//! Owns: which metrics those are. Must not know: how they were fetched.

use std::collections::BTreeMap;

use serde::Serialize;

use super::model::{Bill, Cause, Item};
use super::plan::{DAY, DAYS, GB, MONTH};
use super::prices::Prices;

/// Less has nothing to say about a month.
const LEAST_UPTIME: f64 = 1.0;
/// Below this the scaled numbers are more chance than measurement.
const SHORT_UPTIME: f64 = 3600.0;

/// What a server did since it started.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Measured {
    pub(crate) uptime_seconds: f64,
    pub(crate) puts: f64,
    pub(crate) lists: f64,
    /// With HEADs.
    pub(crate) gets: f64,
    pub(crate) deletes: f64,
    /// Of these, requests that did not succeed.
    pub(crate) errors: f64,
    pub(crate) bytes_sent: f64,
    pub(crate) bytes_received: f64,
    /// Bytes of accepted lines and their structured metadata.
    pub(crate) raw_bytes: f64,
    pub(crate) body_bytes: f64,
    pub(crate) pushes: f64,
    /// Objects that the pushes became.
    pub(crate) level0_objects: f64,
    pub(crate) level0_bytes: f64,
    /// Answers of routes that run a query.
    pub(crate) queries: f64,
    pub(crate) cpu_seconds: f64,
}

/// The measured month.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Report {
    pub(crate) measured: Measured,
    pub(crate) gb_per_day: f64,
    pub(crate) pushes_per_object: f64,
    pub(crate) level0_ratio: Option<f64>,
    pub(crate) cpu_seconds_per_gb: Option<f64>,
    pub(crate) bill: Bill,
    pub(crate) total: f64,
    pub(crate) warnings: Vec<String>,
}

impl Measured {
    /// Reads a `/metrics` page. The error names what it lacks.
    pub(crate) fn parse(page: &str) -> Result<Self, String> {
        let samples: Vec<Sample<'_>> = page.lines().filter_map(Sample::parse).collect();
        let sum = |name: &str, labels: &[(&str, &str)]| {
            let of_name = samples.iter().filter(|sample| sample.name == name);
            of_name.filter(|sample| labels.iter().all(|(key, value)| sample.labels.get(key) == Some(value))).fold(0.0, |sum, sample| sum + sample.value)
        };
        let has = |name: &str| samples.iter().any(|sample| sample.name == name);
        for name in ["tarn_uptime_seconds", "tarn_object_store_requests_total"] {
            if !has(name) {
                return Err(format!("it has no {name}"));
            }
        }
        let requests = |op: &str| sum("tarn_object_store_requests_total", &[("op", op)]);
        let failed = sum("tarn_object_store_requests_total", &[("result", "error")]);
        let queries = samples
            .iter()
            .filter(|sample| sample.name == "tarn_http_requests_total" && sample.labels.get("route").is_some_and(|route| is_query(route)))
            .fold(0.0, |sum, sample| sum + sample.value);
        let measured = Self {
            uptime_seconds: sum("tarn_uptime_seconds", &[]),
            puts: requests("put"),
            lists: requests("list"),
            gets: requests("get") + requests("head"),
            deletes: requests("delete"),
            errors: failed,
            bytes_sent: sum("tarn_object_store_bytes_total", &[("direction", "sent")]),
            bytes_received: sum("tarn_object_store_bytes_total", &[("direction", "received")]),
            raw_bytes: sum("tarn_ingest_bytes_received_total", &[]),
            body_bytes: sum("tarn_ingest_body_bytes_total", &[]),
            pushes: sum("tarn_ingest_pushes_total", &[]),
            level0_objects: sum("tarn_ingest_flushes_total", &[("result", "stored")]),
            level0_bytes: sum("tarn_ingest_object_bytes_total", &[]),
            queries,
            cpu_seconds: sum("process_cpu_seconds_total", &[]),
        };
        if measured.uptime_seconds < LEAST_UPTIME {
            return Err("the server runs for less than a second".to_owned());
        }
        Ok(measured)
    }

    /// As a bill of a month that is like the time since the start, after `retention_days` of it.
    pub(crate) fn report(self, prices: &Prices, retention_days: f64) -> Report {
        let a_month = MONTH / self.uptime_seconds;
        let gb_per_day = self.raw_bytes / GB * DAY / self.uptime_seconds;
        let puts_of_pushes = self.level0_objects.min(self.puts);
        let stored = gb_per_day * prices.tarn.level1_ratio * retention_days;
        let items = vec![
            Item::new(Cause::Requests, "PUT of pushes", puts_of_pushes * a_month, "", prices.s3.put),
            Item::new(Cause::Requests, "other PUT", (self.puts - puts_of_pushes) * a_month, "", prices.s3.put),
            Item::new(Cause::Requests, "LIST", self.lists * a_month, "", prices.s3.put),
            Item::new(Cause::Requests, "GET and HEAD", self.gets * a_month, "", prices.s3.get),
            Item::new(Cause::Requests, "DELETE", self.deletes * a_month, "", 0.0),
            Item::new(Cause::Transfer, "written to the store", self.bytes_sent / GB * a_month, "GB", 0.0),
            Item::new(Cause::Transfer, "read from the store", self.bytes_received / GB * a_month, "GB", 0.0),
            Item::new(Cause::Storage, "level 1, at the price file's ratio", stored, "GB", prices.s3.gb_month),
        ];
        let mut warnings = Vec::new();
        if self.uptime_seconds < SHORT_UPTIME {
            warnings.push(format!("the server runs for {:.0} s only: measure over a day or more", self.uptime_seconds));
        }
        if self.errors > 0.0 {
            warnings.push(format!("{} requests failed; they are in the bill", self.errors));
        }
        let bill = Bill { items };
        let per = |amount: f64, by: f64| (by > 0.0).then(|| amount / by);
        Report {
            gb_per_day,
            pushes_per_object: per(self.pushes, self.level0_objects).unwrap_or(0.0),
            level0_ratio: per(self.level0_bytes, self.raw_bytes),
            cpu_seconds_per_gb: per(self.cpu_seconds, self.raw_bytes / GB),
            total: bill.total(),
            bill,
            measured: self,
            warnings,
        }
    }
}

impl Report {
    /// Raw GB of the measured month.
    pub(crate) fn raw_gb(&self) -> f64 {
        self.gb_per_day * DAYS
    }
}

fn is_query(route: &str) -> bool {
    matches!(
        route,
        "/loki/api/v1/query" | "/loki/api/v1/query_range" | "/loki/api/v1/tail" | "/loki/api/v1/labels" | "/loki/api/v1/series" | "/loki/api/v1/label"
    ) || route.starts_with("/loki/api/v1/label/")
        || route.starts_with("/loki/api/v1/index/")
        || route.starts_with("/loki/api/v1/detected_")
        || (route.starts_with("/api/prom/") && route != "/api/prom/push")
}

/// A line of the text format.
struct Sample<'a> {
    name: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    value: f64,
}

impl<'a> Sample<'a> {
    /// `None` for comments, and for anything that Tarn does not write.
    fn parse(line: &'a str) -> Option<Self> {
        let (series, value) = line.trim().rsplit_once(' ')?;
        if series.starts_with('#') {
            return None;
        }
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        let labels = labels.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(key, value)| (key, value.trim_end_matches('"'))).collect();
        Some(Self { name, labels, value: value.parse().ok()? })
    }
}
