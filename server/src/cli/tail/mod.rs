//! `tarn tail`: prints lines as they come, over a WebSocket or from a store.
//! Owns: when a tail that broke off is begun anew. Must not know: how new lines are found.

mod printed;
pub(crate) mod websocket;

use std::time::Duration;

use schema::Timestamp;
use serde::Deserialize;
use store::env::Env;

use crate::args::{Direction, TailArgs};
use crate::cli::client::Client;
use crate::cli::output::Printer;
use crate::cli::query::{StreamData, entries_in_order, with_caret};
use crate::cli::time;
use crate::error::TarnError;
use crate::roles::LiveTail;
use printed::Printed;
use websocket::Socket;

const DEFAULT_SINCE_NANOS: i64 = 3600 * schema::time::NANOS_PER_SECOND;
/// Asked for when a tail is begun anew: as many as Loki's `max_entries_limit_per_query` allows.
const LARGEST_HISTORY: usize = 5000;
/// Pauses before a connection is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Close codes of RFC 6455, 7.4.1: done, going away, an error, restarting, try again.
pub(super) const NORMAL: u16 = 1000;
const AWAY: u16 = 1001;
const ERROR: u16 = 1011;
const RESTART: u16 = 1012;
const AGAIN: u16 = 1013;
/// Why a server ends a tail that is well.
const MAX_DURATION_REASON: &str = "reached tail max duration limit";

/// Where frames come from.
#[derive(Debug)]
pub(crate) enum TailSource {
    Socket(Box<Socket>),
    Local(Box<dyn LiveTail>),
}

/// What came.
#[derive(Debug)]
pub(crate) enum Event {
    Frame(String),
    /// The other side said that this is the end.
    Ended {
        code: u16,
        reason: String,
    },
    /// The connection broke.
    Lost {
        why: String,
    },
}

#[derive(Debug, Deserialize)]
struct Frame {
    streams: Option<Vec<StreamData>>,
    #[serde(default)]
    dropped_entries: Option<Vec<serde_json::Value>>,
}

impl TailSource {
    async fn next(&mut self) -> Event {
        match self {
            Self::Socket(socket) => websocket::next(socket).await,
            Self::Local(tail) => tail.next().await.map_or_else(|reason| Event::Ended { code: ERROR, reason }, Event::Frame),
        }
    }

    async fn close(&mut self) {
        if let Self::Socket(socket) = self {
            websocket::close(socket).await;
        }
    }
}

/// Runs the command until Ctrl-C.
pub(crate) async fn run(args: TailArgs) -> Result<(), TarnError> {
    let env = Env::system();
    let since = args.since.as_deref().map_or(Ok(DEFAULT_SINCE_NANOS), |text| time::duration_nanos("--since", text))?;
    let start = Timestamp(env.now().as_nanos().saturating_sub(since));
    let client = Client::open_for_tail(&args.target, &env).await?;
    let printer = Printer::new(args.output, args.no_labels);
    let mut follower = Follower { start, client, env, printer, printed: Printed::default(), args };
    let outcome = tokio::select! {
        outcome = follower.follow() => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    outcome.and_then(|()| follower.printer.finish())
}

struct Follower {
    args: TailArgs,
    start: Timestamp,
    client: Client,
    env: Env,
    printer: Printer,
    printed: Printed,
}

impl Follower {
    /// Ends when the server has nothing more to say. Errors: the first connection failed, or a later one in a way that no other try can mend.
    async fn follow(&mut self) -> Result<(), TarnError> {
        let mut source = self.client.tail(&self.parameters(self.start, self.limit())).await.map_err(|error| with_caret(error, &self.args.query))?;
        loop {
            let why = loop {
                match source.next().await {
                    Event::Frame(frame) => self.print(&frame)?,
                    Event::Ended { code: NORMAL, .. } => return Ok(()),
                    Event::Ended { reason, .. } if reason == MAX_DURATION_REASON => break reason,
                    Event::Ended { code: AWAY | RESTART | AGAIN, reason } => break reason,
                    Event::Ended { reason, .. } => return Err(TarnError::TailEnded { reason }),
                    Event::Lost { why } => break why,
                }
            };
            source.close().await;
            if why != MAX_DURATION_REASON {
                tracing::warn!("the connection ended ({why}): connecting again");
            }
            source = self.resume().await?;
        }
    }

    /// Begins anew where it stopped, as often as it takes.
    async fn resume(&mut self) -> Result<TailSource, TarnError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let start = self.printed.resume().unwrap_or(self.start);
            match self.client.tail(&self.parameters(start, LARGEST_HISTORY)).await {
                Ok(source) => return Ok(source),
                Err(error) if !may_pass(&error) => return Err(error),
                Err(error) => tracing::warn!(seconds = pause.as_secs(), "still not connected, trying again: {error}"),
            }
            self.env.sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    fn limit(&self) -> usize {
        usize::try_from(self.args.limit).unwrap_or(LARGEST_HISTORY)
    }

    fn parameters(&self, start: Timestamp, limit: usize) -> Vec<(&'static str, String)> {
        let mut parameters = vec![("query", self.args.query.clone()), ("start", start.to_string()), ("limit", limit.to_string())];
        if self.args.delay_for > 0 {
            parameters.push(("delay_for", self.args.delay_for.to_string()));
        }
        parameters
    }

    fn print(&mut self, frame: &str) -> Result<(), TarnError> {
        let frame: Frame = serde_json::from_str(frame).map_err(|error| TarnError::Answer { url: self.client.name(), what: error.to_string() })?;
        let now = self.env.now();
        for entry in entries_in_order(&self.client, frame.streams.unwrap_or_default(), Direction::Forward)? {
            if self.printed.is_new(&entry, now) {
                self.printer.entry(&entry)?;
            }
        }
        if self.printed.has_gap(LARGEST_HISTORY) {
            tracing::warn!("more than {LARGEST_HISTORY} lines came while there was no connection: the oldest of them are not shown; 'tarn query' has them");
        }
        let dropped = frame.dropped_entries.map_or(0, |dropped| dropped.len());
        if dropped > 0 {
            tracing::warn!("at least {dropped} lines were left out, since they came faster than they were read: narrow the query; 'tarn query' has them");
        }
        self.printer.flush()
    }
}

/// Whether the same request may succeed later.
fn may_pass(error: &TarnError) -> bool {
    match error {
        TarnError::Unreachable { .. } => true,
        TarnError::Refused { status, .. } => status.is_server_error() || *status == http::StatusCode::TOO_MANY_REQUESTS,
        _ => false,
    }
}
