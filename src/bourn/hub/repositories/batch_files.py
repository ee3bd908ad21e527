"""Batches as files, named by what they hold: `file:PATH` and `parquet:PATH`, and what object stores build on.

    <hub>/<first place>-<last place>.<form>

A file comes into being whole or not at all, and its name says how far it is: the names are the cursor. A batch that is
written again takes its own name and overwrites itself. One hub's names sort in the order of its journal.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import msgspec

from bourn._compat import files
from bourn.hub.repositories.address import number_of, options_of
from bourn.spool.sqlite import Entry

BATCH_ROWS = 50_000  # readings of one file; a batch has a bound in bytes, too (driver.py)
BATCH_AGE_S = 60  # the first reading of a file waits so long for the others; it is in the journal meanwhile
_NAME = re.compile(r"([0-9a-f]{16})/(\d{19})-(\d{19})\.[a-z.]+")
PART = ".part"  # what is being written, or was when the power went

Row = tuple[str, int, str, Any]  # id, ts, sensor, val


class Form(NamedTuple):
    """How a batch becomes bytes, the same bytes each time, and how they are read."""

    suffix: str
    encode: Callable[[list[Entry]], bytes]
    decode: Callable[[bytes], Iterator[Row]]


class Store(Protocol):
    """Where named bytes are put. Its errors are OSErrors; Unreachable where it is away."""

    def open(self) -> None:
        """Make it ready."""

    def put(self, name: str, data: bytes) -> None:
        """When this returns, all of it is there under that name, and durable."""

    def get(self, name: str) -> bytes:
        """What is there under that name."""

    def names(self, after: str) -> Iterator[str]:
        """The names there are, in their order, from behind `after` on."""


class BatchFiles:
    """A repository of files in a store."""

    keeps = True

    def __init__(self, url: str, store: Store, form: Form, options: dict[str, str]) -> None:
        """`options`: `rows` and `age` (seconds). ValueError."""
        self.url = url
        self.store = store
        self.form = form
        self.batch_rows = number_of(options, "rows", BATCH_ROWS, 1, 1_000_000)
        self.batch_age_s = number_of(options, "age", BATCH_AGE_S, 0, 86_400)
        self._hub = ""
        self._newest = ""  # the name of the newest file that is known

    def open(self, mark: str | None) -> None:
        """Make the store ready."""
        self._newest = mark or ""
        self.store.open()

    def resume(self, hub: str, place: int | None) -> int | None:
        """Behind the newest file of that hub."""
        self._hub = hub
        return max([last for _, last in self._files(hub, self._newest)], default=place, key=lambda p: p or 0)

    def refuse_repeats(self, hub: str) -> None:
        """ValueError when there are files of that hub: others would hold the same readings."""
        if next(self._files(hub, ""), None) is not None:
            raise ValueError(f"{self.url} holds readings of this hub, which would be there twice; choose another")

    def write(self, entries: list[Entry]) -> str | None:
        """Put the entries into one file; durable when this returns."""
        if entries:
            name = f"{self._hub}/{entries[0][0]:019d}-{entries[-1][0]:019d}.{self.form.suffix}"
            self.store.put(name, self.form.encode(entries))
            self._newest = name
        return self._newest or None

    def close(self) -> None:
        """Nothing to release."""

    def read(self, sensor: str | None = None, since: int | None = None, until: int | None = None) -> Iterator[Row]:
        """The readings of every hub's files, each hub's in the order in which they came."""
        for name in self.store.names(""):
            if _NAME.fullmatch(name):
                for row in self.form.decode(self.store.get(name)):
                    if (
                        (sensor is None or row[2] == sensor)
                        and (since is None or row[1] >= since)
                        and (until is None or row[1] < until)
                    ):
                        yield row

    def _files(self, hub: str, after: str) -> Iterator[tuple[str, int]]:
        """(name, last place) of that hub's files from `after` on, which is one of its names."""
        if after and not after.startswith(hub):
            after = ""
        last = _NAME.fullmatch(after)
        if last:
            yield after, int(last[3])
        for name in self.store.names(after or f"{hub}/"):
            match = _NAME.fullmatch(name)
            if match and match[1] == hub:
                yield name, int(match[3])


