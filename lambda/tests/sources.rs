//! Events of AWS sources, as AWS' guides show them.

use std::io::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Bucket, Lambda, function_url, lines, objects, stalled_s3};

fn sqs(messages: &[(&str, &str)]) -> Value {
    let record = |(id, body): &(&str, &str)| {
        json!({
            "messageId": id, "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...", "body": body,
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183", "SenderId": "AIDAIENQZJOLO23YVJ4VO", "ApproximateFirstReceiveTimestamp": "1545082649185"},
            "messageAttributes": {}, "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue", "awsRegion": "us-east-2"
        })
    };
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()})
}

/// `key` as S3 writes it.
fn s3(key: &str) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-2", "eventTime": "2019-09-03T19:37:27.192Z", "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "log-files", "arn": "arn:aws:s3:::log-files"}, "object": {"key": key, "size": 1305107, "eTag": "b21b84d653bb07b05b1e6b33684dc11b", "sequencer": "0C0F6F405D6ED209E1"}}
    }]})
}

fn cloudwatch() -> Value {
    let data = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789123", "logGroup": "testLogGroup", "logStream": "testLogStream", "subscriptionFilters": ["testFilter"],
        "logEvents": [
            {"id": "eventId1", "timestamp": 1440442987000_u64, "message": "[ERROR] First test message"},
            {"id": "eventId2", "timestamp": 1440442987001_u64, "message": "[ERROR] Second test message"}
        ]
    });
    json!({"awslogs": {"data": STANDARD.encode(gzip(data.to_string().as_bytes()))}})
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// All lines of `selector` as the tenant `tenant`, whenever they are.
async fn stored(folder: &std::path::Path, tenant: &str, selector: &str) -> Vec<String> {
    let mut reader = Lambda::query(folder, &[("TARN_LIMITS_MAX_QUERY_LENGTH", "0")]).await;
    let encoded: String = selector.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let query = format!("query={encoded}&start=1000000000000000000&end=2000000000000000000&limit=1000&direction=forward");
    let mut found = lines(&reader.invoke(&function_url("GET", "/loki/api/v1/query_range", &query, json!({"x-scope-orgid": tenant}), None)).await.json());
    found.sort();
    found
}

