"""Checks of what comes back: what was pushed, by whichever client, before and after compaction, compared with the server's answers."""
import collections
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from stack import ROOT, eventually
from tarn import push, serve

CLIENTS = ["python-logging-loki", "winston-loki-json", "winston-loki-protobuf"]
# Loki's recorded answers, used when they lie beside the checkout.
CONFORMANCE = pathlib.Path(os.environ.get("TARN_TEST_CONFORMANCE", ROOT.parent / "shared/conformance/check"))
HOUR = 3600 * 10**9
# What the schedule may take: a minute, another one if the first run came too early, and the run.
SCHEDULE_SECONDS = 200
SMALL_PUSHES = 20


def round_trip(stack):
    """Every line, timestamp, label and piece of metadata of a push; another tenant sees none of it."""
    start = time.time_ns()
    streams = {
        (("env", "test"), ("level", "info"), ("service_name", "checkout")): [(start + n, "order %d took %d ms" % (n, n % 97), {"trace_id": "%032x" % n}) for n in range(300)],
        (("env", "prod"), ("service_name", "cart"), ("zone", "ä-日本 \"quoted\"")): [(start + n, "tabs\tand \"quotes\" \\ and 🦀 %d" % n, {}) for n in range(300)],
    }
    for _ in range(2):  # a client that missed the answer sends it again
        push(stack.url, [(dict(labels), values) for labels, values in streams.items()])
    for labels, values in streams.items():
        selector = "{%s}" % ", ".join("%s=%s" % (name, json.dumps(value, ensure_ascii=False)) for name, value in labels)
        got = collections.Counter()
        for stream in stack.query(selector, start - 1, start + HOUR):
            for name, value in labels:
                assert stream["stream"].get(name) == value, "label %s of %s should be %r" % (name, stream["stream"], value)
            for value in stream["values"]:
                got[(int(value[0]), value[1], stream["stream"].get("trace_id"))] += 1
        want = collections.Counter((ns, line, metadata.get("trace_id")) for ns, line, metadata in values)
        assert got == want, "%s: %d missing, %d too many, such as %s" % (selector, (want - got).total(), (got - want).total(), next(iter((want - got) or (got - want)), None))
    other = stack.query('{service_name="checkout"}', start - 1, start + HOUR, tenant="somebody-else")
    assert other == [], "another tenant was answered with %s" % other
    return "600 entries pushed twice, read once"


