//! Reads lines and cuts them into batches. Runs on a thread of its own, since files and pipes block.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use parking_lot::Mutex;
use schema::Timestamp;
use tokio::sync::mpsc::Sender;

use crate::cli::push::clock::TimeSource;
use crate::error::TarnError;

/// Most entries of one request, however short they are.
const MAX_BATCH_LINES: usize = 100_000;
const READ_BUFFER_BYTES: usize = 1 << 20;

/// Entries for one request.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<(Timestamp, String)>,
    pub(super) bytes: u64,
}

/// What was unusual about the input.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ReadSummary {
    pub(super) empty: u64,
    pub(super) replaced: u64,
    pub(super) without_time: u64,
    pub(super) shifted: u64,
}

/// Reads all `files` and sends batches of about `batch_bytes`. What is read but not sent yet lies in `pending`, so that others can
/// send it while this thread waits for a slow pipe. What was read before an error is sent, too.
/// Ends early, without an error, when nobody takes batches any more.
pub(super) fn lines(
    files: &[PathBuf],
    source: TimeSource,
    batch_bytes: usize,
    pending: &Mutex<Batch>,
    sender: &Sender<Batch>,
    progress: &ProgressBar,
) -> Result<ReadSummary, TarnError> {
    // A name that is wrong is told before anything is sent.
    let inputs = files.iter().map(|path| Ok((path, open(path)?))).collect::<Result<Vec<_>, TarnError>>()?;
    let mut cutter = Cutter { source, batch_bytes, pending, sender, summary: ReadSummary::default(), repeats: Repeats::default() };
    let outcome = inputs.into_iter().try_for_each(|(path, input)| cutter.file(path, input, progress));
    cutter.flush();
    outcome.map(|()| cutter.summary)
}

fn open(path: &Path) -> Result<Box<dyn Read>, TarnError> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    Ok(Box::new(File::open(path).map_err(TarnError::io(format!("open '{}'", path.display())))?))
}

struct Cutter<'a> {
    source: TimeSource,
    batch_bytes: usize,
    pending: &'a Mutex<Batch>,
    sender: &'a Sender<Batch>,
    summary: ReadSummary,
    repeats: Repeats,
}

impl Cutter<'_> {
    fn file(&mut self, path: &Path, input: Box<dyn Read>, progress: &ProgressBar) -> Result<(), TarnError> {
        let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, input);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(TarnError::io(format!("read '{}'", path.display())))?;
            progress.inc(u64::try_from(read).unwrap_or(0));
            if read == 0 || !self.line(&line)? {
                return Ok(());
            }
        }
    }

    /// Takes one line with its line break. `false` when nobody takes batches any more.
    fn line(&mut self, bytes: &[u8]) -> Result<bool, TarnError> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.is_empty() {
            self.summary.empty += 1;
            return Ok(true);
        }
        let line = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                self.summary.replaced += 1;
                String::from_utf8_lossy(bytes).into_owned()
            }
        };
        let found = self.source.of_line(&line)?;
        self.summary.without_time += u64::from(found.inherited);
        let (at, shifted) = self.repeats.distinct(found.at, &line);
        self.summary.shifted += u64::from(shifted);
        let full = {
            let mut pending = self.pending.lock();
            pending.bytes += u64::try_from(line.len()).unwrap_or(0);
            pending.entries.push((at, line));
            usize::try_from(pending.bytes).map_or(true, |bytes| bytes >= self.batch_bytes) || pending.entries.len() >= MAX_BATCH_LINES
        };
        Ok(!full || self.flush())
    }

    fn flush(&mut self) -> bool {
        let batch = std::mem::take(&mut *self.pending.lock());
        batch.entries.is_empty() || self.sender.blocking_send(batch).is_ok()
    }
}

/// Entries equal in time and line count once in a log store, as a retried push would bring them. Lines that a file really
/// repeats within one timestamp are therefore moved by a nanosecond each: the same way every time the file is sent.
#[derive(Debug, Default)]
struct Repeats {
    at: Timestamp,
    seen: HashMap<String, i64>,
}

impl Repeats {
    /// The timestamp to use for `line`, and whether it was moved.
    fn distinct(&mut self, at: Timestamp, line: &str) -> (Timestamp, bool) {
        if at != self.at {
            self.at = at;
            self.seen.clear();
        }
        match self.seen.get_mut(line) {
            Some(count) => {
                *count += 1;
                (Timestamp(at.0.saturating_add(*count)), true)
            }
            None => {
                self.seen.insert(line.to_owned(), 0);
                (at, false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use store::env::Env;

    use super::*;
    use crate::args::{Args, Command, PushArgs};

    pub(crate) fn push_args(flags: &[&str]) -> PushArgs {
        match Args::parse_from(["tarn", "push", "--label", "a=b"].iter().chain(flags)).command {
            Command::Push(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn read(content: &[u8], batch_bytes: usize) -> (Vec<Batch>, ReadSummary) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let source = TimeSource::new(&push_args(&[]), Env::fixed(Timestamp(7))).unwrap();
        let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
        let summary = lines(&[file.path().to_owned()], source, batch_bytes, &Mutex::default(), &sender, &ProgressBar::hidden()).unwrap();
        drop(sender);
        (std::iter::from_fn(|| receiver.blocking_recv()).collect(), summary)
    }

    #[test]
    fn nothing_is_lost_and_what_is_odd_is_counted() {
        let (batches, summary) =
            read(b"2023-11-14T22:13:20Z one\r\n\n2023-11-14T22:13:20Z one\n\tat trace\nbad \xff byte\n2023-11-14T22:13:21Z last without line break", 1 << 20);
        let entries: Vec<(i64, &str)> = batches.iter().flat_map(|b| &b.entries).map(|(at, line)| (at.0 - 1_700_000_000_000_000_000, line.as_str())).collect();
        assert_eq!(
            entries,
            [
                (0, "2023-11-14T22:13:20Z one"),
                (1, "2023-11-14T22:13:20Z one"),
                (0, "\tat trace"),
                (0, "bad \u{fffd} byte"),
                (1_000_000_000, "2023-11-14T22:13:21Z last without line break")
            ]
        );
        assert_eq!(summary, ReadSummary { empty: 1, replaced: 1, without_time: 2, shifted: 1 });
    }

    #[test]
    fn batches_are_cut_by_bytes() {
        let (batches, _) = read(&b"0123456789\n".repeat(10), 30);
        assert_eq!(batches.iter().map(|b| b.entries.len()).collect::<Vec<_>>(), [3, 3, 3, 1]);
    }
}
