//! Every metric of the process in Prometheus' text form: requests counted here, the store's and the roles' collected.
//! Must not know: what a route does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use parking_lot::Mutex;

use crate::serve::connections::Ended;
use crate::serve::state::App;

/// Upper bounds in seconds of the duration histogram.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// What the server itself counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    routes: Mutex<BTreeMap<String, RouteMetrics>>,
    /// Handlers that panicked.
    pub(crate) panics: AtomicU64,
    /// Connections that ended before they were encrypted.
    pub(crate) failed_handshakes: AtomicU64,
    /// Connections that are open.
    pub(crate) connections: AtomicI64,
    /// Connections that the server ended, by reason.
    ended: [AtomicU64; Ended::ALL.len()],
    /// Requests that are being answered.
    pub(crate) in_flight: AtomicI64,
    /// Tails that are open.
    pub(crate) tails: AtomicI64,
}

#[derive(Debug, Default)]
struct RouteMetrics {
    answers: BTreeMap<(&'static str, u16), u64>,
    /// Not cumulative; the last one is beyond all bounds.
    buckets: [u64; BUCKETS.len() + 1],
    seconds: f64,
}

impl Metrics {
    /// Counts an answer. `route` is the router's pattern, never the path that was asked for, so that the series are few.
    pub(crate) fn answered(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.partition_point(|bound| *bound < seconds);
        let mut routes = self.routes.lock();
        if !routes.contains_key(route) {
            routes.insert(route.to_owned(), RouteMetrics::default());
        }
        if let Some(metrics) = routes.get_mut(route) {
            *metrics.answers.entry((method_label(method), status.as_u16())).or_default() += 1;
            if let Some(count) = metrics.buckets.get_mut(bucket) {
                *count += 1;
            }
            metrics.seconds += seconds;
        }
    }

