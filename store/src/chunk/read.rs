//! Opens chunks and streams rows out of them.
//! Owns: which requests an open and a read make.
//! Must not know: why these rows are wanted.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use schema::{ChunkManifest, ChunkRef};

use super::cache::{ChunkCache, Opened};
use super::decode::WindowDecoder;
use super::disk::Tail;
use super::fetch::{Fetch, FileParts, ReadAhead, Window, coalesce, plan, window_spans};
use super::footer::{ChunkFooter, FooterError, parse_tail};
use super::layout::Leaf;
use super::rows::{ChunkColumns, ChunkRows};
use crate::error::StoreError;
use crate::object::ObjectClient;

/// Up to this size an object is fetched whole when it is opened: a second request would take longer than the bytes.
pub(crate) const SMALL_OBJECT_BYTES: u64 = 512 << 10;
/// Bytes of the first request for a larger object. Holds the footer of a chunk of some thousand streams.
pub(crate) const TAIL_BYTES: u64 = 128 << 10;

/// Requests for a window of a read: time, line, names and values of metadata.
const WINDOW_REQUESTS: u64 = 4;

/// An opened chunk: its manifest and the places of its pages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChunkReader {
    chunk: Arc<ChunkRef>,
    name: Arc<str>,
    footer: Arc<ChunkFooter>,
    cache: ChunkCache,
}

impl ChunkReader {
    /// Opens `chunk`: no request when it is in `cache`, one GET otherwise; two when the footer of a large object is unusually big and
    /// `chunk` does not say how big.
    /// Errors: those of the store ([`crate::ErrorKind::NotFound`] when the chunk was deleted meanwhile), and [`StoreError::Corrupt`] when the file
    /// is damaged or does not hold what `chunk` says.
    pub async fn open(client: &ObjectClient, chunk: &ChunkRef, cache: &ChunkCache) -> Result<Self, StoreError> {
        let name: Arc<str> = chunk.name.to_string().into();
        let footer = cache
            .footer(&name, || async {
                let opened = open_footer(client, &name, chunk, cache).await?;
                match opened.footer.disagreement(chunk) {
                    Some(what) => Err(StoreError::corrupt(&*name, what)),
                    None => Ok(opened),
                }
            })
            .await?;
        Ok(Self { chunk: Arc::new(chunk.clone()), name, footer, cache: cache.clone() })
    }

    /// What `chunk` holds: from `frame`, the copy of its label manifest that its day manifest carries, or else from its footer as [`Self::open`] reads it.
    /// Errors: those of [`Self::open`]; [`StoreError::Corrupt`] for a frame that is damaged or of another chunk.
    pub async fn labels(client: &ObjectClient, chunk: &ChunkRef, frame: Option<&[u8]>, cache: &ChunkCache) -> Result<Arc<ChunkManifest>, StoreError> {
        let Some(frame) = frame else { return Ok(Self::open(client, chunk, cache).await?.shared_manifest()) };
        let name = chunk.name.to_string();
        let manifest = cache.labels(&name, frame)?;
        if manifest.rows() != chunk.rows || manifest.time_bounds() != Some((chunk.min, chunk.max)) {
            return Err(StoreError::corrupt(name, "its labels and its entry in the day manifest disagree"));
        }
        Ok(manifest)
    }

    /// What opening `chunk` and reading `rows` of its rows takes at most, about, where it is not open: (bytes, requests).
    pub fn planned_open(chunk: &ChunkRef, rows: u64) -> (u64, u64) {
        if is_small(chunk) {
            return (chunk.size, 1);
        }
        let footer = chunk.footer.unwrap_or(TAIL_BYTES).min(chunk.size);
        let pages = u128::from(chunk.size - footer) * u128::from(rows.min(chunk.rows)) / u128::from(chunk.rows.max(1));
        let pages = u64::try_from(pages).unwrap_or(u64::MAX);
        // A window's columns lie apart from each other.
        let requests = pages.div_ceil(ReadAhead::QUERY.window_bytes).saturating_mul(WINDOW_REQUESTS);
        (footer.saturating_add(pages), requests.saturating_add(1))
    }

    /// Which chunk it is.
    pub fn chunk(&self) -> &ChunkRef {
        &self.chunk
    }

    /// What the chunk holds.
    pub fn manifest(&self) -> &ChunkManifest {
        &self.footer.manifest
    }

    /// Bytes of memory that the opened chunk takes, roughly: its manifest and the places of its pages.
    pub fn memory_bytes(&self) -> usize {
        self.footer.memory_bytes()
    }

    /// The same, to keep.
    pub fn shared_manifest(&self) -> Arc<ChunkManifest> {
        Arc::clone(&self.footer.manifest)
    }

