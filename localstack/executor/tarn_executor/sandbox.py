"""An execution environment of AWS Lambda made of nothing but a child process: the `bootstrap` of a function behind the Runtime API.

Owns: the process and its group, limits (memory, time, open files), freezing between invocations, what is reported when it crashes, its log.
Must not know: LocalStack, zip files, what an event means. Standard library only, Linux only.

As on Lambda: one invocation at a time; the process is stopped (SIGSTOP) from its answer to the next invocation, so what it left
undone stays undone; who takes more memory than the function has or more time than it may is killed with all its children, and the next
invocation gets a fresh process. Not as on Lambda: no file system of its own (TMPDIR, and values of the environment that lie below /tmp, point
into a folder of its own), no share of a CPU in proportion to its memory.
"""
import array
import dataclasses
import datetime
import fcntl
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile
import termios
import threading
import time

from .runtime_api import RuntimeApi, error
from .warden import Warden

INIT_SECONDS = 10.0
# How often the memory of a process at work is looked at.
POLL_SECONDS = 0.05
# Longest wait after an answer for the runtime to ask for the next event, before it is frozen where it stands.
SETTLE_SECONDS = 2.0
# Between SIGTERM and SIGKILL for a runtime that registered an extension; the others get no SIGTERM.
TERM_SECONDS = 0.5
LOG_BYTES = 1024 * 1024


class InitError(Exception):
    """The process did not come as far as asking for its first event. `payload` is Lambda's JSON, `log` what it printed."""

    def __init__(self, payload, log):
        super().__init__(payload.decode("utf-8", "replace"))
        self.payload, self.log = payload, log


@dataclasses.dataclass
class Outcome:
    """How an invocation ended. `log` is what CloudWatch would get, with Lambda's START, END and REPORT lines."""

    payload: bytes
    is_error: bool
    log: str
    streamed_as: str | None
    seconds: float
    first_byte_seconds: float
    init_seconds: float | None
    max_memory_mb: int


class Sandbox:
    """Runs `folder/bootstrap`. Thread-safe as far as `stop` may be called while `invoke` waits; invocations must not overlap."""

    def __init__(self, folder, environment, memory_mb=128, timeout_seconds=3.0, version="$LATEST", freeze=True):
        self.folder = pathlib.Path(folder)
        self.environment, self.memory_mb, self.timeout_seconds = dict(environment), memory_mb, timeout_seconds
        self.version, self.freeze = version, freeze
        self._tmp = tempfile.mkdtemp(prefix="lambda-")
        self._process, self._stopped = None, False
        self._lock = threading.Lock()

    def start(self):
        """Starts the process and waits until it is ready. Raises InitError."""
        self._spawn()

    def invoke(self, invocation):
        """Runs one invocation to its end, whichever it is. Raises InitError when a fresh process was needed and did not start."""
        if self._process is None or not self._process.is_alive():
            self._spawn()
        init_seconds, self._process.init_seconds = self._process.init_seconds, None
        return self._process.run(invocation, self.timeout_seconds, init_seconds, self.version)

    def stop(self):
        with self._lock:
            self._stopped = True
            process = self._process
        if process is not None:
            process.stop()
        shutil.rmtree(self._tmp, ignore_errors=True)

    def log(self):
        """What the process printed since its last invocation."""
        return self._process.take_log() if self._process else ""

    def _spawn(self):
        if self._process is not None:
            self._process.stop()
        process = _Process(self.folder, self._environment(), self.memory_mb, self.freeze)
        with self._lock:
            self._process = process
            stopped = self._stopped
        if stopped:
            process.stop()
        process.wait_ready()

    def _environment(self):
        own = {name: self._tmp + value.removeprefix("/tmp") if value.startswith("/tmp/") else value for name, value in self.environment.items()}
        fixed = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "en_US.UTF-8", "TZ": ":UTC", "TMPDIR": self._tmp, "LAMBDA_TASK_ROOT": str(self.folder), "_HANDLER": "bootstrap"}
        return {**fixed, **own, "LAMBDA_TASK_ROOT": str(self.folder)}


