"""The page of operators is complete and true: every row's example runs, and what it draws is what happens."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bourn
from bourn.names import HOMES as HOMES_TEXT
from bourn.testing import marbles

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "operators.md").read_text()
HOMES = [line.split() for line in HOMES_TEXT.strip().splitlines()]
PUBLIC = sorted(name for home, *names in HOMES if home.startswith("operators.") for name in names)
ALSO = sorted(name for home, *names in HOMES if home in ("sensor", "sources", "policy") for name in names)
NAMES: dict[str, Any] = {name: getattr(bourn, name) for name in [*PUBLIC, *ALSO, "SensorEvent"]}
OPERATORS = [name for name in PUBLIC if inspect.isfunction(NAMES[name]) and NAMES[name].__name__ == name]


def around() -> dict[str, Any]:
    """What the examples take for granted, beside the operators."""
    watcher = SimpleNamespace(on_next=lambda x: None, produce_event_for_timeout=lambda: 0)
    thing, other = bourn.OutputThing(), bourn.OutputThing()
    scheduler = SimpleNamespace(schedule_periodic=lambda thing, s: thing._observe())
    sensor = SimpleNamespace(sensor_id="t1", sample=lambda: 21.5)
    more = {"scheduler": scheduler, "sensor": sensor}
    return {
        **NAMES,
        **more,
        "marbles": marbles,
        "thing": thing,
        "other": other,
        "seen": [],
        "sink": print,
        "watcher": watcher,
    }


def rows() -> list[list[str]]:
    """The cells of the first table, a backslash before a bar removed; a row without a name belongs to the one above."""
    table = PAGE.split("\n\n")[2].splitlines()[2:]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
    for i, row in enumerate(cells):
        assert len(row) == 4, row
        row[0] = row[0] or cells[i - 1][0]
    return cells


def test_every_operator_is_in_the_table() -> None:
    # parallel ends a pipe: nothing comes out that could be drawn
    said = {"parallel"} | {re.match(r"`(\w+)\(", row[0])[1] for row in rows()}  # type: ignore[index]  # else it fails
    assert said == set(OPERATORS), f"missing: {set(OPERATORS) - said}; no operator: {said - set(OPERATORS)}"
    named = [line.split("(")[0] for line in PAGE.splitlines() if re.match(r"\| `\w+\(", line)]
    assert len(named) == len(set(named)), "an operator has one row, and further examples below it"
    others = [name for name in PUBLIC if not re.search(rf"`[^`]*\b{name}\b", PAGE)]
    assert not others, f"further names, and classes, that the page does not say: {others}"


@pytest.mark.parametrize("cell", sorted({row[0] for row in rows()}))
def test_the_table_names_the_arguments(cell: str) -> None:
    name, arguments = re.fullmatch(r"`(\w+)\((.*)\)`", cell).groups()  # type: ignore[union-attr]  # as above
    taken = inspect.signature(NAMES[name]).parameters.values()
    assert arguments.split(", ") == [str((p.kind == p.VAR_POSITIONAL and "*") or "") + p.name for p in taken] or (
        not taken and not arguments
    )


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[2])
def test_what_is_drawn_is_what_happens(row: list[str]) -> None:
    example = row[2].strip("`")
    assert re.match(r"`(\w+)\(", row[0])[1] in example  # type: ignore[index]  # as above
    if not row[3]:  # the end of a pipe: nothing comes out
        bourn.OutputThing().pipe(eval(example, around()))
        return
    drawn, _, legend = row[3].partition(" with ")
    source, arrow, expected = drawn.rpartition(" → ")
    assert arrow, row[3]
    inputs = re.findall(r"`([^`]+)`", source)
    values = {char: eval(text, NAMES) for char, text in re.findall(r"(\w) = `([^`]+)`", legend)}

    def operators(*others: bourn.OutputThing) -> Any:
        return eval(example, around() | dict(zip(["other"], others, strict=False)))

    marbles(inputs[0], operators, expected.strip("`"), values=values, others=inputs[1:])


@pytest.mark.parametrize("name", sorted({NAMES[name].__name__ for name in PUBLIC + ALSO}))
def test_every_docstring_has_an_example_that_runs(name: str) -> None:
    text = inspect.getdoc(NAMES[name]) or ""
    examples = [line.removeprefix(">>> ") for line in text.splitlines() if line.startswith(">>> ")]
    if not examples:  # short ones stand in the text
        examples = re.findall(rf"`({name}\(.+?\))`", text)
    assert examples, f"{name} has no example in its docstring"
    for example in examples:
        exec(example, around())
