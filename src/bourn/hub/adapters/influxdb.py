"""InfluxDB as a sink, over HTTP in its line protocol (write API 1 and 2); no library needed.

    thing.pipe(InfluxWriter("http://127.0.0.1:8086", database="greenhouse"))
    thing.pipe(InfluxWriter("https://influx.example", org="me", bucket="greenhouse", token="..."))

The line protocol: `measurement,tag=value field=value,field=value timestamp`. In names and tags a comma, a space and
(but for the measurement) an equals sign are escaped by a backslash, in the text of a field a quote and a backslash; a
line break has no escape and ends a line, so it is refused in names and kept in texts. (InfluxDB's documentation, "Line
protocol"; what it leaves open was tried on InfluxDB 1.6. Nothing here was tried on 2.)
"""

from __future__ import annotations

import http.client
import math
import re
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from bourn.hub.adapters.batches import BatchWriter, Rejected

TIMEOUT_S = 10.0
ANSWER_BYTES = 64 * 1024  # more of an answer is not read
REFUSALS = (400, 413, 422)  # what the server will not take the next time either
INT64 = 1 << 63
_NO_ESCAPE = re.compile(r'\\[,= "]')


def escape_name(name: Any, kind: str = "tag") -> str:
    """A name or value of a "tag", or the name of a "measurement" or "field". ValueError for what cannot be said."""
    text = str(name)
    if not text or text.endswith("\\") or any(c in text for c in "\r\n\0"):
        raise ValueError(f"not for InfluxDB, as it is empty, has a line break or ends with a backslash: {text!r}")
    if kind == "field" and '"' in text:  # where a text begins and ends is counted by the line's quotes
        raise ValueError(f"not for InfluxDB, as the name of a field has a quote: {text!r}")
    if kind != "tag" and _NO_ESCAPE.search(text):  # the server takes it for an escape, or refuses the line
        raise ValueError(f"not for InfluxDB, as a backslash stands before a sign that has a meaning: {text!r}")
    for c in ", " if kind == "measurement" else ", =":
        text = text.replace(c, "\\" + c)
    return text


def format_field(value: Any) -> str | None:
    """The value of a field, or None for what has none. Numbers are floats: InfluxDB keeps the first type it saw."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError(f"InfluxDB has no {value}")
        return repr(float(value))
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def format_line(measurement: str, tags: dict[str, Any], fields: dict[str, Any], ts: int | None) -> str:
    """One line; `ts` in the unit of the request, None for the server's time. ValueError where there is no field."""
    made = [(escape_name(name, "field"), format_field(value)) for name, value in fields.items()]
    values = ",".join(f"{name}={value}" for name, value in made if value is not None)
    if not values:
        raise ValueError("a line needs a field that has a value")
    if ts is not None and not -INT64 < ts < INT64:
        raise ValueError(f"a time outside of 64 bits: {ts}")
    # Sorted, as the documentation asks for the sake of speed; an empty tag is one that is not there.
    key = "".join(f",{escape_name(n)}={escape_name(v)}" for n, v in sorted(tags.items()) if v not in (None, ""))
    if "\n" in values and '"' in key:  # where a line ends is counted by its quotes, too
        raise ValueError("not for InfluxDB: a text of several lines beside a quote in a tag")
    return f"{escape_name(measurement, 'measurement')}{key} {values}" + ("" if ts is None else f" {ts}")


def reading_line(event: Any) -> str:
    """A SensorEvent: measurement "reading", tag "sensor", field "val", or one field for each key of an object.

    InfluxDB holds one type for a field of a measurement, whichever sensor came first, and refuses the others. So a
    number keeps the name, true and false are in NAME_bool, and everything else is text in NAME_text.
    """
    fields = event.val if isinstance(event.val, dict) else {"val": event.val}
    typed = {f"{name}{_type_suffix(value)}": value for name, value in fields.items()}
    return format_line("reading", {"sensor": event.sensor_id}, typed, event.ts)


def _type_suffix(value: Any) -> str:
    if isinstance(value, bool):
        return "_bool"
    return "" if value is None or isinstance(value, int | float) else "_text"


class InfluxWriter(BatchWriter):
    """A sink that writes events in batches over HTTP; bounds, policies and counters are BatchWriter's.

    `to_line(event)` makes the line, with times in `precision`. An event that makes none (ValueError) and one that the
    server refuses for what it says are counted in `rejected`; any other trouble is tried again.
    """

    def __init__(
        self,
        url: str,
        database: str | None = None,
        org: str | None = None,
        bucket: str | None = None,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        precision: str = "ms",
        to_line: Callable[[Any], str] = reading_line,
        tls: ssl.SSLContext | None = None,
        **options: Any,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"a URL of InfluxDB begins with http:// or https://, not {url!r}")
        if (database is None) == (bucket is None):
            raise ValueError("name a database (InfluxDB 1) or a bucket and its org (2 and newer)")
        self.url = url
        self._to_line = to_line
        if bucket is None:
            query = {"db": str(database), "precision": precision}
            self._target = f"{parts.path.rstrip('/')}/write?{urlencode(query)}"
        else:
            query = {"org": org or "", "bucket": bucket, "precision": precision}
            self._target = f"{parts.path.rstrip('/')}/api/v2/write?{urlencode(query, quote_via=quote)}"
        self._headers = {"Content-Type": "text/plain; charset=utf-8"}
        if token is None and username is not None:
            token = f"{username}:{password or ''}"  # InfluxDB 1 takes this form, too
        if token is not None:
            self._headers["Authorization"] = f"Token {token}"
        self._connection = connect(parts.scheme, parts.hostname, parts.port, tls)
        super().__init__(self._send, self._connection.close, **options)

    def _send(self, batch: list[Any]) -> None:
        try:
            body = "\n".join(map(self._to_line, batch)).encode()
        except (ValueError, AttributeError) as e:
            raise Rejected(str(e)) from e
        try:
            self._connection.request("POST", self._target, body, self._headers)
            response = self._connection.getresponse()
            answer = response.read(ANSWER_BYTES)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if not response.isclosed():
            self._connection.close()  # an answer that does not end: what follows would be read as the next
        if response.status >= 300:
            text = f"InfluxDB at {self.url} says {response.status}: {answer.decode(errors='replace')[:200]}"
            raise Rejected(text) if response.status in REFUSALS else OSError(text)


def connect(scheme: str, host: str, port: int | None, tls: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    """A connection that is opened with its first request; TLS is verified."""
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    context = tls or ssl.create_default_context()
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
