//! Keys of S3 log files, service by service.

use super::{LogType, Source};

/// Why an object that lies among log files is not one.
const CLOUDTRAIL_DIGEST: &str = "a digest of CloudTrail, which only proves that log files are unchanged";
const TEST_FILE: &str = "the test file that a load balancer writes when logging is turned on";
const FOLDER: &str = "a folder marker";

/// What `key` (decoded) in `bucket` holds, or why it holds no log.
pub(in crate::aws) fn of_key(bucket: &str, key: &str) -> Result<Source, &'static str> {
    if key.ends_with('/') {
        return Err(FOLDER);
    }
    let mut source = Source { bucket: Some(bucket.to_owned()), key: Some(key.to_owned()), ..Source::new(LogType::S3) };
    source.resource = Some(("bucket", bucket.to_owned()));
    let segments: Vec<&str> = key.split('/').collect();
    let (file, folders) = segments.split_last().map_or(("", &[][..]), |(file, folders)| (*file, folders));
    if file == "ELBAccessLogTestFile" {
        return Err(TEST_FILE);
    }
    if let Some(at) = folders.iter().position(|segment| *segment == "AWSLogs") {
        let below: Vec<&str> = folders.iter().skip(at + 1).map(|segment| hive_value(segment)).collect();
        return below_aws_logs(source, &below, file);
    }
    if let Some(distribution) = distribution_of_file(file) {
        return Ok(known(source, LogType::CloudFront, Some(("distribution", distribution))));
    }
    if is_s3_access_file(file) {
        return Ok(s3_access(source, folders));
    }
    if bucket.starts_with("aws-waf-logs-") {
        return Ok(known(source, LogType::Waf, None));
    }
    Ok(source)
}

fn known(mut source: Source, log_type: LogType, resource: Option<(&'static str, &str)>) -> Source {
    source.log_type = log_type;
    source.resource = resource.map(|(label, value)| (label, value.to_owned()));
    source
}

/// `x` of `aws-region=x`: CloudFront, VPC flow logs and others can name their folders so.
fn hive_value(segment: &str) -> &str {
    segment.split_once('=').map_or(segment, |(_, value)| value)
}

/// `[o-<organisation>/]<account>/<service>/<region>/...`.
fn below_aws_logs(mut source: Source, below: &[&str], file: &str) -> Result<Source, &'static str> {
    let below = match below {
        [organisation, rest @ ..] if organisation.starts_with("o-") => rest,
        all => all,
    };
    let [account, service, rest @ ..] = below else { return Ok(source) };
    if !is_account(account) {
        return Ok(source);
    }
    source.account_id = Some((*account).to_owned());
    let region = rest.first().copied().unwrap_or_default();
    match *service {
        "elasticloadbalancing" => {
            source.region = Some(region.to_owned());
            Ok(load_balancer(source, file))
        }
        "vpcflowlogs" => {
            source.region = Some(region.to_owned());
            let flow_log = file.split('_').find(|part| part.starts_with("fl-"));
            Ok(known(source, LogType::VpcFlow, flow_log.map(|id| ("flow_log", id))))
        }
        "CloudTrail-Digest" => Err(CLOUDTRAIL_DIGEST),
        "CloudTrail" | "CloudTrail-Insight" | "CloudTrail-NetworkActivity" | "CloudTrail-Aggregated" => {
            source.region = Some(region.to_owned());
            Ok(known(source, LogType::CloudTrail, None))
        }
        "WAFLogs" => {
            source.region = Some(region.to_owned());
            Ok(known(source, LogType::Waf, rest.get(1).map(|name| ("webacl", *name))))
        }
        "vpcdnsquerylogs" => Ok(known(source, LogType::Route53Resolver, Some(("vpc", region)))),
        "GuardDuty" => {
            source.region = Some(region.to_owned());
            Ok(known(source, LogType::GuardDuty, None))
        }
        "KafkaBrokerLogs" => {
            source.region = Some(region.to_owned());
            Ok(known(source, LogType::Msk, rest.get(1).map(|cluster| ("cluster", without_uuid(cluster)))))
        }
        "CloudFront" => {
            let distribution = distribution_of_file(file).or_else(|| rest.iter().copied().find(|segment| is_distribution(segment)));
            Ok(known(source, LogType::CloudFront, distribution.map(|id| ("distribution", id))))
        }
        // A service that is not known here: its account is, and mostly its region.
        _ => {
            source.region = Some(region.to_owned()).filter(|region| is_region(region));
            Ok(source)
        }
    }
}

