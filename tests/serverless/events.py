"""Checks of events that are no pushes: each arrives exactly once, also when it is delivered twice; what cannot be read is kept and told."""
import base64
import datetime
import gzip
import json
import time
import urllib.error
import urllib.request

from stack import FIREHOSE_KEY, LOG_BUCKET, LOG_GROUP, LOG_STREAM, eventually

ARRIVES_SECONDS = 60
HOUR = 3600 * 10**9


def exactly(stack, selector, start, wanted, what):
    """Waits for the lines, then looks again a little later: none may be missing, none may come twice."""
    wanted = sorted(wanted)
    read = lambda: sorted(line for _, line in stack.lines(selector, start - HOUR, start + HOUR))  # noqa: E731
    eventually(ARRIVES_SECONDS, lambda: set(read()) >= set(wanted), lambda: "%s: %d of %d lines of %s" % (what, len(set(read()) & set(wanted)), len(wanted), selector))
    time.sleep(2)
    got = read()
    assert got == wanted, "%s: %d lines, %d distinct; %d were sent" % (what, len(got), len(set(got)), len(wanted))


def cloudwatch_logs(stack):
    """The template's subscription filter, then the same event of another stream three times."""
    logs, start = stack.client("logs"), time.time_ns()
    filters = logs.describe_subscription_filters(logGroupName=LOG_GROUP)["subscriptionFilters"]
    assert len(filters) == 1 and filters[0]["destinationArn"].endswith(":tarn-ingest"), "subscriptions of %s: %s" % (LOG_GROUP, filters)
    now = start // 10**6
    sent = ["subscribed %d: GET /orders/%d 200" % (n, n) for n in range(100)]
    for part in range(0, 100, 25):
        logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=LOG_STREAM, logEvents=[{"timestamp": now + n, "message": sent[n]} for n in range(part, part + 25)])
    selector = '{log_group="%s"}' % LOG_GROUP
    exactly(stack, selector, start, sent, "through the subscription")

    again = ["delivered again %d" % n for n in range(50)]
    decoded = {
        "messageType": "DATA_MESSAGE", "owner": "000000000000", "logGroup": LOG_GROUP, "logStream": "web-2", "subscriptionFilters": ["all"],
        "logEvents": [{"id": "%056d" % (n + 1), "timestamp": now + n, "message": line} for n, line in enumerate(again)],
    }
    event = {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(decoded).encode())).decode()}}
    for _ in range(3):
        stack.invoke("ingest", event)
    exactly(stack, selector, start, sent + again, "delivered three times")
    return "100 lines through the subscription, 50 delivered three times"


ALB_LINE = (
    'https {time} app/shop/50dc6c495c0c9188 192.0.2.{client}:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://shop.example.com:443/item/{n} HTTP/1.1" "curl/7.46.0" '
    'ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop/73e2d6bc24d8a067 "Root=1-58337281-{n:024x}" "shop.example.com" "-" 1 {time} '
    '"forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_{n:032x}'
)


def alb_log(stack):
    """A load balancer's file in the bucket that the template made, by its notification; then its notification twice more."""
    start = time.time_ns()
    began = datetime.datetime.fromtimestamp(start / 1e9, datetime.timezone.utc)
    times = [(began + datetime.timedelta(milliseconds=n)).strftime("%Y-%m-%dT%H:%M:%S.%fZ") for n in range(500)]
    lines = [ALB_LINE.format(time=at, client=n % 250, n=n) for n, at in enumerate(times)]
    key = began.strftime("AWSLogs/123456789012/elasticloadbalancing/us-east-1/%Y/%m/%d/123456789012_elasticloadbalancing_us-east-1_app.shop.50dc6c495c0c9188_%Y%m%dT%H%MZ_192.0.2.1_3z5x9w2y.log.gz")
    body = gzip.compress("".join(line + "\n" for line in lines).encode())
    put = stack.client("s3").put_object(Bucket=LOG_BUCKET, Key=key, Body=body)
    selector = '{service_name=~".+"} |= "app/shop/50dc6c495c0c9188"'
    exactly(stack, selector, start, lines, "through the notification")
    record = {
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": times[0], "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "tarn", "bucket": {"name": LOG_BUCKET, "arn": "arn:aws:s3:::" + LOG_BUCKET},
            "object": {"key": key.replace("/", "%2F"), "size": len(body), "eTag": put["ETag"].strip('"'), "sequencer": "0055AED6DCD90281E5"},
        },
    }
    for _ in range(2):
        stack.invoke("ingest", {"Records": [record]})
    exactly(stack, selector, start, lines, "with its notification delivered three times")
    return "500 lines"


