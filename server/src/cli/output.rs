//! Results on standard output: readable text, one JSON object a line, or bare lines.
//! Must not know: where the results come from.

use std::collections::BTreeMap;
use std::io::{BufWriter, IsTerminal as _, Stdout, Write};

use schema::{LabelSet, Timestamp};

use crate::args::OutputFormat;
use crate::cli::query::{MatrixData, Sample, VectorData};
use crate::cli::time;
use crate::error::TarnError;

/// One log entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) timestamp: Timestamp,
    pub(crate) labels: LabelSet,
    pub(crate) line: String,
}

pub(super) const DIM: &str = "\x1b[2m";
pub(super) const CYAN: &str = "\x1b[36m";
pub(super) const YELLOW: &str = "\x1b[33m";
pub(super) const RED: &str = "\x1b[31m";
pub(super) const RESET: &str = "\x1b[0m";

/// Writes results. Call [`Printer::finish`] at the end.
#[derive(Debug)]
pub(crate) struct Printer<W: Write = Stdout> {
    out: BufWriter<W>,
    format: OutputFormat,
    labels: bool,
    /// Whether a terminal reads along: then colours, unless `NO_COLOR` is set, and no raw control characters.
    terminal: bool,
    colours: bool,
}

impl Printer<Stdout> {
    /// A printer on standard output.
    pub(crate) fn new(format: OutputFormat, no_labels: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self { out: BufWriter::new(std::io::stdout()), format, labels: !no_labels, terminal, colours }
    }
}

impl<W: Write> Printer<W> {
    /// One log entry, one line (more if the entry has line breaks).
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<(), TarnError> {
        let line = self.safe(&entry.line);
        let written = match self.format {
            OutputFormat::Raw => writeln!(self.out, "{line}"),
            OutputFormat::Json => {
                let labels: BTreeMap<&str, &str> = entry.labels.iter().collect();
                let value = serde_json::json!({"timestamp": time::format(entry.timestamp), "labels": labels, "line": entry.line});
                writeln!(self.out, "{value}")
            }
            OutputFormat::Default => {
                let at = self.paint(DIM, &time::format(entry.timestamp));
                let labels = if self.labels { format!(" {}", self.paint(CYAN, &self.safe(&entry.labels.to_string()))) } else { String::new() };
                let line = match entry.labels.get("detected_level").or_else(|| entry.labels.get("level")) {
                    Some("error" | "critical" | "fatal") => self.paint(RED, &line),
                    Some("warn") => self.paint(YELLOW, &line),
                    _ => line,
                };
                writeln!(self.out, "{at}{labels} {line}")
            }
        };
        written.map_err(TarnError::io("write to standard output"))
    }

    /// One series of a range query: its labels, then a line per point.
    pub(crate) fn series(&mut self, series: &MatrixData) -> Result<(), TarnError> {
        let written = match self.format {
            OutputFormat::Json => writeln!(self.out, "{}", serde_json::json!({"metric": series.metric, "values": series.values})),
            OutputFormat::Raw => series.values.iter().try_for_each(|(_, value)| writeln!(self.out, "{value}")),
            OutputFormat::Default => {
                let name = self.paint(CYAN, &self.safe(&metric_name(&series.metric)));
                writeln!(self.out, "{name}").and_then(|()| {
                    series.values.iter().try_for_each(|(at, value)| {
                        let at = self.paint(DIM, &time::format(seconds(*at)));
                        writeln!(self.out, "  {at}  {value}")
                    })
                })
            }
        };
        written.map_err(TarnError::io("write to standard output"))
    }

    /// The series of an instant query, values in a column.
    pub(crate) fn samples(&mut self, samples: &[VectorData]) -> Result<(), TarnError> {
        let width = samples.iter().map(|s| s.value.1.len()).max().unwrap_or(0);
        for sample in samples {
            let value = &sample.value.1;
            let written = match self.format {
                OutputFormat::Json => writeln!(self.out, "{}", serde_json::json!({"metric": sample.metric, "value": sample.value})),
                OutputFormat::Raw => writeln!(self.out, "{value}"),
                OutputFormat::Default => {
                    let name = self.paint(CYAN, &self.safe(&metric_name(&sample.metric)));
                    writeln!(self.out, "{value:>width$}  {name}")
                }
            };
            written.map_err(TarnError::io("write to standard output"))?;
        }
        Ok(())
    }

