"""One Lambda Runtime API endpoint on loopback, for one runtime process.

Owns: the HTTP of https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and which step the runtime is in: starting, idle in
`next`, or at work. Must not know: processes, signals, LocalStack, what an event means. Standard library only.
"""
import base64
import dataclasses
import http.server
import json
import socket
import sys
import threading
import time

# Of a buffered response and of a streamed one, as Lambda has them.
MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100
MAX_STREAMED_BYTES = 200 * 1024 * 1024


def error(kind, message):
    """The JSON of a failed invocation."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


@dataclasses.dataclass
class Invocation:
    """What a runtime is told of an event."""

    request_id: str
    payload: bytes
    # Milliseconds of the epoch.
    deadline_ms: int = 0
    function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:local"
    trace_id: str = "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0"


@dataclasses.dataclass
class Answer:
    """What the runtime said of an invocation."""

    payload: bytes
    is_error: bool = False
    # The Content-Type of a streamed response, None when it was buffered.
    streamed_as: str | None = None
    # time.monotonic() when its first byte and its last were here.
    first_byte: float = 0.0
    last_byte: float = 0.0


class RuntimeApi:
    """Hands out one invocation at a time. Every wait ends when `close` is called."""

    def __init__(self):
        self.changed = threading.Condition()
        self.idle = False
        self.has_extension = False
        self.init_error = None
        self._invocation = None
        self._given = False
        self._answer = None
        self._closed = False
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self.address = "127.0.0.1:%d" % self._server.server_port
        threading.Thread(target=self._accept, name="runtime-api", daemon=True).start()

    def _accept(self):
        # serve_forever would wake up twice a second for each of hundreds of endpoints, only to see whether it should end.
        while True:
            try:
                connection, peer = self._server.get_request()
            except OSError:
                return
            self._server.process_request(connection, peer)

    def close(self):
        with self.changed:
            self._closed = True
            self.changed.notify_all()
        try:
            self._server.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._server.server_close()

    def wake(self):
        """Lets those who wait look again: something outside of the API happened."""
        with self.changed:
            self.changed.notify_all()

    def give(self, invocation):
        """The next answer to `next`."""
        with self.changed:
            self._invocation, self._given, self._answer = invocation, False, None
            self.changed.notify_all()

    def answer(self):
        """The answer to what was given last, None while there is none. The caller holds `changed`."""
        return self._answer

    def _next(self):
        """Blocks until there is an invocation; None when there will be none."""
        with self.changed:
            self.idle = True
            if self._given:
                self._invocation = None
            self.changed.notify_all()
            while not self._closed and (self._invocation is None or self._given):
                self.changed.wait()
            if self._closed:
                return None
            self.idle, self._given = False, True
            return self._invocation

    def _answered(self, request_id, answer):
        """Keeps the answer. False when nobody waits for an answer to this request."""
        with self.changed:
            if self._invocation is None or self._invocation.request_id != request_id or self._answer is not None:
                return False
            self._answer = answer
            self.changed.notify_all()
            return True

    def _failed_to_start(self, body):
        with self.changed:
            self.init_error = body
            self.changed.notify_all()

    def _block(self):
        with self.changed:
            while not self._closed:
                self.changed.wait()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A runtime that dies resets its connections, which is noticed by the process.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Answers are small: do not let them wait for an acknowledgement.
    disable_nagle_algorithm = True
    api = None

    def log_message(self, *_):
        pass

    def _send(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status, kind, message):
        self._send(status, error(kind, message), [("Content-Type", "application/json")])

    def do_GET(self):
        if self.path == "/2018-06-01/runtime/invocation/next":
            invocation = self.api._next()
            if invocation is None:
                self.close_connection = True
                return
            try:
                self._send(200, invocation.payload, [
                    ("Content-Type", "application/json"),
                    ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
                    ("Lambda-Runtime-Deadline-Ms", str(invocation.deadline_ms)),
                    ("Lambda-Runtime-Invoked-Function-Arn", invocation.function_arn),
                    ("Lambda-Runtime-Trace-Id", invocation.trace_id),
                ])
            except OSError:
                # The process is gone; whoever waits for the answer notices that by the process.
                self.close_connection = True
        elif self.path == "/2020-01-01/extension/event/next":
            self.api._block()
            self.close_connection = True
        else:
            self._refuse(404, "NotFound", "no such path: " + self.path)

    def do_POST(self):
        started = time.monotonic()
        body, trailers = self._read_body(MAX_STREAMED_BYTES)
        if self.path == "/2018-06-01/runtime/init/error":
            self.api._failed_to_start(body)
            self._send(202, b'{"status":"OK"}')
        elif self.path == "/2020-01-01/extension/register":
            self._register(body)
        elif self.path.startswith("/2018-06-01/runtime/invocation/"):
            request_id, _, what = self.path.removeprefix("/2018-06-01/runtime/invocation/").partition("/")
            if what not in ("response", "error"):
                return self._refuse(404, "NotFound", "no such path: " + self.path)
            self._take_answer(request_id, what, body, trailers, started)
        else:
            self._refuse(404, "NotFound", "no such path: " + self.path)

    def _register(self, body):
        # Runtimes do this only to be told to end with SIGTERM.
        if json.loads(body or b"{}").get("events"):
            return self._refuse(403, "Extension.NotSupported", "only an extension without events can register here")
        with self.api.changed:
            self.api.has_extension = True
        identity = [("Lambda-Extension-Identifier", "00000000-0000-0000-0000-000000000001"), ("Content-Type", "application/json")]
        self._send(200, b'{"functionName":"local","functionVersion":"$LATEST","handler":"bootstrap"}', identity)

    def _take_answer(self, request_id, what, body, trailers, started):
        streamed = self.headers.get("Lambda-Runtime-Function-Response-Mode") == "streaming"
        content_type = self.headers.get("Content-Type") or "application/octet-stream"
        answer = Answer(body, what == "error", content_type if streamed else None, started, time.monotonic())
        too_large = not streamed and len(body) > MAX_RESPONSE_BYTES
        if too_large:
            message = "Response payload size exceeded maximum allowed payload size (%d bytes)." % MAX_RESPONSE_BYTES
            answer = dataclasses.replace(answer, payload=error("Function.ResponseSizeTooLarge", message), is_error=True)
        if "lambda-runtime-function-error-type" in trailers:
            answer.payload = base64.b64decode(trailers.get("lambda-runtime-function-error-body", "")) or error(trailers["lambda-runtime-function-error-type"], "")
            answer.is_error = True
        if not self.api._answered(request_id, answer):
            return self._refuse(403, "InvalidRequestID", "no answer is awaited for request " + request_id)
        if too_large:
            return self._refuse(413, "RequestEntityTooLarge", message)
        self._send(202, b'{"status":"OK"}')

    def _read_body(self, limit):
        """The body and, when it is chunked, its trailers with lower-case names."""
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0)), {}
        parts, total = [], 0
        while size := int(self.rfile.readline().split(b";")[0].strip() or b"0", 16):
            total += size
            if total > limit:
                self.close_connection = True
                break
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        trailers = {}
        while line := self.rfile.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            trailers[name.strip().lower()] = value.strip()
        return b"".join(parts), trailers
