"""Checks of the Helm chart and of the Knative objects: what they render to must be valid Kubernetes, locked down, and complete."""
import functools
import json
import pathlib
import tempfile

import yaml

import tools
from common import INFRA, output, problems_of

CHART = INFRA / "helm/tarn"
KNATIVE = INFRA / "knative/tarn.yaml"
KUBERNETES = ("1.30", "1.35")

# name: values, and the objects that they must give, no more and no fewer. The examples are three more.
SETS = {
    "least": ({"store": "s3://logs"}, "Deployment/tarn-all Service/tarn-all ServiceAccount/tarn"),
    "several of one": (
        {"store": "s3://logs/x", "all": {"replicas": 3}, "serviceAccount": {"create": False, "name": "given"}, "preStopSeconds": 0},
        "Deployment/tarn-all Service/tarn-all PodDisruptionBudget/tarn-all",
    ),
    "all, compacted by a job": (
        {"store": "s3://logs/x", "settings": {"TARN_COMPACTOR_ENABLED": "false"}, "compactor": {"kind": "cronJob"}},
        "Deployment/tarn-all Service/tarn-all ServiceAccount/tarn CronJob/tarn-compactor",
    ),
    "scaled": (
        {"store": "s3://logs/x", "all": {"autoscaling": {"enabled": True}}, "ingress": {"enabled": True, "host": "logs.example.com"}, "podMonitor": {"enabled": True}},
        "Deployment/tarn-all Service/tarn-all ServiceAccount/tarn HorizontalPodAutoscaler/tarn-all PodDisruptionBudget/tarn-all Ingress/tarn PodMonitor/tarn",
    ),
}
EXAMPLES = {
    "small": "Deployment/tarn-all Service/tarn-all ServiceAccount/tarn",
    "large": "Deployment/tarn-ingest Deployment/tarn-query Deployment/tarn-compactor Service/tarn-ingest Service/tarn-query ServiceAccount/tarn ConfigMap/tarn "
    "HorizontalPodAutoscaler/tarn-ingest HorizontalPodAutoscaler/tarn-query PodDisruptionBudget/tarn-ingest PodDisruptionBudget/tarn-query Ingress/tarn "
    "NetworkPolicy/tarn PodMonitor/tarn",
    "seaweedfs-cron": "Deployment/tarn-ingest Deployment/tarn-query Service/tarn-ingest Service/tarn-query ServiceAccount/tarn CronJob/tarn-compactor",
}
# Values that must be refused, and what the message must name.
REFUSED = [
    ({}, "/store"),
    ({"store": "my-bucket"}, "/store"),
    ({"store": "s3://logs", "mode": "everything"}, "/mode"),
    ({"store": "s3://logs", "settings": {"tarn_log": "debug"}}, "tarn_log"),
    ({"store": "s3://logs", "settings": {"TARN_AUTH_ENABLED": True}}, "TARN_AUTH_ENABLED"),
    ({"store": "s3://logs", "ingress": {"enabled": True}}, "/ingress/host"),
    ({"store": "s3://logs", "replicas": 3}, "replicas"),
    ({"store": "s3://logs", "compactor": {"kind": "job"}}, "/compactor/kind"),
    ({"store": "s3://logs", "image": {"digest": "sha256:abc"}}, "/image/digest"),
]


def helm(verb, *arguments, values):
    """(status, output) of helm with these values."""
    with tempfile.TemporaryDirectory(prefix="tarn-infra-") as folder:
        path = pathlib.Path(folder) / "values.yaml"
        path.write_text(json.dumps(values))
        name = ["tarn"] if verb == "template" else []
        return output([tools.helm(), verb, *name, CHART, "--values", path, *arguments])


@functools.cache
def rendered():
    """{name of the values: (text, objects, the objects wanted)}; raises when Helm refuses."""
    results = {}
    sets = {**SETS, **{name: (yaml.safe_load((INFRA / "helm/examples" / (name + ".yaml")).read_text()), wanted) for name, wanted in EXAMPLES.items()}}
    for name, (values, wanted) in sets.items():
        status, text = helm("template", "--kube-version", KUBERNETES[-1], values=values)
        if status != 0:
            raise RuntimeError("%s: %s" % (name, text))
        results[name] = (text, [o for o in yaml.safe_load_all(text) if o], wanted)
    return results