def client(stack, name):
    """tests/clients, with the function URLs instead of a server."""
    done = subprocess.run([shutil.which("python3"), ROOT / "tests/clients/run", "--url", stack.url, "--client", name], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout.strip().splitlines()[-2]


def rest_api(stack):
    """The one address with a key: pushes of text and of bytes, and queries, through API Gateway's own kind of event."""
    start, api = time.time_ns(), urllib.parse.urlsplit(stack.outputs["ApiUrl"]).hostname.split(".")[0]
    key = stack.client("apigateway").get_api_key(apiKey=stack.outputs["ApiKeyId"], includeValue=True)["value"]
    base = "%s/_aws/execute-api/%s/tarn" % (stack.endpoint, api)

    def ask(path, body=None, **headers):
        request = urllib.request.Request(base + path, body, {"x-api-key": key, **headers})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    body = json.dumps({"streams": [{"stream": {"service_name": "api"}, "values": [[str(start), "as text ä"]]}]}, ensure_ascii=False).encode()
    ask("/loki/api/v1/push", body, **{"Content-Type": "application/json"})
    labels, line, (seconds, nanos) = b'{service_name="api"}', "as bytes ä".encode(), divmod(start + 1, 10**9)
    entry = field(1, b"\x08" + varint(seconds) + b"\x10" + varint(nanos)) + field(2, line)
    ask("/loki/api/v1/push", literal_snappy(field(1, field(1, labels) + field(2, entry))), **{"Content-Type": "application/x-protobuf"})
    query = urllib.parse.urlencode({"query": '{service_name=~"api|none"} |= "as "', "start": start, "end": start + HOUR, "direction": "forward"})
    got = json.loads(ask("/loki/api/v1/query_range?" + query))["data"]["result"]
    lines = [value[1] for stream in got for value in stream["values"]]
    assert lines == ["as text ä", "as bytes ä"], "read %s" % lines
    try:
        ask("/loki/api/v1/labels", **{"x-api-key": "guessed"})
        raise AssertionError("a wrong key was let in")
    except urllib.error.HTTPError as error:
        assert error.code == 403, "a wrong key was answered with %d" % error.code
    return "pushes of JSON and protobuf, a query, a wrong key"


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number, content):
    """A length-delimited field of protobuf."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def literal_snappy(content):
    """A snappy block that is one literal of at most 256 bytes."""
    return varint(len(content)) + b"\xf0" + bytes([len(content) - 1]) + content


def streamed(stack):
    """An answer of more than 6 MB: refused with the way out when answers are buffered, whole when they are streamed."""
    rng, start = random.Random(20261125), time.time_ns()
    lines = [(start + n, "%d %s" % (n, "%09000x" % rng.getrandbits(36000))) for n in range(900)]
    for part in range(0, 900, 300):
        push(stack.url, [({"service_name": "large"}, [(ns, line, {}) for ns, line in lines[part : part + 300]])])
    ask = lambda: stack.lines('{service_name="large"}', start, start + HOUR)  # noqa: E731
    try:
        ask()
        raise AssertionError("8 MB were answered by a function that does not stream")
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        assert error.code == 400 and "TARN_LAMBDA_RESPONSE=stream" in text, "answered with %d %s" % (error.code, text)
    change = stack.client("lambda").get_function_configuration(FunctionName="tarn-query")["Environment"]["Variables"]
    try:
        configure(stack, {**change, "TARN_LAMBDA_RESPONSE": "stream"})
        got = ask()
        assert got == lines, "%d of %d lines were streamed" % (len(got), len(lines))
    finally:
        configure(stack, change)
    return "8 MB"


def configure(stack, variables):
    functions = stack.client("lambda")
    functions.update_function_configuration(FunctionName="tarn-query", Environment={"Variables": variables})
    functions.get_waiter("function_updated_v2").wait(FunctionName="tarn-query", WaiterConfig={"Delay": 1})


def schedule(stack):
    """The rule starts the compactor without being asked, it makes level-1 objects of what was pushed, and the answers stay."""
    for _ in range(3):
        known = set(stack.keys("/l1/"))
        # Enough small objects to be worth a job.
        for n in range(SMALL_PUSHES):
            push(stack.url, [({"service_name": "scheduled"}, [(time.time_ns(), "small push %d" % n, {})])])
        now = time.time_ns()
        before = answers(stack, now)
        # Once more, if a run of the compactor was faster than the questions.
        if set(stack.keys("/l1/")) == known:
            break
    else:
        raise AssertionError("the compactor ran three times while 20 pushes were made and read")
    lines, counts = before["lines of scheduled"], before["counts"]
    assert len(lines) in (SMALL_PUSHES, 2 * SMALL_PUSHES, 3 * SMALL_PUSHES) and counts, "before compaction: %s" % before
    started = time.monotonic()
    # No invocation of this check's own: that would prove nothing about the rule.
    made = eventually(SCHEDULE_SECONDS, lambda: set(stack.keys("/l1/")) - known, lambda: "level-1 objects; the compactor's log: %s" % stack.function_log("compactor")[-20:])
    seconds = time.monotonic() - started
    after = answers(stack, now)
    for name, answer in after.items():
        assert answer == before[name], "%s after compaction: %s, before: %s" % (name, str(answer)[:600], str(before[name])[:600])
    return "%d new level-1 objects after %.0f s, %d answers unchanged" % (len(made), seconds, len(after))


def answers(stack, now):
    """What a few questions about everything until `now` are answered with, in an order of its own."""
    window = {"start": now - HOUR, "end": now + 1}
    counts = stack.get("/loki/api/v1/query", query='sum by (service_name, client) (count_over_time({service_name=~".+"}[1h]))', time=str(now + 1))
    series = stack.get("/loki/api/v1/series", match='{service_name=~".+"}', **window)
    lines = {"lines of " + name: stack.lines('{service_name="%s"}' % name, **window) for name in ("scheduled", "checkout", "unknown_service")}
    return {
        **lines, "counts": sorted((json.dumps(r["metric"], sort_keys=True), r["value"]) for r in counts["data"]["result"]),
        "series": sorted(json.dumps(labels, sort_keys=True) for labels in series["data"]),
    }


def conformance(stack):
    """Loki's recorded answers: the query function gives as many as the server does on the same bucket."""
    check = [sys.executable, CONFORMANCE]
    subprocess.run([*check, "push", "--url", stack.url], check=True, stdout=subprocess.DEVNULL)
    function = score(check, stack.url)
    # As a server of queries only: it must not compact beside the function.
    settings = {"TARN_ROLE": "query", "AWS_ENDPOINT_URL": stack.endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    with serve(stack.binaries / "tarn", stack.folder, stack.outputs["Store"], **settings) as url:
        own = score(check, url)
    note = "%d of %d by the function in %s s, %d by the server on its bucket" % (function[0], function[1], function[2], own[0])
    assert function[1] == own[1] and abs(function[0] - own[0]) <= 2, note
    return note


def score(check, url):
    done = subprocess.run([*check, "run", "--url", url], capture_output=True, text=True, timeout=1200)
    found = re.search(r"^total +(\d+) / +(\d+) .* in ([\d.]+) s", done.stdout, re.M)
    assert found, "no total: " + (done.stdout + done.stderr)[-2000:]
    return int(found[1]), int(found[2]), found[3]
