"""Logs every line of a file through python-logging-loki. Usage: push.py URL LINES [retries]

The library sends one request per line, so the lines are spread over threads with a logger each. It repeats nothing. With `retries` the session that it sends with does, as
requests lets it.
"""
import logging
import sys
import threading

import logging_loki
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

URL, PATH, *MODE = sys.argv[1:]
THREADS = 16
failures = []


class Session(requests.Session):
    """Repeats what was refused or not answered. POST is not among the methods that urllib3 repeats by itself, since other servers would do twice what they are asked twice."""

    def __init__(self):
        super().__init__()
        retry = Retry(total=10, status_forcelist=[429, 502, 503, 504], allowed_methods=None, backoff_factor=0.1)
        self.mount("http://", HTTPAdapter(max_retries=retry))


if MODE == ["retries"]:
    logging_loki.emitter.LokiEmitter.session_class = Session


class Handler(logging_loki.LokiHandler):
    def handleError(self, record):
        failures.append(sys.exc_info()[1])


def push(worker, lines):
    logger = logging.getLogger("worker%d" % worker)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(Handler(url=URL + "/loki/api/v1/push", tags={"client": "python-logging-loki", "env": "test"}, version="1"))
    for n, line in enumerate(lines):
        # %-formatting is not wanted: the line is the message.
        logger.log((logging.INFO, logging.WARNING, logging.ERROR)[n % 3], "%s", line, extra={"tags": {"worker": str(worker)}})


with open(PATH, encoding="utf-8", newline="\n") as f:
    lines = [line for line in f.read().split("\n") if line]
threads = [threading.Thread(target=push, args=(i, lines[i::THREADS])) for i in range(THREADS)]
for t in threads:
    t.start()
for t in threads:
    t.join()
if failures:
    sys.exit("%d of %d lines failed: %s" % (len(failures), len(lines), failures[0]))
print(len(lines))
