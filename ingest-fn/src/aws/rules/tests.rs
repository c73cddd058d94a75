use schema::TenantId;

use super::*;
use crate::aws::source::{self, LogType};

fn labels(rules: &str, source: &Source) -> String {
    let route = Rules::parse(rules).unwrap().apply(source, &TenantId::default_tenant());
    let labels: Vec<String> = route.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{} {} {:?} {}", route.tenant, route.format.as_str(), route.skipped_by, labels.join(" "))
}

fn app_log() -> Source {
    source::of_key("app-logs", "prod/checkout/2025/07/01/x.log").unwrap()
}

fn log_group(name: &str) -> Source {
    let mut source = Source::new(LogType::CloudWatch);
    source.log_group = Some(name.to_owned());
    source.account_id = Some("123456789012".to_owned());
    source
}

#[test]
fn each_step_sees_what_the_ones_before_made() {
    let rules = r#"
        [[rule]]
        name = "team"
        match = { bucket = "app-logs", key_glob = "prod/*/**" }
        extract = [{ from = "key", regex = '^(?P<env>[^/]+)/(?P<app>[^/]+)/' }]
        rename = { app = "service_name" }
        set = { cluster = "c1", region = "" }
        drop = ["bucket"]
        tenant = "team-a"
        format = "json"

        [[rule]]
        set = { env = "production" }
        match = { key_prefix = ["dev/", "prod/"] }

        [[rule]]
        match = { bucket = "other" }
        skip = true
    "#;
    assert_eq!(labels(rules, &app_log()), "team-a json None cluster=c1 env=production log_type=s3 service_name=checkout");
    assert_eq!(labels(rules, &log_group("/ecs/x")), "fake auto None account_id=123456789012 log_group=/ecs/x log_type=cloudwatch service_name=ecs/x");
}

#[test]
fn conditions_all_hold() {
    let matching = |conditions: &str, source: &Source| {
        let rules = format!("[[rule]]\nmatch = {{ {conditions} }}\nskip = true\nname = \"n\"");
        Rules::parse(&rules).unwrap().apply(source, &TenantId::default_tenant()).skipped_by.is_some()
    };
    for (conditions, expected) in [
        ("", true),
        ("log_type = 's3'", true),
        ("log_type = ['alb', 's3']", true),
        ("log_type = 'alb'", false),
        ("bucket = 'app-logs', key_regex = '\\.log$'", true),
        ("bucket = 'app-logs', key_regex = '\\.gz$'", false),
        ("key_glob = '*.log'", false),
        ("key_glob = '**.log'", true),
        ("log_group_glob = '**'", false),
        ("account_id = '1'", false),
    ] {
        assert_eq!(matching(conditions, &app_log()), expected, "{conditions}");
    }
    assert!(matching("log_group_glob = '/aws/lambda/*', account_id = '123456789012'", &log_group("/aws/lambda/x")));
    assert!(!matching("log_group_regex = '^/ecs'", &log_group("/aws/lambda/x")));
}

#[test]
fn the_names_of_lambda_promtail() {
    let rules = "label_names = \"lambda-promtail\"";
    assert_eq!(
        labels(rules, &log_group("/aws/lambda/x")),
        "fake auto None __aws_cloudwatch_log_group=/aws/lambda/x __aws_cloudwatch_owner=123456789012 __aws_log_type=cloudwatch service_name=x"
    );
    let key =
        "AWSLogs/123456789012/elasticloadbalancing/us-east-2/2022/05/01/123456789012_elasticloadbalancing_us-east-2_app.my-lb.1234_20220215T2340Z_1_x.log.gz";
    assert_eq!(
        labels(rules, &source::of_key("b", key).unwrap()),
        "fake load_balancer None __aws_log_type=s3_lb __aws_s3_lb=my-lb __aws_s3_lb_owner=123456789012 service_name=my-lb"
    );
}

#[test]
fn faults_name_the_rule_and_the_fix() {
    for (rules, expected) in [
        (
            "[[rule]]\nname = \"x\"",
            r#"rule file, rule 1 "x": it changes nothing; add one of skip, tenant, format, extract, rename, set, drop, or remove the rule"#,
        ),
        (
            "[[rule]]\nskip = true\n[[rule]]\nset = { \"a-b\" = \"1\" }",
            r#"rule file, rule 2: "a-b" is not a label name; use letters, digits and _, not a digit first"#,
        ),
        (
            "[[rule]]\nformat = \"csv\"",
            r#"rule file, rule 1: there is no format "csv"; use one of auto, text, json, records, load_balancer, cloudfront, s3_access, vpc_flow"#,
        ),
        (
            "[[rule]]\nextract = [{ from = \"key\", regex = \"x(\" }]",
            "rule file, rule 1: extract \"x(\" is not a regular expression: regex parse error:\n    x(\n     ^\nerror: unclosed group; correct the pattern; in TOML, single quotes keep backslashes: '\\d+'",
        ),
        (
            "[[rule]]\nextract = [{ from = \"key\", regex = \"x\" }]",
            r#"rule file, rule 1: extract has no named group in "x"; name what becomes a label, as in (?P<app>[^/]+)"#,
        ),
        (
            "[[rule]]\nskip = true\nmatch = { bucket = [] }",
            "rule file, rule 1: match.bucket lists nothing, so the rule never matches; list a value or remove the condition",
        ),
    ] {
        assert_eq!(Rules::parse(rules).unwrap_err().to_string(), expected);
    }
    for (rules, part) in [
        ("[[rule]]\nskipp = true", "unknown field `skipp`"),
        ("label_names = \"x\"", "unknown variant `x`, expected `tarn` or `lambda-promtail`"),
        ("[[rule]]\ntenant = \"a/b\"", "rule file, rule 1: tenant \"a/b\": "),
        (
            "[[rule]]\nskip = true\nmatch = { log_type = \"ablb\" }",
            "rule file, rule 1: match.log_type: there is no log type \"ablb\"; use one of cloudwatch, kinesis",
        ),
    ] {
        let error = Rules::parse(rules).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

/// The example that users copy.
#[test]
fn the_documented_rules_do_what_is_written_beside_them() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/aws-sources.md")).unwrap();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(labels(example, &app_log()), "shop auto None app=checkout bucket=app-logs env=prod log_type=s3 service_name=checkout");
    assert_eq!(
        labels(example, &log_group("/aws/lambda/shop-cart")),
        "shop auto None env=prod log_group=/aws/lambda/shop-cart log_type=cloudwatch service=lambda service_name=shop-cart"
    );
    let mut stream = log_group("/aws/lambda/x");
    stream.log_stream = Some("2025/07/01/[$LATEST]abc".to_owned());
    assert_eq!(
        labels(page.split("```toml\n").nth(2).unwrap().split("```").next().unwrap(), &stream),
        "fake auto None __aws_cloudwatch_log_group=/aws/lambda/x __aws_cloudwatch_log_stream=2025/07/01/[$LATEST]abc __aws_log_type=cloudwatch __extra_env=prod service_name=x"
    );
    let backup = source::of_key("app-logs", "backup/x.log").unwrap();
    assert!(labels(example, &backup).contains("Some(\"rule 1 \\\"no backups\\\"\")"));
}
