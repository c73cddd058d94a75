//! One request to S3 through object_store, and what its answer means.
//! Owns: the translation of requests, answers and errors. object_store must have been told to try once only.
//! Must not know: settings; how often to try.

use std::error::Error as StdError;
use std::ops::Range;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, PutMode, PutOptions, PutPayload, UpdateVersion};

use crate::object::{Condition, Failure, ObjectInfo, Part, Read, Version};

pub(crate) fn path(key: &str) -> Result<Path, Failure> {
    Path::parse(key).map_err(|_| Failure::Key("S3's client refuses it"))
}

pub(crate) async fn put(store: &dyn ObjectStore, key: &str, body: Bytes, condition: &Condition) -> Result<Version, Failure> {
    let mode = match condition {
        Condition::Absent => PutMode::Create,
        Condition::Is(version) => PutMode::Update(UpdateVersion { e_tag: Some(version.as_str().to_owned()), version: None }),
    };
    let answer = store.put_opts(&path(key)?, PutPayload::from_bytes(body), PutOptions::from(mode)).await;
    match answer {
        // A put without an ETag is done, but nobody could ever swap the object: not a store for us.
        Ok(result) => result.e_tag.map(Version::new).ok_or_else(|| Failure::Transient("the store answered a put without an ETag".into())),
        Err(error) => Err(put_failure(error, condition)),
    }
}

fn put_failure(error: Error, condition: &Condition) -> Failure {
    match error {
        // 412 to a create arrives as "precondition failed" inside of "already exists", 409 as "already exists" alone, for creates and swaps.
        Error::AlreadyExists { source, .. } if *condition == Condition::Absent && is_refused_condition(source.as_ref()) => Failure::Exists,
        Error::AlreadyExists { source, .. } => Failure::Busy(source),
        // If-Match on a missing key is 404 on AWS and 412 on others.
        Error::Precondition { .. } | Error::NotModified { .. } | Error::NotFound { .. } if matches!(condition, Condition::Is(_)) => Failure::Mismatch,
        // Nothing else can be missing when the object may be.
        Error::NotFound { .. } => Failure::Transient(error.into()),
        other => failure(other),
    }
}

fn is_refused_condition(source: &(dyn StdError + Send + Sync + 'static)) -> bool {
    matches!(source.downcast_ref::<Error>(), Some(Error::Precondition { .. } | Error::NotModified { .. }))
}

pub(crate) async fn get(store: &dyn ObjectStore, key: &str, part: &Part) -> Result<Read, Failure> {
    let range = match part {
        Part::All => None,
        Part::Range(range) => Some(GetRange::Bounded(range.clone())),
        Part::Suffix(bytes) => Some(GetRange::Suffix(*bytes)),
    };
    let options = GetOptions { range, ..GetOptions::default() };
    let result = match store.get_opts(&path(key)?, options).await {
        Ok(result) => result,
        Err(error) => return get_failure(store, key, part, error).await,
    };
    let answered = result.range.clone();
    let size = result.meta.size;
    let version = version_of(&result.meta)?;
    check_range(part, &answered, size)?;
    let bytes = collect(result).await?;
    if u64::try_from(bytes.len()).ok() != answered.end.checked_sub(answered.start) {
        return Err(Failure::Transient(format!("the store promised bytes {answered:?} and sent {}", bytes.len()).into()));
    }
    Ok(Read { bytes, size, version })
}

async fn collect(result: GetResult) -> Result<Bytes, Failure> {
    result.bytes().await.map_err(failure)
}

fn check_range(part: &Part, answered: &Range<u64>, size: u64) -> Result<(), Failure> {
    let right = match part {
        Part::All => *answered == (0..size),
        Part::Range(range) => answered == range,
        Part::Suffix(bytes) => *answered == (size.saturating_sub(*bytes)..size),
    };
    match part {
        _ if right => Ok(()),
        Part::Range(range) if range.end > size => Err(Failure::Range(size)),
        _ => Err(Failure::Transient(format!("the store answered {part:?} with bytes {answered:?} of {size}").into())),
    }
}

/// A range that does not touch the object is an error of the store; the object's size tells which it is. The last bytes of an empty object are such a range too.
async fn get_failure(store: &dyn ObjectStore, key: &str, part: &Part, error: Error) -> Result<Read, Failure> {
    if status(&error) != Some(416) || *part == Part::All {
        return Err(failure(error));
    }
    let meta = object_store::ObjectStoreExt::head(store, &path(key)?).await.map_err(failure)?;
    match part {
        Part::Range(range) if range.end > meta.size => Err(Failure::Range(meta.size)),
        Part::Suffix(_) if meta.size == 0 => Ok(Read { bytes: Bytes::new(), size: 0, version: version_of(&meta)? }),
        _ => Err(failure(error)),
    }
}

pub(crate) async fn head(store: &dyn ObjectStore, key: &str) -> Result<ObjectInfo, Failure> {
    let meta = object_store::ObjectStoreExt::head(store, &path(key)?).await.map_err(failure)?;
    info(&meta)
}

pub(crate) async fn delete(store: &dyn ObjectStore, key: &str) -> Result<(), Failure> {
    match object_store::ObjectStoreExt::delete(store, &path(key)?).await {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(failure(error)),
    }
}

pub(crate) fn info(meta: &ObjectMeta) -> Result<ObjectInfo, Failure> {
    Ok(ObjectInfo { key: meta.location.as_ref().to_owned(), size: meta.size, version: version_of(meta)? })
}

/// The name of a folder that a LIST of `prefix` with delimiter `/` answered.
pub(crate) fn folder_name(prefix: &str, folder: &Path) -> Result<String, Failure> {
    let name = folder.as_ref().strip_prefix(prefix).filter(|name| !name.is_empty() && !name.contains('/'));
    name.map(str::to_owned).ok_or_else(|| Failure::Transient(format!("the store answered the folder '{folder}' to a LIST of '{prefix}'").into()))
}

fn version_of(meta: &ObjectMeta) -> Result<Version, Failure> {
    meta.e_tag.clone().map(Version::new).ok_or_else(|| Failure::Transient(format!("the store gave no ETag for '{}'", meta.location).into()))
}

/// What an error of a request without a condition means.
pub(crate) fn failure(error: Error) -> Failure {
    match error {
        Error::NotFound { .. } => Failure::NotFound,
        Error::PermissionDenied { source, .. } | Error::Unauthenticated { source, .. } => Failure::Denied(source),
        Error::InvalidPath { .. } => Failure::Key("S3's client refuses it"),
        Error::Precondition { .. } => Failure::Mismatch,
        other if matches!(status(&other), Some(401 | 403)) => Failure::Denied(other.into()),
        other => Failure::Transient(other.into()),
    }
}

/// The HTTP status in the error's texts; object_store has no public field for it. `None` is always a safe answer here.
fn status(error: &dyn StdError) -> Option<u16> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some((_, rest)) = error.to_string().split_once("status code: ") {
            return rest.get(..3)?.parse().ok();
        }
        cause = error.source();
    }
    None
}
