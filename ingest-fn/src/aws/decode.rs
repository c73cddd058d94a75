//! Lines that an event itself carries become batches: one per tenant, closed when it is large enough.
//! Must not know: the JSON of events.

use std::borrow::Cow;

use schema::Timestamp;

use super::batch::{Batch, MetadataId, Piece, Report, StreamIndex, Text};
use super::cloudwatch;
use super::error::AwsError;
use super::event::{Content, Event, Payload};
use super::lines::{LineReader, LineTime, Reading};
use super::settings::{Route, Settings};
use super::source::{LogType, Source};

/// What an event carries itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inline {
    /// To be stored in this order.
    pub batches: Vec<Batch>,
    /// Items whose data cannot be read: index and reason. A retry does not help; they are for a dead letter queue.
    pub failures: Vec<(usize, AwsError)>,
    /// What was found on the way.
    pub report: Report,
}

impl Event {
    /// Decodes all lines that the event carries; the objects that it names are left to the caller. In an ordered source nothing behind the
    /// first failed item is decoded, since it will be delivered again. `now` is used by the age limits, and as the time of lines
    /// of a record that neither has times nor says when it was sent. CPU only. Memory is bounded: an item fails if it and
    /// those before decompress to more than `max_decompressed_bytes`, and is delivered again in smaller company.
    pub fn decode(&self, settings: &Settings, now: Timestamp) -> Inline {
        let mut writer = InlineWriter::new(settings, now);
        for (index, item) in self.items.iter().enumerate() {
            let written = match &item.content {
                Ok(content) => writer.content(index, content),
                Err(error) => Err(error.clone()),
            };
            if let Err(error) = written {
                writer.fail(index, error);
                if self.ordered {
                    break;
                }
            }
        }
        writer.finish()
    }
}

/// Writes records into batches.
#[derive(Debug)]
pub(super) struct InlineWriter<'s> {
    settings: &'s Settings,
    now: Timestamp,
    pieces: Vec<Piece>,
    batches: Vec<Batch>,
    failures: Vec<(usize, AwsError)>,
    report: Report,
    /// Bytes of all records so far: what is in memory as batches.
    taken: usize,
}

/// Where the lines of a record go.
struct Target {
    piece: usize,
    stream: StreamIndex,
    metadata: MetadataId,
    scope: usize,
}

impl<'s> InlineWriter<'s> {
    pub(super) fn new(settings: &'s Settings, now: Timestamp) -> Self {
        Self { settings, now, pieces: Vec::new(), batches: Vec::new(), failures: Vec::new(), report: Report::default(), taken: 0 }
    }

    /// Adds item `index`. On an error none of its lines is in a batch, unless it is several records.
    pub(super) fn content(&mut self, index: usize, content: &Content) -> Result<(), AwsError> {
        match content {
            Content::Objects(_) => Ok(()),
            Content::Several(contents) => contents.iter().try_for_each(|content| self.content(index, content)),
            Content::Nothing => {
                self.report.ignored += 1;
                Ok(())
            }
            Content::Lines(payload) => self.lines(index, payload, &payload.data),
            Content::CloudWatch(payload) => {
                let limit = self.settings.limits.max_decompressed_bytes;
                let json = cloudwatch::expanded(&payload.data, limit.saturating_sub(self.taken), limit)?;
                // Anybody can put compressed lines into a stream; CloudWatch Logs itself sends nothing else.
                if payload.source.log_type == LogType::CloudWatch || cloudwatch::is_message(&json) {
                    self.cloudwatch(index, payload, &json)
                } else {
                    self.lines(index, payload, &json)
                }
            }
        }
    }

    /// Item `index` failed before it came here.
    pub(super) fn fail(&mut self, index: usize, error: AwsError) {
        self.failures.push((index, error));
    }

    pub(super) fn finish(mut self) -> Inline {
        for index in 0..self.pieces.len() {
            self.close(index);
        }
        Inline { batches: self.batches, failures: self.failures, report: self.report }
    }

    fn cloudwatch(&mut self, index: usize, payload: &Payload, json: &[u8]) -> Result<(), AwsError> {
        let region = payload.source.region.as_deref().or(self.settings.region.as_deref());
        let Some((mut source, events)) = cloudwatch::read(json, region)? else {
            self.report.ignored += 1;
            return Ok(());
        };
        source.extra.clone_from(&payload.source.extra);
        if source.log_group.is_some() && source.log_group == self.settings.own_log_group {
            self.report.ignored += 1;
            return Ok(());
        }
        let route = self.settings.route(&source);
        // The same message comes by several ways and in other company: it is counted by itself.
        let Some(target) = self.target(index, index + 1, &source, &route, Vec::new())? else { return Ok(()) };
        self.count(json);
        for event in &events {
            self.add(&target, event.nanos(), event.line());
        }
        self.close_if_large(target.piece);
        Ok(())
    }

