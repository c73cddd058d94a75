//! JSON text, written straight into a byte buffer: strings as Loki escapes them, numbers as Go prints them.
//! Must not know: what is written.

/// How a string is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// Quotes, backslashes and control characters: labels.
    Json,
    /// Also `<`, `>`, `&`, U+2028 and U+2029: log lines.
    Html,
}

/// Appends `text` as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str, escape: Escape) {
    out.push(b'"');
    write_escaped(out, text, escape);
    out.push(b'"');
}

/// Appends bytes as a JSON string; every byte that is part of no UTF-8 character becomes U+FFFD, as in Go.
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8], escape: Escape) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        write_escaped(out, chunk.valid(), escape);
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, text: &str, escape: Escape) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| needs_look(byte, escape)) {
        let (clean, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.extend_from_slice(clean.as_bytes());
        let Some(character) = special.chars().next() else { return };
        write_special(out, character, escape);
        rest = special.get(character.len_utf8()..).unwrap_or("");
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Whether a character that starts with `byte` may need an escape. 0xe2 starts U+2028 and U+2029.
const fn needs_look(byte: u8, escape: Escape) -> bool {
    match byte {
        0..0x20 | b'"' | b'\\' => true,
        b'<' | b'>' | b'&' | 0xe2 => matches!(escape, Escape::Html),
        _ => false,
    }
}

fn write_special(out: &mut Vec<u8>, character: char, escape: Escape) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\0'..'\u{20}' | '\u{2028}' | '\u{2029}' => write_unicode(out, character),
        '<' | '>' | '&' if escape == Escape::Html => write_unicode(out, character),
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn write_unicode(out: &mut Vec<u8>, character: char) {
    out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
}

/// Appends an object of strings, in the order given.
pub(crate) fn write_string_map<'a>(out: &mut Vec<u8>, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
    out.push(b'{');
    for (i, (name, value)) in pairs.into_iter().enumerate() {
        comma(out, i);
        write_string(out, name, Escape::Json);
        out.push(b':');
        write_string(out, value, Escape::Json);
    }
    out.push(b'}');
}

/// Appends an array of strings.
pub(crate) fn write_string_array<'a>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'a str>) {
    out.push(b'[');
    for (i, text) in texts.into_iter().enumerate() {
        comma(out, i);
        write_string(out, text, Escape::Json);
    }
    out.push(b']');
}

/// Appends the comma before every element but the first.
pub(crate) fn comma(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

/// Appends milliseconds as seconds with up to three decimals: `1793494799.999`, `-0.5`.
pub(crate) fn write_seconds(out: &mut Vec<u8>, millis: i64) {
    if millis < 0 {
        out.push(b'-');
    }
    let (seconds, fraction) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    out.extend_from_slice(seconds.to_string().as_bytes());
    if fraction > 0 {
        let decimals = format!(".{fraction:03}");
        out.extend_from_slice(decimals.trim_end_matches('0').as_bytes());
    }
}

/// A sample value as Prometheus' JSON has it: the shortest digits that read back as the same float, without an exponent
/// from 1e-6 up to 1e21, else as Go's `strconv.FormatFloat(v, 'e', -1, 64)`; `NaN`, `+Inf`, `-Inf`.
pub(crate) fn format_value(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return value.to_string();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &str, escape: Escape) -> String {
        let mut out = Vec::new();
        write_string(&mut out, text, escape);
        String::from_utf8(out).unwrap()
    }

    fn bytes(value: &[u8]) -> String {
        let mut out = Vec::new();
        write_bytes(&mut out, value, Escape::Html);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_escaped_for_html_and_labels_are_not() {
        assert_eq!(string("<a href=\"x\">&\u{2028}\u{2029}", Escape::Html), r#""\u003ca href=\"x\"\u003e\u0026\u2028\u2029""#);
        assert_eq!(string("<&>", Escape::Json), r#""<&>""#);
        assert_eq!(string("\t\n\r\0\u{1b}\\é€😀", Escape::Html), r#""\t\n\r\u0000\u001b\\é€😀""#);
    }

    #[test]
    fn every_invalid_byte_becomes_one_replacement_character() {
        assert_eq!(bytes(b"a\xffb"), r#""a\ufffdb""#);
        assert_eq!(bytes(b"\xe2\x82"), r#""\ufffd\ufffd""#);
        assert_eq!(bytes("€".as_bytes()), "\"€\"");
    }

    #[test]
    fn values_are_printed_as_go_prints_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.0 / 3.0, "0.3333333333333333"),
            (1e6, "1000000"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (-1e21, "-1e+21"),
            (1e-6, "0.000001"),
            (1e-7, "1e-07"),
            (-2.5e-7, "-2.5e-07"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (9_007_199_254_740_993.0, "9007199254740992"),
        ] {
            assert_eq!(format_value(value), text);
        }
    }

    #[test]
    fn sample_times_are_seconds_with_the_decimals_they_need() {
        for (millis, text) in [
            (0, "0"),
            (1, "0.001"),
            (10, "0.01"),
            (1_793_494_799_999, "1793494799.999"),
            (1_793_498_400_000, "1793498400"),
            (-500, "-0.5"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            let mut out = Vec::new();
            write_seconds(&mut out, millis);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn strings_read_back(text in any::<String>()) {
            for escape in [Escape::Json, Escape::Html] {
                prop_assert_eq!(&serde_json::from_str::<String>(&string(&text, escape)).unwrap(), &text);
            }
        }

        #[test]
        fn values_read_back(bits: u64) {
            let value = f64::from_bits(bits);
            let text = format_value(value);
            let back: f64 = text.trim_start_matches('+').parse().unwrap();
            prop_assert!(back == value || (back.is_nan() && value.is_nan()), "{} {}", text, value);
        }
    }
}
