"""Hatchling's build hook: puts the page's chart library into the package, from its own package, pinned by checksum.

It runs for a wheel and for an editable installation. The library (uPlot, MIT) is fetched with npm, from wherever npm is
set up to fetch; without npm or a network one line says so, and the page draws its own plainer charts. What is there and
right is not fetched again. Nothing is fetched when the hub runs.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "uplot@1.6.32"
SHA512 = (
    "2883159c6ebccefbb95d751b0b82d010f9e1c0ec41b8bc96d401eda66e882935"
    "c89a46cb824332fa369b8cb8122cc6ac36e186cd09bf7a9ded3a4c93c6989023"
)
# file in the package: (name here, sha256)
FILES = {
    "package/dist/uPlot.iife.min.js": ("uplot.js", "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"),
    "package/dist/uPlot.min.css": ("uplot.css", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
    "package/LICENSE": ("uplot-license.txt", "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd"),
}
TIMEOUT_S = 60


class ChartLibrary(BuildHookInterface):
    """Named in pyproject.toml."""

    def initialize(self, version, build_data):
        """Called by hatchling before it collects the files."""
        folder = os.path.join(self.root, "src", "bourn", "hub", "web", "static", "vendor")
        if not complete(folder):
            why = fetch(folder)
            if why:
                self.app.display_warning(f"the page gets its plainer charts: {why}")
        build_data["artifacts"].append("/src/bourn/hub/web/static/vendor/*")
        if version != "editable":  # for `bourn board install`: in a folder that CPython imports nothing from
            stdlib = os.path.join(self.root, "stdlib")
            for name in os.listdir(stdlib):
                if name.endswith(".py"):
                    build_data["force_include"][os.path.join(stdlib, name)] = f"bourn/_stdlib/{name}"


def complete(folder):
    """Whether every file is there, and is what it should be."""
    return all(sha256(os.path.join(folder, name)) == wanted for name, wanted in FILES.values())


def sha256(path):
    """Of a file; None where there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return None


def fetch(folder):
    """Fetch, check and unpack into `folder`; why it could not be done, or None."""
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm to fetch uPlot with"
    with tempfile.TemporaryDirectory() as place:
        command = [npm, "pack", PACKAGE, "--silent", "--ignore-scripts", "--pack-destination", place]
        try:
            done = subprocess.run(
                command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return f"npm did not answer within {TIMEOUT_S} s"
        archives = [name for name in os.listdir(place) if name.endswith(".tgz")]
        if done.returncode or len(archives) != 1:
            return f"npm could not fetch {PACKAGE}"
        with open(os.path.join(place, archives[0]), "rb") as file:
            if hashlib.sha512(file.read()).hexdigest() != SHA512:
                return f"what npm fetched is not the {PACKAGE} that is wanted (another checksum)"
        os.makedirs(folder, exist_ok=True)
        with tarfile.open(os.path.join(place, archives[0])) as archive:
            for inside, (name, _) in FILES.items():
                data = archive.extractfile(inside).read()
                beside = os.path.join(folder, name + ".new")
                with open(beside, "wb") as file:
                    file.write(data)
                os.replace(beside, os.path.join(folder, name))
    return None if complete(folder) else f"the files of {PACKAGE} are not what they should be"
