//! Whose request it is. Source: spec of `X-Scope-OrgID` in Loki (dskit `user` and `tenant`).

use http::{HeaderMap, StatusCode};
use schema::{TenantId, TenantSet};

/// The header that names the tenant.
pub(crate) const TENANT_HEADER: &str = "x-scope-orgid";

/// A request that belongs to nobody, with Loki's text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TenantRefusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

/// Reads the tenant of a request. `a|b` names two, which Loki allows only for queries, and only when told to.
pub(crate) fn of_request(headers: &HeaderMap, auth_enabled: bool) -> Result<TenantId, TenantRefusal> {
    let bad = |message: String| TenantRefusal { status: StatusCode::BAD_REQUEST, message };
    let value = header_value(headers)?;
    if value.is_empty() {
        return match auth_enabled {
            true => Err(TenantRefusal { status: StatusCode::UNAUTHORIZED, message: "no org id".to_owned() }),
            false => Ok(TenantId::default_tenant()),
        };
    }
    let mut ids = value.split('|');
    let first = TenantId::parse(ids.next().unwrap_or_default()).map_err(|e| bad(e.to_string()))?;
    for other in ids {
        if TenantId::parse(other).map_err(|e| bad(e.to_string()))? != first {
            return Err(bad("multiple org IDs present".to_owned()));
        }
    }
    Ok(first)
}

/// Reads the tenants that a query is for: several where `multi_tenant` allows it.
pub(crate) fn of_read(headers: &HeaderMap, auth_enabled: bool, multi_tenant: bool) -> Result<TenantSet, TenantRefusal> {
    let value = header_value(headers)?;
    if !multi_tenant || value.is_empty() {
        return of_request(headers, auth_enabled).map(TenantSet::from);
    }
    TenantSet::parse(value).map_err(|error| TenantRefusal { status: StatusCode::BAD_REQUEST, message: error.to_string() })
}

/// What `X-Scope-OrgID` says, empty where it is missing. Two that differ are refused: whoever checked one of them may not have seen the other.
pub(crate) fn header_value(headers: &HeaderMap) -> Result<&str, TenantRefusal> {
    let bad = |message: &str| TenantRefusal { status: StatusCode::BAD_REQUEST, message: message.to_owned() };
    let mut values = headers.get_all(TENANT_HEADER).iter();
    let Some(first) = values.next() else { return Ok("") };
    if values.any(|other| other != first) {
        return Err(bad("there are two X-Scope-OrgID headers, which name different tenants"));
    }
    std::str::from_utf8(first.as_bytes()).map_err(|_| bad("tenant ID is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: Option<&str>, auth: bool) -> Result<String, (u16, String)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(TENANT_HEADER, value.parse().unwrap());
        }
        of_request(&headers, auth).map(|t| t.to_string()).map_err(|e| (e.status.as_u16(), e.message))
    }

    #[test]
    fn several_tenants_are_read_where_that_is_allowed() {
        let of = |value: &str, multi_tenant: bool| {
            let headers: HeaderMap = [(http::HeaderName::from_static(TENANT_HEADER), value.parse().unwrap())].into_iter().collect();
            of_read(&headers, true, multi_tenant).map(|tenants| tenants.to_string()).map_err(|e| (e.status.as_u16(), e.message))
        };
        assert_eq!(of("b|a|b", true), Ok("a|b".to_owned()));
        assert_eq!(of("a|a", true), Ok("a".to_owned()));
        assert_eq!(of("a", true), Ok("a".to_owned()));
        assert_eq!(of("a|b", false), Err((400, "multiple org IDs present".to_owned())));
        for value in ["a|", "|", "|b"] {
            assert_eq!(of(value, true), Err((400, "no org id".to_owned())), "{value}");
        }
        assert_eq!(of("a|../b", true), Err((400, "tenant ID '../b' contains unsupported character '/'".to_owned())));
        assert_eq!(of("", true), Err((401, "no org id".to_owned())));
    }

    #[test]
    fn tenants() {
        assert_eq!(of(None, false), Ok("fake".to_owned()));
        assert_eq!(of(Some(""), false), Ok("fake".to_owned()));
        assert_eq!(of(Some("team-a"), false), Ok("team-a".to_owned()));
        assert_eq!(of(Some("team-a"), true), Ok("team-a".to_owned()));
        assert_eq!(of(Some("a|a"), true), Ok("a".to_owned()));
        assert_eq!(of(None, true), Err((401, "no org id".to_owned())));
        assert_eq!(of(Some("a|b"), true), Err((400, "multiple org IDs present".to_owned())));
        assert_eq!(of(Some(".."), true), Err((400, "tenant ID is '.' or '..'".to_owned())));
        assert_eq!(of(Some(&"x".repeat(151)), true), Err((400, "tenant ID is too long: max 150 characters".to_owned())));
        let twice: HeaderMap = [(http::HeaderName::from_static(TENANT_HEADER), http::HeaderValue::from_static("a"))].into_iter().collect();
        let mut differ = twice.clone();
        differ.append(TENANT_HEADER, http::HeaderValue::from_static("b"));
        assert_eq!(of_request(&differ, true).unwrap_err().status, 400);
        assert_eq!(of(Some("a/b"), true), Err((400, "tenant ID 'a/b' contains unsupported character '/'".to_owned())));
    }
}
