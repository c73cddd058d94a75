//! The command line as written. What it means is decided in `config.rs` (for `serve`) and `cli` (for the other commands).

use std::path::PathBuf;

use clap::{ArgGroup, Parser, Subcommand, ValueEnum};

/// A log lake on an object store that speaks Loki's API.
#[derive(Debug, Parser)]
#[command(name = "tarn", version, about, propagate_version = true, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(ServeArgs),
    Push(PushArgs),
    Query(QueryArgs),
    Tail(TailArgs),
    Labels(LabelsArgs),
    Series(SeriesArgs),
    Explain(ExplainArgs),
    Compact(CompactArgs),
    Inspect(InspectArgs),
    Verify(VerifyArgs),
    Cost(CostArgs),
}

/// Start the server: push and query over HTTP, in one process.
///
/// Without flags: every role on 127.0.0.1:3100, data in ./tarn-data. Each setting can also stand in the configuration
/// file or in the environment: `limits.max_line_size` is TARN_LIMITS_MAX_LINE_SIZE. A flag beats the environment, the
/// environment beats the file. A running server shows every setting at /config, the defaults at /config?mode=defaults. PORT (as Knative sets it) means --listen 0.0.0.0:$PORT unless an address is given.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tarn serve\n  AWS_REGION=eu-west-1 tarn serve --listen 0.0.0.0:3100 --store s3://my-logs/tarn\n  tarn serve --store s3://my-logs --role query\n  tarn serve --store s3://my-logs --role compactor\n  TARN_LOG=debug tarn serve --config tarn.toml"
)]
pub(crate) struct ServeArgs {
    /// Address to listen on (TARN_LISTEN) [default: 127.0.0.1:3100]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Where the data is: a folder, file:///path, s3://bucket/prefix or memory: (TARN_STORE) [default: ./tarn-data]
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// What this process does: all, ingest, query or compactor (TARN_ROLE) [default: all]
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<String>,
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "TARN_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Whom a command talks to.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Where", group = ArgGroup::new("where").args(["url", "store"]))]
pub(crate) struct TargetArgs {
    /// Server to talk to: Tarn, or anything that speaks Loki's API [default: http://127.0.0.1:3100]
    // The default is applied in the client, so that a URL in the environment does not clash with --store.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Read or write a store directly, without a server: a folder, file:///path or s3://bucket/prefix
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// Tenant, sent as X-Scope-OrgID
    #[arg(long, value_name = "ID", env = "TARN_TENANT")]
    pub(crate) tenant: Option<String>,
    /// Bearer token, for a server behind a gateway that asks for one
    #[arg(long, value_name = "TOKEN", env = "TARN_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

/// Since when and until when.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "When")]
pub(crate) struct TimeArgs {
    /// How far back from the end to look, such as 30m, 6h or 7d [default: 1h]
    #[arg(long, value_name = "DURATION", conflicts_with = "from")]
    pub(crate) since: Option<String>,
    /// Start: 2026-01-31T12:00:00Z, 2026-01-31 12:00 (UTC), now-2h, or an epoch in s, ms, us or ns
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// End, written like the start; entries at the end itself are left out [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
}

/// Send lines to a stream.
///
/// Reads files, or standard input, and sends each line as one log entry. The time of an entry is found in its line
/// (--timestamp auto), or is the moment of reading when the line has none.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tarn push --label app=api --label env=prod /var/log/api.log\n  journalctl -o short-iso-precise | tarn push --label host=$(hostname) --timestamp '%Y-%m-%dT%H:%M:%S%.f%z'\n  tarn push --label app=nginx --timestamp '%d/%b/%Y:%H:%M:%S %z' --timestamp-regex '\\[([^]]+)\\]' access.log\n  tarn push --store s3://my-logs --tenant team-a --label app=batch old.log"
)]
pub(crate) struct PushArgs {
    /// Files to send, one after another; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) files: Vec<PathBuf>,
    /// A label of the stream; at least one, repeatable
    #[arg(long = "label", short = 'l', value_name = "NAME=VALUE", required = true)]
    pub(crate) labels: Vec<String>,
    /// Where an entry's time comes from: auto, now, rfc3339, epoch (s, ms, us or ns by its digits), or a format such as '%Y-%m-%d %H:%M:%S%.f'
    ///
    /// A time without a zone is read as UTC. A line without a time takes that of the line before, as the lines of a stack trace do.
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub(crate) timestamp: String,
    /// Regex that finds the time in the line: its first group, or all of it
    #[arg(long, value_name = "REGEX", conflicts_with = "timestamp_at")]
    pub(crate) timestamp_regex: Option<String>,
    /// Byte at which the time begins in the line, counted from 0
    #[arg(long, value_name = "BYTE")]
    pub(crate) timestamp_at: Option<usize>,
    /// Compression and encoding: snappy (protobuf) or gzip (JSON)
    #[arg(long, value_enum, default_value_t = PushEncoding::Snappy)]
    pub(crate) encoding: PushEncoding,
    /// Bytes of lines in one request
    #[arg(long, value_name = "BYTES", default_value = "4MiB")]
    pub(crate) batch: String,
    /// Requests in flight
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) parallel: usize,
    /// How often a request is repeated when the server is busy (429, 5xx) or does not answer
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) retries: u32,
    /// Neither a progress bar nor a summary
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// How lines travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PushEncoding {
    Snappy,
    Gzip,
}