    fn lines(&mut self, index: usize, payload: &Payload, data: &[u8]) -> Result<(), AwsError> {
        let mut source = payload.source.clone();
        source.region = source.region.or_else(|| self.settings.region.clone());
        let route = self.settings.route(&source);
        let Some(target) = self.target(index, 0, &source, &route, payload.metadata.clone())? else { return Ok(()) };
        self.count(data);
        let text = String::from_utf8_lossy(data);
        self.report.repaired += u64::from(matches!(text, Cow::Owned(_)));
        let received = payload.received.unwrap_or(self.now.as_nanos());
        let mut reader = LineReader::new(route.format);
        // One JSON document is one entry, also if it is written over several lines.
        let document = is_json_document(&text).then(|| text.trim());
        let lines = document.is_none().then(|| text.lines()).into_iter().flatten();
        for line in document.into_iter().chain(lines) {
            match reader.read(line) {
                _ if line.is_empty() => self.report.empty += 1,
                Reading::Header => self.report.headers += 1,
                Reading::Entry { time, .. } => {
                    let nanos = self.report.time(time, received);
                    self.add(&target, nanos, line);
                }
            }
        }
        self.close_if_large(target.piece);
        Ok(())
    }

    fn count(&mut self, data: &[u8]) {
        self.taken = self.taken.saturating_add(data.len());
        self.report.decoded_bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
    }

    fn add(&mut self, target: &Target, nanos: i64, line: &str) {
        if line.is_empty() {
            self.report.empty += 1;
            return;
        }
        let Some(piece) = self.pieces.get_mut(target.piece) else { return };
        self.report.lines += 1;
        let text = if line.len() > self.settings.limits.max_line_size { Text::TooLong(line.len()) } else { Text::Line(line) };
        piece.add(target.scope, target.stream, target.metadata, nanos, text);
    }

    /// The place for lines of `source`; none if a rule leaves it out.
    fn target(
        &mut self,
        index: usize,
        scope: usize,
        source: &Source,
        route: &Route,
        mut metadata: Vec<(&'static str, String)>,
    ) -> Result<Option<Target>, AwsError> {
        if route.skipped_by.is_some() {
            self.report.ignored += 1;
            return Ok(None);
        }
        let known = self.pieces.iter().position(|piece| *piece.tenant() == route.tenant);
        let piece_index = known.unwrap_or_else(|| {
            self.pieces.push(Piece::new(route.tenant.clone(), 0));
            self.pieces.len() - 1
        });
        let Some(piece) = self.pieces.get_mut(piece_index) else { return Ok(None) };
        metadata.extend(source.metadata());
        piece.add_item(index);
        Ok(Some(Target { piece: piece_index, stream: piece.stream(&route.labels)?, metadata: piece.add_metadata(metadata), scope }))
    }

    fn close_if_large(&mut self, index: usize) {
        if self.pieces.get(index).is_some_and(|piece| piece.bytes() >= self.settings.piece_bytes) {
            self.close(index);
        }
    }

    fn close(&mut self, index: usize) {
        let Some(piece) = self.pieces.get_mut(index) else { return };
        let tenant = piece.tenant().clone();
        let full = std::mem::replace(piece, Piece::new(tenant, 0));
        if full.is_empty() {
            return;
        }
        let items = full.items().to_vec();
        match full.finish(&self.settings.limits, self.now) {
            Ok(batch) => self.batches.push(batch),
            Err(error) => self.failures.extend(items.into_iter().map(|item| (item, error.clone()))),
        }
    }
}

fn is_json_document(text: &str) -> bool {
    text.contains('\n') && text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

impl Report {
    /// The time of a line, counted where it is not its own.
    pub(super) fn time(&mut self, time: LineTime, otherwise: i64) -> i64 {
        match time {
            LineTime::Own(nanos) => nanos,
            LineTime::Continued(nanos) => {
                self.continued += 1;
                nanos
            }
            LineTime::Unknown => {
                self.undated += 1;
                otherwise
            }
        }
    }
}

#[cfg(test)]
mod tests;
