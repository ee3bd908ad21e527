"""The command `bourn`: run everything here, or the hub and the sensors apart; read what was stored."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import time
from datetime import datetime
from typing import Annotated

import typer

from bourn import __version__
from bourn.cli import boards, quarantine, record, repositories
from bourn.cli import keys as keys_command
from bourn.cli.api import ApiError, HubJournal, HubUrl, TokenFile, find_hub
from bourn.cli.config import ConfigError, SensorSettings, demo_sensors, load_config, parse_duration, system_sensors
from bourn.cli.connections import BROKER, CONNECTIONS, SENSORS_AS, Wiring, check_hub_url, check_listen_urls
from bourn.cli.help import HELP, dress
from bourn.cli.hub_config import load_repositories, use_config
from bourn.cli.hub_plan import HubPlan, Wrong
from bourn.cli.limits import Hold, JournalBytes, Keep, LimitError, WhenFull, limits_of
from bourn.cli.recordings import Watched
from bourn.hub.keys import KeysError
from bourn.hub.recorder.catalogue import CatalogueError
from bourn.spool.sqlite import JournalError

SECOND_NAMES = {"connection-type": "connection"}  # of options

app = typer.Typer(
    name="bourn",
    help="One Python dataflow for sensor data, from the microcontroller to the server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={
        "token_normalize_func": lambda word: SECOND_NAMES.get(word := word.replace("_", "-"), word),
        "help_option_names": HELP,
    },
)


app.add_typer(boards.app)
app.add_typer(keys_command.app)
app.add_typer(repositories.app)
app.add_typer(quarantine.app)
app.add_typer(record.app)


@app.command(epilog="Example: bourn certificate hub.local 192.0.2.7 --out certificates")
def certificate(
    names: Annotated[list[str], typer.Argument(help="What sensors call the hub: host names and addresses.")],
    out: Annotated[str, typer.Option(help="The folder for ca.pem, ca.key, hub.pem and hub.key.")] = ".",
) -> None:
    """A certificate for `bourn hub --listen tls://...`, and an authority of your own that vouches for it."""
    from bourn.cli.certificate import print_certificate

    print_certificate(names, out)


# What typer's parser raises for a wrong option. It exports only this member of the family.
UsageError: type[BaseException] = typer.BadParameter.__mro__[1]


# -- options that several commands share

Connection = Annotated[
    str,
    typer.Option(help=f"How sensors reach the hub: {' | '.join(CONNECTIONS)}."),
]
SensorsAs = Annotated[
    str | None, typer.Option(help=f"{' | '.join(SENSORS_AS)}; default: threads for a queue, processes for the others.")
]
Port = Annotated[int, typer.Option(help="The hub's TCP port; 0 takes a free one.", min=0, max=65535)]
NumSensors = Annotated[int, typer.Option(help="How many random sensors to run.", min=1, max=1000)]
Every = Annotated[
    str | None, typer.Option(help="Time between samples, like 5, 500ms or 1m; default: the sensor's own.")
]
SystemData = Annotated[
    bool, typer.Option("--system-data", help="Sensors of this machine: CPU, load, memory, disk, ...")
]
Config = Annotated[str | None, typer.Option(help="Sensors from a TOML file (see docs/config.md).")]
HubConfig = Annotated[
    str | None,
    typer.Option(help="Options, repositories and sensors from a TOML file.", is_eager=True, callback=use_config),
]
Outbox = Annotated[str, typer.Option(help="Folder of the sensors' outboxes: what the hub has not acknowledged.")]
MicroPython = Annotated[
    str, typer.Option(help="Interpreter for the last sensor: auto (if there is one), none, or a path.", metavar="PATH")
]
Seconds = Annotated[str | None, typer.Option("--for", help="End after this time, like 10 or 5m.")]
Journal = Annotated[str, typer.Option(help="The SQLite file that holds every reading.")]
InFlight = Annotated[int, typer.Option(help="Unacknowledged readings allowed per link.", min=1)]
NetworkInFlight = Annotated[
    int | None, typer.Option(help="Unacknowledged readings allowed over all links together.", min=1)
]
CsvFile = Annotated[str | None, typer.Option(help="Also append every reading to this CSV file.")]
LogToScreen = Annotated[bool, typer.Option("--log-to-screen", help="Also print every reading.")]
LogToPlot = Annotated[bool, typer.Option("--log-to-plot", help="Draw live charts in the page.")]
Web = Annotated[
    str | None,
    typer.Option(help="Address of the live page: 127.0.0.1:8080, https://0.0.0.0:8443?cert=FILE&key=FILE."),
]
NoWeb = Annotated[bool, typer.Option("--no-web", help="No page and no API: `bourn status` cannot ask this hub.")]
WebTokenFile = Annotated[
    str | None,
    typer.Option(
        help="Keep the page's token in this file (made if there is none): it stays over restarts.", metavar="FILE"
    ),
]
LogFormat = Annotated[str, typer.Option(help="What happens to the hub, on standard error: text | json.")]
LogLevel = Annotated[str, typer.Option(help="From which level on: debug | info | warning | error.")]
Listen = Annotated[
    list[str] | None,
    typer.Option(
        help="Where sensors connect to: tcp://127.0.0.1:7007 (the default), tls://, unix:PATH, mqtt://HOST/TOPIC, ...; "
        "may be repeated.",
        show_default=False,
    ),
]
To = Annotated[list[str] | None, typer.Option(help="Another repository, like csv:more.csv; may be repeated.")]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Allow others to reach it unencrypted, and to write without a key.")
]
RequireKeys = Annotated[bool, typer.Option("--require-keys", help="Ask every source for its key, local ones too.")]
KeyFile = Annotated[
    str | None, typer.Option("--keys", help="The sensors' keys: a file that `bourn keys add` wrote.", metavar="FILE")
]


@app.command(
    epilog="Example: bourn run --num-sensors 5 --every 0.5 --csv-file bourn.csv --log-to-screen --log-to-plot --for 10"
)
def run(
    num_sensors: NumSensors = 5,
    every: Every = None,
    connection: Connection = "socket",
    sensors_as: SensorsAs = None,
    port: Port = 0,
    in_flight: InFlight = 1000,
    network_in_flight: NetworkInFlight = 5,
    system_data: SystemData = False,
    config: HubConfig = None,
    keys: KeyFile = None,
    journal: Journal = "bourn.db",
    outbox: Outbox = "bourn.outbox",
    csv_file: CsvFile = None,
    to: To = None,
    log_to_screen: LogToScreen = False,
    log_to_plot: LogToPlot = False,
    web: Web = None,
    no_web: NoWeb = False,
    recordings: Watched = None,
    journal_bytes: JournalBytes = None,
    keep: Keep = None,
    hold: Hold = None,
    when_full: WhenFull = "block",
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
    micropython: MicroPython = "auto",
    seconds: Seconds = None,
) -> None:
    """Sensors, hub and page on this machine, until Ctrl-C."""
    wiring = Wiring(connection, sensors_as, micropython, port)
    _log(log_level, log_format)
    sensors = _sensors(num_sensors, every, system_data, config, keys)
    hub = HubPlan(
        journal,
        [wiring.url(journal)],
        in_flight,
        network_in_flight,
        csv_file,
        to,
        log_to_screen,
        log_to_plot,
        web,
        no_web,
        False,
        limits_of(journal_bytes, keep, hold, when_full),
    )
    hub.repositories = load_repositories(config)
    hub.recordings = recordings or []
    interpreter = _interpreter(micropython) if wiring.micropython else None
    asyncio.run(_main(hub, None, sensors, outbox, interpreter, _duration(seconds, "--for"), wiring.threads))


@app.command(epilog="Example: bourn hub --listen tcp://127.0.0.1:7007 --journal bourn.db --web 127.0.0.1:8080")
def hub(
    listen: Listen = None,
    in_flight: InFlight = 1000,
    network_in_flight: NetworkInFlight = None,
    journal: Journal = "bourn.db",
    csv_file: CsvFile = None,
    to: To = None,
    log_to_screen: LogToScreen = False,
    log_to_plot: LogToPlot = False,
    web: Web = None,
    no_web: NoWeb = False,
    web_token_file: WebTokenFile = None,
    recordings: Watched = None,
    journal_bytes: JournalBytes = None,
    keep: Keep = None,
    hold: Hold = None,
    when_full: WhenFull = "block",
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
    config: HubConfig = None,
    insecure: Insecure = False,
    require_keys: RequireKeys = False,
    seconds: Seconds = None,
) -> None:
    """The hub alone: takes what sensors send, here or on other machines."""
    _log(log_level, log_format)
    check_listen_urls(listen or [])
    plan = HubPlan(
        journal,
        listen or ["tcp://127.0.0.1:7007"],
        in_flight,
        network_in_flight,
        csv_file,
        to,
        log_to_screen,
        log_to_plot,
        web,
        no_web,
        insecure,
        limits_of(journal_bytes, keep, hold, when_full),
    )
    plan.token_file = web_token_file
    plan.repositories = load_repositories(config)
    plan.recordings = recordings or []
    plan.require_keys = require_keys
    asyncio.run(_main(plan, None, [], "", None, _duration(seconds, "--for")))


@app.command(epilog="Example: bourn sensors --hub tcp://192.0.2.7:7007 --num-sensors 2 --every 1")
def sensors(
    hub: Annotated[str, typer.Option(help="The hub's URL.")] = "tcp://127.0.0.1:7007",
    num_sensors: NumSensors = 5,
    every: Every = None,
    system_data: SystemData = False,
    config: Config = None,
    keys: KeyFile = None,
    outbox: Outbox = "bourn.outbox",
    micropython: MicroPython = "auto",
    seconds: Seconds = None,
) -> None:
    """Sensors alone, sending to a hub elsewhere; they wait for it when it is away."""
    check_hub_url(hub, micropython)
    specs = _sensors(num_sensors, every, system_data, config, keys)
    interpreter = None if hub.startswith("shm:") else _interpreter(micropython)
    asyncio.run(_main(None, hub, specs, outbox, interpreter, _duration(seconds, "--for")))


@app.command(epilog="Example: bourn read bourn.db --sensor s1 --since 5m --format csv")
def read(
    journal: Annotated[str, typer.Argument(help="The journal of a hub, also one that is running.")] = "bourn.db",
    sensor: Annotated[str | None, typer.Option(help="Only this sensor.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From then on: an age like 5m, or a time like 2026-01-31T12:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to then, likewise.")] = None,
    format: Annotated[str, typer.Option(help="table, csv or jsonl.")] = "table",
) -> None:
    """Print stored readings, oldest first."""
    from bourn.cli.reading import print_readings

    if format not in ("table", "csv", "jsonl"):
        raise Wrong(f"there is no format {format!r}; use table, csv or jsonl")
    try:
        print_readings(journal, sensor, _moment(since, "--since"), _moment(until, "--until"), format)
    except BrokenPipeError:  # `bourn read ... | head`; what is still to be written goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.command(epilog="Example: bourn status --json | jq .journal.rate")
def status(
    journal: HubJournal = "bourn.db",
    hub_url: HubUrl = None,
    token_file: TokenFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """What the running hub does: sensors, links, journal, repositories, what went wrong."""
    from bourn.cli.status import print_status

    print_status(find_hub(journal, hub_url, token_file), as_json)


@app.command(epilog="Example: bourn top --journal bourn.db")
def top(journal: HubJournal = "bourn.db", hub_url: HubUrl = None, token_file: TokenFile = None) -> None:
    """The same, live in this terminal, until q or Ctrl-C."""
    from bourn.cli.top import run_top

    run_top(lambda: find_hub(journal, hub_url, token_file))


@app.command("plot", epilog="Example: bourn plot bourn.db --out plot.png --since 1h")
def plot_(  # not `plot`: that is the module
    journal: Annotated[
        str, typer.Argument(help="The journal of a hub, also one that is running, or what sqlite:PATH wrote.")
    ] = "bourn.db",
    out: Annotated[str, typer.Option(help="The picture: PNG, SVG or PDF by its name.")] = "plot.png",
    sensor: Annotated[list[str] | None, typer.Option(help="Only this sensor; may be repeated.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From then on: an age like 5m, or a time like 2026-01-31T12:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to then, likewise.")] = None,
) -> None:
    """Draw stored readings into a picture, a panel for each sensor."""
    from bourn.cli.plot import PlotError, draw

    try:
        draw(journal, out, sensor or [], _moment(since, "--since"), _moment(until, "--until"))
    except PlotError as e:
        raise Wrong(str(e)) from e


@app.command("plan", epilog="Example: bourn plan 30s 45s 60s --slack 10% --battery-mah 2600")
def wake_plan(  # not `plan`: that is the module
    intervals: Annotated[list[str], typer.Argument(help="How often each sensor is sampled, like 500ms 30s 5m 1h 1d.")],
    slack: Annotated[
        str, typer.Option(help="How late a sample may be to share a wake-up: 10% of its interval, or 5s.")
    ] = "0%",
    battery_mah: Annotated[float | None, typer.Option(help="Capacity: estimate how long the battery lasts.")] = None,
    battery_v: Annotated[float, typer.Option(help="Its mean voltage.")] = 3.7,
    wake_mj: Annotated[float, typer.Option(help="Energy of one wake-up: boot, sample, send now and then.")] = 50,
    sleep_ua: Annotated[float, typer.Option(help="Current while asleep.")] = 10,
) -> None:
    """How often a device wakes for these intervals, and how long its battery lasts."""
    from bourn.cli.plan import Battery, print_plan

    try:
        print_plan(intervals, slack, Battery(battery_mah, battery_v, wake_mj, sleep_ua) if battery_mah else None)
    except ValueError as e:
        raise Wrong(str(e)) from e


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    if version:
        typer.echo(f"bourn {__version__}")
        raise typer.Exit


# -- from options to what runs


def _log(level: str, form: str) -> None:
    from bourn.hub.log import FORMATS, LEVELS, start_log

    if level.lower() not in LEVELS:
        raise Wrong(f"--log-level: there is no level {level!r}; use {', '.join(LEVELS)}")
    if form not in FORMATS:
        raise Wrong(f"--log-format: there is no format {form!r}; use {' or '.join(FORMATS)}")
    start_log(level, form)


def _sensors(
    num: int, every: str | None, system_data: bool, config: str | None, keys: str | None
) -> list[SensorSettings]:
    period = _duration(every, "--every")
    if keys and not os.access(keys, os.R_OK):
        raise Wrong(f"--keys {keys} cannot be read; make it on the hub's machine: bourn keys add s1 --out {keys}")
    if config:
        specs = load_config(config)
    elif system_data:
        specs = system_sensors()
    else:
        specs = demo_sensors(num)
    for spec in specs:
        spec.every = period or spec.every
        spec.keys = os.path.abspath(keys) if keys else spec.keys
    return specs


def _interpreter(wanted: str) -> str | None:
    from bourn.cli.processes import find_micropython

    if wanted == "none":
        return None
    if wanted == "auto":
        return find_micropython()
    if not os.access(wanted, os.X_OK) or os.path.isdir(wanted):
        raise Wrong(f"--micropython {wanted} is no program; give the path of an interpreter, or auto or none")
    return os.path.abspath(wanted)


def _duration(text: str | None, option: str) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as e:
        raise Wrong(f"{option}: {e}") from e


def _moment(text: str | None, option: str) -> int | None:
    """Milliseconds since 1970 of an age (5m) or a time (2026-01-31T12:00, local unless it says otherwise)."""
    if text is None:
        return None
    try:
        return int((time.time() - parse_duration(text)) * 1000)
    except ValueError:
        try:
            return int(datetime.fromisoformat(text).timestamp() * 1000)
        except ValueError:
            raise Wrong(f"{option}: {text!r} is neither an age like 5m nor a time like 2026-01-31T12:00") from None


async def _main(
    plan: HubPlan | None,
    hub_url: str | None,
    specs: list[SensorSettings],
    outbox: str,
    micropython: str | None,
    seconds: float | None,
    threads: bool = False,
) -> None:
    from bourn.cli.supervisor import Supervisor

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # from now on whatever was begun is ended in order
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    broker = None
    if plan and plan.listen == [BROKER]:
        from bourn.cli.broker import Broker

        broker = Broker()
        await broker.start()
        plan.listen = [broker.url]
    try:
        hub = await plan.start(stop) if plan else None
        if plan and hub is None:
            return
        try:
            supervisor = Supervisor(hub, hub_url, specs, outbox, micropython, stop, threads)
        except BaseException:
            if hub:
                await hub.stop()
            raise
        await supervisor.run(seconds)
    finally:
        if broker:
            await broker.stop()


def main(argv: list[str] | None = None) -> None:
    """Run the command; exits with 0, 1 (it failed) or 2 (it was asked for something that cannot be)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar that this terminal cannot show is no reason to end
    command = typer.main.get_command(app)
    dress(command)
    try:
        result = command.main(args=argv, prog_name="bourn", standalone_mode=False)
        status = result if isinstance(result, int) else 0
    except typer.Exit as e:
        status = e.exit_code
    except UsageError as e:
        status = 2
        context = getattr(e, "ctx", None)
        text = e.format_message() if hasattr(e, "format_message") else str(e)
        if argv == [] or (argv is None and len(sys.argv) == 1):
            typer.echo(context.get_help() if context else text)
        else:
            sys.stderr.write(f"bourn: {text.rstrip('.')}; see {context.command_path if context else 'bourn'} --help\n")
    except (Wrong, ConfigError, LimitError, JournalError, KeysError, CatalogueError, record.RecordError) as e:
        sys.stderr.write(f"bourn: {e}\n")
        status = 2
    except ApiError as e:
        sys.stderr.write(f"bourn: {e}\n")
        status = 1
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    sys.exit(status)
