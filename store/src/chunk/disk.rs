//! Ends of chunk files on a disk that outlives the process, such as `/tmp` of a function: a process that starts anew in the same place need not fetch them again.
//! Chunks never change, so nothing here is ever stale. Whatever is wrong with a file or the disk is a miss, never an error.
//! Owns: the form and names of the files, the bound on their bytes. Must not know: what is in them.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::lru::Lru;

/// A file is a hash of what follows, the size of the chunk, and its last bytes.
const HASH_BYTES: usize = 32;
const HEAD_BYTES: usize = HASH_BYTES + 8;
/// While it is written, a file has this at the end of its name.
const UNFINISHED: &str = ".partial";

/// A folder of cached files, used by one process at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DiskCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// Which store the files are of: a folder may have seen more than one.
    store: String,
    files: Mutex<Lru<()>>,
}

/// The end of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The last bytes, or all.
    pub(crate) bytes: Bytes,
    /// Size of the whole object.
    pub(crate) object_size: u64,
}

impl DiskCache {
    /// The cache in `folder`, which is made if it is missing, for the store with the URL `store`, of at most `max_bytes`. What is in it already is used; what is
    /// too much goes, oldest first.
    pub fn open(folder: &Path, store: &str, max_bytes: usize) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata()) else { continue };
            if name.ends_with(UNFINISHED) {
                let _ = fs::remove_file(entry.path());
            } else if metadata.is_file() {
                found.push((metadata.modified().ok(), name, metadata.len()));
            }
        }
        found.sort();
        let cache = Self { shared: Arc::new(Shared { folder: folder.to_owned(), store: store.to_owned(), files: Mutex::new(Lru::new(max_bytes)) }) };
        for (_, name, size) in found {
            cache.remember(&name, size);
        }
        Ok(cache)
    }

    /// The end of `key`, an object of `size` bytes as its name or manifest says, if it is there.
    pub(crate) async fn get(&self, key: &str, size: u64) -> Option<Tail> {
        let name = self.file_name(key, size);
        self.shared.files.lock().get(&name)?;
        let cache = self.clone();
        tokio::task::spawn_blocking(move || cache.read(&name)).await.ok()?
    }

    /// Keeps the end of `key`.
    pub(crate) async fn put(&self, key: &str, size: u64, tail: Tail) {
        let name = self.file_name(key, size);
        let cache = self.clone();
        let written = tokio::task::spawn_blocking(move || match cache.write(&name, &tail) {
            Ok(bytes) => cache.remember(&name, bytes),
            Err(error) => tracing::debug!(%error, "a chunk's end cannot be cached on disk"),
        });
        let _ = written.await;
    }

    fn file_name(&self, key: &str, size: u64) -> String {
        blake3::hash(format!("{}\0{key}\0{size}", self.shared.store).as_bytes()).to_hex().to_string()
    }

    fn read(&self, name: &str) -> Option<Tail> {
        let path = self.shared.folder.join(name);
        let tail = fs::read(&path).ok().and_then(|file| decode(Bytes::from(file)));
        if tail.is_none() {
            self.shared.files.lock().remove_if(name, |()| true);
            let _ = fs::remove_file(path);
        }
        tail
    }

    /// Whoever reads sees the whole file or none.
    fn write(&self, name: &str, tail: &Tail) -> io::Result<u64> {
        let path = self.shared.folder.join(name);
        let unfinished = self.shared.folder.join(format!("{name}{UNFINISHED}"));
        let size = tail.object_size.to_le_bytes();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&size).update(&tail.bytes);
        let written = fs::File::create(&unfinished).and_then(|mut file| {
            file.write_all(hasher.finalize().as_bytes())?;
            file.write_all(&size)?;
            file.write_all(&tail.bytes)
        });
        if let Err(error) = written.and_then(|()| fs::rename(&unfinished, &path)) {
            // A full disk must not stay full.
            let _ = fs::remove_file(unfinished);
            return Err(error);
        }
        Ok(u64::try_from(HEAD_BYTES + tail.bytes.len()).unwrap_or(u64::MAX))
    }

    fn remember(&self, name: &str, bytes: u64) {
        let evicted = self.shared.files.lock().insert(name, (), usize::try_from(bytes).unwrap_or(usize::MAX));
        for name in evicted {
            let _ = fs::remove_file(self.shared.folder.join(&*name));
        }
    }
}

