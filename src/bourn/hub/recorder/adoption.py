"""What to do with every file in the folder, and with every row of the catalogue, after whatever happened.

docs/recorder.md has the rules as a table; each is one branch here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bourn.hub.recorder.archive import ArchiveError, contents, sum_of
from bourn.hub.recorder.catalogue import GONE, Catalogue, Row
from bourn.hub.recorder.form import Form, form_of
from bourn.hub.recorder.names import FileName, understood


class Adopted(NamedTuple):
    """How often each rule was used."""

    sealed: int = 0  # files that the catalogue did not know as such
    cut: int = 0  # files being written at the crash
    archives: int = 0  # whose originals and rows were gone
    removed: int = 0  # leftovers
    missing: int = 0  # rows without a file
    foreign: int = 0  # files of other people; left alone


def files_of(folder: str) -> Iterator[tuple[str, int]]:
    """The recordings' files in the folder, by name, and their sizes."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if understood(entry.name):
                try:
                    yield entry.name, entry.stat().st_size
                except FileNotFoundError:
                    continue  # it went between two looks


def adopt(folder: str, catalogue: Catalogue, now: int, writing: Callable[[], str] | None = None) -> Adopted:
    """Make folder and catalogue agree. `writing` says which file somebody is just writing: it is left alone.

    sqlite3.Error, OSError.
    """
    before = {writing()} if writing else set()
    names = sorted(os.listdir(folder))
    spared = before | ({writing()} if writing else set())
    count = dict.fromkeys(Adopted._fields, 0)
    for name in names:
        file = understood(name)
        if file is None:
            count["foreign"] += name != "lock" and not name.startswith("catalogue.db")
        elif name not in spared:
            try:
                count[_adopted(folder, catalogue, now, name, file, writing is not None)] += 1
            except FileNotFoundError:
                continue  # renamed or removed by its owner meanwhile
    if writing is None:
        _miss(folder, catalogue, now, count)
    return Adopted(*(count[field] for field in Adopted._fields))


def _adopted(folder: str, catalogue: Catalogue, now: int, name: str, file: FileName, running: bool) -> str:
    """One file, by its rule; the name of what was counted ("foreign" never: it is one of ours)."""
    path = f"{folder}/{name}"
    row = catalogue.by_key(file.key)
    if file.tmp:
        if not running:  # else the uploader is just writing it
            os.unlink(path)
        return "removed"
    if not file.end:
        return _cut(folder, catalogue, now, name, file)
    if row and row.state in (*GONE[:2], "verified"):
        os.unlink(path)
        if row.state == "verified":
            catalogue.move(row.id, "deleted", ["verified"], done_at=now)
        return "removed"
    if file.packed:
        return "removed" if running else _archive(folder, catalogue, now, path, file, row)
    if row is None or row.state in ("recording", "missing"):
        sha256, size = sum_of(path)
        catalogue.sealed(file, size, sha256, now)
        return "sealed"
    if row.packed and not running and os.path.exists(f"{folder}/{row.archive}"):
        os.unlink(path)  # the archive was read back before the row said so
        return "removed"
    return "sealed" if row.state == "recording" else "removed" if row.packed else "sealed"


def _archive(folder: str, catalogue: Catalogue, now: int, path: str, file: FileName, row: Row | None) -> str:
    """An archive: what the catalogue has, what was not finished, or all that is left."""
    if row and row.packed == file.packed and row.state not in ("sealed", "recording"):
        return "archives" if row.state != "missing" else _again(catalogue, row)
    original = f"{folder}/{file.sealed}"
    if file.packed == ".plain":  # it is the original under another name
        os.replace(path, original)
        sha256, size = sum_of(original)
        catalogue.sealed(file, size, sha256, now)
        return "sealed"
    if os.path.exists(original):
        os.unlink(path)  # made again: nobody knows whether it was read back
        return "removed"
    import hashlib

    seen, inside = hashlib.sha256(), 0
    try:
        for block in contents(path, file.packed):
            seen.update(block)
            inside += len(block)
    except ArchiveError as e:
        catalogue.sealed(file, 0, "", now)
        kept = catalogue.by_key(file.key)
        if kept:
            catalogue.move(kept.id, "damaged", [kept.state], packed=file.packed, error=str(e))
        return "archives"
    catalogue.sealed(file, inside, seen.hexdigest(), now)
    kept = catalogue.by_key(file.key)
    if kept:
        outside, size = sum_of(path)
        catalogue.archived(kept, file.packed, size, outside, now)
    return "archives"


def _again(catalogue: Catalogue, row: Row) -> str:
    """An archive that was missing has come back."""
    catalogue.move(row.id, "archived", ["missing"], next_at=0, done_at=None)
    return "archives"


def _cut(folder: str, catalogue: Catalogue, now: int, name: str, file: FileName) -> str:
    """A file that was being written: its whole frames are sealed, a piece of a frame is cut off."""
    path = f"{folder}/{name}"
    with open(path, "r+b") as part:
        form = form_of(file.ending, part.read(64))
        frames, size = whole(part, form, os.fstat(part.fileno()).st_size) if form else (0, 0)
        if form is None or not frames:
            os.unlink(path)
            catalogue.never_was(file.key)
            return "removed"
        part.truncate(size)
        part.seek(0)
        part.write(form.header(frames))
        part.flush()
        os.fsync(part.fileno())
    sealed = file._replace(end=file.first + frames)
    os.replace(path, f"{folder}/{sealed.sealed}")
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    sha256, size = sum_of(f"{folder}/{sealed.sealed}")
    catalogue.sealed(sealed, size, sha256, now)
    return "cut"


def whole(part: object, form: Form, size: int) -> tuple[int, int]:
    """How many whole frames a file of `size` bytes holds, and how long it is with just those."""
    if form.frame_bytes:
        frames = max(0, size - form.header_bytes) // form.frame_bytes
        return frames, form.header_bytes + frames * form.frame_bytes
    lines = length = at = 0
    part.seek(0)  # type: ignore[attr-defined]  # an open file
    while block := part.read(1 << 20):  # type: ignore[attr-defined]  # an open file
        lines += block.count(b"\n")
        last = block.rfind(b"\n")
        length = at + last + 1 if last >= 0 else length
        at += len(block)
    return lines, length


def _miss(folder: str, catalogue: Catalogue, now: int, count: dict[str, int]) -> None:
    """Rows whose file somebody removed, and uploads that a crash interrupted."""
    for row in catalogue.rows("state NOT IN ('deleted', 'dropped', 'missing')"):
        if row.state == "verified":
            catalogue.move(row.id, "deleted", ["verified"], done_at=now)
        elif not os.path.exists(f"{folder}/{row.here}"):
            if row.state == "recording":  # begun, and not one frame of it got as far as the disk
                catalogue.never_was(row.file.key)
                continue
            catalogue.move(row.id, "missing", [row.state], error="the file is not there", done_at=now)
            count["missing"] += 1
        elif row.state == "uploading":
            catalogue.move(row.id, "archived", ["uploading"])
