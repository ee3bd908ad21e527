"""A recording as a whole: folder, catalogue, recorder, keeper and uploader, opened, running, and closed in order."""

from __future__ import annotations

import fcntl
import json
import os
import random
import secrets
import socket
import struct
import threading
import time
from typing import IO, Any, NamedTuple

from bourn.clock import Clock
from bourn.hub.recorder.adoption import Adopted, adopt, files_of
from bourn.hub.recorder.catalogue import Catalogue, CatalogueError
from bourn.hub.recorder.form import Form
from bourn.hub.recorder.keeper import Keeper, Limits, Triggers
from bourn.hub.recorder.names import checked
from bourn.hub.recorder.recorder import SYNC_MS, Recorder
from bourn.hub.recorder.space import Space, free_bytes
from bourn.hub.recorder.uploader import Rules, Uploader

MAX_BYTES = 1_000_000_000
ASK_S = 0.5  # for an answer from a process that runs
ANSWER_BYTES = 1 << 16
_CREDENTIALS = struct.Struct("3i")  # the kernel's word of who sent a message: process, user, group
SLACK = 65536  # of an archive that is larger than its file


class Settings(NamedTuple):
    """What a recording is called, how its files are cut, and what the disk may hold."""

    name: str
    form: Form
    frames_per_file: int
    max_bytes: int = MAX_BYTES
    sync_ms: int = SYNC_MS
    rules: Rules = Rules()
    triggers: Triggers = Triggers()
    limits: Limits = Limits()


