"""`bourn record`: record without end, ship what is recorded, and look at it."""

from __future__ import annotations

import secrets
import signal
import sys
import threading
from typing import Annotated, Any, NamedTuple

import typer

from bourn.cli import recordings
from bourn.cli.addresses import web_address
from bourn.cli.config import ConfigError, parse_duration
from bourn.cli.limits import parse_size
from bourn.hub.recorder.archive import kind_of
from bourn.hub.recorder.catalogue import CatalogueError
from bourn.hub.recorder.form import LINES, Form, FormError, pcm, raw
from bourn.hub.recorder.journal_source import JournalSource
from bourn.hub.recorder.keeper import POLICIES, Limits, Triggers
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.source import FileSource, PipeSource, SourceError
from bourn.hub.recorder.uploader import Rules

app = typer.Typer(
    name="record",
    help="Record without end, ship recordings to object storage, delete nothing before it is safely away.",
    invoke_without_command=True,
)
recordings.add_to(app)

SOURCES = "wav:FILE, raw:FILE, command:COMMAND, stdin:, mic:[DEVICE] or hub:JOURNAL"
LINES_A_FILE = 1000  # where no rate is known and nothing else is said


class RecordError(Exception):
    """What was asked for cannot be recorded; the text says why and what to do."""


def _size(name: str, help_text: str) -> Any:
    return typer.Option(name, help=help_text, metavar="SIZE")


def _time(name: str, help_text: str) -> Any:
    return typer.Option(name, help=help_text, metavar="TIME")


