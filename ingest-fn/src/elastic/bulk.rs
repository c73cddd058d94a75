//! A bulk request: lines of actions and documents become rows and the items of the answer.
//! Owns: which action does what, bounds on their number, ids of documents that have none. Pure. Must not know: how rows are stored.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use schema::{IngestLimits, Timestamp};

use super::answer::{Fault, Items};
use super::document::{Address, DocumentReader};
use super::settings::ElasticSettings;
use crate::decode::json::cursor::{Arena, Cursor};
use crate::error::PushError;
use crate::reject::shorten;
use crate::request::Decoded;
use crate::rows::RowWriter;

/// More actions in one request are refused: the answer has an item for each.
const MAX_ACTIONS: usize = 100_000;
/// Longest index name and longest id in bytes, as in Elasticsearch.
const MAX_INDEX_BYTES: usize = 255;
const MAX_ID_BYTES: usize = 512;

/// What a bulk request holds: rows to store, and the answer once they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkDecoded {
    /// The accepted rows, and what limits refused.
    pub decoded: Decoded,
    items: Items,
}

impl BulkDecoded {
    /// The answer's body, `took` milliseconds after the request came. True only once the rows are stored.
    pub fn answer(self, took: u128) -> String {
        self.items.finish(took)
    }
}

/// Decodes the decompressed `body` of a bulk request to `index`, if the URL names one. `now` is the time of documents that have none.
/// A document that cannot be stored is an item with an error; an error is a request of which nothing is to be stored, in words.
pub fn decode_bulk(body: &[u8], index: Option<&str>, settings: &ElasticSettings, limits: &IngestLimits, now: Timestamp) -> Result<BulkDecoded, String> {
    decode(body, index, settings, limits, now).map_err(|fault| fault.reason)
}

pub(super) fn decode(body: &[u8], index: Option<&str>, settings: &ElasticSettings, limits: &IngestLimits, now: Timestamp) -> Result<BulkDecoded, Fault> {
    let mut rows = RowWriter::new(limits, now, None, body.len())?;
    let mut reader = DocumentReader::new(settings, limits, now);
    let mut items = Items::default();
    let mut arena = Arena::default();
    let mut lines = Lines { rest: body, number: 0 };
    let mut actions = 0;
    while let Some(line) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        actions += 1;
        if actions > MAX_ACTIONS {
            let reason = format!("more than {MAX_ACTIONS} actions in one bulk request; send smaller ones");
            return Err(Fault { status: StatusCode::PAYLOAD_TOO_LARGE, kind: "content_too_long_exception", reason, retry_after: None });
        }
        let action = Action::parse(line, lines.number, &mut arena)?;
        let document = match action.operation {
            Operation::Delete => b"".as_slice(),
            _ => lines.next().ok_or_else(|| {
                Fault::bad("illegal_argument_exception", format!("the action of line [{}] is the last line: its document is missing", lines.number))
            })?,
        };
        let target = action.index.as_deref().or(index);
        let fault = match check(&action, target) {
            Some(fault) => Some(fault),
            None => {
                let address = Address { index: target.unwrap_or_default(), id: action.id.as_deref() };
                reader.write(address, document, &mut rows)?
            }
        };
        let id = action.id.unwrap_or_else(|| new_id(document, actions, now));
        items.push(action.operation.as_str(), &shorten(target.unwrap_or_default()), &shorten(&id), fault.as_ref());
    }
    if actions == 0 {
        return Err(Fault::bad("parse_exception", "request body is required"));
    }
    // Requests whose documents were all refused have no stream.
    rows.empty_stream();
    Ok(BulkDecoded { decoded: rows.finish()?, items })
}

/// Decodes a body that is one document.
pub(super) fn decode_one(body: &[u8], address: Address<'_>, settings: &ElasticSettings, limits: &IngestLimits, now: Timestamp) -> Result<Decoded, Fault> {
    if let Some(fault) = check_address(address) {
        return Err(fault);
    }
    let mut rows = RowWriter::new(limits, now, None, body.len())?;
    match DocumentReader::new(settings, limits, now).write(address, body, &mut rows)? {
        Some(fault) => Err(fault),
        None => Ok(rows.finish()?),
    }
}

/// An id in the form of Elasticsearch's own, for a document that came without. It names nothing: documents are not found by ids.
pub(super) fn new_id(document: &[u8], position: usize, now: Timestamp) -> String {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, document, position, now.as_nanos()).hash(&mut hasher);
        hasher.finish().to_be_bytes()
    };
    let bytes: Vec<u8> = hash(0).into_iter().chain(hash(1)).take(15).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Why nothing can be done about `action`, if so.
