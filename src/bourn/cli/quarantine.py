"""`bourn quarantine`: readings that could not be stored, and why; of a journal's file, also while a hub writes it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bourn.cli.api import HubJournal, find_hub
from bourn.spool.sqlite_file import JournalError, JournalInUse
from bourn.spool.stored import Quarantined, drop_quarantine, read_quarantine

app = typer.Typer(name="quarantine", help="Readings that could not be stored, and why.", no_args_is_help=True)

RAW = 60  # characters of a reading in the list; `show` has all that was kept
Place = Annotated[int | None, typer.Option("--upto", help="Only those up to this place (the first column).")]


@app.command("list", epilog="Example: bourn quarantine list --journal bourn.db")
def list_all(journal: HubJournal = "bourn.db") -> None:
    """One line each, oldest first: place, when it came, whose it is, why, what it was."""
    found = read_quarantine(journal)
    for one in found:
        raw = one.raw if len(one.raw) <= RAW else one.raw[: RAW - 3] + "..."
        typer.echo(f"{one.pos:>8}  {_time(one)}  {one.id}  {one.reason}  {raw}")
    if not found:
        sys.stderr.write(f"nothing is in the quarantine of {journal}\n")


@app.command(epilog="Example: bourn quarantine show 4711")
def show(
    place: Annotated[int, typer.Argument(help="Its place, as `list` says it.")], journal: HubJournal = "bourn.db"
) -> None:
    """All that is known of one."""
    one = next((one for one in read_quarantine(journal) if one.pos == place), None)
    if one is None:
        raise JournalError(f"nothing is in the quarantine of {journal} at {place}; see `bourn quarantine list`")
    for name, value in (("place", one.pos), ("id", one.id), ("came", _time(one)), ("why", one.reason)):
        typer.echo(f"{name:6} {value}")
    typer.echo(one.raw)


@app.command(epilog="Example: bourn quarantine export > bad.jsonl")
def export(journal: HubJournal = "bourn.db") -> None:
    """One JSON object a line: place, id, time, reason, raw (sensor, ts, val as far as they were kept)."""
    for one in read_quarantine(journal):
        line: dict[str, Any] = {**one._asdict(), "time": _time(one)}
        sys.stdout.write(json.dumps(line) + "\n")


@app.command(epilog="Example: bourn quarantine drop --upto 4711")
def drop(journal: HubJournal = "bourn.db", upto: Place = None) -> None:
    """Remove them; a hub that is running does it with its next commit."""
    try:
        dropped = drop_quarantine(journal, upto)
    except JournalInUse:
        query = "" if upto is None else f"?upto={upto}"
        dropped = find_hub(journal).delete(f"/api/quarantine{query}")["dropped"]
    typer.echo(f"{dropped} dropped")


def _time(one: Quarantined) -> str:
    return datetime.fromtimestamp(one.at / 1000, UTC).isoformat(timespec="seconds") if one.at else "-"
