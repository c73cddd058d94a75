use std::io::Read as _;

use lambda_runtime::FunctionResponse;

use super::*;

const LOAD_BALANCER: FrontEnd = FrontEnd::LoadBalancer { multi_value: false };

fn response(status: u16, body: impl Into<Bytes>) -> FullResponse {
    let mut response = text(StatusCode::from_u16(status).unwrap(), body);
    response.headers_mut().remove("x-content-type-options");
    response
}

#[test]
fn each_front_end_gets_its_own_form() {
    let mut answer = response(200, "ok");
    answer.headers_mut().append("set-cookie", HeaderValue::from_static("a=1"));
    answer.headers_mut().append("set-cookie", HeaderValue::from_static("b=2"));
    let plain = "text/plain; charset=utf-8";
    assert_eq!(
        document(&FrontEnd::FunctionUrl, answer.clone(), false),
        json!({"statusCode": 200, "headers": {"content-type": plain}, "cookies": ["a=1", "b=2"], "body": "ok", "isBase64Encoded": false})
    );
    let rest = document(&FrontEnd::RestApi, answer.clone(), false);
    assert_eq!(rest["multiValueHeaders"], json!({"content-type": [plain], "set-cookie": ["a=1", "b=2"]}));
    let single = document(&LOAD_BALANCER, response(404, "no"), false);
    assert_eq!(
        single,
        json!({"statusCode": 404, "statusDescription": "404 Not Found", "headers": {"content-type": plain}, "body": "no", "isBase64Encoded": false})
    );
    let multi = document(&FrontEnd::LoadBalancer { multi_value: true }, answer, false);
    assert_eq!((multi["multiValueHeaders"]["set-cookie"].clone(), multi.get("headers")), (json!(["a=1", "b=2"]), None));
}

#[test]
fn what_is_not_text_is_base64() {
    let binary = document(&FrontEnd::FunctionUrl, response(200, vec![0x1f, 0x8b, 0x08, 0xff]), false);
    assert_eq!((binary["body"].clone(), binary["isBase64Encoded"].clone()), (json!("H4sI/w=="), json!(true)));
    let empty = document(&FrontEnd::FunctionUrl, response(204, ""), false);
    assert_eq!((empty["statusCode"].clone(), empty["body"].clone(), empty["isBase64Encoded"].clone()), (json!(204), json!(""), json!(false)));
}

#[test]
fn the_length_of_json_is_what_the_encoder_writes() {
    let text = "a\"b\\c\n\r\t\u{8}\u{c}\u{1b}\u{0}/ü\u{7f}\u{2028}";
    assert_eq!(json_length(text) + 2, serde_json::to_string(text).unwrap().len());
}

#[test]
fn an_answer_that_does_not_fit_is_an_error_that_says_what_to_do() {
    let fits = "x".repeat((6 << 20) - 4096);
    assert_eq!(document(&FrontEnd::FunctionUrl, response(200, fits), false)["statusCode"], 200);
    // Quotes are two bytes in JSON.
    let quoted = "\"".repeat(4 << 20);
    let refused = document(&FrontEnd::FunctionUrl, response(200, quoted.clone()), false);
    let message = refused["body"].as_str().unwrap();
    assert_eq!(refused["statusCode"], 400);
    for part in ["4194304 bytes", "6291456 bytes", "'limit'", "TARN_LAMBDA_RESPONSE=stream"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
    let balanced = document(&LOAD_BALANCER, response(200, "x".repeat(2 << 20)), false);
    assert!(balanced["body"].as_str().unwrap().contains("1048576 bytes that a load balancer passes on"), "{balanced}");
}

#[test]
fn an_answer_that_does_not_fit_is_compressed_for_a_client_that_can_read_that() {
    let body = "\"line\"".repeat(2 << 20);
    let answer = document(&FrontEnd::FunctionUrl, response(200, body.clone()), true);
    assert_eq!(
        (answer["statusCode"].clone(), answer["headers"]["content-encoding"].clone(), answer["isBase64Encoded"].clone()),
        (json!(200), json!("gzip"), json!(true))
    );
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(STANDARD.decode(answer["body"].as_str().unwrap()).unwrap().as_slice()).read_to_string(&mut unpacked).unwrap();
    assert!(unpacked == body);
}

#[test]
fn only_those_that_can_stream_are_streamed_to() {
    let streams = |front: &FrontEnd, mode| matches!(reply(front, response(200, "x"), false, mode), FunctionResponse::StreamingResponse(_));
    assert!(streams(&FrontEnd::FunctionUrl, ResponseMode::Stream) && streams(&FrontEnd::RestApi, ResponseMode::Stream));
    assert!(!streams(&FrontEnd::HttpApi, ResponseMode::Stream) && !streams(&LOAD_BALANCER, ResponseMode::Stream));
    assert!(!streams(&FrontEnd::FunctionUrl, ResponseMode::Buffered));
}

#[test]
fn a_stream_carries_what_would_not_fit_otherwise() {
    let body = Bytes::from("x".repeat(7 << 20));
    let FunctionResponse::StreamingResponse(streamed) = reply(&FrontEnd::FunctionUrl, response(200, body.clone()), false, ResponseMode::Stream) else {
        panic!("buffered")
    };
    assert_eq!(streamed.metadata_prelude.status_code, StatusCode::OK);
    let sent: Vec<u8> = futures::executor::block_on_stream(streamed.stream).flat_map(|piece| piece.unwrap()).collect();
    assert!(sent == body);
}
