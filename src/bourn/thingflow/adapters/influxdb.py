"""InfluxDB 1 over HTTP; no library needed."""

from __future__ import annotations

import base64
import http.client
import json
import ssl as tls
import time
from urllib.parse import urlencode

from bourn.hub.adapters.influxdb import InfluxWriter, connect, format_line
from bourn.thingflow.base import DirectOutputThingMixin, InputThing, OutputThing

ANSWER_BYTES = 64 * 1024 * 1024  # of a query; a larger result is an error


def _context(verify_ssl):
    return None if verify_ssl else tls._create_unverified_context()


class InfluxDBWriter(InputThing):
    """Writes attributes of events: `msg_format` has `series_name`, `fields` and `tags` (lists of their names).

    In batches of up to `bulk_size`, from a thread, with the bounds and counters of `bourn.hub.adapters.batches`. The
    time is the event's `ts` in seconds where `generate_timestamp` is False, else when it came: the server would give
    all points of a batch one time, and keep the last of those that have the same tags.
    """

    def __init__(
        self,
        msg_format,
        generate_timestamp=True,
        host="127.0.0.1",
        port=8086,
        database="thingflow",
        username="root",
        password="root",
        ssl=False,
        verify_ssl=True,
        timeout=None,
        use_udp=False,
        udp_port=4444,
        proxies=None,
        bulk_size=10,
    ):
        if use_udp or proxies:
            raise ValueError("InfluxDB by UDP or through a proxy is not there: see docs/migration.md")
        if not all(hasattr(msg_format, name) for name in ("series_name", "fields", "tags")):
            raise ValueError("msg_format needs series_name (str), fields and tags (lists of str)")
        self.dbname = database
        self.msg_format = msg_format
        self.generate_timestamp = generate_timestamp
        self.writer = InfluxWriter(
            f"{'https' if ssl else 'http'}://{host}:{port}",
            database,
            username=username,
            password=password,
            to_line=self._to_line,
            precision="ns",
            tls=_context(verify_ssl) if ssl else None,
            batch_events=bulk_size,
        )
        self._wall_ns = time.time_ns
        self._last_ns = 0

    def _to_line(self, item):
        x, ns = item
        wanted = self.msg_format
        return format_line(
            wanted.series_name,
            {name: getattr(x, name) for name in wanted.tags},
            {name: getattr(x, name) for name in wanted.fields},
            ns,
        )

    def on_next(self, msg):
        """Write `msg`."""
        if not self.generate_timestamp and hasattr(msg, "ts"):
            ns = round(msg.ts * 1000) * 1_000_000
        else:
            ns = self._last_ns = max(self._wall_ns(), self._last_ns + 1)  # no two at one time, whatever the clock does
        self.writer.on_next((msg, ns))

    def on_error(self, e):
        """Write what waits."""
        self.writer.close()

    def on_completed(self):
        """Write what waits."""
        self.writer.close()

    def __str__(self):
        return f"InfluxDB Client(msg={self.msg_format})"


class InfluxDBReader(OutputThing, DirectOutputThingMixin):
    """Emits the points that `query` gives, as dicts, one whenever it is observed; the query runs at the first."""

    def __init__(
        self,
        query,
        host="127.0.0.1",
        port=8086,
        database="thingflow",
        username="root",
        password="root",
        ssl=False,
        verify_ssl=True,
        timeout=None,
        use_udp=False,
        udp_port=4444,
        proxies=None,
        bulk_size=10,
    ):
        super().__init__()
        self.dbname = database
        self.query = query
        self.points = None
        self._server = ("https" if ssl else "http", host, port, _context(verify_ssl) if ssl else None)
        self._login = base64.b64encode(f"{username}:{password}".encode()).decode()

    def __str__(self):
        return f"InfluxDB[{self.dbname}]: {self.query}"

    def _ask(self):
        connection = connect(*self._server)
        try:
            target = "/query?" + urlencode({"db": self.dbname, "q": self.query})
            connection.request("GET", target, headers={"Authorization": f"Basic {self._login}"})
            response = connection.getresponse()
            body = response.read(ANSWER_BYTES + 1)
        finally:
            connection.close()
        if len(body) > ANSWER_BYTES:
            raise OSError(f"the result has more than {ANSWER_BYTES} bytes: give the query a LIMIT")
        if response.status != http.client.OK:
            raise OSError(f"InfluxDB says {response.status}: {body[:200].decode(errors='replace')}")
        for result in json.loads(body)["results"]:
            if "error" in result:
                raise OSError(f"InfluxDB says: {result['error']}")
            for series in result.get("series", ()):
                for values in series.get("values", ()):
                    yield dict(zip(series["columns"], values, strict=True), **series.get("tags", {}))

    def _observe(self):
        if self.points is None:
            self.points = self._ask()
        try:
            event = next(self.points)
        except StopIteration:
            self._dispatch_completed()
        except (OSError, ValueError, KeyError, http.client.HTTPException) as e:
            self._dispatch_error(e)
        else:
            self._dispatch_next(event)
