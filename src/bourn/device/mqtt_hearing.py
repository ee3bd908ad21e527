"""What an MQTT client needs that hears: subscriptions, and messages that come in. Who only publishes never loads it.

Source: OASIS, "MQTT Version 3.1.1", chapters 3.3 and 3.8.
"""

from bourn._compat import const
from bourn.device.mqtt_packet import packet, text

_FIRST = const(0xFF00)  # of the numbers that packets about subscriptions have; messages have those below


def subscribe(client, topic: str, qos: int) -> None:
    """Let `client` ask for `topic` on every link. ValueError when it can't be."""
    n = len(client._topics)
    if not topic or not 0 <= qos <= 1 or n >= 255:
        raise ValueError("255 topics, of QoS 0 or 1")
    wish = packet(0x82, (_FIRST + n).to_bytes(2, "big") + text(topic) + bytes((qos,)))
    client._topics += ((topic, wish),)


def refused(client, body) -> None:
    """The broker does not want a topic (the body of a SUBACK), or `client` itself (of a CONNACK): then ValueError."""
    if len(body) > 2:
        client.counters["refused"] += 1
        client.last_error = "the broker refuses %s" % client._topics[body[1]][0]
        return
    client._attempts += 4  # it will not be better in a moment
    what = ("MQTT 3.1.1", "the client's id", "everyone for now", "user or password", "this client")
    raise ValueError("the broker refuses " + what[body[1] - 1])


def tell(client, heard) -> None:
    """Give `client.on_message` what has come, as its decoder cut it, and acknowledge each message afterwards."""
    for first, body, n in heard:
        try:
            topic, payload, retained, number = message(first, body, n)
        except (ValueError, IndexError, MemoryError) as e:
            client._fail(e)
            return
        client.counters["too_long" if payload is None else "received"] += 1
        if payload is not None and client.on_message:
            try:
                client.on_message(topic, payload, retained)
            except BaseException:
                client._fail("on_message raised an exception")
                raise
        if number and client._socket:
            client._out += packet(0x40, number)  # PUBACK


def message(first: int, body, n: int):
    """(topic, payload, retained, number) of a PUBLISH of `n` bytes; `payload` is None if not all of it is in `body`.

    `number` is its two bytes for the PUBACK, empty for QoS 0. ValueError when it is no good.
    """
    qos = first & 6
    end = 2 + (body[0] << 8 | body[1])
    at = end + 2 if qos else end
    if qos > 2 or (at > len(body) and n == len(body)):
        raise ValueError("no message")
    if n > len(body):
        return "", None, False, body[end:at] if at <= len(body) else b""
    return str(body[2:end], "utf-8"), body[at:], first & 1 == 1, body[end:at]
