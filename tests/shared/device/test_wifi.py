# heap: 64k
"""Wi-Fi against a simulated station, by hand-moved time: whatever the network does, the sampling goes on."""

from bourn.device import wifi
from bourn.device.wifi import WifiLink, wifi_connect, wifi_disconnect
from bourn.scheduler import Scheduler
from bourn.testing import ManualClock


class Station:
    """network.WLAN as on an ESP32: joins after a while, says why it can't, and refuses what that one refuses."""

    def __init__(self, air):
        self.air = air
        self.on = False
        self.wanted = None
        self.since = None

    def active(self, on=None):
        if on is None:
            return self.on
        self.on = on
        if not on:
            self.wanted = None

    def connect(self, ssid, password):
        if not self.on:
            raise OSError("Wifi Not Started")
        if self.wanted and not self.isconnected():
            raise OSError("sta is connecting, cannot set config")
        self.air.connects.append(self.air.clock.now())
        self.wanted = (ssid, password)
        self.since = self.air.clock.now()

    def disconnect(self):
        self.wanted = None

    def isconnected(self):
        return self.on and self.status() == self.air.STAT_GOT_IP

    def status(self):
        air = self.air
        if not self.wanted:
            return air.STAT_IDLE
        passed = air.clock.now() - self.since
        if not air.present:
            return air.STAT_NO_AP_FOUND if passed > 2000 else air.STAT_CONNECTING
        if air.mute or passed < air.join_ms:
            return air.STAT_CONNECTING
        return air.STAT_GOT_IP if self.wanted == air.network else air.STAT_WRONG_PASSWORD


class Air:
    """MicroPython's module `network`, with one network in the air."""

    STA_IF = 0
    AP_IF = 1
    STAT_IDLE = 1000
    STAT_CONNECTING = 1001
    STAT_GOT_IP = 1010
    STAT_NO_AP_FOUND = 201
    STAT_WRONG_PASSWORD = 202

    def __init__(self):
        self.clock = ManualClock()
        self.network = ("barn", "hay and oats")
        self.present = True
        self.mute = False  # it does not answer
        self.join_ms = 1200
        self.connects = []
        self.interfaces = {0: Station(self), 1: Station(self)}
        self.interfaces[1].on = True

    def WLAN(self, interface):  # noqa: N802 - MicroPython's name
        return self.interfaces[interface]


def raises(error, function, *args, **options):
    try:
        function(*args, **options)
    except error as e:
        return str(e)
    raise AssertionError("no %s" % error.__name__)


def half(n):
    return b"\x80" + bytes(n - 1)


def test_it_joins_and_switches_the_access_point_off():
    air = Air()
    link = wifi_connect("barn", "hay and oats", air, air.clock, random=half)
    assert link.state == "up" and link.last_error is None
    assert 1200 <= air.clock.now() <= 1200 + wifi.POLL_MS
    assert not air.interfaces[1].on, "the access point"
    assert link.counters == {"attempts": 1, "failures": 0, "links": 1, "lost": 0}
    wifi_disconnect(air)
    assert not air.interfaces[0].on


def test_a_network_that_is_joined_already_is_kept():
    air = Air()
    wifi_connect("barn", "hay and oats", air, air.clock)
    assert wifi_connect("barn", "hay and oats", air, air.clock).state == "up"
    assert len(air.connects) == 1  # the soft reset of the program does not cost the link


def test_attempts_are_bounded_and_the_password_is_not_told():
    for trouble, why in (
        ("present", "not in reach"),
        ("network", "password is wrong"),
        ("mute", "no answer within 15"),
    ):
        air = Air()
        setattr(air, trouble, {"present": False, "network": ("barn", "other"), "mute": True}[trouble])
        said = raises(OSError, wifi_connect, "barn", "hay and oats", air, air.clock, random=half)
        assert why in said and "barn" in said and "oats" not in said
        assert len(air.connects) == 5 and air.interfaces[0].wanted is None
        assert air.clock.now() < 120000


def test_the_pauses_double_up_to_a_cap():
    air = Air()
    air.present = False
    link = WifiLink("barn", "x", air, air.clock, random=half)
    scheduler = Scheduler(air.clock)
    link.keep(scheduler)
    scheduler.schedule_later_one_time(scheduler.stop, 6 * 3600)
    scheduler.run_forever()
    attempt = 2000 + wifi.POLL_MS
    pauses = [b - a - attempt for a, b in zip(air.connects, air.connects[1:])]
    for i, pause in enumerate(pauses):
        longest = min(wifi.BACKOFF_CAP_MS, wifi.BACKOFF_MS << i)
        assert longest // 2 <= pause <= longest, (i, pause)
    assert len(air.connects) > 60  # it never gives up
    assert link.state in ("down", "connecting") and "reach" in link.last_error


def test_a_lost_link_comes_back_and_sampling_never_waits():
    air = Air()
    scheduler = Scheduler(air.clock)
    states = []
    link = wifi_connect("barn", "hay and oats", air, scheduler=scheduler, random=half)
    link.on_change = states.append
    assert link.state == "connecting" and air.clock.now() == 0, "it waits for nothing"
    sampled = [0, 0]  # how often, and how often late

    def sample():
        sampled[1] += air.clock.now() != 1000 * sampled[0]
        sampled[0] += 1

    scheduler.schedule_recurring(sample, 1)

    def away():
        air.present = False

    def back():
        air.present = True

    for hour in range(6):
        scheduler.schedule_later_one_time(away, hour * 3600 + 100)
        scheduler.schedule_later_one_time(back, hour * 3600 + 1000)
    scheduler.schedule_later_one_time(scheduler.stop, 6 * 3600 + 0.5)
    scheduler.run_forever()
    assert sampled == [6 * 3600 + 1, 0]
    assert link.counters["lost"] == 6 and link.counters["links"] == 7 and link.state == "up"
    assert states[:4] == ["up", "down", "connecting", "down"]
    # at most one pause after it is there again, and an attempt
    assert link.counters["failures"] < 6 * 20


def test_a_driver_that_raises_is_a_failed_attempt():
    air = Air()
    station = air.interfaces[0]
    real = station.connect

    def refuse(ssid, password):
        raise OSError("Wifi Internal Error")

    station.connect = refuse
    link = WifiLink("barn", "hay and oats", air, air.clock, random=half)
    for _ in range(3):
        air.clock.advance(link.step())
    assert link.counters["failures"] == 3 and "Internal" in link.last_error
    station.connect = real
    while link.state != "up":
        air.clock.advance(link.step())


def test_keeping_ends_when_told():
    air = Air()
    scheduler = Scheduler(air.clock)
    link = WifiLink("barn", "hay and oats", air, air.clock)
    end = link.keep(scheduler)
    end()
    scheduler.run_forever()
    assert link.state == "connecting"


def test_newer_names_of_the_interfaces():
    class Newer:
        def __init__(self, interface):
            self.interface = interface

        def active(self, on):
            Newer.told = (self.interface, on)

    Newer.IF_STA = "sta"
    Newer.IF_AP = "ap"

    class Network:
        WLAN = Newer

    wifi.disable_wifi_ap(Network)
    assert Newer.told == ("ap", False)
