"""CSV files: written, rolled by day, read back."""

import os
import tempfile

import thingflow.adapters.csv
from thingflow.adapters.csv import CsvReader, EventSpreadsheetMapping
from thingflow.base import FatalError, Scheduler, SensorEvent, from_list
from thingflow.filters.dispatch import dispatch
from virtual import Loop, Show


class Pairs(EventSpreadsheetMapping):
    def get_header_row(self):
        return ["a", "b"]

    def event_to_row(self, event):
        return event

    def row_to_event(self, row):
        return tuple(row)


def run(source):
    scheduler = Scheduler(Loop())
    scheduler.schedule_recurring(source)
    scheduler.run_forever()


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    events = from_list([SensorEvent(i % 2 or "zero", 1700000000.5 + i * 40000, i / 4) for i in range(6)])
    events.csv_writer("all.csv").connect(Show("after"))
    events.rolling_csv_writer(".", "day").connect(Show("after rolling"))
    events.dispatch([(lambda e: e.val > 1, "high")]).rolling_csv_writer(".", "high", sub_port="high")
    from_pairs = from_list([("x", "1,2"), ("y", 'say "hi"')])
    from_pairs.csv_writer("pairs.csv", mapper=Pairs())
    events.print_downstream()
    run(events)
    run(from_pairs)
    for name in sorted(os.listdir(".")):
        with open(name, newline="") as file:
            print(name, repr(file.read()))
    for reader in (CsvReader("all.csv"), CsvReader("pairs.csv", mapper=Pairs(), has_header_row=False)):
        print(reader)
        reader.connect(Show("read"))
        run(reader)
    with open("wrong.csv", "w") as file:
        file.write("timestamp,datetime,sensor_id,value\n1.5,,1,2\nnonsense\n")
    reader = CsvReader("wrong.csv")
    reader.connect(Show("wrong"))
    run(reader)
    with open("empty.csv", "w"):
        pass
    try:
        CsvReader("empty.csv")
    except FatalError as e:
        print(e)
    again = from_list([SensorEvent(9, 1700000000.5, 9)])
    again.rolling_csv_writer(".", "day")
    run(again)
    with open("day-2023-11-14.csv", newline="") as file:
        print(repr(file.read()))
    os.chdir("/")
print(dispatch is not None)
