"""`bourn status`: what the running hub does, once; and the pieces of it that `bourn top` shows again and again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from bourn.cli.api import Api

NO_POINTS = "/api/status?points_after=9007199254740991"  # what the charts would draw is for pages
BENIGN = ("messages", "at_most_once", "repeated", "duplicates", "held")  # counted at a broker, and no trouble
BAR_CELLS = 20
STATE_CELLS = 8  # of the longest state
LAST = ("ERROR", "TROUBLE")  # columns that take what the others leave
NARROW = 100  # columns; in fewer the lines say less
WIDE = 120  # columns from which on there is room for peers, counters and errors
ROOM = {  # state: (what is to be said about it, style)
    "room": ("", "green"),
    "low": ("nearly full", "yellow"),
    "dropping": ("full: the oldest readings make room", "yellow"),
    "full": ("full: nothing is acknowledged until there is room", "bold red"),
    "disk_full": ("the disk is full: nothing is acknowledged until there is room", "bold red"),
}
PLAIN_COLUMNS = 200  # where nobody looks: lines for `grep` and `awk` are not wrapped
ERRORS = 5  # the newest; the page and --json have them all
STYLES = {
    "up": "green", "running": "green", "down": "red", "retrying": "yellow", "stopping": "yellow", "waiting": "yellow",
}  # fmt: skip


def print_status(hub: Api, as_json: bool) -> None:
    """Ask once and print it: coloured tables in a terminal, plain text elsewhere, or the JSON."""
    snapshot = hub.get(NO_POINTS)
    if as_json:
        for sensor in snapshot["sensors"]:
            sensor.pop("points", None)
        sys.stdout.write(json.dumps(snapshot, ensure_ascii=False) + "\n")
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_COLUMNS)
    width = console.width if console.width < WIDE else None
    parts = [
        Text("\n").join(head(snapshot, console.width)),
        links(snapshot["links"], width),
        *brokers(snapshot["listeners"], width),
        repositories(snapshot["repositories"], width),
        *([_words(snapshot)] if width else []),
        errors(snapshot),
    ]
    for index, part in enumerate(part for part in parts if part):
        if index:
            console.print()
        console.print(part)
    console.print(Text(f"page     {hub.page}", "dim"), soft_wrap=True)


def head(snapshot: dict[str, Any], width: int = PLAIN_COLUMNS) -> list[Text]:
    """Who it is and how the journal fares, in a few lines; what is said least often is left out where it is narrow."""
    journal, network = snapshot["journal"], snapshot["network"]
    first = Text.assemble(
        f"Bourn {snapshot['version']}  ",
        (snapshot["state"], STYLES.get(snapshot["state"], "")),
        f" for {span(snapshot['uptime_s'])}  hub {snapshot['hub']}",
    )
    of = f" of {network['limit']:,}" if network["limit"] else ""
    peak = f" (peak {network['peak']:,})" if network["peak"] is not None else ""
    name = journal["path"] if width > NARROW else snapshot["name"]
    lines = [
        first,
        Text(
            f"journal  {name}  {journal['rows']:,} readings  {journal['rate']:,} per second  "
            f"{size(journal['bytes'])}  commit {journal['commit_ms']:g} ms"
        ),
        Text(
            f"         gaps {journal['gaps']:,}  duplicates {journal['duplicates']:,}  quarantined "
            f"{journal['quarantined']:,}  in flight {network['in_flight']:,}{of}{peak}"
        ),
    ]
    if "space" in journal:
        lines += room(journal["space"], snapshot["now"], width)
    if journal["last_error"]:
        lines.append(Text(f"journal  {journal['last_error']}", "bold red"))
    return lines


def room(space: dict[str, Any], now: int, width: int = PLAIN_COLUMNS) -> Iterable[Text]:
    """How full the journal is, what it may hold, and what was taken out of it."""
    words, style = ROOM[space["state"]]
    share = min(1.0, space["bytes"] / space["full_at"])
    cells = BAR_CELLS if width > NARROW else BAR_CELLS // 2
    used = min(cells, round(share * cells) or (share > 0))
    age = "" if space["oldest"] is None else f", oldest {span(max(0, now - space['oldest']) / 1000)}"
    free = "" if space["disk_free"] is None else f", {size(space['disk_free'])} free on disk"
    yield Text.assemble(
        "room     ",
        ("█" * used, style),
        ("░" * (cells - used), "dim"),
        f" {share:.0%} of {size(space['full_at'])}{age}{free}",
    )
    if words:
        yield Text(f"         {words}", style)
    dropped = "".join(f", {n:,} before {name} had them" for name, n in space["dropped_for"].items())
    kept = "for ever" if space["keep_s"] is None else span(space["keep_s"])
    rules = f"kept {kept}, when full {space['when_full']}  trimmed {space['trimmed']:,}  " if width > NARROW else ""
    if rules or space["dropped"]:
        yield Text(f"         {rules}dropped {space['dropped']:,}{dropped}")


def links(rows: list[dict[str, Any]], width: int | None = None) -> RenderableType:
    """One line for each source, never more than a line where `width` is given."""
    if not rows:
        return Text("no source has connected yet", "dim")
    wide = width is None or width >= WIDE
    shown = table(
        "SOURCE", "STATE", *(("RUNTIME", "PEER") if wide else ()), "RATE>", "FLIGHT>", "BACKLOG>", "ACKED>", "DUPL>",
        "DROPS>", "RETRIES>", "HEARD>", *(("LAST ERROR" if width is None else "ERROR",) if wide else ()),
    )  # fmt: skip
    for row in rows:
        error = Text(row["last_error"] or "", "red" if row["state"] == "down" else "yellow")
        shown.add_row(
            row["source"] if width is None else cut(row["source"], width),
            _state(row),
            *((row["runtime"] or "-", row["peer"] or "-") if wide else ()),
            number(row["rate"]),
            f"{row['in_flight']}/{row['window']}",
            number(row["backlog"]),
            number(row["acked"]),
            number(row["duplicates"]),
            Text(number(row["dropped"]), "red" if row["dropped"] else ""),
            number(max(0, row["links"] - 1)),
            span(row["seen_ms"] / 1000) if row["seen_ms"] is not None else "-",
            *((error,) if wide else ()),
        )
    return shown


def brokers(rows: list[dict[str, Any]], width: int | None = None) -> Iterable[RenderableType]:
    """One line for each broker that the hub hears, if there is one; never more than a line where `width` is given."""
    brief = width is not None and width < WIDE
    more = ("TROUBLE",) if brief else ("UNACKED>", "COUNTED", "LAST ERROR" if width is None else "ERROR")
    shown = table("BROKER", "STATE", "SOURCES>", "RATE>", *more)
    for row in rows:
        if "state" in row:
            unacked = f"{row['unacknowledged']:,}/{row['window']:,}" if "window" in row else "-"
            # What went wrong last: with itself, or with a message of somebody's.
            error = Text(row["last_error"] or row.get("last_refusal") or "", "red" if row["last_error"] else "yellow")
            name = row["url"] if width is None else cut(row["url"], width)
            told = [error or Text(_counted(row["counters"], BENIGN))]
            if not brief:
                told = [Text(unacked), Text(_counted(row["counters"])), error]
            shown.add_row(name, _state(row), number(row["sources"]), number(row["rate"]), *told)
    return [shown] if shown.row_count else []


def _counted(counters: dict[str, int], but: Iterable[str] = ()) -> str:
    return ", ".join(f"{what.replace('_', ' ')} {n:,}" for what, n in counters.items() if n and what not in but)


def _state(row: dict[str, Any]) -> Text:
    return Text(row["state"], STYLES.get(row["state"], ""))


def repositories(rows: list[dict[str, Any]], width: int | None = None) -> RenderableType:
    """One line for each repository, never more than a line where `width` is given."""
    if not rows:
        return Text("no repository besides the journal", "dim")
    behind = ("CAUGHT UP",) if any(row.get("progress") is not None for row in rows) else ()
    shown = table(
        "REPOSITORY", "STATE", "LAG>", *behind, "RATE>", "RETRIES>", "LAST ERROR" if width is None else "ERROR"
    )
    for row in rows:
        shown.add_row(
            row["name"] if width is None else cut(row["name"], width),
            _state(row),
            number(row["lag"]),
            *([Text(caught_up(row), "cyan")] if behind else []),
            number(row.get("rate")),
            number(row.get("retries")),
            Text(row["last_error"] or "", "red"),
        )
    return shown


def cut(name: str, width: int) -> str:
    """A name that leaves two thirds of the line to what is said of it."""
    room = max(16, width // 3)
    return name if len(name) <= room else name[: room - 1] + "…"


def caught_up(row: dict[str, Any]) -> str:
    """How far a repository is that lacks much, and how long it will take; nothing for one that keeps up."""
    if row.get("progress") is None:
        return ""
    left = f", {span(row['left_s'])} left" if row.get("left_s") is not None else ""
    return f"{row['progress']:.0%}{left}"


def errors(snapshot: dict[str, Any], limit: int = ERRORS) -> Text:
    """The newest errors, and how many connections were refused for what."""
    lines = [
        Text.assemble((f"{moment(one['ts'])}  ", "dim"), f"{one['where']}: ", (one["text"], "red"))
        for one in snapshot["errors"][:limit]
    ]
    refused = {code: n for code, n in snapshot["counters"]["refused"].items() if n}
    if refused:
        lines.append(Text("refused  " + ", ".join(f"{code} {n:,}" for code, n in refused.items())))
    if lines:
        return Text("\n").join(lines)
    rows = [*snapshot["repositories"], *snapshot["listeners"], *snapshot["links"]]
    troubled = snapshot["journal"]["last_error"] or any(row.get("state", "up") != "up" for row in rows)
    return Text("no other errors") if troubled else Text("no errors", "green")


def _words(snapshot: dict[str, Any]) -> Text:
    """What is wrong with whom, in full: what the tables of a narrow window have no room for."""
    rows = [(row["source"], row) for row in snapshot["links"]]
    rows += [(row["url"], row) for row in snapshot["listeners"]]
    rows += [(row["name"], row) for row in snapshot["repositories"]]
    told = [Text.assemble(f"{name}: ", (row["last_error"], "yellow")) for name, row in rows if row.get("last_error")]
    return Text("\n").join(told[:ERRORS])


def number(value: float | None) -> str:
    """With separators, or a dash where it is not known."""
    return "-" if value is None else f"{value:,}"


def size(count: float) -> str:
    """1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):  # as --journal-bytes counts them
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def span(seconds: float) -> str:
    """12 s, 3 min, 5 h, 2 days."""
    for limit, unit, divisor in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{int(seconds // divisor)} {unit}"
    return f"{int(seconds // 86_400)} days"


def moment(ts: int) -> str:
    """The time of day in milliseconds since 1970, as the clock on the wall shows it."""
    return datetime.fromtimestamp(ts / 1000).strftime("%H:%M:%S")


def table(*columns: str) -> Table:
    """A table without lines between; a name that ends with > is aligned right.

    LAST ERROR is as many lines as it needs; what is called otherwise is cut, ERROR and TROUBLE before all others.
    """
    whole = columns[-1] in LAST
    made = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", expand=whole)
    for name in columns:
        right = name.endswith(">")
        made.add_column(
            name.rstrip(">"),
            justify="right" if right else "left",
            min_width=len(name) - 1 if right else STATE_CELLS if name == "STATE" else None,
            no_wrap=name != "LAST ERROR",
            overflow="ellipsis" if name != "LAST ERROR" else "fold",
            ratio=1 if name in LAST else None,
        )
    return made
