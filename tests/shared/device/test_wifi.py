# heap: 64k
"""Wi-Fi against a simulated station, by hand-moved time: whatever the network does, the sampling goes on."""

from bourn.device import wifi
from bourn.device.wifi import WifiLink, wifi_connect, wifi_disconnect
from bourn.scheduler import Scheduler
from bourn.testing import ManualClock


class Station:
    """network.WLAN: joins after a while, says why it can't, and refuses what its port refuses.

    As the sources of MicroPython 1.25 have it: ports/esp32/network_wlan.c, ports/esp8266/network_wlan.c (and the SDK's
    `wifi_station_get_connect_status`), extmod/network_cyw43.c with cyw43-driver's `cyw43_tcpip_link_status`.
    """

    def __init__(self, air):
        self.air = air
        self.on = False
        self.wanted = None
        self.since = None
        self.refusal = None  # the last one; an ESP32 tries again by itself, and keeps saying it until it is joined

    def active(self, on=None):
        if on is None:
            return self.on
        self.on = on
        if not on:
            self.wanted = None

    def connect(self, ssid, password):
        if not self.on:
            raise OSError("Wifi Not Started")
        if self.air.port == "esp32":
            if self.wanted and not self.isconnected():
                raise OSError("sta is connecting, cannot set config")
        else:
            self.refusal = None
        self.air.connects.append(self.air.clock.now())
        self.wanted = (ssid, password)
        self.since = self.air.clock.now()

    def disconnect(self):
        self.wanted = None
        if self.air.port != "esp32":
            self.refusal = None

    def isconnected(self):
        return self.on and self.status() == self.air.STAT_GOT_IP

    def status(self):
        air = self.air
        if self.wanted:
            passed = air.clock.now() - max(self.since, air.changed if air.present else 0)
            if not air.present:
                if passed > 2000:
                    self.refusal = air.STAT_NO_AP_FOUND
            elif not air.mute and passed >= air.join_ms:
                if self.wanted == air.network:
                    self.refusal = None
                    return air.STAT_GOT_IP
                self.refusal = air.STAT_WRONG_PASSWORD
            elif air.port == "rp2" and passed >= air.join_ms // 2:
                return self.refusal or 2  # joined, and no address yet: a state without a name
        if self.refusal is not None:
            return self.refusal
        return air.STAT_CONNECTING if self.wanted else air.STAT_IDLE


NUMBERS = {  # of the names below, as each port has them
    "esp32": (1000, 1001, 1010, 201, 202, None),
    "esp8266": (0, 1, 5, 3, 2, 4),
    "rp2": (0, 1, 3, -2, -3, -1),
}
NAMES = ("IDLE", "CONNECTING", "GOT_IP", "NO_AP_FOUND", "WRONG_PASSWORD", "CONNECT_FAIL")


class Air:
    """MicroPython's module `network` of a port, with one network in the air."""

    STA_IF = 0
    AP_IF = 1

    def __init__(self, port="esp32"):
        self.port = port
        for name, number in zip(NAMES, NUMBERS[port]):
            if number is not None:
                setattr(self, "STAT_" + name, number)
        self.clock = ManualClock()
        self.network = ("barn", "hay and oats")
        self.changed = 0
        self.present = True
        self.mute = False  # it does not answer
        self.join_ms = 1200
        self.connects = []
        self.interfaces = {0: Station(self), 1: Station(self)}
        self.interfaces[1].on = True

    def appear(self, there=True):
        """The access point gets power, or loses it."""
        self.present = there
        self.changed = self.clock.now()

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
    for port in NUMBERS:
        air = Air(port)
        link = wifi_connect("barn", "hay and oats", air, air.clock, random=half)
        assert link.state == "up" and link.last_error is None
        assert 1200 <= air.clock.now() <= 1200 + wifi.POLL_MS
        assert not air.interfaces[1].on, "the access point"
        assert link.counters == {"attempts": 1, "failures": 0, "links": 1, "lost": 0}
        wifi_disconnect(air)
        assert not air.interfaces[0].on


def test_a_board_that_boots_before_its_access_point_joins_it():
    """An ESP32 goes on saying what the last attempt came to: an attempt is not to end by that."""
    for port in NUMBERS:
        air = Air(port)
        air.present = False
        link = WifiLink("barn", "hay and oats", air, air.clock, random=half)
        while air.clock.now() < 60000:
            air.clock.advance(link.step())
        assert "reach" in link.last_error and link.state != "up"
        air.appear()
        while link.state != "up":
            air.clock.advance(link.step())
        assert air.clock.now() < 60000 + wifi.ATTEMPT_MS + 60000, port
        assert link.last_error is None and link.counters["links"] == 1


