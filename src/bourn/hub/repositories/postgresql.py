"""`postgresql://...`: a table of readings in PostgreSQL, each exactly once, by psycopg 3 (extra `postgres`).

A batch goes by binary COPY into the table, whose key (source, epoch, seq) refuses what is there already; how far the
hub is stands in the same transaction. So a batch whose commit nobody heard of is simply written again: after every
`open`, and once the key has refused one, batches go into a temporary table and from there, in one statement, into the
table without what it has, until one comes in which all was new. Where TimescaleDB is in the database, the table becomes
a hypertable by `time`.

Tables, made where they are missing (NAME is `reading`, or what `?table=` says):

    NAME           source, epoch, seq, sensor, time (timestamptz), val (json: exactly the value)
    NAME_gap       source, epoch, first, last, reason: numbers that will never come
    NAME_rejected  what PostgreSQL cannot hold as it is (a time beyond its calendar, say), as JSON text, and why
    NAME_cursor    hub, pos: how far each hub's journal is in here
    NAME_view      id, time, source, sensor, number (null where the value is none), val
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from bourn.hub.repositories import Unreachable
from bourn.hub.repositories.address import quoted, secrets_of, without_secrets
from bourn.spool.sqlite import Entry

CONNECT_S = 5
FIRST_TS, LAST_TS = -62_135_596_800_000, 253_402_300_799_999  # years 1 to 9999
_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
# A server that vanished without a word is given up within about half a minute; what the URL says comes first.
PATIENCE = {
    "connect_timeout": str(CONNECT_S),
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "application_name": "bourn",
}
COLUMNS = ("source", "epoch", "seq", "sensor", "time", "val")

# PostgreSQL's binary COPY: a header, then for each row the number of fields, and each field behind its length, all
# big-endian; a time is a number of microseconds since 2000. https://www.postgresql.org/docs/current/sql-copy.html
COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
COPY_ROWS = 1000  # are encoded while the server takes in those before
MS_2000 = 946_684_800_000
_length = Struct("!I").pack
_columns = Struct("!H").pack
_seq = Struct("!q").pack
_time_length = Struct("!qI").pack

_CREATE = """
CREATE TABLE {t} (source text COLLATE "C" NOT NULL, epoch text COLLATE "C" NOT NULL, seq bigint NOT NULL,
  sensor text NOT NULL, time timestamptz NOT NULL, val json NOT NULL, PRIMARY KEY (source, epoch, seq{more_key}));
CREATE TABLE {gap} (source text NOT NULL, epoch text NOT NULL, first bigint NOT NULL, last bigint NOT NULL,
  reason text NOT NULL, PRIMARY KEY (source, epoch, first));
CREATE TABLE {rejected} (source text NOT NULL, epoch text NOT NULL, seq bigint NOT NULL, reading text NOT NULL,
  reason text NOT NULL, PRIMARY KEY (source, epoch, seq));