    /// Streams the rows of `selection` (row positions, ascending and disjoint) in chunk order. Only the pages that hold selected rows are fetched,
    /// those close together with one request, a few megabytes ahead of what is decoded; nothing is fetched when the whole object is in the cache.
    /// Each poll decodes at most one page. Dropping the stream ends its requests.
    /// Errors end the stream: those of the store, [`StoreError::Corrupt`] for a damaged page, [`StoreError::Argument`] for a bad selection.
    pub fn read(&self, client: &ObjectClient, selection: Vec<Range<u64>>, columns: ChunkColumns) -> BoxStream<'static, Result<ChunkRows, StoreError>> {
        self.read_with(client, selection, columns, ReadAhead::QUERY)
    }

    /// What [`Self::read`] will ask of the store: (bytes, requests). Nothing where the whole object is in the cache. Errors: a bad selection.
    pub fn planned_read(&self, selection: &[Range<u64>], columns: ChunkColumns) -> Result<(u64, u64), StoreError> {
        if self.cache.body(&self.name).is_some() {
            return Ok((0, 0));
        }
        let (leaves, ahead) = (wanted_leaves(columns), ReadAhead::QUERY);
        let (mut bytes, mut requests) = (0, 0);
        for window in plan(&self.footer, selection, &leaves, &ahead)? {
            for range in coalesce(&window_spans(&self.footer, &window, &leaves), &ahead) {
                bytes += range.end - range.start;
                requests += 1;
            }
        }
        Ok((bytes, requests))
    }

    /// As [`Self::read`], as far ahead as `ahead` says.
    pub fn read_with(
        &self,
        client: &ObjectClient,
        selection: Vec<Range<u64>>,
        columns: ChunkColumns,
        ahead: ReadAhead,
    ) -> BoxStream<'static, Result<ChunkRows, StoreError>> {
        let leaves = wanted_leaves(columns);
        let windows = match plan(&self.footer, &selection, &leaves, &ahead) {
            Ok(windows) => windows,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        let body = self.cache.body(&self.name);
        let (reader, client) = (self.clone(), client.clone());
        let decoders = stream::iter(windows).map(move |window| {
            let source = reader.source(&client, &window, &leaves, &ahead, body.as_ref());
            let reader = reader.clone();
            async move {
                let parts = source.parts().await?;
                let decoder = WindowDecoder::new(Arc::clone(&reader.footer), window, parts, columns).map_err(|error| reader.damaged(error))?;
                Ok::<_, StoreError>(stream::iter(decoder.map(move |rows| rows.map_err(|error| reader.damaged(error)))))
            }
        });
        decoders.buffered(ahead.windows.max(1)).try_flatten().boxed()
    }

    fn source(&self, client: &ObjectClient, window: &Window, leaves: &[Leaf], ahead: &ReadAhead, body: Option<&Bytes>) -> Source {
        if let Some(body) = body {
            return Source::Body(body.clone());
        }
        let ranges = coalesce(&window_spans(&self.footer, window, leaves), ahead);
        Source::Fetch(Fetch::start(client.clone(), self.name.to_string(), ranges))
    }

    fn damaged(&self, error: parquet::errors::ParquetError) -> StoreError {
        StoreError::corrupt_by(&*self.name, "a page cannot be decoded", error)
    }
}

enum Source {
    Body(Bytes),
    Fetch(Fetch),
}

impl Source {
    async fn parts(self) -> Result<FileParts, StoreError> {
        match self {
            Self::Body(body) => Ok(FileParts::whole(body)),
            Self::Fetch(fetch) => fetch.finish().await,
        }
    }
}

fn wanted_leaves(columns: ChunkColumns) -> Vec<Leaf> {
    let wanted = |leaf: &Leaf| match leaf {
        Leaf::Timestamp => columns.timestamps,
        Leaf::StreamId => false,
        Leaf::Line => columns.lines,
        Leaf::MetadataKey | Leaf::MetadataValue => columns.metadata,
    };
    Leaf::ALL.into_iter().filter(wanted).collect()
}

/// From the disk if the cache has one and the end is there; else with requests.
async fn open_footer(client: &ObjectClient, name: &str, chunk: &ChunkRef, cache: &ChunkCache) -> Result<Opened, StoreError> {
    let Some(disk) = cache.disk() else { return Ok(fetch_footer(client, name, chunk).await?.0) };
    if let Some(tail) = disk.get(name, chunk.size).await
        && let Ok(footer) = parse_tail(&tail.bytes, tail.object_size)
        && footer.disagreement(chunk).is_none()
    {
        return Ok(Opened { footer, body: is_small(chunk).then_some(tail.bytes) });
    }
    let (opened, tail) = fetch_footer(client, name, chunk).await?;
    disk.put(name, chunk.size, tail).await;
    Ok(opened)
}

fn is_small(chunk: &ChunkRef) -> bool {
    chunk.size <= SMALL_OBJECT_BYTES
}

/// The footer and the bytes that it was read from.
async fn fetch_footer(client: &ObjectClient, name: &str, chunk: &ChunkRef) -> Result<(Opened, Tail), StoreError> {
    let damaged = |error: FooterError| StoreError::corrupt_by(name, "its footer cannot be read", error);
    if is_small(chunk) {
        let body = client.get(name).await?;
        let object_size = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let footer = parse_tail(&body, object_size).map_err(damaged)?;
        return Ok((Opened { footer, body: Some(body.clone()) }, Tail { bytes: body, object_size }));
    }
    let mut wanted = chunk.footer.unwrap_or(TAIL_BYTES);
    loop {
        // The footer first says where it begins, and only the footer says where the offset index begins: at most two more rounds.
        let (bytes, object_size) = client.get_suffix(name, wanted).await?;
        match parse_tail(&bytes, object_size) {
            Ok(footer) => return Ok((Opened { footer, body: None }, Tail { bytes, object_size })),
            Err(FooterError::NeedMore { needed }) if needed > wanted => wanted = needed,
            Err(error) => return Err(damaged(error)),
        }
    }
}
