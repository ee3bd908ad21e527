"""CSV files: timestamp in seconds, the same as ISO 8601 (UTC), sensor id, value."""

from __future__ import annotations

import csv
import datetime
from pathlib import Path

from bourn.hub.adapters import csv_rows
from bourn.thingflow.adapters.generic import DirectReader, EventRowMapping
from bourn.thingflow.base import FatalError, Filter, OutputThing, SensorEvent, filtermethod, logger


class EventSpreadsheetMapping(EventRowMapping):
    """A mapping with names for the columns."""

    def get_header_row(self):
        """The names of the columns."""
        raise NotImplementedError(f"{type(self).__name__}.get_header_row")


class SensorEventMapping(EventSpreadsheetMapping):
    """SensorEvents whose value is a number."""

    def get_header_row(self):
        """The names of the columns."""
        return ["timestamp", "datetime", "sensor_id", "value"]

    def event_to_row(self, event):
        """The row of `event`."""
        return [event.ts, _utc(event.ts).isoformat(), event.sensor_id, event.val]

    def row_to_event(self, row):
        """The event of `row`; a sensor id that looks like an integer is one."""
        ts = float(row[0])
        try:
            sensor_id = int(row[2])
        except ValueError:
            sensor_id = row[2]
        return SensorEvent(sensor_id, ts, float(row[3]))


default_event_mapper = SensorEventMapping()


def _utc(ts):
    return datetime.datetime.fromtimestamp(ts, datetime.UTC).replace(tzinfo=None)


def default_get_date_from_event(event):
    """The day of `event.ts`, UTC."""
    return _utc(event.ts).date()


class _Mapping:
    """ThingFlow's mapper as Bourn's."""

    def __init__(self, mapper):
        self.header = mapper.get_header_row()
        self.to_row = mapper.event_to_row
        self.to_event = mapper.row_to_event


class CsvWriter(Filter):
    """Writes each event to a new file `filename` and passes it on."""

    def __init__(self, previous_in_chain, filename, mapper=default_event_mapper):
        self.filename = filename
        self.mapper = mapper
        self._writer = csv_rows.CsvWriter(filename, _Mapping(mapper), append=False)
        self._writer.begin()
        super().__init__(previous_in_chain)
        self.dispose = self.disconnect_from_upstream

    def on_next(self, x):
        """Write `x` and pass it on."""
        self._writer.on_next(x)
        self._dispatch_next(x)

    def on_completed(self):
        """Close the file and pass the end on."""
        self._writer.close()
        self._dispatch_completed()

    def on_error(self, e):
        """Close the file and pass the error on."""
        self._writer.close()
        self._dispatch_error(e)

    def __str__(self):
        return f"csv_writer({self.filename})"


@filtermethod(OutputThing)
def csv_writer(this, filename, mapper=default_event_mapper):
    """Write events to a new file `filename`, and pass them on."""
    return CsvWriter(this, filename, mapper)


class _ByDate(csv_rows.ByDay):
    """A file for each date that `get_date` gives."""

    def __init__(self, get_date):
        super().__init__()
        self.get_date = get_date

    def name(self, path, event):
        return path.with_name(f"{path.name}-{self.get_date(event):%Y-%m-%d}.csv")


class RollingCsvWriter(CsvWriter):
    """Writes each event to DIRECTORY/BASE_NAME-YYYY-MM-DD.csv of its day, goes on where that exists, and passes it on.

    `sub_port` is the port of `previous_in_chain` to listen to.
    """

    def __init__(
        self,
        previous_in_chain,
        directory,
        base_name,
        mapper=default_event_mapper,
        get_date=default_get_date_from_event,
        sub_port=None,
    ):
        OutputThing.__init__(self)
        self.directory = directory
        self.base_name = base_name
        self.mapper = mapper
        self.get_date = get_date
        self._writer = csv_rows.CsvWriter(Path(directory) / base_name, _Mapping(mapper), roll=_ByDate(get_date))
        mapping = None if sub_port is None else (sub_port, "default")
        self.dispose = self.disconnect_from_upstream = previous_in_chain.connect(self, port_mapping=mapping)

    def __str__(self):
        return f"rolling_csv_writer({self.base_name})"


@filtermethod(OutputThing)
def rolling_csv_writer(
    this,
    directory,
    basename,
    mapper=default_event_mapper,
    get_date=default_get_date_from_event,
    sub_port=None,
):
    """Write events to DIRECTORY/BASENAME-YYYY-MM-DD.csv of their day, and pass them on."""
    return RollingCsvWriter(this, directory, basename, mapper=mapper, get_date=get_date, sub_port=sub_port)


class CsvReader(DirectReader):
    """Emits the event of the next row of `filename` whenever it is observed."""

    def __init__(self, filename, mapper=default_event_mapper, has_header_row=True):
        self.filename = filename
        self.file = open(filename, newline="", encoding="utf-8")  # noqa: SIM115 - open until _close()
        rows = csv.reader(self.file)
        if has_header_row:
            header = next(rows, None)
            if header is None:
                self.file.close()
                raise FatalError(f"Problem in reading header row of csv file {filename}")
            logger.debug("header row of %s: %s", filename, ", ".join(header))
        super().__init__(rows, mapper, name=f"CsvReader({filename})")

    def _close(self):
        self.file.close()