class Folder:
    """A folder as a store: written beside, synced, renamed, and the folder synced."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._files: Any = files

    def open(self) -> None:
        """Make the folder, and remove what was not finished. OSError."""
        if not os.path.isdir(self.path):
            os.makedirs(self.path)
            self._files.sync_folder(os.path.dirname(os.path.abspath(self.path)))
        for name in os.listdir(self.path):
            folder = os.path.join(self.path, name)
            if re.fullmatch(r"[0-9a-f]{16}", name) and os.path.isdir(folder):
                for file in os.listdir(folder):
                    if file.endswith(PART):
                        os.unlink(os.path.join(folder, file))

    def put(self, name: str, data: bytes) -> None:
        """When this returns, the file is there, and on disk."""
        path = os.path.join(self.path, name)
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder)
            self._files.sync_folder(self.path)
        with open(path + PART, "wb") as file:
            file.write(data)
            file.flush()
            self._files.sync(file)
        self._files.rename(path + PART, path)
        self._files.sync_folder(folder)

    def get(self, name: str) -> bytes:
        """What the file holds."""
        with open(os.path.join(self.path, name), "rb") as file:
            return file.read()

    def names(self, after: str) -> Iterator[str]:
        """The files there are, from behind `after` on."""
        for hub in sorted(os.listdir(self.path)) if os.path.isdir(self.path) else []:
            folder = os.path.join(self.path, hub)
            if os.path.isdir(folder):
                yield from (name for file in sorted(os.listdir(folder)) if (name := f"{hub}/{file}") > after)


def _encode_lines(entries: list[Entry]) -> bytes:
    """One JSON object a line, compressed."""
    json_of = msgspec.json.Encoder().encode
    streams: dict[Any, bytes] = {}  # what a line begins with
    sensors: dict[str, bytes] = {}
    lines = []
    for entry in entries:
        stream = entry[1]
        head = streams.get(stream)
        if head is None:
            head = streams[stream] = json_of({"source": stream.source, "epoch": stream.epoch})[:-1]
        if len(entry) == 6:
            _, _, seq, name, ts, val = entry
            sensor = sensors.get(name)
            if sensor is None:
                sensor = sensors[name] = json_of(name)
            lines.append(b'%b,"seq":%d,"sensor":%b,"ts":%d,"value":%b}\n' % (head, seq, sensor, ts, json_of(val)))
        else:
            gap = json_of({"gap": [entry[2].first, entry[2].last], "reason": entry[2].reason})
            lines.append(head + b"," + gap[1:] + b"\n")
    return gzip.compress(b"".join(lines), 6, mtime=0)


def _decode_lines(data: bytes) -> Iterator[Row]:
    for line in gzip.decompress(data).decode().split("\n")[:-1]:
        row = json.loads(line)
        if "seq" in row:
            yield f"{row['source']}:{row['epoch']}:{row['seq']}", row["ts"], row["sensor"], row["value"]


JSON_LINES = Form("jsonl.gz", _encode_lines, _decode_lines)


def form_of(name: str) -> Form:
    """The form of that name. ValueError; ImportError when its library is missing."""
    if name == "jsonl":
        return JSON_LINES
    if name == "parquet":
        from bourn.hub.repositories.parquet_table import load_form

        return load_form()
    raise ValueError(f"there is no form {name!r}; known: jsonl, parquet")


def folder_of_files(url: str) -> BatchFiles:
    """`file:PATH` or `parquet:PATH`. ValueError, ImportError."""
    head, options = options_of(url, ("rows", "age", "form"))
    scheme, _, path = head.partition(":")
    path = path.removeprefix("//")
    if not path:
        raise ValueError(f"a folder is missing; write {scheme}:PATH")
    form = form_of("parquet" if scheme.lower() == "parquet" else options.get("form", "jsonl"))
    files = BatchFiles(url, Folder(path), form, options)
    files.path = path  # type: ignore[attr-defined]  # only what is a path of this machine has one
    return files
