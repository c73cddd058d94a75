//! `tarn query`: asks, pages through more entries than one answer may hold, prints.

use std::collections::{BTreeMap, HashSet};

use schema::{LabelSet, TimeRange, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use store::env::Env;

use crate::args::{Direction, QueryArgs};
use crate::cli::client::Client;
use crate::cli::output::{Entry, Printer};
use crate::cli::time;
use crate::error::TarnError;

/// Entries asked for at once: what every server allows by default.
const PAGE: usize = 1000;
/// As many as Loki's `max_entries_limit_per_query` allows: for timestamps that many entries share.
const LARGEST_PAGE: usize = 5000;

/// An answer of `query` or `query_range`.
#[derive(Debug, Deserialize)]
struct Answer {
    data: AnswerData,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct AnswerData {
    #[serde(flatten)]
    result: QueryData,
    #[serde(default)]
    stats: serde_json::Value,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum QueryData {
    Streams(Vec<StreamData>),
    Matrix(Vec<MatrixData>),
    Vector(Vec<VectorData>),
    Scalar(Sample),
}

/// Entries of one stream.
#[derive(Debug, Deserialize)]
pub(crate) struct StreamData {
    stream: BTreeMap<String, String>,
    values: Vec<(String, String)>,
}

/// One series of a range query.
#[derive(Debug, Deserialize)]
pub(crate) struct MatrixData {
    pub(crate) metric: BTreeMap<String, String>,
    pub(crate) values: Vec<Sample>,
}

/// One series of an instant query.
#[derive(Debug, Deserialize)]
pub(crate) struct VectorData {
    pub(crate) metric: BTreeMap<String, String>,
    pub(crate) value: Sample,
}

/// Seconds since the epoch, and the number as the server wrote it.
pub(crate) type Sample = (f64, String);

/// Runs the command.
pub(crate) async fn run(args: QueryArgs) -> Result<(), TarnError> {
    let env = Env::system();
    let client = Client::open(&args.target, &env).await?;
    let range = time::range(&args.time, env.now())?;
    let mut printer = Printer::new(args.output, args.no_labels);
    if args.instant {
        let parameters = [("query", args.query.clone()), ("time", range.end.to_string()), ("direction", direction(&args).to_owned())];
        let answer = ask(&client, "/loki/api/v1/query", &parameters, &args).await?;
        return print_metric(answer.data.result, &mut printer).and_then(|()| printer.finish());
    }
    let mut pager = Pager { range, direction: args.direction, left: if args.limit == 0 { usize::MAX } else { args.limit }, page: PAGE, edge: HashSet::new() };
    while let Some(limit) = pager.next_limit() {
        let answer = ask(&client, "/loki/api/v1/query_range", &range_parameters(&args, &pager, limit), &args).await?;
        match answer.data.result {
            QueryData::Streams(streams) => {
                let entries = entries_in_order(&client, streams, args.direction)?;
                for entry in pager.accept(entries, limit)? {
                    printer.entry(&entry)?;
                }
            }
            metric => {
                print_metric(metric, &mut printer)?;
                break;
            }
        }
    }
    printer.finish()
}

fn range_parameters(args: &QueryArgs, pager: &Pager, limit: usize) -> Vec<(&'static str, String)> {
    let mut parameters = vec![
        ("query", args.query.clone()),
        ("start", pager.range.start.to_string()),
        ("end", pager.range.end.to_string()),
        ("limit", limit.to_string()),
        ("direction", direction(args).to_owned()),
    ];
    if let Some(step) = &args.step {
        parameters.push(("step", step.clone()));
    }
    parameters
}

fn direction(args: &QueryArgs) -> &'static str {
    match args.direction {
        Direction::Forward => "forward",
        Direction::Backward => "backward",
    }
}

async fn ask(client: &Client, path: &str, parameters: &[(&str, String)], args: &QueryArgs) -> Result<Answer, TarnError> {
    let body = client.read(path, parameters).await.map_err(|e| with_caret(e, &args.query))?;
    let answer: Answer = decode(client, &body)?;
    for warning in &answer.warnings {
        tracing::warn!("{warning}");
    }
    if args.stats {
        // Loki's summary, and what the object store was asked for, which only Tarn tells.
        for part in ["summary", "tarn"].iter().filter_map(|part| answer.data.stats.get(part)) {
            crate::logging::note(&format!("{part:#}"));
        }
    }
    Ok(answer)
}

fn print_metric(data: QueryData, printer: &mut Printer) -> Result<(), TarnError> {
    match data {
        QueryData::Matrix(series) => series.iter().try_for_each(|one| printer.series(one)),
        QueryData::Vector(samples) => printer.samples(&samples),
        QueryData::Scalar(sample) => printer.scalar(&sample),
        // An instant query that answers with entries is not Loki, but printing them is harmless.
        QueryData::Streams(streams) => streams.into_iter().try_for_each(|stream| {
            let labels = LabelSet::from_pairs(stream.stream).unwrap_or_default();
            stream
                .values
                .into_iter()
                .try_for_each(|(at, line)| printer.entry(&Entry { timestamp: Timestamp(at.parse().unwrap_or_default()), labels: labels.clone(), line }))
        }),
    }
}

/// Reads a JSON answer.
pub(crate) fn decode<T: DeserializeOwned>(client: &Client, body: &[u8]) -> Result<T, TarnError> {
    serde_json::from_slice(body).map_err(|error| TarnError::Answer { url: client.name(), what: error.to_string() })
}

/// Turns the server's parse error into one that shows the place in `query`.
pub(crate) fn with_caret(error: TarnError, query: &str) -> TarnError {
    match &error {
        TarnError::Refused { status, message } if *status == http::StatusCode::BAD_REQUEST && message.contains("parse error") => match logql::parse(query) {
            Err(parse_error) => TarnError::Query { rendered: logql::render_error(query, &parse_error) },
            Ok(_) => error,
        },
        _ => error,
    }
}

/// All entries of all streams in the order of the query; entries of one stream keep theirs.
pub(crate) fn entries_in_order(client: &Client, streams: Vec<StreamData>, direction: Direction) -> Result<Vec<Entry>, TarnError> {
    let mut entries = Vec::new();
    for stream in streams {
        let labels = LabelSet::from_pairs(stream.stream).map_err(|e| TarnError::Answer { url: client.name(), what: e.to_string() })?;
        for (at, line) in stream.values {
            let timestamp = at.parse().map(Timestamp).map_err(|_| TarnError::Answer { url: client.name(), what: format!("the timestamp '{at}'") })?;
            entries.push(Entry { timestamp, labels: labels.clone(), line });
        }
    }
    match direction {
        Direction::Forward => entries.sort_by_key(|e| e.timestamp),
        Direction::Backward => entries.sort_by_key(|e| std::cmp::Reverse(e.timestamp)),
    }
    Ok(entries)
}

/// Walks a range page by page. The next page begins at the last timestamp seen, inclusive, since more entries may share it;
/// what was printed at that timestamp is left out.
#[derive(Debug)]
struct Pager {
    range: TimeRange,
    direction: Direction,
    left: usize,
    page: usize,
    /// Entries already printed at the timestamp where the next page begins.
    edge: HashSet<Entry>,
}

impl Pager {
    /// How many entries to ask for; `None` when there is nothing left to ask.
    fn next_limit(&self) -> Option<usize> {
        (self.left > 0 && !self.range.is_empty()).then(|| self.page.min(self.left.saturating_add(self.edge.len())))
    }

    /// Takes the answer to a request for `limit` entries and returns those that are new.
    fn accept(&mut self, entries: Vec<Entry>, limit: usize) -> Result<Vec<Entry>, TarnError> {
        let full = entries.len() >= limit;
        let last = entries.last().map(|e| e.timestamp);
        let mut new: Vec<Entry> = entries.into_iter().filter(|e| !self.edge.contains(e)).collect();
        new.truncate(self.left);
        self.left -= new.len();
        let Some(last) = last.filter(|_| full) else {
            self.left = 0;
            return Ok(new);
        };
        if new.is_empty() && self.left > 0 {
            if self.page >= LARGEST_PAGE {
                return Err(TarnError::Paging { limit: self.page, timestamp: last.0 });
            }
            self.page = LARGEST_PAGE;
        }
        let begin = match self.direction {
            Direction::Forward => self.range.start,
            Direction::Backward => Timestamp(self.range.end.0.saturating_sub(1)),
        };
        if last != begin {
            self.edge.clear();
        }
        self.edge.extend(new.iter().filter(|e| e.timestamp == last).cloned());
        match self.direction {
            Direction::Forward => self.range.start = last,
            Direction::Backward => self.range.end = Timestamp(last.0.saturating_add(1)),
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests;
