"""Folders of recordings as an operator looks at them: read-only, from any process of the machine.

What is stored comes from the catalogue, in short reads and only when it has changed; what only the process that records
knows (progress, drops) from that process; what is heard from the end of the file being written. Nothing is looked at
but when somebody asks, not more often than every PERIOD_S, and for at most one part in BUSY of the time.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from bourn.hub.log import redact
from bourn.hub.recorder.catalogue import GONE, WAITING, Catalogue, CatalogueError, Row
from bourn.hub.recorder.listening import Ear
from bourn.hub.recorder.listing import MOST, gaps_of, moment_of, page_of, told
from bourn.hub.recorder.meter import BANDS
from bourn.hub.recorder.recording import ask

PERIOD_S = 0.4
BUSY = 20
AWAY_S = 5.0  # after which whoever looks sees a picture that has to be filled anew; that is not counted
RECENT = 8  # files told of, the newest
RATE_S = 2.0  # over which frames a second are counted
FOLDERS = 32  # watched at once
COUNTED = (
    "recorded",
    "lost",
    "dropped",
    "uploaded",
    "uploaded_bytes",
    "upload_failures",
    "refusals",
)  # since it started


class UnknownRecording(Exception):
    """There is no recording of that key; the text says which there are."""


class Monitor:
    """`look` from any thread; each folder has a key, the last part of its path (`hall`, and `hall-2` for another)."""

    def __init__(
        self, folders: Iterable[str], wall: Callable[[], int] | None = None, timer: Callable[[], float] | None = None
    ) -> None:
        from bourn.clock import Clock

        self._wall = wall or Clock().wall
        self._timer = timer or time.monotonic
        self._folders: dict[str, _Folder] = {}
        self._lock = threading.Lock()
        self._next = 0.0
        self._looked = -AWAY_S
        self._now = 0
        for path in dict.fromkeys(map(os.path.abspath, folders)):
            if len(self._folders) == FOLDERS:
                raise ValueError(f"more than {FOLDERS} folders of recordings; watch the others by another hub")
            self._folders[self._free_key(os.path.basename(path) or "recordings")] = _Folder(path)

    def look(self, after: dict[str, int] | None = None) -> dict[str, Any]:
        """Everything the page shows, as JSON; `after`: for each key the last column of sound that the asker has."""
        with self._lock:
            began, spent = self._timer(), time.thread_time()
            if began >= self._next:
                self._now = self._wall()
                for folder in self._folders.values():
                    folder.refresh(self._now, began)
                spent = time.thread_time() - spent if began - self._looked < AWAY_S else 0.0
                self._looked = self._timer()
                self._next = self._looked + max(PERIOD_S, BUSY * spent)
            return {
                "now": self._now,
                "recordings": [
                    {"key": key, **one.facts, "sound": one.sound(None if after is None else after.get(key))}
                    for key, one in self._folders.items()
                ],
            }

    def files(self, key: str, query: dict[str, str]) -> dict[str, Any]:
        """The files and gaps of a range of time: `since`, `until`, `state`, `limit`, and `after` for the next page.

        UnknownRecording, CatalogueError; ValueError for a query that makes no sense.
        """
        if key not in self._folders:
            known = ", ".join(self._folders) or "none"
            raise UnknownRecording(f"there is no recording {key!r}; there is {known}")
        low = moment_of(query["since"]) if "since" in query else 0
        high = moment_of(query["until"]) if "until" in query else 1 << 60
        after, limit = int(query.get("after", 0)), int(query.get("limit", 1000))
        if not (0 <= after < 1 << 62 and 1 <= limit <= MOST):
            raise ValueError(f"limit is from 1 to {MOST}, and after is what the page before said")
        catalogue = Catalogue(f"{self._folders[key].path}/catalogue.db", read_only=True)
        try:
            rows, following = page_of(catalogue, low, high, query.get("state"), after, limit)
            gaps = gaps_of(catalogue, low, high)[:limit]
            return {"files": [told(row) for row in rows], "gaps": gaps, "next": following}
        finally:
            catalogue.close()

    def close(self) -> None:
        """Close what was opened; it may be asked again."""
        with self._lock:
            for folder in self._folders.values():
                folder.close()

    def _free_key(self, name: str) -> str:
        number, key = 1, name
        while key in self._folders:
            number += 1
            key = f"{name}-{number}"
        return key


class _Folder:
    """One folder: `facts` as they were at the last `refresh`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.facts: dict[str, Any] = {}
        self._ear = Ear(path)
        self._catalogue: Catalogue | None = None
        self._identity: tuple[int, int] | None = None  # of the catalogue's file
        self._version: int | None = None
        self._stored: dict[str, Any] = {}  # what the catalogue said when it was of that version
        self._rows: list[Row] = []
        self._counted: tuple[float, int, float | None] = (0.0, 0, None)  # when, frames then, frames a second

    def refresh(self, now: int, timer: float) -> None:
        """Look. Whatever is wrong with the folder is said in `facts`."""
        try:
            self._read(now)
            live = ask(self.path)
            self._ear.listen(self._rows)
        except (CatalogueError, sqlite3.Error, OSError) as e:
            self.close()
            there = os.path.exists(f"{self.path}/catalogue.db")
            why = redact(str(e)) if there else "nobody has recorded here yet"
            alarms = [{"level": "bad", "text": f"the folder cannot be read: {why}"}] if there else []
            self.facts = {"folder": self.path, "name": os.path.basename(self.path), "alarms": alarms, "missing": why,
                          "state": "alarm" if there else "absent", "running": False}  # fmt: skip
            return
        self.facts = self._told(now, live, timer)

    def sound(self, after: int | None) -> dict[str, Any] | None:
        """Columns after that number; None where nobody asks for them, or there is no sound."""
        form, columns = self._ear.form, self._ear.columns
        if after is None or form is None or form.kind != "wav":
            return None
        newest = columns[-1][0] if columns else -1
        fresh = [one for one in columns if one[0] > after or after > newest]  # a new recording begins at 0 again
        return {"column_s": self._ear.hop / form.rate, "bands": BANDS, "top_hz": form.rate / 2, "columns": fresh}

    def close(self) -> None:
        """Forget the catalogue's file; it is opened again when somebody looks."""
        if self._catalogue is not None:
            self._catalogue.close()
        self._catalogue = self._version = None

    def _read(self, now: int) -> None:
        """What the catalogue says, if it says something else than before."""
        path = f"{self.path}/catalogue.db"
        there = os.stat(path)
        if self._catalogue is None or self._identity != (there.st_dev, there.st_ino):
            self.close()
            self._catalogue = Catalogue(path, read_only=True)
            self._identity = there.st_dev, there.st_ino
        version = self._catalogue.version()
        if version == self._version:
            return
        self._rows = self._catalogue.rows(order="id DESC", limit=RECENT)
        waiting = self._catalogue.rows(f"state IN {WAITING}", order="next_at", limit=1)
        oldest = self._catalogue.rows("state IN ('sealed', 'archived', 'uploading', 'parked')", limit=1)
        gaps, lost = self._catalogue.lost()
        month = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y-%m")
        self._stored = {
            "about": self._catalogue.meta("about") or {},
            "live": self._catalogue.meta("live") or {},
            "pause": self._catalogue.meta("pause") or {},
            "states": self._catalogue.counts(),
            "gaps": gaps,
            "lost": lost,
            "next_at": waiting[0].next_at if waiting else 0,
            "oldest_at": oldest[0].at if oldest else None,
            "sent": self._catalogue.sent(month),
        }
        self._version = version

    def _told(self, now: int, answer: dict[str, Any] | None, timer: float) -> dict[str, Any]:
        stored = self._stored
        live = answer or stored["live"]
        process = live.get("pid")
        running = answer is not None or (process is not None and _alive(process))
        states = {state: {"files": n, "bytes": size} for state, (n, size) in sorted(stored["states"].items())}
        part = self._ear.part
        if part and "recording" in states:
            states["recording"]["bytes"] = part[1]
        alarms = _alarms(stored, live, states, running, self.path)
        bad = any(one["level"] == "bad" for one in alarms)
        columns = self._ear.columns
        form = stored["about"].get("form") or (self._ear.form._asdict() if self._ear.form else None)
        return {
            "folder": self.path,
            "name": stored["about"].get("name") or (self._rows[0].name if self._rows else os.path.basename(self.path)),
            "state": "alarm" if bad else "recording" if running else "stopped",
            "running": running,
            "closing": bool(live.get("closing")),
            "pid": process,
            "alarms": alarms,
            "form": form,
            "part": {"file": part[0], "bytes": part[1]} if part else None,
            "frames": live.get("recorded", 0),
            "frames_per_s": self._rate(live.get("recorded", 0), timer) if running else None,
            "level": {"peak": columns[-1][1], "rms": columns[-1][2]} if columns else None,
            "line": self._ear.line,
            "disk": {"used": live.get("used", 0), "limit": live.get("limit", 0), "free": _free(self.path)},
            "states": states,
            "gaps": stored["gaps"],
            "lost": stored["lost"],
            "dropped": states.get("dropped", {}).get("files", 0),
            "policy": stored["about"].get("policy"),
            "uploads": self._uploads(live, states, now),
            "since_start": {name: live.get(name, 0) for name in COUNTED},
            "recent": [_brief(row) for row in self._rows],
        }

    def _uploads(self, live: dict[str, Any], states: dict[str, Any], now: int) -> dict[str, Any]:
        stored, pause = self._stored, self._stored["pause"]
        waiting = [states[state] for state in ("sealed", "archived", "uploading") if state in states]
        next_at = max(stored["next_at"], pause.get("at", 0))
        return {
            "to": stored["about"].get("to"),
            "backlog": {"files": sum(one["files"] for one in waiting), "bytes": sum(one["bytes"] for one in waiting)},
            "oldest_at": stored["oldest_at"],
            "progress": live.get("progress"),
            "uploaded": live.get("uploaded", 0),
            "uploaded_bytes": live.get("uploaded_bytes", 0),
            "failures": live.get("upload_failures", 0),
            "failures_in_a_row": pause.get("failures", 0),
            "error": _brief_error(pause.get("error") or live.get("error")),
            "next_at": next_at if next_at > now and waiting else None,
            "over_budget": bool(live.get("over_budget")),
            "sent_this_month": stored["sent"],
        }

    def _rate(self, frames: int, timer: float) -> float | None:
        """Frames a second over the last RATE_S or longer; None until that is known."""
        then, before, rate = self._counted
        if not then or frames < before:
            self._counted = timer, frames, None
        elif timer - then >= RATE_S:
            self._counted = timer, frames, round((frames - before) / (timer - then), 1)
        else:
            return rate
        return self._counted[2]


