//! A pointer to an S3 object, and the two ways in which its key is written.

use schema::Timestamp;

/// An S3 object that an event names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectRef {
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// The object's size in bytes, where the event says it.
    pub size: Option<u64>,
    /// Its entity tag.
    pub etag: Option<String>,
    /// Its version, in a bucket with versions: the one to read.
    pub version_id: Option<String>,
    /// Hexadecimal; orders events of one key.
    pub sequencer: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// When it was created.
    pub event_time: Option<Timestamp>,
}

/// A key as S3 notifications write it: a space as `+`, other bytes as `%XX`. What is not such an escape stays as it is.
/// EventBridge writes keys as they are.
pub(super) fn decode_key(encoded: &str) -> String {
    let mut out = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        match (escaped, first) {
            (Some(byte), _) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (None, b'+') => {
                out.push(b' ');
                rest = after;
            }
            (None, other) => {
                out.push(*other);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_notifications() {
        for (encoded, key) in [("my+image.jpg", "my image.jpg"), ("a%2Bb%3D1/%C3%BC", "a+b=1/ü"), ("100%", "100%"), ("%zz", "%zz"), ("plain/key", "plain/key")]
        {
            assert_eq!(decode_key(encoded), key);
        }
    }
}
