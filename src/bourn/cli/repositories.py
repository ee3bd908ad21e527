"""`bourn repositories list|add|remove`: what takes the readings of a running hub, changed while it runs."""

from __future__ import annotations

import os
import sys
import time
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.console import Console
from rich.text import Text

from bourn.cli.api import Api, ApiError, HubJournal, HubUrl, TokenFile, find_hub
from bourn.cli.progress import Progress
from bourn.cli.status import PLAIN_COLUMNS, STYLES, WIDE, caught_up, cut, table
from bourn.hub.repositories.address import without_secrets

LAST = ("LAST ERROR",)
LOOK_S = 0.3  # between two looks at how far it is
PATHS = ("csv", "file", "parquet", "sqlite")  # schemes whose rest is a path, or one with options

app = typer.Typer(name="repositories", help="What takes a running hub's readings.", no_args_is_help=True)


@app.command("list", epilog="Example: bourn repositories list")
def list_(journal: HubJournal = "bourn.db", hub_url: HubUrl = None, token_file: TokenFile = None) -> None:
    """Each repository: how far it is, what it lacks, what went wrong; and those that are only remembered."""
    hub = find_hub(journal, hub_url, token_file)
    rows = hub.get("/api/repositories")["repositories"]
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_COLUMNS)
    if not rows:
        console.print("no repository besides the journal")
        return
    narrow = console.width < WIDE  # then what went wrong stands below, in full
    shown = table("REPOSITORY", "STATE", "PLACE>", "LAG>", "CAUGHT UP>", "WRITTEN>", "RETRIES>", *LAST[narrow:])
    for row in rows:
        shown.add_row(
            Text(cut(row["name"], console.width) if narrow else row["name"]),
            Text(row["state"], STYLES.get(row["state"], "")),
            *(f"{row[name]:,}" for name in ("pos", "lag")),
            caught_up(row),
            *(f"{row.get(name, 0):,}" for name in ("written", "retries")),
            *([] if narrow else [Text(row["last_error"] or "", "red")]),
        )
    console.print(shown)
    for row in rows if narrow else []:
        if row["last_error"]:
            console.print(Text.assemble(f"{row['name']}: ", (row["last_error"], "red")))


@app.command(epilog="Example: bourn repositories add csv:since-noon.csv --from now")
def add(
    url: Annotated[str, typer.Argument(help="The repository, like csv:more.csv (docs/repositories.md has them all).")],
    start: Annotated[
        str | None,
        typer.Option("--from", help="now, oldest, or a place in the journal; default: where it was, or now."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Show how far it is until it has everything; Ctrl-C ends only the showing.")
    ] = False,
    journal: HubJournal = "bourn.db",
    hub_url: HubUrl = None,
    token_file: TokenFile = None,
) -> None:
    """Let another repository have what comes, also after the hub's next start."""
    hub = find_hub(journal, hub_url, token_file)
    body: dict[str, Any] = {"url": _absolute(url) if hub_url is None else url}
    if start is not None:
        body["from"] = int(start) if start.isdecimal() else start
    answer = hub.post("/api/repositories", body)
    if answer is None:
        typer.echo("this is the journal itself, which has everything already")
    elif answer["last_error"]:
        typer.echo(f"added {answer['name']}; it is tried again until it works: {answer['last_error']}")
    else:
        typer.echo(f"added {answer['name']} at place {answer['pos']:,}, {answer['lag']:,} behind")
    if wait and answer is not None:
        _wait(hub, answer["name"], answer["pos"], answer["pos"] + answer["lag"])


@app.command(epilog="Example: bourn repositories remove csv:since-noon.csv --forget")
def remove(
    url: Annotated[str, typer.Argument(help="The repository, as `bourn repositories list` shows it.")],
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget how far it is, too: added again it begins anew.")
    ] = False,
    journal: HubJournal = "bourn.db",
    hub_url: HubUrl = None,
    token_file: TokenFile = None,
) -> None:
    """Give that one no more; what it has stays."""
    hub = find_hub(journal, hub_url, token_file)
    shown = without_secrets(url)
    names = [row["name"] for row in hub.get("/api/repositories")["repositories"]]
    if shown not in names and hub_url is None and _absolute(shown) in names:
        shown = _absolute(shown)
    answer = hub.delete("/api/repositories?" + urlencode({"url": shown, "forget": str(forget).lower()}))
    how = "removed" if answer["removed"] else "removed; it is still in the middle of something and ends after that:"
    remembered = "" if forget else " (added again it goes on where it was)"
    typer.echo(f"{how} {shown}{remembered}")


def _wait(hub: Api, name: str, began: int, newest: int) -> None:
    """Until it has everything up to the place that was the newest; ApiError if it is removed before."""
    with Progress() as say:
        while True:
            rows = hub.get("/api/repositories")["repositories"]
            row = next((row for row in rows if row["name"] == name and row["state"] != "removed"), None)
            if row is None:
                raise ApiError(f"{name} was removed before it had everything")
            if row["pos"] >= newest:
                break
            trouble = f" (it is tried again: {row['last_error']})" if row["last_error"] else ""
            say(f"{name}{trouble}", max(0, row["pos"] - began), newest - began)
            time.sleep(LOOK_S)
    typer.echo(f"{name} has all that was there: {row['written']:,} readings and gaps")


def _absolute(url: str) -> str:
    """A path is meant from here, not from where the hub was started."""
    scheme, colon, rest = url.partition(":")
    if colon and scheme.lower() in PATHS and rest:
        path, mark, query = rest.partition("?")
        return f"{scheme}:{os.path.abspath(path)}{mark}{query}"
    return url
