"""Sandboxes around small runtimes of their own: `python3 -m unittest` in this folder. Standard library only."""
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

from tarn_executor import sandbox as sandbox_module
from tarn_executor.runtime_api import Invocation
from tarn_executor.sandbox import InitError, Sandbox

# A runtime that does what the event says.
RUNTIME = """#!%s
import http.client, json, os, subprocess, sys, threading, time
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
def call(method, path, body=None, headers={}):
    api.request(method, path, body, headers)
    answer = api.getresponse()
    return answer, answer.read()
%s
served = 0
while True:
    answer, event = call("GET", "/2018-06-01/runtime/invocation/next")
    event, path = json.loads(event), "/2018-06-01/runtime/invocation/" + answer.headers["Lambda-Runtime-Aws-Request-Id"]
    served += 1
    result = {"served": served, "left_ms": int(answer.headers["Lambda-Runtime-Deadline-Ms"]) - int(time.time() * 1000)}
    exec(event.get("do", ""))
    print("before the answer", flush=True)
    call("POST", path + "/response", json.dumps(result))
    print("after the answer", flush=True)
"""


def processes_of(group):
    """Those that live and are no zombies."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state, _, process_group = folder.joinpath("stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(process_group) == group and state != "Z":
            found.append(state)
    return found


def eventually(condition, seconds=5.0):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


class SandboxTest(unittest.TestCase):
    def make(self, at_start="", **settings):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        bootstrap = folder / "bootstrap"
        bootstrap.write_text(RUNTIME % (sys.executable, textwrap.dedent(at_start)))
        bootstrap.chmod(stat.S_IRWXU)
        made = Sandbox(folder, settings.pop("environment", {}), **{"memory_mb": 256, "timeout_seconds": 5.0, **settings})
        self.addCleanup(made.stop)
        return made

    def invoke(self, made, do="", request_id="r-1"):
        outcome = made.invoke(Invocation(request_id, json.dumps({"do": do}).encode()))
        return outcome, json.loads(outcome.payload)

    def test_one_process_serves_many_and_is_told_its_deadline(self):
        made = self.make()
        made.start()
        first, result = self.invoke(made)
        self.assertEqual(result["served"], 1)
        self.assertTrue(4000 < result["left_ms"] <= 5000, result)
        second, result = self.invoke(made)
        self.assertEqual(result["served"], 2)
        self.assertFalse(first.is_error)
        self.assertIsNotNone(first.init_seconds)
        self.assertIsNone(second.init_seconds)

    def test_log_has_all_that_was_printed_between_start_and_end(self):
        made = self.make('print("at start", flush=True)')
        outcome, _ = self.invoke(made)
        lines = outcome.log.splitlines()
        self.assertEqual(lines[:5], ["START RequestId: r-1 Version: $LATEST", "at start", "before the answer", "after the answer", "END RequestId: r-1"])
        self.assertRegex(lines[5], r"^REPORT RequestId: r-1\tDuration: [0-9.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 256 MB\tMax Memory Used: [1-9]\d* MB\tInit Duration: [0-9.]+ ms$")

    def test_who_takes_too_long_is_killed_with_its_children_and_replaced(self):
        made = self.make(timeout_seconds=1.0)
        made.start()
        group = made._process.child.pid
        outcome, result = self.invoke(made, 'subprocess.Popen(["sleep", "60"]); time.sleep(60)')
        self.assertEqual(result, {"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: r-1 Error: Task timed out after 1.00 seconds"})
        self.assertTrue(outcome.is_error)
        self.assertIn("Task timed out after 1.00 seconds\nEND", outcome.log)
        self.assertEqual(processes_of(group), [])
        _, result = self.invoke(made)
        self.assertEqual(result["served"], 1)

    def test_crashes_are_reported_with_their_status_and_log(self):
        made = self.make()
        for do, message in [("sys.exit(7)", "exit status 7"), ("os.kill(os.getpid(), 11)", "signal: segmentation fault"), ("os.abort()", "signal: aborted")]:
            outcome, result = self.invoke(made, 'print("last words", flush=True); ' + do)
            self.assertEqual(result, {"errorType": "Runtime.ExitError", "errorMessage": "RequestId: r-1 Error: Runtime exited with error: " + message})
            self.assertIn("last words\n", outcome.log)
        self.assertEqual(self.invoke(made)[1]["served"], 1)

    def test_who_takes_too_much_memory_is_killed(self):
        made = self.make(memory_mb=128)
        outcome, result = self.invoke(made, 'held = bytearray(os.urandom(1)) * (300 << 20); time.sleep(3)')
        self.assertEqual(result["errorType"], "Runtime.OutOfMemory")
        self.assertGreater(outcome.max_memory_mb, 128)

    def test_more_memory_than_ten_polls_could_see_is_not_given(self):
        _, result = self.invoke(self.make(memory_mb=128), 'bytearray(8 << 30)')
        self.assertEqual(result["errorMessage"], "RequestId: r-1 Error: Runtime exited with error: exit status 1")

    def test_memory_of_children_counts(self):
        outcome, result = self.invoke(self.make(memory_mb=128), 'subprocess.run([sys.executable, "-c", "import time; x = bytearray(b\\"x\\") * (200 << 20); time.sleep(3)"])')
        self.assertEqual(result["errorType"], "Runtime.OutOfMemory")

    def test_nothing_runs_between_invocations(self):
        made = self.make('ticks = []\nthreading.Thread(target=lambda: [(ticks.append(1), time.sleep(0.01)) for _ in range(10000)], daemon=True).start()')
        made.start()
        before = self.invoke(made, 'result = len(ticks)')[1]
        # Time for 200 ticks.
        time.sleep(2)
        after = self.invoke(made, 'result = len(ticks)')[1]
        self.assertLess(after - before, 100)
        self.assertTrue(eventually(lambda: processes_of(made._process.child.pid) == ["T"]))

    def test_start_that_fails_says_why(self):
        for at_start, kind, words in [
            ('call("POST", "/2018-06-01/runtime/init/error", json.dumps({"errorType": "Mine", "errorMessage": "no bucket"})); time.sleep(60)', "Mine", "no bucket"),
            ('print("no bucket", flush=True); sys.exit(3)', "Runtime.ExitError", "exit status 3"),
        ]:
            with self.assertRaises(InitError) as raised:
                self.make(at_start).start()
            self.assertEqual(json.loads(raised.exception.payload)["errorType"], kind)
            self.assertIn(words, str(raised.exception))
        self.assertIn("no bucket", raised.exception.log)

    def test_start_that_takes_too_long_is_ended(self):
        self.addCleanup(setattr, sandbox_module, "INIT_SECONDS", sandbox_module.INIT_SECONDS)
        sandbox_module.INIT_SECONDS = 0.3
        with self.assertRaisesRegex(InitError, "Init timed out after 0.30 seconds"):
            self.make("time.sleep(60)").start()

    def test_missing_and_unreadable_bootstrap(self):
        made = self.make()
        (made.folder / "bootstrap").write_bytes(b"\x7fELF nonsense")
        with self.assertRaisesRegex(InitError, "Exec format error"):
            made.start()
        (made.folder / "bootstrap").unlink()
        with self.assertRaisesRegex(InitError, "Runtime.InvalidEntrypoint.*No such file"):
            made.start()

    def test_answer_over_six_megabytes_is_refused(self):
        _, result = self.invoke(self.make(), 'result = "x" * (6 * 1024 * 1024 + 99)')
        self.assertEqual(result["errorType"], "Function.ResponseSizeTooLarge")
        _, result = self.invoke(self.make(), 'result = "x" * (6 * 1024 * 1024 - 2)')
        self.assertEqual(len(result), 6 * 1024 * 1024 - 2)

    def test_streamed_answer_keeps_its_content_type_and_its_error(self):
        chunks = '''
headers = {"Lambda-Runtime-Function-Response-Mode": "streaming", "Content-Type": "x/y"}
api.putrequest("POST", path + "/response")
[api.putheader(*h) for h in {**headers, "Transfer-Encoding": "chunked"}.items()]
api.endheaders()
api.send(b"2\\r\\n[1\\r\\n"); time.sleep(0.2); api.send(b"2\\r\\n,2\\r\\n1\\r\\n]\\r\\n0\\r\\n%s\\r\\n")
api.getresponse().read()
call = lambda *a, **k: (lambda c: c)(None) if a[1].endswith("/response") else globals()["real"](*a, **k)
'''
        made = self.make("real = call")
        outcome, result = self.invoke(made, chunks % "")
        self.assertEqual((outcome.streamed_as, result, outcome.is_error), ("x/y", [1, 2], False))
        self.assertGreater(outcome.seconds - outcome.first_byte_seconds, 0.15)
        outcome, result = self.invoke(made, chunks % "Lambda-Runtime-Function-Error-Type: Late\\\\r\\\\n".replace("\\\\", "\\"))
        self.assertEqual((outcome.is_error, result["errorType"]), (True, "Late"))

    def test_values_below_tmp_are_moved_into_a_folder_that_goes(self):
        made = self.make(environment={"CACHE": "/tmp/cache", "OTHER": "/var/cache"})
        _, result = self.invoke(made, 'result = [os.environ[n] for n in ("CACHE", "OTHER", "TMPDIR")]')
        cache, other, tmp = result
        self.assertEqual((cache, other), (tmp + "/cache", "/var/cache"))
        self.assertTrue(os.path.isdir(tmp))
        made.stop()
        self.assertFalse(os.path.exists(tmp))

    def test_sigterm_only_for_those_who_asked(self):
        told = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "told"
        handler = 'import signal, pathlib\nsignal.signal(15, lambda *_: (pathlib.Path("%s").write_text("term"), os._exit(0)))\n' % told
        register = 'call("POST", "/2020-01-01/extension/register", "{}", {"Lambda-Extension-Name": "x"})'
        for at_start, expected in [(handler, False), (handler + register, True)]:
            made = self.make(at_start)
            self.invoke(made)
            made.stop()
            self.assertEqual(told.exists(), expected)

    def test_stop_ends_a_running_invocation(self):
        made = self.make()
        made.start()
        threading.Timer(0.3, made.stop).start()
        outcome, result = self.invoke(made, "time.sleep(60)")
        self.assertEqual(result["errorMessage"], "RequestId: r-1 Error: Runtime exited with error: signal: killed")

    def test_frozen_processes_go_when_their_parent_is_killed(self):
        made = self.make()
        script = "import sys; sys.path.insert(0, %r)\nfrom tarn_executor.sandbox import Sandbox\ns = Sandbox(%r, {})\ns.start()\nprint(s._process.child.pid, flush=True)\nimport time; time.sleep(60)"
        parent = subprocess.Popen([sys.executable, "-c", script % (os.path.dirname(os.path.abspath(__file__)), str(made.folder))], stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(made.folder)})
        group = int(parent.stdout.readline())
        frozen = eventually(lambda: processes_of(group) == ["T"])
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
        self.assertTrue(frozen)
        self.assertTrue(eventually(lambda: not processes_of(group)), "process group %d outlived its parent" % group)


if __name__ == "__main__":
    unittest.main()
