//! `/loki/api/v1/delete`: asking for rows to be deleted, listing what was asked for, taking it back (spec/http-api.md section 6).
//! Owns: what a request must hold, Loki's texts for what is refused, how requests are listed.
//! Must not know: how rows are hidden from queries, when they are rewritten away.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use logql::duration::{format_go, parse_go};
use schema::time::NANOS_PER_SECOND;
use schema::{Day, DeleteReceipt, DeleteRequest, DeleteRequests, TenantId, Timestamp};
use serde::Serialize;
use store::deletes;

use super::form::Form;
use super::params::parse_rfc3339;
use super::{ApiResponse, Call, only_tenant};
use crate::{QueryError, RowSelector};

const ID_HEADER: HeaderName = HeaderName::from_static("x-delete-request-id");
/// For so long a request can be taken back without force (Loki's `delete_request_cancel_period`).
const CANCEL_PERIOD: i64 = 24 * 3600 * NANOS_PER_SECOND;

const INVALID_QUERY: &str = "invalid query expression";
const NOT_FOUND: &str = "could not find delete request with given id";
const PROCESSED: &str = "deletion of request which is in process or already processed is not allowed";
const PARTIAL: &str = "Unable to cancel partially completed delete request. To force, use the ?force query parameter";

impl Call<'_> {
    /// All methods of the path. Parameters count only in the URL.
    pub(super) async fn delete(&self) -> Result<ApiResponse, QueryError> {
        let tenant = only_tenant(self.tenants, "a delete request")?;
        match *self.method {
            Method::POST | Method::PUT => self.add_delete(tenant).await,
            Method::DELETE => self.cancel_delete(tenant).await,
            _ => self.list_deletes(tenant).await,
        }
    }

    async fn add_delete(&self, tenant: &TenantId) -> Result<ApiResponse, QueryError> {
        let shared = self.shared;
        let now = shared.env.now();
        let wanted = match Wanted::parse(&self.form, now) {
            Ok(wanted) => wanted,
            Err(text) => return Ok(ApiResponse::refused(StatusCode::BAD_REQUEST, &text)),
        };
        let add = |requests: &mut DeleteRequests| {
            let id = loop {
                let id = format!("{:08x}", shared.env.random_u64() >> 32);
                if requests.requests.iter().all(|request| *request.id != *id) {
                    break id;
                }
            };
            let Wanted { query, start, end } = wanted.clone();
            requests.requests.push(DeleteRequest { id: id.clone().into(), query, start, end, created: now.as_nanos(), processed: None, receipt: Vec::new() });
            Some(id)
        };
        let id = deletes::update(&shared.client, &shared.env, tenant, add).await?;
        let id = id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
        let id = id.ok_or_else(|| QueryError::Internal { invariant: "an added delete request has an id of hex digits".to_owned() })?;
        let mut response = ApiResponse::no_content();
        response.headers.insert(ID_HEADER, id);
        Ok(response)
    }

    async fn list_deletes(&self, tenant: &TenantId) -> Result<ApiResponse, QueryError> {
        let (requests, _) = deletes::load(&self.shared.client, tenant).await?;
        let mut requests: Vec<&DeleteRequest> = requests.requests.iter().collect();
        requests.sort_by_key(|request| request.created);
        let listed: Vec<Listed<'_>> = requests.into_iter().map(Listed::of).collect();
        ApiResponse::of(&listed)
    }

    async fn cancel_delete(&self, tenant: &TenantId) -> Result<ApiResponse, QueryError> {
        let (id, force) = (self.form.get("request_id"), self.form.get("force") == "true");
        let now = self.shared.env.now();
        let mut refusal = None;
        let cancel = |requests: &mut DeleteRequests| {
            refusal = match requests.requests.iter().find(|request| &*request.id == id) {
                Some(request) => may_cancel(request, force, now).err().map(|text| (StatusCode::BAD_REQUEST, text)),
                None => Some((StatusCode::NOT_FOUND, NOT_FOUND.to_owned())),
            };
            if refusal.is_some() {
                return None;
            }
            requests.requests.retain(|request| &*request.id != id);
            Some(())
        };
        deletes::update(&self.shared.client, &self.shared.env, tenant, cancel).await?;
        Ok(match refusal {
            Some((status, text)) => ApiResponse::refused(status, &text),
            None => ApiResponse::no_content(),
        })
    }
}

