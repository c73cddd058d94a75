"""Logs every line of a file through loki-logger-handler, configured as docs/clients/python.md shows. Usage: push.py URL LINES PAGE"""
import pathlib
import runpy
import sys

path, page = sys.argv[2:]
logger = runpy.run_path(page)["logger"]
lines = [line for line in pathlib.Path(path).read_text(encoding="utf-8").split("\n") if line]
for n, line in enumerate(lines):
    # %-formatting is not wanted: the line is the message.
    logger.log((20, 30, 40)[n % 3], "%s", line, extra={"loki_metadata": {"number": n}})
print(len(lines))
