//! `tarn labels` and `tarn series`.

use std::collections::BTreeMap;
use std::io::Write as _;

use schema::{LabelSet, TimeRange};
use serde::Deserialize;
use store::env::Env;

use crate::args::{LabelsArgs, SeriesArgs};
use crate::cli::client::Client;
use crate::cli::{query, time};
use crate::error::TarnError;

/// `{"status":"success","data":[...]}`; Loki leaves `data` out when it is empty.
#[derive(Debug, Deserialize)]
struct Listing<T> {
    #[serde(default = "Vec::new")]
    data: Vec<T>,
}

/// `tarn labels [name]`: one name or value a line, sorted.
pub(crate) async fn names_or_values(args: LabelsArgs) -> Result<(), TarnError> {
    let env = Env::system();
    let client = Client::open(&args.target, &env).await?;
    let mut parameters = range_parameters(&time::range(&args.time, env.now())?);
    if let Some(selector) = &args.selector {
        parameters.push(("query", selector.clone()));
    }
    let path = args.name.as_deref().map_or_else(|| "/loki/api/v1/labels".to_owned(), |name| format!("/loki/api/v1/label/{}/values", escape(name)));
    let body = client.read(&path, &parameters).await.map_err(|e| query::with_caret(e, args.selector.as_deref().unwrap_or_default()))?;
    let listing: Listing<String> = query::decode(&client, &body)?;
    print_lines(listing.data.iter().map(String::as_str))
}

/// `tarn series`: one label set a line.
pub(crate) async fn series(args: SeriesArgs) -> Result<(), TarnError> {
    let env = Env::system();
    let client = Client::open(&args.target, &env).await?;
    let mut parameters = range_parameters(&time::range(&args.time, env.now())?);
    parameters.extend(args.selectors.iter().map(|selector| ("match[]", selector.clone())));
    let body = client.read("/loki/api/v1/series", &parameters).await.map_err(|e| query::with_caret(e, args.selectors.first().map_or("", String::as_str)))?;
    let listing: Listing<BTreeMap<String, String>> = query::decode(&client, &body)?;
    let mut lines: Vec<String> = listing.data.into_iter().filter_map(|labels| LabelSet::from_pairs(labels).ok()).map(|labels| labels.to_string()).collect();
    lines.sort_unstable();
    print_lines(lines.iter().map(String::as_str))
}

fn range_parameters(range: &TimeRange) -> Vec<(&'static str, String)> {
    vec![("start", range.start.to_string()), ("end", range.end.to_string())]
}

/// Percent-encodes what may not stand in one path segment.
fn escape(segment: &str) -> String {
    segment.bytes().fold(String::new(), |mut out, b| {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'~' => out.push(char::from(b)),
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
}

fn print_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Result<(), TarnError> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}").map_err(TarnError::io("write to standard output"))?;
    }
    out.flush().map_err(TarnError::io("write to standard output"))
}
