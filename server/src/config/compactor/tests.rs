use super::super::Config;
use super::super::tests::resolve;
use super::*;

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

const FILE: &str = r#"
[compactor]
interval = "5s"
partition_labels = ["env", "service_name"]
retention_period = "7d"

[[compactor.retention]]
selector = '{env="dev"}'
period = "24h"

[[compactor.retention]]
tenant = "a"
selector = '{env="dev", app=~"x.*"}'
priority = 5
period = "1h"

[compactor.tenants.b]
retention_period = 0
partition_labels = "app"
"#;

#[test]
fn rules_hold_for_their_tenant_or_for_all() {
    let config = resolve(&[], FILE, &[]).unwrap().compactor;
    assert_eq!((config.enabled, config.interval, config.grace), (true, Duration::from_secs(5), Duration::from_secs(900)));
    let of = |id: &str| {
        let settings = config.of(&tenant(id));
        let rules: Vec<(String, u32, Duration)> = settings
            .retention_rules
            .iter()
            .map(|rule| (rule.matchers.iter().map(Matcher::to_string).collect::<Vec<_>>().join(","), rule.priority, rule.period))
            .collect();
        (settings.partition_labels.join("+"), settings.retention, rules)
    };
    let dev = (r#"env="dev""#.to_owned(), 1, hours(24));
    assert_eq!(of("other"), ("env+service_name".to_owned(), Some(hours(168)), vec![dev.clone()]));
    assert_eq!(of("a"), ("env+service_name".to_owned(), Some(hours(168)), vec![dev.clone(), (r#"env="dev",app=~"x.*""#.to_owned(), 5, hours(1))]));
    assert_eq!(of("b"), ("app".to_owned(), None, vec![dev]));
    assert!(config.has_retention() && !CompactorConfig::default().has_retention());
    let settings = config.settings();
    assert_eq!((settings.tenants.len(), settings.of(&tenant("b")).retention, settings.of(&tenant("z")).retention), (2, None, Some(hours(168))));
}

#[test]
fn the_environment_sets_what_a_line_can_say() {
    let env = [
        ("TARN_COMPACTOR_ENABLED", "false"),
        ("TARN_COMPACTOR_INTERVAL", "1s"),
        ("TARN_COMPACTOR_PARTITION_LABELS", "a, b"),
        ("TARN_COMPACTOR_GRACE", "2m"),
        ("TARN_COMPACTOR_RETENTION_PERIOD", "48h"),
        ("TARN_COMPACTOR_DELETE_CANCEL_PERIOD", "0"),
    ];
    let config = resolve(&[], FILE, &env).unwrap().compactor;
    assert_eq!(
        (config.enabled, config.interval, config.grace, config.delete_cancel_period),
        (false, Duration::from_secs(1), Duration::from_secs(120), Duration::ZERO)
    );
    assert_eq!((config.default.partition_labels.as_slice(), config.default.retention), (["a".to_owned(), "b".to_owned()].as_slice(), Some(hours(48))));
}

#[test]
fn what_cannot_be_used_is_named_at_start() {
    for (file, message) in [
        ("[compactor]\ninterval = 0", "compactor.interval in the configuration file: '0' is not a duration such as 60s, longer than 0"),
        ("[compactor]\npartition_labels = [\"a b\"]", "compactor.partition_labels in the configuration file: 'a b' is not a list of label names"),
        ("[compactor.tenants.\"a b\"]", "compactor.tenants.a b in the configuration file: 'a b' is not a tenant id"),
        ("[compactor.tenants.a]\nretention_period = 5", "compactor.tenants.a.retention_period in the configuration file: '5' is not a duration"),
        ("[[compactor.retention]]\nperiod = \"1h\"", "rule 1 of [[compactor.retention]] in the configuration file: it has no selector"),
        ("[[compactor.retention]]\nselector = '{a=\"b\"}'", "rule 1 of [[compactor.retention]] in the configuration file: it has no period"),
        ("[[compactor.retention]]\nselector = '{a=\"b\"}'\nperiod = 0", "its period \"0\" is not a duration such as 24h or 7d, longer than 0"),
        ("[[compactor.retention]]\nselector = '{a=\"b\"}'\nperiod = \"1h\"\npriority = -1", "its priority \"-1\" is not a whole number"),
        ("[[compactor.retention]]\nselector = '{a=\"b\"'\nperiod = \"1h\"", "its selector cannot be read:\n{a=\"b\"\n"),
        ("[[compactor.retention]]\nselector = '{a=\"b\"} |= \"x\"'\nperiod = \"1h\"", "is more than label matchers"),
        ("[[compactor.retention]]\ntenant = \"..\"\nselector = '{a=\"b\"}'\nperiod = \"1h\"", "tenant: tenant ID is '.' or '..'"),
    ] {
        let error = resolve(&[], file, &[]).unwrap_err().to_string();
        assert!(error.contains(message), "{file}\n{error}");
    }
    assert!(resolve(&[], "[[compactor.retention]]\nselektor = 'x'", &[]).unwrap_err().to_string().contains("selektor"));
}

#[test]
fn what_holds_is_shown() {
    let config = resolve(&[], FILE, &[]).unwrap();
    let yaml = config.diff_yaml();
    for line in [
        "  interval: 5s",
        r#"  partition_labels: ["env", "service_name"]"#,
        "  retention_period: 168h",
        r#"  retention: [{selector: "{env=\"dev\"}", priority: 1, period: 24h}]"#,
    ] {
        assert!(yaml.lines().any(|shown| shown == line), "{line}\n{yaml}");
    }
    assert!(yaml.contains(r#"  tenants: {"a": {partition_labels: ["env", "service_name"], retention_period: 168h, retention: [{"#), "{yaml}");
    let limits = config.limits_yaml(&tenant("b"), (&config.ingest_limits, &config.query_limits));
    assert!(limits.ends_with("retention_period: 0\nretention_stream: [{selector: \"{env=\\\"dev\\\"}\", priority: 1, period: 24h}]\n"), "{limits}");
    assert_eq!(Config::default().compactor.retention_period(&tenant("b")), Duration::ZERO);
    assert_eq!(config.compactor.retention_period(&tenant("c")), hours(168));
}
