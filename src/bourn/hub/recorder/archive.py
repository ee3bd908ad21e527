"""One archive for each file, streamed, read back before the original may go: tar + zstd, zip, or the file as it is."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any, NamedTuple

from bourn.hub.recorder.names import FileName

KINDS = {"tar.zst": ".tar.zst", "zip": ".zip", "none": ".plain"}
BLOCK = 1 << 18
LEVEL = 3  # zstd's own default: noise does not shrink more for more time


class ArchiveError(Exception):
    """What was packed does not come out again as it went in."""


class Packed(NamedTuple):
    """An archive that is durable and was read back."""

    bytes: int
    sha256: str


def kind_of(text: str) -> str:
    """The ending for an option's word. ValueError, ImportError."""
    if text not in KINDS:
        raise ValueError(f"there is no archive {text!r}; use {', '.join(KINDS)}")
    if text == "tar.zst":
        _zstandard()
    return KINDS[text]


def about(file: FileName, size: int, sha256: str) -> bytes:
    """The second member of an archive: what the first one is, as JSON."""
    told = {
        "name": file.name,
        "epoch": file.epoch,
        "first": file.first,
        "end": file.end,
        "time": datetime.fromtimestamp(file.at / 1000, UTC).isoformat(timespec="milliseconds"),
        "bytes": size,
        "sha256": sha256,
    }
    return (json.dumps(told, indent=1) + "\n").encode()


def pack(folder: str, file: FileName, sha256: str, kind: str) -> Packed:
    """Make the archive of a sealed file beside it; the same bytes each time. OSError, ArchiveError.

    It is durable, and holds the bytes of that `sha256`, when this returns. Extra space: that of the archive.
    """
    source = f"{folder}/{file.sealed}"
    target = source + kind
    if kind == ".plain":
        if os.path.exists(source):  # else an earlier try got as far as this
            found, _ = sum_of(source)
            _same(found, sha256, file)
            os.replace(source, target)
            _sync_folder(folder)
        found, size = sum_of(target)
        _same(found, sha256, file)
        return Packed(size, sha256)
    try:
        with open(source, "rb") as original, open(target + ".tmp", "wb") as out:
            size = os.fstat(original.fileno()).st_size
            note = about(file, size, sha256)
            if kind == ".tar.zst":
                _pack_tar(original, size, file, note, out)
            else:
                _pack_zip(original, file, note, out)
            out.flush()
            os.fsync(out.fileno())
        packed = _read_back(target + ".tmp", kind, file, sha256)
        os.replace(target + ".tmp", target)
    except BaseException:
        _remove(target + ".tmp")
        raise
    _sync_folder(folder)
    return packed


def contents(path: str, kind: str) -> Iterator[bytes]:
    """The bytes of the file that an archive holds, block by block. ArchiveError, OSError."""
    with open(path, "rb") as file:
        yield from unpacked(file, kind)


def unpacked(file: IO[bytes], kind: str) -> Iterator[bytes]:
    """The same of an open file (zip: one that can seek)."""
    if kind == ".plain":
        yield from blocks(file)
        return
    zstd: Any = _zstandard() if kind == ".tar.zst" else None
    try:
        if zstd:
            with zstd.ZstdDecompressor().stream_reader(file) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
                member = tar.next()
                inner = tar.extractfile(member) if member else None
                if inner is None:
                    raise ArchiveError("the archive is empty")
                yield from blocks(inner)
        else:
            with zipfile.ZipFile(file) as pile, pile.open(pile.namelist()[0]) as inner:
                yield from blocks(inner)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, IndexError) as e:
        raise ArchiveError(f"the archive cannot be read: {e}") from None
    except Exception as e:
        if zstd and isinstance(e, zstd.ZstdError):
            raise ArchiveError(f"the archive cannot be read: {e}") from None
        raise


def blocks(file: IO[bytes]) -> Iterator[bytes]:
    """What is left in `file`."""
    while block := file.read(BLOCK):
        yield block


def _pack_tar(original: IO[bytes], size: int, file: FileName, note: bytes, out: IO[bytes]) -> None:
    packer = _zstandard().ZstdCompressor(level=LEVEL, write_checksum=True)
    with packer.stream_writer(out, closefd=False) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        for name, content, length in (
            (file.sealed, original, size),
            (file.sealed + ".json", io.BytesIO(note), len(note)),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = length, file.at // 1000, 0o644
            tar.addfile(member, content)


def _pack_zip(original: IO[bytes], file: FileName, note: bytes, out: IO[bytes]) -> None:
    stamp = datetime.fromtimestamp(file.at / 1000, UTC).timetuple()[:6]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pile:
        member = zipfile.ZipInfo(file.sealed, max(stamp, (1980, 1, 1, 0, 0, 0)))
        member.compress_type = zipfile.ZIP_DEFLATED
        with pile.open(member, "w", force_zip64=True) as inner:
            for block in blocks(original):
                inner.write(block)
        pile.writestr(zipfile.ZipInfo(file.sealed + ".json", max(stamp, (1980, 1, 1, 0, 0, 0))), note)


def _read_back(path: str, kind: str, file: FileName, sha256: str) -> Packed:
    """Look at what is on the disk now, not at what was meant to be."""
    seen = hashlib.sha256()
    for block in contents(path, kind):
        seen.update(block)
    _same(seen.hexdigest(), sha256, file)
    outside, size = sum_of(path)
    return Packed(size, outside)


def sum_of(path: str) -> tuple[str, int]:
    """SHA-256 and length of a file. OSError."""
    seen, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        for block in blocks(file):
            seen.update(block)
            size += len(block)
    return seen.hexdigest(), size


def _same(found: str, meant: str, file: FileName) -> None:
    if found != meant:
        raise ArchiveError(f"{file.sealed} has sha256 {found[:12]}..., it was sealed with {meant[:12]}...")


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _sync_folder(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError as e:
        raise ImportError("tar + zstd needs zstandard: pip install 'bourn[record]', or --archive zip") from e
    return zstandard
