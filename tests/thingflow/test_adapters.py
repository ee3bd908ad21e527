"""ThingFlow's adapters for brokers and databases, over Bourn's, against real servers where there are any."""

import asyncio
import os
import sys
from collections import namedtuple
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hub"))
from servers import free_port, influxdb, mosquitto, postgresql

from bourn.thingflow.base import InputThing, Scheduler, SensorEvent, from_list

EVENTS = [SensorEvent(i % 2, 1_700_000_000.5 + i, i / 4) for i in range(5)]


class Collect(InputThing):
    def __init__(self, stop_at=None, stop=None):
        self.events = []
        self.end = None
        self.stop_at = stop_at
        self.stop = stop

    def on_next(self, x):
        self.events.append(x)
        if len(self.events) == self.stop_at:
            self.stop()

    def on_completed(self):
        self.end = "completed"

    def on_error(self, e):
        self.end = e


@pytest.fixture
def scheduler():
    loop = asyncio.new_event_loop()
    yield Scheduler(loop)
    loop.close()


def need(module):
    if os.environ.get("CI") != "true":
        pytest.importorskip(module)


def test_mqtt_from_writer_to_reader(tmp_path, scheduler):
    need("paho.mqtt")
    from bourn.thingflow.adapters.mqtt import MQTTReader, MQTTWriter
    from bourn.thingflow.filters.json import to_json

    port = free_port()
    with mosquitto(tmp_path, port):
        source = from_list(EVENTS)
        reader = MQTTReader("127.0.0.1", port, topics=[("t/#", 1)])
        collect = Collect(5, scheduler.schedule_on_private_event_loop(reader))
        reader.connect(collect)
        reader.client.on_subscribe = lambda *args: scheduler.event_loop.call_soon_threadsafe(
            scheduler.schedule_recurring, source
        )
        to_json()(source).connect(MQTTWriter("127.0.0.1", port, topics=[("t/a", 1)]))
        scheduler.run_forever()
    assert [m.topic for m in collect.events] == ["t/a"] * 5
    assert collect.events[0].payload == b"[0, 1700000000.5, 0.0]"


def test_mqtt_mock(scheduler, monkeypatch):
    need("paho.mqtt")
    from bourn.thingflow.adapters import mqtt

    monkeypatch.setattr(mqtt.time, "sleep", lambda s: None)
    reader = mqtt.MQTTReader("nowhere", topics=[("bogus/bogus", 0)], mock_class=mqtt.MockMQTTClient)
    collect = Collect(4, scheduler.schedule_on_private_event_loop(reader))
    reader.connect(collect)
    scheduler.run_forever()
    assert len(collect.events) >= 4 and collect.events[0].topic == "bogus/bogus"
    writer = mqtt.MQTTWriter("nowhere", topics=[("a", 0)], mock_class=mqtt.MockMQTTClient)
    writer.client.on_publish = lambda client, userdata, mid: collect.events.clear()
    writer.on_next("x")
    writer.on_completed()
    assert collect.events == [] and str(writer) == "MQTTWriter(a)" and str(reader) == "MQTTReader(bogus/bogus)"


def test_postgres_from_writer_to_reader(tmp_path, scheduler):
    need("psycopg")
    import psycopg

    from bourn.thingflow.adapters import postgres

    with postgresql(tmp_path) as conninfo:
        mapping = postgres.SensorEventMapping("events")
        with psycopg.connect(conninfo) as connection:
            postgres.create_sensor_table(connection, "events")
            postgres.create_sensor_table(connection, "events", drop_if_exists=True)
        writer = postgres.PostgresWriter(scheduler, conninfo, mapping)
        source = from_list([*EVENTS[:2], SensorEvent("no integer", 0.0, 1), *EVENTS[2:]])
        source.connect(writer)
        scheduler.schedule_recurring(source)
        scheduler.run_forever()
        assert writer.errors == 1
        reader, collect = postgres.PostgresReader(conninfo, mapping), Collect()
        reader.connect(collect)
        scheduler.schedule_recurring(reader)
        scheduler.run_forever()
        assert collect.events == EVENTS and collect.end == "completed"
        with psycopg.connect(conninfo) as connection:
            postgres.delete_sensor_table(connection, "events")
        reader, collect = postgres.PostgresReader(conninfo, mapping), Collect()
        reader.connect(collect)
        reader._observe()
        assert "does not exist" in str(collect.end)


