"""The built wheel: only `bourn`, all of it, and what its metadata promises."""

import subprocess
import sys
import tomllib
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "bourn"
ASSETS = {".html", ".css", ".js", ".svg"}


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
    return {str(path.relative_to(SOURCE.parent)) for path in wanted}


def test_it_holds_all_of_bourn_and_nothing_else(wheel):
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == ours()


def test_it_holds_only_code_and_assets(wheel):
    for name in (one for one in wheel.namelist() if ".dist-info/" not in one):
        path = Path(name)
        asset = path.parts[:3] == ("bourn", "hub", "web") and path.suffix in ASSETS
        assert path.suffix == ".py" or path.name == "py.typed" or asset, f"{name} does not belong into the package"


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
    assert "bourn = bourn.cli:main" in metadata(wheel, "entry_points.txt").decode()


def test_it_carries_its_licence(wheel):
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_the_requirements_file_says_the_same():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == ["-e .[demo]"]
