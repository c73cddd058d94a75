//! `tarn push`: lines of files or standard input become entries of one stream.
//! Owns: batches, requests in flight, retries, the summary. Must not know: how a timestamp is found (`clock`), the wire format (`wire`).

mod clock;
mod read;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use http::StatusCode;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use schema::LabelSet;
use store::env::Env;
use tokio::sync::mpsc;

use crate::args::PushArgs;
use crate::cli::client::{Client, Reply, error_text};
use crate::config::parse_size;
use crate::error::TarnError;
use read::Batch;

/// First pause before a retry; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Lines of a slow pipe are sent after this long, however few they are.
const LINGER: Duration = Duration::from_secs(1);

/// What the reading thread hands over.
#[derive(Debug)]
struct Input {
    batches: mpsc::Receiver<Batch>,
    pending: Arc<Mutex<Batch>>,
}

impl Input {
    /// The next full batch, or what was read when none got full for a while. `None` at the end of the input.
    async fn next(&mut self) -> Option<Batch> {
        loop {
            match tokio::time::timeout(LINGER, self.batches.recv()).await {
                Ok(batch) => return batch,
                Err(_) => {
                    let batch = std::mem::take(&mut *self.pending.lock());
                    if !batch.entries.is_empty() {
                        return Some(batch);
                    }
                }
            }
        }
    }
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    bytes: u64,
    failed: u64,
    requests: u64,
    reason: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(args: PushArgs) -> Result<(), TarnError> {
    let env = Env::system();
    let labels = stream_labels(&args.labels)?;
    let source = clock::TimeSource::new(&args, env.clone())?;
    let batch_bytes = parse_size(&args.batch).filter(|bytes| *bytes > 0).ok_or_else(|| TarnError::Argument {
        flag: "--batch",
        value: args.batch.clone(),
        expected: "a size such as 4MiB".to_owned(),
    })?;
    let client = Client::open(&args.target, &env).await?;
    let progress = progress_bar(&args);

    let (sender, batches) = mpsc::channel(2);
    let (files, bar) = (args.files.clone(), progress.clone());
    let pending = Arc::new(Mutex::new(Batch::default()));
    let shared = Arc::clone(&pending);
    let reader = tokio::task::spawn_blocking(move || read::lines(&files, source, batch_bytes, &shared, &sender, &bar));
    let input = Input { batches, pending };
    let tally = send_all(&client, &args, &labels, input, &env, &progress).await;
    let read = reader.await.map_err(|error| TarnError::Io { what: "read the input".to_owned(), source: std::io::Error::other(error) })?;
    progress.finish_and_clear();
    let read = read?;
    if !args.quiet {
        crate::logging::note(&summary(&tally, &read));
    }
    match tally.reason {
        Some(reason) => Err(TarnError::Push { failed: tally.failed, total: tally.sent + tally.failed, reason }),
        None => Ok(()),
    }
}

/// Sends batches, several at once, until the input ends. A batch that fails for good does not stop the others.
async fn send_all(client: &Client, args: &PushArgs, labels: &LabelSet, input: Input, env: &Env, progress: &ProgressBar) -> Tally {
    let batches = futures::stream::unfold(input, |mut input| async move { input.next().await.map(|batch| (batch, input)) });
    let mut outcomes = std::pin::pin!(
        batches
            .map(|batch| async move {
                let outcome = send(client, args, labels, &batch, env).await;
                (batch.entries.len(), batch.bytes, outcome)
            })
            .buffer_unordered(args.parallel.max(1))
    );
    let mut tally = Tally::default();
    while let Some((lines, bytes, outcome)) = outcomes.next().await {
        tally.requests += 1;
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        match outcome {
            Ok(()) => {
                tally.sent += lines;
                tally.bytes += bytes;
                progress.set_message(format!("{} lines", tally.sent));
            }
            Err(reason) => {
                tally.failed += lines;
                tracing::warn!(lines, "{reason}");
                tally.reason.get_or_insert(reason);
            }
        }
    }
    tally
}

/// Sends one batch, again and again while that may help. The rows are the same each time, so a batch that was stored
/// although its answer got lost is not stored twice.
async fn send(client: &Client, args: &PushArgs, labels: &LabelSet, batch: &Batch, env: &Env) -> Result<(), String> {
    let push = wire::encode(args.encoding, labels, &batch.entries).map_err(|error| format!("the request cannot be encoded: {error}"))?;
    let mut pause = FIRST_PAUSE;
    let mut attempt = 0;
    loop {
        let (reason, asked_pause) = match client.push(&push).await {
            Ok(reply) if reply.status.is_success() => return Ok(()),
            Ok(reply) if is_worth_a_retry(reply.status) => (refusal(&reply), reply.retry_after),
            Ok(reply) => return Err(refusal(&reply)),
            Err(error) => (error.to_string(), None),
        };
        if attempt == args.retries {
            return Err(format!("{reason} (after {attempt} retries)"));
        }
        attempt += 1;
        tracing::info!(attempt, "{reason}; trying again");
        // Up to a quarter more or less, so that many clients do not come back at once.
        let jitter = 768 + u32::try_from(env.random_u64() % 512).unwrap_or(0);
        tokio::time::sleep(asked_pause.unwrap_or_default().max(pause * jitter / 1024)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_worth_a_retry(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT || status.is_server_error()
}

fn refusal(reply: &Reply) -> String {
    let text = error_text(reply.status, &reply.body);
    if reply.status == StatusCode::BAD_REQUEST { format!("{text} (the valid lines of that request are stored)") } else { text }
}

/// The stream that `--label NAME=VALUE` flags name.
fn stream_labels(flags: &[String]) -> Result<LabelSet, TarnError> {
    let bad = |value: &str, expected: &str| TarnError::Argument { flag: "--label", value: value.to_owned(), expected: expected.to_owned() };
    let mut pairs = Vec::new();
    for flag in flags {
        let (name, value) = flag.split_once('=').ok_or_else(|| bad(flag, "of the form name=value"))?;
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(bad(flag, "a label: its name may hold letters, digits and _, and starts with no digit"));
        }
        pairs.push((name, value));
    }
    let labels = LabelSet::from_pairs(pairs).map_err(|e| bad(&e.name, "given once"))?;
    if labels.is_empty() { Err(bad(&flags.join(" "), "a label with a value: a stream needs at least one")) } else { Ok(labels) }
}

fn progress_bar(args: &PushArgs) -> ProgressBar {
    use std::io::IsTerminal as _;
    if args.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let total: Option<u64> = args.files.iter().map(|path| std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|m| m.len())).sum();
    match total {
        Some(bytes) => ProgressBar::new(bytes).with_style(style("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}")),
        None => ProgressBar::new_spinner().with_style(style("{spinner} {bytes} {bytes_per_sec} {msg}")),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn summary(tally: &Tally, read: &read::ReadSummary) -> String {
    let count = |count: u64, one: &str, many: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {many}") };
    let (lines, requests) = (count(tally.sent, "line", "lines"), count(tally.requests, "request", "requests"));
    let mut text = format!("sent {lines} ({}) in {requests}", indicatif::HumanBytes(tally.bytes));
    for (number, one, many) in [
        (read.empty, "empty line was left out", "empty lines were left out"),
        (read.replaced, "line was not UTF-8; its bad bytes became U+FFFD", "lines were not UTF-8; their bad bytes became U+FFFD"),
        (read.without_time, "line had no timestamp and took that of the line before", "lines had no timestamp and took that of the line before"),
        (
            read.shifted,
            "line repeated another of the same timestamp and was moved by nanoseconds, so that it is not taken for a duplicate",
            "lines repeated others of the same timestamp and were moved by nanoseconds, so that they are not taken for duplicates",
        ),
    ] {
        if number > 0 {
            text.push('\n');
            text.push_str(&count(number, one, many));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_a_stream() {
        let of = |flags: &[&str]| stream_labels(&flags.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>()).map(|l| l.to_string()).map_err(|e| e.to_string());
        assert_eq!(of(&["b=2", "a=x=y"]), Ok(r#"{a="x=y", b="2"}"#.to_owned()));
        assert_eq!(of(&["a"]), Err("--label 'a' is not of the form name=value".to_owned()));
        assert!(of(&["1a=x"]).is_err() && of(&["a-b=x"]).is_err() && of(&["=x"]).is_err() && of(&["a="]).is_err());
        assert_eq!(of(&["a=1", "a=2"]), Err("--label 'a' is not given once".to_owned()));
    }

    #[test]
    fn only_answers_that_may_change_are_retried() {
        for (status, retry) in
            [(429, true), (503, true), (500, true), (502, true), (408, true), (400, false), (401, false), (413, false), (422, false), (404, false)]
        {
            assert_eq!(is_worth_a_retry(StatusCode::from_u16(status).unwrap()), retry, "{status}");
        }
    }
}
