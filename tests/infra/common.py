"""What the checks share: running a program, the files they look at. A check is a function of the context that gives a list of problems."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
INFRA = ROOT / "infra"
# What a check gives that could not be done on this machine.
SKIPPED = ["skipped"]
# No telemetry, no look for newer versions, no account.
QUIET = {**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true", "CHECKPOINT_DISABLE": "1", "PYTHONWARNINGS": "ignore"}


def output(command, **options):
    """(status, what it printed to both)"""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **{"env": QUIET, "timeout": 300, **options})
    return done.returncode, done.stdout


def problems_of(command, **options):
    """None when it succeeds, else what it printed."""
    status, text = output(command, **options)
    return [] if status == 0 else [text.strip()[-6000:] or "%s ended with status %d" % (command[0], status)]
