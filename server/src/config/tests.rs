use super::*;

fn args(list: &[&str]) -> ServeArgs {
    use clap::Parser as _;
    match crate::args::Args::parse_from(["tarn", "serve"].iter().chain(list)).command {
        crate::args::Command::Serve(serve) => serve,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn resolve(flags: &[&str], file: &str, env: &[(&str, &str)]) -> Result<Config, TarnError> {
    let raw = toml::from_str(file).map_err(|e| TarnError::ConfigSyntax { path: "tarn.toml".into(), source: Box::new(e) })?;
    Config::resolve(&args(flags), raw, &|name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
}

#[test]
fn without_settings_every_role_on_the_loopback_address() {
    let config = resolve(&[], "", &[]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(
        (config.listen.to_string().as_str(), config.store.as_str(), config.role, config.auth_enabled),
        ("127.0.0.1:3100", "./tarn-data", Role::All, false)
    );
}

#[test]
fn a_flag_beats_the_environment_and_that_beats_the_file() {
    let file = "store = \"file-store\"\nrole = \"ingest\"\n[limits]\nmax_line_size = 1000\nmax_query_series = \"7\"\n";
    let config =
        resolve(&["--store", "flag-store"], file, &[("TARN_STORE", "env-store"), ("TARN_ROLE", "query"), ("TARN_LIMITS_MAX_LINE_SIZE", "2KB")]).unwrap();
    assert_eq!(
        (config.store.as_str(), config.role, config.ingest_limits.max_line_size, config.query_limits.max_query_series),
        ("flag-store", Role::Query, 2048, 7)
    );
}

#[test]
fn resource_attributes_that_are_labels_come_as_a_list_or_a_text() {
    let labels = |file: &str, env: &[(&str, &str)]| resolve(&[], file, env).map(|config| config.ingest_limits.otlp_index_labels.join("|"));
    let list = "[limits]\notlp_index_labels = [\"service.name\", \"team\"]\n";
    assert_eq!(labels(list, &[]).unwrap(), "service.name|team");
    assert_eq!(labels(list, &[("TARN_LIMITS_OTLP_INDEX_LABELS", "a.b, c")]).unwrap(), "a.b|c");
    assert_eq!(labels("[limits]\notlp_index_labels = []\n", &[]).unwrap(), "");
    assert_eq!(
        labels("", &[("TARN_LIMITS_OTLP_INDEX_LABELS", "a,,b")]).unwrap_err().to_string(),
        "TARN_LIMITS_OTLP_INDEX_LABELS: 'a,,b' is not names of resource attributes with commas between them, such as service.name,k8s.pod.name"
    );
}

#[test]
fn port_means_every_interface_unless_an_address_is_given() {
    assert_eq!(resolve(&[], "listen = \"127.0.0.1:1\"", &[("PORT", "8080")]).unwrap().listen.to_string(), "0.0.0.0:8080");
    assert_eq!(resolve(&[], "", &[("PORT", "8080"), ("TARN_LISTEN", "127.0.0.1:9")]).unwrap().listen.to_string(), "127.0.0.1:9");
    assert_eq!(resolve(&["--listen", ":7"], "", &[("PORT", "8080")]).unwrap().listen.to_string(), "0.0.0.0:7");
    assert_eq!(resolve(&[], "", &[("PORT", "x")]).unwrap_err().to_string(), "PORT: 'x' is not a port between 0 and 65535");
}

#[test]
fn an_error_names_the_key_and_what_would_be_right() {
    for (flags, file, env, message) in [
        (vec!["--role", "rol"], "", vec![], "--role: 'rol' is not one of all, ingest, query and compactor"),
        (vec![], "[ingest]\nflush_interval = 500", vec![], "ingest.flush_interval in the configuration file: '500' is not a duration such as 500ms, 30s or 7d"),
        (vec![], "", vec![("TARN_LIMITS_MAX_LINE_SIZE", "big")], "TARN_LIMITS_MAX_LINE_SIZE: 'big' is not a size such as 262144, 256KB or 8MB"),
        (vec![], "", vec![("TARN_AUTH_ENABLED", "maybe")], "TARN_AUTH_ENABLED: 'maybe' is not true or false"),
        (vec![], "", vec![("TARN_LOG", "a=b=c")], "TARN_LOG: 'a=b=c' is not a log filter such as info or info,store=debug"),
    ] {
        assert_eq!(resolve(&flags, file, &env).unwrap_err().to_string(), message);
    }
    let unknown = resolve(&[], "[limits]\nmax_line_sise = 3\n", &[]).unwrap_err().to_string();
    assert!(unknown.contains("line 2") && unknown.contains("max_line_sise") && unknown.contains("max_line_size"), "{unknown}");
}

#[test]
fn zero_switches_an_age_limit_off() {
    let config = resolve(&[], "[limits]\nreject_old_samples_max_age = \"7d\"\nmax_query_length = 0\n", &[]).unwrap();
    assert_eq!((config.ingest_limits.reject_old_samples_max_age, config.query_limits.max_query_length), (Some(Duration::from_secs(604_800)), None));
}

#[test]
fn the_shown_configuration_can_be_read_by_people_and_hides_secrets() {
    let config = resolve(&["--store", "s3://key:secret@bucket/logs?token=abc"], "", &[]).unwrap();
    let yaml = config.to_yaml();
    assert!(!yaml.contains("secret") && !yaml.contains("abc"), "{yaml}");
    assert!(
        yaml.contains("store: \"s3://***@bucket/logs?***\"\n") && yaml.contains("\nauth:\n  enabled: false\n") && yaml.contains("  flush_interval: 500ms\n"),
        "{yaml}"
    );
}

#[test]
fn an_access_key_is_shown_to_nobody() {
    let config = resolve(&[], "[firehose]\naccess_key = \"s3cret\"\ntenant = \"ops\"\n", &[]).unwrap();
    assert!(config.to_yaml().contains("firehose:\n  access_key: \"***\"\n  tenant: \"ops\"\n"), "{}", config.to_yaml());
    assert!(!format!("{config:?}").contains("s3cret"));
    let refused = resolve(&[], "", &[("TARN_FIREHOSE_ACCESS_KEY", &"x".repeat(4097))]).unwrap_err().to_string();
    assert_eq!(refused, "TARN_FIREHOSE_ACCESS_KEY: '***' is not an access key of at most 4096 bytes");
}

#[test]
fn the_difference_to_the_defaults_is_what_was_set() {
    assert_eq!(Config::default().diff_yaml(), "");
    let config = resolve(&[], "role = \"query\"\n[limits]\nmax_query_series = 7\nquery_timeout = \"90s\"\n", &[]).unwrap();
    assert_eq!(config.diff_yaml(), "role: \"query\"\nlimits:\n  max_query_series: 7\n  query_timeout: 90s\n");
    let limits = config.limits_yaml(&schema::TenantId::default_tenant(), (&config.ingest_limits, &config.query_limits));
    assert!(limits.starts_with("max_line_size: 262144\n") && limits.contains("\nmax_query_series: 7\n"), "{limits}");
}

#[test]
fn limits_of_queries_are_read() {
    let file = "[limits]\nmax_query_cost = 0.05\nmax_query_bytes_read = \"150GB\"\nrequired_labels = [\"app\", \"env\"]\nmax_query_lookback = \"7d\"\nvolume_enabled = false\n";
    let limits = resolve(&[], file, &[("TARN_LIMITS_VOLUME_MAX_SERIES", "5")]).unwrap().query_limits;
    assert_eq!(limits.max_query_cost.map(|dollars| dollars.to_string()).as_deref(), Some("0.05"));
    assert_eq!(limits.max_query_bytes_read.map(NonZeroU64::get), Some(150 << 30));
    assert_eq!(limits.required_labels, ["app", "env"]);
    assert_eq!((limits.max_query_lookback, limits.volume_enabled, limits.volume_max_series), (Some(Duration::from_secs(7 * 86_400)), false, 5));
    let off = resolve(&[], "[limits]\nmax_query_cost = 0\nmax_query_bytes_read = 0\n", &[]).unwrap().query_limits;
    assert_eq!((off.max_query_cost, off.max_query_bytes_read), (None, None));
    let error = resolve(&[], "[limits]\nmax_query_cost = \"cheap\"\n", &[]).unwrap_err().to_string();
    assert!(error.ends_with("'cheap' is not a price in US dollars such as 0.05, with up to nine decimals, or 0 for no limit"), "{error}");
}
