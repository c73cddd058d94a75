//! Syslog over TCP, TLS and UDP.
//! Owns: connections and datagrams, how much is held, trying again, what is counted. Must not know: what a message is.
//!
//! Syslog has no acknowledgement. So a connection is read no further than the store takes: [`ROOM_BYTES`] of messages may be on their way to it, over all connections; then
//! nobody is read, and senders notice that their buffers fill up. What was read is tried until it is durable. Of datagrams the kernel drops what finds no place meanwhile.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ingest_fn::syslog::{Frame, FrameReader, SyslogCounts, SyslogDecoder, SyslogRows, store};
use ingest_fn::{CommitError, Ingester};
use schema::TenantId;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::config::SyslogConfig;
use crate::error::TarnError;
use crate::serve::connections::told_to_stop;
use crate::serve::metrics::{header, single};
use crate::serve::observe::Counted;
use crate::serve::state::App;
use crate::serve::tls::HANDSHAKE_TIMEOUT;

/// Bytes of messages that were read and are not durable yet.
const ROOM_BYTES: usize = 64 << 20;
/// Connections at once; further ones are closed.
const MAX_CONNECTIONS: usize = 1000;
/// What is read at a time.
const READ_BYTES: usize = 16 << 10;
/// Datagrams that are taken at a time.
const MAX_DATAGRAMS: usize = 512;
/// The largest datagram.
const DATAGRAM_BYTES: usize = 64 << 10;
/// A connection on which nothing comes for so long is closed: its other end may be gone.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2 * 3600);
/// How long is read, when told to stop, of what has arrived already.
const LAST_READ: Duration = Duration::from_secs(1);
/// Pauses between attempts to store.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Pause after a socket failed.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// The sockets of `[syslog]`.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    tcp: Option<TcpListener>,
    tls: Option<TcpListener>,
    udp: Option<UdpSocket>,
}

impl Listeners {
    /// Binds what is configured, if this process stores anything. Errors: an address.
    pub(crate) async fn bind(app: &App) -> Result<Self, TarnError> {
        let config = &app.config.syslog;
        if app.roles.ingester().is_none() {
            return Ok(Self::default());
        }
        let failed = |setting, address| move |source| TarnError::ListenSyslog { address, setting, source };
        let mut bound = Self::default();
        if let Some(address) = config.listen_tcp {
            let listener = TcpListener::bind(address).await.map_err(failed(SyslogConfig::TCP, address))?;
            said("tcp", listener.local_addr());
            bound.tcp = Some(listener);
        }
        if let Some(address) = config.listen_tls {
            let listener = TcpListener::bind(address).await.map_err(failed(SyslogConfig::TLS, address))?;
            said("tls", listener.local_addr());
            bound.tls = Some(listener);
        }
        if let Some(address) = config.listen_udp {
            let socket = UdpSocket::bind(address).await.map_err(failed(SyslogConfig::UDP, address))?;
            said("udp", socket.local_addr());
            bound.udp = Some(socket);
        }
        Ok(bound)
    }
}

fn said(transport: &str, address: std::io::Result<SocketAddr>) {
    if let Ok(address) = address {
        tracing::info!(transport, listening = %address, "syslog");
    }
}

/// Takes messages until `stopped` turns true, then those that have arrived, and ends when all are durable.
pub(crate) async fn serve(listeners: Listeners, app: Arc<App>, stopped: watch::Receiver<bool>) {
    let Some(ingester) = app.roles.ingester().cloned() else { return };
    // Until the store is checked, senders wait in the sockets.
    app.started().await;
    let tenant = app.config.syslog.tenant.clone().unwrap_or_else(TenantId::default_tenant);
    let intake = Intake { app, ingester, tenant, room: Arc::new(Semaphore::new(ROOM_BYTES)), stopped: stopped.clone() };
    let open = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let tcp = async {
        if let Some(listener) = listeners.tcp {
            accept(listener, false, &intake, &open, stopped.clone()).await;
        }
    };
    let tls = async {
        if let Some(listener) = listeners.tls {
            accept(listener, true, &intake, &open, stopped.clone()).await;
        }
    };
    let udp = async {
        if let Some(socket) = listeners.udp {
            datagrams(&socket, &intake, stopped.clone()).await;
        }
    };
    tokio::join!(tcp, tls, udp);
}

