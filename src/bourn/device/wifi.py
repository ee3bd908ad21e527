"""Wi-Fi as the state of a link: joined, kept and joined again by steps that never wait.

    down --(back-off over)--> connecting --(it has an address)--> up --(lost)--> down
    connecting --(refused, or not in time)--> down, or, after so many attempts in a row, "ended"

`network` is MicroPython's module, an argument everywhere. The names of ThingFlow's port are here with their arguments.
"""

from bourn._compat import Clock
from bourn._compat.system import random_bytes

ATTEMPT_MS = 15000  # one attempt: what a crowded access point and a slow DHCP server need
POLL_MS = 250  # how often an attempt is looked at
BACKOFF_MS = 1000  # the first pause after a failure; doubled up to
BACKOFF_CAP_MS = 300000  # this, and of it a random half: a search by radio is the most that a battery pays for

# What `status()` may say that will not be better within this attempt. Each port has numbers of its own for these names,
# and not every port has every name.
_REFUSALS = """STAT_WRONG_PASSWORD wrong password, or weak signal
STAT_NO_AP_FOUND not in reach
STAT_CONNECT_FAIL refused"""  # one text: a table of six takes three times as much


def __getattr__(name):
    # wifi_connect and wifi_disconnect, for programs that call them; who keeps a WifiLink does not load those
    return getattr(__import__("bourn.device.wifi_station", None, None, (name,)), name)


class WifiLink:
    """Keeps the station in the network `ssid`. `step()` does what is due, and says in how many ms to call it.

    `keep(scheduler)` calls it from the scheduler. `state` is as above; `last_error` says why it is not up, and never
    holds the password; `on_change(state)` is told. With `attempts` it gives up after so many failures in a row.
    """

    def __init__(self, ssid, password=None, network=None, clock=None, attempts=None, random=random_bytes):
        if network is None:
            import network
        self.ssid = ssid
        self.state = "down"
        self.last_error = None
        self.counters = {"attempts": 0, "failures": 0, "links": 0, "lost": 0}
        self.on_change = None
        self.station = network.WLAN(_interface(network, "STA"))
        self._password = password
        self._network = network
        self._clock = clock or Clock()
        self._attempts = attempts
        self._random = random
        self._in_row = 0  # failures since it was up
        self._before = None  # the status that an attempt began with: an ESP32 keeps a refusal until it is joined
        self._at = self._clock.now()  # of the next attempt, or when this one is over
        self._task = None
        self._scheduler = None

    def step(self):
        """Do what is due; the ms after which to call again. None: it has ended."""
        now = self._clock.now()
        try:
            if self.state == "up" and not self.station.isconnected():
                self.counters["lost"] += 1
                self.last_error = "%s was lost" % self.ssid
                self._at = now
                self._to("down")
            if self.state == "down" and now >= self._at:
                self._begin(now)
            elif self.state == "connecting":
                self._look(now)
        except (OSError, RuntimeError) as e:  # of the driver: in another state than it says; an ESP32's short of memory
            self._fail(now, "driver: %s" % e)
        if self.state == "ended":
            return None
        if self.state == "up":
            return 5000  # the station tells nobody when it is lost
        return POLL_MS if self.state == "connecting" else max(1, self._at - now)

    def keep(self, scheduler):
        """From now on the scheduler steps it; returns what ends that (the station stays as it is)."""
        self._scheduler = scheduler
        self._again()
        return self._stop

    def _again(self):
        pause = self.step()
        self._task = None
        if pause is not None and self._scheduler is not None:
            self._task = self._scheduler.schedule_later_one_time(self._again, pause / 1000)

    def _stop(self):
        self._scheduler = None
        if self._task is not None:
            self._task.cancel()

    def _to(self, state):
        if state != self.state:
            self.state = state
            if self.on_change:
                self.on_change(state)

    def _begin(self, now):
        self.station.active(True)
        self._at = now + ATTEMPT_MS
        self.counters["attempts"] += 1
        self._before = self.station.status()
        if not self.station.isconnected():  # as after a soft reset, which the radio does not notice
            self.station.connect(self.ssid, self._password)
        self._to("connecting")
        self._look(now)

    def _look(self, now):
        if self.station.isconnected():
            self.counters["links"] += 1
            self._in_row = 0
            self.last_error = None
            self._to("up")
            return
        status = self.station.status()
        why = None
        for line in _REFUSALS.split("\n"):
            name, text = line.split(" ", 1)
            if status == getattr(self._network, name, None):  # a port without the name never says it
                why = text
        if now >= self._at or (why and status != self._before):
            self._fail(now, why or "no answer")

    def _fail(self, now, why):
        self.counters["failures"] += 1
        self.last_error = "cannot join %s: %s" % (self.ssid, why)
        try:
            self.station.disconnect()  # some ports refuse a second connect while the first is under way
        except (OSError, RuntimeError) as e:
            self.last_error += "; then %s" % e
        pause = min(BACKOFF_CAP_MS, BACKOFF_MS << min(self._in_row, 16))
        self._in_row += 1
        self._at = now + pause // 2 + int.from_bytes(self._random(2), "big") * (pause // 2) // 65535
        self._to("ended" if self._attempts is not None and self._in_row >= self._attempts else "down")


def disable_wifi_ap(network=None):
    """Switch the board's own access point off: nobody is to join the board, and the radio costs."""
    if network is None:
        import network
    network.WLAN(_interface(network, "AP")).active(False)


def _interface(network, name):
    """STA_IF or AP_IF, which newer versions call WLAN.IF_STA and WLAN.IF_AP."""
    if hasattr(network, name + "_IF"):
        return getattr(network, name + "_IF")
    return getattr(network.WLAN, "IF_" + name)
