"""Checks of what runs beside Tarn or on one machine: Dockerfile, compose, Grafana, systemd; and of names and links in all of it."""
import fnmatch
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

import yaml

import tools
from common import INFRA, ROOT, SKIPPED, output, problems_of
from tarn import get, push, serve

COMPOSE = ROOT / "localstack/docker-compose.yaml"
DOCKERFILE = INFRA / "docker/Dockerfile"
DASHBOARD = INFRA / "grafana/dashboards/tarn.json"
ALERTS = INFRA / "grafana/alerts.yaml"
# What a scrape adds to every series, and what PromQL makes.
SCRAPED = {"instance", "job"}


def hadolint(_):
    return problems_of([tools.bin_of("tools") / "hadolint", "--failure-threshold", "style", DOCKERFILE])


def docker_context(_):
    """Every crate is in the context, since cargo wants all members; the compiler is the project's."""
    problems = []
    members = re.search(r"^members = \[(.*)\]", (ROOT / "Cargo.toml").read_text(), re.M).group(1)
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    let_in = {line.split("/")[0] for line in allowed}
    for member in re.findall(r'"([^"]+)"', members):
        if member not in let_in:
            problems.append(".dockerignore leaves out the crate %s" % member)
    # What the sources take in from elsewhere.
    for crate in let_in & set(re.findall(r'"([^"]+)"', members)):
        for source in (ROOT / crate).rglob("*.rs"):
            for taken in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', source.read_text()):
                path = (source.parent / taken).resolve().relative_to(ROOT)
                if not any(fnmatch.fnmatch(str(path), line) or str(path).startswith(line + "/") for line in allowed):
                    problems.append(".dockerignore leaves out %s, which %s takes in" % (path, source.relative_to(ROOT)))
    version = re.search(r'channel = "([^"]+)"', (ROOT / "rust-toolchain.toml").read_text()).group(1)
    text = DOCKERFILE.read_text()
    if "FROM rust:%s-" % version not in text or "RUSTUP_TOOLCHAIN=%s\n" % version not in text:
        problems.append("the Dockerfile does not build with Rust %s" % version)
    if re.search(r"^ENV .*TARN_LISTEN", text, re.M) or not re.search(r"^ENV PORT=3100\b", text, re.M):
        problems.append("the image does not listen where Knative says in PORT, or nowhere else")
    if not re.search(r"^USER 65532:65532$", text, re.M):
        problems.append("the image runs as root")
    return problems


def compose_schema(_):
    return problems_of([tools.bin_of("tools") / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE])


def compose_files(_):
    """Files, services and configurations that it names are there; images have a version; nothing listens beyond this machine."""
    compose = yaml.safe_load(COMPOSE.read_text())
    problems = []
    profiles = {p for s in compose["services"].values() for p in s.get("profiles", [])}
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and not (COMPOSE.parent / source).exists():
                problems.append("%s: there is no %s" % (name, source))
            elif not source.startswith((".", "/")) and source not in compose["volumes"]:
                problems.append("%s: volume %s is not declared" % (name, source))
        problems += ["%s: there is no configuration %s" % (name, c["source"]) for c in service.get("configs", []) if c["source"] not in compose["configs"]]
        problems += ["%s: there is no service %s" % (name, d) for d in service.get("depends_on", []) if d not in compose["services"]]
        problems += ["%s listens on %s" % (name, p) for p in service.get("ports", []) if not p.startswith("127.0.0.1:")]
        image = service.get("image", "")
        if not re.search(r":[^:/]*\d|:local$", image):
            problems.append("%s: image %s has no version" % (name, image))
        if "build" in service and not (COMPOSE.parent / service["build"]["context"] / service["build"]["dockerfile"]).exists():
            problems.append("%s: there is no Dockerfile" % name)
    if profiles != {"seaweedfs", "minio", "localstack", "aws"}:
        problems.append("profiles are %s" % profiles)
    if "COMPOSE_PROFILES=seaweedfs" not in (COMPOSE.parent / ".env").read_text():
        problems.append("no store runs by default")
    return problems


