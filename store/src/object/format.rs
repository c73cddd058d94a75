//! The object that says which format a store has.
//! Owns: `tarn.json`, and the refusal of stores that are newer or are no stores.
//! Must not know: what a format version changes.

use bytes::Bytes;
use schema::key::FORMAT_KEY;

use super::PutOutcome;
use super::client::ObjectClient;
use crate::error::StoreError;

/// The newest format that this version reads, and the one that it gives to a new store.
const FORMAT_VERSION: u64 = 1;

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Format {
    format_version: u64,
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    created_at: String,
}

impl ObjectClient {
    /// Writes `tarn.json` into a new store, or checks the one that is there. One request for a store that exists. Call it before anything else is read or written.
    ///
    /// A store without `tarn.json` is new. In a directory that is only believed if the directory is empty but for hidden files, `lost+found`, `probe` and tenants
    /// (`t=...`, a copy without its `tarn.json`): another name means that the path is wrong, and the directory is left alone. A bucket is not searched.
    /// Errors: `Unsupported` for a newer format and for a foreign directory, `Corrupt` for a `tarn.json` that cannot be read.
    pub async fn ensure_format(&self) -> Result<(), StoreError> {
        if let Some((body, _)) = self.get_versioned(FORMAT_KEY).await? {
            return self.check_format(&body);
        }
        let foreign = self.shared.backend.foreign_entry().await;
        let foreign = match foreign {
            Ok(foreign) => foreign,
            Err(failure) => {
                let mut attempts = self.attempts(super::Op::List, "");
                attempts.give_up(failure)?
            }
        };
        if let Some(found) = foreign {
            return Err(StoreError::Foreign { store: self.url().to_owned(), found });
        }
        match self.create(FORMAT_KEY, new_format(self)?).await? {
            PutOutcome::Created => {
                tracing::info!(store = self.url(), format_version = FORMAT_VERSION, "created a new store");
                Ok(())
            }
            // Two processes start on a new store at once.
            PutOutcome::AlreadyExists => self.check_format(&self.get(FORMAT_KEY).await?),
        }
    }

    /// Checks `tarn.json` if it is there, and writes nothing: for a reader, whose credentials may not allow more. One request.
    /// Errors: `Unsupported` for a newer format, `Corrupt` for a `tarn.json` that cannot be read.
    pub async fn check_existing_format(&self) -> Result<(), StoreError> {
        match self.get_versioned(FORMAT_KEY).await? {
            Some((body, _)) => self.check_format(&body),
            None => Ok(()),
        }
    }

    fn check_format(&self, body: &[u8]) -> Result<(), StoreError> {
        let format: Format = serde_json::from_slice(body).map_err(|error| StoreError::corrupt_by(FORMAT_KEY, "it does not say a format version", error))?;
        match format.format_version {
            0 => Err(StoreError::corrupt(FORMAT_KEY, "format version 0 was never used")),
            found if found > FORMAT_VERSION => Err(StoreError::NewerFormat { store: self.url().to_owned(), found, supported: FORMAT_VERSION }),
            _ => Ok(()),
        }
    }
}

fn new_format(client: &ObjectClient) -> Result<Bytes, StoreError> {
    let now = client.shared.env.now().as_nanos();
    let created_at = jiff::Timestamp::from_nanosecond(i128::from(now)).map(|now| now.to_string()).unwrap_or_default();
    let format = Format { format_version: FORMAT_VERSION, created_by: concat!("tarn ", env!("CARGO_PKG_VERSION")).to_owned(), created_at };
    let mut text = serde_json::to_string(&format).map_err(|error| StoreError::internal(format!("tarn.json can be written: {error}")))?;
    text.push('\n');
    Ok(Bytes::from(text))
}
