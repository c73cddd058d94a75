"""Checks of the documents: links, configurations of clients (they parse, and their options are those that are documented), paths, commands."""
import ast
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request

import yaml

import tools
from common import ROOT, SKIPPED, output, problems_of
from tarn import get, push, serve

sys.path.insert(0, str(ROOT / "tests/clients"))
import pages  # noqa: E402: the module is in that folder

DOCS = ROOT / "docs"
CLIENTS = DOCS / "clients"
# Formats that a block without a language may have, by page: how to tell that it is well formed.
SECTIONS = {"fluentd.md": "fluentd", "elasticsearch.md": "any", "logstash.md": "logstash", "syslog-ng.md": "braces", "rsyslog.md": "braces"}

# Options of the clients as their documentation and source of August 2026 name them, of the parts that our pages show.
LOKI_WRITE = """url batch_size batch_wait bearer_token_file bearer_token enable_http2 follow_redirects http_headers headers max_backoff_period max_backoff_retries min_backoff_period name
    no_proxy proxy_connect_header proxy_from_environment proxy_url remote_timeout retry_on_http_429 tenant_id authorization basic_auth oauth2 queue_config tls_config"""
PROMTAIL_CLIENT = """url headers tenant_id batchwait batchsize basic_auth oauth2 bearer_token bearer_token_file proxy_url tls_config backoff_config drop_rate_limited_batches external_labels
    timeout name follow_redirects enable_http2"""
FLUENT_BIT_LOKI = """name match match_regex alias host uri port tls http_user http_passwd bearer_token header tenant_id labels label_keys label_map_path structured_metadata
    structured_metadata_map_keys remove_keys drop_single_key line_format auto_kubernetes_labels tenant_id_key tenant_id_key_error_handling buffer_size compress workers retry_limit
    storage.total_limit_size"""
FLUENT_BIT_SERVICE = """flush grace daemon log_level log_file storage.path storage.type storage.inherit storage.sync storage.checksum storage.max_chunks_up storage.backlog.mem_limit
    storage.keep.rejected scheduler.cap scheduler.base"""
VECTOR_LOKI = """type inputs acknowledgements auth batch buffer compression encoding endpoint healthcheck labels out_of_order_action path proxy remove_label_fields
    remove_structured_metadata_fields remove_timestamp request structured_metadata tenant_id tls"""
FLUENTD_LOKI = """@type url username password bearer_token_file tenant cert key ca_cert insecure_tls custom_headers compress extra_labels remove_keys line_format drop_single_key
    extract_kubernetes_labels include_thread_label"""
FLUENTD_BUFFER = """@type path flush_interval flush_mode flush_thread_count flush_at_shutdown chunk_limit_size total_limit_size overflow_action retry_forever retry_timeout retry_max_interval
    retry_wait retry_max_times"""
DOCKER = """loki-url loki-external-labels loki-timeout loki-batch-wait loki-batch-size loki-min-backoff loki-max-backoff loki-retries loki-pipeline-stage-file loki-pipeline-stages
    loki-relabel-config loki-tenant-id loki-tls-ca-file loki-tls-cert-file loki-tls-key-file loki-tls-server-name loki-tls-insecure-skip-verify loki-proxy-url no-file keep-file max-size
    max-file labels env env-regex mode max-buffer-size"""
OMHTTP = """type name template server serverport healthchecktimeout healthchecktimedelay httpcontenttype httpheaderkey httpheadervalue httpheaders httpretrycodes httpignorablecodes proxyhost
    proxyport uid pwd restpath dynrestpath restpathtimeout checkpath batch batch.format batch.maxsize batch.maxbytes retry retry.ruleset retry.addmetadata ratelimit.interval ratelimit.burst
    errorfile compress compress.level usehttps tls.cacert tls.mycert tls.myprivkey allowunsignedcerts skipverifyhost reloadonhup statsname
    action.resumeretrycount action.resumeinterval queue.type queue.filename queue.maxdiskspace queue.saveonshutdown queue.size"""
SYSLOG_NG_HTTP = """url method headers user password body-prefix body delimiter body-suffix batch-lines batch-bytes batch-timeout timeout time-reopen response-action disk-buffer retries workers
    content-compression tls persist-name log-fifo-size user-agent throttle use-system-cert-store"""


def documents():
    """Every document of the project but those of dependencies."""
    return sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "infra/README.md", ROOT / "localstack/README.md"])