def _alarms(
    stored: dict[str, Any], live: dict[str, Any], states: dict[str, Any], running: bool, path: str
) -> list[dict[str, str]]:
    """What somebody has to do something about (bad), or should know (warn)."""
    found = []

    def add(level: str, text: str) -> None:
        found.append({"level": level, "text": text})

    if live.get("pid") and not running:
        add("bad", f"the process that recorded ({live['pid']}) has died; start `bourn record` again, it goes on")
    if running and live.get("losing"):
        why = {"full": "the disk's bound is reached", "disk": "the disk refuses"}.get(live["losing"], live["losing"])
        add("bad", f"frames are being lost: {why}")
    for state, what in (
        ("parked", f"parked after too many failures; `bourn record retry --folder {path}` takes up again"),
        ("damaged", "damaged on the disk, and therefore not uploaded"),
    ):
        if state in states:
            add("bad", f"{_files(states[state]['files'])} {what}")
    if stored["pause"].get("permanent"):
        add("bad", f"uploads are refused, and waiting does not mend it: {_brief_error(stored['pause'].get('error'))}")
    if live.get("over_budget"):
        add("warn", "uploads pause until next month: the budget is spent")
    if "missing" in states:
        add("warn", f"{_files(states['missing']['files'])} removed by somebody else")
    return found


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _brief(row: Row) -> dict[str, Any]:
    """A line of the page's table."""
    return {
        "file": row.here if row.state not in GONE else row.file.sealed,
        "at": row.at,
        "state": row.state,
        "first": row.first,
        "end": row.end,
        "bytes": row.packed_bytes if row.packed_bytes is not None else row.bytes,
        "attempts": row.attempts,
        "error": _brief_error(row.error),
    }


def _brief_error(text: str | None) -> str | None:
    """What a store said, without the object's name, which stands beside it anyway, and without its XML."""
    if not text:
        return None
    brief = re.sub(r"Error performing (\w+) \S+ in \S+ - (Server returned non-2xx status code: )?", r"\1: ", text)
    brief = re.sub(r" for path \S+:", ":", brief)
    code = re.search(r"<Code>(\w+)</Code>", brief)
    return brief.partition("<")[0].rstrip(": ") + (f" ({code[1]})" if code else "") or text


def _free(path: str) -> int:
    there = os.statvfs(path)
    return there.f_bavail * there.f_frsize


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True