class Recording:
    """`recorder.write()` takes frames from here on; the rest happens in two threads of their own, after `start()`.

    Opening makes folder and catalogue agree (`adopted` tells what that took) and continues the numbering where it was.
    CatalogueError, ValueError, OSError.
    """

    def __init__(
        self, folder: str, settings: Settings, store: Any, clock: Any = None, rng: random.Random | None = None
    ) -> None:
        checked(settings.name)
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self._lock = lock(folder)
        try:
            self._open(settings, store, clock or Clock(), rng)
        except BaseException:
            self._lock.close()
            raise

    def _open(self, settings: Settings, store: Any, clock: Any, rng: random.Random | None) -> None:
        file_bytes = settings.form.header_bytes + settings.frames_per_file * settings.form.frame_bytes
        file_bytes = file_bytes if settings.form.frame_bytes else min(1 << 20, settings.max_bytes // 16)
        # The reserve is for the archive that is being made, so that a full disk can still be emptied.
        space = Space(settings.max_bytes, file_bytes + SLACK, lambda: free_bytes(self.folder))
        if settings.max_bytes < 4 * file_bytes + SLACK:
            raise ValueError(
                f"{settings.max_bytes} bytes hold less than four files of {file_bytes} bytes; "
                "make the files shorter (--file) or allow more (--max-bytes)"
            )
        self.catalogue = Catalogue(f"{self.folder}/catalogue.db")
        self.adopted: Adopted = adopt(self.folder, self.catalogue, clock.wall())
        self.catalogue.forget()
        space.add(sum(size for _, size in files_of(self.folder)))
        epoch = self.catalogue.meta(f"epoch {settings.name}")
        if epoch is None:
            epoch = secrets.token_hex(8)
            self.catalogue.put_meta(f"epoch {settings.name}", epoch)
        self.epoch: str = epoch
        next_frame = self.catalogue.next_frame(epoch)
        limits = settings.limits
        limits = limits._replace(headroom=limits.headroom or 2 * file_bytes)
        limits = limits._replace(headroom=min(limits.headroom, (settings.max_bytes - space.reserve) // 2))
        self.uploader = Uploader(self.folder, self.catalogue, store, space, settings.rules, clock.wall, rng)
        self.uploader.owns(settings.name, epoch)
        self.keeper = Keeper(self.folder, self.catalogue, space, self.uploader, settings.triggers, limits, clock.wall)
        self.recorder = self.keeper.recorder = Recorder(
            self.folder,
            settings.name,
            epoch,
            settings.form,
            settings.frames_per_file,
            next_frame,
            space,
            self.keeper.tell,
            clock,
            sync_ms=settings.sync_ms,
        )
        self.space = space
        where = {"to": getattr(store, "url", None), "archive": settings.rules.archive}
        self.catalogue.put_meta("about", {"name": settings.name, **where, "policy": settings.limits.policy,
                                         "form": settings.form._asdict()})  # fmt: skip
        self.uploads = store is not None  # without one, recordings stay here as long as there is room
        self._bell: socket.socket | None = None
        self._closing = False

    def start(self) -> None:
        """Begin to keep and to upload."""
        self.keeper.tell(None)
        self.keeper.start()
        if self.uploads:
            self.uploader.start()
        self._bell = _bell(self.folder)
        if self._bell is not None:
            threading.Thread(target=self._listen, args=(self._bell,), name="bourn-bell", daemon=True).start()

    def close(self, linger_s: float = 0) -> bool:
        """Seal, upload what can be uploaded within `linger_s`, and end. True if nothing is left that waits.

        What is left stays on the disk, and goes on when the recording is opened again.
        """
        self._closing = True
        self.recorder.close()
        self.keeper.stop(max(5.0, linger_s))
        if linger_s and self.uploads:
            self._linger(linger_s)
        self.uploader.stop(10.0)
        left = self._waiting() or self.catalogue.rows("state = 'parked'", limit=1)
        self.catalogue.put_meta("live", {**self.keeper.live(Clock().wall()), "pid": None})
        if self._bell is not None:
            _close_bell(self._bell)
        self.catalogue.close()
        self._lock.close()
        return not left

    def _linger(self, linger_s: float) -> None:
        """Until nothing waits, or what waits does so for longer than is left."""
        until = time.monotonic() + linger_s
        while self.uploader.alive:
            self.uploader.trigger()
            self.uploader.settled(max(0.0, until - time.monotonic()))
            pause = self.uploader.wait_ms() / 1000
            if not self._waiting() or time.monotonic() + pause > until:
                return
            time.sleep(pause)

    def _waiting(self) -> bool:
        return bool(self.catalogue.rows("state IN ('sealed', 'archived', 'uploading', 'verified')", limit=1))

    def _listen(self, bell: socket.socket) -> None:
        """Somebody has changed the catalogue (`bourn record retry`), or asks how it goes (the page)."""
        while True:
            try:
                data, extra, _, caller = bell.recvmsg(16, socket.CMSG_SPACE(_CREDENTIALS.size))
                if data == b"end":
                    return
                if data == b"live":
                    if caller and _trusted(extra):
                        bell.sendto(json.dumps(self.live()).encode(), socket.MSG_DONTWAIT, caller)
                    continue
            except (BlockingIOError, ConnectionRefusedError, FileNotFoundError):
                continue  # who asked does not wait for the answer any more
            except OSError:
                return
            self.uploader.trigger()

    def live(self) -> dict[str, Any]:
        """What is only known while it runs."""
        now = {"next_frame": self.recorder.next_frame, "closing": self._closing}
        return {**self.keeper.live(Clock().wall()), **now}


def lock(folder: str) -> IO[bytes]:
    """Keep other recordings out of the folder until the result is closed. CatalogueError."""
    file = open(f"{folder}/lock", "ab")  # noqa: SIM115 - held as long as the recording is
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CatalogueError(f"another program records into {folder}; give each a folder of its own") from None
    return file


def ring(folder: str) -> None:
    """Tell whoever records into `folder` to look at the catalogue; nothing happens where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
        try:
            caller.sendto(b"look", _place(folder))
        except (ConnectionRefusedError, FileNotFoundError):
            return


def ask(folder: str, timeout_s: float = ASK_S) -> dict[str, Any] | None:
    """What whoever records into `folder` says of it now; None where nobody does, or who does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
        caller.settimeout(timeout_s)
        try:
            caller.bind("")  # any name of this kind: the answer needs one to go to
            caller.connect(_place(folder))  # and from now on nobody else can answer
            caller.send(b"live")
            told = json.loads(caller.recv(ANSWER_BYTES))
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) else None


def _trusted(extra: list[tuple[int, int, bytes]]) -> bool:
    """Whether the kernel says that a message came from the same user, or root: such names have no owner."""
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[1] in (0, os.geteuid())
    return False


def _place(folder: str) -> str:
    """A name that is no file: the kernel forgets it with the process."""
    there = os.stat(folder)
    return f"\0bourn-recording-{there.st_dev}-{there.st_ino}"


def _bell(folder: str) -> socket.socket | None:
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        bell.bind(_place(folder))
        bell.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    except OSError:  # no such names here: `retry` then takes effect with the next pass
        bell.close()
        return None
    return bell


def _close_bell(bell: socket.socket) -> None:
    """Wake the thread that waits, then close."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
            caller.sendto(b"end", bell.getsockname())
    finally:
        bell.close()
