//! Objects in this process's memory, for tests and for trying Tarn out.
//! Owns: the map of objects.
//! Must not know: anything about disks or networks.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;

use super::backend::{Backend, Condition, Failure, FolderPage, Page, Part, Read, list_requests};
use super::{ObjectInfo, Version};

/// A store that ends with its last user.
#[derive(Debug, Default)]
pub(crate) struct MemoryBackend {
    objects: RwLock<Objects>,
}

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<String, Object>,
    /// Number of writes so far; the version of an object is the number of its write.
    writes: u64,
}

#[derive(Debug)]
struct Object {
    body: Bytes,
    write: u64,
}

impl Object {
    fn version(&self) -> Version {
        Version::new(self.write.to_string())
    }

    fn info(&self, key: &str) -> ObjectInfo {
        ObjectInfo { key: key.to_owned(), size: size(&self.body), version: self.version() }
    }
}

fn size(body: &Bytes) -> u64 {
    u64::try_from(body.len()).unwrap_or(u64::MAX)
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn put(&self, key: &str, body: Bytes, condition: &Condition) -> Result<Version, Failure> {
        let mut objects = self.objects.write();
        let present = objects.by_key.get(key).map(Object::version);
        match (condition, present) {
            (Condition::Absent, Some(_)) => return Err(Failure::Exists),
            (Condition::Is(expected), present) if present.as_ref() != Some(expected) => return Err(Failure::Mismatch),
            _ => {}
        }
        objects.writes = objects.writes.saturating_add(1);
        // A copy: a slice would keep the buffer alive that it was cut from, for as long as the object lives.
        let object = Object { body: Bytes::copy_from_slice(&body), write: objects.writes };
        let version = object.version();
        objects.by_key.insert(key.to_owned(), object);
        Ok(version)
    }

    async fn get(&self, key: &str, part: &Part) -> Result<Read, Failure> {
        let objects = self.objects.read();
        let object = objects.by_key.get(key).ok_or(Failure::NotFound)?;
        let size = size(&object.body);
        let (start, end) = match part {
            Part::All => (0, size),
            Part::Range(range) => (range.start, range.end),
            Part::Suffix(bytes) => (size.saturating_sub(*bytes), size),
        };
        let outside = || Failure::Range(size);
        if start > end || end > size {
            return Err(outside());
        }
        let (start, end) = (usize::try_from(start).map_err(|_| outside())?, usize::try_from(end).map_err(|_| outside())?);
        Ok(Read { bytes: object.body.slice(start..end), size, version: object.version() })
    }

    async fn head(&self, key: &str) -> Result<ObjectInfo, Failure> {
        self.objects.read().by_key.get(key).map(|object| object.info(key)).ok_or(Failure::NotFound)
    }

    async fn list(&self, prefix: &str, _page: Option<&str>) -> Result<Page, Failure> {
        let objects = self.objects.read();
        let listed = objects.by_key.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let objects: Vec<ObjectInfo> = listed.map(|(key, object)| object.info(key)).collect();
        let requests = list_requests(objects.len());
        Ok(Page { objects, next: None, requests })
    }

    async fn folders(&self, prefix: &str, _page: Option<&str>) -> Result<FolderPage, Failure> {
        let objects = self.objects.read();
        let listed = objects.by_key.range(prefix.to_owned()..).map_while(|(key, _)| key.strip_prefix(prefix));
        let mut names: Vec<String> = listed.filter_map(|rest| Some(rest.split_once('/')?.0.to_owned())).collect();
        names.dedup();
        let requests = list_requests(names.len());
        Ok(FolderPage { names, next: None, requests })
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        self.objects.write().by_key.remove(key);
        Ok(())
    }
}
