use std::io::Write as _;

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().filename("a.log").comment("c").extra(vec![7; 300]).write(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn expand(input: &[u8], step: usize) -> Result<Vec<u8>, String> {
    let mut expander = Expander::default();
    let mut out = Vec::new();
    for part in input.chunks(step) {
        expander.push(Bytes::copy_from_slice(part));
        while expander.read(&mut out)? == Progress::Some {}
    }
    expander.end();
    loop {
        match expander.read(&mut out)? {
            Progress::Some => {}
            Progress::End => return Ok(out),
            Progress::NeedsInput => return Err("asks for input after the end".to_owned()),
        }
    }
}

#[test]
fn every_kind_in_pieces_of_every_size() {
    let text: Vec<u8> = (0..3000_u32).flat_map(|i| format!("line {i} {}\n", i.wrapping_mul(2_654_435_761)).into_bytes()).collect();
    let members: Vec<u8> = [gzip(&text), gzip(b""), gzip(b"tail")].concat();
    let frames: Vec<u8> = [zstd::encode_all(&text[..], 1).unwrap(), zstd::encode_all(&b"tail"[..], 19).unwrap()].concat();
    let both: Vec<u8> = [text.as_slice(), b"tail"].concat();
    for step in [1, 2, 3, 7, 100, 4096, usize::MAX] {
        assert_eq!(expand(&members, step).unwrap(), both, "gzip by {step}");
        assert_eq!(expand(&[members.as_slice(), &[0; 600]].concat(), step).unwrap(), both, "padded gzip by {step}");
        assert_eq!(expand(&frames, step).unwrap(), both, "zstd by {step}");
        assert_eq!(expand(&text, step).unwrap(), text, "plain by {step}");
    }
    for short in [&b""[..], b"a", b"\x1f", b"abc"] {
        assert_eq!(expand(short, 1).unwrap(), short);
    }
}

#[test]
fn damage_is_told() {
    let whole = gzip(b"hello hello hello");
    for length in 4..whole.len() {
        assert_eq!(expand(&whole[..length], 5).unwrap_err(), "gzip: the stream ends too soon", "{length}");
    }
    let mut wrong = whole.clone();
    let at = wrong.len() - 6;
    wrong[at] ^= 1;
    assert_eq!(expand(&wrong, 5).unwrap_err(), "gzip: the checksum is wrong");
    assert_eq!(expand(&[whole.as_slice(), b"xyz"].concat(), 5).unwrap_err(), "gzip: something else follows the compressed data");
    let frame = zstd::encode_all(&b"hello hello hello"[..], 1).unwrap();
    assert_eq!(expand(&frame[..frame.len() - 1], 5).unwrap_err(), "zstd: the stream ends too soon");
}

#[test]
fn a_bomb_comes_in_small_pieces() {
    let bomb = gzip(&vec![0; 64 << 20]);
    let mut expander = Expander::default();
    expander.push(bomb.into());
    let mut out = Vec::new();
    let mut total = 0;
    while expander.read(&mut out).unwrap() == Progress::Some {
        assert!(out.len() <= OUTPUT_BYTES);
        total += out.len();
        out.clear();
    }
    assert_eq!(total, 64 << 20);
}
