"""PostgreSQL by psycopg 3: `pip install 'bourn[postgres]'`."""

from __future__ import annotations

import datetime

from bourn.hub.adapters.postgres_table import load_psycopg
from bourn.thingflow.adapters.generic import EventRowMapping
from bourn.thingflow.base import (
    BlockingInputThing,
    DirectOutputThingMixin,
    OutputThing,
    SensorEvent,
    logger,
)


class DatabaseMapping(EventRowMapping):
    """A mapping to the columns `get_col_names()` of a table. Names go into SQL as they are: they are the program's."""

    def __init__(self, table_name):
        self.table_name = table_name
        names = self.get_col_names()
        columns, places = ", ".join(names), ", ".join(["%s"] * len(names))
        self.insert_sql = f"insert into {table_name} ({columns}) values ({places});"
        self.query_sql = f"select {columns} from {table_name} order by id asc;"

    def get_col_names(self):
        """The names of the columns."""
        raise NotImplementedError(f"{type(self).__name__}.get_col_names")


class SensorEventMapping(DatabaseMapping):
    """SensorEvents with an integer id and a number, as `create_sensor_table` makes the table; `ts` is local time."""

    def get_col_names(self):
        """The names of the columns."""
        return ["ts", "sensor_id", "val"]

    def event_to_row(self, event):
        """The row of `event`."""
        return datetime.datetime.fromtimestamp(event.ts), event.sensor_id, event.val

    def row_to_event(self, row):
        """The event of `row`."""
        ts, sensor_id, val = row
        return SensorEvent(sensor_id, ts.timestamp(), val)


def create_sensor_table(conn, table_name, drop_if_exists=False):
    """Make a table for SensorEventMapping."""
    if drop_if_exists:
        delete_sensor_table(conn, table_name)
    with conn.cursor() as cursor:
        cursor.execute(f"create sequence {table_name}_seq")
        cursor.execute(
            f"create table {table_name}(id bigint not null default nextval('{table_name}_seq'),"
            " ts timestamp not null, sensor_id integer not null, val double precision not null);"
        )
        cursor.execute(f"create unique index on {table_name} (id);")
        for column in ("ts", "sensor_id"):
            cursor.execute(f"create index on {table_name} ({column});")
    conn.commit()


def delete_sensor_table(conn, table_name):
    """Remove the table and its sequence."""
    with conn.cursor() as cursor:
        cursor.execute(f"drop table if exists {table_name}")
        cursor.execute(f"drop sequence if exists {table_name}_seq;")
    conn.commit()


class PostgresWriter(BlockingInputThing):
    """Inserts each event in a transaction of its own, in a thread.

    A row that the database refuses is logged and counted in `errors`; a connection that is gone is opened again once
    for each event, then the program ends.
    """

    def __init__(self, scheduler, connect_string, mapping):
        self.mapping = mapping
        self.errors = 0
        self._psycopg = load_psycopg()
        self._connect_string = connect_string
        self.conn = self._psycopg.connect(connect_string)
        super().__init__(scheduler)

    def _on_next(self, port, x):
        row = self.mapping.event_to_row(x)
        try:
            self._insert(row)
        except self._psycopg.OperationalError:
            self.conn.close()
            self.conn = self._psycopg.connect(self._connect_string)
            self._insert(row)

    def _insert(self, row):
        try:
            with self.conn.transaction():
                self.conn.execute(self.mapping.insert_sql, row)
        except (self._psycopg.DataError, self._psycopg.IntegrityError) as e:
            self.errors += 1
            logger.error("PostgreSQL refuses %r: %s", row, e)

    def _close(self):
        self.conn.close()


class PostgresReader(OutputThing, DirectOutputThingMixin):
    """Emits the event of the next row whenever it is observed, and completes after the last."""

    def __init__(self, connect_string, mapping):
        super().__init__()
        self.mapping = mapping
        self._psycopg = load_psycopg()
        self.conn = self._psycopg.connect(connect_string)
        self.cur = None

    def _observe(self):
        try:
            if self.cur is None:
                self.cur = self.conn.cursor(name="bourn")  # on the server: the table need not fit into memory
                self.cur.execute(self.mapping.query_sql.rstrip(";"))
            row = self.cur.fetchone()
            event = None if row is None else self.mapping.row_to_event(row)
        except Exception as e:
            self.conn.close()
            self._dispatch_error(e)
            return False
        if row is None:
            self.conn.close()
            self._dispatch_completed()
            return False
        self._dispatch_next(event)
        return True
