"""A program that runs sensors and sends their readings: one source, one outbox, one thread.

Started as `python -m bourn.device.node SETTINGS` or `micropython -m bourn.device.node SETTINGS`, where SETTINGS is
one JSON object, in one argument or several (MicroPython dies of one of more than 255 bytes): {"source": "s1", "hub":
"tcp://127.0.0.1:7007", "outbox": "folder", "sensors": [{"kind": "random", "name": "s1", "every": 5}], "outbox_bytes":
1048576, "policy": "drop_oldest", "at_once": true, "keys": "sensors.keys"}. The file "keys" has a line `source key` for
the source; it is needed where the hub asks who writes. With "ntp": "pool.ntp.org" it asks that server for the time;
with "hub" the hub. What is sampled before it is known waits in the outbox, and is sent with its true time.

It ends when its standard input ends or says anything (so it never outlives who started it), or on Ctrl-C: sampling
stops, the outbox is drained for at most `drain_ms`, and one JSON line with its counters goes to standard output. While
it runs, a line `link: WHY` on standard error says why the hub cannot be reached, and `link: up` that it can be again.
Status 3: so far it was told nothing, but its connection has ended and cannot be opened again (a pipe).
"""

import json
import select
import sys

from bourn._compat.folders import folder_lock, make_folder
from bourn._compat.system import collect_early, runtime
from bourn.clock import Clock
from bourn.device.sender import FOREVER_MS, Sender
from bourn.device.sensors import make_sensor
from bourn.grid import phase_of
from bourn.proof import prover
from bourn.scheduler import Scheduler
from bourn.sensor import SensorAsOutputThing
from bourn.spool.segments import SegmentSpool

DRAIN_MS = 2500  # within the 5 s in which the whole program has to end


class Node:
    """Sensors, a scheduler and a sender, put together from one table of settings. ValueError if they are wrong.

    OSError when another program uses the outbox: the numbers of two would mix.
    """

    def __init__(self, settings: dict, clock=None) -> None:
        self.clock = clock or Clock()
        self.settings = settings
        sensors = [make_sensor(s) for s in settings["sensors"]]
        make_folder(settings["outbox"])
        self._lock = folder_lock(settings["outbox"])
        spool = SegmentSpool(
            settings["outbox"],
            max_bytes=settings.get("outbox_bytes", 1 << 20),
            policy=settings.get("policy", "drop_oldest"),
        )
        outbox: object = spool
        if settings.get("ntp"):
            from bourn.device.board_clock import BoardClock
            from bourn.spool.timed import TimedSpool

            self.clock = BoardClock(self.clock)
            outbox = TimedSpool(spool, self.clock)
        self.sender = Sender(settings["hub"], settings["source"], outbox, self.clock)
        if settings.get("keys"):
            self.sender.prove = prover(settings["keys"], settings["source"])
        self.scheduler = Scheduler(self.clock, self.sender.wait, phase_of(settings["source"]))
        self._time = None
        if settings.get("ntp"):
            from bourn.device.sntp import TimeLink

            if settings["ntp"] == "hub":
                from bourn.device.hub_time import HubTime

                asked: TimeLink = HubTime(self.clock, settings["hub"])
            else:
                asked = TimeLink(self.clock, settings["ntp"])
            asked.keep(self.scheduler)
            self._time = asked
        self.things = []
        for sensor in sensors:
            thing = SensorAsOutputThing(sensor, self.clock, policy="skip")
            thing.connect(self.sender, policy="skip")
            self.scheduler.schedule_periodic(thing, sensor.every_s, at_once=settings.get("at_once", True))
            self.things.append(thing)

    def run(self, stop, tell=None) -> None:
        """Sample and send until the file `stop` ends or has something to say, or Ctrl-C; then drain and close.

        `tell`, if given, hears why the link is down, when that changes, and None when it is up again.
        """
        told = None
        asked = select.poll()
        asked.register(stop, select.POLLIN)
        self.sender.poller.register(stop, select.POLLIN)  # so that it ends a wait
        try:
            while self.sender.state != "ended" and not asked.poll(0):
                self.scheduler.run_due(self.clock.now())
                wake = self.scheduler.next_wake()
                self.sender.wait(FOREVER_MS if wake is None else max(0, wake - self.clock.now()))
                up = self.sender.state == "up"
                if tell and (told if up else self.sender.state == "down" and self.sender.last_error != told):
                    told = None if up else self.sender.last_error
                    tell(told)
        except KeyboardInterrupt:
            self.sender.last_error = None  # the user's word to stop, as good as the end of `stop`
        self.sender.poller.unregister(stop)
        if self._time:
            self._time.close()
        self.sender.drain(self.settings.get("drain_ms", DRAIN_MS))
        try:
            self.sender.close()
        except OSError as e:  # the disk; what was taken before is there, and the report says it
            self.sender.last_error = "outbox: %s" % e
        if self._lock:
            self._lock.close()

    def report(self) -> dict:
        """What was done: counters of the outbox, the link and the sensors, by name."""
        report = {"source": self.sender.source, "runtime": runtime(), "waiting": self.sender.spool.waiting()}
        if hasattr(self.sender.spool, "held"):
            report["held"] = self.sender.spool.held()  # until the time is known
        report.update(self.sender.spool.counters)
        report.update(self.sender.counters)
        report["sensor_failures"] = sum([t.failures for t in self.things])
        report["last_error"] = self.sender.last_error
        return report


def _settings(text) -> dict:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("it wants its settings as one JSON object; the top of this module has an example")


def _tell_link(why) -> None:
    sys.stderr.write("link: %s\n" % (why or "up"))


def main(argv) -> int:
    """Run a node from the command line; the exit status."""
    collect_early()
    try:
        node = Node(_settings("".join(argv[1:])))
    except (IndexError, KeyError, ValueError, TypeError, ImportError, OSError) as e:
        kind = "" if isinstance(e, (ValueError, ImportError)) else type(e).__name__ + ": "  # those say it in words
        sys.stderr.write("bourn node: %s%s\n" % (kind, e))
        return 2
    node.run(sys.stdin, _tell_link)
    sys.stdout.write(json.dumps(node.report()) + "\n")
    if node.sender.state == "ended":
        sys.stderr.write("%s\n" % node.sender.last_error)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
