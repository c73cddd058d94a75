"""A server in front of Tarn that fails first, as networks and overloaded servers do. Standard library only."""
import contextlib
import http.client
import http.server
import threading
import urllib.parse

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@contextlib.contextmanager
def failing_first(url):
    """The URL of a server that refuses the first POST with 503, passes the second one on and hangs up instead of answering, and passes on all others.

    Gives (its URL, a function that tells how many POSTs it saw).
    """
    target = urllib.parse.urlsplit(url).netloc
    lock = threading.Lock()
    posts = 0

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.answer(*self.forward(None))

        def do_POST(self):
            nonlocal posts
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                posts += 1
                number = posts
            if number == 1:
                self.answer(503, [("Retry-After", "1")], b"not now\n")
                return
            answer = self.forward(body)
            if number == 2:
                self.close_connection = True
                return
            self.answer(*answer)

        def forward(self, body):
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            connection = http.client.HTTPConnection(target, timeout=60)
            try:
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                return answer.status, [(n, v) for n, v in answer.getheaders() if n.lower() not in HOP_BY_HOP], answer.read()
            finally:
                connection.close()

        def answer(self, status, headers, body):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield "http://127.0.0.1:%d" % server.server_port, lambda: posts
    finally:
        server.shutdown()
        server.server_close()
