"""The deployed stack in a LocalStack of its own. Owns: its life, clients of its services, waiting. Must not know: what is checked."""
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.parse
import urllib.request

from tarn import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOG_GROUP, LOG_STREAM, LOG_BUCKET = "/app/orders", "web-1", "tarn-test-alb-logs"
FIREHOSE_KEY = "a-key-of-firehose"
PARAMETERS = ["SubscribedLogGroup=" + LOG_GROUP, "LogBucket=" + LOG_BUCKET, "EventQueue=true", "ApiKey=true", "FirehoseAccessKey=" + FIREHOSE_KEY]


class Stack:
    def __init__(self, binaries, folder):
        self.binaries, self.folder = binaries, folder
        self.state = folder / "localstack"
        self.port, self.gateway_port = free_port(), free_port()
        self.url, self.endpoint = "http://127.0.0.1:%d" % self.gateway_port, "http://127.0.0.1:%d" % self.port
        self.environment = {
            **os.environ, "TARN_LOCALSTACK_DIR": str(self.state), "TARN_LOCALSTACK_PORT": str(self.port), "TARN_LOCALSTACK_GATEWAY": "127.0.0.1:%d" % self.gateway_port,
        }
        self.outputs, self._clients = {}, {}

    def start(self):
        """Starts LocalStack and deploys the template into it. A log group must be there before something can subscribe to it, and in LocalStack
        4.14 its streams too: it makes none where there is a subscription."""
        self._script("up")
        self.client("logs").create_log_group(logGroupName=LOG_GROUP)
        self.client("logs").create_log_stream(logGroupName=LOG_GROUP, logStreamName=LOG_STREAM)
        started = time.monotonic()
        self._script("deploy", "--bin", str(self.binaries), *PARAMETERS)
        seconds = time.monotonic() - started
        described = self.client("cloudformation").describe_stacks(StackName="tarn")["Stacks"][0]
        assert described["StackStatus"] == "CREATE_COMPLETE", described["StackStatus"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        for output in ("IngestUrl", "QueryUrl", "ApiUrl", "Bucket", "Store", "EventsUrl", "FailedEventsUrl"):
            assert self.outputs.get(output), "the stack has no output " + output
        resources = self.client("cloudformation").describe_stack_resources(StackName="tarn")["StackResources"]
        return "%d resources, deployed in %.0f s" % (len(resources), seconds)

    def stop(self):
        subprocess.run([ROOT / "localstack/down"], env=self.environment, stdout=subprocess.DEVNULL)

    def _script(self, name, *arguments):
        done = subprocess.run([ROOT / "localstack" / name, *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
        assert done.returncode == 0, "localstack/%s: %s" % (name, done.stdout[-3000:])

    def client(self, service):
        import boto3
        from botocore.config import Config

        if service not in self._clients:
            config = Config(read_timeout=300, retries={"max_attempts": 0})
            keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
            self._clients[service] = boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1", config=config, **keys)
        return self._clients[service]

    def invoke(self, function, event):
        """The JSON that the function answers; raises when it fails."""
        answer = self.client("lambda").invoke(FunctionName="tarn-" + function, Payload=json.dumps(event).encode())
        payload = json.loads(answer["Payload"].read() or b"null")
        assert "FunctionError" not in answer, "%s failed: %s" % (function, payload)
        return payload

    def query(self, logql, start, end, tenant=None, limit=5000):
        """The result of a range query, through the query function's URL. Times are nanoseconds."""
        return self.get("/loki/api/v1/query_range", tenant, query=logql, start=start, end=end, limit=limit, direction="forward")["data"]["result"]

    def lines(self, selector, start, end, tenant=None):
        """[(ns, line)] of all streams together, sorted."""
        return sorted((int(value[0]), value[1]) for stream in self.query(selector, start, end, tenant) for value in stream["values"])

    def get(self, path, tenant=None, **parameters):
        request = urllib.request.Request(self.url + path + "?" + urllib.parse.urlencode(parameters), headers={"X-Scope-OrgID": tenant} if tenant else {})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    def keys(self, part=""):
        """The keys in the bucket that have `part` in them."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.outputs["Bucket"])
        return [o["Key"] for page in pages for o in page.get("Contents", []) if part in o["Key"]]

    def function_log(self, function):
        """What the function printed, oldest first."""
        logs, group = self.client("logs"), "/aws/lambda/tarn-" + function
        found = []
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
            found += [event["message"].rstrip("\n") for event in page["events"]]
        return found

    def init_times(self):
        """Init durations and first answers from the REPORT lines of the functions' logs."""
        rows = []
        for function in ("ingest", "query", "compactor"):
            reports = [line for line in self.function_log(function) if line.startswith("REPORT")]
            first = [line for line in reports if "Init Duration" in line]
            init = sorted(float(re.search(r"Init Duration: ([\d.]+)", line)[1]) for line in first)
            answer = sorted(float(re.search(r"\tDuration: ([\d.]+)", line)[1]) for line in first)
            warm = sorted(float(re.search(r"\tDuration: ([\d.]+)", line)[1]) for line in reports if line not in first)
            memory = max((int(re.search(r"Max Memory Used: (\d+)", line)[1]) for line in reports), default=0)
            middle = lambda values: "%.1f" % values[len(values) // 2] if values else "-"  # noqa: E731
            rows.append("measured %-9s %d starts, init %s ms, first answer %s ms, %d more answers %s ms (medians), at most %d MB" % (
                function, len(first), middle(init), middle(answer), len(warm), middle(warm), memory))
        return "\n".join(rows)

    def logs(self):
        """The ends of all logs, for whoever looks for the reason of a failure."""
        parts = []
        for function in ("ingest", "query", "compactor"):
            try:
                parts.append("-- end of the log of %s\n%s" % (function, "\n".join(self.function_log(function)[-40:])[-6000:]))
            except Exception as error:
                parts.append("-- no log of %s: %s" % (function, error))
        path = self.state / "log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        parts.append("-- end of LocalStack's log, without what went well\n" + "\n".join([line for line in lines if not line.endswith("=> 200")][-40:]))
        return "\n".join(parts)


def eventually(seconds, reached, what):
    """Waits until `reached()` is true and gives its value; raises with `what` when the time is over."""
    deadline = time.monotonic() + seconds
    while not (value := reached()):
        assert time.monotonic() < deadline, "not within %d s: %s" % (seconds, what() if callable(what) else what)
        time.sleep(0.5)
    return value
