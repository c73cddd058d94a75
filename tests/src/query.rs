//! Querying: Loki's read API, and reading a range whole by pages.

use anyhow::{Context, Result, bail, ensure};
use reqwest::StatusCode;
use serde_json::Value;

use crate::data::{Labels, Row};
use crate::server::Server;

/// Most entries that a query may ask for by default.
pub const PAGE: usize = 5000;

/// A time range in ns: start in, end out.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// First ns.
    pub start: i64,
    /// The ns after the last.
    pub end: i64,
}

impl Range {
    /// The day that most tests' entries are in.
    pub const DAY: Self = Self { start: crate::data::T0, end: crate::data::T0 + 86_400 * crate::data::SECOND };
}

impl Server {
    /// Asks any path; status and text.
    pub async fn ask(&self, tenant: Option<&str>, path: &str, parameters: &[(&str, &str)]) -> Result<(StatusCode, String)> {
        let mut request = self.http.get(format!("{}{path}", self.url)).query(parameters);
        if let Some(tenant) = tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        let answer = request.send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    /// Asks with POST, the parameters as a form in the body; status and text.
    pub async fn ask_by_form(&self, path: &str, parameters: &[(&str, &str)]) -> Result<(StatusCode, String)> {
        let answer = self.http.post(format!("{}{path}", self.url)).form(parameters).send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    /// Asks a path that must answer 200 with JSON.
    pub async fn get(&self, tenant: Option<&str>, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let (status, text) = self.ask(tenant, path, parameters).await?;
        ensure!(status == StatusCode::OK, "{path} {parameters:?} was answered with {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("{path} {parameters:?}: {text}"))
    }

    /// One `query_range` for entries.
    pub async fn query_range(&self, tenant: Option<&str>, query: &str, range: Range, limit: usize, direction: &str) -> Result<Vec<Row>> {
        let (start, end, limit) = (range.start.to_string(), range.end.to_string(), limit.to_string());
        let parameters = [("query", query), ("start", &start), ("end", &end), ("limit", &limit), ("direction", direction)];
        let answer = self.get(tenant, "/loki/api/v1/query_range", &parameters).await?;
        let data = answer.get("data").context("no data")?;
        ensure!(data.get("resultType").and_then(Value::as_str) == Some("streams"), "result type of {answer}");
        let mut rows = Vec::new();
        for stream in list(data.get("result"))? {
            let mut labels = string_map(stream.get("stream"))?;
            labels.remove("detected_level");
            for value in list(stream.get("values"))? {
                let timestamp = value.get(0).and_then(Value::as_str).context("timestamp")?.parse()?;
                let line = value.get(1).and_then(Value::as_str).context("line")?.to_owned();
                rows.push(Row { labels: labels.clone(), timestamp, line });
            }
        }
        Ok(rows)
    }

    /// Everything that `query` selects in the range, by pages of `page` entries, going forward.
    ///
    /// A full page may cut the entries of its last timestamp, so those are dropped and asked for again with the next page; nothing
    /// else is dropped here, and what the server returns twice is twice in the result.
    pub async fn read_all(&self, tenant: Option<&str>, query: &str, range: Range, page: usize) -> Result<Vec<Row>> {
        let mut all = Vec::new();
        let mut from = range.start;
        loop {
            let mut rows = self.query_range(tenant, query, Range { start: from, end: range.end }, page, "forward").await?;
            ensure!(rows.len() <= page, "{} rows in a page of {page}", rows.len());
            if rows.len() < page {
                all.append(&mut rows);
                return Ok(all);
            }
            let last = rows.iter().map(|row| row.timestamp).max().unwrap_or(from);
            if last == from {
                bail!("more than {page} entries at {last}");
            }
            rows.retain(|row| row.timestamp < last);
            all.append(&mut rows);
            from = last;
        }
    }

    /// The single number that an instant metric query answers with; 0 for an empty vector.
    pub async fn number(&self, tenant: Option<&str>, query: &str, time: i64) -> Result<f64> {
        let time = time.to_string();
        let answer = self.get(tenant, "/loki/api/v1/query", &[("query", query), ("time", &time)]).await?;
        let result = list(answer.pointer("/data/result"))?;
        ensure!(result.len() <= 1, "more than one series: {answer}");
        let Some(sample) = result.first() else { return Ok(0.0) };
        Ok(sample.pointer("/value/1").and_then(Value::as_str).context("value")?.parse()?)
    }

    /// Strings of a `data` array, as label names and values are answered; none when the key is left out.
    pub async fn strings(&self, tenant: Option<&str>, path: &str, range: Range) -> Result<Vec<String>> {
        let (start, end) = (range.start.to_string(), range.end.to_string());
        let answer = self.get(tenant, path, &[("start", &start), ("end", &end)]).await?;
        let Some(data) = answer.get("data") else { return Ok(Vec::new()) };
        list(Some(data))?.iter().map(|value| value.as_str().map(str::to_owned).context("string")).collect()
    }

    /// Label sets of the series that match.
    pub async fn series(&self, tenant: Option<&str>, selector: &str, range: Range) -> Result<Vec<Labels>> {
        let (start, end) = (range.start.to_string(), range.end.to_string());
        let answer = self.get(tenant, "/loki/api/v1/series", &[("match[]", selector), ("start", &start), ("end", &end)]).await?;
        list(answer.get("data"))?.iter().map(|labels| string_map(Some(labels))).collect()
    }
}

fn list(value: Option<&Value>) -> Result<&Vec<Value>> {
    value.and_then(Value::as_array).context("expected an array")
}

fn string_map(value: Option<&Value>) -> Result<Labels> {
    let map = value.and_then(Value::as_object).context("expected an object")?;
    map.iter().map(|(name, value)| Ok((name.clone(), value.as_str().context("expected a string")?.to_owned()))).collect()
}