fn decode(file: Bytes) -> Option<Tail> {
    let (hash, rest) = file.split_at_checked(HASH_BYTES)?;
    let object_size = u64::from_le_bytes(rest.first_chunk().copied()?);
    (blake3::hash(rest).as_bytes() == hash).then(|| Tail { bytes: file.slice(HEAD_BYTES..), object_size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(text: &str) -> Tail {
        Tail { bytes: Bytes::copy_from_slice(text.as_bytes()), object_size: 1000 }
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[tokio::test]
    async fn what_was_kept_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(folder.path(), "s3://a", 1000).unwrap();
        assert_eq!(cache.get("t=x/l0/k", 1000).await, None);
        cache.put("t=x/l0/k", 1000, tail("end")).await;
        fs::write(folder.path().join("0.partial"), "half").unwrap();
        let again = DiskCache::open(folder.path(), "s3://a", 1000).unwrap();
        assert_eq!(again.get("t=x/l0/k", 1000).await, Some(tail("end")));
        assert_eq!(files(folder.path()).len(), 1, "what was not finished is gone");
        // Another object, another size and another store are others.
        assert_eq!((again.get("t=x/l0/j", 1000).await, again.get("t=x/l0/k", 999).await), (None, None));
        assert_eq!(DiskCache::open(folder.path(), "s3://b", 1000).unwrap().get("t=x/l0/k", 1000).await, None);
    }

    #[tokio::test]
    async fn damage_is_a_miss() {
        let folder = tempfile::tempdir().unwrap();
        let damages: [fn(&mut Vec<u8>); 5] =
            [|file| file[HEAD_BYTES] ^= 1, |file| file[HASH_BYTES] ^= 1, |file| file.truncate(20), |file| file.clear(), |file| file.push(0)];
        for damage in damages {
            let cache = DiskCache::open(folder.path(), "s3://a", 1000).unwrap();
            cache.put("k", 1000, tail("end")).await;
            let path = files(folder.path()).pop().unwrap();
            let mut file = fs::read(&path).unwrap();
            damage(&mut file);
            fs::write(&path, file).unwrap();
            assert_eq!(cache.get("k", 1000).await, None);
            assert!(files(folder.path()).is_empty(), "a damaged file goes");
        }
    }

    #[tokio::test]
    async fn a_file_that_somebody_removed_is_a_miss() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(folder.path(), "s3://a", 1000).unwrap();
        cache.put("k", 1000, tail("end")).await;
        fs::remove_file(files(folder.path()).pop().unwrap()).unwrap();
        assert_eq!(cache.get("k", 1000).await, None);
    }

    #[tokio::test]
    async fn the_least_recently_used_goes_when_there_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let text = "x".repeat(60);
        let cache = DiskCache::open(folder.path(), "s3://a", 250).unwrap();
        for key in ["a", "b"] {
            cache.put(key, 1000, tail(&text)).await;
        }
        assert!(cache.get("a", 1000).await.is_some());
        cache.put("c", 1000, tail(&text)).await;
        assert_eq!((cache.get("a", 1000).await.is_some(), cache.get("b", 1000).await.is_some(), cache.get("c", 1000).await.is_some()), (true, false, true));
        assert_eq!(files(folder.path()).len(), 2);
        DiskCache::open(folder.path(), "s3://a", 150).unwrap();
        assert_eq!(files(folder.path()).len(), 1, "a smaller bound holds from the start");
    }
}
