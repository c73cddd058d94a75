//! The parameters of a request: URL query and form body, merged as Go's `Request.ParseForm` does.
//! Owns: percent decoding, which of two values wins, the texts for what cannot be decoded.
//! Must not know: what any parameter means.

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use schema::quote::quote;

use crate::QueryError;

/// Parameters in order: those of the body first, so that a body wins over the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// Reads the parameters of a request. A body counts only for POST, PUT and PATCH with the form content type.
    /// Errors: [`QueryError::Parameter`] for a bad escape, a semicolon, or bytes that are not UTF-8.
    pub(crate) fn parse(method: &Method, headers: &HeaderMap, query: &str, body: &Bytes) -> Result<Self, QueryError> {
        let mut pairs = Vec::new();
        if has_form_body(method, headers) {
            let text = std::str::from_utf8(body).map_err(|_| parameter("the form body is not UTF-8".to_owned()))?;
            parse_pairs(text, &mut pairs)?;
        }
        parse_pairs(query, &mut pairs)?;
        Ok(Self { pairs })
    }

    /// Reads the parameters of a URL's query alone. Errors: as [`Self::parse`].
    pub(crate) fn of_url(query: &str) -> Result<Self, QueryError> {
        let mut pairs = Vec::new();
        parse_pairs(query, &mut pairs)?;
        Ok(Self { pairs })
    }

    /// The first value of `name`, `""` where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    /// Every value of `name`, in order.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn has_form_body(method: &Method, headers: &HeaderMap) -> bool {
    let may_have_body = *method == Method::POST || *method == Method::PUT || *method == Method::PATCH;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    may_have_body && media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn parse_pairs(text: &str, out: &mut Vec<(String, String)>) -> Result<(), QueryError> {
    for piece in text.split('&').filter(|piece| !piece.is_empty()) {
        if piece.contains(';') {
            return Err(parameter("invalid semicolon separator in query".to_owned()));
        }
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        out.push((unescape(key, true)?, unescape(value, true)?));
    }
    Ok(())
}

/// Decodes `%41`, and `+` to a blank where `plus_is_blank` (in queries, not in paths).
pub(crate) fn unescape(text: &str, plus_is_blank: bool) -> Result<String, QueryError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'%' => {
                let decoded = after.get(..2).and_then(hex_byte).ok_or_else(|| bad_escape(rest))?;
                out.push(decoded);
                after.get(2..).unwrap_or_default()
            }
            b'+' if plus_is_blank => {
                out.push(b' ');
                after
            }
            byte => {
                out.push(byte);
                after
            }
        };
    }
    String::from_utf8(out).map_err(|_| parameter(format!("the parameter {} is not UTF-8 once decoded", quote(text))))
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(text, 16).ok()
}

fn bad_escape(rest: &[u8]) -> QueryError {
    let shown = String::from_utf8_lossy(rest.get(..rest.len().min(3)).unwrap_or_default()).into_owned();
    parameter(format!("invalid URL escape {}", quote(&shown)))
}

fn parameter(message: String) -> QueryError {
    QueryError::Parameter { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(method: Method, content_type: &'static str, query: &str, body: &'static str) -> Result<Form, String> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
        }
        Form::parse(&method, &headers, query, &Bytes::from_static(body.as_bytes())).map_err(|e| e.to_string())
    }

    #[test]
    fn a_form_body_wins_over_the_url() {
        let both = form(Method::POST, "application/x-www-form-urlencoded; charset=UTF-8", "limit=1&match%5B%5D=c", "limit=2&match[]=a&match[]=b").unwrap();
        assert_eq!(both.get("limit"), "2");
        assert_eq!(both.all("match[]").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(form(Method::GET, "application/x-www-form-urlencoded", "limit=1", "limit=2").unwrap().get("limit"), "1");
        assert_eq!(form(Method::POST, "", "limit=1", "limit=2").unwrap().get("limit"), "1");
        assert_eq!(form(Method::POST, "text/plain", "", "limit=2").unwrap().get("limit"), "");
    }

    #[test]
    fn escapes_are_those_of_query_strings() {
        let escaped = form(Method::GET, "", "query=%7Bapp%3D%22x+y%22%7D%20%2B&empty&=v&x=a=b&%C3%BC=1", "").unwrap();
        assert_eq!(escaped.get("query"), r#"{app="x y"} +"#);
        assert_eq!(escaped.get("empty"), "");
        assert_eq!(escaped.get("x"), "a=b");
        assert_eq!(escaped.get("ü"), "1");
        assert_eq!(unescape("a+b%2fc", false).unwrap(), "a+b/c");
    }

    #[test]
    fn what_go_refuses_is_refused_with_its_text() {
        for (query, text) in [
            ("query=%zz", r#"invalid URL escape "%zz""#),
            ("query=a%2", r#"invalid URL escape "%2""#),
            ("query=%", r#"invalid URL escape "%""#),
            ("query=%+1", r#"invalid URL escape "%+1""#),
            ("a=1;b=2", "invalid semicolon separator in query"),
        ] {
            assert_eq!(form(Method::GET, "", query, ""), Err(text.to_owned()), "{query}");
        }
        assert!(form(Method::GET, "", "query=%ff", "").is_err());
    }
}