/// `[conn_log.|health_check_log_]<account>_elasticloadbalancing_<region>_[app.|net.]<name>[.<id>]_<end>_...`.
fn load_balancer(source: Source, file: &str) -> Source {
    let name = file.split_once("_elasticloadbalancing_").and_then(|(_, rest)| rest.split_once('_')).map_or("", |(_, rest)| rest);
    let name = name.split('_').next().unwrap_or_default();
    let (kind, name) = match name.split_once('.') {
        Some(("app", rest)) => (LogType::Alb, rest),
        Some(("net", rest)) => (LogType::Nlb, rest),
        _ => (LogType::Elb, name),
    };
    let kind = match kind {
        LogType::Alb if file.starts_with("conn_log") => LogType::AlbConnection,
        LogType::Alb if file.starts_with("health_check_log") => LogType::AlbHealthCheck,
        other => other,
    };
    let name = name.split('.').next().unwrap_or_default();
    known(source, kind, Some(("lb", name)).filter(|(_, name)| !name.is_empty()))
}

/// The partitioned layout ends with `<account>/<region>/<bucket>/<yyyy>/<mm>/<dd>/`; the plain one says nothing, and the bucket is in each line.
fn s3_access(source: Source, folders: &[&str]) -> Source {
    let mut source = known(source, LogType::S3Access, None);
    if let [.., account, region, bucket, year, month, day] = folders
        && is_account(account)
        && [year, month, day].into_iter().all(|part| is_digits(part))
    {
        source.account_id = Some((*account).to_owned());
        source.region = Some((*region).to_owned());
        source.resource = Some(("bucket", (*bucket).to_owned()));
    }
    source
}

/// `<distribution>.YYYY-MM-DD-HH.<unique>[.gz]`.
fn distribution_of_file(file: &str) -> Option<&str> {
    let mut parts = file.split('.');
    let (distribution, hour) = (parts.next()?, parts.next()?);
    let is_hour = hour.len() == 13 && hour.split('-').map(str::len).eq([4, 2, 2, 2]) && hour.split('-').all(is_digits);
    (is_distribution(distribution) && is_hour && parts.next().is_some()).then_some(distribution)
}