def anchors(text):
    """What links may name behind a #: its headings, as renderers of Markdown write them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", h.replace("`", "").lower()).replace(" ", "-") for h in headings}


def links(_):
    """Links lead to files and headings, and commands name files that there are."""
    problems = []
    for path in documents():
        text = path.read_text()
        for target, anchor in re.findall(r"\]\(([^)#\s:]*)(?:#([^)]*))?\)", text):
            file = path.parent / target if target else path
            if not file.exists():
                problems.append("%s: there is no %s" % (path.relative_to(ROOT), target))
            elif anchor and anchor not in anchors(file.read_text()):
                problems.append("%s: %s has no heading #%s" % (path.relative_to(ROOT), target or "it", anchor))
        for target in re.findall(r"(?<![\w/.-])((?:infra|localstack|tests|docs)/[\w./-]*\w)", text):
            if not (ROOT / target).exists():
                problems.append("%s: there is no %s" % (path.relative_to(ROOT), target))
    return problems


def index(_):
    """Every page about a client is in the list of them, and every document but records of decisions is linked from the README or a page that it links."""
    text = (CLIENTS / "README.md").read_text()
    problems = ["docs/clients/README.md does not list %s" % p.name for p in sorted(CLIENTS.glob("*.md")) if p.name != "README.md" and "(%s)" % p.name not in text]
    readme = (ROOT / "README.md").read_text()
    for path in sorted(DOCS.glob("*.md")):
        if "(docs/%s)" % path.name not in readme:
            problems.append("README.md does not link docs/%s" % path.name)
    return problems


def balanced(text):
    """What is wrong with the brackets outside of quotes and comments, or None."""
    closing = {")": "(", "]": "[", "}": "{"}
    stack = []
    text = re.sub(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'", '""', text)
    text = re.sub(r"#.*$", "", text, flags=re.M)
    for n, line in enumerate(text.split("\n"), 1):
        for c in line:
            if c in "([{":
                stack.append(c)
            elif c in closing and (not stack or stack.pop() != closing[c]):
                return "line %d closes what is not open: %s" % (n, c)
    return "%s is not closed" % stack[-1] if stack else None


def fluentd(text):
    """[(section path, option)] of Fluentd's configuration; raises ValueError when its sections do not fit."""
    path, options = [], []
    for line in text.split("\n"):
        line = line.split(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("</"):
            if not path or path.pop() != line[2:-1]:
                raise ValueError("%s closes what is not open" % line)
        elif line.startswith("<"):
            path.append(re.match(r"<(\w+)(?: [^>]*)?>$", line).group(1))
        else:
            options.append(("/".join(path), line.split()[0]))
    if path:
        raise ValueError("<%s> is not closed" % path[-1])
    return options


def alloy():
    """The command that parses Alloy's configuration, or None where there is no Go."""
    if not shutil.which("go"):
        return None
    source = tools.HERE / "alloy"
    folder = tools.TOOLS / "infra-alloy"
    files = [source / "main.go", source / "go.mod", source / "go.sum"]

    def make():
        subprocess.run(["go", "build", "-o", folder / "parse", "."], cwd=source, check=True, env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"})

    return [tools.cached(folder, files, make) / "parse"]


def parse(language, page, text):
    """What is wrong with a block, or None; 'unknown' for a language that nothing here reads."""
    try:
        if language in ("yaml", "yml"):
            list(yaml.safe_load_all(text))
        elif language == "toml":
            tomllib.loads(text)
        elif language == "json":
            json.loads(text)
        elif language == "ini":
            # Fluent Bit's classic format too: keys and values with blanks between, below sections.
            for line in text.splitlines():
                if not re.match(r"\s*([#;].*)?$|\[[\w.]+\]$|\s+\S+\s+\S|[\w.]+ *= *\S", line):
                    raise ValueError("neither a section nor a key with a value: %s" % line)
        elif language == "python":
            ast.parse(text)
        elif language == "js":
            with tempfile.NamedTemporaryFile("w", suffix=".cjs") as file:
                file.write(text)
                file.flush()
                return next(iter(problems_of(["node", "--check", file.name])), None)
        elif language in ("sh", "bash"):
            # Placeholders such as <name> are no redirections.
            status, said = output(["bash", "-n"], input=re.sub(r"<([\w-]+)>", r"\1", text))
            return said if status else None
        elif language == "alloy":
            command = alloy()
            done = subprocess.run(command, input=text, capture_output=True, text=True) if command else None
            return done.stdout if done and done.returncode else None
        elif language == "":
            kind = SECTIONS.get(page)
            if kind == "fluentd":
                fluentd(text)
            elif kind in ("braces", "logstash"):
                return balanced(text)
        elif language in ("rust", "sql", "hcl", "text", "promql", "logql", "console"):
            return None
        else:
            return "unknown"
    except (ValueError, SyntaxError, yaml.YAMLError, AttributeError) as error:
        return "%s: %s" % (type(error).__name__, error)
    return None


def code_blocks(_):
    """Every block of configuration and code in the documents, and the agent's file of localstack/, can be read by what it is for."""
    wrong = parse("alloy", "", (ROOT / "localstack/alloy/config.alloy").read_text())
    problems, count = ["localstack/alloy/config.alloy: %s" % wrong] if wrong else [], 0
    for path in documents():
        for language, text, line in pages.blocks(path.read_text()):
            wrong = parse(language, path.name, text)
            count += wrong is None
            if wrong == "unknown":
                problems.append("%s:%d: nothing here reads a block of '%s'" % (path.relative_to(ROOT), line, language))
            elif wrong:
                problems.append("%s:%d: %s" % (path.relative_to(ROOT), line, wrong.strip()[:500]))
    return problems if count > 60 else problems + ["only %d blocks were read" % count]


def the_block(page, language):
    [found] = [text for name, text, _ in pages.blocks((CLIENTS / page).read_text()) if name == language][:1]
    return found


def options(_):
    """The options in the configurations of clients that no test runs are ones that their documentation has."""
    problems = []

    def known(page, names, documented):
        allowed = documented.split()
        problems.extend("%s: no option '%s' is documented" % (page, n) for n in names if n not in allowed)
        if not names:
            problems.append("%s: no options were found" % page)

    if alloy():
        text = the_block("alloy.md", "alloy")
        said = subprocess.run(alloy(), input=text, capture_output=True, text=True).stdout.split()
        known("alloy.md", [n.split("/")[2] for n in said if n.startswith("loki.write/endpoint/")], LOKI_WRITE)
    [client] = yaml.safe_load(the_block("promtail.md", "yaml"))["clients"]
    known("promtail.md", list(client), PROMTAIL_CLIENT)
    known("promtail.md", list(client["backoff_config"]), "min_period max_period max_retries")
    bit = yaml.safe_load(the_block("fluent-bit.md", "yaml"))
    known("fluent-bit.md", list(bit["service"]), FLUENT_BIT_SERVICE)
    known("fluent-bit.md", [n for o in bit["pipeline"]["outputs"] for n in o], FLUENT_BIT_LOKI)
    known("vector.md", list(yaml.safe_load(the_block("vector.md", "yaml"))["sinks"]["tarn"]), VECTOR_LOKI)
    found = fluentd(the_block("fluentd.md", ""))
    known("fluentd.md", [n for where, n in found if where == "match"], FLUENTD_LOKI)
    known("fluentd.md", [n for where, n in found if where == "match/buffer"], FLUENTD_BUFFER)
    known("docker.md", list(json.loads(the_block("docker.md", "json"))["log-opts"]), DOCKER)
    rsyslog = the_block("rsyslog.md", "")
    for action in re.findall(r'action\(type="omhttp"(.*?)\)$', rsyslog, re.M | re.S):
        known("rsyslog.md", [n.lower() for n in re.findall(r"([\w.]+)=[\"\[]", action)], OMHTTP)
    http = re.search(r"^  http\(\n(.*?)^  \);", the_block("syslog-ng.md", ""), re.M | re.S).group(1)
    known("syslog-ng.md", re.findall(r"^    ([\w-]+)\(", http, re.M), SYSLOG_NG_HTTP)
    return problems


# Paths of other servers that pages name.
ELSEWHERE = re.compile(r"^/(?:var|etc|usr|path|home|opt|tmp|sys|proc|dev|work|root|data|bin|sbin|lib|run)(?:/|$)")
# Paths that pages name because they are not there.
NOT_THERE = {"/loki/api/v1/rules"}
# Files and templates that look like paths.
NO_PATH = re.compile(r"[*<>{}$]|\.(?:md|log|toml|yaml|json|conf|token|db)$")


def paths(context):
    """Every path of the HTTP API that a page about clients names is one that the server has."""
    if not context["bin"]:
        return SKIPPED
    named = {}
    for page in [*CLIENTS.glob("*.md"), DOCS / "grafana.md", DOCS / "moving-from-loki.md"]:
        text = page.read_text()
        found = re.findall(r"(?:https?://|[\s\"'`(])(?:tarn(?:\.example)?|127\.0\.0\.1|localhost|logs\.example\.com)(?::\d+)?(/[\w/.{}*$<>-]+)", text)
        found += re.findall(r"[\"'`( ](/(?:loki|tarn|otlp|api|elasticsearch|aws|prometheus|config|ready|metrics)[\w/.-]*)", text)
        for path in found:
            if not NO_PATH.search(path) and not ELSEWHERE.search(path):
                named.setdefault(path.rstrip("."), page.name)
    problems = []
    with tempfile.TemporaryDirectory(prefix="tarn-infra-") as folder, serve(context["bin"], pathlib.Path(folder)) as url:
        for path, page in sorted(named.items()):
            # Prefixes that clients add to.
            if path in ("/otlp", "/loki", "/loki/api/v1", "/prometheus", "/api/prom", "/aws"):
                continue
            status = status_of(url + path)
            if (status == 404) != (path in NOT_THERE):
                problems.append("%s: the server answers %d at %s" % (page, status, path))
    return problems if len(named) > 8 else problems + ["only these paths were found: %s" % sorted(named)]


def status_of(url, method="GET", body=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def loki_copy(context):
    """infra/loki/copy brings every line with its labels, metadata and time into another store, however many share a moment, and twice does no harm."""
    if not context["bin"]:
        return SKIPPED
    start = 1795000000 * 10**9
    streams = []
    for n, app in enumerate(("shop", "shop", "cart")):
        labels = {"namespace": "shop", "app": app, "pod": "p%d" % n}
        entries = [(start + i * 3 * 10**9 + n, "line %d of %d \" \\ ü" % (i, n), {"trace_id": "t%d" % i}) for i in range(500)]
        # Many lines at one moment, and on both sides of a step's end.
        entries += [(start + 800 * 10**9 - 10 + i % 20, "burst %d" % i, {}) for i in range(300)]
        streams.append((labels, entries))
    with tempfile.TemporaryDirectory(prefix="tarn-infra-") as folder:
        places = [pathlib.Path(folder) / name for name in ("old", "new")]
        for place in places:
            place.mkdir()
        with serve(context["bin"], places[0]) as old, serve(context["bin"], places[1]) as new:
            push(old, streams)
            push(old, [({"namespace": "other"}, [(start, "not selected", {})])])
            command = [sys.executable, ROOT / "infra/loki/copy", "--from", old, "--to", new, "--selector", '{namespace="shop"}', "--start", "2026-11-18T11:00:00Z"]
            command += ["--end", "2026-11-18T12:00:00Z", "--step", "1200", "--limit", "200"]
            wrong = []
            for more, status, words in ((["--check"], 1, "problems"), ([], 0, "2400 lines copied, every count is the same"), ([], 0, "2400 lines"), (["--check"], 0, "every count is the same")):
                got, text = output([*command, *more])
                if got != status or words not in text:
                    wrong.append("copy %s ended with %d: %s" % (" ".join(more), got, text[-1500:]))
            window = {"start": start - 10**12, "end": start + 10**13, "limit": 5000, "direction": "forward"}
            for app, pod in (("shop", "p0"), ("shop", "p1"), ("cart", "p2")):
                query = '{app="%s", pod="%s"}' % (app, pod)
                if get(old, "/loki/api/v1/query_range", query=query, **window)["data"]["result"] != get(new, "/loki/api/v1/query_range", query=query, **window)["data"]["result"]:
                    wrong.append("%s is not the same" % query)
            if get(new, "/loki/api/v1/query_range", query='{namespace="other"}', **window)["data"]["result"]:
                wrong.append("lines that were not selected were copied")
    return wrong


CHECKS = [
    ("docs: links", links),
    ("docs: index", index),
    ("docs: code blocks", code_blocks),
    ("docs: options of clients", options),
    ("docs: paths of the API", paths),
    ("loki: copy", loki_copy),
]
