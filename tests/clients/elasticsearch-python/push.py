"""Sends every line of a file as a document through Elasticsearch's Python client. Usage: push.py URL LINES

Before it sends, it asks what other tools ask through this client: who are you, is there such a template, such an index.
"""
import datetime
import sys

from elasticsearch import Elasticsearch, helpers

URL, PATH = sys.argv[1:]
with open(PATH, encoding="utf-8", newline="\n") as f:
    lines = [line for line in f.read().split("\n") if line]

client = Elasticsearch(URL + "/elasticsearch", http_compress=True, request_timeout=60)
assert client.ping()
assert client.info()["version"]["number"].startswith("8.")
assert client.cluster.health()["status"] == "green"
assert client.indices.exists_index_template(name="logs-of-lines")
client.indices.put_index_template(name="logs-of-lines", index_patterns=["lines-*"], data_stream={})
client.ingest.put_pipeline(id="lines", processors=[])
assert client.indices.exists(index="lines")

start = datetime.datetime.now(datetime.timezone.utc)


def documents():
    for n, line in enumerate(lines):
        yield {
            "_op_type": ("create", "index")[n % 2],
            "_index": "lines-" + start.strftime("%Y.%m.%d"),
            "@timestamp": (start + datetime.timedelta(milliseconds=n)).isoformat(),
            "message": line,
            "service": {"name": "elasticsearch-python", "environment": "test"},
            "log": {"level": ("info", "warn", "error")[n % 3]},
            "labels": {"n": n},
        }


sent = 0
for ok, item in helpers.streaming_bulk(client, documents(), chunk_size=40):
    assert ok, item
    sent += 1

# One by one, and what is refused: the error names the document.
_, errors = helpers.bulk(client, [{"_op_type": "delete", "_index": "lines", "_id": "1"}, {"_index": "lines", "@timestamp": "never"}], raise_on_error=False)
assert [list(error.values())[0]["status"] for error in errors] == [400, 400], errors
print(sent)
