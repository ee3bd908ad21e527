"""`bourn keys`: who may write to a hub. The hub need not run; one that does hears of it within a second."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from bourn.hub.keys import Keys, KeysError

app = typer.Typer(
    name="keys",
    help="Per-source keys: who may write to this hub. A source that has one must prove it on every link.",
    no_args_is_help=True,
)

Journal = Annotated[str, typer.Option(help="The journal of the hub; the keys lie beside it, in JOURNAL.keys.")]
Sources = Annotated[list[str], typer.Argument(help="Names of sources, like s1.", metavar="SOURCE...")]


@app.command(epilog="Example: bourn keys add s1 s2 --out sensors.keys    then: bourn sensors --keys sensors.keys ...")
def add(
    sources: Sources,
    journal: Journal = "bourn.db",
    out: Annotated[
        str | None,
        typer.Option(help="Append the lines `source key` to this file, mode 0600, instead of printing them."),
    ] = None,
) -> None:
    """Make a key for each source; one that had a key gets a new one. It is shown once and kept nowhere here."""
    keys = _keys(journal)
    if out is None:
        for source in sources:
            sys.stdout.write(f"{source} {keys.add(source)}\n")
        sys.stdout.flush()
        sys.stderr.write("shown this once: keep it in a file for `bourn sensors --keys FILE`; --out writes one\n")
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        handle = os.open(out, flags, 0o600)
    except OSError as e:
        raise KeysError(f"--out {out} cannot be written: {e.strerror}; choose another") from e
    with os.fdopen(handle, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o600)
        for source in sources:
            file.write(f"{source} {keys.add(source)}\n")
    typer.echo(
        f"{len(sources)} key{'s' if len(sources) > 1 else ''} written to {out}; carry it to the sensors' machine"
    )


@app.command("list", epilog="Example: bourn keys list --journal bourn.db")
def show(journal: Journal = "bourn.db") -> None:
    """The sources that have a key, since when, and whether it was revoked; never the keys."""
    keys = _keys(journal)
    if not len(keys):
        typer.echo(f"no source has a key in {keys.path}; make one: bourn keys add s1")
    for key in keys:
        typer.echo(f"{key.source:<24} added {key.added}{f'  revoked {key.revoked}' if key.revoked else ''}")


@app.command(epilog="Example: bourn keys revoke s1")
def revoke(sources: Sources, journal: Journal = "bourn.db") -> None:
    """Let these sources in no more; a link they have is closed within a second. What was stored stays."""
    keys = _keys(journal)
    for source in sources:
        keys.revoke(source)
        typer.echo(f"{source} is let in no more; `bourn keys add {source}` gives it a new key")


def _keys(journal: str) -> Keys:
    return Keys(journal + ".keys")
