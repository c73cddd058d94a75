"""Many ingest functions at once on a real S3 server, without LocalStack: each is a process behind a Runtime API of its own.

Between them and SeaweedFS stands a proxy that counts, so that what a push costs is seen from outside of the functions.
"""
import collections
import http.client
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import urllib.parse

from tarn import bucket, get, serve
from tarn_executor.runtime_api import Invocation
from tarn_executor.sandbox import Sandbox

SERVERS = pathlib.Path(__file__).resolve().parents[1] / "servers"
LINES, STREAMS = 6, 3
HOUR = 3600 * 10**9


class CountingProxy(http.server.ThreadingHTTPServer):
    """Passes requests on as they are, with the Host that was signed, and keeps (method, path, status) of each."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, upstream):
        self.upstream, self.seen, self.lock = upstream, [], threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def _forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=120)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body)
        answer = upstream.getresponse()
        payload = answer.read()
        upstream.close()
        with self.server.lock:
            self.server.seen.append((self.command, urllib.parse.urlsplit(self.path).path, answer.status))
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length") or (name.lower() == "content-length" and self.command == "HEAD"):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward


def at_once(binaries, folder, writers):
    """Every function starts, all get their event at the same moment, all answer 204; each push cost one PUT; every line is there once."""
    seaweedfs = folder / "seaweedfs"
    printed = subprocess.run([SERVERS / "seaweedfs", "start", seaweedfs], stdout=subprocess.PIPE, text=True, check=True).stdout
    try:
        store, settings = bucket(printed.strip().partition("=")[2])
        proxy = CountingProxy(urllib.parse.urlsplit(settings["AWS_ENDPOINT_URL"]).netloc)
        try:
            return measure(binaries, folder, writers, store + "/writers", settings, proxy)
        finally:
            proxy.shutdown()
            proxy.server_close()
    finally:
        subprocess.run([SERVERS / "seaweedfs", "stop", seaweedfs], check=True)


def measure(binaries, folder, writers, store, settings, proxy):
    code = folder / "ingest"
    code.mkdir()
    os.symlink(binaries / "tarn-lambda-ingest", code / "bootstrap")
    environment = {
        **settings, "TARN_STORE": store, "AWS_ENDPOINT_URL": "http://127.0.0.1:%d" % proxy.server_port, "AWS_LAMBDA_FUNCTION_NAME": "ingest",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    }
    sandboxes = [Sandbox(code, environment, 512, 120.0) for _ in range(writers)]
    try:
        started = time.monotonic()
        spread(8, [box.start for box in sandboxes])
        start_seconds = time.monotonic() - started
        at_init = list(proxy.seen)
        now = time.time_ns()
        begin = threading.Barrier(writers)
        outcomes = [None] * writers

        def push(n):
            event = url_event(now, n)
            begin.wait()
            outcomes[n] = sandboxes[n].invoke(Invocation("writer-%d" % n, json.dumps(event).encode()))

        started = time.monotonic()
        spread(writers, [lambda n=n: push(n) for n in range(writers)])
        seconds = time.monotonic() - started
    finally:
        spread(8, [box.stop for box in sandboxes])

    refused = [outcome.payload[:300] for outcome in outcomes if outcome.is_error or json.loads(outcome.payload).get("statusCode") != 204]
    assert not refused, "%d of %d pushes were not answered with 204, such as %s" % (len(refused), writers, refused[0])
    assert not at_init, "requests to the store before the first event: %s" % at_init[:5]
    of_chunks = [(method, status) for method, path, status in proxy.seen if "/l0/" in path]
    assert of_chunks == [("PUT", 200)] * writers, "requests for %d pushes: %s" % (writers, collections.Counter(of_chunks))
    distinct = len({path for method, path, _ in proxy.seen if method == "PUT" and "/l0/" in path})
    assert distinct == writers, "%d pushes became %d objects" % (writers, distinct)
    others = collections.Counter((method, path.rpartition("/")[2], status) for method, path, status in proxy.seen if "/l0/" not in path)
    assert not others, "requests beside the PUT of each push: %s" % others

    with serve(binaries / "tarn", folder, store, TARN_ROLE="query", **settings) as url:
        answer = get(url, "/loki/api/v1/query_range", query='{service_name="writers"}', start=now - HOUR, end=now + HOUR, limit=5000)
    lines = sorted(value[1] for stream in answer["data"]["result"] for value in stream["values"])
    wanted = sorted(line(n, m) for n in range(writers) for m in range(LINES))
    assert lines == wanted, "%d lines, %d distinct; %d were acknowledged" % (len(lines), len(set(lines)), len(wanted))
    first = sorted(outcome.first_byte_seconds for outcome in outcomes)
    init = sorted(outcome.init_seconds for outcome in outcomes)
    return "%d PUTs, no other request, no conflict, %d lines once; started in %.1f s (8 at a time, init %.0f ms), all answered in %.2f s (median %.2f s, last %.2f s), %d MB each" % (
        writers, len(lines), start_seconds, init[writers // 2] * 1000, seconds, first[writers // 2], first[-1], max(outcome.max_memory_mb for outcome in outcomes))


def line(writer, n):
    return "writer %d line %d" % (writer, n)


def url_event(now, writer):
    """The event of a Function URL, as AWS documents its payload 2.0."""
    streams = [{"stream": {"service_name": "writers", "stream": str(s), "writer": str(writer % 20)}, "values": []} for s in range(STREAMS)]
    for n in range(LINES):
        streams[n % STREAMS]["values"].append([str(now + n), line(writer, n)])
    body = json.dumps({"streams": streams})
    host = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws"
    return {
        "version": "2.0", "routeKey": "$default", "rawPath": "/loki/api/v1/push", "rawQueryString": "",
        "headers": {"content-type": "application/json", "content-length": str(len(body)), "host": host, "x-forwarded-proto": "https"},
        "requestContext": {
            "accountId": "anonymous", "apiId": host[:32], "domainName": host, "domainPrefix": host[:32], "requestId": "writer-%d" % writer, "routeKey": "$default", "stage": "$default",
            "http": {"method": "POST", "path": "/loki/api/v1/push", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"},
            "time": "25/Nov/2026:12:00:00 +0000", "timeEpoch": now // 10**6,
        },
        "body": body, "isBase64Encoded": False,
    }


def spread(threads, tasks):
    """Runs the tasks on so many threads; raises what the first one that failed raised."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(task) for task in tasks]:
            future.result()
