//! Events of AWS sources: decoded, stored, and answered so that what was not stored is delivered again.
//! Owns: the order of work, what fails which record, the end of an invocation that takes too long. Must not know: the shapes of events, the forms of log files.

mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ingest_fn::Ingester;
use ingest_fn::aws::{Answer, Batch, Event, EventKind, Item, ObjectDecoder, ObjectPlan, ObjectRef, Passed, Report, Settings as AwsSettings, store};
use parking_lot::Mutex;
use serde_json::Value;
use server::{Config, TarnError, aws_settings};
use store::{ErrorKind, ForeignBuckets};

use crate::deadline::working_time;
use crate::runtime::{FunctionError, Reply, buffered};
use crate::settings::Settings;

/// What takes the events of sources.
#[derive(Debug)]
pub(crate) struct Sources {
    aws: Arc<AwsSettings>,
    buckets: ForeignBuckets,
    passed: Passed,
}

/// What became of an event so far. Kept outside of the work, so that it is there when the work is given up.
#[derive(Debug, Default)]
struct Progress {
    /// Items that are not, or not wholly, stored yet.
    open: BTreeSet<usize>,
    /// Why items failed, for the log and for a failed invocation.
    reasons: Vec<String>,
    lines: u64,
    refused: u64,
    /// Objects that were gone, or are none of ours to read.
    skipped: u64,
}

impl Sources {
    /// Settings of the sources, and a client for the buckets of others. Reads the rules, which may lie in a bucket: the only request that a start makes.
    pub(crate) async fn open(config: &Config, settings: &Settings) -> Result<Self, TarnError> {
        let buckets = ForeignBuckets::from_environment();
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut aws = aws_settings(config, settings.tenant.clone());
        aws.region = variable("AWS_REGION");
        aws.own_log_group = variable("AWS_LAMBDA_LOG_GROUP_NAME");
        aws.rules = rules::load(settings.rules.as_deref(), &buckets).await?;
        Ok(Self { aws: Arc::new(aws), buckets, passed: settings.firehose })
    }

    /// The settings, for the route that Firehose delivers to.
    pub(crate) fn settings(&self) -> Arc<AwsSettings> {
        Arc::clone(&self.aws)
    }

    /// Stores what `event` brings. Errors: nobody knows the event, or its sender must deliver it again as a whole.
    pub(crate) async fn take(&self, ingester: &Ingester, event: Value, time_left: Option<Duration>) -> Result<Reply, FunctionError> {
        let event = Event::from_json(event).map_err(|error| FunctionError { kind: "UnknownEvent", message: error.to_string() })?;
        if let EventKind::Http(front) = event.kind {
            return Err(FunctionError {
                kind: "UnknownEvent",
                message: format!("this looks like a request of a front end ({front:?}), but its parts are missing"),
            });
        }
        let progress = Mutex::new(Progress { open: (0..event.items.len()).collect(), ..Progress::default() });
        let work = Work { sources: self, ingester, progress: &progress };
        let work = work.of(&event);
        match time_left {
            None => work.await,
            Some(left) => {
                if tokio::time::timeout(working_time(left), work).await.is_err() {
                    progress
                        .lock()
                        .reasons
                        .push("the function's time is over: raise its timeout or memory, or lower the batch size of its event source".to_owned());
                }
            }
        }
        self.answer(&event, progress.into_inner())
    }

    fn answer(&self, event: &Event, progress: Progress) -> Result<Reply, FunctionError> {
        let Progress { open, reasons, lines, refused, skipped } = progress;
        let reasons = reasons.join("; ");
        tracing::info!(source = ?event.kind, records = event.items.len(), failed = open.len(), lines, refused, skipped, reasons, "event");
        match event.answer(&open, self.passed) {
            Answer::Json(text) => {
                let document =
                    serde_json::from_str(&text).map_err(|error| FunctionError { kind: "Internal", message: format!("the answer is no JSON: {error}") })?;
                Ok(buffered(document))
            }
            Answer::Fail(text) => Err(FunctionError { kind: "NotStored", message: format!("{text}: {reasons}") }),
        }
    }
}

/// The work on one event.
struct Work<'a> {
    sources: &'a Sources,
    ingester: &'a Ingester,
    progress: &'a Mutex<Progress>,
}

