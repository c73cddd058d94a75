//! The server's counters, read from `/metrics`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::server::Server;

/// Every sample of one scrape under its name with labels, as written.
#[derive(Clone, Debug, Default)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Sum of the samples of `name` whose labels contain all of `labels` (each as `name="value"`).
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let ours = self.0.iter().filter(|(sample, _)| sample.split('{').next() == Some(name) && labels.iter().all(|label| sample.contains(label)));
        ours.map(|(_, value)| *value).sum()
    }

    /// Requests to the object store by operation and result, those that happened since `earlier`.
    pub fn store_requests_since(&self, earlier: &Self) -> BTreeMap<String, f64> {
        let mut since = BTreeMap::new();
        for (sample, value) in self.0.iter().filter(|(sample, _)| sample.starts_with("tarn_object_store_requests_total{")) {
            let more = value - earlier.0.get(sample).copied().unwrap_or_default();
            if more != 0.0 {
                since.insert(sample.trim_start_matches("tarn_object_store_requests_total").to_owned(), more);
            }
        }
        since
    }

    /// PUTs, whatever their result.
    pub fn puts(&self) -> f64 {
        self.sum("tarn_object_store_requests_total", &["op=\"put\""])
    }
}

impl Server {
    /// Scrapes `/metrics`.
    pub async fn metrics(&self) -> Result<Metrics> {
        let text = self.http.get(format!("{}/metrics", self.url)).send().await?.error_for_status()?.text().await?;
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let (name, value) = line.rsplit_once(' ').with_context(|| format!("metrics line {line:?}"))?;
            samples.insert(name.to_owned(), value.parse().with_context(|| format!("metrics line {line:?}"))?);
        }
        Ok(Metrics(samples))
    }
}
