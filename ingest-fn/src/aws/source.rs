//! What an S3 key tells of the log file behind it: which service wrote it, for which account, region and resource.
//! The layouts are those that the services document; each needs its own words, since they share hardly more than `AWSLogs/`.
//! Must not know: what is in the file, rules.

mod layout;

use std::collections::BTreeMap;

pub(super) use self::layout::of_key;

/// A kind of log. Its text form is the value of the label `log_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogType {
    /// CloudWatch Logs, by any way.
    CloudWatch,
    /// Records of a Kinesis data stream that are not CloudWatch Logs.
    Kinesis,
    /// Records of a Firehose stream that are not CloudWatch Logs.
    Firehose,
    /// Bodies of SQS messages.
    Sqs,
    /// SNS messages.
    Sns,
    /// Access log of an Application Load Balancer.
    Alb,
    /// Its connection log.
    AlbConnection,
    /// Its health check log.
    AlbHealthCheck,
    /// Access log of a Network Load Balancer.
    Nlb,
    /// Access log of a Classic Load Balancer.
    Elb,
    /// CloudFront's standard log.
    CloudFront,
    /// S3 server access log.
    S3Access,
    /// VPC flow log.
    VpcFlow,
    /// CloudTrail.
    CloudTrail,
    /// AWS WAF.
    Waf,
    /// Route 53 Resolver query log.
    Route53Resolver,
    /// GuardDuty findings.
    GuardDuty,
    /// Broker log of MSK.
    Msk,
    /// Any other object.
    S3,
}

impl LogType {
    /// Every kind.
    pub const ALL: [Self; 19] = [
        Self::CloudWatch,
        Self::Kinesis,
        Self::Firehose,
        Self::Sqs,
        Self::Sns,
        Self::Alb,
        Self::AlbConnection,
        Self::AlbHealthCheck,
        Self::Nlb,
        Self::Elb,
        Self::CloudFront,
        Self::S3Access,
        Self::VpcFlow,
        Self::CloudTrail,
        Self::Waf,
        Self::Route53Resolver,
        Self::GuardDuty,
        Self::Msk,
        Self::S3,
    ];

    /// The value of the label `log_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CloudWatch => "cloudwatch",
            Self::Kinesis => "kinesis",
            Self::Firehose => "firehose",
            Self::Sqs => "sqs",
            Self::Sns => "sns",
            Self::Alb => "alb",
            Self::AlbConnection => "alb_connection",
            Self::AlbHealthCheck => "alb_health_check",
            Self::Nlb => "nlb",
            Self::Elb => "elb",
            Self::CloudFront => "cloudfront",
            Self::S3Access => "s3_access",
            Self::VpcFlow => "vpc_flow",
            Self::CloudTrail => "cloudtrail",
            Self::Waf => "waf",
            Self::Route53Resolver => "route53_resolver",
            Self::GuardDuty => "guardduty",
            Self::Msk => "msk",
            Self::S3 => "s3",
        }
    }

    /// The kind that `text` is the label value of.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The value of lambda-promtail's `__aws_log_type`; kinds that it does not know are named in its manner.
    pub(super) fn promtail_name(self) -> &'static str {
        match self {
            Self::CloudWatch => "cloudwatch",
            Self::Kinesis => "kinesis",
            Self::Firehose => "firehose",
            Self::Sqs => "sqs",
            Self::Sns => "sns",
            Self::Alb | Self::AlbConnection | Self::AlbHealthCheck | Self::Nlb | Self::Elb => "s3_lb",
            Self::CloudFront => "s3_cloudfront",
            Self::S3Access => "s3_access",
            Self::VpcFlow => "s3_vpc_flow",
            Self::CloudTrail => "s3_cloudtrail",
            Self::Waf => "s3_waf",
            Self::Route53Resolver => "s3_route53_resolver",
            Self::GuardDuty => "s3_guardduty",
            Self::Msk => "s3_msk",
            Self::S3 => "s3",
        }
    }
}

/// Which labels lines get before rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelNames {
    /// `log_type`, `account_id`, `region`, `log_group`, `lb`, ...
    #[default]
    Tarn,
    /// Those of lambda-promtail: `__aws_log_type`, `__aws_cloudwatch_log_group`, `__aws_s3_lb`, ...; and `service_name`, which Tarn sorts by.
    LambdaPromtail,
}

