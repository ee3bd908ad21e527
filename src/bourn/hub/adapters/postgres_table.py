"""PostgreSQL tables as things, by psycopg 3: `pip install 'bourn[postgres]'`.

    thing.pipe(PostgresWriter("host=db dbname=greenhouse", table="reading"))
    scheduler.schedule_periodic(PostgresReader("host=db dbname=greenhouse", table="reading"), 1)

The table is made where it is missing: id (bigint, in the order of writing), ts (timestamptz), sensor_id (text), val
(json: jsonb would make an integer of 1e300). A batch is one transaction; where the connection breaks during the commit
nobody knows whether it was one, and the batch is written again: at least once. (A repository of the hub knows each
reading by its id.)
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from bourn.hub.adapters.batches import BatchWriter, Rejected
from bourn.things import OutputThing, SensorEvent

PAGE_ROWS = 1_000  # of one observation
CONNECT_S = 10
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def load_psycopg() -> Any:
    """The library, or an ImportError that says what to install."""
    try:
        import psycopg
        import psycopg.sql
    except ImportError as e:
        raise ImportError("PostgreSQL needs psycopg 3: pip install 'bourn[postgres]'") from e
    return psycopg


def open_connection(conninfo: str) -> Any:
    """A connection. OSError, in the server's words, where there is none."""
    psycopg = load_psycopg()
    try:
        return psycopg.connect(conninfo, connect_timeout=CONNECT_S)
    except psycopg.OperationalError as e:
        raise OSError(f"no connection to PostgreSQL: {e}") from e


def create_table(connection: Any, table: str) -> None:
    """Make the table where it is missing."""
    sql = load_psycopg().sql
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            " ts timestamptz NOT NULL, sensor_id text NOT NULL, val json NOT NULL)"
        ).format(sql.Identifier(*table.split(".")))
    )


class PostgresWriter(BatchWriter):
    """A sink that writes SensorEvents in batches; bounds, policies and counters are BatchWriter's.

    A row that the database refuses (no JSON, a time outside of its calendar, NUL in a name) is counted in `rejected`.
    """

    def __init__(self, conninfo: str, table: str = "reading", **options: Any) -> None:
        self._psycopg = load_psycopg()
        sql = self._psycopg.sql
        self.table = table
        self._conninfo = conninfo
        self._connection: Any = None
        self._insert = sql.SQL("INSERT INTO {} (ts, sensor_id, val) VALUES (%s, %s, %s)").format(
            sql.Identifier(*table.split("."))
        )
        super().__init__(self._insert_batch, self._disconnect, **options)

    def _insert_batch(self, batch: list[SensorEvent]) -> None:
        try:
            rows = [
                (EPOCH + timedelta(milliseconds=e.ts), str(e.sensor_id), json.dumps(e.val, allow_nan=False))
                for e in batch
            ]
        except (ValueError, TypeError, OverflowError, AttributeError) as e:
            raise Rejected(str(e)) from e
        if self._connection is None:
            self._connection = open_connection(self._conninfo)
            self._connection.execute("SET TIME ZONE 'UTC'")
            create_table(self._connection, self.table)
            self._connection.commit()
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.executemany(self._insert, rows)
            self._connection.commit()
        except (self._psycopg.DataError, self._psycopg.IntegrityError) as e:
            self._connection.rollback()
            raise Rejected(str(e)) from e
        except BaseException:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class PostgresReader(OutputThing):
    """Emits up to 1000 of the next rows whenever it is observed, as SensorEvents in the order of writing.

    It completes after the last row; with `follow=True` it waits for more. `after` is the id to begin behind, and then
    that of the last row emitted. Rows are seen in the order of their ids: with several writers at once, `follow` may
    pass over a row whose transaction ends after a later one. Any trouble ends the stream by `on_error`.
    """

    def __init__(self, conninfo: str, table: str = "reading", after: int = 0, follow: bool = False) -> None:
        super().__init__()
        self._psycopg = load_psycopg()
        sql = self._psycopg.sql
        self.after = after
        self.follow = follow
        self._conninfo = conninfo
        self._connection: Any = None
        self._query = sql.SQL(
            "SELECT id, sensor_id, (extract(epoch FROM ts) * 1000)::bigint, val FROM {}"
            " WHERE id > %s ORDER BY id LIMIT %s"
        ).format(sql.Identifier(*table.split(".")))

    def close(self) -> None:
        """Give the connection back; the next observation opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _observe(self) -> bool:
        try:
            if self._connection is None:
                self._connection = open_connection(self._conninfo)
                self._connection.autocommit = True  # no transaction stays open between two observations
            rows = self._connection.execute(self._query, (self.after, PAGE_ROWS)).fetchall()
        except (OSError, self._psycopg.Error) as e:
            self.close()
            self._dispatch_error(e)
            return False
        for self.after, sensor_id, ts, val in rows:
            self._emit(SensorEvent(sensor_id, ts, val))
        if not rows and not self.follow:
            self.close()
            self._dispatch_completed()
            return False
        return True
