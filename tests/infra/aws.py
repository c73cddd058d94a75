"""Checks of the SAM template, of ./deploy and of the Terraform module."""
import fnmatch
import json
import os
import pathlib
import re
import shutil
import stat
import tempfile

import hcl2
import yaml

import tools
from common import INFRA, SKIPPED, output, problems_of

TEMPLATE = INFRA / "sam/template.yaml"
MODULE = INFRA / "terraform"
VALUES = {"StorePrefix": "logs/prod", "TenantPrefix": "team-", "AWS::Partition": "aws", "Bucket": "lake"}


class Loader(yaml.SafeLoader):
    """Reads !Ref x as {"Ref": x}, and so on."""


def tagged(loader, tag, node):
    read = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: lambda n: loader.construct_sequence(n, deep=True), yaml.MappingNode: lambda n: loader.construct_mapping(n, deep=True)}
    return {tag: read[type(node)](node)}


Loader.add_multi_constructor("!", tagged)


def template():
    return yaml.load(TEMPLATE.read_text(), Loader)


def cfn_lint(_):
    return problems_of([tools.bin_of("sam") / "cfn-lint", "--non-zero-exit-code", "warning", TEMPLATE])


def sam_validate(_):
    return problems_of([tools.bin_of("sam") / "sam", "validate", "--lint", "--region", "eu-central-1", "--template", TEMPLATE])


def strings(value):
    """Every string of a template's value, !Sub filled in with VALUES."""
    if isinstance(value, dict):
        if "Sub" in value:
            text = value["Sub"] if isinstance(value["Sub"], str) else value["Sub"][0]
            yield re.sub(r"\$\{([^}]+)\}", lambda m: VALUES.get(m.group(1), m.group(0)), text)
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


# What each function must be able to do to an object, and what it must not: (role, action, key, allowed).
MAY = [
    ("Ingest", "s3:PutObject", "logs/prod/tarn.json", False),
    ("Ingest", "s3:PutObject", "logs/prod/t=team-a/l0/7/0-1-2-3-4.parquet", True),
    ("Ingest", "s3:GetObject", "logs/prod/t=team-a/l0/7/0-1-2-3-4.parquet", True),
    ("Ingest", "s3:PutObject", "logs/prod/t=other/l0/7/0-1-2-3-4.parquet", False),
    ("Ingest", "s3:PutObject", "logs/prod/t=team-a/m/2026-11-01", False),
    ("Ingest", "s3:PutObject", "logs/prod/t=team-a/l1/x.parquet", False),
    ("Ingest", "s3:GetObject", "logs/prod/t=team-a/l1/x.parquet", False),
    ("Ingest", "s3:DeleteObject", "logs/prod/t=team-a/l0/7/0-1-2-3-4.parquet", False),
    ("Query", "s3:GetObject", "logs/prod/tarn.json", True),
    ("Query", "s3:PutObject", "logs/prod/tarn.json", False),
    ("Query", "s3:GetObject", "logs/prod/t=team-a/l0/7/0-1-2-3-4.parquet", True),
    ("Query", "s3:GetObject", "logs/prod/t=team-a/l1/date=2026-11-01/hour=03/x.parquet", True),
    ("Query", "s3:GetObject", "logs/prod/t=team-a/m/2026-11-01", True),
    ("Query", "s3:GetObject", "logs/prod/t=other/m/2026-11-01", False),
    ("Query", "s3:PutObject", "logs/prod/t=team-a/m/deletes", True),
    ("Query", "s3:PutObject", "logs/prod/t=team-a/m/2026-11-01", False),
    ("Query", "s3:PutObject", "logs/prod/t=team-a/l0/7/0-1-2-3-4.parquet", False),
    ("Query", "s3:DeleteObject", "logs/prod/t=team-a/m/deletes", False),
    ("Compactor", "s3:PutObject", "logs/prod/tarn.json", True),
    ("Compactor", "s3:PutObject", "logs/prod/t=other/l1/x.parquet", True),
    ("Compactor", "s3:PutObject", "logs/prod/t=other/m/2026-11-01", True),
    ("Compactor", "s3:DeleteObject", "logs/prod/t=other/l0/7/0-1-2-3-4.parquet", True),
    ("Compactor", "s3:DeleteObject", "logs/dev/t=other/l0/7/0-1-2-3-4.parquet", False),
]