impl Work<'_> {
    async fn of(&self, event: &Event) {
        let failed = self.store_inline(event).await;
        // Of a Kinesis shard the first failure and everything behind it come again.
        let comes_again = |index: &usize| match event.kind {
            EventKind::Kinesis => failed.first().is_some_and(|first| index >= first),
            _ => failed.contains(index),
        };
        let (with_objects, without): (Vec<_>, Vec<_>) =
            event.items.iter().enumerate().filter(|(index, _)| !comes_again(index)).partition(|(_, item)| !item.objects().is_empty());
        for (index, _) in without {
            self.progress.lock().open.remove(&index);
        }
        for (index, item) in with_objects {
            match self.store_objects(item).await {
                Ok(()) => {
                    self.progress.lock().open.remove(&index);
                }
                Err(reason) => self.progress.lock().fail(item, reason),
            }
        }
    }

    /// Stores the lines that the event itself has. Returns the items with lines that are not stored.
    async fn store_inline(&self, event: &Event) -> BTreeSet<usize> {
        let inline = event.decode(&self.sources.aws, self.ingester.env().now());
        let mut failed = BTreeSet::new();
        for (index, error) in inline.failures {
            failed.insert(index);
            if let Some(item) = event.items.get(index) {
                self.progress.lock().fail(item, error.to_string());
            }
        }
        // Where there is an order, what follows a failure comes again, and is recognised then: it is stored all the same.
        for batch in inline.batches {
            let items = batch.items.clone();
            if let Err(reason) = self.store_batch(batch).await {
                self.progress.lock().reasons.push(reason);
                failed.extend(items);
            }
        }
        note(&inline.report, "event");
        failed
    }

    /// Stores the lines of the objects that the item names.
    async fn store_objects(&self, item: &Item) -> Result<(), String> {
        for object in item.objects() {
            self.store_object(object).await?;
        }
        Ok(())
    }

    async fn store_object(&self, object: &ObjectRef) -> Result<(), String> {
        let name = format!("s3://{}/{}", object.bucket, object.key);
        let route = match self.sources.aws.plan(object) {
            ObjectPlan::Read(route) => route,
            ObjectPlan::Skip(reason) => {
                tracing::info!(object = name, %reason, "an object is left out");
                self.progress.lock().skipped += 1;
                return Ok(());
            }
        };
        let mut body = match self.sources.buckets.get(&object.bucket, object.region.as_deref(), &object.key, object.version_id.as_deref()).await {
            Ok(body) => body,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Nobody can deliver it again.
                tracing::warn!(object = name, "an object is gone before it was read");
                self.progress.lock().skipped += 1;
                return Ok(());
            }
            Err(error) => return Err(error.chain()),
        };
        let now = self.ingester.env().now();
        let mut decoder = ObjectDecoder::new(route, &self.sources.aws, body.last_modified, now);
        loop {
            let more = match body.next().await {
                Some(Ok(bytes)) => {
                    decoder.push(bytes);
                    true
                }
                Some(Err(error)) => return Err(error.chain()),
                None => false,
            };
            // Decoding stays on this thread: one event is worked on at a time, and meanwhile the kernel goes on receiving.
            while let Some(batch) = decoder.next().map_err(|error| format!("{name}: {error}"))? {
                self.store_batch(batch).await?;
            }
            if !more {
                break;
            }
        }
        let (batches, report) = decoder.finish().map_err(|error| format!("{name}: {error}"))?;
        for batch in batches {
            self.store_batch(batch).await?;
        }
        note(&report, &name);
        match report.damage {
            Some(damage) => Err(format!("{name}: {damage}; what could be read of it is stored")),
            None => Ok(()),
        }
    }

    async fn store_batch(&self, batch: Batch) -> Result<(), String> {
        let lines = batch.lines;
        let rejected = store(self.ingester, batch).await.map_err(|error| error.to_string())?;
        if !rejected.is_empty() {
            tracing::warn!(lines = rejected.lines(), reason = rejected.text(), "lines were refused");
        }
        let mut progress = self.progress.lock();
        progress.lines += lines;
        progress.refused += rejected.lines();
        Ok(())
    }
}

impl Progress {
    fn fail(&mut self, item: &Item, reason: String) {
        let reason = if item.id.is_empty() { reason } else { format!("{}: {reason}", item.id) };
        tracing::warn!(reason, "a record is not stored");
        self.reasons.push(reason);
    }
}

/// Tells what is odd about decoded lines.
fn note(report: &Report, of: &str) {
    if report.undated > 0 || report.repaired > 0 {
        tracing::info!(
            of,
            lines = report.lines,
            undated = report.undated,
            repaired = report.repaired,
            "lines without a time have that of their record or object"
        );
    }
}
