"""The hub's figures for Prometheus, made from a snapshot when they are asked for; nothing runs between two scrapes.

Names, types and labels stay the same over versions; docs/metrics.md lists them. What is counted begins at 0 when
the hub starts, as Prometheus expects of counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

Snapshot = dict[str, Any]
Sample = tuple[list[str], float | None]  # label values, value; None: not known now, and left out


class Figure(NamedTuple):
    """One metric: its name as it is scraped, its type, what it tells, its labels, and where it is in a snapshot."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...]
    samples: Callable[[Snapshot], Iterable[Sample]]


def _one(*path: str, scale: float = 1) -> Callable[[Snapshot], Iterable[Sample]]:
    def samples(snapshot: Snapshot) -> Iterable[Sample]:
        value: Any = snapshot
        for name in path:
            value = value[name]
        yield [], None if value is None else value * scale

    return samples


def _each(group: str, label: str, field: str) -> Callable[[Snapshot], Iterable[Sample]]:
    return lambda snapshot: [([row[label]], row[field]) for row in snapshot[group]]


def _up(group: str, label: str) -> Callable[[Snapshot], Iterable[Sample]]:
    return lambda snapshot: [([row[label]], float(row["state"] == "up")) for row in snapshot[group]]


FIGURES = (
    Figure("bourn_info", "gauge", "1; the labels say which hub this is", ("version", "hub"),
           lambda s: [([s["version"], s["hub"]], 1.0)]),
    Figure("bourn_uptime_seconds", "gauge", "since the hub started", (), _one("uptime_s")),
    Figure("bourn_journal_readings", "gauge", "readings in the journal", (), _one("journal", "rows")),
    Figure("bourn_journal_bytes", "gauge", "size of the journal and its WAL on disk", (), _one("journal", "bytes")),
    Figure("bourn_journal_commits_total", "counter", "transactions committed", (), _one("journal", "commits")),
    Figure("bourn_journal_commit_seconds", "gauge", "how long a commit takes: a moving average", (),
           _one("journal", "commit_ms", scale=0.001)),
    Figure("bourn_journal_failing", "gauge", "1 while the journal cannot store, and nothing is acknowledged", (),
           lambda s: [([], float(s["journal"]["last_error"] is not None))]),
    Figure("bourn_readings_stored_total", "counter", "readings stored, each once", (), _one("journal", "stored")),
    Figure("bourn_readings_duplicate_total", "counter", "readings that came again and were left out", (),
           _one("journal", "duplicates")),
    Figure("bourn_readings_quarantined_total", "counter", "readings that cannot be stored", (),
           _one("journal", "quarantined")),
    Figure("bourn_gaps_total", "counter", "times that an outbox said that readings will never come", (),
           _one("journal", "gaps")),
    Figure("bourn_in_flight", "gauge", "readings sent, or allowed to be, and not acknowledged yet", (),
           _one("network", "in_flight")),
    Figure("bourn_in_flight_limit", "gauge", "how many the network may have; left out without a common limit", (),
           _one("network", "limit")),
    Figure("bourn_links_refused_total", "counter", "connections refused", ("code",),
           lambda s: [([code], n) for code, n in s["counters"]["refused"].items()]),
    Figure("bourn_links_replaced_total", "counter", "links ended because a newer one of their source came", (),
           _one("counters", "replaced_links")),
    Figure("bourn_source_up", "gauge", "1 while it is connected", ("source",), _up("links", "source")),
    Figure("bourn_source_acknowledged_total", "counter", "readings acknowledged", ("source",),
           _each("links", "source", "acked")),
    Figure("bourn_source_duplicate_total", "counter", "readings that came again", ("source",),
           _each("links", "source", "duplicates")),
    Figure("bourn_source_dropped_total", "counter", "readings that its outbox had to drop", ("source",),
           _each("links", "source", "dropped")),
    Figure("bourn_source_connections_total", "counter", "links it has opened; all but the first came after a cut",
           ("source",), _each("links", "source", "links")),
    Figure("bourn_source_in_flight", "gauge", "its share of bourn_in_flight", ("source",),
           _each("links", "source", "in_flight")),
    Figure("bourn_source_backlog", "gauge", "readings that wait in its outbox, as far as it has told", ("source",),
           _each("links", "source", "backlog")),
    Figure("bourn_source_silent_seconds", "gauge", "since it was heard", ("source",),
           lambda s: [([row["source"]], row["seen_ms"] / 1000) for row in s["links"]]),
    Figure("bourn_listener_up", "gauge", "1 while its broker lets this hub hear", ("listener",),
           lambda s: [([row["url"]], float(row["state"] == "up")) for row in s["listeners"] if "state" in row]),
    Figure("bourn_listener_unacknowledged", "gauge", "messages taken from a broker and not acknowledged yet",
           ("listener",),
           lambda s: [([row["url"]], row["unacknowledged"]) for row in s["listeners"] if "unacknowledged" in row]),
    Figure("bourn_listener_events_total", "counter",
           "what came through a broker (messages), and what of it was not taken as it should be", ("listener", "what"),
           lambda s: [([x["url"], what], n) for x in s["listeners"] for what, n in x.get("counters", {}).items()]),
    Figure("bourn_repository_up", "gauge", "0 while it is tried again", ("repository",), _up("repositories", "name")),
    Figure("bourn_repository_lag", "gauge", "readings and gaps that the journal has and it has not", ("repository",),
           _each("repositories", "name", "lag")),
    Figure("bourn_repository_written_total", "counter", "readings and gaps it took", ("repository",),
           _each("repositories", "name", "written")),
    Figure("bourn_repository_retries_total", "counter", "attempts that failed", ("repository",),
           _each("repositories", "name", "retries")),
)  # fmt: skip