def helm_lint(_):
    problems = []
    for name, (values, _) in SETS.items():
        status, text = helm("lint", "--strict", values=values)
        if status != 0:
            problems.append("%s: %s" % (name, text))
    for path in sorted((INFRA / "helm/examples").glob("*.yaml")):
        if path.stem not in EXAMPLES:
            problems.append("%s is not checked" % path.name)
        problems += problems_of([tools.helm(), "lint", "--strict", CHART, "--values", path])
    return problems


def helm_objects(_):
    problems = []
    for name, (_, objects, wanted) in rendered().items():
        found = sorted("%s/%s" % (o["kind"], o["metadata"]["name"]) for o in objects)
        if found != sorted(wanted.split()):
            problems.append("%s gives %s" % (name, " ".join(found)))
    return problems


def helm_refuses(_):
    problems = []
    for values, named in REFUSED:
        status, text = helm("template", values=values)
        if status == 0 or named not in text:
            problems.append("%s must be refused with a message about %s, not: %s" % (values, named, text[:500]))
    return problems


def validate(objects):
    """Against the schemas of Kubernetes itself, its oldest version that the chart allows and a new one. What is not Kubernetes' own is left out."""
    own = [o for o in objects if o["kind"] != "PodMonitor" and not o["apiVersion"].startswith("serving.knative.dev/")]
    with tempfile.TemporaryDirectory(prefix="tarn-infra-") as folder:
        path = pathlib.Path(folder) / "objects.yaml"
        path.write_text(yaml.safe_dump_all(own))
        problems = []
        for version in KUBERNETES:
            status, text = output([tools.bin_of("tools") / "kubernetes-validate", "--strict", "--kubernetes-version", version, path])
            # Every object must be known and have passed: it only warns of one that it has no schema for.
            if status != 0 or text.count(" passed for resource ") != len(own):
                problems += [line for line in text.splitlines() if " passed for resource " not in line] or ["not all objects were looked at"]
        return problems


def helm_valid(_):
    return validate([o for _, objects, _ in rendered().values() for o in objects])


