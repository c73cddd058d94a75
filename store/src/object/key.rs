//! Which texts are object keys, and under which prefix a store's keys lie.
//! Owns: the validation of keys and prefixes, the root prefix.
//! Must not know: what a key means (`schema::key` does).

use crate::error::StoreError;

/// Folder of a directory store that holds its lock and unfinished writes. No object can lie in it, in any kind of store.
pub(crate) const RESERVED_FOLDER: &str = ".tarn";
/// S3's limit for a whole key.
const MAX_KEY_BYTES: usize = 1024;
/// The limit of file systems for one name.
const MAX_SEGMENT_BYTES: usize = 255;

/// The part of every key that comes from the store's URL: empty, or ending in `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root(String);

impl Root {
    /// The root for the path of a URL; slashes at its ends do not matter. The error says what is wrong.
    pub(crate) fn new(path: &str) -> Result<Self, &'static str> {
        let path = path.trim_matches('/');
        if path.is_empty() {
            return Ok(Self(String::new()));
        }
        check(path)?;
        Ok(Self(format!("{path}/")))
    }

    /// The full key of an object.
    pub(crate) fn full_key(&self, key: &str) -> Result<String, StoreError> {
        let invalid = |reason| StoreError::Key { key: key.to_owned(), reason };
        check(key).map_err(invalid)?;
        let full = format!("{}{key}", self.0);
        if full.len() > MAX_KEY_BYTES { Err(invalid("it is longer than 1024 bytes together with the store's prefix")) } else { Ok(full) }
    }

    /// The full prefix of a folder: empty, or ending in `/`. `prefix` is empty for everything; a slash at its end does not matter.
    pub(crate) fn full_prefix(&self, prefix: &str) -> Result<String, StoreError> {
        let folder = prefix.strip_suffix('/').unwrap_or(prefix);
        if folder.is_empty() && prefix.is_empty() {
            return Ok(self.0.clone());
        }
        Ok(format!("{}/", self.full_key(folder)?))
    }

    /// The key below the root. `None`: not below the root.
    pub(crate) fn relative<'a>(&self, full: &'a str) -> Option<&'a str> {
        full.strip_prefix(self.0.as_str())
    }
}

fn check(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("it is empty");
    }
    if key.len() > MAX_KEY_BYTES {
        return Err("it is longer than 1024 bytes");
    }
    if key.starts_with('/') {
        return Err("it begins with '/'");
    }
    if key.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("it contains a control character");
    }
    if key.contains('\\') {
        return Err("it contains a backslash, which some stores take for '/'");
    }
    for segment in key.split('/') {
        match segment {
            "" => return Err("it has an empty segment"),
            "." | ".." => return Err("it has a segment '.' or '..'"),
            _ if segment.len() > MAX_SEGMENT_BYTES => return Err("one of its segments is longer than 255 bytes"),
            _ => {}
        }
    }
    if key.split('/').next() == Some(RESERVED_FOLDER) {
        return Err("the folder '.tarn' is reserved");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_any_printable_character_are_fine() {
        let root = Root::new("/pre/fix/").unwrap();
        for key in ["tarn.json", "t=it's-(a)-*te!nant/l0/x", "a b/ü/日本", ".hidden", "..a/b..", "%2e%2e/%", "a+b?c#d&e"] {
            assert_eq!(root.full_key(key).unwrap(), format!("pre/fix/{key}"));
        }
    }

    #[test]
    fn keys_that_could_leave_the_store_or_hide_are_refused() {
        let root = Root::new("").unwrap();
        let long_segment = "x".repeat(256);
        let long = vec!["x".repeat(200); 6].join("/");
        for key in ["", "/", "/abs", "a//b", "a/", "..", "a/../b", "./a", "a/.", "a\0b", "a\nb", "a\\b", ".tarn/lock", ".tarn", &long_segment, &long] {
            let error = root.full_key(key).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{key:?}");
            assert_eq!(error.key(), Some(key));
        }
    }

    #[test]
    fn prefixes_are_folders() {
        let root = Root::new("r").unwrap();
        assert_eq!(root.full_prefix("").unwrap(), "r/");
        assert_eq!(root.full_prefix("a/b").unwrap(), "r/a/b/");
        assert_eq!(root.full_prefix("a/b/").unwrap(), "r/a/b/");
        assert_eq!(root.relative("r/a"), Some("a"));
        assert_eq!(root.relative("s/a"), None);
        for prefix in ["/", "a//", "../", "a/../"] {
            assert!(root.full_prefix(prefix).is_err(), "{prefix}");
        }
    }
}