fn is_distribution(text: &str) -> bool {
    text.len() >= 12 && text.starts_with('E') && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// `[prefix]YYYY-mm-DD-HH-MM-SS-<16 upper-case hex digits>`.
fn is_s3_access_file(file: &str) -> bool {
    let start = file.len().saturating_sub("YYYY-mm-DD-HH-MM-SS-0123456789ABCDEF".len());
    let Some(name) = file.get(start..) else { return false };
    let parts: Vec<&str> = name.split('-').collect();
    let [times @ .., unique] = parts.as_slice() else { return false };
    times.iter().map(|part| part.len()).eq([4, 2, 2, 2, 2, 2])
        && times.iter().all(|part| is_digits(part))
        && unique.len() == 16
        && unique.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && is_digits(text)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `eu-west-1`, `us-gov-east-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    matches!(parts.as_slice(), [first, .., last] if parts.len() >= 3 && first.len() == 2 && is_digits(last))
}

/// An MSK cluster's name without the `-<uuid>-<number>` behind it.
fn without_uuid(cluster: &str) -> &str {
    let parts: Vec<&str> = cluster.split('-').collect();
    let uuid_at = parts
        .windows(5)
        .position(|part| part.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && part.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit())));
    let Some(at) = uuid_at.filter(|at| *at > 0) else { return cluster };
    let length = parts.iter().take(at).map(|part| part.len() + 1).sum::<usize>() - 1;
    cluster.get(..length).unwrap_or(cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys as the services' documentation shows them; `-` is no value.
    #[test]
    fn documented_keys() {
        for (key, log_type, account, region, resource) in [
            (
                "my-prefix/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2022/05/01/123456789012_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_20220215T2340Z_172.160.001.192_20sg8hgm.log.gz",
                "alb",
                "123456789012",
                "us-east-2",
                "lb=my-loadbalancer",
            ),
            (
                "AWSLogs/123456789012/elasticloadbalancing/us-east-2/2022/05/01/conn_log.123456789012_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_20220215T2340Z_172.160.001.192_20sg8hgm.log.gz",
                "alb_connection",
                "123456789012",
                "us-east-2",
                "lb=my-loadbalancer",
            ),
            (
                "AWSLogs/123456789012/elasticloadbalancing/us-east-2/2022/05/01/health_check_log_123456789012_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_20220215T2340Z_172.160.001.192_20sg8hgm.log.gz",
                "alb_health_check",
                "123456789012",
                "us-east-2",
                "lb=my-loadbalancer",
            ),
            (
                "my-prefix/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2020/05/01/123456789012_elasticloadbalancing_us-east-2_net.my-loadbalancer.1234567890abcdef_20200501T0000Z_20sg8hgm.log.gz",
                "nlb",
                "123456789012",
                "us-east-2",
                "lb=my-loadbalancer",
            ),
            (
                "my-app/AWSLogs/123456789012/elasticloadbalancing/us-west-2/2014/02/15/123456789012_elasticloadbalancing_us-west-2_my-loadbalancer_20140215T2340Z_172.160.001.192_20sg8hgm.log",
                "elb",
                "123456789012",
                "us-west-2",
                "lb=my-loadbalancer",
            ),
            ("example-prefix/EMLARXS9EXAMPLE.2019-11-14-20.RT4KCN4SGK9.gz", "cloudfront", "-", "-", "distribution=EMLARXS9EXAMPLE"),
            ("AWSLogs/111122223333/CloudFront/EMLARXS9EXAMPLE.2025-01-14-20.a1b2c3d4.gz", "cloudfront", "111122223333", "-", "distribution=EMLARXS9EXAMPLE"),
            (
                "AWSLogs/aws-account-id=111122223333/CloudFront/DistributionId=EMLARXS9EXAMPLE/year=2025/x.gz",
                "cloudfront",
                "111122223333",
                "-",
                "distribution=EMLARXS9EXAMPLE",
            ),
            ("logs/2023-11-05-21-32-16-E568B2907131C0C0", "s3_access", "-", "-", "-"),
            (
                "logs/123456789012/us-west-1/amzn-s3-demo-source-bucket/2023/11/05/2023-11-05-21-32-16-E568B2907131C0C0",
                "s3_access",
                "123456789012",
                "us-west-1",
                "bucket=amzn-s3-demo-source-bucket",
            ),
            (
                "AWSLogs/123456789012/vpcflowlogs/us-east-1/2018/06/20/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20180620T1620Z_fe123456.log.gz",
                "vpc_flow",
                "123456789012",
                "us-east-1",
                "flow_log=fl-1234abcd",
            ),
            (
                "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1/year=2018/month=06/day=20/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20180620T1620Z_fe123456.log.gz",
                "vpc_flow",
                "123456789012",
                "us-east-1",
                "flow_log=fl-1234abcd",
            ),
            (
                "prefix/AWSLogs/o-exampleorgid/111122223333/CloudTrail/us-east-2/2015/08/01/111122223333_CloudTrail_us-east-2_20150801T0210Z_Mu0KsOhtH1ar15ZZ.json.gz",
                "cloudtrail",
                "111122223333",
                "us-east-2",
                "-",
            ),
            (
                "AWSLogs/11111111111/WAFLogs/us-east-1/TEST-WEBACL/2021/10/28/19/50/11111111111_waflogs_us-east-1_TEST-WEBACL_20211028T1950Z_e0ca43b5.log.gz",
                "s3",
                "-",
                "-",
                "bucket=b",
            ),
            (
                "AWSLogs/111111111111/WAFLogs/cloudfront/TEST-WEBACL/2021/10/28/19/50/111111111111_waflogs_cloudfront_TEST-WEBACL_20211028T1950Z_e0ca43b5.log.gz",
                "waf",
                "111111111111",
                "cloudfront",
                "webacl=TEST-WEBACL",
            ),
            (
                "AWSLogs/123456789012/vpcdnsquerylogs/vpc-0a1b2c3d/2021/10/28/vpc-0a1b2c3d_vpcdnsquerylogs_123456789012_20211028T1950Z_e0ca43b5.log.gz",
                "route53_resolver",
                "123456789012",
                "-",
                "vpc=vpc-0a1b2c3d",
            ),
            ("AWSLogs/123456789012/GuardDuty/us-east-1/2021/10/28/7c5a8d.jsonl.gz", "guardduty", "123456789012", "us-east-1", "-"),
            (
                "AWSLogs/123456789012/KafkaBrokerLogs/us-east-1/my-cluster-1dd0e8a8-3f3a-4d5b-9d32-0a1b2c3d4e5f-4/2021-10-28-19/Broker-1_19-50_e0ca43b5.log.gz",
                "msk",
                "123456789012",
                "us-east-1",
                "cluster=my-cluster",
            ),
            ("apps/checkout/2025/07/01/events.jsonl", "s3", "-", "-", "bucket=b"),
        ] {
            let source = of_key("b", key).unwrap();
            assert_eq!(source.log_type.as_str(), log_type, "{key}");
            assert_eq!(source.account_id.as_deref().unwrap_or("-"), account, "{key}");
            assert_eq!(source.region.as_deref().unwrap_or("-"), region, "{key}");
            assert_eq!(source.resource.map_or("-".to_owned(), |(name, value)| format!("{name}={value}")), resource, "{key}");
        }
        assert_eq!(of_key("aws-waf-logs-x", "2021/10/28/19/aws-waf-logs-x-1-2021").unwrap().log_type, LogType::Waf);
    }

    #[test]
    fn objects_that_are_no_logs() {
        for key in ["AWSLogs/123456789012/ELBAccessLogTestFile", "AWSLogs/123456789012/CloudTrail-Digest/us-east-2/2015/08/01/x.json.gz", "AWSLogs/"] {
            assert!(of_key("b", key).is_err(), "{key}");
        }
    }
}