def test_what_a_port_says_without_a_name_ends_nothing():
    air = Air("rp2")
    link = WifiLink("barn", "hay and oats", air, air.clock, random=half)
    link.step()
    air.clock.advance(700)
    assert air.interfaces[0].status() == 2, "joined, and no address yet"
    link.step()
    assert link.state == "connecting"
    air.interfaces[0].refusal, air.mute = air.STAT_CONNECT_FAIL, True
    link.step()
    assert link.state == "down" and "refused" in link.last_error


def test_a_network_that_is_joined_already_is_kept():
    air = Air()
    wifi_connect("barn", "hay and oats", air, air.clock)
    assert wifi_connect("barn", "hay and oats", air, air.clock).state == "up"
    assert len(air.connects) == 1  # the soft reset of the program does not cost the link


def test_attempts_are_bounded_and_the_password_is_not_told():
    for trouble, why in (
        ("present", "not in reach"),
        ("network", "wrong password"),
        ("mute", "no answer"),
    ):
        for port in NUMBERS:
            air = Air(port)
            setattr(air, trouble, {"present": False, "network": ("barn", "other"), "mute": True}[trouble])
            said = raises(OSError, wifi_connect, "barn", "hay and oats", air, air.clock, random=half)
            assert why in said and "barn" in said and "oats" not in said, (port, said)
            assert len(air.connects) == 5 and air.interfaces[0].wanted is None
            assert air.clock.now() < 120000


def test_the_pauses_double_up_to_a_cap():
    air = Air("esp8266")
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
    for port in NUMBERS:
        lose_it_and_find_it(Air(port))


def lose_it_and_find_it(air):
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
        air.appear(False)

    def back():
        air.appear()

    for hour in range(2):
        scheduler.schedule_later_one_time(away, hour * 3600 + 100)
        scheduler.schedule_later_one_time(back, hour * 3600 + 1000)
    scheduler.schedule_later_one_time(scheduler.stop, 2 * 3600 + 0.5)
    scheduler.run_forever()
    assert sampled == [2 * 3600 + 1, 0]
    assert link.counters["lost"] == 2 and link.counters["links"] == 3 and link.state == "up", air.port
    assert states[:4] == ["up", "down", "connecting", "down"]
    # at most one pause after it is there again, and an attempt
    assert link.counters["failures"] < 2 * 20


def test_a_driver_that_raises_is_a_failed_attempt():
    # what has no name in ports/esp32/network_common.c is a RuntimeError: 0x0101 is ESP_ERR_NO_MEM
    for error in (OSError("Wifi Internal Error"), RuntimeError("Wifi Unknown Error 0x0101: Internal")):
        for method in ("active", "connect", "disconnect", "status", "isconnected"):
            air = Air()
            station = air.interfaces[0]
            real = getattr(station, method)

            def refuse(*arguments, error=error):
                raise error

            setattr(station, method, refuse)
            if method == "disconnect":
                air.mute = True
            link = WifiLink("barn", "hay and oats", air, air.clock, random=half)
            while link.counters["failures"] < 3:
                air.clock.advance(link.step())
            assert "Internal" in link.last_error and link.state == "down", (error, method)
            setattr(station, method, real)
            air.mute = False
            while link.state != "up":
                air.clock.advance(link.step())
            setattr(station, method, refuse)  # and while it is up
            air.clock.advance(link.step())
            setattr(station, method, real)
            while link.state != "up":
                air.clock.advance(link.step())


def test_an_address_that_is_lost_is_joined_for_again_at_once_and_told():
    for port in NUMBERS:
        air = Air(port)
        link = WifiLink("barn", "hay and oats", air, air.clock, random=half)
        while link.state != "up":
            air.clock.advance(link.step())
        states = []
        link.on_change = states.append
        for times in range(1, 4):  # DHCP gives it, and takes it back
            air.join_ms = 1 << 30
            joined = len(air.connects)
            lost = air.clock.now()
            air.clock.advance(link.step())
            assert "down" in states and link.counters["lost"] == times
            assert ("lost" if port != "esp32" else "is connecting") in link.last_error  # which tries by itself
            while len(air.connects) == joined:
                air.clock.advance(link.step())
            assert air.clock.now() - lost <= 2 * wifi.BACKOFF_MS, port
            air.join_ms = 1200
            while link.state != "up":
                air.clock.advance(link.step())
            assert link.last_error is None
            del states[:]


def test_whoever_steps_it_more_often_shortens_no_pause():
    air = Air("esp8266")
    air.network = ("barn", "other")
    link = WifiLink("barn", "hay and oats", air, air.clock, random=half)
    while air.clock.now() < 60000:
        link.step()
        air.clock.advance(10)
    assert len(air.connects) <= 7, "after 1, 2, 4, 8, 16 and 32 s, each halved at most"


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
