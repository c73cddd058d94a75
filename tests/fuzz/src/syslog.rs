//! A stream of syslog, as any host can send it.

use ingest_fn::syslog::{Frame, FrameReader, SyslogDecoder, SyslogSettings};
use schema::{IngestLimits, TenantId, Timestamp};

const NOW: Timestamp = Timestamp(1_793_491_200_000_000_000);
/// Small, so that many messages are too long or have too much structured data.
const LINE_BYTES: usize = 64;
const PAIRS: usize = 6;

/// The first byte is the size of the pieces in which the rest comes. However it comes it is the same messages, no byte but what separates them is missing, and each becomes a row.
pub fn run(data: &[u8]) {
    let Some((step, stream)) = data.split_first() else { return };
    let frames = read(stream, usize::from(*step).max(1));
    assert_eq!(frames, read(stream, stream.len().max(1)));
    nothing_is_missing(stream, &frames);
    if frames.is_empty() {
        return;
    }
    let limits = IngestLimits { max_line_size: LINE_BYTES, max_structured_metadata_entries_count: PAIRS, ..IngestLimits::default() };
    let mut decoder = SyslogDecoder::new(SyslogSettings::default().into());
    let rows = decoder.decode(frames.iter().map(|frame| ("10.0.0.1", frame)), &limits, NOW).expect("every message can be a row");
    assert_eq!((rows.decoded.lines, rows.decoded.rejected.lines()), (frames.len() as u64, 0), "{}", rows.decoded.rejected.text());
    let counts = rows.counts;
    assert_eq!(counts.rfc5424 + counts.rfc3164 + counts.unparseable + counts.pieces, frames.len() as u64);
    let chunk = store::chunk::build(&TenantId::default_tenant(), &[rows.decoded.batch]).expect("accepted rows can be stored");
    let stored: u64 = chunk.manifest.streams.iter().map(|stream| stream.rows).sum();
    assert_eq!(stored, frames.len() as u64, "no message is lost as a copy of another");
}

fn read(stream: &[u8], step: usize) -> Vec<Frame> {
    let mut reader = FrameReader::new(LINE_BYTES);
    let mut frames = Vec::new();
    for piece in stream.chunks(step) {
        reader.push(piece);
        frames.extend(reader.by_ref());
    }
    frames.extend(std::iter::from_fn(|| reader.finish()));
    frames
}

/// Between two messages there is nothing but ends of lines and lengths.
fn nothing_is_missing(stream: &[u8], frames: &[Frame]) {
    let mut rest = stream;
    let separates = |byte: &u8| b"\n\r\0 0123456789".contains(byte);
    for frame in frames {
        assert!(!frame.bytes.is_empty() && frame.bytes.len() <= LINE_BYTES);
        let at = rest.windows(frame.bytes.len()).position(|window| window == frame.bytes).expect("a message is part of the stream");
        let (between, found) = rest.split_at(at);
        assert!(between.iter().all(separates), "{between:?} is missing");
        rest = found.split_at(frame.bytes.len()).1;
    }
    assert!(rest.iter().all(separates), "{rest:?} is missing");
}