def test_influxdb(monkeypatch):
    from bourn.thingflow.adapters import influxdb

    shape = namedtuple("Shape", "series_name fields tags")("lux", ["val"], ["sensor_id"])
    writer = influxdb.InfluxDBWriter(shape, generate_timestamp=False)
    taken = []
    writer.writer.on_next = taken.append
    writer.on_next(EVENTS[1])
    assert writer._to_line(taken[0]) == "lux,sensor_id=1 val=0.25 1700000001500000000"
    writer = influxdb.InfluxDBWriter(shape)
    writer._wall_ns, writer.writer.on_next = (lambda: 7), taken.append
    writer.on_next(EVENTS[1])
    writer.on_next(EVENTS[1])
    assert [writer._to_line(one) for one in taken[1:]] == [f"lux,sensor_id=1 val=0.25 {ns}" for ns in (7, 8)]
    for wrong in ({"msg_format": shape, "use_udp": True}, {"msg_format": object()}):
        with pytest.raises(ValueError, match=r"UDP|msg_format"):
            influxdb.InfluxDBWriter(**wrong)
    answer = b'{"results":[{"series":[{"tags":{"s":"1"},"columns":["time","val"],"values":[[1,2],[3,4]]}]}]}'
    asked = []

    class Connection:
        status = 200

        def request(self, method, target, headers):
            asked.append((method, target, headers["Authorization"]))

        def getresponse(self):
            return self

        def read(self, limit):
            return answer

        def close(self):
            pass

    monkeypatch.setattr(influxdb, "connect", lambda *server: Connection())
    reader, collect = influxdb.InfluxDBReader("SELECT val FROM lux", database="d b"), Collect()
    reader.connect(collect)
    while not collect.end:
        reader._observe()
    assert collect.events == [{"time": 1, "val": 2, "s": "1"}, {"time": 3, "val": 4, "s": "1"}]
    assert asked == [("GET", "/query?db=d+b&q=SELECT+val+FROM+lux", "Basic cm9vdDpyb290")]
    assert collect.end == "completed"
    answer = b'{"results":[{"error":"no such thing"}]}'
    reader, collect = influxdb.InfluxDBReader("x"), Collect()
    reader.connect(collect)
    reader._observe()
    assert "no such thing" in str(collect.end)


@pytest.mark.parametrize("generated", [True, False])
def test_influxdb_itself(tmp_path, generated):
    """A real server: every event is a point of its own, whoever says when it was."""
    from bourn.thingflow.adapters import influxdb as ours

    shape = namedtuple("Shape", "series_name fields tags")("lux", ["val"], ["sensor_id"])
    with influxdb(tmp_path, "thingflow") as url:
        port = int(url.rpartition(":")[2])
        writer = ours.InfluxDBWriter(shape, generate_timestamp=generated, port=port)
        for event in EVENTS * (20 if generated else 1):
            writer.on_next(event)
        writer.on_completed()
        assert writer.writer.rejected == 0 and writer.writer.failures == 0
        reader, collect = ours.InfluxDBReader("SELECT val, sensor_id FROM lux", port=port), Collect()
        reader.connect(collect)
        while not collect.end:
            reader._observe()
        assert collect.end == "completed"
        points = [(int(point["sensor_id"]), point["val"]) for point in collect.events]
        assert sorted(points) == sorted((e.sensor_id, e.val) for e in EVENTS * (20 if generated else 1))
        if not generated:
            assert points == [(e.sensor_id, e.val) for e in EVENTS]
        reader, collect = ours.InfluxDBReader("SELECT nonsense", port=port), Collect()
        reader.connect(collect)
        reader._observe()
        assert "InfluxDB says" in str(collect.end)


def test_pandas(scheduler):
    need("pandas")
    from bourn.thingflow.adapters.pandas import PandasSeriesWriter

    source, writer = from_list(EVENTS), PandasSeriesWriter()
    source.connect(writer)
    scheduler.schedule_recurring(source)
    scheduler.run_forever()
    assert list(writer.result) == [e.val for e in EVENTS]
    assert [t.timestamp() for t in writer.result.index] == [e.ts for e in EVENTS]
