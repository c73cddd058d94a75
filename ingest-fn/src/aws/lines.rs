//! When a line of a log file was written: each format keeps its time elsewhere.
//! Lines are stored as they are; only their time is read, so that a field added by a service next year does no harm.
//! Must not know: labels but the one that only a line tells, where lines come from.

use super::json_time;
use super::source::LogType;
use super::time;

/// The fields of a flow log without a header line: version 2, the default.
const VPC_FLOW_FIELDS: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";
/// More than every field that there is; a longer header is no help to anybody.
const MAX_FIELDS_BYTES: usize = 4096;
/// A load balancer's line has its time in one of its first fields: which one depends on the balancer and the log.
const LOAD_BALANCER_TIME_FIELDS: usize = 3;
/// In the common log format the time is the fourth field; names with spaces move it.
const COMMON_LOG_TIME_FIELDS: usize = 6;

/// How lines are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// By the look of it: JSON lines, one JSON document with a list of records, or text.
    Auto,
    /// Text with a time at its start or as web servers write it. Lines without one continue the entry before: they get its time.
    Text,
    /// JSON, one document a line.
    Json,
    /// One JSON document with a list of records: CloudTrail.
    Records,
    /// Every log of a load balancer.
    LoadBalancer,
    /// CloudFront, all text formats.
    CloudFront,
    /// S3 server access log.
    S3Access,
    /// VPC flow log, with or without a header line.
    VpcFlow,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 8] = [Self::Auto, Self::Text, Self::Json, Self::Records, Self::LoadBalancer, Self::CloudFront, Self::S3Access, Self::VpcFlow];

    /// Its name in the rule file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
            Self::Records => "records",
            Self::LoadBalancer => "load_balancer",
            Self::CloudFront => "cloudfront",
            Self::S3Access => "s3_access",
            Self::VpcFlow => "vpc_flow",
        }
    }

    /// The format of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// The format that the service behind `log_type` writes.
    pub(super) fn of(log_type: LogType) -> Self {
        match log_type {
            LogType::Alb | LogType::AlbConnection | LogType::AlbHealthCheck | LogType::Nlb | LogType::Elb => Self::LoadBalancer,
            LogType::CloudFront => Self::CloudFront,
            LogType::S3Access => Self::S3Access,
            LogType::VpcFlow => Self::VpcFlow,
            LogType::CloudTrail => Self::Records,
            LogType::Waf | LogType::Route53Resolver | LogType::GuardDuty => Self::Json,
            LogType::Msk => Self::Text,
            LogType::CloudWatch | LogType::Kinesis | LogType::Firehose | LogType::Sqs | LogType::Sns | LogType::S3 => Self::Auto,
        }
    }
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading<'l> {
    /// It names fields and is no entry.
    Header,
    /// An entry.
    Entry {
        /// In nanoseconds.
        time: LineTime,
        /// S3 access logs: the bucket that was accessed.
        bucket: Option<&'l str>,
    },
}

/// The time of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineTime {
    /// Read from the line.
    Own(i64),
    /// That of the line before, which this one continues.
    Continued(i64),
    /// None.
    Unknown,
}

/// Reads the lines of one file or payload in order.
#[derive(Clone, Debug)]
pub(super) struct LineReader {
    format: Format,
    first: bool,
    columns: Columns,
    /// The header, where it is not the one that everybody expects.
    fields: Option<String>,
    previous: Option<i64>,
}

/// Where a line has its time, by the header.
#[derive(Clone, Copy, Debug, Default)]
struct Columns {
    date: Option<usize>,
    time: Option<usize>,
    timestamp: Option<usize>,
}

impl LineReader {
    pub(super) fn new(format: Format) -> Self {
        let columns = match format {
            Format::VpcFlow => vpc_columns(VPC_FLOW_FIELDS),
            Format::CloudFront => Columns { date: Some(0), time: Some(1), timestamp: None },
            _ => Columns::default(),
        };
        Self { format, first: true, columns, fields: None, previous: None }
    }

    /// The names of a line's fields, if they are not the format's usual ones.
    pub(super) fn fields(&self) -> Option<&str> {
        self.fields.as_deref()
    }