From = Annotated[str | None, typer.Option("--from", help=f"What to record: {SOURCES}.")]
To = Annotated[str | None, typer.Option(help="Where recordings go: s3://BUCKET/PREFIX, gs://, az://, file:FOLDER.")]
Name = Annotated[str, typer.Option(help="What the recording is called; part of every file's name.")]
File = Annotated[
    str | None,
    typer.Option(
        help="Length of a file: a time (where the rate is known), or frames.",
        show_default=f"60s, or {LINES_A_FILE} lines",
    ),
]
Rate = Annotated[int, typer.Option(help="Frames a second, where the source does not say.", min=0)]
Channels = Annotated[int, typer.Option(help="Samples in a frame of sound.", min=1, max=256)]
SampleBytes = Annotated[int, typer.Option(help="Bytes of a sample of sound.", min=1, max=8)]
FrameBytes = Annotated[int, typer.Option(help="Bytes of a frame that is no sound; 0: it is sound.", min=0)]
Lines = Annotated[bool, typer.Option("--lines", help="A frame is a line.")]
Speed = Annotated[float, typer.Option(help="How many times as fast a file is played; 0: as fast as it goes.", min=0)]
Resume = Annotated[
    bool, typer.Option("--resume", help="Play a file from the frame where this folder's recording ended.")
]
Seconds = Annotated[str | None, _time("--for", "End after this time.")]
MaxBytes = Annotated[str, _size("--max-bytes", "What all files together may take.")]
Policy = Annotated[str, typer.Option(help=f"What happens when they do: {' | '.join(POLICIES)}.")]
Thin = Annotated[int, typer.Option(help="With --policy thin: of so many files one is kept.", min=2, max=100)]
Archive = Annotated[str, typer.Option(help="How a file is packed: tar.zst | zip | none.")]
TriggerFiles = Annotated[int, typer.Option(help="Upload when so many files wait; 0: off.", min=0)]
TriggerBytes = Annotated[str | None, _size("--trigger-bytes", "Upload when the files take so much.")]
TriggerAge = Annotated[str | None, _time("--trigger-age", "Upload when a file is so old.")]
TriggerEvery = Annotated[str | None, _time("--trigger-every", "Upload so often, like 1h: every full hour.")]
TriggerFree = Annotated[str | None, _size("--trigger-free", "Upload when the disk has less than this left.")]
GiveUpAfter = Annotated[int, typer.Option(help="Park a file after so many failures; 0: try for ever.", min=0)]
LimitRate = Annotated[str | None, _size("--limit-rate", "Bytes a second that uploads may take.")]
Price = Annotated[float, typer.Option(help="Of a GB that is sent, in any currency.", min=0)]
Budget = Annotated[float, typer.Option(help="What uploads may cost in a month; 0: anything.", min=0)]
ReadBack = Annotated[bool, typer.Option("--read-back", help="Verify by reading every object back.")]
Linger = Annotated[str, _time("--linger", "How long the end waits for what is not uploaded yet.")]
Sync = Annotated[str, _time("--sync", "How much a crash may lose.")]
Page = Annotated[bool, typer.Option("--page", help="Serve a page of what is recorded; its URL is printed.")]
Web = Annotated[
    str | None, typer.Option(help="The same, at this address: 127.0.0.1:8081, https://0.0.0.0:8443?cert=FILE&key=FILE.")
]
WebTokenFile = Annotated[str | None, typer.Option(help="Keep the page's token in this file.", metavar="FILE")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress in the terminal.")]


class _Played(NamedTuple):
    """How the source is read."""

    url: str
    rate: int
    channels: int
    sample_bytes: int
    frame_bytes: int
    lines: bool
    speed: float


@app.callback(epilog="Example: bourn record --from mic: --file 60s --to s3://bucket/hall --max-bytes 2GB")
def record(
    context: typer.Context,
    source: From = None,
    to: To = None,
    folder: recordings.Folder = "recordings",
    name: Name = "recording",
    file: File = None,
    rate: Rate = 0,
    channels: Channels = 1,
    sample_bytes: SampleBytes = 2,
    frame_bytes: FrameBytes = 0,
    lines: Lines = False,
    speed: Speed = 1.0,
    resume: Resume = False,
    seconds: Seconds = None,
    max_bytes: MaxBytes = "1GB",
    policy: Policy = "drop_oldest",
    thin: Thin = 2,
    archive: Archive = "tar.zst",
    trigger_files: TriggerFiles = 1,
    trigger_bytes: TriggerBytes = None,
    trigger_age: TriggerAge = None,
    trigger_every: TriggerEvery = None,
    trigger_free: TriggerFree = None,
    give_up_after: GiveUpAfter = 0,
    limit_rate: LimitRate = None,
    price: Price = 0.0,
    budget: Budget = 0.0,
    read_back: ReadBack = False,
    linger: Linger = "10s",
    sync: Sync = "1s",
    page: Page = False,
    web: Web = None,
    web_token_file: WebTokenFile = None,
    quiet: Quiet = False,
) -> None:
    """Record until the source ends, or Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    try:
        if source is None:
            raise RecordError(f"--from says what to record: {SOURCES}; or see bourn record --help")
        if policy.replace("-", "_") not in POLICIES:
            raise RecordError(f"there is no policy {policy!r}; use {', '.join(POLICIES)}")
        asked = _Played(source, rate, channels, sample_bytes, frame_bytes, lines, speed)
        player = _source(asked, recordings.recorded(folder, name) if resume else 0)
        rules = Rules(kind_of(archive), give_up_after=give_up_after, bytes_per_s=_bytes(limit_rate),
                      price_per_gb=price, budget=budget, read_back=read_back)  # fmt: skip
        triggers = Triggers(trigger_files, _bytes(trigger_bytes), _seconds(trigger_age), _seconds(trigger_every),
                            _bytes(trigger_free))  # fmt: skip
        frames = _frames(file, player.form)
        settings = Settings(name, player.form, frames, parse_size(max_bytes), int(parse_duration(sync) * 1000), rules,
                            triggers, Limits(policy.replace("-", "_"), thin))  # fmt: skip
        address = web_address(web or "127.0.0.1:0", False) if page or web else None
        recording = _opened(folder, settings, to, player)
        shown = _page(recording, address, web_token_file)
        _run(recording, player, _seconds(seconds), _seconds(linger), quiet, shown)
    except (SourceError, FormError, CatalogueError, ConfigError, ValueError, ImportError, OSError) as e:
        raise RecordError(str(e)) from None


def _source(asked: _Played, start: int) -> Any:
    """What `--from` names."""
    kind, _, rest = asked.url.partition(":")
    if kind == "wav" and rest:
        return FileSource(rest, None, asked.speed, start)
    if kind == "mic":
        from bourn.hub.recorder.microphone import Microphone

        return Microphone(rest, asked.rate or 44100, asked.channels, asked.sample_bytes)
    if kind == "hub":
        return JournalSource(asked.url)
    if kind not in ("raw", "stdin", "command") or (kind != "stdin" and not rest):
        raise RecordError(f"--from {asked.url}: there is no such source; use {SOURCES}")
    if asked.lines:
        form = LINES
    elif asked.frame_bytes:
        form = raw(asked.frame_bytes, asked.rate)
    elif asked.rate:
        form = pcm(asked.rate, asked.channels, asked.sample_bytes)
    else:
        raise RecordError(f"--from {asked.url}: say what its bytes are: --rate of sound, --frame-bytes, or --lines")
    return FileSource(rest, form, asked.speed, start) if kind == "raw" else PipeSource(form, rest or None)


def _frames(text: str | None, form: Form) -> int:
    if text is None and form == LINES:
        return LINES_A_FILE
    text = text or "60s"
    if text.isdecimal():
        return int(text)
    if not form.rate:
        raise RecordError(f"--file {text}: the rate is not known; give --rate, or a number of frames")
    return max(1, int(parse_duration(text) * form.rate))


def _opened(folder: str, settings: Settings, to: str | None, player: Any) -> Recording:
    recording = Recording(folder, settings, _store(to))
    if isinstance(player, JournalSource):
        player.bind(recording, settings.name)
    return recording


def _store(url: str | None) -> Any:
    if url is None:
        return None
    from bourn.hub.recorder.store import ObjectStore

    return ObjectStore(url)


def _seconds(text: str | None) -> float:
    return parse_duration(text) if text and text != "0" else 0.0


def _bytes(text: str | None) -> int:
    return parse_size(text) if text and text != "0" else 0


def _page(recording: Recording, address: tuple[str, int, Any] | None, token_file: str | None) -> Any:
    """The page being served, and its URL printed; None where nobody asked for it. RecordError."""
    if address is None:
        return None
    from bourn.hub.control_file import kept_token
    from bourn.hub.recorder.monitor import Monitor
    from bourn.hub.web.recorder_page import RecorderPage

    try:
        token = kept_token(token_file) if token_file else secrets.token_urlsafe(16)
        healthy = lambda: recording.recorder.losing is None  # noqa: E731 - a word to the page, and no more
        shown = RecorderPage(Monitor([recording.folder]), address, token, healthy)
    except (OSError, ValueError) as e:
        recording.close()
        what = f"--web: {address[0]}:{address[1]} cannot be used" if isinstance(e, OSError) else "--web-token-file"
        raise RecordError(f"{what}: {e}; choose another") from None
    sys.stdout.write(f"page     {shown.url}\n")
    sys.stdout.flush()
    return shown


def _run(recording: Recording, player: Any, seconds: float, linger_s: float, quiet: bool, page: Any) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if any(recording.adopted):
        sys.stderr.write(f"bourn: {recordings.adopted(recording.adopted)}\n")
    recording.start()
    timer = threading.Timer(seconds, stop.set) if seconds else None
    if timer:
        timer.daemon = True
        timer.start()
    shown = threading.Event()
    screen = None
    if not quiet and sys.stderr.isatty():
        screen = threading.Thread(target=recordings.show, args=(recording, shown), daemon=True)
        screen.start()
    try:
        player.run(recording.recorder, stop)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C does not wait
            signal.signal(number, signal.default_int_handler)
        done = recording.close(linger_s)
        shown.set()
        if screen:
            screen.join(5)
        if page:
            page.close()
    if not done and recording.uploads:
        why = f" ({recording.uploader.last_error})" if recording.uploader.last_error else ""
        sys.stderr.write(f"bourn: some recordings wait in {recording.folder}{why}; the next `bourn record` goes on\n")
