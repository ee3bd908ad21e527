"""`bourn record status|list|retry|export`: what was recorded, and where it is; also while it is recorded."""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bourn.hub.recorder.adoption import Adopted
from bourn.hub.recorder.catalogue import Catalogue, CatalogueError, Row
from bourn.hub.recorder.listing import gaps_of, moment_of, spoken, told
from bourn.hub.recorder.recording import Recording, ring

Folder = Annotated[str, typer.Option(help="Where recordings are until they are safely away, and their catalogue.")]
Since = Annotated[str | None, typer.Option(help="From this time on: an age (2h) or a time (2026-01-31T12:00, UTC).")]
Until = Annotated[str | None, typer.Option(help="What began before this time.")]
State = Annotated[str | None, typer.Option(help="Only in this state, like parked.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]

Watched = Annotated[
    list[str] | None,
    typer.Option("--recordings", help="A folder of `bourn record`, to be shown on the page; may be repeated."),
]

SHOW_S = 0.5
MEANS = {  # what a state's name alone does not say
    "verified": "here and away",
    "deleted": "here, because they are safely away",
    "parked": "failed too often: bourn record retry",
    "dropped": "for want of room",
}


def add_to(app: typer.Typer) -> None:
    """Make these commands part of `app`."""
    app.command(epilog="Example: bourn record status --folder recordings")(status)
    app.command("list", epilog="Example: bourn record list --since 1d --state parked")(list_files)
    app.command(epilog="Example: bourn record retry --folder recordings")(retry)
    app.command(epilog="Example: bourn record export --since 2026-01-30 --until 2026-01-31 > january.json")(export)


def status(folder: Folder = "recordings", as_json: AsJson = False) -> None:
    """States and sizes, what was lost and dropped, and what uploads wait for."""
    catalogue = _open(folder)
    known: dict[str, Any] = {
        "states": {state: {"files": n, "bytes": size} for state, (n, size) in sorted(catalogue.counts().items())},
        "gaps": len(catalogue.gaps()),
        "lost": sum(gap.end - gap.first for gap in catalogue.gaps()),
        "pause": catalogue.meta("pause"),
        "sent_this_month": catalogue.sent(datetime.now(UTC).strftime("%Y-%m")),
        "live": catalogue.meta("live"),
    }
    if as_json:
        typer.echo(json.dumps(known, indent=1))
        return
    for state, one in known["states"].items():
        typer.echo(f"{state:10} {one['files']:>8} files {_size(one['bytes']):>10}  {MEANS.get(state, '')}".rstrip())
    live, pause = known["live"] or {}, known["pause"]
    if live:
        running = f"process {live['pid']}" if live["pid"] else "nobody records now"
        typer.echo(f"{'here':10} {_size(live['used'])} of {_size(live['limit'])}; {running}")
    typer.echo(
        f"{'lost':10} {known['lost']} frames in {known['gaps']} gaps; dropped by policy: {live.get('dropped', 0)}"
    )
    typer.echo(f"{'sent':10} {_size(known['sent_this_month'])} this month")
    if live.get("over_budget"):
        typer.echo(f"{'uploads':10} pause until next month: the budget is spent")
    if pause:
        why = "cannot be mended by waiting, " if pause.get("permanent") else ""
        typer.echo(
            f"{'uploads':10} wait until {spoken(pause['at'])} ({why}{pause['failures']} failures): {pause['error']}"
        )


def list_files(folder: Folder = "recordings", since: Since = None, until: Until = None, state: State = None) -> None:
    """One line each, oldest first: time, state, frames, bytes, attempts, name."""
    for row in _rows(_open(folder), since, until, state):
        size = row.packed_bytes if row.packed_bytes is not None else row.bytes or 0
        end = "" if row.end is None else row.end
        where = row.remote if row.state in ("verified", "deleted") else row.here
        error = f"  {row.error}" if row.error else ""
        typer.echo(
            f"{spoken(row.at)}  {row.state:9}  {row.first}-{end}  {_size(size):>9}  {row.attempts:>3}  {where}{error}"
        )


def retry(folder: Folder = "recordings") -> None:
    """Take up what was parked, and wait for nothing that failed before; a running recorder does it at once."""
    _open(folder).close()  # says what is wrong where there is none
    catalogue = Catalogue(f"{folder}/catalogue.db")
    waited = catalogue.retry()
    catalogue.close()
    ring(folder)
    typer.echo(f"{waited} files are tried again")


def export(folder: Folder = "recordings", since: Since = None, until: Until = None, state: State = None) -> None:
    """All that the catalogue knows of a range of time, as JSON: files and gaps."""
    catalogue = _open(folder)
    low, high = _range(since, until)
    found = {
        "files": [told(row) for row in _rows(catalogue, since, until, state)],
        "gaps": gaps_of(catalogue, low, high),
    }
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")


def recorded(folder: str, name: str) -> int:
    """Where the recording of that name has ended; 0 where there is none yet."""
    from bourn.hub.recorder.adoption import adopt
    from bourn.hub.recorder.recording import lock

    try:
        _open(folder).close()
    except CatalogueError:
        return 0
    with lock(folder):
        catalogue = Catalogue(f"{folder}/catalogue.db")
        adopt(folder, catalogue, int(datetime.now(UTC).timestamp() * 1000))
        epoch = catalogue.meta(f"epoch {name}")
        end = catalogue.next_frame(epoch) if epoch else 0
        catalogue.close()
    return end


def adopted(found: Adopted) -> str:
    """What opening had to put in order, in a line."""
    said = {
        "sealed": "files taken into the catalogue",
        "cut": "unfinished files sealed",
        "archives": "archives kept",
        "removed": "leftovers removed",
        "missing": "files are missing",
        "foreign": "other files left alone",
    }
    counted = [f"{n} {said[field]}" for field, n in found._asdict().items() if n and field != "foreign"]
    return f"from before: {', '.join(counted)}" if counted else "nothing is left from before"


def show(recording: Recording, ended: threading.Event) -> None:
    """Progress bars in the terminal until `ended`: space taken, and the object being sent."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description:24.24}"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[more]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        space = progress.add_task("here", total=recording.space.limit, more="")
        upload = progress.add_task("uploads", total=1, more="")
        while not ended.wait(SHOW_S):
            recorder, uploader = recording.recorder, recording.uploader
            more = f"{recorder.sealed} files, {recorder.lost} frames lost"
            progress.update(space, completed=recording.space.used, more=more)
            name, sent, size = uploader.progress or ("uploads", 0, 1)
            more = f"{uploader.uploaded} sent" + (f"; {uploader.last_error}" if uploader.last_error else "")
            progress.update(upload, description=name.rsplit("/", 1)[-1], completed=sent, total=size, more=more)


def _open(folder: str) -> Catalogue:
    return Catalogue(f"{folder}/catalogue.db", read_only=True)


def _rows(catalogue: Catalogue, since: str | None, until: str | None, state: str | None) -> list[Row]:
    low, high = _range(since, until)
    if state is None:
        return catalogue.rows("at >= ? AND at < ?", low, high)
    return catalogue.rows("at >= ? AND at < ? AND state = ?", low, high, state)


def _range(since: str | None, until: str | None) -> tuple[int, int]:
    return _time(since, "--since", 0), _time(until, "--until", 1 << 60)


def _time(text: str | None, option: str, default: int) -> int:
    try:
        return default if text is None else moment_of(text)
    except ValueError as e:
        raise CatalogueError(f"{option}: {e}") from None


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
