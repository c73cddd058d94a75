"""An HTTP proxy that refuses some requests before the server sees them, and loses the acknowledgement of others after the server has stored them.
On loopback only. Standard library only."""
import contextlib
import hashlib
import http.client
import http.server
import threading
import urllib.parse

# What happens to the attempts of one body, one after the other; further ones are passed on. Bodies take these lists in turns, in the order in which they first appear.
# `refused N` is answered without asking the server; `lost N` and `cut` are passed on, and then N is answered in place of the server's answer, or nothing at all.
SCHEDULE = [
    ["refused 503"],
    ["lost 503"],
    [],
    ["refused 429"],
    ["cut"],
    [],
    ["lost 429"],
    ["refused 503", "lost 503"],
    [],
    ["lost 503", "refused 429"],
]
# Only pushes are tampered with. Clients of Elasticsearch use POST and PUT.
PUSHES = ("/push", "/_bulk", "/v1/logs")
# How long clients that read it wait after a refusal.
RETRY_AFTER = "1"
# Those of a hop, and the length, which is known anew.
OF_A_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade", "expect"}


class Faults:
    """What has happened to whom; `lost` and `cut` only count where the server said that it has stored."""

    def __init__(self, kinds, schedule):
        self.schedule = schedule
        if kinds is not None:
            wanted = [[fault for fault in faults if fault in kinds] for faults in schedule]
            self.schedule = [turn for faults in wanted if faults for turn in (faults, [])]
        self.lock = threading.Lock()
        self.bodies = {}
        self.happened = {}

    def next(self, body):
        """What happens to this attempt, if anything."""
        key = hashlib.sha256(body).digest()
        with self.lock:
            number, attempt = self.bodies.get(key, (len(self.bodies), 0))
            self.bodies[key] = (number, attempt + 1)
        faults = self.schedule[number % len(self.schedule)]
        return faults[attempt] if attempt < len(faults) else None

    def count(self, fault):
        with self.lock:
            self.happened[fault] = self.happened.get(fault, 0) + 1

    def attempts(self):
        with self.lock:
            return sum(attempts for _, attempts in self.bodies.values())


def handler(server_url, tenant, faults):
    place = urllib.parse.urlsplit(server_url)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def body(self):
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)

        def ask(self, body):
            headers = {name: value for name, value in self.headers.items() if name.lower() not in OF_A_HOP}
            connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
            with contextlib.closing(connection):
                connection.request(self.command, self.path, body, {**headers, "X-Scope-OrgID": tenant, "Content-Length": str(len(body))})
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()

        def reply(self, status, headers, body):
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in OF_A_HOP:
                    self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        def pass_on(self):
            body = self.body()
            fault = faults.next(body) if self.command in ("POST", "PUT") and self.path.split("?")[0].endswith(PUSHES) else None
            if fault is not None and fault.startswith("refused"):
                faults.count(fault)
                return self.refuse(int(fault.split()[1]))
            status, headers, answer = self.ask(body)
            if fault is None or status >= 300:
                return self.reply(status, headers, answer)
            faults.count(fault)
            if fault == "cut":
                self.close_connection = True
                return None
            return self.refuse(int(fault.split()[1]))

        def refuse(self, status):
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", RETRY_AFTER), ("X-Elastic-Product", "Elasticsearch")]
            self.reply(status, headers, b"not now\n")

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = pass_on

        def log_message(self, *_):
            pass

    return Handler


@contextlib.contextmanager
def proxy(server_url, tenant, kinds=None, schedule=SCHEDULE):
    """(URL of a proxy to the server, its faults): requests become those of `tenant`. `kinds`: the faults that there are, all of the schedule where it is None."""
    faults = Faults(kinds, schedule)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(server_url, tenant, faults))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield "http://127.0.0.1:%d" % server.server_address[1], faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
