use serde_json::{Value, json};

use super::*;

/// The example of AWS' guide to Function URLs (payload format 2.0).
fn function_url() -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/my/path",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
        "cookies": ["cookie1", "cookie2"],
        "headers": {"header1": "value1", "header2": "value1,value2"},
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
        "requestContext": {
            "accountId": "123456789012", "apiId": "<urlid>", "authentication": null,
            "domainName": "<url-id>.lambda-url.us-west-2.on.aws", "domainPrefix": "<url-id>",
            "http": {"method": "POST", "path": "/my/path", "protocol": "HTTP/1.1", "sourceIp": "123.123.123.123", "userAgent": "agent"},
            "requestId": "id", "routeKey": "$default", "stage": "$default", "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1583348638390_u64
        },
        "body": "Hello from client!", "pathParameters": null, "isBase64Encoded": false, "stageVariables": null
    })
}

/// The example of AWS' guide to REST APIs (payload format 1.0), shortened.
fn rest_api() -> Value {
    json!({
        "version": "1.0", "resource": "/my/path", "path": "/my/path", "httpMethod": "GET",
        "headers": {"header1": "value1", "header2": "value2"},
        "multiValueHeaders": {"header1": ["value1"], "header2": ["value1", "value2"]},
        "queryStringParameters": {"parameter1": "value2", "parameter2": "value"},
        "multiValueQueryStringParameters": {"parameter1": ["value1", "value2"], "parameter2": ["value"]},
        "requestContext": {"accountId": "123456789012", "apiId": "id", "domainName": "id.execute-api.us-east-1.amazonaws.com", "httpMethod": "GET",
            "path": "/prod/my/path", "protocol": "HTTP/1.1", "resourcePath": "/my/path", "stage": "prod"},
        "pathParameters": null, "stageVariables": null, "body": "Hello from Lambda!", "isBase64Encoded": false
    })
}

/// The example of AWS' guide to load balancers with Lambda targets.
fn load_balancer() -> Value {
    json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/lambda-279XGJDqGZ5rsrHC2Fjr/49e9d65c45c6791a"}},
        "httpMethod": "GET", "path": "/lambda", "queryStringParameters": {"query": "1234ABCD"},
        "headers": {"accept-encoding": "gzip", "connection": "keep-alive", "host": "lambda-alb-123578498.us-east-1.elb.amazonaws.com",
            "user-agent": "Mozilla/5.0", "x-forwarded-for": "72.12.164.125", "x-forwarded-port": "80", "x-forwarded-proto": "http"},
        "body": "", "isBase64Encoded": false
    })
}

fn build_from(event: Value, prefix: &str) -> Result<Request, String> {
    let front = FrontEnd::of(&event).unwrap();
    build(&front, serde_json::from_value(event).unwrap(), prefix)
}

fn target(event: Value) -> String {
    build_from(event, "").unwrap().uri().to_string()
}

fn with(mut event: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    event
}

async fn body_of(event: Value) -> Vec<u8> {
    axum::body::to_bytes(build_from(event, "").unwrap().into_body(), usize::MAX).await.unwrap().to_vec()
}

#[test]
fn front_ends_are_told_apart() {
    assert_eq!(FrontEnd::of(&function_url()), Some(FrontEnd::FunctionUrl));
    let http_api = with(function_url(), &[("/requestContext/domainName", json!("id.execute-api.us-east-1.amazonaws.com"))]);
    assert_eq!(FrontEnd::of(&http_api), Some(FrontEnd::HttpApi));
    assert_eq!(FrontEnd::of(&rest_api()), Some(FrontEnd::RestApi));
    assert_eq!(FrontEnd::of(&load_balancer()), Some(FrontEnd::LoadBalancer { multi_value: false }));
    assert_eq!(FrontEnd::of(&with(load_balancer(), &[("/multiValueHeaders", json!({"host": ["x"]}))])), Some(FrontEnd::LoadBalancer { multi_value: true }));
    for other in [json!({}), json!({"Records": []}), json!({"awslogs": {"data": ""}}), json!("text"), json!({"requestContext": {}})] {
        assert_eq!(FrontEnd::of(&other), None, "{other}");
    }
}

#[tokio::test]
async fn a_function_urls_request_is_the_clients() {
    let request = build_from(function_url(), "").unwrap();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "/my/path?parameter1=value1&parameter1=value2&parameter2=value");
    assert_eq!(request.headers()["header2"], "value1,value2");
    assert_eq!(request.headers()["cookie"], "cookie1; cookie2");
    assert_eq!(request.headers()["content-length"], "18");
    assert_eq!(body_of(function_url()).await, b"Hello from client!");
}

#[tokio::test]
async fn a_rest_apis_request_has_every_value_and_no_stage() {
    let request = build_from(rest_api(), "").unwrap();
    assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::GET, "/my/path?parameter1=value1&parameter1=value2&parameter2=value"));
    assert_eq!(request.headers().get_all("header2").iter().collect::<Vec<_>>(), ["value1", "value2"]);
    assert_eq!(body_of(rest_api()).await, b"Hello from Lambda!");
}

