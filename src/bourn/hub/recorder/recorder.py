"""Writes frames into files of a fixed number of frames, without a gap, whatever happens to network and catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from bourn._compat import files as real_files
from bourn.clock import Clock
from bourn.hub.recorder.form import WAV_MOST, Form, FormError
from bourn.hub.recorder.names import FileName
from bourn.hub.recorder.space import Space

SYNC_MS = 1000  # a crash loses at most what came since
RETRY_MS = 1000  # after the disk refused


class Opened(NamedTuple):
    """A file was begun."""

    file: FileName


class Sealed(NamedTuple):
    """A file is complete, and durable under its name."""

    file: FileName
    bytes: int
    sha256: str


class Gap(NamedTuple):
    """Frames first <= n < end came and could not be kept."""

    epoch: str
    first: int
    end: int
    reason: str
    at: int


class Recorder:
    """`write` takes frames; every one of them is numbered, and is in a file or in a gap with its reason.

    Files are cut by counting frames, never by a clock: the first of a file is the one after the last of the file
    before. It writes `.part`, syncs every `sync_ms`, seals by sync and rename. `tell` gets an Opened, Sealed or Gap
    (None: it has no room) and must return at once. One thread calls it. It waits for the local disk only; a disk that
    refuses, or space that is used up, makes a gap, and the recorder tries again a second later.
    """

    def __init__(
        self,
        folder: str,
        name: str,
        epoch: str,
        form: Form,
        frames_per_file: int,
        next_frame: int,
        space: Space,
        tell: Callable[[Any], None],
        clock: Any = None,
        files: Any = None,
        sync_ms: int = SYNC_MS,
    ) -> None:
        if frames_per_file < 1:
            raise FormError("a file needs at least one frame")
        if form.kind == "wav" and frames_per_file * form.frame_bytes > WAV_MOST:
            raise FormError("a WAV file holds less than 4 GiB; make the files shorter")
        self.form = form
        self.next_frame = next_frame  # the number that the next frame gets
        self.recorded = 0  # frames written since the start
        self.lost = 0  # frames that came and could not be kept
        self.sealed = 0  # files
        self.refusals = 0  # times that the disk refused
        self.last_error: str | None = None
        self.tail = b""  # the end of what came last: what a level meter shows
        self._folder = folder
        self._new = FileName(name, epoch, 0, 0, 0, form.ending)
        self._frames_per_file = frames_per_file
        self._space = space
        self._tell = tell
        self._clock = clock or Clock()
        self._files = files or real_files
        self._sync_ms = sync_ms
        # The file being written: `_file` is open exactly while `_name` says which; `_frames` of it are whole.
        self._file: Any = None
        self._name = self._new
        self._frames = 0
        self._bytes = 0
        self._sum = hashlib.sha256()
        self._synced = 0
        self._unsynced = False  # something was written since
        self._named = False  # the file's name is on the medium
        self._gap: tuple[int, str] | None = None  # the first frame of the gap that is open, and why
        self._why = "disk"  # of the gap that the next lost frame begins
        self._again_at = 0  # not before is the disk tried again

    @property
    def writing(self) -> str:
        """The name of the file being written, or of the last that was: set before there is such a file."""
        return self._name.part

    @property
    def losing(self) -> str | None:
        """Why frames are being lost now; None while they are kept."""
        return self._gap[1] if self._gap else None

    @property
    def writing_now(self) -> bool:
        """Whether a file is begun, and what comes goes into it."""
        return self._file is not None

    def write(self, data: bytes | memoryview) -> None:
        """Take whole frames (or, of lines, one line). ValueError for a piece of a frame; never OSError."""
        size = self.form.frame_bytes
        left = self._take(data)
        if left:
            self._lose(left // size if size else 1)
        self.rest()

    def offer(self, line: bytes) -> bool:
        """Take one line, or nothing of it: what cannot be kept now is not lost, whoever offers it holds it."""
        if self._take(line):
            self._tell(None)  # somebody may make room
            return False
        self.rest()
        return True

    def _take(self, data: bytes | memoryview) -> int:
        """Keep what can be kept; how many bytes could not."""
        view = memoryview(data).cast("B")
        size = self.form.frame_bytes
        if (len(view) % size) if size else (not view or view[-1] != 10):
            raise ValueError(f"{len(view)} bytes are no whole frames of {size}" if size else "a line ends with \\n")
        self.tail = bytes(view[-4096:])
        while view:
            if self._file is None and not self._open(len(view)):
                return len(view)
            piece = view[: (self._frames_per_file - self._frames) * size] if size else view
            kept = self._put(piece)
            view = view[kept:]
            if kept < len(piece):
                return len(view)
            if self._frames == self._frames_per_file:
                self._seal()
        return 0

    def rest(self) -> float | None:
        """Sync if that is due; seconds until it is, None while there is nothing to be synced.

        A source that nothing comes from asks after that time, so that what came last does not wait for what comes next.
        """
        if self._file is None or not self._unsynced:
            return None
        due_ms = self._synced + self._sync_ms - self._clock.now()
        if due_ms <= 0:
            self._sync()
            return None
        return due_ms / 1000

    def skip(self, frames: int, reason: str) -> None:
        """So many frames came and are lost already, before they got here: they are a gap."""
        if self._file is not None:
            self._seal()
        self._why = reason
        self._lose(frames)
        self._again_at = 0  # it is not the disk that refused: the next frame is kept

    def close(self) -> None:
        """Seal what was begun. It may be written again afterwards."""
        if self._file is not None:
            self._seal()
        self._end_gap()

    def _open(self, size: int) -> bool:
        """Begin a file; False while there is no room, or the disk refuses."""
        now = self._clock.now()
        if self._gap and now < self._again_at:
            return False
        if self._gap:
            self._tell(None)
        self._again_at = now + RETRY_MS
        header = self.form.header(self._frames_per_file)
        if not self._space.room(len(header) + max(self.form.frame_bytes, min(size, 1 << 16))):
            self._why = "full"
            return False
        name = self._name = self._new._replace(first=self.next_frame, at=self._clock.wall())
        try:
            file = self._files.open(f"{self._folder}/{name.part}", "xb")
        except OSError as e:
            self._refused(e)
            return False
        self._end_gap()
        self._file, self._frames, self._bytes, self._synced, self._named = file, 0, 0, now, False
        self._sum = hashlib.sha256()
        if self._append(memoryview(header)) < len(header):
            self._abandon()
            return False
        self._tell(Opened(name))
        return True

    def _put(self, piece: memoryview) -> int:
        """Write whole frames as far as there is room; where there was less, the file ends here. Bytes taken."""
        size = self.form.frame_bytes or len(piece)
        if not self._space.room(len(piece)):
            self._why = "full"
            self._seal()
            return 0
        kept = self._append(piece)
        whole = kept - kept % size
        self._frames += whole // size
        self.next_frame += whole // size
        self.recorded += whole // size
        if kept < len(piece):
            self._cut(kept - whole)
            self._sum_again()
            self._seal()
        return whole

    def _append(self, data: memoryview) -> int:
        """Bytes of `data` that the disk took."""
        done = 0
        try:
            while done < len(data):
                done += self._file.write(data[done:])
        except OSError as e:
            self._refused(e)
        self._unsynced = True
        self._sum.update(data[:done])
        self._bytes += done
        self._space.add(done)
        return done

    def _cut(self, size: int) -> None:
        """Take a piece of a frame off the end again."""
        try:
            self._file.truncate(self._bytes - size)
        except OSError as e:
            self._refused(e)  # adoption cuts it
        self._bytes -= size
        self._space.add(-size)

    def _seal(self) -> None:
        """Make the file durable under the name that says what it holds."""
        if not self._frames:
            self._abandon()
            return
        name = self._name._replace(end=self._name.first + self._frames)
        try:
            if self._frames < self._frames_per_file and self.form.header_bytes:
                self._file.seek(0)
                self._file.write(self.form.header(self._frames))
                self._sum_again()
            self._files.sync(self._file)
            self._file.close()
            self._files.rename(f"{self._folder}/{self._name.part}", f"{self._folder}/{name.sealed}")
            self._files.sync_folder(self._folder)
        except OSError as e:  # it stays as it is, and the keeper adopts it
            self._refused(e)
            self._file.close()
            self._file = None
            return
        self._file = None
        self._unsynced = False
        self.sealed += 1
        self._tell(Sealed(name, self._bytes, self._sum.hexdigest()))

    def _sum_again(self) -> None:
        """The sum of a file in which something was changed: at most one a stop, or a refusal."""
        self._sum = hashlib.sha256()
        try:
            with self._files.open(f"{self._folder}/{self._name.part}", "rb") as file:
                while block := file.read(1 << 20):
                    self._sum.update(block)
        except OSError as e:
            self._refused(e)

    def _abandon(self) -> None:
        """A file without a frame is none."""
        self._file.close()
        self._file = None
        self._space.add(-self._bytes)
        try:
            self._files.remove(f"{self._folder}/{self._name.part}")
        except OSError as e:
            self._refused(e)  # adoption removes it

    def _sync(self) -> None:
        try:
            self._files.sync(self._file)
            if not self._named:
                self._files.sync_folder(self._folder)
                self._named = True
            self._unsynced = False
        except OSError as e:
            self._refused(e)
        self._synced = self._clock.now()

    def _refused(self, e: OSError) -> None:
        self.refusals += 1
        self.last_error = f"{type(e).__name__}: {e.strerror or e}"
        self._why = "disk"

    def _lose(self, frames: int) -> None:
        """These frames are numbered, and in no file."""
        if not self._gap:
            self._gap = (self.next_frame, self._why)
            self._tell(None)  # somebody may make room
        self.next_frame += frames
        self.lost += frames

    def _end_gap(self) -> None:
        if self._gap and self._gap[0] < self.next_frame:
            self._tell(Gap(self._new.epoch, self._gap[0], self.next_frame, self._gap[1], self._clock.wall()))
        self._gap = None