class _Process:
    """One life of a runtime, from its start to its end."""

    def __init__(self, folder, environment, memory_mb, freeze):
        self.memory_mb, self.freeze = memory_mb, freeze
        self.init_seconds, self.peak_kb, self._out_of_memory = None, 0, False
        self._log, self._log_lock, self._log_dropped = bytearray(), threading.Lock(), 0
        self.api = RuntimeApi()
        self.started = time.monotonic()
        bootstrap = folder / "bootstrap"
        try:
            self.child = subprocess.Popen(
                [str(bootstrap)], cwd=folder, env={**environment, "AWS_LAMBDA_RUNTIME_API": self.api.address}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, bufsize=0)
        except OSError as cause:
            self.api.close()
            raise InitError(error("Runtime.InvalidEntrypoint", "Error: %s cannot be run: %s" % (bootstrap, cause.strerror)), "") from cause
        Warden.shared().watch(self.child.pid)
        self._limit()
        self._reader = threading.Thread(target=self._read_log, name="sandbox-log", daemon=True)
        self._reader.start()

    def _limit(self):
        # The watch on resident memory is what Lambda's limit means; this one is for what asks for far more at once than a poll can see.
        bound = 2 * self.memory_mb * 1024**2 + 1024**3
        for what, limit in [(resource.RLIMIT_DATA, bound), (resource.RLIMIT_NOFILE, 1024), (resource.RLIMIT_CORE, 0)]:
            try:
                resource.prlimit(self.child.pid, what, (limit, limit))
            except (ProcessLookupError, PermissionError):
                pass

    def is_alive(self):
        return self.child.poll() is None

    def wait_ready(self):
        """Until the runtime asks for its first event. Raises InitError."""
        deadline = self.started + INIT_SECONDS
        ended = self._wait(lambda: self.api.idle or self.api.init_error is not None, deadline)
        if ended is None and self.api.init_error is None:
            self.init_seconds = time.monotonic() - self.started
            self._freeze()
            return
        payload = self.api.init_error
        if payload is None:
            kind, message = ended
            payload = error(kind, "Error: " + (message or "Init timed out after %.2f seconds" % INIT_SECONDS))
        self.stop()
        raise InitError(payload, self.take_log())

    def run(self, invocation, timeout_seconds, init_seconds, version):
        begin = time.monotonic()
        invocation.deadline_ms = int((time.time() + timeout_seconds) * 1000)
        self._signal(signal.SIGCONT)
        self.api.give(invocation)
        ended = self._wait(lambda: self.api.answer() is not None, begin + timeout_seconds)
        answer = self.api.answer()
        status = ""
        if answer is not None:
            # What it prints after its answer, until it asks for the next event, is part of this invocation.
            self._wait(lambda: self.api.idle, time.monotonic() + SETTLE_SECONDS)
            self._drain()
            seconds, first = answer.last_byte - begin, answer.first_byte - begin
            payload, is_error, streamed_as = answer.payload, answer.is_error, answer.streamed_as
            self._freeze()
        else:
            seconds = first = time.monotonic() - begin
            kind, message = ended
            message = message or "Task timed out after %.2f seconds" % timeout_seconds
            payload, is_error, streamed_as = error(kind, "RequestId: %s Error: %s" % (invocation.request_id, message)), True, None
            status = "\tStatus: %s\tError Type: %s" % ("timeout" if kind == "Sandbox.Timedout" else "error", kind)
            self.stop()
            self._note("%s %s %s\n" % (datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z", invocation.request_id, message))
        report = "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB" % (
            invocation.request_id, seconds * 1000, -(-(seconds + (init_seconds or 0)) * 1000 // 1), self.memory_mb, self.peak_kb // 1024)
        if init_seconds is not None:
            report += "\tInit Duration: %.2f ms" % (init_seconds * 1000)
        log = "START RequestId: %s Version: %s\n%sEND RequestId: %s\n%s%s\n" % (invocation.request_id, version, self.take_log(), invocation.request_id, report, status)
        return Outcome(payload, is_error, log, streamed_as, seconds, first, init_seconds, self.peak_kb // 1024)

    def stop(self):
        """Ends the process and everything that it started."""
        if self.is_alive() and self.api.has_extension and not self._out_of_memory:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            try:
                self.child.wait(TERM_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        # The group can outlive its leader.
        self._signal(signal.SIGKILL)
        self.child.wait()
        self._reader.join(1.0)
        Warden.shared().forget(self.child.pid)
        self.api.close()

    def _wait(self, reached, deadline):
        """None once `reached()`, else why it never will be: (error type, message), the message empty for a lack of time."""
        while True:
            with self.api.changed:
                if reached():
                    return None
                remaining = deadline - time.monotonic()
                if remaining > 0:
                    self.api.changed.wait(min(remaining, POLL_SECONDS))
                if reached():
                    return None
            if not self.is_alive():
                return self._why_it_ended()
            self._watch_memory()
            if remaining <= 0:
                return "Sandbox.Timedout", ""

    def _why_it_ended(self):
        code = self.child.returncode
        if self._out_of_memory:
            return "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"
        if code == 0:
            return "Runtime.ExitError", "Runtime exited without providing a reason"
        if code > 0:
            return "Runtime.ExitError", "Runtime exited with error: exit status %d" % code
        return "Runtime.ExitError", "Runtime exited with error: signal: " + (signal.strsignal(-code) or str(-code)).lower()

    def _watch_memory(self):
        resident = _resident_kb(self.child.pid)
        self.peak_kb = max(self.peak_kb, resident)
        if resident > self.memory_mb * 1024 and self.is_alive():
            self._out_of_memory = True
            self._signal(signal.SIGKILL)
            self.child.wait()

    def _freeze(self):
        self._watch_memory()
        if self.freeze:
            self._signal(signal.SIGSTOP)

    def _signal(self, number):
        # The leader of a group has its number.
        try:
            os.killpg(self.child.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def _read_log(self):
        descriptor = self.child.stdout.fileno()
        while part := os.read(descriptor, 65536):
            self._note(part)
        self.child.stdout.close()
        self.api.wake()

    def _note(self, part):
        part = part.encode() if isinstance(part, str) else part
        with self._log_lock:
            room = max(0, LOG_BYTES - len(self._log))
            self._log += part[:room]
            self._log_dropped += max(0, len(part) - room)

    def _drain(self):
        """Until the pipe of the log is empty, or for 0.1 s."""
        waiting, until = array.array("i", [0]), time.monotonic() + 0.1
        while time.monotonic() < until:
            try:
                fcntl.ioctl(self.child.stdout.fileno(), termios.FIONREAD, waiting)
            except (OSError, ValueError):
                return
            if waiting[0] == 0:
                return
            time.sleep(0.001)

    def take_log(self):
        """What was printed since the last call, ending in a line feed."""
        with self._log_lock:
            text = self._log.decode("utf-8", "replace")
            if self._log_dropped:
                text += "\n(%d bytes more were printed)" % self._log_dropped
            self._log.clear()
            self._log_dropped = 0
        return text if not text or text.endswith("\n") else text + "\n"


def _resident_kb(pid):
    """Resident memory of a process and its descendants; 0 for one that is gone. A page that several share counts for each."""
    total = 0
    try:
        with open("/proc/%d/statm" % pid) as statm:
            total += int(statm.read().split()[1]) * resource.getpagesize() // 1024
        with open("/proc/%d/task/%d/children" % (pid, pid)) as children:
            total += sum(_resident_kb(int(child)) for child in children.read().split())
    except (OSError, IndexError):
        pass
    return total