fn check(action: &Action, index: Option<&str>) -> Option<Fault> {
    let name = match action.operation {
        Operation::Index | Operation::Create => {
            let Some(index) = index.filter(|index| !index.is_empty()) else {
                return Some(Fault::bad("action_request_validation_exception", "index is missing: neither the action nor the URL names one"));
            };
            return check_address(Address { index, id: action.id.as_deref() });
        }
        Operation::Update => "update",
        Operation::Delete => "delete",
    };
    let reason = format!("[{name}] is not supported: entries of a log are only added; only write ops [create] and [index] are allowed");
    Some(Fault::bad("illegal_argument_exception", reason))
}

fn check_address(address: Address<'_>) -> Option<Fault> {
    let Address { index, id } = address;
    if index.len() > MAX_INDEX_BYTES {
        return Some(Fault::bad("invalid_index_name_exception", format!("index name is too long, ({} > {MAX_INDEX_BYTES})", index.len())));
    }
    let id = id.filter(|id| id.len() > MAX_ID_BYTES)?;
    Some(Fault::bad("illegal_argument_exception", format!("id is too long, must be no longer than {MAX_ID_BYTES} bytes but was: {}", id.len())))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Index,
    Create,
    Update,
    Delete,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Index, Self::Create, Self::Update, Self::Delete];

    fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A line such as `{"create":{"_index":"i","_id":"1"}}`. What else it says is about things that are not here.
#[derive(Debug)]
struct Action {
    operation: Operation,
    index: Option<String>,
    id: Option<String>,
}

impl Action {
    fn parse(line: &[u8], number: usize, arena: &mut Arena) -> Result<Self, Fault> {
        let malformed = |problem: String| Fault::bad("illegal_argument_exception", format!("Malformed action/metadata line [{number}], {problem}"));
        Self::read(line, arena)
            .map_err(|error| malformed(error.to_string()))?
            .map_err(|name| malformed(format!("expected field [create], [delete], [index] or [update] but found [{}]", shorten(&name))))
    }

    /// The inner error is the name of an operation that is not known.
    fn read(line: &[u8], arena: &mut Arena) -> Result<Result<Self, String>, PushError> {
        let mut cursor = Cursor::new(line)?;
        arena.clear();
        let mut first = true;
        cursor.open(b'{', "expected an object")?;
        let Some(key) = cursor.key(&mut first)? else { return Ok(Err(String::new())) };
        let Some(operation) = Operation::ALL.into_iter().find(|operation| cursor.is(key, operation.as_str())) else {
            let name = cursor.unescape(key, arena)?;
            return Ok(Err(String::from_utf8_lossy(cursor.text(name, arena)).into_owned()));
        };
        let mut action = Self { operation, index: None, id: None };
        let mut first_member = true;
        cursor.open(b'{', "expected an object after the operation")?;
        while let Some(key) = cursor.key(&mut first_member)? {
            let (is_index, is_id) = (cursor.is(key, "_index"), cursor.is(key, "_id"));
            if !(is_index || is_id) {
                cursor.skip_value()?;
            } else if !cursor.null()? {
                let text = cursor.string_or_scalar(arena, "expected a string")?;
                let value = Some(String::from_utf8_lossy(cursor.text(text, arena)).into_owned());
                *(if is_index { &mut action.index } else { &mut action.id }) = value;
            }
        }
        // A second operation in the line.
        if let Some(key) = cursor.key(&mut first)? {
            let name = cursor.unescape(key, arena)?;
            return Ok(Err(String::from_utf8_lossy(cursor.text(name, arena)).into_owned()));
        }
        cursor.end()?;
        Ok(Ok(action))
    }
}

struct Lines<'b> {
    rest: &'b [u8],
    /// Of the line that was read last, from 1.
    number: usize,
}

impl<'b> Lines<'b> {
    /// The next line, without its end; the last one may lack it.
    fn next(&mut self) -> Option<&'b [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        match memchr::memchr(b'\n', self.rest).and_then(|at| self.rest.split_at_checked(at)) {
            Some((line, rest)) => {
                self.rest = rest.get(1..).unwrap_or_default();
                Some(line)
            }
            None => Some(std::mem::take(&mut self.rest)),
        }
    }
}
