"""MQTT 3.1.1 packets: bytes in, packets out, and back; no I/O.

Source: OASIS, "MQTT Version 3.1.1", chapters 2 and 3.
"""


def text(x) -> bytes:
    """A string as packets hold it: its length in two bytes, then UTF-8. ValueError above 65,535 bytes."""
    data = x if isinstance(x, (bytes, bytearray)) else x.encode()
    if len(data) > 65535:
        raise ValueError("too long")
    return len(data).to_bytes(2, "big") + data


def packet(first: int, body) -> bytearray:
    """The fixed header and `body`. ValueError when it is longer than MQTT can say (256 MB)."""
    n = len(body)
    head = bytearray((first, n & 127))
    while n > 127:
        head[-1] |= 128
        n >>= 7
        head.append(n & 127)
    if len(head) > 5:
        raise ValueError("too long")
    return head + body


def connect(client_id: str, keepalive_s: int, clean: bool, user, password, will) -> bytes:
    """CONNECT. `will` is (topic, payload, qos, retain) or None."""
    flags = 2 if clean else 0
    body = text(client_id)
    if will:
        flags |= 4 | will[2] << 3 | (32 if will[3] else 0)
        body += text(will[0]) + text(will[1])
    if user is not None:
        flags |= 128
        body += text(user)
        if password is not None:
            flags |= 64
            body += text(password)
    return bytes(packet(0x10, b"\x00\x04MQTT\x04" + bytes((flags, keepalive_s >> 8, keepalive_s & 255)) + body))


def publish(topic: str, payload, qos: int, retain: bool) -> bytearray:
    """PUBLISH; with QoS 1 its number is 0 and has to be put in.

    ValueError for a topic with a wildcard or none at all, and for another QoS.
    """
    if not topic or "+" in topic or "#" in topic or "\0" in topic or not 0 <= qos <= 1:
        raise ValueError("a topic without + # NUL, QoS 0 or 1: %r" % topic)
    if isinstance(payload, str):
        payload = payload.encode()
    head = text(topic)
    if qos:
        head += b"\0\0"
    return packet(0x30 | qos << 1 | (1 if retain else 0), head + payload)


def place_of_number(publish) -> int:
    """Where the two bytes of its number stand in a PUBLISH of QoS 1."""
    at = 1
    while publish[at] > 127:
        at += 1
    return at + 3 + (publish[at + 1] << 8 | publish[at + 2])


def cut(rest, data, most: int):
    """(packets, rest): all packets that `data` completes, each as (first byte, body, its true length).

    `rest` goes into the next call, b"" into the first. A packet of more than `most` bytes is never held: its head is
    cut off, and `rest` is the number of bytes to throw away as they come. ValueError: that is no MQTT.
    """
    if isinstance(rest, int):
        at = rest
    else:
        at = 0
        data = rest + data
    packets = []
    size = len(data)
    while size - at >= 2:
        start = at + 2
        n = data[at + 1]
        shift = 7
        while n >> shift and start < size:  # the last byte of the length that was read says that one more follows
            n += (data[start] - 1) << shift
            shift += 7
            start += 1
        if shift > 28 and n >> 28:
            raise ValueError("no MQTT")
        end = start + min(n, most)
        if n >> shift or end > size:
            break
        packets.append((data[at], data[start:end], n))
        at = start + n
    return packets, at - size if at > size else data[at:]