def sam_roles(_):
    resources = template()["Resources"]
    problems = []
    for role, action, key, allowed in MAY:
        statements = resources[role + "Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        # Those of sources that are switched on by a parameter are about other buckets.
        plain = [s for s in statements if "If" not in s and s["Effect"] == "Allow"]
        granted = any(action in strings(s["Action"]) and any(fnmatch.fnmatchcase("arn:aws:s3:::lake/" + key, r) for r in strings(s["Resource"])) for s in plain)
        if granted != allowed:
            problems.append("%s %s %s %s" % (role, "cannot" if allowed else "can", action, key))
        if any("*" in (*strings(s["Action"]), *strings(s["Resource"])) for s in plain):
            problems.append("%s may do something to everything" % role)
    return problems


def sam_numbers(_):
    t = template()
    r = t["Resources"]
    problems = []

    def same(what, found, wanted):
        if found != wanted:
            problems.append("%s is %r, not %r" % (what, found, wanted))

    timeout = r["IngestFunction"]["Properties"]["Timeout"]
    same("visibility of the queue", r["Events"]["Properties"]["VisibilityTimeout"], 6 * timeout)
    same("alarm of ingestion's duration", r["IngestDuration"]["Properties"]["Threshold"], 800 * timeout)
    same("tries of a message", r["Events"]["Properties"]["RedrivePolicy"]["maxReceiveCount"], 5)
    same("answer of the queue's mapping", r["EventsMapping"]["Properties"]["FunctionResponseTypes"], ["ReportBatchItemFailures"])
    same("what stays with a deleted stack", {n for n, v in r.items() if v.get("DeletionPolicy") == "Retain"}, {"DataBucket", "DataBucketPolicy", "LogFiles"})
    same("outputs", {"IngestUrl", "QueryUrl", "Bucket"} - set(t["Outputs"]), set())
    text = TEMPLATE.read_text()
    body = text[text.index("\nConditions:"):]
    # CloudFormation does not know them.
    same("YAML aliases", [token.value for token in yaml.scan(text) if isinstance(token, (yaml.AliasToken, yaml.AnchorToken))], [])
    unused = [p for p in t["Parameters"] if not re.search(r"(!Ref %s\b|\$\{%s\})" % (p, p), body)]
    same("parameters that nothing reads", unused, [])
    grouped = [p for g in t["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"] for p in g["Parameters"]]
    same("parameters in the groups", sorted(grouped), sorted(t["Parameters"]))
    return problems


# Stands for the aws command line: answers what ./deploy asks, and notes what it is told.
FAKE_AWS = r"""#!/usr/bin/env python3
import json, os, sys
words = [a for a in sys.argv[1:] if not a.startswith("--")][:2]
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\n")
query = sys.argv[sys.argv.index("--query") + 1] if "--query" in sys.argv else ""
known = {"LogBucketExists": "true", "LogBucket": "alb", "LogBucketVia": "queue", "UrlAuthType": "NONE", "EventsArn": "arn:aws:sqs:eu-central-1:1:tarn-events",
         "IngestUrl": "https://i.example/", "QueryUrl": "https://q.example/", "Store": "s3://lake/tarn", "Bucket": "lake"}
if words == ["cloudformation", "describe-stacks"] and "gone" in sys.argv:
    sys.exit("An error occurred (ValidationError): Stack with id gone does not exist")
elif words == ["cloudformation", "describe-stacks"]:
    print(next((v for k, v in known.items() if "'%s'" % k in query), "None"))
elif words == ["sts", "get-caller-identity"]:
    print("111122223333")
elif words == ["s3api", "get-bucket-notification-configuration"]:
    print(json.dumps({"TopicConfigurations": [{"Id": "theirs", "TopicArn": "arn:aws:sns:eu-central-1:1:x", "Events": ["s3:ObjectRemoved:*"]}],
                      "QueueConfigurations": [{"Id": "tarn-tarn", "QueueArn": "arn:aws:sqs:eu-central-1:1:old", "Events": ["s3:ObjectCreated:*"]}]}))
"""


def sam_deploy(_):
    problems = []
    with tempfile.TemporaryDirectory(prefix="tarn-infra-") as folder:
        folder = pathlib.Path(folder)
        fake = folder / "bin/aws"
        fake.parent.mkdir()
        fake.write_text(FAKE_AWS)
        fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
        environment = {**os.environ, "PATH": "%s:%s" % (fake.parent, os.environ["PATH"]), "FAKE_LOG": str(folder / "log"), "AWS_REGION": "eu-central-1"}
        deploy = [INFRA / "sam/deploy", "--zips", folder]
        status, text = output(deploy, env=environment)
        if status == 0 or "ingest.zip is missing: run infra/lambda/build" not in text:
            problems.append("without zips it says: " + text)
        for name in ("ingest", "query", "compactor"):
            (folder / (name + ".zip")).write_bytes(name.encode())
        status, text = output([*deploy, "Retention=30d", "UrlAuthType=NONE"], env=environment)
        for line in ("push:                https://i.example/loki/api/v1/push", "Grafana data source: https://q.example      (type Loki)", "Everybody who knows the first two"):
            if status != 0 or line not in text:
                problems.append("%r is missing in: %s" % (line, text))
        calls = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
        [deployed] = [c for c in calls if c[:2] == ["cloudformation", "deploy"]]
        given = deployed[deployed.index("--parameter-overrides") + 1:]
        # SHA-256 of "ingestquerycompactor", as sha256sum says it.
        if given != ["ArtifactBucket=tarn-artifacts-111122223333-eu-central-1", "ArtifactPrefix=tarn/ae7575f148b33b94", "Retention=30d", "UrlAuthType=NONE"]:
            problems.append("parameters: %s" % given)
        [put] = [c for c in calls if c[:2] == ["s3api", "put-bucket-notification-configuration"]]
        wanted = {"TopicConfigurations": [{"Id": "theirs", "TopicArn": "arn:aws:sns:eu-central-1:1:x", "Events": ["s3:ObjectRemoved:*"]}],
                  "QueueConfigurations": [{"Id": "tarn-tarn", "QueueArn": "arn:aws:sqs:eu-central-1:1:tarn-events", "Events": ["s3:ObjectCreated:*"]}]}
        if json.loads(put[put.index("--notification-configuration") + 1]) != wanted:
            problems.append("notifications: %s" % put)
        status, text = output([*deploy, "--remove"], env=environment)
        if status != 0 or "still in s3://lake;" not in text:
            problems.append("after removing: " + text)
        status, text = output([*deploy, "--remove", "--stack", "gone"], env=environment)
        if status == 0 or "there is no stack 'gone'" not in text:
            problems.append("removing what is not there: " + text)
        status, text = output([*deploy, "--stak", "x"], env=environment)
        if status == 0 or "unknown argument '--stak'" not in text:
            problems.append("an unknown option: " + text)
    return problems


def terraform_format(_):
    if not shutil.which("terraform"):
        return SKIPPED
    return problems_of(["terraform", "fmt", "-check", "-diff", "-recursive", MODULE])


def terraform_files():
    return sorted(MODULE.rglob("*.tf"))


def declared(kind):
    """{interface: {argument: (required, type)}} of a resource or data source, from the provider's declarations; None when there is no such thing."""
    path = tools.aws_provider() / kind / "index.d.ts"
    if not path.exists():
        return None
    interfaces = {}
    for name, parents, body in re.findall(r"^export interface (\w+)( extends [\w.]+)? \{\n(.*?)^\}", path.read_text(), re.M | re.S):
        arguments = re.findall(r"#(\w+)\}\n(?:(?!readonly).)*?\*/\s*readonly \w+(\??): ([^;]+);", body, re.S)
        interfaces["" if "TerraformMetaArguments" in parents else name] = {a: (not optional, kind) for a, optional, kind in arguments}
    return interfaces


META = {"count", "for_each", "depends_on", "provider", "lifecycle", "__is_block__", "__comments__"}


def wrong_arguments(where, block, interfaces, interface):
    known = interfaces[interface]
    given = {k: v for k, v in block.items() if k not in META}
    dynamic = given.pop("dynamic", [])
    for entry in dynamic:
        for name, body in entry.items():
            if name != "__is_block__":
                given[name.strip('"')] = body["content"]
    for name, value in given.items():
        if name not in known:
            yield "%s has no argument %s" % (where, name)
            continue
        inner = re.match(r"(\w+)(\[\])?( \| cdktn\.IResolvable)?$", known[name][1])
        if inner and inner.group(1) in interfaces:
            for nested in value if isinstance(value, list) else [value]:
                yield from wrong_arguments("%s.%s" % (where, name), nested, interfaces, inner.group(1))
    for name, (required, _) in known.items():
        if required and name not in given:
            yield "%s lacks %s" % (where, name)


def terraform_arguments(_):
    """Parses every file and compares with the provider's schema: unknown and missing arguments, of blocks too."""
    problems, seen = [], 0
    for path in terraform_files():
        parsed = hcl2.loads(path.read_text())
        for section, prefix in (("resource", ""), ("data", "data-aws-")):
            for entry in parsed.get(section, []):
                for kind, named in entry.items():
                    kind = kind.strip('"')
                    interfaces = declared(prefix + kind.removeprefix("aws_").replace("_", "-"))
                    if interfaces is None:
                        problems.append("%s: the provider has no %s" % (path.name, kind))
                        continue
                    for name, body in named.items():
                        seen += 1
                        problems += wrong_arguments("%s %s.%s" % (path.name, kind, name.strip('"')), body, interfaces, "")
    return problems or ([] if seen > 25 else ["only %d resources were found" % seen])


def terraform_variables(_):
    """Every variable is described and used; examples set only what there is."""
    problems = []
    text = "".join(p.read_text() for p in MODULE.glob("*.tf"))
    variables = {}
    for entry in hcl2.loads((MODULE / "variables.tf").read_text())["variable"]:
        variables.update({k.strip('"'): v for k, v in entry.items()})
    for name, body in variables.items():
        if "description" not in body or "type" not in body:
            problems.append("variable %s has no description or type" % name)
        if not re.search(r"\bvar\.%s\b" % name, re.sub(r'variable "%s" \{.*?\n\}' % name, "", text, flags=re.S)):
            problems.append("variable %s is not used" % name)
    for name in set(re.findall(r"\bvar\.(\w+)", text)) - set(variables):
        problems.append("var.%s is not declared" % name)
    for example in MODULE.glob("examples/*/main.tf"):
        for entry in hcl2.loads(example.read_text())["module"]:
            for body in entry.values():
                for name in set(body) - set(variables) - META - {"source"}:
                    problems.append("%s: the module has no variable %s" % (example.parent.name, name))
    return problems


# What the module must refuse, and what the message must name.
REFUSED = [
    ({"retention": "a month"}, "retention is 0 or a duration"),
    ({"name": "1tarn"}, "name is a letter"),
    ({"store_prefix": "/logs/"}, "store_prefix is a folder"),
    ({"url_auth_type": "none"}, "url_auth_type is AWS_IAM or NONE"),
    ({"query": {"response": "streaming"}}, "query.response is buffered or stream"),
    ({"query": {"cache_bytes": 1073741824}}, "query.cache_bytes must fit into /tmp"),
    ({"compactor": {"schedule": "every minute"}}, "compactor.schedule is rate(...) or cron(...)"),
    ({"log_buckets": {"alb": "sns"}}, "log_buckets is a map of bucket names to queue or direct"),
    ({"environment": {"AWS_REGION": "x"}}, "settings in environment have names that begin with TARN_"),
]


def evaluate(folder, values):
    """(status, output) of Terraform evaluating the module's variables, locals and the policies of its roles; resources, which need the provider, are cut out."""
    text = "".join(p.read_text() for p in MODULE.glob("*.tf"))
    policy = re.search(r"^  policy = (jsonencode\(\{\n    Version = \"2012-10-17\"\n    Statement = concat\(.*?^  \}\))$", text, re.M | re.S).group(1)
    text = re.sub(r"^(resource|data|terraform|output) (?:[^\n]*\{\}|.*?^\})\n", "", text, flags=re.M | re.S)
    text += 'output "seen" {\n  value = nonsensitive(jsonencode({\n    roles = { for role in keys(local.functions) : role => jsondecode(%s) }\n' % policy.replace("each.key", "role")
    text += "    functions = local.functions, paths = local.api_paths, alarms = local.of_functions, queues = local.of_queues, store = local.common.TARN_STORE\n  }))\n}\n"
    text = re.sub(r"\b(data\.)?aws_\w+\.\w+(\[[^\]]*\])?\.\w+", '"stub"', text)
    (folder / "main.tf").write_text(text)
    (folder / "values.auto.tfvars.json").write_text(json.dumps({"zips": ".", **values}))
    (folder / "terraform.tfstate").unlink(missing_ok=True)
    return output(["terraform", "apply", "-auto-approve", "-no-color", "-input=false"], cwd=folder)


def terraform_evaluates(_):
    if not shutil.which("terraform"):
        return SKIPPED
    problems = []
    everything = {k: v for k, v in hcl2_values(MODULE / "examples/everything/main.tf").items() if k not in ("source", "zips")}
    with tempfile.TemporaryDirectory(prefix="tarn-infra-") as folder:
        folder = pathlib.Path(folder)
        for values in ({}, everything, {"firehose_access_key": "k", "api_key": True, "existing_bucket": "mine", "kms_key_arn": "arn:aws:kms:x"}):
            status, text = evaluate(folder, values)
            if status != 0:
                problems.append("%s: %s" % (values, text))
                continue
            seen = json.loads(json.loads((folder / "terraform.tfstate").read_text())["outputs"]["seen"]["value"])
            actions = {role: {a for s in policy["Statement"] for a in (s["Action"] if isinstance(s["Action"], list) else [s["Action"]])} for role, policy in seen["roles"].items()}
            if "s3:PutObject" not in actions["ingest"] or "s3:DeleteObject" in actions["ingest"] | actions["query"] or "s3:DeleteObject" not in actions["compactor"]:
                problems.append("%s: roles may do %s" % (values, actions))
            if (values == everything) != ("kinesis:GetRecords" in actions["ingest"]) or ("kms_key_arn" in values) != ("kms:Decrypt" in actions["query"]):
                problems.append("%s: roles may do %s" % (values, actions))
            if ("/aws/firehose" in seen["paths"]) != ("firehose_access_key" in values):
                problems.append("%s: paths are %s" % (values, sorted(seen["paths"])))
        for values, named in REFUSED:
            status, text = evaluate(folder, values)
            if status == 0 or named not in " ".join(text.replace("│", " ").split()):
                problems.append("%s must be refused with '%s', not: %s" % (values, named, text))
    return problems


def hcl2_values(path):
    """The arguments of the first module of a file, as JSON values."""
    [entry] = hcl2.loads(path.read_text())["module"]
    [body] = entry.values()
    clean = lambda v: {k.strip('"'): clean(x) for k, x in v.items()} if isinstance(v, dict) else [clean(x) for x in v] if isinstance(v, list) else v.strip('"') if isinstance(v, str) else v
    return {k: clean(v) for k, v in body.items() if k not in META}


def terraform_same(_):
    """Both ways to deploy ask for the same permissions and set the same settings."""
    sam, module = TEMPLATE.read_text(), "".join(p.read_text() for p in MODULE.glob("*.tf"))
    problems = []
    for what, pattern in (("action", r'"((?:s3|sqs|kinesis|kms|logs):[A-Z]\w+)"'), ("setting", r"\b(TARN_\w+)\b")):
        # A bucket for log files is made by the template only; the module's variable `environment` names an example.
        apart = {"s3:GetBucketAcl", "TARN_LIMITS_MAX_LINE_SIZE", "TARN_"}
        in_sam, in_module = set(re.findall(pattern, sam)) - apart, set(re.findall(pattern, module)) - apart
        if in_sam != in_module:
            problems.append("%ss of one only: SAM %s, Terraform %s" % (what, sorted(in_sam - in_module), sorted(in_module - in_sam)))
    return problems


CHECKS = [
    ("sam: cfn-lint", cfn_lint),
    ("sam: validate --lint", sam_validate),
    ("sam: what functions may do", sam_roles),
    ("sam: numbers and parameters", sam_numbers),
    ("sam: deploy", sam_deploy),
    ("terraform: fmt", terraform_format),
    ("terraform: arguments", terraform_arguments),
    ("terraform: variables", terraform_variables),
    ("terraform: evaluates", terraform_evaluates),
    ("terraform: same as SAM", terraform_same),
]
