#!/usr/bin/env python3
"""One address before the functions in LocalStack: pushes go to the ingest function's URL, everything else to the query function's.

LocalStack tells function URLs apart by their host name, which only resolves where there is a public DNS; this sends the name to a given address.
Owns: which function gets which path. Must not know: what is in a request. Standard library only.
"""
import argparse
import http.client
import http.server
import json
import sys
import urllib.parse

# What clients push to; see the router of the server.
PUSHES = ("/loki/api/v1/push", "/api/prom/push", "/tarn/api/v1/push", "/api/v1/push", "/otlp/", "/aws/firehose")
# Of one connection, not of what it carries (RFC 9110, 7.6.1).
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection", "expect"}


class Gateway(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, listen, endpoint, ingest_url, query_url):
        self.endpoint = endpoint
        self.hosts = {True: urllib.parse.urlsplit(ingest_url).netloc, False: urllib.parse.urlsplit(query_url).netloc}
        super().__init__(listen, _Handler)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def _forward(self):
        host = self.server.hosts[self.path.startswith(PUSHES)]
        body = self._body()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP and name.lower() not in ("host", "content-length")}
        upstream = http.client.HTTPConnection(self.server.endpoint, timeout=900)
        try:
            upstream.request(self.command, self.path, body, {**headers, "Host": host})
            answer = upstream.getresponse()
            payload = answer.read()
        except OSError as cause:
            answer, payload = None, ("%s does not answer: %s\n" % (self.server.endpoint, cause)).encode()
        finally:
            upstream.close()
        self.send_response(answer.status if answer else 502)
        for name, value in answer.getheaders() if answer else []:
            if name.lower() not in HOP_BY_HOP and name.lower() not in ("content-length", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def _body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            length = int(self.headers.get("Content-Length") or 0)
            return self.rfile.read(length) if length else None
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _forward


def outputs(path):
    """The outputs of a stack, as `describe-stacks` prints them, by name."""
    with open(path) as file:
        return {output["OutputKey"]: output["OutputValue"] for output in json.load(file)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--listen", default="127.0.0.1:3100")
    p.add_argument("--endpoint", default="127.0.0.1:4566", help="where LocalStack listens")
    p.add_argument("--outputs", required=True, help="file with the outputs of the stack")
    a = p.parse_args()
    host, _, port = a.listen.rpartition(":")
    stack = outputs(a.outputs)
    Gateway((host, int(port)), a.endpoint, stack["IngestUrl"], stack["QueryUrl"]).serve_forever()


if __name__ == "__main__":
    main()
