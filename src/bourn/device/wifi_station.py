"""Joining and leaving a network by one call each, as ThingFlow's programs do. `bourn.device.wifi` has these names."""

from bourn._compat import Clock
from bourn._compat.system import random_bytes
from bourn.device.wifi import WifiLink, _interface, disable_wifi_ap


def wifi_connect(essid, password=None, network=None, clock=None, attempts=5, scheduler=None, random=random_bytes):
    """Join the network `essid`, with the access point of the board off; returns the WifiLink.

    Without a `scheduler` it waits until the link is up, for `attempts` attempts at most (some 100 s by default), then
    OSError says why. With one it returns at once, and the scheduler keeps the link up for ever, trying again and again.
    """
    if network is None:
        import network
    disable_wifi_ap(network)
    clock = clock or (scheduler and scheduler.clock) or Clock()
    link = WifiLink(essid, password, network, clock, None if scheduler else attempts, random)
    if scheduler:
        link.keep(scheduler)
        return link
    while link.state != "up":
        pause = link.step()
        if pause is None:
            raise OSError(110, link.last_error)  # ETIMEDOUT
        if link.state != "up":
            clock.sleep(pause)
    return link


def wifi_disconnect(network=None):
    """Leave the network, and switch the station off."""
    if network is None:
        import network
    station = network.WLAN(_interface(network, "STA"))
    station.disconnect()
    station.active(False)
