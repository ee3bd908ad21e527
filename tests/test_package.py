"""The built wheel: only `bourn`, all of it, and what its metadata promises."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import build_hook  # noqa: E402 - a folder beside, no package

SOURCE = ROOT / "src" / "bourn"
ASSETS = {".html", ".css", ".js", ".svg"}
VENDOR = "bourn/hub/web/static/vendor/"  # what tools/build_hook.py fetches, with its licence


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built with what is installed: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def metadata(wheel, name):
    """One file of the wheel's metadata."""
    (path,) = [one for one in wheel.namelist() if one.endswith(f".dist-info/{name}")]
    return wheel.read(path)


def ours():
    """The files that belong into the wheel, as their names in it."""
    wanted = [path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    dropins = {f"bourn/_stdlib/{path.name}" for path in (ROOT / "stdlib").glob("*.py")}  # for `bourn board install`
    return {str(path.relative_to(SOURCE.parent)) for path in wanted} | dropins


def test_it_holds_all_of_bourn_and_nothing_else(wheel):
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == ours()


def test_it_holds_only_code_and_assets(wheel):
    for name in (one for one in wheel.namelist() if ".dist-info/" not in one):
        path = Path(name)
        asset = (
            path.parts[:3] == ("bourn", "hub", "web") and path.suffix in ASSETS
        ) or name == f"{VENDOR}uplot-license.txt"
        assert path.suffix == ".py" or path.name in {"py.typed", "__init__.pyi"} or asset, (
            f"{name} does not belong into the package"
        )


def test_its_metadata_is_the_projects(wheel):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = BytesParser().parsebytes(metadata(wheel, "METADATA"))
    assert said["Name"] == "bourn"
    assert said["Version"] == project["version"]
    assert said["Requires-Python"] == ">=3.11"
    assert said["License-Expression"] == "MIT"
    assert set(said.get_all("Provides-Extra")) == set(project["optional-dependencies"])
    if (ROOT / "README.md").exists():
        assert said.get_payload().strip(), (
            'the README is the package\'s page: put `readme = "README.md"` into pyproject'
        )


def test_it_brings_the_command(wheel):
    assert "bourn = bourn.__main__:main" in metadata(wheel, "entry_points.txt").decode()


def test_it_carries_its_licence(wheel):
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_the_requirements_file_says_the_same():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == ["-e .[demo]"]


def test_it_carries_the_chart_library_where_it_can_be_had(wheel):
    held = {name.removeprefix(VENDOR) for name in wheel.namelist() if name.startswith(VENDOR)}
    if not held and (shutil.which("npm") is None or os.environ.get("CI") != "true"):
        pytest.skip("no npm, or no network: the page draws its plainer charts")
    assert held == {name for name, _ in build_hook.FILES.values()}
    for name, wanted in build_hook.FILES.values():
        assert hashlib.sha256(wheel.read(VENDOR + name)).hexdigest() == wanted
    assert b"Permission is hereby granted" in wheel.read(VENDOR + "uplot-license.txt")


def packed(folder, files):
    """An npm that gives out an archive of these files instead of uPlot's."""
    archive = folder / "uplot-1.6.32.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    npm = folder / "npm"
    npm.write_text(f'#!/bin/sh\ncp "{archive}" .\n')
    npm.chmod(0o755)


@pytest.mark.parametrize("npm", ["none", "offline", "another package"])
def test_without_the_chart_library_nothing_else_is_missing(npm, tmp_path, monkeypatch):
    folder, vendor = tmp_path / "bin", tmp_path / "vendor"
    folder.mkdir()
    for name in ("sh", "cp"):
        (folder / name).symlink_to(shutil.which(name))
    if npm == "offline":
        (folder / "npm").write_text("#!/bin/sh\nexit 1\n")
        (folder / "npm").chmod(0o755)
    elif npm == "another package":
        packed(folder, dict.fromkeys(build_hook.FILES, b"alert(1)"))
    monkeypatch.setenv("PATH", str(folder))
    why = build_hook.fetch(str(vendor))
    assert {"none": "no npm", "offline": "could not fetch", "another package": "another checksum"}[npm] in why
    assert not vendor.exists(), "what is not what was wanted is not kept"
    assert not build_hook.complete(str(vendor))


def test_a_library_that_was_changed_is_fetched_again(tmp_path):
    for name, _ in build_hook.FILES.values():
        (tmp_path / name).write_bytes(b"changed")
    assert not build_hook.complete(str(tmp_path))


def test_editors_and_type_checkers_see_the_names_that_are_given_on_first_use():
    """The stub beside `__init__.py` says of each public name where `bourn.names` finds it."""
    import ast

    from bourn.names import HOMES

    said = set()
    for node in ast.parse((SOURCE / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            said |= {(node.module, alias.name) for alias in node.names}
    homes = [line.split() for line in HOMES.strip().splitlines()]
    given = {(f"bourn.{words[0]}", name) for words in homes for name in words[1:]}
    modules = {("bourn", words[0]) for words in homes if "." not in words[0] and words[0] != "_compat"}
    assert said == given | modules