    pub(super) fn read<'l>(&mut self, line: &'l str) -> Reading<'l> {
        let first = std::mem::replace(&mut self.first, false);
        let looks_like_json = line.trim_start().starts_with('{');
        let own = match self.format {
            Format::VpcFlow if first && is_vpc_header(line) => {
                self.columns = vpc_columns(line);
                let fields = line.trim();
                self.fields = (fields != VPC_FLOW_FIELDS && fields.len() <= MAX_FIELDS_BYTES).then(|| fields.to_owned());
                return Reading::Header;
            }
            Format::CloudFront if line.starts_with('#') => {
                if let Some(fields) = line.strip_prefix("#Fields:") {
                    self.columns = cloudfront_columns(fields);
                }
                return Reading::Header;
            }
            _ if looks_like_json => json_time::of_line(line.as_bytes()),
            Format::VpcFlow => self.columns.timestamp.and_then(|at| line.split(' ').nth(at)).and_then(|field| time::text(field.as_bytes())),
            Format::CloudFront => self.cloudfront(line),
            Format::S3Access => bracketed(line, COMMON_LOG_TIME_FIELDS),
            Format::LoadBalancer => line.split(' ').take(LOAD_BALANCER_TIME_FIELDS).find_map(|field| time::iso(field.as_bytes())),
            Format::Auto | Format::Text | Format::Json | Format::Records => leading(line).or_else(|| bracketed(line, COMMON_LOG_TIME_FIELDS)),
        };
        let bucket = if self.format == Format::S3Access { line.split(' ').nth(1).filter(|name| *name != "-") } else { None };
        let continues = matches!(self.format, Format::Auto | Format::Text) && !looks_like_json;
        let time = match (own, self.previous) {
            (Some(time), _) => LineTime::Own(time),
            (None, Some(previous)) if continues => LineTime::Continued(previous),
            (None, _) => LineTime::Unknown,
        };
        self.previous = own.or(self.previous);
        Reading::Entry { time, bucket }
    }

    fn cloudfront(&self, line: &str) -> Option<i64> {
        let delimiter = ['\t', ',', ' '].into_iter().find(|c| line.contains(*c))?;
        let field = |at: Option<usize>| at.and_then(|at| line.split(delimiter).nth(at)).map(|field| field.trim_matches('"').as_bytes());
        if let (Some(date), Some(time)) = (field(self.columns.date), field(self.columns.time))
            && let Some(nanos) = time::date_and_time(date, time)
        {
            return Some(nanos);
        }
        field(self.columns.timestamp).or_else(|| field(Some(0))).and_then(time::text)
    }
}

/// A time at the start, perhaps in brackets.
fn leading(line: &str) -> Option<i64> {
    let text = line.trim_start();
    let text = text.strip_prefix('[').unwrap_or(text);
    time::iso_prefix(text.as_bytes()).map(|(nanos, _)| nanos)
}

/// `... [06/Feb/2019:00:00:38 +0000] ...`, the bracket at the start of one of the first `fields` fields.
fn bracketed(line: &str, fields: usize) -> Option<i64> {
    let mut rest = line;
    for _ in 0..fields {
        if let Some(nanos) = rest.strip_prefix('[').and_then(|text| time::common_log(text.as_bytes())) {
            return Some(nanos);
        }
        rest = rest.split_once(' ')?.1;
    }
    None
}

/// A flow log's header: names only, the names of times among them.
fn is_vpc_header(line: &str) -> bool {
    let is_name =
        |field: &str| field.starts_with(|c: char| c.is_ascii_lowercase()) && field.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let fields: Vec<&str> = line.trim().split(' ').collect();
    fields.iter().all(|field| is_name(field)) && ["version", "account-id", "start", "end", "srcaddr", "interface-id"].iter().any(|name| fields.contains(name))
}

fn vpc_columns(header: &str) -> Columns {
    let position = |name: &str| header.trim().split(' ').position(|field| field == name);
    Columns { timestamp: position("end").or_else(|| position("start")), ..Columns::default() }
}

fn cloudfront_columns(fields: &str) -> Columns {
    let names: Vec<&str> = fields.split_whitespace().collect();
    let position = |name: &str| names.iter().position(|field| *field == name);
    Columns { date: position("date"), time: position("time"), timestamp: position("timestamp(ms)").or_else(|| position("timestamp")) }
}
