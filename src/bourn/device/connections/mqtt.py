"""The connection through an MQTT broker: `mqtt://broker:port/TOPIC`, or `mqtts://` with a verified broker.

Bourn's frames go up in messages to TOPIC/up/LINK and come down in messages to TOPIC/down/LINK; LINK is new for every
link and is the client's id. Each message begins with its number on the link (u32), so that the two ends have a stream
in order or none: what comes twice is passed over, and a hole ends the link. An empty message ends it, too, and so does
any message to TOPIC/hub, by which a hub says that it has come or gone. The broker's word counts for nothing: the outbox
forgets on the hub's acknowledgement, as everywhere.
"""

import errno
import select
import socket

import bourn.device.mqtt_hearing  # noqa: F401 - now: MicroPython shows a second thread a module that is half loaded
from bourn._compat.system import random_bytes
from bourn.device.mqtt import Client

MESSAGE_BYTES = 32768  # of frames in one message
ANSWER_BYTES = 8192  # the longest message that a hub has reason to send
HELD_BYTES = 65536  # heard and not taken yet
KEEPALIVE_S = 120  # the sender asks the hub oftener


def parts(url):
    """(host, port, topic, user, password, options) of a URL; ValueError, without secrets, when it is none."""
    scheme = url.split("://")[0]  # no `partition`: an ESP8266 has none
    rest = url[len(scheme) + 3 :].split("?")[0]
    query = url[len(scheme) + len(rest) + 4 :]
    place = rest.split("/")[0]
    topic = rest[len(place) + 1 :]
    at = place.rfind("@") + 1
    login = place[: at - 1] if at else ""
    place = place[at:]
    colon = -1 if place.endswith("]") else place.rfind(":")
    host, port = place, "8883" if scheme == "mqtts" else "1883"
    if colon >= 0:
        host, port = place[:colon], place[colon + 1 :]
    user = login.split(":")[0]
    password = login[len(user) + 1 :] if ":" in login else None
    options = {}
    for pair in query.split("&") if query else ():
        name = pair.split("=")[0]
        options[name] = pair[len(name) + 1 :]
    wrong = [name for name in options if name not in ("ca", "cert", "key", "name")]
    wrong += [c for c in port if not "0" <= c <= "9"] + [c for c in topic if c in "+#$ "]
    if scheme not in ("mqtt", "mqtts") or not host or not port or not topic or wrong or not 0 < int(port) < 65536:
        raise ValueError("a broker's URL looks like mqtt://127.0.0.1:1883/bourn, or mqtts://host/bourn?ca=ca.pem")
    return host.strip("[]"), int(port), topic, user if at else None, password, options


def check(url: str) -> str:
    """`url` without user and password; ValueError when it is none, or needs a TLS that is not here."""
    host, port, topic, _, _, options = parts(url)
    _tls(url, options)
    return "%s://%s:%d/%s" % (url.split(":", 1)[0], host, port, topic)


def open_link(url: str):
    """A channel that is connecting to the broker. OSError."""
    return Channel(url)


def _tls(url, options):
    if not url.startswith("mqtts:"):
        return None
    from bourn.device.secure import Tls

    return Tls(**options)


class _Descriptor:
    """A descriptor that stays the same when TLS takes the socket over, as CPython's does."""

    def __init__(self, n):
        self._n = n

    def fileno(self):
        return self._n


class Channel:
    """One link through the broker; when anything is wrong with it, it has ended."""

    def __init__(self, url: str) -> None:
        host, port, topic, user, password, options = parts(url)
        link = "".join(["%02x" % b for b in random_bytes(8)])
        self._up = "%s/up/%s" % (topic, link)
        self._sent = 0  # messages, each way
        self._heard = 0
        self._data = b""
        self._ended = False
        self._client = Client(
            host,
            port,
            link,
            user,
            password,
            keepalive_s=KEEPALIVE_S,
            will=(self._up, b"", 0, False),
            tls=_tls(url, options),
            queue=1,
            most=ANSWER_BYTES,
            on_message=self._hear,
        )
        self._client.subscribe("%s/down/%s" % (topic, link), 0)
        self._client.subscribe(topic + "/hub", 0)
        self._client.step()
        if self._client.state == "down":
            raise OSError(errno.ECONNREFUSED, self._client.last_error)
        s = self._client._socket
        self.polled = _Descriptor(s.fileno()) if hasattr(socket.socket, "detach") else s

    def _hear(self, topic, payload, retained):
        if retained:  # of a life before this one
            return
        number = int.from_bytes(payload[:4], "big")
        if len(payload) < 5 or number > self._heard or len(self._data) > HELD_BYTES:
            self._ended = True
        elif number == self._heard:
            self._heard += 1
            self._data += payload[4:]

    def _step(self):
        client = self._client
        client.step()
        while client._more:
            client.step()
        if client.state == "down":
            raise OSError(errno.ECONNRESET, client.last_error)

    def recv(self, n: int) -> bytes:
        """What has come from the hub; b"" at the end."""
        self._step()
        if not self._data and not self._ended:
            raise OSError(errno.EAGAIN, "nothing yet")
        data = self._data
        self._data = b""
        return data

    def send(self, data) -> int:
        """Take some of `data`, once the broker has taken what was before it."""
        client = self._client
        if not client.ready():
            self._step()  # not later: what the hub says has to wait in the socket, where a poll tells of it
        elif client.waiting():
            client._move()
        if self._ended or client.state == "down":
            raise OSError(errno.ECONNRESET, client.last_error or "the hub ended it")
        if not client.ready() or client.waiting():
            raise OSError(errno.EAGAIN, "not yet")
        piece = data[:MESSAGE_BYTES]
        client.publish(self._up, self._sent.to_bytes(4, "big") + piece, 0)
        self._sent += 1
        return len(piece)

    def interest(self, writing: bool) -> int:
        """What to poll for."""
        client = self._client
        return client.interest() | (select.POLLOUT if writing and client.ready() else select.POLLIN)

    def close(self) -> None:
        """Tell the hub, so that it need not wait for the end, and close."""
        client = self._client
        if client.ready() and not client.waiting():
            client.publish(self._up, b"", 0)
        client.close()
