"""checkov over everything it knows, less what accepted.yaml says is meant so."""
import json
import pathlib
import tempfile

import yaml

import cluster
import tools
from common import INFRA, QUIET, output

ACCEPTED = pathlib.Path(__file__).resolve().parent / "accepted.yaml"


def findings(arguments):
    """{check id: (name, resources)} of what failed. Raises when nothing was looked at."""
    command = [tools.bin_of("checkov") / "checkov", *arguments, "--compact", "--quiet", "--skip-download", "--output", "json"]
    with tempfile.TemporaryDirectory(prefix="tarn-infra-") as folder:
        _, text = output([*command, "--output-file-path", folder], env={**QUIET, "LOG_LEVEL": "ERROR"})
        written = pathlib.Path(folder) / "results_json.json"
        if not written.exists():
            raise RuntimeError("checkov wrote nothing: " + text[-2000:])
        reports = json.loads(written.read_text())
    failed, passed = {}, 0
    for report in reports if isinstance(reports, list) else [reports]:
        if "results" not in report:
            continue
        passed += report["summary"]["passed"]
        if report["summary"]["parsing_errors"]:
            raise RuntimeError("checkov could not read %s" % report["results"]["parsing_errors"])
        for f in report["results"]["failed_checks"]:
            failed.setdefault(f["check_id"], (f["check_name"], set()))[1].add(f["resource"])
    if not passed:
        raise RuntimeError("checkov looked at nothing: %s" % text[-2000:])
    return failed


def compare(where, arguments):
    accepted = {a["check"] for a in yaml.safe_load(ACCEPTED.read_text()) if where in a["in"]}
    failed = findings(arguments)
    problems = ["%s (%s): %s" % (check, name, ", ".join(sorted(resources))) for check, (name, resources) in sorted(failed.items()) if check not in accepted]
    return problems + ["%s is accepted in accepted.yaml but found no more" % check for check in sorted(accepted - set(failed))]


def helm(_):
    with tempfile.TemporaryDirectory(prefix="tarn-infra-") as folder:
        for number, (text, _, _) in enumerate(cluster.rendered().values()):
            (pathlib.Path(folder) / ("%d.yaml" % number)).write_text(text)
        return compare("helm", ["--directory", folder, "--framework", "kubernetes"])


def reasons(_):
    return ["%s has no reason" % a.get("check") for a in yaml.safe_load(ACCEPTED.read_text()) if len(a.get("why", "")) < 20 or not a.get("in")]


CHECKS = [
    ("sam: checkov", lambda _: compare("sam", ["--file", INFRA / "sam/template.yaml", "--framework", "cloudformation"])),
    ("terraform: checkov", lambda _: compare("terraform", ["--directory", INFRA / "terraform", "--framework", "terraform"])),
    ("helm: checkov", helm),
    ("knative: checkov", lambda _: compare("knative", ["--directory", INFRA / "knative", "--framework", "kubernetes"])),
    ("docker: checkov", lambda _: compare("docker", ["--file", INFRA / "docker/Dockerfile", "--framework", "dockerfile"])),
    ("accepted findings have reasons", reasons),
]
