"""Debian's packages without installing them: fetched with a package list of our own, unpacked into the tools cache. Standard library only."""
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "servers"))
from tarn import TOOLS, cached  # noqa: E402: the module is beside this folder

RELEASE = pathlib.Path("/etc/os-release")


class Missing(Exception):
    """This machine cannot have the client."""


def unpacked(name):
    """The root of a tree with the packages that `name`/packages names, and what they need beyond what is installed. The release of Debian says which versions those are."""
    wanted = HERE / name / "packages"
    if not shutil.which("apt-get") or not RELEASE.exists():
        raise Missing("%s is taken from Debian's packages, and this is no Debian" % name)
    folder = TOOLS / ("debian-" + name)

    def make():
        state, archives = folder / "lists", folder / "cache/archives"
        for path in (state / "partial", archives / "partial", folder / "root"):
            path.mkdir(parents=True)
        options = {"Dir::State::Lists": state, "Dir::Cache": folder / "cache", "Debug::NoLocking": 1, "APT::Sandbox::User": "", "Acquire::Languages": "none"}
        apt = ["apt-get", "-qq", *(part for key, value in options.items() for part in ("-o", "%s=%s" % (key, value)))]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*apt, "update"], check=True, stdout=sys.stderr, env=environment)
        subprocess.run([*apt, "-y", "--no-install-recommends", "--download-only", "install", *wanted.read_text().split()], check=True, stdout=sys.stderr, env=environment)
        for package in sorted(archives.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)
        shutil.rmtree(state)
        shutil.rmtree(folder / "cache")

    return cached(folder, [wanted, RELEASE], make) / "root"


def libraries(root):
    """The folders of `root` that hold shared libraries, for LD_LIBRARY_PATH."""
    return sorted({str(path.parent) for path in root.rglob("*.so*") if path.parent.parent.name in ("lib", "usr") or path.parent.name.endswith("-linux-gnu")})
