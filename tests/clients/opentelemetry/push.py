"""Logs every line of a file through OpenTelemetry's SDK and its OTLP exporter over HTTP or gRPC. Usage: push.py URL LINES http|grpc COMPRESSION [retries]

The exporter warns of each retry; with `retries` only what it gives up counts as a failure.

Line N has the attribute `n`, a severity by N modulo 3, and the ids of a trace made from N.
"""
import logging
import sys

import grpc
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

URL, PATH, PROTOCOL, COMPRESSION, *MODE = sys.argv[1:]
SEVERITIES = ((SeverityNumber.INFO, "INFO"), (SeverityNumber.WARN, "WARN"), (SeverityNumber.ERROR, "ERROR"))
# 2 batches at least, of a size that is no divisor of anything; more where some are to be repeated.
BATCH = 43 if MODE == ["retries"] else 99

# The exporter logs what it could not deliver, and does not raise.
failures = []


class Failures(logging.Handler):
    def emit(self, record):
        failures.append(record.getMessage())


logging.getLogger("opentelemetry").addHandler(Failures(level=logging.ERROR if MODE == ["retries"] else logging.WARNING))
resource = Resource.create({"service.name": "opentelemetry-%s-%s" % (PROTOCOL, COMPRESSION), "deployment.environment": "test", "host.name": "h1", "host.arch": ["a", "b"]})
provider = LoggerProvider(resource=resource)
if PROTOCOL == "grpc":
    compression = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}[COMPRESSION]
    exporter = GrpcExporter(endpoint=URL, insecure=True, compression=compression)
else:
    exporter = HttpExporter(endpoint=URL + "/otlp/v1/logs", compression=Compression(COMPRESSION))
provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_export_batch_size=BATCH, max_queue_size=100_000))
logger = provider.get_logger("clients", "1.2.3")

with open(PATH, encoding="utf-8", newline="\n") as f:
    lines = [line for line in f.read().split("\n") if line]
for n, line in enumerate(lines):
    number, text = SEVERITIES[n % 3]
    context = set_span_in_context(NonRecordingSpan(SpanContext(n + 1, n + 2, is_remote=False, trace_flags=TraceFlags(1))))
    logger.emit(LogRecord(context=context, severity_number=number, severity_text=text, body=line, attributes={"n": n, "http.request": {"method": "GET"}}))
if not provider.force_flush(60_000):
    failures.append("not everything was sent within a minute")
provider.shutdown()
if failures:
    sys.exit("; ".join(failures))
print(len(lines))
