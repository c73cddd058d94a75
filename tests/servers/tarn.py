"""What the Python scripts of the tests share: a tarn on a free port, folders made once and cached. Standard library only."""
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tarn"
TOOLS = CACHE / "tools"


def cached(directory, sources, make):
    """`directory`, made by `make` unless it was made from exactly these files."""
    stamp = directory / ".made-from"
    wanted = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        make()
        stamp.write_text(wanted)
    return directory


def venv(name, requirements):
    """The Python of a cached virtual environment with the requirements, which are pinned by hash."""

    def make():
        subprocess.run([sys.executable, "-m", "venv", TOOLS / name], check=True)
        subprocess.run([TOOLS / name / "bin/pip", "install", "-q", "--require-hashes", "-r", requirements], check=True)

    return str(cached(TOOLS / name, [requirements], make) / "bin/python")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def serve(binary, folder, store=None, **settings):
    """Runs `binary` with its data in `store` [folder/store] and gives its URL; kills it at the end. Prints its log when something raises."""
    url = "http://127.0.0.1:%d" % free_port()
    path = folder / "tarn.log"
    with open(path, "wb") as log:
        command = [os.path.abspath(binary), "serve", "--listen", url.removeprefix("http://"), "--store", store or "file://%s/store" % folder]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **settings}, cwd=folder)
    try:
        wait_ready(process, url)
        yield url
    except BaseException:
        print("end of the server's log:\n" + path.read_text(errors="replace")[-3000:], file=sys.stderr)
        raise
    finally:
        process.kill()
        process.wait()


def bucket(variable):
    """The store at http://key:secret@host:port/bucket, as the scripts of this folder print it: (the value of --store, the settings beside it)."""
    place = urllib.parse.urlsplit(variable)
    settings = {"AWS_ACCESS_KEY_ID": place.username, "AWS_SECRET_ACCESS_KEY": place.password, "AWS_REGION": "us-east-1"}
    return "s3:/" + place.path, {**settings, "AWS_ENDPOINT_URL": "http://%s:%d" % (place.hostname, place.port)}


def wait_ready(process, url):
    for _ in range(600):
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(url + "/ready", timeout=2).close()
            return
        if process.poll() is not None:
            raise RuntimeError("tarn ended with status %d before it was ready" % process.returncode)
        time.sleep(0.1)
    raise RuntimeError("tarn was not ready after a minute")


def get(url, path, tenant=None, **parameters):
    """The JSON that a GET answers."""
    headers = {"X-Scope-OrgID": tenant} if tenant else {}
    with urllib.request.urlopen(urllib.request.Request(url + path + "?" + urllib.parse.urlencode(parameters), headers=headers), timeout=60) as answer:
        return json.load(answer)


def push(url, streams):
    """Pushes [(labels, [(ns, line, metadata)])] as JSON."""
    body = {"streams": [{"stream": labels, "values": [[str(ns), line, metadata] for ns, line, metadata in values]} for labels, values in streams]}
    request = urllib.request.Request(url + "/loki/api/v1/push", json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=60).close()