CREATE TABLE {cursor} (hub text PRIMARY KEY, pos bigint NOT NULL);
CREATE INDEX ON {t} USING brin (time);
CREATE VIEW {view} AS SELECT source || ':' || epoch || ':' || seq AS id, time, source, sensor,
  CASE json_typeof(val) WHEN 'number' THEN (val #>> '{{}}')::double precision END AS number, val FROM {t};
"""
_COPY = "COPY {} (source, epoch, seq, sensor, time, val) FROM STDIN (FORMAT BINARY)"
_INSERT = """
INSERT INTO {t} (source, epoch, seq, sensor, time, val)
SELECT source, epoch, seq, sensor, time, val FROM bourn_incoming ON CONFLICT DO NOTHING
"""


class PostgreSQL:
    """A table in PostgreSQL; `url` is shown and kept without its password."""

    keeps = True
    batch_rows = 10_000

    def __init__(self, url: str) -> None:
        try:
            import psycopg
            import psycopg.sql
        except ImportError as e:
            raise ImportError("PostgreSQL needs psycopg 3: pip install 'bourn[postgres]'") from e
        self._psycopg = psycopg
        self.url = without_secrets(url)
        self._secrets = secrets_of(url)
        head, mark, query = quoted(url).partition("?")
        options = parse_qsl(query, keep_blank_values=True)
        self.table = dict(options).get("table", "reading")
        rest = [(name, value) for name, value in options if name != "table"]
        try:
            given = psycopg.conninfo.conninfo_to_dict(head + (mark + urlencode(rest) if rest else ""))
            for port in given.get("port", "").split(","):
                if port and not port.isdecimal():
                    raise ValueError(f"{port!r} is no port")
        except psycopg.Error as e:
            raise ValueError(self._clean(e)) from None
        self._conninfo = psycopg.conninfo.make_conninfo(**{**PATIENCE, **given})
        self._connection: Any = None
        self._hub = ""
        self._new = False  # what comes is not in the table: the batch before was all new, and so was every one since
        self._short = True  # the table takes binary COPY: it is as it was made here
        self.rejected = 0
        parts = self.table.split(".")
        if not all(parts) or len(parts) > 2:
            raise ValueError(f"table={self.table} is no table's name; write NAME or SCHEMA.NAME")
        self._names = {
            name: psycopg.sql.Identifier(*parts[:-1], parts[-1] + suffix)
            for name, suffix in (
                ("t", ""),
                ("gap", "_gap"),
                ("rejected", "_rejected"),
                ("cursor", "_cursor"),
                ("view", "_view"),
            )
        }

    def open(self, mark: str | None) -> None:
        """Connect, and make the tables where they are missing.

        Unreachable: no server answers, or it refuses. ValueError: there is such a table, and it is something else's.
        """
        self.close()
        connection = self._connect()
        self._connection = connection
        self._new, self._short = False, True
        try:
            with connection.transaction():
                connection.execute("SET TIME ZONE 'UTC'")
                self._make_tables(connection)
                # Its rows go with every commit.
                connection.execute(
                    "CREATE TEMP TABLE IF NOT EXISTS bourn_incoming (source text, epoch text, seq bigint, sensor text,"
                    " time timestamptz, val json) ON COMMIT DELETE ROWS"
                )
        except self._psycopg.Error as e:
            self.close()
            raise Unreachable(self._clean(e)) from None
        except BaseException:
            self.close()
            raise

    def resume(self, hub: str, place: int | None) -> int | None:
        """Where its own transaction says it is, unless the journal remembers less: what comes again is recognised.

        So a database that was restored from an older backup gets again what it lacks, as far as the journal has it.
        """
        self._hub = hub
        with self._connection.transaction():
            row = self._run("SELECT pos FROM {cursor} WHERE hub = %s", (hub,)).fetchone()
        known = [pos for pos in (row[0] if row else None, place) if pos is not None]
        return min(known, default=None)

    def write(self, entries: list[Entry]) -> None:
        """Store the entries and how far that is, in one transaction; committed when this returns.

        What the database refuses is looked for, and put aside with the reason; the others are stored.
        """
        if not entries:
            return
        try:
            try:
                self._store_new(entries, entries[-1][0])
            except self._psycopg.DataError:
                self._new = False
                self._store_patiently(entries)
                self._store([], entries[-1][0])
        except self._psycopg.Error as e:
            raise OSError(self._clean(e)) from None

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def read(
        self, sensor: str | None = None, since: int | None = None, until: int | None = None
    ) -> Iterator[tuple[str, int, str, Any]]:
        """The readings in the table by time, those of one source in their order."""
        query = (
            "SELECT source || ':' || epoch || ':' || seq, (extract(epoch FROM time) * 1000)::bigint, sensor, val::text"
            " FROM {t} WHERE (%(sensor)s::text IS NULL OR sensor = %(sensor)s)"
            " AND (%(since)s::timestamptz IS NULL OR time >= %(since)s)"
            " AND (%(until)s::timestamptz IS NULL OR time < %(until)s) ORDER BY time, source, epoch, seq"
        )
        given = {"sensor": sensor, "since": _moment(since), "until": _moment(until)}
        connection = self._connect()
        try:
            with connection.cursor("bourn_read") as rows:  # on the server: in pages, however many there are
                rows.execute(self._psycopg.sql.SQL(query).format(**self._names), given)
                for id, ts, name, val in rows:
                    yield id, ts, name, json.loads(val)
        finally:
            connection.close()

    def _connect(self) -> Any:
        try:
            return self._psycopg.connect(self._conninfo)
        except self._psycopg.Error as e:
            raise Unreachable(f"no connection: {self._clean(e).removeprefix('connection failed: ')}") from None

    def _run(self, query: str, values: tuple[Any, ...] | None = None, **more: Any) -> Any:
        return self._connection.execute(self._psycopg.sql.SQL(query).format(**self._names, **more), values)

    def _make_tables(self, connection: Any) -> None:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (0x426F726E,))  # two hubs that begin at once
        quoted = self._names["t"].as_string(connection)
        columns = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            (quoted,),
        ).fetchall()
        if columns:
            missing = set(COLUMNS) - {name for (name,) in columns}
            if missing:
                raise ValueError(
                    f"the table {self.table} is something else's (it has no {', '.join(sorted(missing))}); "
                    "choose another with ?table=NAME"
                )
            return
        timescale = connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
        more = self._psycopg.sql.SQL(", time" if timescale else "")  # every key of a hypertable holds its time
        self._run(_CREATE, more_key=more)
        if timescale:
            connection.execute("SELECT create_hypertable(%s::regclass, 'time')", (quoted,))

    def _store_new(self, entries: list[Entry], place: int) -> None:
        """Store, the shorter way where all of it seems to be new and the table takes it so."""
        refused: Exception | None = None
        if self._new:
            try:
                return self._store(entries, place)
            except self._psycopg.DatabaseError as e:
                self._new = False
                if self._connection.closed:
                    raise
                refused = e
        self._store(entries, place)  # what is wrong with the readings is so in this way, too
        if refused is not None and not isinstance(refused, self._psycopg.errors.UniqueViolation):
            self._short = self._new = False  # somebody has changed a column's type, or guards its rows
        return None

    def _store(self, entries: list[Entry], place: int | None) -> None:
        rows, gaps, odd = _sorted_out(entries)
        sql, new = self._psycopg.sql.SQL, self._new
        with self._connection.transaction(), self._connection.cursor() as cursor:
            if rows:
                into = self._names["t"] if new else sql("bourn_incoming")
                with cursor.copy(sql(_COPY).format(into)) as copy:
                    for piece in _encoded(rows):
                        copy.write(piece)
                if not new:
                    found = self._run(_INSERT)
                    new = self._short and place is not None and found.rowcount == len(rows)
            if gaps:
                query = sql(  # one that comes again may have grown
                    "INSERT INTO {gap} AS known VALUES (%s,%s,%s,%s,%s) ON CONFLICT (source, epoch, first) "
                    "DO UPDATE SET last = greatest(known.last, excluded.last)"
                )
                cursor.executemany(query.format(**self._names), gaps)
            for one, reason in odd:
                self._reject(one, reason)
            if place is not None:
                self._run(
                    "INSERT INTO {cursor} VALUES (%s,%s) ON CONFLICT (hub) DO UPDATE SET pos = excluded.pos",
                    (self._hub, place),
                )
        self._new = new
        self.rejected += len(odd)

    def _store_patiently(self, entries: list[Entry]) -> None:
        """Store by halves, until what is refused stands alone and is put aside."""
        try:
            self._store(entries, None)
        except self._psycopg.DataError as e:
            if len(entries) > 1:
                half = len(entries) // 2
                self._store_patiently(entries[:half])
                self._store_patiently(entries[half:])
            else:
                with self._connection.transaction():
                    self._reject(entries[0], self._clean(e))
                self.rejected += 1

    def _reject(self, entry: Entry, reason: str) -> None:
        _, stream, seq, sensor, ts, val = entry
        self._run(
            "INSERT INTO {rejected} VALUES (%s,%s,%s,%s,%s) ON CONFLICT DO NOTHING",
            (stream.source, stream.epoch, seq, json.dumps([sensor, ts, val]), reason),
        )

    def _clean(self, e: BaseException) -> str:
        """What the library says, in one line and without a secret."""
        text = " ".join(str(e).split()) or type(e).__name__
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _sorted_out(entries: list[Entry]) -> tuple[list[Entry], list[Any], list[tuple[Entry, str]]]:
    """Readings for COPY, gaps, and what cannot be stored with the reason."""
    rows, gaps, odd = [], [], []
    for entry in entries:
        if len(entry) == 3:
            gaps.append((entry[1].source, entry[1].epoch, *entry[2]))
        elif not FIRST_TS <= entry[4] <= LAST_TS:
            odd.append((entry, "the time is beyond the years 1 to 9999"))
        else:
            rows.append(entry)
    return rows, gaps, odd


def _encoded(rows: list[Entry]) -> Iterator[bytes]:
    """The readings as binary COPY, in pieces."""
    json_of = msgspec.json.Encoder().encode
    streams: dict[Any, bytes] = {}  # what a row begins with
    sensors: dict[str, bytes] = {}  # what stands between seq and time
    yield COPY_HEAD
    for at in range(0, len(rows), COPY_ROWS):
        parts: list[bytes] = []
        for _, stream, seq, sensor, ts, val in rows[at : at + COPY_ROWS]:
            head = streams.get(stream)
            if head is None:
                names = _field(stream.source.encode()) + _field(stream.epoch.encode())
                head = streams[stream] = _columns(len(COLUMNS)) + names + _length(8)
            middle = sensors.get(sensor)
            if middle is None:
                middle = sensors[sensor] = _field(sensor.encode()) + _length(8)
            text = json_of(val)
            parts += (head, _seq(seq), middle, _time_length((ts - MS_2000) * 1000, len(text)), text)
        yield b"".join(parts)
    yield COPY_END


def _field(data: bytes) -> bytes:
    return _length(len(data)) + data


def _moment(ts: int | None) -> datetime | None:
    return None if ts is None else _1970 + min(max(ts, FIRST_TS), LAST_TS) * _MS
