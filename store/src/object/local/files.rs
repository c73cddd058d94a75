//! The directory of a directory store: its folders, its lock, its entries.
//! Owns: which folders are durable, the lock file, the walk that a LIST is.
//! Must not know: how an object is written.

use std::collections::HashSet;
use std::fs::{DirEntry, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{failure, version};
use crate::env::Env;
use crate::object::key::RESERVED_FOLDER;
use crate::object::{Failure, ObjectInfo};

/// A root directory and what this process knows about it.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    env: Env,
    /// Folders that exist and whose names, up to the root's own, have been synced by this process.
    durable: Mutex<HashSet<PathBuf>>,
    cleaned: AtomicBool,
    /// The last time that was given to a file, in nanoseconds since the epoch.
    last_time: AtomicU64,
}

/// How a lock excludes others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    Shared,
    Exclusive,
}

impl Directory {
    pub(super) fn new(root: PathBuf, env: &Env) -> Self {
        Self { root, env: env.clone(), durable: Mutex::new(HashSet::new()), cleaned: AtomicBool::new(false), last_time: AtomicU64::new(0) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    /// The file of an object. The key was validated: it cannot leave the root.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Whether the caller is the first to ask.
    pub(super) fn first_cleaning(&self) -> bool {
        !self.cleaned.swap(true, Ordering::Relaxed)
    }

    /// A time `step` after `now` and after all that were given before.
    pub(super) fn unique_time(&self, now: u64, step: u64) -> u64 {
        let mut given = 0;
        let _previous = self.last_time.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            given = last.max(now).saturating_add(step);
            Some(given)
        });
        given
    }

    /// Creates `folder`, which is the root or below it, and syncs every name on the way to it. Another process may have created one and not have synced it yet,
    /// so existence is not enough; once per folder and process is.
    pub(super) fn ensure_durable(&self, folder: &Path) -> Result<(), Failure> {
        if self.durable.lock().contains(folder) {
            return Ok(());
        }
        std::fs::create_dir_all(folder).map_err(folder_failure)?;
        for ancestor in folder.ancestors().take_while(|ancestor| ancestor.starts_with(&self.root)) {
            let Some(parent) = ancestor.parent() else { break };
            match sync_directory(parent) {
                // The directory above the root need not be ours to open.
                Err(error) if ancestor == self.root && error.kind() == ErrorKind::PermissionDenied => {}
                other => other.map_err(failure)?,
            }
        }
        self.durable.lock().insert(folder.to_path_buf());
        Ok(())
    }

    /// Somebody removed a folder: nothing is known any more.
    pub(super) fn forget_durable(&self) {
        self.durable.lock().clear();
    }

    /// Where unfinished files lie.
    pub(super) fn temporary_folder(&self) -> Result<PathBuf, Failure> {
        let folder = self.root.join(RESERVED_FOLDER).join("tmp");
        std::fs::create_dir_all(&folder).map_err(folder_failure)?;
        Ok(folder)
    }

    /// Waits for the lock, which is free again when the returned file is closed, by whatever end of the process.
    pub(super) fn lock(&self, lock: Lock) -> Result<File, Failure> {
        let folder = self.root.join(RESERVED_FOLDER);
        std::fs::create_dir_all(&folder).map_err(folder_failure)?;
        let file = File::options().read(true).write(true).create(true).truncate(false).open(folder.join("lock")).map_err(failure)?;
        match lock {
            Lock::Shared => file.lock_shared(),
            Lock::Exclusive => file.lock(),
        }
        .map_err(failure)?;
        Ok(file)
    }

    /// All objects below `prefix`, ascending.
    pub(super) fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, Failure> {
        // Some file systems show neither the old nor the new file to a walk that a rename overtakes. A store that cannot be written to needs no lock.
        let _lock = if self.root.join(RESERVED_FOLDER).exists() { self.lock(Lock::Shared).ok() } else { None };
        let mut objects = Vec::new();
        let mut folders = vec![prefix.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(self.root.join(&folder)) {
                Ok(entries) => entries,
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
                Err(error) => return Err(failure(error)),
            };
            for entry in entries {
                let entry = entry.map_err(failure)?;
                match self.visit(&folder, &entry)? {
                    Visited::Object(info) => objects.push(info),
                    Visited::Folder(name) => folders.push(name),
                    Visited::Nothing => {}
                }
            }
        }
        objects.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        Ok(objects)
    }

    /// The folders right below `prefix`, in any order. Also those without objects: to see that there is none may take a walk through all of it.
    pub(super) fn folders(&self, prefix: &str) -> Result<Vec<String>, Failure> {
        let entries = match std::fs::read_dir(self.root.join(prefix)) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
            Err(error) => return Err(failure(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failure)?;
            if let Visited::Folder(folder) = self.visit(prefix, &entry)?
                && let Some(name) = folder.strip_prefix(prefix)
            {
                names.push(name.trim_end_matches('/').to_owned());
            }
        }
        Ok(names)
    }

    fn visit(&self, folder: &str, entry: &DirEntry) -> Result<Visited, Failure> {
        // No key has a name that is not UTF-8, so it is not ours.
        let Ok(name) = entry.file_name().into_string() else { return Ok(Visited::Nothing) };
        if folder.is_empty() && name == RESERVED_FOLDER {
            return Ok(Visited::Nothing);
        }
        let key = format!("{folder}{name}");
        let file_type = entry.file_type().map_err(failure)?;
        if file_type.is_dir() {
            return Ok(Visited::Folder(format!("{key}/")));
        }
        // Follows a link, as reading the object does; a link to a folder is no object.
        match std::fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_file() => Ok(Visited::Object(ObjectInfo { size: metadata.len(), version: version(&metadata), key })),
            Ok(_) => Ok(Visited::Nothing),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Visited::Nothing),
            Err(error) => Err(failure(error)),
        }
    }

    /// The first entry of the root that no Tarn store has. Hidden files are nobody's business.
    pub(super) fn foreign_entry(&self) -> Result<Option<String>, Failure> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failure(error)),
        };
        let mut foreign = Vec::new();
        for entry in entries {
            let name = entry.map_err(failure)?.file_name().to_string_lossy().into_owned();
            let known = name.starts_with("t=") || name.starts_with('.') || name == "probe" || name == "lost+found" || name == schema::key::FORMAT_KEY;
            if !known {
                foreign.push(name);
            }
        }
        foreign.sort_unstable();
        Ok(foreign.into_iter().next())
    }
}

enum Visited {
    Object(ObjectInfo),
    Folder(String),
    Nothing,
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

fn folder_failure(error: std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => Failure::Key("in a directory store one of its folders is an object already"),
        _ => failure(error),
    }
}
