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
PLAIN_COLUMNS = 200  # where nobody looks: lines for `grep` and `awk` are not wrapped
ERRORS = 5  # the newest; the page and --json have them all
STYLES = {"up": "green", "running": "green", "down": "red", "retrying": "yellow", "stopping": "yellow"}


def print_status(hub: Api, as_json: bool) -> None:
    """Ask once and print it: coloured tables in a terminal, plain text elsewhere, or the JSON."""
    snapshot = hub.get(NO_POINTS)
    if as_json:
        for sensor in snapshot["sensors"]:
            sensor.pop("points", None)
        sys.stdout.write(json.dumps(snapshot, ensure_ascii=False) + "\n")
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_COLUMNS)
    parts = [
        *head(snapshot),
        links(snapshot["links"]),
        *brokers(snapshot["listeners"]),
        repositories(snapshot["repositories"]),
        errors(snapshot),
    ]
    for index, part in enumerate(parts):
        if index:
            console.print()
        console.print(part)
    console.print(Text(f"page     {hub.page}", "dim"), soft_wrap=True)


def head(snapshot: dict[str, Any]) -> Iterable[RenderableType]:
    """Who it is and how the journal fares, in a few lines."""
    journal, network = snapshot["journal"], snapshot["network"]
    first = Text.assemble(
        f"Bourn {snapshot['version']}  ",
        (snapshot["state"], STYLES.get(snapshot["state"], "")),
        f" for {span(snapshot['uptime_s'])}  hub {snapshot['hub']}",
    )
    of = f" of {network['limit']:,}" if network["limit"] else ""
    peak = f" (peak {network['peak']:,})" if network["peak"] is not None else ""
    lines = [
        f"journal  {journal['path']}  {journal['rows']:,} readings  {journal['rate']:,} per second  "
        f"{size(journal['bytes'])}  commit {journal['commit_ms']:g} ms",
        f"         gaps {journal['gaps']:,}  duplicates {journal['duplicates']:,}  quarantined "
        f"{journal['quarantined']:,}  in flight {network['in_flight']:,}{of}{peak}",
    ]
    if "space" in journal:
        lines.append(room(journal["space"]))
    text = Text("\n").join([first, *map(Text, lines)])
    if journal["last_error"]:
        text.append(f"\njournal  {journal['last_error']}", "bold red")
    return [text]


def room(space: dict[str, Any]) -> str:
    """What the journal may hold, and what was taken out of it."""
    kept = "for ever" if space["keep_s"] is None else f"{span(space['keep_s'])}"
    dropped = "".join(f", {n:,} before {name} had them" for name, n in space["dropped_for"].items())
    return (
        f"         room {size(space['bytes'])} of {size(space['limit_bytes'])}, kept {kept}, when full "
        f"{space['when_full']}  trimmed {space['trimmed']:,}  dropped {space['dropped']:,}{dropped}"
    )


def links(rows: list[dict[str, Any]], limit: int | None = None) -> RenderableType:
    """One line for each source, at most `limit`."""
    if not rows:
        return Text("no source has connected yet", "dim")
    shown = table(
        "SOURCE", "STATE", "RUNTIME", "PEER", "IN FLIGHT>", "ACKED>", "RATE>", "BACKLOG>", "DUPL>", "DROPS>",
        "RETRIES>", "HEARD>", "LAST ERROR",
    )  # fmt: skip
    for row in rows[:limit]:
        shown.add_row(
            row["source"],
            Text(row["state"], STYLES.get(row["state"], "")),
            row["runtime"] or "-",
            row["peer"] or "-",
            f"{row['in_flight']:,}/{row['window']:,}",
            number(row["acked"]),
            number(row.get("rate")),
            number(row.get("backlog")),
            number(row["duplicates"]),
            number(row.get("dropped")),
            number(row["links"] - 1 if row["links"] else 0),
            span(row["seen_ms"] / 1000) if row["seen_ms"] is not None else "-",
            Text(row["last_error"] or "", "red" if row["state"] == "down" else "yellow"),
        )
    return shown


def brokers(rows: list[dict[str, Any]]) -> Iterable[RenderableType]:
    """One line for each broker that the hub hears, if there is one."""
    shown = table("BROKER", "STATE", "SOURCES>", "UNACKED>", "COUNTED", "LAST ERROR")
    for row in rows:
        if "state" in row:
            counted = ", ".join(f"{what.replace('_', ' ')} {n:,}" for what, n in row["counters"].items() if n)
            unacked = f"{row['unacknowledged']:,}/{row['window']:,}" if "window" in row else "-"
            error = Text(row["last_error"] or "", "red")
            shown.add_row(
                row["url"], Text(row["state"], STYLES.get(row["state"], "")), number(row["sources"]), unacked, counted,
                error if error else Text(row.get("last_refusal") or "", "yellow"),
            )  # fmt: skip
    return [shown] if shown.row_count else []


def repositories(rows: list[dict[str, Any]]) -> RenderableType:
    """One line for each repository."""
    if not rows:
        return Text("no repository besides the journal", "dim")
    shown = table("REPOSITORY", "STATE", "LAG>", "RATE>", "RETRIES>", "LAST ERROR")
    for row in rows:
        shown.add_row(
            row["name"],
            Text(row["state"], STYLES.get(row["state"], "")),
            number(row["lag"]),
            number(row.get("rate")),
            number(row.get("retries")),
            Text(row["last_error"] or "", "red"),
        )
    return shown


def errors(snapshot: dict[str, Any], limit: int = ERRORS) -> Text:
    """The newest errors, and how many connections were refused for what."""
    lines = [
        Text.assemble((f"{moment(one['ts'])}  ", "dim"), f"{one['where']}: ", (one["text"], "red"))
        for one in snapshot["errors"][:limit]
    ]
    refused = {code: n for code, n in snapshot["counters"]["refused"].items() if n}
    if refused:
        lines.append(Text("refused  " + ", ".join(f"{code} {n:,}" for code, n in refused.items())))
    return Text("\n").join(lines) if lines else Text("no errors", "green")


def number(value: float | None) -> str:
    """With separators, or a dash where it is not known."""
    return "-" if value is None else f"{value:,}"


def size(count: float) -> str:
    """1.2 MB."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
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
    """A table without lines between; a name that ends with > is aligned right."""
    made = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for name in columns:
        right = name.endswith(">")
        made.add_column(
            name.rstrip(">"),
            justify="right" if right else "left",
            no_wrap=name != "LAST ERROR",
            overflow="ellipsis" if name != "LAST ERROR" else "fold",
        )
    return made