/// What all sockets share.
#[derive(Clone, Debug)]
struct Intake {
    app: Arc<App>,
    ingester: Ingester,
    tenant: TenantId,
    room: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

async fn accept(listener: TcpListener, is_tls: bool, intake: &Intake, open: &Arc<Semaphore>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told_to_stop(&mut stopped) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match Arc::clone(open).try_acquire_owned() {
                    Ok(place) => {
                        connections.spawn(connection(stream, peer.ip(), is_tls, intake.clone(), place));
                    }
                    Err(_) => add(&intake.app.syslog.refused_connections, 1),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of syslog");
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, peer: IpAddr, is_tls: bool, mut intake: Intake, _place: OwnedSemaphorePermit) {
    let app = Arc::clone(&intake.app);
    let _counted = Counted::new(&app.syslog.connections);
    match app.tls.as_ref().filter(|_| is_tls) {
        None => read(stream, peer, &mut intake).await,
        Some(tls) => {
            let handshake = tokio::select! {
                handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)) => handshake,
                () = told_to_stop(&mut intake.stopped) => return,
            };
            match handshake {
                Ok(Ok(stream)) => read(stream, peer, &mut intake).await,
                _ => add(&app.metrics.failed_handshakes, 1),
            }
        }
    }
}

/// Reads a connection to its end.
async fn read<S: AsyncRead + Unpin>(mut stream: S, peer: IpAddr, intake: &mut Intake) {
    let peer = peer.to_canonical().to_string();
    let mut frames = FrameReader::new(intake.ingester.limits_of(&intake.tenant).max_line_size);
    let mut decoder = SyslogDecoder::new(Arc::clone(&intake.app.config.syslog.settings));
    let mut pushes = JoinSet::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut stopped = intake.stopped.clone();
    let mut until = None;
    loop {
        let patience = match until {
            None => IDLE_TIMEOUT,
            // What is there is read, nothing is waited for.
            Some(until) if intake.app.env.monotonic() < until => Duration::ZERO,
            Some(_) => break,
        };
        let read = tokio::select! {
            biased;
            () = told_to_stop(&mut stopped), if until.is_none() => {
                until = Some(intake.app.env.monotonic().saturating_add(LAST_READ));
                continue;
            }
            read = tokio::time::timeout(patience, stream.read(&mut buffer)) => read,
            Some(_) = pushes.join_next(), if !pushes.is_empty() => continue,
        };
        match read {
            Ok(Ok(bytes)) if bytes > 0 => {
                frames.push(buffer.get(..bytes).unwrap_or_default());
                let found: Vec<Frame> = frames.by_ref().collect();
                intake.take(found.iter().map(|frame| (peer.as_str(), frame)).collect(), &mut decoder, &mut pushes).await;
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, peer, "connection of syslog ended");
                break;
            }
            // It has ended, or nothing comes any more.
            Ok(Ok(_)) | Err(_) => break,
        }
    }
    let rest: Vec<Frame> = std::iter::from_fn(|| frames.finish()).collect();
    intake.take(rest.iter().map(|frame| (peer.as_str(), frame)).collect(), &mut decoder, &mut pushes).await;
    drop(stream);
    while pushes.join_next().await.is_some() {}
}

async fn datagrams(socket: &UdpSocket, intake: &Intake, mut stopped: watch::Receiver<bool>) {
    let mut decoder = SyslogDecoder::new(Arc::clone(&intake.app.config.syslog.settings));
    let mut pushes = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM_BYTES];
    let mut until = None;
    loop {
        let mut found = Vec::new();
        if until.is_none() {
            tokio::select! {
                biased;
                () = told_to_stop(&mut stopped) => until = Some(intake.app.env.monotonic().saturating_add(LAST_READ)),
                readable = socket.readable() => if let Err(error) = readable {
                    tracing::warn!(%error, "cannot receive syslog");
                    tokio::time::sleep(ERROR_PAUSE).await;
                },
                Some(_) = pushes.join_next(), if !pushes.is_empty() => continue,
            }
        }
        while found.len() < MAX_DATAGRAMS {
            // An error is that there is none, or tells of an earlier answer, and we send none.
            let Ok((bytes, peer)) = socket.try_recv_from(&mut buffer) else { break };
            let frame = Frame::of_datagram(Bytes::copy_from_slice(buffer.get(..bytes).unwrap_or_default()));
            found.extend(frame.map(|frame| (peer.ip().to_canonical().to_string(), frame)));
        }
        let is_last = found.len() < MAX_DATAGRAMS || until.is_some_and(|until| until < intake.app.env.monotonic());
        intake.take(found.iter().map(|(peer, frame)| (peer.as_str(), frame)).collect(), &mut decoder, &mut pushes).await;
        if until.is_some() && is_last {
            break;
        }
    }
    while pushes.join_next().await.is_some() {}
}