    /// The one number of a scalar query.
    pub(crate) fn scalar(&mut self, sample: &Sample) -> Result<(), TarnError> {
        let written = match self.format {
            OutputFormat::Json => writeln!(self.out, "{}", serde_json::json!({"value": sample})),
            OutputFormat::Raw | OutputFormat::Default => writeln!(self.out, "{}", sample.1),
        };
        written.map_err(TarnError::io("write to standard output"))
    }

    /// Writes what is buffered, for whoever reads along.
    pub(crate) fn flush(&mut self) -> Result<(), TarnError> {
        self.out.flush().map_err(TarnError::io("write to standard output"))
    }

    /// Writes what is buffered.
    pub(crate) fn finish(mut self) -> Result<(), TarnError> {
        self.out.flush().map_err(TarnError::io("write to standard output"))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }

    /// A log line may hold escape sequences that reprogram a terminal: there they are shown, elsewhere they are kept.
    fn safe(&self, text: &str) -> String {
        if !self.terminal || !text.chars().any(is_unsafe) {
            return text.to_owned();
        }
        text.chars().fold(String::with_capacity(text.len() + 8), |mut out, c| {
            if is_unsafe(c) {
                out.extend(c.escape_default())
            } else {
                out.push(c)
            }
            out
        })
    }
}

fn is_unsafe(c: char) -> bool {
    c.is_control() && c != '\t' && c != '\n'
}

fn metric_name(metric: &BTreeMap<String, String>) -> String {
    LabelSet::from_pairs(metric.clone()).map_or_else(|_| "{}".to_owned(), |labels| labels.to_string())
}

/// Seconds with a fraction as an instant; samples have millisecond precision.
#[expect(clippy::cast_possible_truncation, reason = "a float beyond the range of i64 saturates, which is as good as any time for display")]
fn seconds(at: f64) -> Timestamp {
    Timestamp(((at * 1000.0).round() as i64).saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: OutputFormat, terminal: bool, colours: bool, print: impl FnOnce(&mut Printer<Vec<u8>>)) -> String {
        let mut printer = Printer { out: BufWriter::new(Vec::new()), format, labels: true, terminal, colours };
        print(&mut printer);
        String::from_utf8(printer.out.into_inner().unwrap()).unwrap()
    }

    fn entry() -> Entry {
        Entry { timestamp: Timestamp(1_700_000_000_000_000_000), labels: LabelSet::parse(r#"{app="x", level="warn"}"#).unwrap(), line: "a\x1b]0;b".to_owned() }
    }

    #[test]
    fn entries() {
        let print = |p: &mut Printer<Vec<u8>>| p.entry(&entry()).unwrap();
        assert_eq!(printed(OutputFormat::Raw, false, false, print), "a\x1b]0;b\n");
        assert_eq!(printed(OutputFormat::Default, true, false, print), "2023-11-14T22:13:20Z {app=\"x\", level=\"warn\"} a\\u{1b}]0;b\n");
        assert_eq!(
            printed(OutputFormat::Default, true, true, print),
            "\x1b[2m2023-11-14T22:13:20Z\x1b[0m \x1b[36m{app=\"x\", level=\"warn\"}\x1b[0m \x1b[33ma\\u{1b}]0;b\x1b[0m\n"
        );
        let json = printed(OutputFormat::Json, true, true, print);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((value["line"].as_str(), value["labels"]["app"].as_str()), (Some("a\x1b]0;b"), Some("x")));
    }

    #[test]
    fn metrics() {
        let metric = BTreeMap::from([("app".to_owned(), "x".to_owned())]);
        let series = MatrixData { metric: metric.clone(), values: vec![(1_700_000_000.0, "1".to_owned()), (1_700_000_000.5, "0.25".to_owned())] };
        assert_eq!(
            printed(OutputFormat::Default, false, false, |p| p.series(&series).unwrap()),
            "{app=\"x\"}\n  2023-11-14T22:13:20Z  1\n  2023-11-14T22:13:20.500Z  0.25\n"
        );
        let samples = [VectorData { metric, value: (1.0, "10".to_owned()) }, VectorData { metric: BTreeMap::new(), value: (1.0, "7".to_owned()) }];
        assert_eq!(printed(OutputFormat::Default, false, false, |p| p.samples(&samples).unwrap()), "10  {app=\"x\"}\n 7  {}\n");
        assert_eq!(printed(OutputFormat::Json, false, false, |p| p.scalar(&(1.0, "2".to_owned())).unwrap()), "{\"value\":[1.0,\"2\"]}\n");
    }
}