def poisoned_batch(stack):
    """One message of a batch cannot be read: the others arrive once, it ends in the dead letter queue."""
    sqs, start = stack.client("sqs"), time.time_ns()
    queue = stack.outputs["EventsUrl"]
    # The template's 720 s are right for AWS; here a message that failed is wanted back at once.
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    good = ["message %d of the batch at %d" % (n, start) for n in range(9)]
    cut_off = gzip.compress(json.dumps({"messageType": "DATA_MESSAGE", "logGroup": "/lost", "logEvents": []}).encode())[:-12]
    poison = json.dumps({"awslogs": {"data": base64.b64encode(cut_off).decode()}})
    entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(good[:4] + [poison] + good[4:])]
    assert len(sqs.send_message_batch(QueueUrl=queue, Entries=entries)["Successful"]) == 10
    selector = '{service_name=~".+"} |= "of the batch at %d"' % start
    exactly(stack, selector, start, good, "in a batch with a poisoned message")

    dead = sqs.get_queue_url(QueueName="tarn-dead-events")["QueueUrl"]
    receive = lambda: sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10, AttributeNames=["All"]).get("Messages")  # noqa: E731
    messages = eventually(180, receive, lambda: "the poisoned message in the dead letter queue; the queue has %d and %d" % counts(sqs, queue))
    assert [m["Body"] for m in messages] == [poison], "in the dead letter queue: %s" % messages
    left = counts(sqs, queue)
    assert left == (0, 0), "messages left in the queue: %s" % (left,)

    # The same batch once more, as a queue that is sure of nothing would send it.
    arn = stack.outputs["EventsArn"]
    record = lambda n, body: {  # noqa: E731
        "messageId": "00000000-0000-4000-8000-%012d" % n, "receiptHandle": "r", "body": body, "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs",
        "eventSourceARN": arn, "awsRegion": "us-east-1",
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(start // 10**6), "SenderId": "s", "ApproximateFirstReceiveTimestamp": str(start // 10**6)},
    }
    twice = ["again %d of the batch at %d" % (n, start) for n in range(3)]
    event = {"Records": [record(n, body) for n, body in enumerate([twice[0], poison, twice[1], twice[2]])]}
    for _ in range(2):
        answer = stack.invoke("ingest", event)
        assert answer == {"batchItemFailures": [{"itemIdentifier": record(1, "")["messageId"]}]}, "answered with %s" % answer
    exactly(stack, selector, start, good + twice, "with a batch delivered twice")
    return "12 messages arrived, 1 in the dead letter queue"


def counts(sqs, queue):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return tuple(int(attributes[name]) for name in names)


def failure_is_reported(stack):
    """An event that no source sends is an error, with a reason, in the answer and in the log; the next event is served."""
    answer = stack.client("lambda").invoke(FunctionName="tarn-ingest", Payload=json.dumps({"what": "is this"}).encode())
    payload = json.loads(answer["Payload"].read())
    assert answer.get("FunctionError") == "Unhandled" and payload.get("errorMessage"), "answered with %s" % payload
    stack.invoke("ingest", {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps({
        "messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "", "subscriptionFilters": [],
        "logEvents": [{"id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE: Checking health of destination"}]}).encode())).decode()}})
    log = eventually(10, lambda: [line for line in stack.function_log("ingest") if line.startswith("REPORT")], "REPORT lines in the log of the function")
    return "%d invocations in the log" % len(log)


def firehose(stack):
    """Firehose's own request, twice as after an answer that came too late; without the right key none."""
    start = time.time_ns()
    lines = ["by firehose %d at %d" % (n, start) for n in range(40)]
    records = [{"data": base64.b64encode("".join(line + "\n" for line in lines[n : n + 10]).encode()).decode()} for n in range(0, 40, 10)]
    identity = "ed4acda5-034f-9f42-bba1-%012x" % (start % 16**12)
    body = json.dumps({"requestId": identity, "timestamp": start // 10**6, "records": records}).encode()
    headers = {
        "Content-Type": "application/json", "X-Amz-Firehose-Protocol-Version": "1.0", "X-Amz-Firehose-Request-Id": identity,
        "X-Amz-Firehose-Source-Arn": "arn:aws:firehose:us-east-1:123456789012:deliverystream/orders",
    }
    for key, status in [("wrong", 401), (FIREHOSE_KEY, 200), (FIREHOSE_KEY, 200)]:
        request = urllib.request.Request(stack.url + "/aws/firehose", body, {**headers, "X-Amz-Firehose-Access-Key": key})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                got, answered = answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            got, answered = error.code, json.load(error)
        assert got == status and answered.get("requestId") == identity, "with the key %s: %d %s" % (key, got, answered)
    exactly(stack, '{log_type="firehose"} |= "at %d"' % start, start, lines, "by a request that came twice")
    return "40 lines"
