"""LocalStack's side of the process executor.

Owns: what LocalStack asks of a runtime executor, and the translation of its words (payloads, environment, logs) to those of a sandbox.
Must not know: how a process is run or limited (sandbox.py), what the functions do.
"""
import base64
import json
import logging
import time

from localstack import config
from localstack.aws.connect import connect_to
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from .runtime_api import Invocation, error
from .sandbox import InitError, Sandbox

LOG = logging.getLogger(__name__)
HTTP_INTEGRATION = "application/vnd.awslambda.http-integration-response"


class ProcessExecutor(RuntimeExecutor):
    """One execution environment. LocalStack makes one per concurrent invocation, and stops those that are idle."""

    def __init__(self, id, function_version):
        super().__init__(id, function_version)
        self.environment, self.sandbox = {}, None

    def start(self, env_vars):
        version = self.function_version
        self.environment = {name: str(value) for name, value in env_vars.items()}
        folder = version.config.code.get_unzipped_code_location()
        self.sandbox = Sandbox(folder, self.environment, version.config.memory_size, version.config.timeout, version.id.qualifier)
        try:
            self.sandbox.start()
        except InitError as failure:
            self._report_init(failure)
            raise StatusErrorException("the runtime did not start: %s" % failure, payload=failure.payload) from failure

    def stop(self):
        if self.sandbox is not None:
            self.sandbox.stop()

    def invoke(self, payload):
        request_id = payload["invoke-id"]
        invocation = Invocation(request_id, payload["payload"].encode(), function_arn=payload["invoked-function-arn"], trace_id=payload["trace-id"])
        try:
            outcome = self.sandbox.invoke(invocation)
        except InitError as failure:
            self._report_init(failure)
            return InvocationResult(request_id, failure.payload, is_error=True, logs=failure.log or str(failure))
        answer, is_error = outcome.payload, outcome.is_error
        if outcome.streamed_as == HTTP_INTEGRATION and not is_error:
            try:
                answer = buffered(answer)
            except ValueError as cause:
                answer, is_error = error("Runtime.InvalidStreamingResponse", str(cause)), True
        return InvocationResult(request_id, answer, is_error=is_error, logs=outcome.log)

    def _report_init(self, failure):
        """LocalStack keeps logs of invocations only; why a function does not start should be found where the other logs are."""
        LOG.warning("%s did not start: %s\n%s", self.function_version.id.function_name, failure, failure.log)
        group, stream = self.environment.get("AWS_LAMBDA_LOG_GROUP_NAME"), self.environment.get("AWS_LAMBDA_LOG_STREAM_NAME")
        now = int(time.time() * 1000)
        lines = [line for line in (failure.log + "INIT_REPORT Status: error %s" % failure).splitlines() if line.strip()]
        try:
            logs = connect_to(region_name=self.function_version.id.region, aws_access_key_id=self.function_version.id.account).logs
            for create in (lambda: logs.create_log_group(logGroupName=group), lambda: logs.create_log_stream(logGroupName=group, logStreamName=stream)):
                try:
                    create()
                except logs.exceptions.ResourceAlreadyExistsException:
                    pass
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": now, "message": line} for line in lines])
        except Exception as cause:  # the failure itself is reported either way
            LOG.warning("could not write the log of %s: %s", group, cause)

    def get_logs(self):
        return self.sandbox.log() if self.sandbox else ""

    def get_address(self):
        return "127.0.0.1"

    def get_endpoint_from_executor(self):
        return "127.0.0.1"

    def get_runtime_endpoint(self):
        return "http://127.0.0.1:%d" % config.GATEWAY_LISTEN[0].port

    @classmethod
    def prepare_version(cls, function_version):
        # A version that is made from an image has no code, and cannot run here.
        if function_version.config.code is None:
            raise ValueError("only functions with a zip file can run without Docker")
        if not (function_version.config.runtime or "").startswith("provided"):
            raise ValueError("only the runtimes provided.* can run without Docker, not %s" % function_version.config.runtime)
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version):
        pass


def buffered(streamed):
    """A streamed HTTP answer (a JSON prelude, eight zero bytes, the body) as the answer of a function that does not stream.

    LocalStack knows the streamed form only for bodies that are UTF-8.
    """
    prelude, separator, body = streamed.partition(b"\0" * 8)
    if not separator:
        raise ValueError("a streamed HTTP answer must have eight zero bytes after its prelude")
    return json.dumps({"statusCode": 200, **json.loads(prelude), "body": base64.b64encode(body).decode(), "isBase64Encoded": True}).encode()


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *args, **kwargs):
        return ProcessExecutor
