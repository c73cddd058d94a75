use std::io::Write as _;

use proptest::prelude::*;
use schema::{IngestLimits, TenantId};

use super::*;
use crate::aws::{ObjectPlan, ObjectRef};
use crate::testkit::show;

const MODIFIED: Timestamp = Timestamp(1_735_689_600_000_000_000);

fn settings(piece_bytes: usize) -> Arc<Settings> {
    let limits = IngestLimits { max_line_size: 200, ..IngestLimits::default() };
    Arc::new(Settings { piece_bytes, ..Settings::new(TenantId::default_tenant(), limits) })
}

/// Reads `content` in pieces whose sizes are `steps`, again and again.
fn read(key: &str, content: &[u8], steps: &[usize], piece_bytes: usize) -> (Vec<Batch>, Report) {
    let settings = settings(piece_bytes);
    let ObjectPlan::Read(route) = settings.plan(&ObjectRef { bucket: "b".to_owned(), key: key.to_owned(), ..ObjectRef::default() }) else { panic!("{key}") };
    let mut decoder = ObjectDecoder::new(route, &settings, MODIFIED, MODIFIED);
    let mut batches = Vec::new();
    let mut rest = content;
    for step in steps.iter().copied().cycle() {
        let (part, after) = rest.split_at(step.clamp(1, rest.len().max(1)).min(rest.len()));
        decoder.push(Bytes::copy_from_slice(part));
        while let Some(batch) = decoder.next().unwrap() {
            batches.push(batch);
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let (last, report) = decoder.finish().unwrap();
    batches.extend(last);
    (batches, report)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn hashes(batches: &[Batch]) -> Vec<schema::ChunkHash> {
    batches.iter().map(|batch| store::chunk::push_hash(&batch.rows)).collect()
}

proptest! {
    #[test]
    fn pieces_of_any_size_give_the_same_batches(
        lines in prop::collection::vec("(2025-07-01T10:15:00Z )?[ab\u{fc}\r]{0,3}|x{190,210}", 0..60),
        cut in 0_usize..40,
        steps in prop::collection::vec(1_usize..50, 1..5),
        piece_bytes in 60_usize..2000,
        compression in 0..3,
    ) {
        let mut content = lines.join("\n").into_bytes();
        content.truncate(content.len().saturating_sub(cut));
        let stored = match compression {
            0 => content,
            1 => [gzip(&content), gzip(b"\nlast")].concat(),
            _ => zstd::encode_all(content.as_slice(), 1).unwrap(),
        };
        let whole = read("x.log", &stored, &[usize::MAX], piece_bytes);
        let in_steps = read("x.log", &stored, &steps, piece_bytes);
        prop_assert_eq!(&in_steps, &whole);
        prop_assert_eq!(hashes(&in_steps.0), hashes(&whole.0));
    }
}

#[test]
fn a_large_object_is_cut_and_no_line_is_lost_or_merged() {
    // Every line three times, so that equal ones meet in one batch and in different ones.
    let content: String = (0..3).flat_map(|_| (0..1000).map(|i| format!("2025-07-01T10:15:{:02}Z line {i}\n", i % 60))).collect();
    let (batches, report) = read("x.log", &gzip(content.as_bytes()), &[777], 16 << 10);
    assert!(batches.len() > 10, "{}", batches.len());
    assert_eq!(report, Report { lines: 3000, decoded_bytes: content.len() as u64, ..Report::default() });
    let mut rows: Vec<String> = batches.iter().flat_map(|batch| show(&batch.rows).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert_eq!(rows.len(), 3000);
    rows.sort();
    rows.dedup();
    assert_eq!(rows.len(), 3000, "equal entries would be stored once");
    let largest = batches.iter().map(|batch| batch.rows.lines.total_bytes()).max().unwrap();
    assert!(largest <= 16 << 10, "{largest}");
}

#[test]
fn a_second_delivery_has_the_same_name() {
    let content = "a\na\n2025-07-01T10:15:00Z b\n".repeat(500);
    let names = |steps: &[usize]| -> Vec<_> {
        let (batches, _) = read("x.log", content.as_bytes(), steps, 4 << 10);
        batches.iter().map(|batch| store::chunk::build(&batch.tenant, std::slice::from_ref(&batch.rows)).unwrap().key).collect()
    };
    assert!(names(&[10]).len() > 3);
    assert_eq!(names(&[10]), names(&[9999]));
}

#[test]
fn what_can_be_read_of_a_damaged_object_is_kept() {
    let content = "2025-07-01T10:15:00Z some line\n".repeat(5000);
    let stored = gzip(content.as_bytes());
    let (batches, report) = read("x.log", &stored[..stored.len() / 2], &[100], 1 << 20);
    let lines: u64 = batches.iter().map(|batch| batch.lines).sum();
    assert!(lines > 1000 && lines < 5000, "{lines}");
    assert!(show(&batches[0].rows).lines().all(|row| row.contains("\"2025-07-01T10:15:00Z some line\"")), "only whole lines");
    let damage = report.damage.unwrap().to_string();
    assert!(damage.starts_with("s3://b/x.log is damaged after "), "{damage}");
    assert!(damage.ends_with("decompressed bytes: gzip: the stream ends too soon"), "{damage}");
}

#[test]
fn a_line_without_an_end_needs_no_memory() {
    let settings = settings(1 << 20);
    let ObjectPlan::Read(route) = settings.plan(&ObjectRef { bucket: "b".to_owned(), key: "x".to_owned(), ..ObjectRef::default() }) else { panic!() };
    let mut decoder = ObjectDecoder::new(route, &settings, MODIFIED, MODIFIED);
    for _ in 0..64 {
        decoder.push(Bytes::from(vec![b'x'; 1 << 20]));
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.decoded.capacity() <= 1 << 20, "{}", decoder.decoded.capacity());
    }
    let (batches, report) = decoder.finish().unwrap();
    assert_eq!(report.lines, 1);
    assert_eq!(batches.len(), 1);
    assert_eq!((batches[0].lines, batches[0].rejected.lines()), (0, 1));
    assert!(batches[0].rejected.text().ends_with("with length '67108864' bytes"), "{}", batches[0].rejected.text());
}

#[test]
fn bytes_that_are_no_text_are_told() {
    let (batches, report) = read("x.log", b"caf\xe9\nok\n", &[1], 1 << 20);
    assert_eq!((report.repaired, report.undated, batches[0].lines), (1, 2, 2));
    assert!(show(&batches[0].rows).contains("\"caf\u{fffd}\""));
}

#[test]
fn no_bytes_are_no_batches() {
    assert_eq!(read("x.log", b"", &[1], 100), (Vec::new(), Report::default()));
    assert_eq!(read("x.log", &gzip(b""), &[3], 100), (Vec::new(), Report::default()));
}