/// Run a LogQL query and print its entries or samples.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tarn query '{app=\"api\"} |= \"error\"' --since 6h\n  tarn query '{app=\"api\"}' --from 2026-01-31T12:00:00Z --to 2026-01-31T13:00:00Z --limit 0 --output raw > api.log\n  tarn query 'sum by (app) (rate({env=\"prod\"}[5m]))' --since 1h --step 5m\n  tarn query 'topk(5, sum by (app) (bytes_over_time({env=\"prod\"}[1h])))' --instant\n  tarn query --store ./tarn-data '{app=\"api\"} | json | status >= 500'"
)]
pub(crate) struct QueryArgs {
    /// The query
    #[arg(value_name = "LOGQL")]
    pub(crate) query: String,
    /// Most entries to print; more than one answer may hold are fetched in pages, and 0 is all of them
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    /// Distance of the points of a metric query, such as 30s or 5m [default: 1/250 of the range]
    #[arg(long, value_name = "DURATION")]
    pub(crate) step: Option<String>,
    /// Evaluate a metric query at one instant: --to, or now
    #[arg(long, conflicts_with_all = ["step", "from", "since"])]
    pub(crate) instant: bool,
    /// Newest entries first, or oldest
    #[arg(long, value_enum, default_value_t = Direction::Backward)]
    pub(crate) direction: Direction,
    /// Text with time and labels, one JSON object a line, or the bare line
    #[arg(long, short, value_enum, default_value_t = OutputFormat::Default)]
    pub(crate) output: OutputFormat,
    /// Leave the labels out of the text
    #[arg(long)]
    pub(crate) no_labels: bool,
    /// Print the query's statistics (requests, bytes, time) on standard error
    #[arg(long)]
    pub(crate) stats: bool,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Follow a log query: print the last lines, then every new one.
///
/// Ends with Ctrl-C. A broken connection is made again, without repeating or losing lines.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tarn tail '{app=\"api\"} |= \"error\"'\n  tarn tail '{env=\"prod\"} | json | status >= 500' --since 10m --limit 500\n  tarn tail --store s3://my-logs/tarn '{app=\"api\"}' --output raw | grep -v healthz"
)]
pub(crate) struct TailArgs {
    /// The query: a log query, with or without a pipeline
    #[arg(value_name = "LOGQL")]
    pub(crate) query: String,
    /// How far back to look for the first lines; lines that are older are not printed even if they arrive later [default: 1h]
    #[arg(long, value_name = "DURATION")]
    pub(crate) since: Option<String>,
    /// Most lines to print of those that are there already
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub(crate) limit: u32,
    /// Seconds for which lines are held back, so that late ones still come in the order of their time
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=5))]
    pub(crate) delay_for: u32,
    /// Text with time and labels, one JSON object a line, or the bare line
    #[arg(long, short, value_enum, default_value_t = OutputFormat::Default)]
    pub(crate) output: OutputFormat,
    /// Leave the labels out of the text
    #[arg(long)]
    pub(crate) no_labels: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Order of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

/// Shape of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Default,
    Json,
    Raw,
}

/// List label names, or the values of one label.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tarn labels --since 7d\n  tarn labels app\n  tarn labels app --match '{env=\"prod\"}'")]
pub(crate) struct LabelsArgs {
    /// Label whose values to list
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Only streams that this selector matches
    #[arg(long = "match", value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// List streams by their labels.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tarn series --since 7d\n  tarn series '{app=\"api\"}' '{app=\"web\"}'")]
pub(crate) struct SeriesArgs {
    /// Only streams that one of these selectors matches
    #[arg(value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Show how a query would run: its logical and physical plan, and what is pruned.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tarn explain 'sum by (app) (rate({env=\"prod\"} |= \"error\" [5m]))' --since 1d\n  tarn explain --store s3://my-logs '{app=\"api\"} |= \"needle\"'"
)]
pub(crate) struct ExplainArgs {
    /// The query
    #[arg(value_name = "LOGQL")]
    pub(crate) query: String,
    /// Distance of the points of a metric query
    #[arg(long, value_name = "DURATION")]
    pub(crate) step: Option<String>,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Which store a command works on, without a server.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Where")]
pub(crate) struct StoreArgs {
    /// The store: a folder, file:///path or s3://bucket/prefix (TARN_STORE) [default: ./tarn-data]
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// Only this tenant [default: all]
    #[arg(long, value_name = "ID", env = "TARN_TENANT")]
    pub(crate) tenant: Option<String>,
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "TARN_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Compact a store once: merge small chunks into few large ones, carry out deletes and retention, collect garbage.
///
/// What `tarn serve` does every minute. It works beside running servers and other compactors, and can be stopped at any time. Retention and partitions come from
/// the section [compactor] of the configuration file and from TARN_COMPACTOR_*: use the settings of the servers.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tarn compact --once\n  tarn compact --once --store s3://my-logs/tarn --tenant team-a\n  tarn compact --once --config tarn.toml --json\n\nFor a process that compacts all the time: tarn serve --role compactor"
)]
pub(crate) struct CompactArgs {
    /// Compact what there is, then end
    #[arg(long, required = true)]
    pub(crate) once: bool,
    /// Print what was done as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: StoreArgs,
}