def expressions():
    """(where, PromQL) of the dashboard and the alerts, with what Grafana fills in filled in."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield "panel '%s'" % panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield "alert %s" % rule["alert"], rule["expr"]


def parsed():
    """[(where, PromQL, what the parser said)]"""
    all_of_them = list(expressions())
    done = subprocess.run(tools.promql(), input=json.dumps([e for _, e in all_of_them]), capture_output=True, text=True, check=True)
    return [(where, text, result) for (where, text), result in zip(all_of_them, json.loads(done.stdout))]


def grafana_queries(_):
    results = parsed()
    problems = ["%s: %s in %s" % (where, r["error"], text) for where, text, r in results if "error" in r]
    problems += ["%s has no metric: %s" % (where, text) for where, text, r in results if "error" not in r and not r["selectors"]]
    return problems if len(results) > 40 else ["only %d queries were found" % len(results)]


def grafana_files(_):
    problems = []
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    if len({p["id"] for p in panels}) != len(panels):
        problems.append("panels share an id")
    cells = {}
    for p in panels:
        at = p["gridPos"]
        if at["x"] + at["w"] > 24:
            problems.append("panel '%s' is wider than the page" % p["title"])
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            if cells.setdefault(cell, p["title"]) != p["title"]:
                problems.append("panels '%s' and '%s' lie on each other" % (p["title"], cells[cell]))
                break
    [source] = yaml.safe_load((INFRA / "grafana/provisioning/datasources/tarn.yaml").read_text())["datasources"]
    if (source["type"], source["access"]) != ("loki", "proxy"):
        problems.append("the data source is %s" % source)
    [provider] = yaml.safe_load((INFRA / "grafana/provisioning/dashboards/tarn.yaml").read_text())["providers"]
    mounted = [v for v in yaml.safe_load(COMPOSE.read_text())["services"]["grafana"]["volumes"] if v.split(":")[1] == provider["options"]["path"]]
    if not mounted:
        problems.append("compose does not put the dashboards where Grafana looks: %s" % provider["options"]["path"])
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            if not {"alert", "expr", "labels", "annotations"} <= rule.keys() or not {"summary", "description"} <= rule["annotations"].keys() or rule["labels"]["severity"] not in ("critical", "warning"):
                problems.append("alert %s lacks something" % rule.get("alert"))
    return problems


def exported(binary):
    """{metric: labels} of a server that took a push and answered a query, and its settings as environment names."""
    with tempfile.TemporaryDirectory(prefix="tarn-infra-") as folder, serve(binary, pathlib.Path(folder)) as url:
        push(url, [({"app": "x"}, [(1795000000 * 10**9, "line", {})])])
        get(url, "/loki/api/v1/query", query="vector(1)")
        metrics = subprocess.run(["curl", "-sf", url + "/metrics"], capture_output=True, text=True, check=True).stdout
        defaults = yaml.safe_load(subprocess.run(["curl", "-sf", url + "/config?mode=defaults"], capture_output=True, text=True, check=True).stdout)
    series = {}
    for line in metrics.splitlines():
        found = re.match(r"([a-z_0-9]+)(?:\{(.*)\})? \S+$", line)
        if found:
            series.setdefault(found.group(1), set()).update(re.findall(r'(\w+)="', found.group(2) or ""))
    settings = set()
    for key, value in defaults.items():
        inner = ["%s_%s" % (key, k) for k in value] if isinstance(value, dict) else [key]
        settings.update("TARN_" + name.upper() for name in inner)
    return series, settings


def grafana_metrics(context):
    if not context["bin"]:
        return SKIPPED
    series, _ = exported(context["bin"])
    problems = []
    for where, text, result in parsed():
        for metric, labels in result.get("selectors", []):
            if metric == "up":
                continue
            if metric not in series:
                problems.append("%s: Tarn exports no %s" % (where, metric))
            elif set(labels) - series[metric] - SCRAPED:
                problems.append("%s: %s has no label %s" % (where, metric, sorted(set(labels) - series[metric] - SCRAPED)))
        for grouped in re.findall(r"\bby \(([^)]*)\)", text):
            known = SCRAPED.union(*(series.get(m, set()) for m, _ in result.get("selectors", [])))
            problems += ["%s: no label %s to group by" % (where, g) for g in re.split(r",\s*", grouped) if g not in known]
    return problems


# Environment variables that are no settings of the server: of the command line, of functions (see below), and one of ours for Alloy and Grafana.
OTHER_NAMES = {"TARN_CONFIG", "TARN_URL", "TARN_TENANT", "TARN_TOKEN", "TARN_PUSH_URL", "TARN_LOG"}


def names(context):
    """Every TARN_ variable in templates and in the documents about deploying is a setting that there is."""
    if not context["bin"]:
        return SKIPPED
    known = exported(context["bin"])[1] | OTHER_NAMES
    # What the functions and the server name in their sources, such as secrets that /config does not show.
    folders = [ROOT / "server/src/config", ROOT / "server/src/serve", ROOT / "lambda/src"]
    sources = "".join(p.read_text() for folder in folders for p in folder.rglob("*.rs"))
    known |= set(re.findall(r'"(TARN_[A-Z_]+)"', sources)) | {"TARN_" + key.replace(".", "_").upper() for key in re.findall(r'"([a-z]+\.[a-z_.]+)"', sources)}
    # The sources of events come after the functions themselves.
    if not (ROOT / "lambda/src/sources.rs").exists():
        known |= {"TARN_LAMBDA_RULES", "TARN_FIREHOSE_ACCESS_KEY"}
    problems = []
    files = [p for folder in (INFRA, ROOT / "docs/deploy") for p in folder.rglob("*") if p.is_file()] + [COMPOSE]
    for path in files:
        for name in sorted(set(re.findall(r"\bTARN_[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))):
            if name not in known:
                problems.append("%s: %s is no setting" % (path.relative_to(ROOT), name))
    return problems


def shell(_):
    scripts = [p for folder in ("infra", "localstack") for p in (ROOT / folder).rglob("*") if p.is_file() and p.read_bytes()[:20].startswith(b"#!/usr/bin/env bash")]
    scripts = [s for s in scripts if "sam" in s.parts]
    return problems_of([tools.bin_of("tools") / "shellcheck", "--severity", "warning", *scripts]) if scripts else ["no script was found"]


def systemd(_):
    if not shutil.which("systemd-analyze"):
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="tarn-infra-") as folder:
        unit = pathlib.Path(folder) / "tarn.service"
        # Neither the program nor its settings are on this machine.
        unit.write_text((INFRA / "systemd/tarn.service").read_text().replace("/usr/local/bin/tarn", "/bin/true"))
        status, text = output(["systemd-analyze", "verify", unit])
        return [text] if status or text.strip() else []


CHECKS = [
    ("sam: shellcheck", shell),
    ("docker: hadolint", hadolint),
    ("docker: context", docker_context),
    ("compose: schema", compose_schema),
    ("compose: files", compose_files),
    ("grafana: dashboard and alerts", grafana_files),
    ("grafana: PromQL", grafana_queries),
    ("grafana: metrics are exported", grafana_metrics),
    ("systemd: unit", systemd),
    ("names of settings", names),
]
