"""What is heard: levels and spectrum of the newest frames, read from the files while they are written.

The recorder is not asked and not slowed: what `write` has given to the system, anybody who may read the file can read.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from bourn.hub.recorder.catalogue import Row
from bourn.hub.recorder.form import Form, form_of
from bourn.hub.recorder.meter import block_of, levels, spectrum

COLUMN_S = 0.1  # of sound in one column
COLUMNS = 100  # that are kept: the spectrogram's width
BYTES = 2 << 20  # read at once; where columns are larger, fewer are made
LINE_BYTES = 4096  # looked at for the newest line
LINE_SHOWN = 300  # characters of it


class _Piece(NamedTuple):
    """A file that is here, with the frames first <= n < end."""

    path: str
    first: int
    end: int
    form: Form


class Ear:
    """Columns of the newest frames: `(number, peaks, rms, spectrum)`, numbered from the recording's first frame on.

    `listen` reads what is new, at most COLUMNS columns and BYTES bytes at a time, the newest; what was not read in
    time is left out. A new epoch begins anew.
    """

    def __init__(self, folder: str) -> None:
        self.form: Form | None = None
        self.columns: deque[list[Any]] = deque(maxlen=COLUMNS)
        self.line: str | None = None  # the newest, where frames are lines
        self.part: tuple[str, int] | None = None  # the file being written, and its bytes
        self._folder = folder
        self._epoch: str | None = None

    def listen(self, rows: Iterable[Row]) -> None:
        """Take in what is new; `rows`: the newest files of the catalogue, newest first. OSError."""
        newest = sorted(rows, key=lambda row: row.id, reverse=True)
        self.part = None
        self.form = self.line = None
        pieces: list[_Piece] = []
        for row in newest:
            if row.epoch != newest[0].epoch:
                break
            if row.state in ("recording", "sealed") or row.packed == ".plain":
                piece = self._piece(row, row is newest[0])
                if piece is None:
                    break
                pieces.insert(0, piece)
        if newest and newest[0].epoch != self._epoch:
            self._epoch = newest[0].epoch
            self.columns.clear()
        if pieces and pieces[-1].form.kind == "wav":
            self._hear(pieces)

    @property
    def hop(self) -> int:
        """Frames of one column."""
        return max(1, round(self.form.rate * COLUMN_S)) if self.form else 1

    def _piece(self, row: Row, newest: bool) -> _Piece | None:
        """What a row's file holds by now; None where it is not here any more, or can't be understood yet."""
        path = f"{self._folder}/{row.here}"
        try:
            with open(path, "rb") as file:
                form = form_of(row.ending, file.read(64))
                size = os.fstat(file.fileno()).st_size
                if newest:
                    self.form = form
                    self.part = (row.here, size) if row.state == "recording" else None
                    if form and form.kind == "jsonl":
                        self.line = _last_line(file, size)
        except FileNotFoundError:
            return None
        if form is None or not form.frame_bytes:
            return None
        return _Piece(path, row.first, row.first + max(0, size - form.header_bytes) // form.frame_bytes, form)

    def _hear(self, pieces: list[_Piece]) -> None:
        """Make the columns that are whole by now."""
        form, hop, end = pieces[-1].form, self.hop, pieces[-1].end
        first = pieces[-1].first
        for piece in reversed(pieces[:-1]):
            if piece.end != first or piece.form != form:
                break
            first = piece.first
        until = end // hop
        most = max(1, min(COLUMNS, BYTES // (hop * form.frame_bytes)))
        number = max(self.columns[-1][0] + 1 if self.columns else 0, -(-first // hop), until - most)
        if number >= until:
            return
        size = hop * form.frame_bytes
        data = b"".join(_read(pieces, number * hop, until * hop))
        for at in range(0, len(data) - size + 1, size):
            block = block_of(data[at : at + size], form)
            if block is None:
                return
            peaks, means = levels(block)
            self.columns.append([number, peaks, means, spectrum(block)])
            number += 1


def _read(pieces: list[_Piece], at: int, end: int) -> Iterable[bytes]:
    """The bytes of the frames at <= n < end, as far as they are here without a hole."""
    for piece in pieces:
        if piece.first <= at < min(end, piece.end):
            size = piece.form.frame_bytes
            try:
                with open(piece.path, "rb") as file:
                    file.seek(piece.form.header_bytes + (at - piece.first) * size)
                    yield file.read((min(end, piece.end) - at) * size)
            except FileNotFoundError:
                return  # sealed or packed meanwhile
            at = piece.end


def _last_line(file: Any, size: int) -> str | None:
    file.seek(max(0, size - LINE_BYTES))
    lines = file.read(LINE_BYTES).split(b"\n")
    if len(lines) < 2:  # what stands after the last end of line is not whole yet
        return None
    return str(lines[-2].decode(errors="replace")[:LINE_SHOWN])
