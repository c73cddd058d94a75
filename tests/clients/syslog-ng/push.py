"""Sends every line of a file as a message to a syslog-ng of its own, and waits until that has delivered them. Usage: push.py URL LINES PAGE ROOT

PAGE is the configuration of docs/clients/syslog-ng.md with the addresses filled in, ROOT the tree that syslog-ng was unpacked into.
"""
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import debian  # noqa: E402: the module is beside this folder
import pages  # noqa: E402

SECONDS = 90
# Severity numbers of the levels that the test expects.
SEVERITIES = (6, 4, 3)
FACILITY = 1


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("%s: not after %d seconds" % (what, SECONDS))
        time.sleep(0.1)


def main(path, page, root):
    lines = [line for line in pathlib.Path(path).read_text(encoding="utf-8").split("\n") if line]
    root = pathlib.Path(root)
    environment = {"LD_LIBRARY_PATH": ":".join(debian.libraries(root)), "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    [modules] = [p.parent for p in root.rglob("libhttp.so")]
    with tempfile.TemporaryDirectory(prefix="tarn-syslog-ng-") as folder:
        folder = pathlib.Path(folder)
        port = free_port()
        source = 'syslog(ip("127.0.0.1") port(%d) transport("tcp") log-msg-size(1048576));' % port
        config = folder / "syslog-ng.conf"
        config.write_text(pages.filled(pathlib.Path(page).read_text(encoding="utf-8"), **{"system(); internal();": source, "/var/lib/syslog-ng": str(folder)}), encoding="utf-8")
        log = folder / "log"
        control = folder / "control"
        with open(log, "wb") as out:
            command = [root / "usr/sbin/syslog-ng", "-F", "-e", "--no-caps", "-f", config, "--module-path=%s" % modules, "--control=%s" % control]
            command += ["--persist-file=%s" % (folder / "persist"), "--pidfile=%s" % (folder / "pid")]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
        try:
            until("syslog-ng starts", lambda: process.poll() is not None or b"starting up" in log.read_bytes())
            if process.poll() is not None:
                sys.exit("syslog-ng ended: " + log.read_text(errors="replace"))
            send(port, lines)

            def written():
                stats = subprocess.run([root / "usr/sbin/syslog-ng-ctl", "stats", "--control=%s" % control], capture_output=True, text=True, check=True, env=environment).stdout
                found = re.search(r"^dst\.http;d_tarn#0;.*;written;(\d+)$", stats, re.M)
                return found and int(found.group(1)) >= len(lines)

            until("syslog-ng delivers", written)
        except SystemExit:
            print(log.read_text(errors="replace")[-2000:], file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(timeout=SECONDS)
    print(len(lines))


def send(port, lines):
    """RFC 5424 in frames with their length (RFC 6587). Two programs, three levels, a microsecond between messages."""
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    with socket.create_connection(("127.0.0.1", port)) as s:
        for n, line in enumerate(lines):
            message = "<%d>1 %s.%06dZ web-1 shop-%d %d - - %s" % (FACILITY * 8 + SEVERITIES[n % 3], second, n, n % 2, 1000 + n, line)
            s.sendall(b"%d %s" % (len(message.encode()), message.encode()))


if __name__ == "__main__":
    main(*sys.argv[2:])
