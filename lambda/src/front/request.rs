//! From an event to the request that the client sent.
//! Owns: stages, prefixes and encodings that a front end puts in between. Must not know: what the path means.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::event::{FrontEnd, HttpEvent};

/// How a load balancer introduces itself when it asks whether the function is well.
const HEALTH_CHECKER: &str = "ELB-HealthChecker/";

/// The request in `event`. The error is a text for the client.
pub(super) fn build(front: &FrontEnd, mut event: HttpEvent, prefix: &str) -> Result<Request, String> {
    let method = match front {
        FrontEnd::FunctionUrl | FrontEnd::HttpApi => event.request_context.http.as_ref().and_then(|http| http.method.clone()),
        FrontEnd::RestApi | FrontEnd::LoadBalancer { .. } => event.http_method.clone(),
    };
    let method = method.unwrap_or_else(|| "GET".to_owned());
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("'{method}' is not an HTTP method\n"))?;
    let mut headers = headers(&mut event)?;
    let path = path(front, &event, prefix, &headers);
    let query = query(front, &event);
    let target = if query.is_empty() { path } else { format!("{path}?{query}") };
    let uri: Uri = target.parse().map_err(|error| format!("'{target}' is not a path and query: {error}\n"))?;
    let body = body(event.body, event.is_base64_encoded.unwrap_or(false))?;
    // What the front end counted is the body as the client sent it, which this is again; but not every front end says it.
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

fn path(front: &FrontEnd, event: &HttpEvent, prefix: &str, headers: &HeaderMap) -> String {
    let path = event.raw_path.as_deref().or(event.path.as_deref()).unwrap_or("/");
    let checked = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).is_some_and(|agent| agent.starts_with(HEALTH_CHECKER));
    if matches!(front, FrontEnd::LoadBalancer { .. }) && checked {
        return "/ready".to_owned();
    }
    let stage = event.request_context.stage.as_deref().unwrap_or("$default");
    let has_stage = match front {
        FrontEnd::HttpApi => stage != "$default",
        // Format 1.0 has the path without the stage beside the one with it; where both are the same, it is an HTTP API's, which leaves the stage in.
        FrontEnd::RestApi => stage != "$default" && event.request_context.path.as_deref() == Some(path),
        FrontEnd::FunctionUrl | FrontEnd::LoadBalancer { .. } => false,
    };
    let path = if has_stage { without_prefix(path, &format!("/{stage}")) } else { path };
    let path = escape(without_prefix(path, prefix), |byte| matches!(byte, b'!' | b'$'..=b';' | b'=' | b'@' | b'A'..=b'Z' | b'_' | b'a'..=b'z' | b'~'));
    if path.starts_with('/') { path } else { format!("/{path}") }
}

/// `path` below `prefix`, or `path` itself.
fn without_prefix<'a>(path: &'a str, prefix: &str) -> &'a str {
    match path.strip_prefix(prefix) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    }
}

fn query(front: &FrontEnd, event: &HttpEvent) -> String {
    match front {
        FrontEnd::FunctionUrl | FrontEnd::HttpApi => escape(event.raw_query_string.as_deref().unwrap_or_default(), in_query),
        // API Gateway has decoded names and values.
        FrontEnd::RestApi => parameters(event, |text| escape(text, |byte| byte != b'%' && is_unreserved(byte))),
        // A load balancer has not.
        FrontEnd::LoadBalancer { .. } => parameters(event, |text| escape(text, in_query)),
    }
}

fn parameters(event: &HttpEvent, encode: impl Fn(&str) -> String) -> String {
    let mut pairs = Vec::new();
    let multi = event.multi_value_query_string_parameters.as_ref().filter(|parameters| !parameters.is_empty());
    for (name, values) in multi.into_iter().flatten() {
        for value in values.iter().flatten() {
            pairs.push((name, value.as_str()));
        }
    }
    if multi.is_none() {
        let single = event.query_string_parameters.iter().flatten();
        pairs.extend(single.map(|(name, value)| (name, value.as_deref().unwrap_or_default())));
    }
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What may stand in a query as it is.
fn in_query(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

/// Percent-encodes the bytes that are not `kept`, among them a `%` that begins no escape if `%` is kept.
fn escape(text: &str, kept: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let digit = |offset: usize| text.as_bytes().get(at + offset).is_some_and(u8::is_ascii_hexdigit);
        let is_escape = byte == b'%' && kept(byte) && digit(1) && digit(2);
        if is_escape || (byte != b'%' && kept(byte)) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn headers(event: &mut HttpEvent) -> Result<HeaderMap, String> {
    let multi = event.multi_value_headers.take().filter(|headers| !headers.is_empty());
    let single = event.headers.take().unwrap_or_default();
    let all: BTreeMap<String, Vec<String>> = match multi {
        Some(multi) => multi.into_iter().map(|(name, values)| (name, values.unwrap_or_default())).collect(),
        None => single.into_iter().map(|(name, value)| (name, value.into_iter().collect())).collect(),
    };
    let mut headers = HeaderMap::with_capacity(all.len() + 2);
    for (name, values) in all {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("'{name}' is not a header name\n"))?;
        // They concern the connection between client and front end.
        if [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH].contains(&parsed) {
            continue;
        }
        for value in values {
            // Leaving out a header that names a tenant would be worse than a refusal.
            let value =
                HeaderValue::from_bytes(value.as_bytes()).map_err(|_| format!("the value of the header {name} has characters that no header may have\n"))?;
            headers.append(parsed.clone(), value);
        }
    }
    let cookies = event.cookies.take().unwrap_or_default();
    if !cookies.is_empty() && !headers.contains_key(COOKIE) {
        let cookies = HeaderValue::from_bytes(cookies.join("; ").as_bytes()).map_err(|_| "the cookies have characters that no header may have\n".to_owned())?;
        headers.insert(COOKIE, cookies);
    }
    Ok(headers)
}

fn body(body: Option<String>, is_base64: bool) -> Result<Vec<u8>, String> {
    match body {
        None => Ok(Vec::new()),
        Some(text) if is_base64 => {
            STANDARD.decode(text.as_bytes()).map_err(|error| format!("the body is not base64, although isBase64Encoded says so: {error}\n"))
        }
        Some(text) => Ok(text.into_bytes()),
    }
}

#[cfg(test)]
mod tests;
