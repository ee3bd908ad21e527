"""A repository that another author's package brings: built, installed and used by URL, as docs/repositories.md says."""

import contextlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import BOURN, SOURCE, Program

PAGE = SOURCE.parent / "docs" / "repositories.md"


def fenced(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's class as a package, built into a wheel; the folder into which it is installed."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "greenhouse_latest.py").write_text(fenced("python")[0])
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "greenhouse-latest"\nversion = "1"\n'
        '[tool.hatch.build.targets.wheel]\ninclude = ["greenhouse_latest.py"]\n' + fenced("toml")[0]
    )
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder / "dist"),
        str(folder),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:  # installing a wheel without scripts is no more than that
        archive.extractall(folder / "site")
    return folder / "site"


def test_it_is_named_by_its_url(installed: Path, tmp_path: Path) -> None:
    path = os.pathsep.join([str(installed), str(SOURCE)])
    command = [*BOURN, "run", "--num-sensors", "2", "--every", "0.1", "--for", "2", "--micropython", "none"]
    with Program(*command, "--to", "latest:now.json", cwd=tmp_path, env={"PYTHONPATH": path}) as program:
        assert program.ended() == 0, program.err
    newest = json.loads((tmp_path / "now.json").read_text())
    assert sorted(newest) == ["s1", "s2"]
    for sensor, row in newest.items():
        assert row["id"].startswith(f"{sensor}:") and set(row) == {"id", "ts", "value"}


def test_a_broken_package_is_named(installed: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "broken-1.dist-info").mkdir(parents=True)
    (site / "broken-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (site / "broken-1.dist-info" / "entry_points.txt").write_text("[bourn.repositories]\nlatest = no_such_module:x\n")
    path = os.pathsep.join([str(site), str(SOURCE)])
    with Program(*BOURN, "hub", "--to", "latest:now.json", cwd=tmp_path, env={"PYTHONPATH": path}) as program:
        assert program.ended() == 2
    (line,) = program.err
    assert "'latest' of broken cannot be loaded: ModuleNotFoundError" in line


def test_the_page_keeps_its_promise_of_thirty_lines() -> None:
    code = [line for line in fenced("python")[0].splitlines() if line.strip() and not line.strip().startswith('"""')]
    with contextlib.suppress(ValueError):
        code.remove("import os")
    assert len(code) <= 30
