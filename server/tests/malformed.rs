//! Malformed requests over all endpoints, out of `malformed.txt`: what is wrong, which status, which text. What is expected comes from Loki's documented errors, and where
//! these are silent from this rule: 4xx, and a text that names what is wrong.

use reqwest::Method;

use crate::support::{Server, client};

/// One block of the file.
#[derive(Debug, Default)]
struct Case {
    line: usize,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    status: u16,
    expected: Expected,
}

/// What the body of the answer must be.
#[derive(Debug, Default)]
enum Expected {
    #[default]
    Anything,
    /// `=`: this, apart from white space at the end.
    Is(String),
    /// `~`: holds this.
    Holds(String),
}

/// `<x*3>` is `xxx`, `<LF*1>` the end of a line, and `<hex 0aff>` these two bytes.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        out.extend(before.as_bytes());
        match after.split_once('>').and_then(|(inner, tail)| Some((macro_bytes(inner)?, tail))) {
            Some((expanded, tail)) => {
                out.extend(expanded);
                rest = tail;
            }
            None => {
                out.push(b'<');
                rest = after;
            }
        }
    }
    out.extend(rest.as_bytes());
    out
}

fn macro_bytes(inner: &str) -> Option<Vec<u8>> {
    if let Some(hex) = inner.strip_prefix("hex ") {
        return (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect();
    }
    let (unit, count) = inner.rsplit_once('*')?;
    let unit = if unit == "LF" { "\n" } else { unit };
    Some(unit.repeat(count.parse().ok()?).into_bytes())
}

fn expand(text: &str) -> String {
    String::from_utf8(bytes(text)).unwrap()
}

/// Blocks with an empty line between: `METHOD target`, then `> header: value`, lines of the body, and `< status = text` or `< status ~ part of the text`. `#` begins a comment.
fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = Case::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty()) {
        if case.method.is_empty() {
            let (method, target) = line.split_once(' ').unwrap_or_else(|| panic!("line {}: {line}", index + 1));
            (case.line, case.method, case.target) = (index + 1, method.to_owned(), expand(target));
        } else if let Some(header) = line.strip_prefix("> ") {
            let (name, value) = header.split_once(':').unwrap_or_else(|| panic!("line {}: {line}", index + 1));
            case.headers.push((name.to_owned(), expand(value.trim())));
        } else if let Some(answer) = line.strip_prefix("< ") {
            let (status, text) = answer.split_at(3);
            case.status = status.parse().unwrap();
            case.expected = match text.trim_start().split_once(' ') {
                Some(("=", text)) => Expected::Is(expand(text)),
                Some(("~", text)) => Expected::Holds(expand(text)),
                _ => panic!("line {}: {line}", index + 1),
            };
            cases.push(std::mem::take(&mut case));
        } else {
            case.body.extend(bytes(line));
        }
    }
    assert!(case.method.is_empty(), "the last case has no answer: {case:?}");
    cases
}

async fn wrong(server: &Server, case: &Case) -> Option<String> {
    let mut request = client().request(Method::from_bytes(case.method.as_bytes()).unwrap(), server.at(&case.target));
    for (name, value) in &case.headers {
        request = request.header(name, value);
    }
    let response = request.body(case.body.clone()).send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    let is_right = status == case.status
        && match &case.expected {
            Expected::Anything => true,
            Expected::Is(text) => body.trim_end() == text,
            Expected::Holds(text) => body.contains(text),
        };
    let short = |text: &str| text.chars().take(200).collect::<String>();
    (!is_right).then(|| {
        format!(
            "line {}: {} {}: want {} {}\n    got {status} {}",
            case.line,
            case.method,
            short(&case.target),
            case.status,
            short(&format!("{:?}", case.expected)),
            short(&body)
        )
    })
}

#[tokio::test]
async fn malformed_requests_are_refused_in_words() {
    let cases = cases(include_str!("malformed.txt"));
    assert!(cases.len() >= 280, "{}", cases.len());
    let server = Server::start(&[("TARN_LIMITS_MAX_BODY_BYTES", "1MB")]).await;
    let mut findings = Vec::new();
    for case in &cases {
        findings.extend(wrong(&server, case).await);
    }
    assert!(findings.is_empty(), "{} of {} cases:\n{}", findings.len(), cases.len(), findings.join("\n"));
    assert_eq!(server.get("/ready").await.status(), 200);
}

#[test]
fn the_file_is_read_as_documented() {
    let read = cases("# x\nGET /a?<b*3>\n> c: d\n{\"e\":\n1}<LF*1><hex 00fF>\n< 400 ~ f <g>\n\nPUT /\n< 404 = h");
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].target.as_str(), read[0].body.as_slice(), read[0].headers[0].1.as_str(), read[0].line), ("/a?bbb", &b"{\"e\":1}\n\0\xff"[..], "d", 2));
    assert!(matches!(&read[0].expected, Expected::Holds(text) if text == "f <g>") && matches!(&read[1].expected, Expected::Is(text) if text == "h"));
}