def pods(objects):
    """(name, pod spec) of everything that starts pods."""
    for o in objects:
        name = "%s/%s" % (o["kind"], o["metadata"]["name"])
        if o["kind"] == "CronJob":
            yield name, o["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif "template" in o.get("spec", {}):
            yield name, o["spec"]["template"]["spec"]


def locked(objects, of_pod):
    problems = []
    for name, pod in pods(objects):
        whole = pod.get("securityContext", {}) if of_pod else {}
        for container in pod["containers"]:
            own = container.get("securityContext", {})
            checks = {
                "runs as root": {**whole, **own}.get("runAsNonRoot") is True,
                "may write to its root": own.get("readOnlyRootFilesystem") is True,
                "may gain privileges": own.get("allowPrivilegeEscalation") is False,
                "has capabilities": own.get("capabilities", {}).get("drop") == ["ALL"],
                "has no seccomp profile": {**whole, **own}.get("seccompProfile", {}).get("type") == "RuntimeDefault",
                "has no bound on memory": "memory" in container["resources"].get("limits", {}),
                "asks for no processor": "cpu" in container["resources"].get("requests", {}),
            }
            if container["args"][0] == "serve":
                checks["is not asked whether it is ready"] = container.get("readinessProbe", {}).get("httpGet", {}).get("path") == "/ready"
                checks["is restarted when the store is away"] = container.get("livenessProbe", {}).get("httpGet", {}).get("path") != "/ready"
            problems += ["%s %s" % (name, what) for what, good in checks.items() if not good]
    return problems


def helm_locked(_):
    return [p for _, objects, _ in rendered().values() for p in locked(objects, True)]


def selectors(objects):
    """Services, budgets, monitors and policies that select no pod, autoscalers of nothing, ingress to nothing."""
    labels = [o["spec"]["template"]["metadata"]["labels"] for o in objects if o["kind"] == "Deployment"]
    names = {(o["kind"], o["metadata"]["name"]) for o in objects}
    for o in objects:
        selector = o.get("spec", {}).get("selector") or o.get("spec", {}).get("podSelector")
        if selector and o["kind"] != "Deployment":
            wanted = selector.get("matchLabels", selector)
            if not any(wanted.items() <= have.items() for have in labels):
                yield "%s %s selects no pod" % (o["kind"], o["metadata"]["name"])
        if o["kind"] == "HorizontalPodAutoscaler" and ("Deployment", o["spec"]["scaleTargetRef"]["name"]) not in names:
            yield "%s scales nothing" % o["metadata"]["name"]
        if o["kind"] == "Ingress":
            for path in o["spec"]["rules"][0]["http"]["paths"]:
                if ("Service", path["backend"]["service"]["name"]) not in names:
                    yield "%s leads to no service" % path["path"]


def helm_selectors(_):
    return [p for _, objects, _ in rendered().values() for p in selectors(objects)]


def knative_objects():
    return [o for o in yaml.safe_load_all(KNATIVE.read_text()) if o]


def knative_valid(_):
    """Kubernetes' own objects as they are, and the template of each Knative service as the pod that it becomes."""
    objects = knative_objects()
    services = [o for o in objects if o["apiVersion"] == "serving.knative.dev/v1"]
    only_knative = {"containerConcurrency", "timeoutSeconds"}
    as_pods = []
    for o in services:
        spec = {k: v for k, v in o["spec"]["template"]["spec"].items() if k not in only_knative}
        # Knative fills in the port of probes.
        spec = json.loads(json.dumps(spec).replace('"httpGet": {', '"httpGet": {"port": 3100, '))
        as_pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": o["metadata"]["name"]}, "spec": spec})
    problems = validate([o for o in objects if o not in services] + as_pods)
    if sorted(o["metadata"]["name"] for o in services) != ["tarn-ingest", "tarn-query"]:
        problems.append("services are %s" % services)
    return problems


def knative_suits(_):
    """What Knative allows in a service, and what Tarn needs from it."""
    objects = knative_objects()
    services = {o["metadata"]["name"]: o["spec"]["template"] for o in objects if o["apiVersion"] == "serving.knative.dev/v1"}
    problems = locked(objects, True)
    for name, t in services.items():
        notes, spec = t["metadata"]["annotations"], t["spec"]
        container = spec["containers"][0]
        # Without a switch of the cluster Knative refuses these.
        problems += ["%s has %s, which Knative does not allow" % (name, k) for k in ("securityContext", "nodeSelector", "affinity", "tolerations", "hostNetwork") if k in spec]
        if notes.get("autoscaling.knative.dev/min-scale") != "0":
            problems.append("%s does not scale to zero" % name)
        if any(not isinstance(v, str) for v in notes.values()):
            problems.append("%s has annotations that are no text" % name)
        if "--listen" in container["args"] or any(e["name"] == "TARN_LISTEN" for e in container.get("env", [])):
            problems.append("%s does not listen where Knative says" % name)
        if len(container["ports"]) != 1:
            problems.append("%s must have one port" % name)
    if services["tarn-ingest"]["spec"]["containerConcurrency"] != 0 and services["tarn-ingest"]["spec"]["containerConcurrency"] < 100:
        problems.append("tarn-ingest does not let pushes share a process")
    [job] = [o for o in objects if o["kind"] == "CronJob"]
    if job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"][:2] != ["compact", "--once"]:
        problems.append("the job does not compact")
    return problems


CHECKS = [
    ("helm: lint", helm_lint),
    ("helm: objects", helm_objects),
    ("helm: values that are refused", helm_refuses),
    ("helm: valid for Kubernetes", helm_valid),
    ("helm: pods are locked down", helm_locked),
    ("helm: selectors", helm_selectors),
    ("knative: valid", knative_valid),
    ("knative: suits", knative_suits),
]