def _of(*path: str) -> Callable[[Snapshot], Iterable[Sample]]:
    """A value of each recording that can be read."""

    def samples(snapshot: Snapshot) -> Iterable[Sample]:
        for one in snapshot["recordings"]:
            value: Any = one if "missing" not in one else None
            for name in path:
                value = None if value is None else value[name]
            yield [one["key"]], None if value is None else float(value)

    return samples


def _states(field: str) -> Callable[[Snapshot], Iterable[Sample]]:
    return lambda snapshot: [
        ([one["key"], state], count[field])
        for one in snapshot["recordings"]
        for state, count in one.get("states", {}).items()
    ]


RECORDING_FIGURES = (
    Figure("bourn_recording_up", "gauge", "1 while a process records into the folder", ("recording",),
           lambda s: [([one["key"]], float(one["running"])) for one in s["recordings"]]),
    Figure("bourn_recording_alarms", "gauge", "what somebody has to do something about", ("recording",),
           lambda s: [([x["key"]], sum(a["level"] == "bad" for a in x["alarms"])) for x in s["recordings"]]),
    Figure("bourn_recording_frames_total", "counter", "frames recorded", ("recording",),
           _of("since_start", "recorded")),
    Figure("bourn_recording_lost_frames_total", "counter", "frames that came and could not be kept", ("recording",),
           _of("since_start", "lost")),
    Figure("bourn_recording_gaps", "gauge", "ranges of frames that are lost, as far as the catalogue remembers",
           ("recording",), _of("gaps")),
    Figure("bourn_recording_dropped_files_total", "counter", "files dropped by the policy of a full disk",
           ("recording",), _of("since_start", "dropped")),
    Figure("bourn_recording_disk_bytes", "gauge", "what all files take", ("recording",), _of("disk", "used")),
    Figure("bourn_recording_disk_limit_bytes", "gauge", "what they may take", ("recording",), _of("disk", "limit")),
    Figure("bourn_recording_disk_free_bytes", "gauge", "what the file system has left", ("recording",),
           _of("disk", "free")),
    Figure("bourn_recording_files", "gauge", "files of each state", ("recording", "state"), _states("files")),
    Figure("bourn_recording_file_bytes", "gauge", "their bytes", ("recording", "state"), _states("bytes")),
    Figure("bourn_recording_backlog_files", "gauge", "files that wait for their upload", ("recording",),
           _of("uploads", "backlog", "files")),
    Figure("bourn_recording_backlog_bytes", "gauge", "bytes that wait for their upload", ("recording",),
           _of("uploads", "backlog", "bytes")),
    Figure("bourn_recording_backlog_seconds", "gauge", "how long ago the oldest of them was begun; 0 without one",
           ("recording",), lambda s: [
               ([x["key"]], (s["now"] - x["uploads"]["oldest_at"]) / 1000 if x["uploads"]["oldest_at"] else 0.0)
               for x in s["recordings"] if "missing" not in x]),
    Figure("bourn_recording_uploaded_files_total", "counter", "files uploaded and verified", ("recording",),
           _of("since_start", "uploaded")),
    Figure("bourn_recording_uploaded_bytes_total", "counter", "their bytes", ("recording",),
           _of("since_start", "uploaded_bytes")),
    Figure("bourn_recording_upload_failures_total", "counter", "attempts that failed", ("recording",),
           _of("since_start", "upload_failures")),
    Figure("bourn_recording_sent_month_bytes", "gauge", "sent in this month (UTC), failed tries included",
           ("recording",), _of("uploads", "sent_this_month")),
    Figure("bourn_recording_over_budget", "gauge", "1 while uploads pause until next month", ("recording",),
           _of("uploads", "over_budget")),
)  # fmt: skip


class _Snapshot(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        hub = FIGURES if "journal" in self._snapshot else ()
        for figure in (*hub, *(RECORDING_FIGURES if "recordings" in self._snapshot else ())):
            family = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
            metric = family(figure.name, figure.text, labels=figure.labels)
            for labels, value in figure.samples(self._snapshot):
                if value is not None:
                    metric.add_metric(labels, value)
            yield metric


def exposition(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """What /metrics answers, and its content type: the newest of Prometheus' formats that `accept` allows."""
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(snapshot))
    return encode(registry), content_type