#[tokio::test]
async fn a_load_balancers_request_is_the_clients() {
    let request = build_from(load_balancer(), "").unwrap();
    assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::GET, "/lambda?query=1234ABCD"));
    assert!(!request.headers().contains_key("connection"));
    assert_eq!(body_of(load_balancer()).await, b"");
}

#[test]
fn query_parameters_are_encoded_once() {
    let logql = json!({"query": "{app=\"a b\"} |= `50%+1`"});
    // API Gateway decodes, so it is encoded again.
    let rest = with(rest_api(), &[("/multiValueQueryStringParameters", json!(null)), ("/queryStringParameters", logql)]);
    assert_eq!(target(rest), "/my/path?query=%7Bapp%3D%22a%20b%22%7D%20%7C%3D%20%6050%25%2B1%60");
    // A load balancer passes on what the client sent.
    let encoded = json!({"query": ["%7Bapp%3D%22a+b%22%7D", "x%2By"]});
    let balanced = with(load_balancer(), &[("/multiValueQueryStringParameters", encoded), ("/multiValueHeaders", json!({"host": ["h"]}))]);
    assert_eq!(target(balanced), "/lambda?query=%7Bapp%3D%22a+b%22%7D&query=x%2By");
    // What no URI may have is encoded, what is encoded stays.
    let raw = with(function_url(), &[("/rawQueryString", json!("query={app=\"a b\"}&x=%7B&y=%zz"))]);
    assert_eq!(target(raw), "/my/path?query={app=%22a%20b%22}&x=%7B&y=%25zz");
}

#[test]
fn stages_and_prefixes_are_taken_off_the_path() {
    let domain = ("/requestContext/domainName", json!("id.execute-api.us-east-1.amazonaws.com"));
    let plain = ("/rawQueryString", json!(""));
    let staged =
        |path: &str, stage: &str| with(function_url(), &[domain.clone(), plain.clone(), ("/rawPath", json!(path)), ("/requestContext/stage", json!(stage))]);
    assert_eq!(target(staged("/prod/loki/api/v1/push", "prod")), "/loki/api/v1/push");
    assert_eq!(target(staged("/loki/api/v1/push", "$default")), "/loki/api/v1/push");
    assert_eq!(target(staged("/production/x", "prod")), "/production/x");
    assert_eq!(target(staged("/prod", "prod")), "/");
    let http_api_v1 =
        with(rest_api(), &[("/path", json!("/prod/my/path")), ("/multiValueQueryStringParameters", json!({})), ("/queryStringParameters", json!(null))]);
    assert_eq!(target(http_api_v1), "/my/path");
    let prefixed = |path: &str| build_from(with(function_url(), &[plain.clone(), ("/rawPath", json!(path))]), "/logs").unwrap().uri().to_string();
    assert_eq!((prefixed("/logs/ready"), prefixed("/logsx"), prefixed("/ready")), ("/ready".to_owned(), "/logsx".to_owned(), "/ready".to_owned()));
}

#[test]
fn characters_that_no_path_may_have_are_encoded() {
    let path = |path: &str| target(with(function_url(), &[("/rawPath", json!(path)), ("/rawQueryString", json!(null))]));
    assert_eq!(path("/label/a b/values"), "/label/a%20b/values");
    assert_eq!(path("/label/a%20b/ü"), "/label/a%20b/%C3%BC");
    assert_eq!(path("/what?x#y"), "/what%3Fx%23y");
}

#[test]
fn a_health_check_asks_whether_the_function_is_ready() {
    assert_eq!(
        target(with(load_balancer(), &[("/headers/user-agent", json!("ELB-HealthChecker/2.0")), ("/path", json!("/")), ("/queryStringParameters", json!({}))])),
        "/ready"
    );
}

#[tokio::test]
async fn bodies_are_decoded_when_the_front_end_encoded_them() {
    let encoded = with(function_url(), &[("/body", json!("H4sI/w==")), ("/isBase64Encoded", json!(true))]);
    assert_eq!(body_of(encoded).await, [0x1f, 0x8b, 0x08, 0xff]);
    assert_eq!(body_of(with(function_url(), &[("/body", json!(null))])).await, b"");
    let broken = build_from(with(function_url(), &[("/body", json!("no base64!")), ("/isBase64Encoded", json!(true))]), "").unwrap_err();
    assert!(broken.contains("isBase64Encoded"), "{broken}");
}

#[test]
fn a_header_that_cannot_be_passed_on_is_refused() {
    let refused = build_from(with(function_url(), &[("/headers", json!({"x-scope-orgid": "a\nb"}))]), "").unwrap_err();
    assert!(refused.contains("x-scope-orgid"), "{refused}");
}
