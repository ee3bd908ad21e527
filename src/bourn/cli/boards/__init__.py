"""`bourn board`: from an empty board to readings on the hub's page in three commands, over mpremote."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bourn.cli.config import ConfigError

app = typer.Typer(
    name="board",
    help="Boards with MicroPython on USB: write a project, install it, watch it run, read its log.",
    no_args_is_help=True,
)

PROJECT = "board"  # the folder that `init` writes and the others look for
LOG = "bourn.log"  # what the project's main.py logs into, on the board

Port = Annotated[
    str | None,
    typer.Option(
        help="The board's serial port, like /dev/ttyACM0; needed where there are several boards.", metavar="PATH"
    ),
]
Folder = Annotated[str, typer.Argument(help="The project's folder.", show_default=True)]


class BoardError(ConfigError):
    """It cannot be done with this board, or there is none; the text says why and what to do."""


@app.command(epilog="Example: bourn board init --name shed --hub 192.168.1.10 --wifi 'my network'")
def init(
    folder: Folder = PROJECT,
    hub: Annotated[
        str | None,
        typer.Option(help="The hub: a host, host:port, or a URL, as the board reaches it; default: this computer."),
    ] = None,
    name: Annotated[str, typer.Option(help="The board's name at the hub.")] = "board1",
    wifi: Annotated[str | None, typer.Option(help="The name of the Wi-Fi; '' for a board without; else asked.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a project that is there.")] = False,
) -> None:
    """Write a project: main.py with the sensors, settings.json with Wi-Fi and hub, and a README.

    The Wi-Fi's password is asked for, never shown, and kept only in settings.json, which nobody else may read.
    """
    from bourn.cli.boards.project import home_address, hub_url, write_project

    url = hub_url(hub or home_address())
    if wifi is None:
        wifi = typer.prompt("Wi-Fi name (empty: the board has none)", default="", show_default=False)
    password = typer.prompt("Wi-Fi password", hide_input=True, default="", show_default=False) if wifi else ""
    for path in write_project(folder, name, url, wifi, password, force):
        typer.echo(f"written: {path}")
    typer.echo(f"hub:   {url}{'' if hub else '  (this computer; another: --hub)'}")
    if url.startswith("tcp:"):
        port = url.rpartition(":")[2]
        typer.echo(
            f"       there, in a network that is yours alone:  bourn hub --listen tcp://0.0.0.0:{port} --insecure"
        )
    files = [
        pair.partition("=")[2] for pair in url.partition("?")[2].split("&") if pair.startswith(("ca=", "cert=", "key="))
    ]
    if files:
        typer.echo(f"       put into the folder what the URL names: {', '.join(files)}")
    typer.echo(f"next:  bourn board install{'' if folder == PROJECT else f' --project {folder}'}")


@app.command(epilog="Example: bourn board install --port /dev/ttyACM0 device")
def install(
    what: Annotated[
        str, typer.Argument(help="core: the flow | device: and what sends readings | all: and threading and queue.")
    ] = "device",
    project: Annotated[str, typer.Option(help="The project's folder.")] = PROJECT,
    port: Port = None,
    mpy: Annotated[
        bool | None,
        typer.Option("--mpy/--py", help="Compiled files or sources; default: compiled, if mpy-cross is here."),
    ] = None,
) -> None:
    """Copy Bourn and the project to the board: what has changed, and nothing else.

    The program that is on the board stays whole until every new file is there. After an interruption the same
    command goes on where it stopped.
    """
    from bourn.cli.boards.install import Installer
    from bourn.cli.boards.link import Link

    with Link(port) as link:
        installer = Installer(link, typer.echo, sys.stdout.isatty())
        installer.check_board()
        wanted = installer.wanted(what, project, mpy)
        typer.echo(installer.install(wanted))
    typer.echo("next:  bourn board run")


@app.command(epilog="Example: bourn board run --port /dev/ttyACM0")
def run(port: Port = None) -> None:
    """Restart the board and show what its main.py prints, until Ctrl-C; the board goes on without you."""
    from bourn.cli.boards.link import Link

    with Link(port) as link:
        _watch(link)


@app.command(epilog="Example: bourn board log --follow")
def log(
    port: Port = None,
    file: Annotated[
        str, typer.Option(help="The log's name on the board; what was rotated out of it comes first.")
    ] = LOG,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Then show what the program prints, until Ctrl-C.")
    ] = False,
) -> None:
    """Print the board's log. Reading it interrupts the board's program, which is started again afterwards."""
    from bourn.cli.boards.link import Link

    with Link(port) as link:
        parts = [link.read(name) for name in (file + ".1", file)]
        if parts == [None, None]:
            link.restart()
            raise BoardError(f"there is no {file} on the board; the project's main.py writes one (bourn board install)")
        for part in parts:
            sys.stdout.write((part or b"").decode(errors="replace"))
        sys.stdout.flush()
        if follow:
            _watch(link)
        else:
            link.restart()


def _watch(link: object) -> None:
    from bourn.cli.boards.link import Link

    assert isinstance(link, Link)
    try:
        ended_well = link.watch(lambda text: (sys.stdout.write(text), sys.stdout.flush()))
    except KeyboardInterrupt:
        typer.echo("\nthe board goes on, and starts main.py again whenever it gets power")
        return
    if not ended_well:
        raise BoardError("main.py has ended with the error above")
