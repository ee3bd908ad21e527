"""From links to the journal: the one place where readings are taken, committed and acknowledged.

The pipeline. Everything here runs in the event loop's thread, decoding and INSERT included; only COMMIT runs in a
helper thread. While batch k is being committed, the loop decodes batch k+1; then it sends the acks of k and inserts
k+1. So an ack is sent after the commit, never before, and the disk is never idle while something waits.

When a commit fails (the disk is full, say) the batch is kept and tried again; meanwhile no ack goes out, credit runs
out, and the senders hold their readings. It heals by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bourn import wire
from bourn.hub.credit import CreditPool
from bourn.hub.decode import poison_reason
from bourn.hub.descriptors import FAREWELLS
from bourn.hub.keys import Keys, KeysError
from bourn.hub.link import Link
from bourn.hub.log import told
from bourn.hub.natural import natural_key
from bourn.spool import Gap
from bourn.spool.sqlite import SqliteSpool, Stream
from bourn.spool.sqlite_file import is_no_room

MAX_LINKS = 20_000  # and no more than there are descriptors for
TELL_FULL_S = 10.0  # between two words about it in the log
RETRY_S = (0.2, 0.5, 1.0, 2.0)  # pauses after failed commits; the last one repeats
MAX_SOURCES = 10_000  # sources remembered for the page; those that are down go first
MAX_ERRORS = 100  # the newest are kept
TICK_S = 1.0  # how often links are looked after
UNHEARD_S = 30.0  # for which one that was not heard yet may wait while nothing is read
STUCK_S = 10.0  # a commit that takes longer is trouble, although nothing failed
CURSORS_S = 5.0  # after which cursors are saved alone, when no readings come that would take them along


class Source:
    """What is known of a source while the hub runs, over all its links."""

    __slots__ = (
        "acked", "dropped", "duplicates", "last_error", "link", "links", "name", "order", "peer", "runtime", "seen",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.order = natural_key(name)
        self.link: Link | None = None
        self.links = 0
        self.acked = 0
        self.duplicates = 0
        self.dropped = 0  # readings that will never come, as its gaps say
        self.peer = ""
        self.runtime = ""
        self.seen = 0.0
        self.last_error: str | None = None


class Ingest:
    """Takes readings from links into the journal, each exactly once, and acknowledges them when they are on disk.

    With `network_in_flight` that many readings are unacknowledged over all links together, by credit; otherwise up to
    `in_flight` per link.
    """

    def __init__(self, journal: SqliteSpool, in_flight: int = 1000, network_in_flight: int | None = None) -> None:
        if in_flight < 1:
            raise ValueError(f"at least 1 reading must be allowed in flight, not {in_flight}")
        self.journal = journal
        self.in_flight = in_flight
        self.pool = CreditPool(network_in_flight) if network_in_flight is not None else None
        self.keys: Keys | None = None
        self.links: set[Link] = set()
        self.max_links = MAX_LINKS
        self.decoder = wire.Decoder()  # of all links that are not in the middle of a frame
        self.held = False  # nothing is read, for too much waits for its commit
        self.holds = 0
        self._told_full = -TELL_FULL_S
        self.max_farewells = FAREWELLS
        self._leaving: set[Link] = set()  # links too many that may still read so; each holds a descriptor
        self.sources: dict[str, Source] = {}
        self.errors: deque[dict[str, Any]] = deque(maxlen=MAX_ERRORS)
        self.refusals: Counter[str] = Counter()
        self.replaced = 0
        self.received = 0  # readings that came in, duplicates included
        self.acked = 0  # readings acknowledged, duplicates included
        self.commits = 0
        self._committed_at = 0.0
        self.commit_ms = 0.0  # a moving average
        self._committing = 0.0  # since when the commit that is under way is
        self.last_error: str | None = None  # of the journal, while it lasts
        self.no_room = False  # that is what it is: the disk is full
        # What waits for its commit, oldest first: (link, stream, last number, readings)
        self._waiting: deque[tuple[Link, Stream, int, int]] = deque()
        self._work = asyncio.Event()
        self._committer = ThreadPoolExecutor(1, "bourn-commit")
        self._stopping = False
        self.on_commit: Callable[[], None] | None = None  # called after each commit, in the loop's thread

    # -- what links say

    def opened(self, link: Link) -> bool:
        """A connection was opened; False when there are too many already."""
        if len(self.links) >= self.max_links:
            return False
        self.links.add(link)
        if self.held:
            link.pause()
        return True

    def turned_away(self, link: Link) -> bool:
        """One more link than there may be; True if there are descriptors enough to wait until it has read so."""
        self.refusals["full"] += 1
        now = time.monotonic()
        if now - self._told_full > TELL_FULL_S:
            self._told_full = now
            text = f"there are {len(self.links)} links, as many as there may be; others are turned away"
            self.errors.append({"ts": int(time.time() * 1000), "where": "links", "text": text})
            told(logging.WARNING, "full", text)
        if len(self._leaving) >= self.max_farewells:
            return False
        self._leaving.add(link)
        return True

    def lets_in(self, source: str, trusted: bool) -> bool:
        """True if `source` may write without a proof: whoever has a key has to prove it, wherever it comes from."""
        return trusted and not (self.keys and self.keys.knows(source))

    def proves(self, proof: str, source: str, epoch: str, nonce: str) -> bool:
        """True if `proof` answers `nonce` with the key of `source`."""
        return self.keys is not None and self.keys.fits(proof, self.journal.hub, source, epoch, nonce)

    def greeted(self, link: Link) -> None:
        """`link` has said which source it is; an older link of the same source ends."""
        name = link.source or ""
        source = self.sources.get(name)
        if source is None:
            if len(self.sources) >= MAX_SOURCES:
                down = next((s for s in self.sources.values() if s.link is None), None)
                if down is not None:
                    del self.sources[down.name]
            source = self.sources[name] = Source(name)
        if source.link is not link:
            if source.link is not None:
                self.replaced += 1
                source.link.refuse("replaced", "a newer link of this source came")
                self._fold(source.link)
            source.links += 1
            source.link = link
            told(logging.INFO, "link_up", f"link {name} ({link.peer}) is up", source=name, peer=link.peer)
        source.peer, source.runtime = link.peer, link.runtime

    def lost(self, link: Link, why: str | None) -> None:
        """A connection is gone."""
        self.links.discard(link)
        self._leaving.discard(link)
        link.release()
        source = self.sources.get(link.source or "")
        if source is not None and source.link is link:
            text = f"link {link.source} ({link.peer}) is down{': ' + why if why else ''}"
            told(logging.WARNING if why else logging.INFO, "link_down", text, source=link.source, peer=link.peer)
        self._fold(link)
        if why:
            self.note(link, why)

    def refused(self, link: Link, code: str, text: str) -> None:
        """A link was refused; count it and remember why."""
        self.refusals[code] += 1
        link.release()
        where = self.note(link, f"refused: {text}")
        told(logging.WARNING, "refused", f"{where}: {text}", source=link.source, peer=link.peer, code=code)

    def note(self, link: Link, text: str) -> str:
        """Remember what went wrong on a link; returns which it is."""
        where = f"link {link.source} ({link.peer})" if link.source else f"link {link.peer}"
        self.errors.append({"ts": int(time.time() * 1000), "where": where, "text": text})
        source = self.sources.get(link.source or "")
        if source is not None:
            source.last_error = text
        return where

    def trouble(self, now: float) -> str | None:
        """What keeps the journal from storing, while it lasts; `now` as time.monotonic() gives it."""
        if self.last_error is None and self._committing and now - self._committing > STUCK_S:
            return f"a commit has not ended for {now - self._committing:.0f} s; nothing is acknowledged until it does"
        return self.last_error

    def take(
        self, link: Link, stream: Stream, rows: list[Any], last: int, readings: int, suspicious: bool, size: int = 0
    ) -> None:
        """Take new readings of `link` (without those known already) and acknowledge up to `last` when all is on disk.

        `suspicious`: some of the rows may not be storable; those go to the quarantine. They came in `size`
        bytes.
        """
        self.received += readings
        self.journal.counters["duplicates"] += readings - len(rows)
        if rows and not suspicious:
            self.journal.take(stream, rows, size)
        elif rows:
            for row in rows:
                reason = poison_reason(*row[1:])
                if reason is None:
                    self.journal.take(stream, [row], size // readings)
                else:
                    self._quarantine(link, stream, row[0], reason, json.dumps(row[1:], default=str))
        if not self.held and self.journal.waiting_bytes() > self.journal.limits.batch_bytes:
            self.held = True  # in their sockets readings wait as well, and the senders notice
            self.holds += 1
            for one in self.links:
                one.pause()
        self.promise(link, stream, last, readings)

    def take_poison(self, link: Link, stream: Stream, seq: int, reason: str, raw: str) -> None:
        """Take what is no reading, though it has a number, and acknowledge it when it is in the quarantine."""
        self.received += 1
        self._quarantine(link, stream, seq, reason, raw)
        self.promise(link, stream, seq, 1)

    def _quarantine(self, link: Link, stream: Stream, seq: int, reason: str, raw: str) -> None:
        self.journal.take_poison(stream, seq, reason, raw)
        where = self.note(link, f"quarantined {stream.reading_id(seq)}: {reason}")
        told(logging.WARNING, "quarantined", f"{where}: {reason}", id=stream.reading_id(seq))

    def take_gap(self, link: Link, stream: Stream, gap: Gap) -> None:
        """Take the word of `link` that some readings will never come."""
        self.journal.take_gap(stream, gap)
        missing = gap.last - gap.first + 1
        if (source := self.sources.get(stream.source)) is not None:
            source.dropped += missing
        text = f"{missing} readings of {stream.source} will never come: {gap.reason}"
        told(logging.WARNING, "gap", text, source=stream.source, first=gap.first, last=gap.last, reason=gap.reason)
        self.promise(link, stream, gap.last, 0)

    def promise(self, link: Link, stream: Stream, last: int, readings: int) -> None:
        """Acknowledge up to `last`, and release `readings`, as soon as all of it is on disk."""
        self._waiting.append((link, stream, last, readings))
        self._work.set()

    def give_back(self, link: Link, readings: int) -> None:
        """`readings` came in that cannot be taken now (a hole before them): they may be sent again."""
        if self.pool:
            self.pool.give_back(readings)
        else:
            link.grant(readings)

    # -- the pipeline

    async def run(self) -> None:
        """Commit and acknowledge until `stop`; ends when everything taken is on disk, or plainly cannot be."""
        loop = asyncio.get_running_loop()
        self._tick()
        failures = 0
        while not self._stopping or ((self._waiting or self._work.is_set()) and failures <= len(RETRY_S)):
            if not failures:  # else what comes while the batch is tried again is work for the next turn
                await self._work.wait()
                self._work.clear()
            try:
                began = time.perf_counter()
                if self.journal.insert(time.monotonic() - self._committed_at > CURSORS_S):
                    self._committing = time.monotonic()
                    await loop.run_in_executor(self._committer, self.journal.commit)
                    self._committed((time.perf_counter() - began) * 1000)
                failures = 0
                if self.last_error is not None:
                    told(logging.WARNING, "journal_recovered", "the journal stores again")
                self.last_error, self.no_room = None, False
            except Exception as e:  # the edge of the pipeline: it is told, and tried again
                self.journal.rollback()
                if self.last_error is None:
                    self.errors.append({"ts": int(time.time() * 1000), "where": "journal", "text": str(e)})
                    told(logging.ERROR, "journal_failed", f"the journal cannot store: {e}")
                self.no_room = is_no_room(e, self.journal.path)
                self.last_error = f"{e}; nothing is acknowledged until this is over"
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
            self._committing = 0.0
            self._acknowledge()
        for link in list(self.links):
            link.close()
        self._timer.cancel()
        self._committer.shutdown()

    def stop(self) -> None:
        """Take nothing more in; `run` commits and acknowledges what was taken, closes the links and ends."""
        self._stopping = True
        for link in list(self.links):
            link.pause()
        self._work.set()

    def _committed(self, ms: float) -> None:
        self.journal.committed()
        self.commits += 1
        self._committed_at = time.monotonic()
        self.commit_ms += (ms - self.commit_ms) * 0.1
        if self.on_commit:
            self.on_commit()

    def _acknowledge(self) -> None:
        """Tell each link, once, how far it has come; then lend the credit that came back."""
        ready: dict[tuple[Link, Stream], int] = {}
        waiting = self._waiting
        while waiting and waiting[0][2] <= waiting[0][1].committed:
            link, stream, _, readings = waiting.popleft()
            ready[link, stream] = ready.get((link, stream), 0) + readings
        total = 0
        for (link, stream), readings in ready.items():
            total += readings
            try:
                link.acknowledge(stream, readings)
            except Exception as e:  # the edge of a link: the others are acknowledged, and the pipeline goes on
                link.refuse("internal", f"{type(e).__name__}: {e}")
        self.acked += total
        if self.held and not self._stopping and self.journal.waiting_bytes() < self.journal.limits.batch_bytes // 2:
            self.held = False
            links = list(self.links)
            first = self.holds % max(1, len(links))  # another each time: there may be no room for the last ones
            for one in links[first:] + links[:first]:
                one.resume()
                if self.held:  # it had kept what came, and that was too much again: the others have to wait still
                    break
        if self.pool and total:
            self.pool.give_back(total)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)  # first: whatever becomes of this one
        now = time.monotonic()
        changed = self._changed_keys()
        for link in list(self.links):
            if link.source in changed:
                link.refuse("key", f"the key of {link.source} was changed")
            if not self.held:  # else its silence is ours
                link.check(now)
            elif link.source is None and now - link.opened > UNHEARD_S:  # it has long gone, or will come again
                link.refuse("hello", "too much waits for the disk here; try again later")
        self._work.set()

    def _changed_keys(self) -> set[str]:
        if self.keys is None:
            return set()
        try:
            return self.keys.refresh()
        except KeysError as e:  # those read before go on
            if not self.errors or self.errors[-1]["text"] != str(e):
                self.errors.append({"ts": int(time.time() * 1000), "where": "keys", "text": str(e)})
            return set()

    def _fold(self, link: Link) -> None:
        """Keep the figures of a link that has ended with its source."""
        source = self.sources.get(link.source or "")
        if source is not None and source.link is link:
            source.acked += link.acked
            source.duplicates += link.duplicates
            source.seen = link.heard
            source.link = None
