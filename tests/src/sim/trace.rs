//! What happened, in order. Owns: the hash of all events and the text of the last ones. Must not know: what an event means.

use std::collections::VecDeque;
use std::time::Duration;

/// Events whose text is kept, unless `TARN_SIM_EVENTS` says how many.
const KEPT: usize = 400;

/// A growing list of events.
#[derive(Debug)]
pub struct Trace {
    kept: usize,
    events: u64,
    hash: u64,
    last: VecDeque<String>,
}

impl Default for Trace {
    fn default() -> Self {
        let kept = std::env::var("TARN_SIM_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(KEPT);
        Self { kept, events: 0, hash: 0, last: VecDeque::new() }
    }
}

impl Trace {
    /// Adds an event.
    pub fn push(&mut self, at: Duration, text: &str) {
        let line = format!("{:>14.6} {text}", at.as_secs_f64());
        // FNV-1a: the hash only has to differ where the text does.
        let start = if self.events == 0 { 0xcbf2_9ce4_8422_2325 } else { self.hash };
        self.hash = line.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        self.events += 1;
        if self.last.len() >= self.kept {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Number and hash of all events.
    pub const fn digest(&self) -> (u64, u64) {
        (self.events, self.hash)
    }

    /// The last events, one a line.
    pub fn text(&self) -> String {
        self.last.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