#[tokio::test]
async fn cloudwatch_logs_are_stored_once_for_the_tenant_of_the_function() {
    let folder = tempfile::tempdir().unwrap();
    let mut ingest = Lambda::ingest(folder.path(), &[("TARN_LAMBDA_TENANT", "ops")]).await;
    for _ in 0..2 {
        assert_eq!(ingest.invoke(&cloudwatch()).await.json(), json!({}));
    }
    assert_eq!(objects(folder.path()).len(), 1, "an event that comes again is stored once");
    assert_eq!(stored(folder.path(), "ops", r#"{log_group="testLogGroup"}"#).await, ["[ERROR] First test message", "[ERROR] Second test message"]);
    assert!(stored(folder.path(), "fake", r#"{log_group="testLogGroup"}"#).await.is_empty());
}

#[tokio::test]
async fn a_message_that_cannot_be_stored_is_the_only_one_that_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let bucket =
        Bucket::start(&[("/log-files/a b/app.log.gz", gzip(b"2024-05-01T12:00:00Z from a file\n2024-05-01T12:00:01Z and more\n"))], &["/log-files/secret"])
            .await;
    let mut ingest = Lambda::ingest(folder.path(), &bucket.env()).await;
    let (read, denied, gone) = (s3("a+b/app.log.gz").to_string(), s3("secret").to_string(), s3("gone.log").to_string());
    let event = sqs(&[("text", "a plain line"), ("denied", &denied), ("file", &read), ("gone", &gone)]);
    assert_eq!(ingest.invoke(&event).await.json(), json!({"batchItemFailures": [{"itemIdentifier": "denied"}]}));
    assert_eq!(stored(folder.path(), "fake", r#"{queue="my-queue"}"#).await, ["a plain line"]);
    assert_eq!(stored(folder.path(), "fake", r#"{bucket="log-files"}"#).await, ["2024-05-01T12:00:00Z from a file", "2024-05-01T12:00:01Z and more"]);
    let before = objects(folder.path());
    assert_eq!(ingest.invoke(&event).await.json(), json!({"batchItemFailures": [{"itemIdentifier": "denied"}]}));
    assert_eq!(objects(folder.path()), before, "a message that comes again is stored once");
}

#[tokio::test]
async fn a_notification_of_an_object_that_may_not_be_read_fails() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::start(&[], &["/log-files/secret"]).await;
    let mut ingest = Lambda::ingest(folder.path(), &bucket.env()).await;
    let error = ingest.invoke(&s3("secret")).await;
    let message = error.error()["errorMessage"].as_str().unwrap();
    assert!(message.contains("log-files/secret") && message.contains("permission"), "{message}");
    // Nobody could deliver this again.
    assert_eq!(ingest.invoke(&s3("gone.log")).await.json(), json!({}));
    assert!(objects(folder.path()).is_empty());
}

#[tokio::test]
async fn a_damaged_kinesis_record_stops_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let mut ingest = Lambda::ingest(folder.path(), &[]).await;
    let record = |sequence: &str, data: &str| {
        json!({
            "kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": "1", "sequenceNumber": sequence, "data": data, "approximateArrivalTimestamp": 1545084650.987},
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": format!("shardId-000000000006:{sequence}"), "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role", "awsRegion": "us-east-2",
            "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"
        })
    };
    let event = json!({"Records": [record("1", "b25l"), record("2", "!"), record("3", "dGhyZWU=")]});
    assert_eq!(ingest.invoke(&event).await.json(), json!({"batchItemFailures": [{"itemIdentifier": "2"}]}));
    assert_eq!(stored(folder.path(), "fake", r#"{stream="lambda-stream"}"#).await, ["one"]);
}

#[tokio::test]
async fn records_that_firehose_lends_go_on_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let event = json!({
        "invocationId": "invocationIdExample", "deliveryStreamArn": "arn:aws:firehose:us-east-1:123456789012:deliverystream/my-stream", "region": "us-east-1",
        "records": [{"recordId": "49546986683135544286507457936321625675700192471156785154", "approximateArrivalTimestamp": 1495072949453_u64, "data": "SGVsbG8gV29ybGQ="}]
    });
    for (setting, result) in [("pass", "Ok"), ("drop", "Dropped")] {
        let mut ingest = Lambda::ingest(folder.path(), &[("TARN_LAMBDA_FIREHOSE", setting)]).await;
        assert_eq!(ingest.invoke(&event).await.json()["records"][0]["result"], result);
    }
    assert_eq!(stored(folder.path(), "fake", r#"{stream="my-stream"}"#).await, ["Hello World"]);
}

#[tokio::test]
async fn firehose_delivers_with_the_right_access_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut ingest = Lambda::ingest(folder.path(), &[("TARN_FIREHOSE_ACCESS_KEY", "s3cret"), ("TARN_LAMBDA_TENANT", "ops")]).await;
    let body =
        json!({"requestId": "ed4acda5-034f-9f42-bba1-f29aea6d7d8f", "timestamp": 1578090901599_u64, "records": [{"data": "SGVsbG8gV29ybGQ="}]}).to_string();
    let deliver = |key: &str| {
        let headers = json!({
            "content-type": "application/json", "x-amz-firehose-protocol-version": "1.0", "x-amz-firehose-request-id": "ed4acda5-034f-9f42-bba1-f29aea6d7d8f",
            "x-amz-firehose-source-arn": "arn:aws:firehose:us-east-1:123456789012:deliverystream/my-stream", "x-amz-firehose-access-key": key
        });
        function_url("POST", "/aws/firehose", "", headers, Some(&body))
    };
    let refused = ingest.invoke(&deliver("guess")).await.json();
    assert_eq!(refused["statusCode"], 401);
    let refusal: Value = serde_json::from_str(refused["body"].as_str().unwrap()).unwrap();
    assert_eq!(refusal["requestId"], "ed4acda5-034f-9f42-bba1-f29aea6d7d8f");
    assert!(objects(folder.path()).is_empty());
    let taken = ingest.invoke(&deliver("s3cret")).await.json();
    assert_eq!(taken["statusCode"], 200, "{taken}");
    let answer: Value = serde_json::from_str(taken["body"].as_str().unwrap()).unwrap();
    assert!(answer["requestId"] == "ed4acda5-034f-9f42-bba1-f29aea6d7d8f" && answer["timestamp"].is_u64() && answer.get("errorMessage").is_none(), "{answer}");
    assert_eq!(stored(folder.path(), "ops", r#"{stream="my-stream"}"#).await, ["Hello World"]);
}

#[tokio::test]
async fn what_there_was_no_time_for_comes_again() {
    let endpoint = stalled_s3().await;
    let env = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let folder = tempfile::tempdir().unwrap();
    let mut ingest = Lambda::ingest(folder.path(), &env).await;
    let file = s3("slow.log").to_string();
    let event = sqs(&[("file", &file), ("text", "a plain line")]);
    let answer = ingest.invoke_within(&event, Duration::from_secs(2)).await.json();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "file"}]}));
    assert_eq!(stored(folder.path(), "fake", r#"{queue="my-queue"}"#).await, ["a plain line"]);
}

#[tokio::test]
async fn rules_come_from_the_environment_or_a_bucket() {
    let rules = "[[rule]]\nmatch = { log_group_glob = \"testLog*\" }\ntenant = \"by-rule\"\n";
    let bucket = Bucket::start(&[("/conf/rules.toml", rules.as_bytes().to_vec())], &[]).await;
    for setting in [rules, "s3://conf/rules.toml"] {
        let folder = tempfile::tempdir().unwrap();
        let mut env = bucket.env().to_vec();
        env.push(("TARN_LAMBDA_RULES", setting));
        let mut ingest = Lambda::ingest(folder.path(), &env).await;
        assert_eq!(ingest.invoke(&cloudwatch()).await.json(), json!({}));
        assert_eq!(stored(folder.path(), "by-rule", r#"{log_group="testLogGroup"}"#).await.len(), 2, "{setting}");
    }
}
