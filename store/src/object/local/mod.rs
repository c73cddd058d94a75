//! Objects in a directory, one plain file per object, with S3's guarantees.
//! Owns: the mapping of requests to blocking file work, reading, versions.
//! Must not know: retries; what is in an object.
//!
//! - **Create** writes a temporary file, syncs it, and hard-links it to its name: the name appears at once, with the whole content, or not at all, and never replaces
//!   another object. The directory is synced before the create is acknowledged, and also before "already exists" is, so that no acknowledgement rests on a name that
//!   a power failure could take back.
//! - **Swap** and **delete** check and change under an exclusive `flock` on `.tarn/lock`, which the kernel releases when a process dies, however it dies.
//! - A **version** is modification time, inode number and size of the file. A swap always sets a later time than the file had that it replaces.
//! - Unfinished files lie in `.tarn/tmp`, where LIST does not look. Their writer holds an `flock` on them; what nobody holds is a leftover, and the first write of the
//!   next process removes it.
//! - Directories are never removed, so a directory that was synced into its parent once stays there.
//!
//! Several processes may use one directory. A network file system works if it has hard links, `flock` between hosts and a sync that reaches the server.

mod files;
mod write;

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::backend::{Backend, Condition, Failure, FolderPage, Page, Part, Read, list_requests};
use super::{ObjectInfo, Version};
use crate::env::Env;
use files::Directory;

/// A directory as an object store.
#[derive(Debug)]
pub(crate) struct LocalBackend {
    directory: Arc<Directory>,
}

impl LocalBackend {
    /// Writes nothing; the directory is created by the first write. The error says what is wrong with the path.
    pub(crate) fn open(root: PathBuf, env: &Env) -> Result<Self, &'static str> {
        match std::fs::metadata(&root) {
            Ok(metadata) if !metadata.is_dir() => Err("there is a file at this path; a store needs a directory"),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err("the path cannot be entered: permission denied"),
            _ => Ok(Self { directory: Arc::new(Directory::new(root, env)) }),
        }
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Directory) -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
        let directory = Arc::clone(&self.directory);
        match tokio::task::spawn_blocking(move || work(&directory)).await {
            Ok(answer) => answer,
            Err(error) => Err(Failure::Transient(error.into())),
        }
    }
}

#[async_trait]
impl Backend for LocalBackend {
    async fn put(&self, key: &str, body: Bytes, condition: &Condition) -> Result<Version, Failure> {
        let (key, condition) = (key.to_owned(), condition.clone());
        self.blocking(move |directory| match condition {
            Condition::Absent => directory.create(&key, &body),
            Condition::Is(expected) => directory.swap(&key, &body, &expected),
        })
        .await
    }

    async fn get(&self, key: &str, part: &Part) -> Result<Read, Failure> {
        let (key, part) = (key.to_owned(), part.clone());
        self.blocking(move |directory| read(&directory.path(&key), &part)).await
    }

    async fn head(&self, key: &str) -> Result<ObjectInfo, Failure> {
        let key = key.to_owned();
        self.blocking(move |directory| {
            let metadata = object_metadata(&directory.path(&key))?;
            Ok(ObjectInfo { size: metadata.len(), version: version(&metadata), key })
        })
        .await
    }

    async fn list(&self, prefix: &str, _page: Option<&str>) -> Result<Page, Failure> {
        let prefix = prefix.to_owned();
        let objects = self.blocking(move |directory| directory.list(&prefix)).await?;
        let requests = list_requests(objects.len());
        Ok(Page { objects, next: None, requests })
    }

    async fn folders(&self, prefix: &str, _page: Option<&str>) -> Result<FolderPage, Failure> {
        let prefix = prefix.to_owned();
        let names = self.blocking(move |directory| directory.folders(&prefix)).await?;
        let requests = list_requests(names.len());
        Ok(FolderPage { names, next: None, requests })
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        let key = key.to_owned();
        self.blocking(move |directory| directory.delete(&key)).await
    }

    async fn foreign_entry(&self) -> Result<Option<String>, Failure> {
        self.blocking(Directory::foreign_entry).await
    }
}

/// Reads from one open file: what replaces it meanwhile is another file, so the bytes are of one version.
fn read(path: &Path, part: &Part) -> Result<Read, Failure> {
    let file = std::fs::File::open(path).map_err(failure)?;
    let metadata = file.metadata().map_err(failure)?;
    if !metadata.is_file() {
        return Err(Failure::NotFound);
    }
    let size = metadata.len();
    let (start, end) = match part {
        Part::All => (0, size),
        Part::Range(range) => (range.start, range.end),
        Part::Suffix(bytes) => (size.saturating_sub(*bytes), size),
    };
    if end > size || start > end {
        return Err(Failure::Range(size));
    }
    let length = usize::try_from(end - start).map_err(|error| Failure::Transient(error.into()))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, start).map_err(failure)?;
    Ok(Read { bytes: Bytes::from(bytes), size, version: version(&metadata) })
}

/// The metadata of the object's file. A directory is no object.
fn object_metadata(path: &Path) -> Result<Metadata, Failure> {
    let metadata = std::fs::metadata(path).map_err(failure)?;
    if metadata.is_file() { Ok(metadata) } else { Err(Failure::NotFound) }
}

fn version(metadata: &Metadata) -> Version {
    Version::new(format!("{:x}.{:09}-{:x}-{:x}", metadata.mtime(), metadata.mtime_nsec(), metadata.ino(), metadata.len()))
}

/// What an error of the file system means for a request.
fn failure(error: std::io::Error) -> Failure {
    match error.kind() {
        // A file where a folder of the key would be: then there is no such object.
        ErrorKind::NotFound | ErrorKind::NotADirectory => Failure::NotFound,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Failure::Denied(error.into()),
        ErrorKind::InvalidFilename => Failure::Key("the file system cannot have a file of that name"),
        _ => Failure::Transient(error.into()),
    }
}