impl Intake {
    /// Waits for room, then sends messages on their way to the store.
    async fn take(&self, messages: Vec<(&str, &Frame)>, decoder: &mut SyslogDecoder, pushes: &mut JoinSet<()>) {
        if messages.is_empty() {
            return;
        }
        while pushes.try_join_next().is_some() {}
        let bytes = messages.iter().map(|(_, frame)| frame.bytes.len()).sum::<usize>().clamp(1, ROOM_BYTES);
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX)).await else { return };
        let metrics = &self.app.syslog;
        let count = u64::try_from(messages.len()).unwrap_or(u64::MAX);
        add(&metrics.bytes, u64::try_from(bytes).unwrap_or(u64::MAX));
        let limits = self.ingester.limits_of(&self.tenant);
        match decoder.decode(messages, &limits, self.app.env.now()) {
            Ok(rows) => {
                metrics.counted(&rows.counts);
                pushes.spawn(self.clone().store(rows, room));
            }
            Err(error) => {
                add(&metrics.lost_unreadable, count);
                tracing::error!(%error, count, "messages of syslog cannot be stored");
            }
        }
    }

    /// Tries until the rows are durable, or the process ends.
    async fn store(mut self, rows: SyslogRows, _room: OwnedSemaphorePermit) {
        let metrics = &self.app.syslog;
        let lines = rows.decoded.lines;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match store(&self.ingester, &self.tenant, &rows).await {
                Ok(()) => return,
                Err(error) => error,
            };
            let wanted = match &error {
                CommitError::ShuttingDown => {
                    add(&metrics.lost_at_the_end, lines);
                    tracing::error!(lines, "messages of syslog are lost: the process ends before the store takes them");
                    return;
                }
                // More than the tenant may ever send at once.
                CommitError::RateLimited { retry_after, .. } if retry_after.is_zero() => {
                    add(&metrics.lost_to_rate, lines);
                    tracing::error!(lines, %error, "messages of syslog are lost");
                    return;
                }
                CommitError::RateLimited { retry_after, .. } => *retry_after,
                _ => pause,
            };
            add(&metrics.retries, 1);
            tracing::warn!(lines, %error, "messages of syslog are not stored yet");
            let is_stopping = *self.stopped.borrow();
            tokio::select! {
                () = tokio::time::sleep(if is_stopping { FIRST_PAUSE } else { wanted }) => {}
                () = told_to_stop(&mut self.stopped), if !is_stopping => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct SyslogMetrics {
    connections: AtomicI64,
    refused_connections: AtomicU64,
    bytes: AtomicU64,
    rfc5424: AtomicU64,
    rfc3164: AtomicU64,
    unparseable: AtomicU64,
    pieces: AtomicU64,
    repaired: AtomicU64,
    not_taken_apart: AtomicU64,
    retries: AtomicU64,
    lost_at_the_end: AtomicU64,
    lost_to_rate: AtomicU64,
    lost_unreadable: AtomicU64,
}

impl SyslogMetrics {
    fn counted(&self, counts: &SyslogCounts) {
        add(&self.rfc5424, counts.rfc5424);
        add(&self.rfc3164, counts.rfc3164);
        add(&self.unparseable, counts.unparseable);
        add(&self.pieces, counts.pieces);
        add(&self.repaired, counts.repaired);
        add(&self.not_taken_apart, counts.not_taken_apart);
    }

    pub(crate) fn render(&self, out: &mut String) {
        let mut family = |name: &str, label: &str, help: &str, values: &[(&str, &AtomicU64)]| {
            header(out, name, "counter", help);
            for (value, count) in values {
                let _ = writeln!(out, "{name}{{{label}=\"{value}\"}} {}", count.load(Ordering::Relaxed));
            }
        };
        family(
            "tarn_syslog_messages_total",
            "form",
            "Messages received.",
            &[("rfc5424", &self.rfc5424), ("rfc3164", &self.rfc3164), ("unparseable", &self.unparseable)],
        );
        family(
            "tarn_syslog_marked_total",
            "reason",
            "Lines that are marked, since their message was no proper one.",
            &[("too_long", &self.pieces), ("not_utf8", &self.repaired), ("structured_data_too_large", &self.not_taken_apart)],
        );
        family(
            "tarn_syslog_lost_messages_total",
            "reason",
            "Messages that were received and are not stored.",
            &[("shutdown", &self.lost_at_the_end), ("rate_limited", &self.lost_to_rate), ("unreadable", &self.lost_unreadable)],
        );
        single(out, "tarn_syslog_bytes_total", "counter", "Bytes of messages received.", self.bytes.load(Ordering::Relaxed));
        single(out, "tarn_syslog_retries_total", "counter", "Attempts to store messages that failed.", self.retries.load(Ordering::Relaxed));
        single(out, "tarn_syslog_connections", "gauge", "Open connections.", self.connections.load(Ordering::Relaxed));
        let refused = self.refused_connections.load(Ordering::Relaxed);
        single(out, "tarn_syslog_connections_refused_total", "counter", "Connections closed because there were too many.", refused);
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}
