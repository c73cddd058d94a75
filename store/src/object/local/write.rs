//! Create, swap and delete in a directory store.
//! Owns: the order of writing, syncing and naming that makes a write atomic and durable.
//! Must not know: how to read.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::files::{Directory, Lock, sync_directory};
use super::{failure, object_metadata, version};
use crate::object::{Failure, Version};

/// How often a write starts over because somebody removed its temporary file or its directory.
const ATTEMPTS: u32 = 4;

impl Directory {
    /// Writes the object if no file has its name.
    pub(super) fn create(&self, key: &str, body: &[u8]) -> Result<Version, Failure> {
        let (path, parent) = self.place(key)?;
        for _ in 0..ATTEMPTS {
            // Spares writing and syncing a body that is not wanted. The link below decides.
            if taken(&path)? {
                return existing(&parent);
            }
            let temporary = self.write_temporary(body)?;
            self.ensure_durable(&parent)?;
            match std::fs::hard_link(&temporary.path, &path) {
                Ok(()) => {
                    let metadata = temporary.file.metadata().map_err(failure)?;
                    sync_directory(&parent).map_err(failure)?;
                    return Ok(version(&metadata));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) if error.kind() == ErrorKind::NotFound => self.forget_durable(),
                Err(error) => return Err(put_failure(error)),
            }
        }
        Err(Failure::Transient(format!("somebody keeps removing files below '{}'", self.root().display()).into()))
    }

    /// Replaces the object if it has the version.
    pub(super) fn swap(&self, key: &str, body: &[u8], expected: &Version) -> Result<Version, Failure> {
        let (path, parent) = self.place(key)?;
        for _ in 0..ATTEMPTS {
            // Spares writing and syncing a body that is too late. The check under the lock decides.
            if current_version(&path)?.as_ref() != Some(expected) {
                return Err(Failure::Mismatch);
            }
            let temporary = self.write_temporary(body)?;
            let lock = self.lock(Lock::Exclusive)?;
            if current_version(&path)?.as_ref() != Some(expected) {
                return Err(Failure::Mismatch);
            }
            let new = self.later_version(&path, &temporary)?;
            match std::fs::rename(&temporary.path, &path) {
                Ok(()) => {
                    drop(lock);
                    sync_directory(&parent).map_err(failure)?;
                    return Ok(new);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(put_failure(error)),
            }
        }
        Err(Failure::Transient(format!("somebody keeps removing files below '{}'", self.root().display()).into()))
    }

    /// Removes the object, if it is there.
    pub(super) fn delete(&self, key: &str) -> Result<(), Failure> {
        let (path, parent) = self.place(key)?;
        match object_metadata(&path) {
            Err(Failure::NotFound) => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let lock = self.lock(Lock::Exclusive)?;
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failure(error)),
        }
        drop(lock);
        sync_directory(&parent).map_err(failure)
    }

    /// A synced file with this content and no name that anybody looks for.
    fn write_temporary(&self, body: &[u8]) -> Result<Temporary, Failure> {
        let folder = self.temporary_folder()?;
        self.remove_leftovers(&folder);
        let path = folder.join(format!("{:016x}", self.env().random_u64()));
        let file = File::options().write(true).create_new(true).open(&path).map_err(failure)?;
        let mut temporary = Temporary { path, file };
        // Says that the writer lives. Lost between creation and lock, the file is missing below, and the write starts over.
        temporary.file.lock().map_err(failure)?;
        temporary.file.write_all(body).map_err(|error| Failure::Transient(error.into()))?;
        temporary.file.set_modified(self.file_time()).map_err(failure)?;
        temporary.file.sync_all().map_err(failure)?;
        Ok(temporary)
    }

    /// Gives the temporary file a version that the file at `path` does not have, and that is later.
    fn later_version(&self, path: &Path, temporary: &Temporary) -> Result<Version, Failure> {
        let old = object_metadata(path)?.modified().map_err(failure)?;
        let mut step = Duration::from_nanos(1);
        loop {
            let metadata = temporary.file.metadata().map_err(failure)?;
            if metadata.modified().map_err(failure)? > old {
                return Ok(version(&metadata));
            }
            // A file system that rounds times down needs a larger step.
            temporary.file.set_modified(old + step).map_err(failure)?;
            step = step.saturating_mul(1000);
            if step > Duration::from_secs(1000) {
                return Err(Failure::Transient("the file system does not keep modification times".into()));
            }
        }
    }

    /// The time for a new file, later than any that this process gave before: a clock may tick coarsely or step back, and an inode number comes back after a delete.
    /// The random nanoseconds keep apart what several processes write in one tick.
    fn file_time(&self) -> SystemTime {
        let now = u64::try_from(self.env().now().as_nanos()).unwrap_or(0);
        UNIX_EPOCH + Duration::from_nanos(self.unique_time(now, 1 + self.env().random_u64() % 1024))
    }

    /// Removes the unfinished files of processes that are gone; once per process, and without a word if it does not work.
    fn remove_leftovers(&self, folder: &Path) {
        if !self.first_cleaning() {
            return;
        }
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let Ok(file) = File::open(entry.path()) else { continue };
            match file.try_lock() {
                Ok(()) => {
                    let removed = std::fs::remove_file(entry.path());
                    tracing::debug!(file = %entry.path().display(), ok = removed.is_ok(), "removed an unfinished write of a process that is gone");
                }
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
            }
        }
    }

    fn place(&self, key: &str) -> Result<(PathBuf, PathBuf), Failure> {
        let path = self.path(key);
        let parent = path.parent().map(Path::to_path_buf).ok_or(Failure::Key("it has no folder"))?;
        Ok((path, parent))
    }
}

/// A file in `.tarn/tmp` that is locked while this lives, and removed with it. After a rename there is nothing left to remove.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is a leftover for the next process.
        let _left = std::fs::remove_file(&self.path);
    }
}

fn taken(path: &Path) -> Result<bool, Failure> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(_) => Err(Failure::Key("in a directory store it is the folder of other objects already")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(put_failure(error)),
    }
}

/// The name may be younger than the last sync of its directory.
fn existing<T>(parent: &Path) -> Result<T, Failure> {
    sync_directory(parent).map_err(failure)?;
    Err(Failure::Exists)
}

fn current_version(path: &Path) -> Result<Option<Version>, Failure> {
    match object_metadata(path) {
        Ok(metadata) => Ok(Some(version(&metadata))),
        Err(Failure::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn put_failure(error: std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotADirectory => Failure::Key("in a directory store one of its folders is an object already"),
        _ => failure(error),
    }
}
