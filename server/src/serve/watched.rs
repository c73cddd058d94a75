//! Files that are read anew when they change, without a restart: by their content, since a file's time can stay the same and that of a mounted secret is its link's.
//! Owns: when to look, what counts as a change. Must not know: what is in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::TarnError;
use crate::serve::state::App;

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(3);

/// One file.
#[derive(Debug)]
pub(crate) struct Watched {
    path: PathBuf,
    /// The setting that names it.
    setting: &'static str,
    /// Hash of the text last seen; `None` after a look that failed.
    seen: Mutex<Option<blake3::Hash>>,
}

impl Watched {
    /// The file and its text. Errors: it cannot be read.
    pub(crate) fn open(path: &Path, setting: &'static str) -> Result<(Self, String), TarnError> {
        let text = std::fs::read_to_string(path).map_err(|source| TarnError::WatchedFile { path: path.to_owned(), setting, source })?;
        let seen = Mutex::new(Some(blake3::hash(text.as_bytes())));
        Ok((Self { path: path.to_owned(), setting, seen }, text))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The text if it is another one than at the last look, wrong or not. That it cannot be read is said once.
    pub(crate) async fn changed(&self) -> Option<Result<String, TarnError>> {
        let read = tokio::fs::read_to_string(&self.path).await;
        let mut seen = self.seen.lock();
        match read {
            Ok(text) => {
                let hash = Some(blake3::hash(text.as_bytes()));
                let is_new = *seen != hash;
                *seen = hash;
                is_new.then_some(Ok(text))
            }
            Err(source) => seen.take().map(|_| Err(TarnError::WatchedFile { path: self.path.clone(), setting: self.setting, source })),
        }
    }
}

/// Looks at all files of `app` every few seconds, until it is dropped.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        app.access.reload().await;
        app.roles.limits().reload().await;
        if let Some(tls) = &app.tls {
            tls.reload().await;
        }
    }
}

/// Says that a file that changed is not taken.
pub(crate) fn refused(path: &Path, error: &TarnError) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(path = %path.display(), %error, cause, "a changed file is not taken, what it said before stays in force");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_seen_once_and_so_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(Watched::open(&path, "auth.tokens_file").unwrap_err().to_string().contains("auth.tokens_file"));
        std::fs::write(&path, "one").unwrap();
        let (file, text) = Watched::open(&path, "auth.tokens_file").unwrap();
        assert_eq!(text, "one");
        assert!(file.changed().await.is_none());
        std::fs::write(&path, "two").unwrap();
        assert_eq!(file.changed().await.unwrap().unwrap(), "two");
        assert!(file.changed().await.is_none());
        std::fs::remove_file(&path).unwrap();
        assert!(file.changed().await.unwrap().is_err());
        assert!(file.changed().await.is_none());
        std::fs::write(&path, "two").unwrap();
        assert_eq!(file.changed().await.unwrap().unwrap(), "two");
    }
}
