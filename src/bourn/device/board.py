"""A board's program, put together from its settings: log, outbox, clock, Wi-Fi and sender around one scheduler.

    board = Board("settings.json")
    board.sample(sensor)                 # every `every` seconds, or as often as you say
    board.run()

The settings, a JSON object or a dict: "name" and "hub" (its URL); "every" (seconds, 5); "wifi": {"name", "password"};
"ntp": a time server as host or host:port ("pool.ntp.org"), "" for none; "keys": the file with this source's key;
"outbox_bytes" (65536); "pause" (10): seconds at most between two tries to reach the hub.

Nothing waits for the network. What is sampled before the time is known goes out with its true time afterwards: by the
time server, or by the hub, whichever answers first. What the hub has not on disk yet waits in RAM, and in the folder
`outbox` when there is more than that holds.
"""

import json
import time

from bourn._compat.system import collect_early
from bourn.device.board_clock import BoardClock
from bourn.device.hub_time import HubTime
from bourn.device.log import close_logging, get_logger, initialize_logging
from bourn.device.sender import FOREVER_MS, Sender
from bourn.device.sntp import PORT, TimeLink
from bourn.grid import phase_of
from bourn.scheduler import Scheduler
from bourn.sensor import SensorAsOutputThing
from bourn.spool.ram import RamFirst
from bourn.spool.segments import SegmentSpool
from bourn.spool.timed import TimedSpool

LOG = "bourn.log"  # `bourn board log` reads it
LOG_BYTES = 16000  # of each of its two files
RAM_READINGS = 50
REPORT_S = 10


class Board:
    """Its parts are `log`, `clock`, `outbox`, `sender`, `scheduler`, `wifi` (None without) and `times` (who is asked).

    OSError where the settings cannot be read, ValueError where they are wrong. `clock` and `network` are for tests.
    """

    def __init__(self, settings="settings.json", clock=None, network=None, outbox="outbox", log=LOG):
        if not isinstance(settings, dict):
            with open(settings) as file:
                try:
                    settings = json.load(file)
                except ValueError as e:
                    raise ValueError("the settings are no JSON: %s" % e)
        for need in ("name", "hub"):
            if not settings.get(need):
                raise ValueError('the settings lack "%s"' % need)
        collect_early()
        self.settings = settings
        self.name = name = settings["name"]
        initialize_logging(log, max_len=LOG_BYTES, interactive=True)
        self.log = get_logger()
        self.clock = BoardClock(clock, set_rtc=rtc_setter())
        files = SegmentSpool(outbox, max_bytes=settings.get("outbox_bytes", 65536), sync_each=False)
        self.outbox = TimedSpool(RamFirst(files, RAM_READINGS), self.clock)
        self.sender = Sender(settings["hub"], name, self.outbox, self.clock)
        self.sender.backoff_cap_ms = int(settings.get("pause", 10) * 1000)
        if settings.get("keys"):
            from bourn.proof import prover

            self.sender.prove = prover(settings["keys"], name)
        self.scheduler = Scheduler(self.clock, self._wait, phase_of(name))
        self._timeless = self.clock.offset is None  # then nothing can be sent yet, and there is no need to dial
        if self._timeless:
            self.sender._retry_at += FOREVER_MS
        self._up = False  # what was logged last of the link
        self.times = [HubTime(self.clock, settings["hub"])]
        ntp = settings.get("ntp", "pool.ntp.org")
        if ntp:
            host, port = (ntp + ":").split(":")[:2]
            self.times.append(TimeLink(self.clock, host, int(port or PORT)))
        self.wifi = None
        if settings.get("wifi"):
            from bourn.device.wifi import WifiLink, disable_wifi_ap

            try:
                disable_wifi_ap(network)
            except (OSError, RuntimeError) as e:  # of the driver; that is no reason to sample nothing
                self.log.error("wifi: %s", e)
            self.wifi = WifiLink(settings["wifi"]["name"], settings["wifi"].get("password"), network, self.clock)
            self.wifi.on_change = self._on_wifi

    def sample(self, sensor, every_s=None):
        """Sample `sensor` (`sensor_id`, `sample()`) now and every so many seconds ("every"); returns `cancel`.

        A sensor that fails is logged and sampled again at its next time.
        """
        thing = SensorAsOutputThing(sensor, self.clock, policy=self._failed)
        thing.connect(self.sender)
        every_s = every_s or self.settings.get("every", 5)
        return self.scheduler.schedule_periodic(thing, every_s, at_once=True)

    def run(self):
        """Sample and send for ever. On Ctrl-C, as from `bourn board`, what is in RAM goes to the flash."""
        if self.wifi:
            self.wifi.keep(self.scheduler)
        else:
            self._ask_time()
        self.scheduler.schedule_recurring(self.report, REPORT_S)
        self.scheduler.schedule_later_one_time(self.report, 1)
        try:
            self.scheduler.run_forever()
        finally:
            for link in self.times:
                link.close()
            self.sender.close()
            close_logging()

    def report(self):
        """Log how it goes."""
        counters = self.sender.counters
        waiting = self.outbox.waiting() + self.outbox.held()
        why = "" if self.sender.state == "up" or not self.sender.last_error else ": " + self.sender.last_error
        if self.outbox.held():
            errors = [link.last_error for link in self.times if link.last_error]
            why = "; nobody has said what time it is (%s)" % (", ".join(errors) or "asked")
        if self.wifi and self.wifi.state != "up":
            why = "; wifi %s%s" % (self.wifi.state, ": " + self.wifi.last_error if self.wifi.last_error else "")
        told = (self.sender.state, counters["sent"], counters["acked"], waiting, why)
        self.log.info("hub %s, sent %d, acknowledged %d, waiting %d%s" % told)

    def _wait(self, ms):
        """What the scheduler waits with."""
        woken = self.sender.wait(ms)
        if self._timeless and self.clock.offset is not None:
            self._timeless = False
            self.sender._retry_at = self.clock.now()
            self.log.info("the time is known")
        if (self.sender.state == "up") is not self._up:
            self._up = not self._up
            self.report()
        return woken

    def _failed(self, thing, e):
        if thing.failures_in_row == 1:  # a broken wire is not to fill the log
            self.log.error("%s: %s: %s", thing.sensor.sensor_id, type(e).__name__, e)
        return True

    def _on_wifi(self, state):
        if state == "up":
            self._ask_time()

    def _ask_time(self):
        """There is a network now: ask those for the time who have not said it yet."""
        for link in self.times:
            if not link.counters["set"] or link.last_error:
                link.keep(self.scheduler)


def rtc_setter():
    """A function that sets the machine's clock, for TLS and for the next start; None where there is none to set."""
    try:
        from machine import RTC
    except ImportError:
        return None
    begins = 946684800 if time.gmtime(0)[0] == 2000 else 0

    def set_rtc(ms):
        year, month, day, hour, minute, second, weekday = time.gmtime(ms // 1000 - begins)[:7]
        RTC().datetime((year, month, day, weekday + 1, hour, minute, second, 0))

    return set_rtc