    /// Counts a connection that the server ended.
    pub(crate) fn ended(&self, reason: Ended) {
        if let Some((_, count)) = Ended::ALL.iter().zip(&self.ended).find(|(known, _)| **known == reason) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn render(&self, out: &mut String) {
        let routes = self.routes.lock();
        header(out, "tarn_http_requests_total", "counter", "Requests answered.");
        for (route, metrics) in routes.iter() {
            for ((method, status), count) in &metrics.answers {
                let _ = writeln!(out, "tarn_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}} {count}");
            }
        }
        header(out, "tarn_http_request_duration_seconds", "histogram", "Time from the request's head to the answer's head.");
        for (route, metrics) in routes.iter() {
            let mut total = 0;
            for (bound, count) in BUCKETS.iter().zip(&metrics.buckets) {
                total += count;
                let _ = writeln!(out, "tarn_http_request_duration_seconds_bucket{{route=\"{route}\",le=\"{bound}\"}} {total}");
            }
            total += metrics.buckets.last().copied().unwrap_or_default();
            let _ = writeln!(out, "tarn_http_request_duration_seconds_bucket{{route=\"{route}\",le=\"+Inf\"}} {total}");
            let _ = writeln!(out, "tarn_http_request_duration_seconds_sum{{route=\"{route}\"}} {}", metrics.seconds);
            let _ = writeln!(out, "tarn_http_request_duration_seconds_count{{route=\"{route}\"}} {total}");
        }
        drop(routes);
        single(out, "tarn_http_panics_total", "counter", "Handlers that panicked.", self.panics.load(Ordering::Relaxed));
        single(
            out,
            "tarn_tls_handshakes_failed_total",
            "counter",
            "Connections that ended before they were encrypted.",
            self.failed_handshakes.load(Ordering::Relaxed),
        );
        single(out, "tarn_http_connections", "gauge", "Open connections.", self.connections.load(Ordering::Relaxed));
        header(out, "tarn_http_connections_ended_total", "counter", "Connections that the server ended for what their clients did, or did not do.");
        for (reason, count) in Ended::ALL.iter().zip(&self.ended) {
            let _ = writeln!(out, "tarn_http_connections_ended_total{{reason=\"{}\"}} {}", reason.as_str(), count.load(Ordering::Relaxed));
        }
        single(out, "tarn_http_requests_in_flight", "gauge", "Requests being answered.", self.in_flight.load(Ordering::Relaxed));
        single(out, "tarn_tails", "gauge", "Open tails.", self.tails.load(Ordering::Relaxed));
    }
}

/// The whole `/metrics` page.
pub(crate) fn render(app: &App) -> String {
    let mut out = String::with_capacity(8192);
    app.metrics.render(&mut out);
    single(&mut out, "tarn_http_body_bytes", "gauge", "Bytes of request bodies in memory.", app.bodies.held());
    if app.config.syslog.is_on() {
        app.syslog.render(&mut out);
    }
    single(&mut out, "tarn_http_answer_bytes", "gauge", "Bytes of answers in memory that clients have not read.", app.client_memory.answers());
    app.roles.render_metrics(&mut out);
    if app.config.role.compacts() {
        app.compactions.render(&mut out);
    }
    single(&mut out, "tarn_ready", "gauge", "Whether /ready says so: 1 or 0.", u8::from(app.is_ready()));
    header(&mut out, "tarn_build_info", "gauge", "Always 1.");
    let _ = writeln!(out, "tarn_build_info{{version=\"{}\",role=\"{}\"}} 1", env!("CARGO_PKG_VERSION"), app.config.role.as_str());
    single(
        &mut out,
        "process_start_time_seconds",
        "gauge",
        "Start of the process, in seconds since the epoch.",
        app.started.as_nanos() / schema::time::NANOS_PER_SECOND,
    );
    let uptime = app.env.now().as_nanos().saturating_sub(app.started.as_nanos()).max(0);
    single(&mut out, "tarn_uptime_seconds", "gauge", "Time since the start of the process.", Duration::from_nanos(uptime.unsigned_abs()).as_secs_f64());
    if let Some(bytes) = resident_bytes() {
        single(&mut out, "process_resident_memory_bytes", "gauge", "Resident memory.", bytes);
    }
    if let Some(seconds) = cpu_seconds() {
        single(&mut out, "process_cpu_seconds_total", "counter", "User and system time.", seconds);
    }
    out
}

pub(super) fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

pub(super) fn single(out: &mut String, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
    header(out, name, kind, help);
    let _ = writeln!(out, "{name} {value}");
}

/// Methods that a client made up share one series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

/// `VmRSS` of the process; `None` where there is no procfs.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// User and system time from procfs, whose clock ticks are 1/100 s on every Linux.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u32>().ok());
    let ticks = f64::from(times.next()??) + f64::from(times.next()??);
    Some(ticks / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_everything() {
        let metrics = Metrics::default();
        for millis in [1, 5, 200, 120_000] {
            metrics.answered("/x/{name}", &Method::GET, StatusCode::OK, Duration::from_millis(millis));
        }
        metrics.answered("/x/{name}", &Method::from_bytes(b"BREW").unwrap(), StatusCode::METHOD_NOT_ALLOWED, Duration::from_millis(1));
        let mut out = String::new();
        metrics.render(&mut out);
        for line in [
            r#"tarn_http_requests_total{route="/x/{name}",method="GET",status="200"} 4"#,
            r#"tarn_http_requests_total{route="/x/{name}",method="other",status="405"} 1"#,
            r#"tarn_http_request_duration_seconds_bucket{route="/x/{name}",le="0.005"} 3"#,
            r#"tarn_http_request_duration_seconds_bucket{route="/x/{name}",le="0.25"} 4"#,
            r#"tarn_http_request_duration_seconds_bucket{route="/x/{name}",le="60"} 4"#,
            r#"tarn_http_request_duration_seconds_bucket{route="/x/{name}",le="+Inf"} 5"#,
            r#"tarn_http_request_duration_seconds_count{route="/x/{name}"} 5"#,
        ] {
            assert!(out.lines().any(|l| l == line), "{line} is missing in\n{out}");
        }
    }

    #[test]
    fn the_process_knows_its_size() {
        assert!(resident_bytes().unwrap() > 1 << 20);
        assert!(cpu_seconds().unwrap() >= 0.0);
    }
}
