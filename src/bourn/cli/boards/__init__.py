"""`bourn board`: from an empty board to readings on the hub's page in three commands, over mpremote."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bourn.cli.config import ConfigError

app = typer.Typer(
    name="board",
    help="Boards with MicroPython on USB: write a project, install it, watch it run, read its log.",
    epilog="Example: bourn board init, then bourn board install, then bourn board run",
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
    name: Annotated[
        str | None, typer.Option(help="The board's name at the hub; default: one that no other has, like board-k7m2.")
    ] = None,
    wifi: Annotated[str | None, typer.Option(help="The name of the Wi-Fi; '' for a board without; else asked.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a project that is there.")] = False,
) -> None:
    """Write a project: main.py with the sensors, settings.json with Wi-Fi and hub, and a README.

    The Wi-Fi's password is asked for, never shown, and kept only in settings.json, which nobody else may read.
    """
    from bourn.cli.boards import project

    url = project.hub_url(hub or project.home_address())
    name = name or project.new_name()
    if wifi is None:
        wifi = _ask("Wi-Fi name (empty: the board has none)", "--wifi NAME, or --wifi '' for a board without")
    without = "write it into settings.json afterwards: --wifi '' now, and \"wifi\" as docs/device.md has it"
    password = _ask("Wi-Fi password", without, hide_input=True) if wifi else ""
    for path in project.write_project(folder, name, url, wifi, password, force):
        typer.echo(f"written: {path}")
    typer.echo(f"name:  {name}")
    typer.echo(f"hub:   {url}{'' if hub else '  (this computer; another: --hub)'}")
    if project.only_here(url):
        typer.echo("       which is the board itself, for the board: give the computer's address in its network, --hub")
    command = project.hub_command(url)
    if command:
        typer.echo(f"       there, in a network that is yours alone:  {command}")
    files = project.named_files(url)
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
    from bourn.cli.boards.project import note_board

    with Link(port) as link:
        installer = Installer(link, typer.echo, sys.stdout.isatty())
        installer.check_board()
        wanted = installer.wanted(what, project, mpy)
        typer.echo(installer.install(wanted))
    note = note_board(installer.folder, installer.board.unique_id)
    if note:
        typer.echo(note)
    typer.echo(f"next:  bourn board run{f' --port {port}' if port else ''}")


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
        str, typer.Option(help="The log's name on the board; what was rotated out of it comes first.", metavar="FILE")
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


def _ask(question: str, instead: str, hide_input: bool = False) -> str:
    """What a person answers. BoardError where nobody is there to be asked: `instead` says what to do."""
    try:
        return str(typer.prompt(question, default="", show_default=False, hide_input=hide_input))
    except typer.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        raise BoardError(f"nobody is there to be asked for it; {instead}") from None


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
