"""What README and docs say is true: their code runs, their options exist, their numbers are the code's."""

from __future__ import annotations

import importlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from bourn import wire
from bourn.cli import SECOND_NAMES, app
from bourn.cli.config import load_config, parse_duration
from bourn.cli.hub_config import load_repositories
from bourn.cli.limits import parse_size
from bourn.cli.processes import find_micropython
from bourn.device.sensors import KINDS
from bourn.hub import link
from bourn.hub.repositories import KNOWN
from bourn.spool import retention, segment_file

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ENV = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "MICROPYPATH": f"{ROOT / 'src'}:.frozen"}


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in that language, without those marked as not run."""
    text = re.sub(r"<!-- not run.*?-->\s*```.*?```", "", page.read_text(), flags=re.DOTALL)
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "python"):
        done = subprocess.run(
            [sys.executable, "-c", block],
            cwd=tmp_path,
            env=ENV,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_readme_example_is_the_file_and_prints_what_it_says(tmp_path: Path) -> None:
    example = ROOT / "examples" / "greenhouse.py"
    code, output = blocks(ROOT / "README.md", "python")[0], blocks(ROOT / "README.md", "text")[0]
    assert example.read_text().endswith(code)
    interpreters = [sys.executable]
    micropython = find_micropython()
    if micropython:
        interpreters.append(micropython)
    elif os.environ.get("CI"):
        pytest.fail("no MicroPython beside this Python; `make test` installs one")
    for interpreter in interpreters:
        done = subprocess.run(
            [interpreter, str(example)], cwd=tmp_path, env=ENV, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == output, done.stderr


def test_the_month_is_the_file_and_prints_what_it_says(tmp_path: Path) -> None:
    example = ROOT / "examples" / "month.py"
    page = ROOT / "docs" / "testing.md"
    assert example.read_text().endswith(blocks(page, "python")[0])
    for interpreter in filter(None, [sys.executable, find_micropython()]):
        done = subprocess.run(
            [interpreter, str(example)], cwd=tmp_path, env=ENV, capture_output=True, text=True, timeout=60, check=False
        )
        said = done.stdout.splitlines()
        assert said[:1] == blocks(page, "text")[0].splitlines()[:1], done.stderr
        # How long it takes is for a quiet machine to say; this one may be busy.
        assert re.fullmatch(r"30 days in less than \d+ s", said[1]), said


def test_the_hub_can_be_killed_as_the_readme_says(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = tmp_path / "bourn"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bourn.cli "$@"\n')
    command.chmod(0o755)
    env = {**ENV, "BOURN": str(command), "PORT": str(port), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        ["sh", str(ROOT / "examples" / "kill_the_hub.sh")],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = re.search(r"sent (\d+), acknowledged (\d+)\njournal says: (\d+) rows, (\d+) of them", done.stdout)
    assert said, done.stdout + done.stderr
    assert len(set(said.groups())) == 1, done.stdout
    assert int(said[1]) > 100
    told = blocks(ROOT / "README.md", "text")[1]
    assert re.sub(r"\d+", "N", told) == re.sub(r"\d+", "N", done.stdout)


def test_config_example_loads(tmp_path: Path) -> None:
    sensors, hub = blocks(ROOT / "docs" / "config.md", "toml")
    file = tmp_path / "both.toml"
    file.write_text(sensors + hub)
    assert [s.kind for s in load_config(str(file))] == ["wave", "cpu"]
    assert [(r.url, r.start) for r in load_repositories(str(file))] == [
        ("csv:all.csv", None),
        ("sqlite:archive.db", "oldest"),
    ]


def test_every_repository_is_in_the_table() -> None:
    text = (ROOT / "docs" / "repositories.md").read_text()
    rows = re.findall(r"^\| `(\w+:[^`]*)` \| ([^|]+) \| [^|]*\| [^|]*\|$", text, flags=re.MULTILINE)
    assert sorted(rows) == sorted(KNOWN.values())
    for _, needs in re.findall(r"^\| `(\w+:[^`]*)` .*`(bourn\[\w+\])` \|$", text, flags=re.MULTILINE):
        assert re.search(rf"^{needs[6:-1]} = ", (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)


def test_every_kind_of_sensor_is_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) s \|", (ROOT / "docs" / "config.md").read_text(), flags=re.MULTILINE)
    assert rows == [(kind, str(row[2])) for kind, row in KINDS.items()]


def test_every_field_of_every_driver_is_in_the_table() -> None:
    rows = []
    for kind, row in KINDS.items():
        table = getattr(importlib.import_module(f"bourn.device.sensors.{row[0]}"), "TABLE", None)
        for field in table["fields"] if table else ():
            rows.append(
                f"| `{kind}` | {table['chip']} | {table['bus']} | {' | '.join(map(str, field))} | {table['source']} |"
            )
    said = re.findall(r"^\| `\w+` \|.*$", (ROOT / "docs" / "sensors.md").read_text(), flags=re.MULTILINE)
    assert said == rows


def options(name: str) -> set[str]:
    """The long options of one command."""
    command = typer.main.get_command(app).commands[name]
    return {opt for param in command.params for opt in param.opts if opt.startswith("--")}


def test_options_in_the_docs_exist_and_all_of_run_and_plan_are_there() -> None:
    known = set().union(*(options(name) for name in typer.main.get_command(app).commands)) | {"--help"}
    known |= {f"--{name}" for name in SECOND_NAMES}
    text = (ROOT / "docs" / "running.md").read_text()
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert said <= known, f"docs/running.md names options that do not exist: {said - known}"
    missing = (options("run") | options("plan")) - said - {"--help", "--in-flight", "--micropython"}
    assert not missing, f"docs/running.md does not say what these are for: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target} does not exist"


def test_formats_hold_the_numbers_of_the_code() -> None:
    text = (ROOT / "docs" / "formats.md").read_text()
    table = re.findall(r"^\| (\d+) \| ([A-Z]+) \|", text, flags=re.MULTILINE)
    assert {int(number): name for number, name in table} == {n: wire.name_of(n) for n in range(1, wire.PROOF + 1)}
    for number in (wire.MAX_FRAME, wire.MAX_READING, retention.MOST_QUARANTINED):
        assert f"{number:,}" in text, f"{number:,} is not in docs/formats.md"
    assert segment_file.MAX_RECORD == wire.MAX_READING
    assert f"within {link.UNUSED_CREDIT_S:.0f} s" in text.replace("\n", " ")
    assert f"at most {wire.MAX_NESTING} deep" in text.replace("\n", " ")


def test_the_bounds_of_the_hub_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "durability.md").read_text()
    bounds = re.findall(r"^\| `(bourn[\w.]+)` \| (\S+) \| (.+) \| (.+) \|$", text, flags=re.MULTILINE)
    assert len(bounds) >= 15
    for name, value, policy, _ in bounds:
        parts = name.split(".")
        module = [part for part in parts if part.islower()]
        found = importlib.import_module(".".join(module[:-1] if name.endswith(".bytes") else module))
        for part in parts[len(found.__name__.split(".")) :]:
            found = getattr(found() if isinstance(found, type) else found, part)
        assert str(found) == value, f"{name} is {found}; docs/durability.md says {value}"
        assert policy.strip()
    defaults = retention.Limits()
    for option, default in re.findall(r"^\| `--([\w-]+)` \| `?([\w ]+)`? \|", text, flags=re.MULTILINE):
        said = {"journal-bytes": parse_size, "hold": parse_duration}.get(option, str)(default)
        is_so = {"journal-bytes": defaults.bytes, "keep": "for ever", "hold": defaults.hold_s, "when-full": "block"}[
            option
        ]
        assert said == is_so, f"--{option}"
    assert defaults.keep_s is None and defaults.when_full == "block"


def test_no_page_is_left_over() -> None:
    linked = {
        (page.parent / target).resolve() for page in PAGES for target in re.findall(r"\]\(([^)#]+)", page.read_text())
    }
    alone = [page for page in PAGES if page not in linked and page.name not in ("README.md", "CONTRIBUTING.md")]
    assert not alone, f"no page leads to {alone}"


def test_every_row_of_the_threat_table_has_its_test() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| ") and not line.startswith("|-")]
    assert len(rows) > 15
    for row in rows[1:]:
        named = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[-1].strip())
        assert named and len(row) == 5, row
        assert re.search(rf"^(async )?def {named[2]}\(", (ROOT / named[1]).read_text(), re.MULTILINE), named[0]


def test_the_commands_of_the_security_page_exist() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    for words in re.findall(r"^bourn ((?:\w+ ?)+)", page, re.MULTILINE):
        command = words.split()[:2] if words.startswith("keys") else words.split()[:1]
        asked = [sys.executable, "-m", "bourn.cli", *command, "--help"]
        done = subprocess.run(asked, env=ENV, capture_output=True, text=True, check=False)
        assert done.returncode == 0, command
