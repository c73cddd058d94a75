//! The body of `patterns`.

use super::json::{Escape, comma, write_string, write_string_array};
use crate::patterns::MinedPattern;

/// Loki's shape; `warnings` stand where an answer to a query has them. Ends with a newline.
pub(crate) fn write_patterns(patterns: &[MinedPattern], warnings: &[String]) -> Vec<u8> {
    let mut out = br#"{"status":"success","#.to_vec();
    if !warnings.is_empty() {
        out.extend_from_slice(br#""warnings":"#);
        write_string_array(&mut out, warnings.iter().map(String::as_str));
        out.push(b',');
    }
    out.extend_from_slice(br#""data":["#);
    for (i, pattern) in patterns.iter().enumerate() {
        comma(&mut out, i);
        out.extend_from_slice(br#"{"pattern":"#);
        write_string(&mut out, &pattern.pattern, Escape::Json);
        out.extend_from_slice(br#","level":"#);
        write_string(&mut out, &pattern.level, Escape::Json);
        out.extend_from_slice(br#","samples":["#);
        for (j, (second, lines)) in pattern.samples.iter().enumerate() {
            comma(&mut out, j);
            out.extend_from_slice(format!("[{second},{lines}]").as_bytes());
        }
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"]}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(patterns: &[MinedPattern], warnings: &[String]) -> String {
        String::from_utf8(write_patterns(patterns, warnings)).unwrap()
    }

    #[test]
    fn bodies() {
        assert_eq!(body(&[], &[]), "{\"status\":\"success\",\"data\":[]}\n");
        let pattern = |pattern: &str, level: &str, samples: &[(i64, u64)]| MinedPattern {
            pattern: pattern.to_owned(),
            level: level.to_owned(),
            samples: samples.to_vec(),
            lines: 0,
        };
        assert_eq!(
            body(&[pattern("a=\"<_>\" & b", "info", &[(-10, 1), (1_700_000_000, 12)]), pattern("", "", &[])], &["partial".to_owned()]),
            "{\"status\":\"success\",\"warnings\":[\"partial\"],\"data\":[{\"pattern\":\"a=\\\"<_>\\\" & b\",\"level\":\"info\",\"samples\":[[-10,1],[1700000000,12]]},{\"pattern\":\"\",\"level\":\"\",\"samples\":[]}]}\n"
        );
    }
}