/// Show what a store holds: tenants, days, sizes, streams, the largest label values, what waits for compaction or deletion.
///
/// Reads names, manifests and footers, but no rows.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tarn inspect\n  tarn inspect --store s3://my-logs/tarn --tenant team-a\n  tarn inspect --json | jq '.tenants[].total'")]
pub(crate) struct InspectArgs {
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: StoreArgs,
}

/// Read everything in a store and check that it is sound.
///
/// Checks names, manifests, sizes, checksums, footers and every row. The store may be in use. Nothing is changed. The exit code is 1 if anything is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tarn verify\n  tarn verify --store s3://my-logs/tarn --tenant team-a\n  tarn verify --json > report.json")]
pub(crate) struct VerifyArgs {
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: StoreArgs,
}

/// Estimate what a month costs, and what would make it cheaper; or say what a running server has asked of the store.
///
/// The estimate is arithmetic over list prices and over what Tarn was measured to need: --prices-template prints all of it, --prices reads a changed copy. Nothing is
/// contacted, except the server that --measured names.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["gb_per_day", "measured", "from_metrics", "prices_template"]),
    after_help = "Examples:\n  tarn cost --gb-per-day 5\n  tarn cost --gb-per-day 1000 --agents 1000 --push-interval 1s --deployment knative\n  tarn cost --prices-template > prices.toml; tarn cost --gb-per-day 5 --prices prices.toml\n  tarn cost --measured http://127.0.0.1:3100"
)]
pub(crate) struct CostArgs {
    /// Raw log lines a day, in GB (10^9 bytes)
    #[arg(long, value_name = "GB")]
    pub(crate) gb_per_day: Option<f64>,
    /// Report what this server has asked of the store since it started, scaled to a month
    #[arg(long, value_name = "URL")]
    pub(crate) measured: Option<String>,
    /// The same from a saved /metrics page; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) from_metrics: Option<PathBuf>,
    /// Print the default price file
    #[arg(long)]
    pub(crate) prices_template: bool,
    /// Prices and needs to compute with [default: those of --prices-template]
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// Where Tarn runs
    #[arg(long, value_enum, default_value_t = CostDeployment::Lambda)]
    pub(crate) deployment: CostDeployment,
    /// Agents that push
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) agents: u32,
    /// Time between two pushes of an agent; full batches go at once
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(crate) push_interval: String,
    /// How long lines are kept
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    pub(crate) retention: String,
    /// Queries a day; each panel of a dashboard is one
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) queries_per_day: u32,
    /// How far back a query looks
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub(crate) query_range: String,
    /// Percent of the lines in its range that a query reads: other streams are pruned
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    pub(crate) query_share: f64,
    /// Tenants, of the same size
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) tenants: u32,
    /// How long a server collects pushes for one object (ingest.flush_interval)
    #[arg(long, value_name = "DURATION", default_value = "500ms")]
    pub(crate) flush_interval: String,
    /// Time between two compaction runs (compactor.interval, or the compactor function's schedule)
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub(crate) compact_interval: String,
    /// Memory of the ingest function
    #[arg(long, value_name = "MB", default_value_t = 1024)]
    pub(crate) ingest_memory: u32,
    /// Memory of the query function
    #[arg(long, value_name = "MB", default_value_t = 3008)]
    pub(crate) query_memory: u32,
    /// Memory of the compactor function
    #[arg(long, value_name = "MB", default_value_t = 2048)]
    pub(crate) compactor_memory: u32,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where Tarn runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CostDeployment {
    /// AWS Lambda: each push is an object
    Lambda,
    /// Pods that scale, with group commit
    Knative,
    /// One server on a machine, with group commit
    Vm,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Args::command().get_subcommands().filter(|c| c.get_name() != "help") {
            assert!(command.get_after_help().is_some_and(|text| text.to_string().contains("tarn ")), "{}", command.get_name());
        }
    }

    /// What is priced by default is what the template deploys by default.
    #[test]
    fn functions_have_the_memory_of_the_template() {
        let template = include_str!("../../infra/sam/template.yaml");
        let Command::Cost(args) = Args::parse_from(["tarn", "cost", "--gb-per-day", "1"]).command else { panic!("another command") };
        for (name, memory) in [("IngestMemory", args.ingest_memory), ("QueryMemory", args.query_memory), ("CompactorMemory", args.compactor_memory)] {
            assert!(template.contains(&format!("  {name}:\n    Type: Number\n    Default: {memory}\n")), "{name} is not {memory}");
        }
        assert!(template.contains("    Default: rate(1 minute)\n") && args.compact_interval == "1m");
    }

    #[test]
    fn a_server_and_a_store_exclude_each_other() {
        assert!(Args::try_parse_from(["tarn", "labels", "--url", "http://x", "--store", "y"]).is_err());
    }
}