/// Where lines come from: what labels are made of and what rules look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The kind of log.
    pub log_type: LogType,
    /// The account that the logs are about.
    pub account_id: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// The resource that logs, under the name of its label: `lb`, `distribution`, `bucket`, `webacl`, `vpc`, `flow_log`, `stream`, `queue`, `topic`, `cluster`.
    pub resource: Option<(&'static str, String)>,
    /// CloudWatch Logs: the log group.
    pub log_group: Option<String>,
    /// CloudWatch Logs: the log stream.
    pub log_stream: Option<String>,
    /// S3: the bucket that the log file is in.
    pub bucket: Option<String>,
    /// S3: the key of the log file, decoded.
    pub key: Option<String>,
    /// Labels that the sender chose.
    pub extra: Vec<(String, String)>,
}

impl Source {
    pub(super) fn new(log_type: LogType) -> Self {
        Self { log_type, account_id: None, region: None, resource: None, log_group: None, log_stream: None, bucket: None, key: None, extra: Vec::new() }
    }

    /// Account, region and resource from an ARN (`arn:aws:kinesis:eu-west-1:123456789012:stream/x`); what it lacks stays as it is.
    pub(super) fn with_arn(mut self, arn: &str, label: &'static str) -> Self {
        let mut parts = arn.splitn(6, ':').skip(3);
        let filled = |part: Option<&str>| part.filter(|part| !part.is_empty()).map(str::to_owned);
        self.region = filled(parts.next()).or(self.region);
        self.account_id = filled(parts.next()).or(self.account_id);
        let name = filled(parts.next()).map(|resource| resource.rsplit('/').next().unwrap_or_default().to_owned());
        self.resource = name.filter(|name| !name.is_empty()).map(|name| (label, name)).or(self.resource);
        self
    }

    /// The labels before any rule.
    pub(super) fn labels(&self, names: LabelNames) -> BTreeMap<String, String> {
        match names {
            LabelNames::Tarn => self.tarn_labels(),
            LabelNames::LambdaPromtail => self.promtail_labels(),
        }
    }

    fn tarn_labels(&self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        let mut set = |name: &str, value: Option<&String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                labels.insert(name.to_owned(), value.clone());
            }
        };
        set("log_type", Some(&self.log_type.as_str().to_owned()));
        set("account_id", self.account_id.as_ref());
        set("region", self.region.as_ref());
        set("log_group", self.log_group.as_ref());
        if let Some((name, value)) = &self.resource {
            set(name, Some(value));
        }
        let (service, service_name) = self.service();
        set("service", service.as_ref());
        set("service_name", Some(&service_name));
        for (name, value) in &self.extra {
            set(name, Some(value));
        }
        labels
    }

    fn promtail_labels(&self) -> BTreeMap<String, String> {
        let kind = self.log_type.promtail_name();
        let mut labels = BTreeMap::from([("__aws_log_type".to_owned(), kind.to_owned())]);
        let mut set = |name: String, value: Option<&String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                labels.insert(name, value.clone());
            }
        };
        if self.log_type == LogType::CloudWatch {
            set("__aws_cloudwatch_log_group".to_owned(), self.log_group.as_ref());
            set("__aws_cloudwatch_owner".to_owned(), self.account_id.as_ref());
        } else {
            set(format!("__aws_{kind}"), self.resource.as_ref().map(|(_, value)| value));
            set(format!("__aws_{kind}_owner"), self.account_id.as_ref());
        }
        set("service_name".to_owned(), Some(&self.service().1));
        for (name, value) in &self.extra {
            set(name.clone(), Some(value));
        }
        labels
    }

    /// The AWS service (CloudWatch Logs only, from `/aws/<service>/<name>`) and what a person would call the thing that logs.
    fn service(&self) -> (Option<String>, String) {
        let Some(group) = &self.log_group else {
            // An id says nothing to a person.
            let named = self.resource.as_ref().filter(|(label, _)| !matches!(*label, "flow_log" | "vpc"));
            return (None, named.map_or(self.log_type.as_str(), |(_, value)| value).to_owned());
        };
        match group.strip_prefix("/aws/").and_then(|rest| rest.split_once('/')) {
            Some((service, name)) if !service.is_empty() && !name.is_empty() => (Some(service.to_owned()), name.to_owned()),
            _ => (None, group.strip_prefix('/').unwrap_or(group).to_owned()),
        }
    }

    /// What each line carries beside its labels: high in number or of little use for a selection.
    pub(super) fn metadata(&self) -> Vec<(&'static str, String)> {
        let pairs = [("log_stream", &self.log_stream), ("s3_bucket", &self.bucket), ("s3_key", &self.key)];
        pairs.into_iter().filter_map(|(name, value)| value.clone().filter(|value| !value.is_empty()).map(|value| (name, value))).collect()
    }
}