/// Whether a request can still be taken back; if not, why.
fn may_cancel(request: &DeleteRequest, force: bool, now: Timestamp) -> Result<(), String> {
    if request.processed.is_some() {
        return Err(PROCESSED.to_owned());
    }
    if force {
        return Ok(());
    }
    if !request.receipt.is_empty() {
        return Err(PARTIAL.to_owned());
    }
    if request.created.saturating_add(CANCEL_PERIOD) < now.as_nanos() {
        return Err(format!("deletion of request past the deadline of {} since its creation is not allowed", format_go(CANCEL_PERIOD)));
    }
    Ok(())
}

/// What a client wants to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    query: String,
    start: i64,
    end: i64,
}

impl Wanted {
    /// Reads and checks the parameters in Loki's order: query, start, end, `max_interval`. Errors: the text for the client.
    fn parse(form: &Form, now: Timestamp) -> Result<Self, String> {
        let query = form.get("query");
        if query.is_empty() {
            return Err("query not set".to_owned());
        }
        let selector = RowSelector::parse(query).map_err(|error| match error {
            QueryError::Parse(_) | QueryError::Internal { .. } => INVALID_QUERY.to_owned(),
            QueryError::Invalid { message } => format!("{INVALID_QUERY}: {message}"),
            error => error.to_string(),
        })?;
        let start = match form.get("start") {
            "" => return Err("start time not set".to_owned()),
            text => parse_time(text).ok_or("invalid start time: require unix seconds or RFC3339 format")?,
        };
        let end = match form.get("end") {
            "" => now,
            text => parse_time(text).ok_or("invalid end time: require unix seconds or RFC3339 format")?,
        };
        if end > now {
            return Err("deletes in the future are not allowed".to_owned());
        }
        if start >= end {
            return Err("start time can't be greater than or equal to end time".to_owned());
        }
        if !selector.is_stream_only() {
            check_interval(form.get("max_interval"), end.as_nanos().saturating_sub(start.as_nanos()))?;
        }
        Ok(Self { query: query.to_owned(), start: start.as_nanos(), end: end.as_nanos() })
    }
}

/// Loki splits a request with filters by this interval. Here a request is rewritten day by day whatever it says; it is only checked.
fn check_interval(text: &str, length: i64) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let interval = parse_go(text).ok().filter(|interval| *interval >= NANOS_PER_SECOND);
    let interval = interval.ok_or("invalid max_interval: valid time units are 's', 'm', 'h'")?;
    if interval > length {
        return Err(format!("max_interval can't be greater than the interval to be deleted ({})", format_go(length)));
    }
    Ok(())
}

/// RFC 3339, or seconds since the epoch with exactly ten digits.
fn parse_time(text: &str) -> Option<Timestamp> {
    if text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<i64>().ok().map(|seconds| Timestamp(seconds.saturating_mul(NANOS_PER_SECOND)));
    }
    parse_rfc3339(text)
}

/// A request as it is listed. Times are whole seconds, since clients read them as integers: those of a request are moved outwards, so that what is listed holds what was asked for.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    request_id: &'a str,
    start_time: i64,
    end_time: i64,
    query: &'a str,
    status: String,
    created_at: i64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    receipt: &'a [DeleteReceipt],
}

impl<'a> Listed<'a> {
    fn of(request: &'a DeleteRequest) -> Self {
        Self {
            request_id: &request.id,
            start_time: request.start.div_euclid(NANOS_PER_SECOND),
            end_time: whole_second_after(request.end),
            query: &request.query,
            status: status(request),
            created_at: request.created.div_euclid(NANOS_PER_SECOND),
            receipt: &request.receipt,
        }
    }
}

fn status(request: &DeleteRequest) -> String {
    if request.processed.is_some() {
        return "processed".to_owned();
    }
    if request.receipt.is_empty() {
        return "received".to_owned();
    }
    let days = i64::from(Day::of(Timestamp(request.end)).number()) - i64::from(Day::of(Timestamp(request.start)).number()) + 1;
    let done = i64::try_from(request.receipt.len()).unwrap_or(i64::MAX);
    format!("{}% Complete", (done.saturating_mul(100) / days.max(1)).clamp(1, 99))
}

/// The first whole second that is not before `nanos`.
fn whole_second_after(nanos: i64) -> i64 {
    nanos.div_euclid(NANOS_PER_SECOND) + i64::from(nanos.rem_euclid(NANOS_PER_SECOND) > 0)
}
