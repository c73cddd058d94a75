//! What the measuring tools of the storage crates have in common: many log lines out of few, and what the process has taken so far.

use schema::{LabelSet, RowBatch, StreamRun};

/// Xorshift: the same rows in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Lines of every file in turn, runs of three digits and more replaced by random ones, until there are `bytes` of them.
pub(crate) fn corpus(folder: &str, bytes: usize) -> RowBatch {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    files.sort();
    let texts: Vec<(String, String)> = files
        .iter()
        .map(|path| (path.file_stem().unwrap().to_string_lossy().to_lowercase(), String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()))
        .collect();
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut batch = RowBatch::default();
    let (level, trace) = (batch.metadata.intern("detected_level"), batch.metadata.intern("trace_id"));
    let mut time = 1_763_784_000_000_000_000i64;
    let mut line = Vec::new();
    'all: loop {
        for pod in 0..10 {
            for (app, text) in &texts {
                let labels = LabelSet::from_pairs([("service_name", app.clone()), ("pod", format!("{app}-{pod}")), ("namespace", "prod".to_owned())]).unwrap();
                let first = batch.len();
                let start = (random.next() % 1900) as usize;
                for source in text.lines().skip(start).take(100) {
                    vary(source.as_bytes(), &mut line, &mut random);
                    time += (random.next() % 200_000) as i64;
                    batch.timestamps.push(time);
                    batch.lines.push(&line);
                    batch.metadata.push_pair(level, if random.next().is_multiple_of(20) { b"error" } else { b"info" });
                    if random.next().is_multiple_of(10) {
                        batch.metadata.push_pair(trace, format!("{:016x}{:016x}", random.next(), random.next()).as_bytes());
                    }
                    batch.metadata.finish_row();
                }
                batch.runs.push(StreamRun { labels, rows: first..batch.len() });
                if batch.lines.total_bytes() >= bytes {
                    break 'all;
                }
            }
        }
    }
    batch
}

fn vary(source: &[u8], line: &mut Vec<u8>, random: &mut Random) {
    line.clear();
    line.extend_from_slice(source);
    let mut at = 0;
    while at < line.len() {
        let digits = line[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits >= 3 {
            for b in &mut line[at + digits.saturating_sub(4)..at + digits] {
                *b = b'0' + (random.next() % 10) as u8;
            }
        }
        at += digits.max(1);
    }
}

/// User and system time of this process. Linux only; 10 ms ticks.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

pub(crate) fn peak_memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
