//! The bodies of `index/volume` and `index/volume_range`.

use super::json::{comma, write_seconds, write_string_map};
use crate::metadata::volume::VolumeSeries;

/// A matrix where some series has several samples, else a vector; ends with a newline.
pub(crate) fn write_volumes(volumes: &[VolumeSeries]) -> Vec<u8> {
    let is_matrix = volumes.iter().any(|series| series.samples.len() > 1);
    let (kind, member): (&[u8], &[u8]) = if is_matrix { (b"matrix", br#","values":["#) } else { (b"vector", br#","value":"#) };
    let mut out = br#"{"status":"success","data":{"resultType":""#.to_vec();
    out.extend_from_slice(kind);
    out.extend_from_slice(br#"","result":["#);
    for (i, series) in volumes.iter().enumerate() {
        comma(&mut out, i);
        out.extend_from_slice(br#"{"metric":"#);
        write_string_map(&mut out, series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        out.extend_from_slice(member);
        for (j, (millis, bytes)) in series.samples.iter().enumerate() {
            comma(&mut out, j);
            out.push(b'[');
            write_seconds(&mut out, *millis);
            out.extend_from_slice(format!(",\"{bytes}\"]").as_bytes());
        }
        out.extend_from_slice(if is_matrix { b"]}" } else { b"}" });
    }
    out.extend_from_slice(b"]}}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(samples: &[(i64, u64)]) -> VolumeSeries {
        VolumeSeries { labels: vec![("app".to_owned(), String::new())], samples: samples.to_vec() }
    }

    #[test]
    fn one_sample_each_is_a_vector() {
        assert_eq!(write_volumes(&[]), b"{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}\n");
        assert_eq!(
            String::from_utf8(write_volumes(&[series(&[(1500, 7)])])).unwrap(),
            "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"app\":\"\"},\"value\":[1.5,\"7\"]}]}}\n"
        );
        assert_eq!(
            String::from_utf8(write_volumes(&[series(&[(1500, 7), (2000, 8)])])).unwrap(),
            "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"app\":\"\"},\"values\":[[1.5,\"7\"],[2,\"8\"]]}]}}\n"
        );
    }
}
